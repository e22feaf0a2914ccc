//! Kubernetes: Devices and DeviceModels from an API server, and their status back. It computes no status and polls
//! nothing; the API server may be away for as long as it likes.
//!
//! ```text
//! list, watch -> reflect -> store -> source        what is seen, and when a set is yielded
//!                   confirm -> trust               what may be taken away
//! client (failure, backoff)                        below all of them
//! target (kubeconfig, proxy, credentials, tls)     below client
//! mirror <- store, sink                            the statuses as they are stored
//! ```

use std::{path::Path, sync::Arc};

use anyhow::Context;

use crate::{observe::api::Counts, settings::Kubernetes};

pub mod backoff;
pub mod client;
mod confirm;
mod credentials;
mod events;
pub mod failure;
pub mod kept;
mod kubeconfig;
pub mod list;
pub mod mirror;
pub mod object;
mod plugin;
mod proxy;
mod reflect;
pub mod sink;
pub mod source;
pub mod store;
mod target;
#[cfg(test)]
mod testing;
mod tls;
pub mod trouble;
pub mod trust;

/// Both directions of one cluster.
pub struct Cluster {
    /// Devices and DeviceModels.
    pub source: source::ClusterSource,
    /// The way back for statuses.
    pub sink: Arc<sink::ClusterSink>,
    /// What was asked and what came of it.
    pub counts: Arc<Counts>,
    /// Has what is to be kept written, if there is a folder for it.
    pub kept: Option<kept::Flush>,
}

/// Opens the way to an API server, which may be away. With a folder, what was kept there is served at once.
///
/// # Errors
/// The settings lead to no API server, or the folder cannot be used.
pub async fn open(settings: &Kubernetes, node: &str, state: Option<&Path>) -> anyhow::Result<Cluster> {
    let link = Arc::new(client::Link::open(settings.kubeconfig.as_deref()).await?);
    let kept = match state {
        Some(folder) => {
            let folder = folder.join("kept");
            let shown = folder.display().to_string();
            let (kept, objects, damaged) = kept::Kept::open(&folder).with_context(|| format!("the folder {shown}"))?;
            for line in damaged {
                tracing::warn!("{line}");
            }
            Some((kept, objects))
        }
        None => None,
    };
    let flush = kept.as_ref().map(|(kept, _)| kept.flusher());
    let (counts, mirror) = (link.counts.clone(), Arc::<mirror::Mirror>::default());
    let source = source::ClusterSource::new(link.clone(), settings, node, mirror.clone(), kept);
    Ok(Cluster { source, sink: Arc::new(sink::ClusterSink::new(link, node, mirror)), counts, kept: flush })
}
