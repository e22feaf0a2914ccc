//! Where the devices come from, as the settings say: a folder, or a Kubernetes API server. Wiring only.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};

use crate::{
    control::{
        files::FileSource,
        judge::Serve,
        sink::{Pending, StatusSink},
        source::Source,
    },
    observe::api,
    settings::{Kubernetes, Settings},
};

/// The source, and what follows from it.
pub struct Opened {
    /// Where sets come from.
    pub source: Box<dyn Source>,
    /// Where statuses go, if the source takes them.
    pub sink: Option<Arc<dyn StatusSink>>,
    /// What was asked of an API server and what came of it.
    pub api: Option<Arc<api::Counts>>,
    /// What is to be done at an orderly stop.
    pub finish: Option<Pending<'static, ()>>,
    /// As the node's announcement names it.
    pub word: &'static str,
    /// Whose Devices are served.
    pub serve: Serve,
}

/// What the settings ask for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Folder(PathBuf),
    Cluster(Kubernetes),
}

/// Opens what the settings ask for. `state` is the folder of the bridge's own, if it has one.
///
/// # Errors
/// They ask for nothing, or for two things at once; the folder is not there; there is no way to the API server, or this
/// binary was built without it.
pub async fn open(settings: &Settings, node: &str, state: Option<&Path>) -> anyhow::Result<Opened> {
    let in_pod = std::env::var("KUBERNETES_SERVICE_HOST").is_ok_and(|host| !host.is_empty());
    match wanted(settings, in_pod)? {
        Wanted::Folder(folder) => Ok(Opened {
            source: Box::new(FileSource::new(folder)?),
            sink: None,
            api: None,
            finish: None,
            word: "files",
            serve: settings.node.clone().map_or(Serve::All, Serve::Node),
        }),
        Wanted::Cluster(kubernetes) => cluster(&kubernetes, node, state).await.context("kubernetes"),
    }
}

fn wanted(settings: &Settings, in_pod: bool) -> anyhow::Result<Wanted> {
    match (&settings.devices, &settings.kubernetes) {
        (Some(folder), Some(_)) => bail!(
            "devices come from a folder or from Kubernetes, not from both: devices is {}, and kubernetes is given too; \
             leave one out",
            folder.display()
        ),
        (Some(folder), None) => Ok(Wanted::Folder(folder.clone())),
        (None, Some(kubernetes)) => Ok(Wanted::Cluster(kubernetes.clone())),
        (None, None) if in_pod && cfg!(feature = "kubernetes") => Ok(Wanted::Cluster(Kubernetes::default())),
        (None, None) => bail!(
            "no devices: give --devices DIR for a folder of YAML, or --kubeconfig FILE for a Kubernetes API server; in the \
             settings file, `devices` or `kubernetes`. (In a pod, its own cluster is meant: KUBERNETES_SERVICE_HOST is not \
             set here.)"
        ),
    }
}

#[cfg(feature = "kubernetes")]
async fn cluster(settings: &Kubernetes, node: &str, state: Option<&Path>) -> anyhow::Result<Opened> {
    let cluster = crate::kubernetes::open(settings, node, state).await?;
    Ok(Opened {
        source: Box::new(cluster.source),
        sink: Some(cluster.sink),
        api: Some(cluster.counts),
        finish: cluster.kept.map(|kept| -> Pending<'static, ()> { Box::pin(async move { kept.flush().await }) }),
        word: "kubernetes",
        serve: Serve::Own(node.to_owned()),
    })
}

#[cfg(not(feature = "kubernetes"))]
#[allow(clippy::unused_async)] // as the other one
async fn cluster(_: &Kubernetes, _: &str, _: Option<&Path>) -> anyhow::Result<Opened> {
    bail!("this binary was built without Kubernetes (the cargo feature `kubernetes`); give --devices DIR instead")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_name_one_source() {
        let folder = Some(PathBuf::from("d"));
        let cluster = || Some(Kubernetes::default());
        let settings = |devices, kubernetes| Settings { devices, kubernetes, ..Settings::default() };
        for (what, settings, in_pod, expected) in [
            ("a folder", settings(folder.clone(), None), false, Ok(Wanted::Folder("d".into()))),
            ("a folder in a pod", settings(folder.clone(), None), true, Ok(Wanted::Folder("d".into()))),
            ("a cluster", settings(None, cluster()), false, Ok(Wanted::Cluster(Kubernetes::default()))),
            ("both", settings(folder, cluster()), false, Err("not from both")),
            ("neither", settings(None, None), false, Err("--kubeconfig")),
        ] {
            match (wanted(&settings, in_pod), expected) {
                (Ok(wanted), Ok(expected)) => assert_eq!(wanted, expected, "{what}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{what}: {error}"),
                (other, _) => panic!("{what}: {other:?}"),
            }
        }
        let own = wanted(&Settings::default(), true);
        assert_eq!(own.is_ok(), cfg!(feature = "kubernetes"), "{own:?}");
    }
}
