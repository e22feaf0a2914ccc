//! Sees every status that the API server stores: a watch on all Devices, each event with the moment of its receipt.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::api::{Api, GROUP};

/// What was stored of a Device at one moment.
#[derive(Debug, Clone)]
pub struct Stored {
    /// When the event came.
    pub at: Instant,
    /// The generation of the spec.
    pub generation: u64,
    /// The status; null if there is none.
    pub status: Value,
}

impl Stored {
    /// Whether a condition is True, and was computed from the spec of this object or a later one.
    pub fn holds(&self, condition: &str) -> bool {
        self.condition(condition).is_some_and(|c| {
            c["status"] == "True" && c["observedGeneration"].as_u64().unwrap_or_default() >= self.generation
        })
    }

    /// A condition.
    pub fn condition(&self, name: &str) -> Option<&Value> {
        self.status["conditions"].as_array()?.iter().find(|c| c["type"] == name)
    }
}

/// What was seen of each Device, oldest first.
type Seen = HashMap<String, Vec<Stored>>;

/// A running observer; it stops with this value.
pub struct Observer {
    seen: Arc<Mutex<Result<Seen, String>>>,
    task: JoinHandle<()>,
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Observer {
    /// Starts it with all Devices that there are.
    pub fn start(runtime: &tokio::runtime::Handle, api: Api) -> Self {
        let seen = Arc::new(Mutex::new(Ok(Seen::new())));
        let shared = Arc::clone(&seen);
        let task = runtime.spawn(async move {
            if let Err(error) = follow(&api, &shared).await {
                *lock(&shared) = Err(format!("{error:#}"));
            }
        });
        Self { seen, task }
    }

    /// Waits until what was seen of the Devices meets a condition; returns what it yields.
    pub fn wait<T>(&self, what: &str, within: Duration, met: impl Fn(&Seen) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + within;
        loop {
            {
                let seen = lock(&self.seen);
                let seen = seen.as_ref().map_err(|error| anyhow::anyhow!("the observer's watch: {error}"))?;
                if let Some(found) = met(seen) {
                    return Ok(found);
                }
                ensure!(Instant::now() < deadline, "{what}: not within {within:?}; {}", summary(seen));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until the newest of what is stored of so many Devices holds this condition.
    pub fn all(&self, devices: usize, condition: &str, within: Duration) -> Result<()> {
        self.wait(&format!("{condition} on {devices} Devices"), within, |seen| {
            let held = seen.values().filter(|stored| stored.last().is_some_and(|last| last.holds(condition)));
            (held.count() >= devices).then_some(())
        })
    }

    /// Waits until a Device holds a condition with an event after this moment; returns when that came.
    pub fn when(&self, device: &str, condition: &str, after: Instant, generation: u64) -> Result<Instant> {
        self.wait(&format!("{condition} on {device}"), Duration::from_secs(30), |seen| {
            let newer = seen.get(device)?.iter().filter(|stored| stored.at > after);
            newer.filter(|stored| stored.generation >= generation && stored.holds(condition)).map(|s| s.at).next()
        })
    }
}

fn lock(seen: &Mutex<Result<Seen, String>>) -> MutexGuard<'_, Result<Seen, String>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn summary(seen: &Seen) -> String {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for last in seen.values().filter_map(|stored| stored.last()) {
        let ready = last.condition("Ready").map_or_else(
            || "no status".to_owned(),
            |ready| {
                format!("Ready={} {}", ready["status"].as_str().unwrap_or("?"), ready["reason"].as_str().unwrap_or("?"))
            },
        );
        *counts.entry(ready).or_default() += 1;
    }
    format!("last seen: {counts:?}")
}

async fn follow(api: &Api, seen: &Mutex<Result<Seen, String>>) -> Result<()> {
    let (list, _) = api.get(&format!("{GROUP}/devices")).await?;
    for device in list["items"].as_array().into_iter().flatten() {
        note(seen, device);
    }
    let mut version =
        list["metadata"]["resourceVersion"].as_str().context("a list without resourceVersion")?.to_owned();
    loop {
        let path = format!("{GROUP}/devices?watch=1&allowWatchBookmarks=true&resourceVersion={version}");
        let mut lines = api.watch(&path).await?;
        while let Some(line) = lines.next().await? {
            let event: Value = serde_json::from_slice(&line)?;
            let object = &event["object"];
            match event["type"].as_str() {
                Some("ADDED" | "MODIFIED") => note(seen, object),
                Some("BOOKMARK" | "DELETED") => {}
                _ => anyhow::bail!("the watch says: {}", String::from_utf8_lossy(&line)),
            }
            if let Some(newer) = object["metadata"]["resourceVersion"].as_str() {
                newer.clone_into(&mut version);
            }
        }
    }
}

fn note(seen: &Mutex<Result<Seen, String>>, device: &Value) {
    let name = device["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let generation = device["metadata"]["generation"].as_u64().unwrap_or_default();
    let stored = Stored { at: Instant::now(), generation, status: device["status"].clone() };
    if let Ok(seen) = lock(seen).as_mut() {
        seen.entry(name).or_default().push(stored);
    }
}
