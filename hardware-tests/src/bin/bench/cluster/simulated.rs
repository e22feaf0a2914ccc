//! A gateway of which only the talk with the API server is there: a client, a token and watches of its own, the same
//! requests as the real one's. It counts what it receives.

use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{
    api::{Api, GROUP},
    objects::NAMESPACE,
};

/// What a gateway has received.
#[derive(Debug, Default)]
pub struct Received {
    /// Lists that were answered.
    pub lists: AtomicU64,
    /// Their bytes.
    pub list_bytes: AtomicU64,
    /// Watches that were opened.
    pub watches: AtomicU64,
    /// Events about an object.
    pub events: AtomicU64,
    /// Their bytes.
    pub event_bytes: AtomicU64,
    /// Bookmarks: the server sends them to every watch now and then.
    pub bookmarks: AtomicU64,
    /// Their bytes.
    pub bookmark_bytes: AtomicU64,
    /// Requests that failed.
    pub failures: AtomicU64,
    /// What the first of them said.
    pub first_failure: OnceLock<String>,
}

/// A simulated gateway; it leaves when dropped.
pub struct Simulated {
    /// What it has received.
    pub received: Arc<Received>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Simulated {
    /// Starts the gateway of this node on the running runtime.
    pub async fn start(node: &str, kubeconfig: &Path) -> Result<Self> {
        let api = Api::new(kubeconfig).await?;
        let received = Arc::new(Received::default());
        // As the real one asks.
        let paths = [
            format!("{GROUP}/devices?fieldSelector=spec.nodeName%3D{node}&"),
            format!("{GROUP}/namespaces/{NAMESPACE}/devicemodels?"),
        ];
        let tasks = paths.map(|path| tokio::spawn(follow(api.clone(), path, Arc::clone(&received))));
        Ok(Self { received, tasks })
    }

    /// Whether both of its watches are open.
    pub fn ready(&self) -> bool {
        self.received.watches.load(Relaxed) >= 2
    }
}

/// Reports a status of each Device of a node, as its gateway would: with its own token, one patch each.
pub async fn report(kubeconfig: &Path, node: &str, status: &Value) -> Result<u64> {
    let api = Api::new(kubeconfig).await?;
    let (list, _) = api.get(&format!("{GROUP}/devices?fieldSelector=spec.nodeName%3D{node}")).await?;
    let items = list["items"].as_array().context("no items")?;
    for device in items {
        let name = device["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!("{GROUP}/namespaces/{NAMESPACE}/devices/{name}/status");
        api.merge(&path, &json!({"status": status})).await?;
    }
    Ok(items.len() as u64)
}

async fn follow(api: Api, path: String, received: Arc<Received>) {
    let mut failures = 0;
    loop {
        match list(&api, &path, &received).await {
            Ok(mut version) => loop {
                // A fleet that has long been at work renews at any moment, this one not all in its fifth minute.
                let shortest = if received.watches.load(Relaxed) < 2 { 10 } else { 270 };
                let seconds = fastrand::u32(shortest..310);
                let end = watch(&api, &path, &mut version, seconds, &received).await;
                failures = if end.is_ok() { 0 } else { failures + 1 };
                if note(&received, end) {
                    break;
                }
                wait(failures).await;
            },
            Err(error) => {
                note(&received, Err(error));
                failures += 1;
            }
        }
        wait(failures).await;
    }
}

/// Remembers a failure. Whether everything has to be listed anew: the server no longer knows that version.
fn note(received: &Received, end: Result<()>) -> bool {
    let Err(error) = end else { return false };
    let text = format!("{error:#}");
    let expired = text.contains("Expired") || text.contains("410");
    received.failures.fetch_add(1, Relaxed);
    let _ = received.first_failure.set(text);
    expired
}

/// A fleet that lost its server at the same moment does not come back at the same moment.
async fn wait(failures: u32) {
    let seconds = match failures {
        0 => fastrand::f64(),
        n => 2_f64.powi(i32::try_from(n - 1).unwrap_or(6)).min(48.0) * (0.75 + 0.5 * fastrand::f64()),
    };
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

/// Returns the version to watch from.
async fn list(api: &Api, path: &str, received: &Received) -> Result<String> {
    let (list, bytes) = api.get(&format!("{path}limit=500")).await?;
    received.lists.fetch_add(1, Relaxed);
    received.list_bytes.fetch_add(bytes, Relaxed);
    Ok(list["metadata"]["resourceVersion"].as_str().context("no resourceVersion")?.to_owned())
}

/// One watch, to its end.
async fn watch(api: &Api, path: &str, version: &mut String, seconds: u32, received: &Received) -> Result<()> {
    let watch = format!("{path}watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={version}");
    let mut lines = api.watch(&watch).await?;
    received.watches.fetch_add(1, Relaxed);
    while let Some(line) = lines.next().await? {
        let event: Value = serde_json::from_slice(&line)?;
        let length = line.len() as u64;
        match event["type"].as_str() {
            Some("BOOKMARK") => {
                received.bookmarks.fetch_add(1, Relaxed);
                received.bookmark_bytes.fetch_add(length, Relaxed);
            }
            Some("ERROR") | None => anyhow::bail!("the watch says: {}", String::from_utf8_lossy(&line)),
            Some(_) => {
                received.events.fetch_add(1, Relaxed);
                received.event_bytes.fetch_add(length, Relaxed);
            }
        }
        if let Some(newer) = event["object"]["metadata"]["resourceVersion"].as_str() {
            newer.clone_into(version);
        }
    }
    Ok(())
}
