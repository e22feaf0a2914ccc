//! Events: what changed, for `kubectl describe`. The same again within minutes only counts the first one up. Whatever
//! fails is dropped: an event may be lost.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use fieldgate_crds::{GROUP, VERSION};
use http::Method;
use serde_json::{Value as Json, json};
use tokio::time::{Instant, timeout};

use super::{
    client::{Ask, Link, PATIENCE, encode},
    failure::{Failure, Kind as Why},
    sink::MANAGER,
};
use crate::{
    control::sink::{Notice, Stored},
    model::DeviceId,
};

/// The same within this time of the last is a repetition.
const WINDOW: Duration = Duration::from_secs(6 * 60);
/// How many events are remembered.
const MOST: usize = 256;
/// The longest note and reason that the API server takes.
const NOTE: usize = 1024;
const REASON: usize = 128;

/// Tells events.
pub struct Events {
    link: Arc<Link>,
    node: String,
    told: Mutex<Vec<Told>>,
}

/// An event that stands in the API server.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    uid: String,
    notice: Notice,
    name: String,
    count: u32,
    last: Instant,
}

impl Events {
    /// Tells events as this node.
    pub fn new(link: Arc<Link>, node: &str) -> Self {
        Self { link, node: node.to_owned(), told: Mutex::default() }
    }

    /// Tells one of this very object.
    pub async fn tell(&self, device: &DeviceId, stored: &Stored, notice: &Notice) {
        let (now, at) = (Instant::now(), micros(jiff::Timestamp::now()));
        let again = self.repeated(stored, notice, now);
        let outcome = match &again {
            Some(told) => match self.send(device, Some(told), &series(told.count, &at)).await {
                // Events are kept for an hour, on some platforms for minutes.
                Err(failure) if failure.kind == Why::NotFound => self.create(device, stored, notice, &at, now).await,
                outcome => outcome,
            },
            None => self.create(device, stored, notice, &at, now).await,
        };
        if let Err(failure) = outcome {
            tracing::debug!(%device, reason = notice.reason, %failure, "An event was lost.");
        }
    }

    /// Counts up what was told before, if it was not long ago.
    fn repeated(&self, stored: &Stored, notice: &Notice, now: Instant) -> Option<Told> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|told| now < told.last + WINDOW);
        let again = told.iter_mut().find(|told| told.uid == stored.uid && told.notice == *notice)?;
        again.count += 1;
        again.last = now;
        Some(again.clone())
    }

    async fn create(
        &self,
        device: &DeviceId,
        stored: &Stored,
        notice: &Notice,
        at: &str,
        now: Instant,
    ) -> Result<(), Failure> {
        let name = format!("{}.{:016x}", short(&device.name, 230).trim_end_matches(['-', '.']), fastrand::u64(..));
        self.send(device, None, &event(device, stored, notice, &self.node, &name, at)).await?;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|told| told.uid != stored.uid || told.notice != *notice);
        if told.len() >= MOST {
            told.remove(0);
        }
        told.push(Told { uid: stored.uid.clone(), notice: notice.clone(), name, count: 1, last: now });
        Ok(())
    }

    async fn send(&self, device: &DeviceId, again: Option<&Told>, body: &Json) -> Result<(), Failure> {
        let events = format!("/apis/events.k8s.io/v1/namespaces/{}/events", encode(&device.namespace));
        let body: Bytes = body.to_string().into();
        let (method, content, path) = match again {
            Some(told) => (Method::PATCH, "application/merge-patch+json", format!("{events}/{}", encode(&told.name))),
            None => (Method::POST, "application/json", events),
        };
        let verb = if again.is_some() { "patch" } else { "create" };
        let ask = Ask { verb, method, path: format!("{path}?fieldManager={MANAGER}"), content: Some(content), body };
        let answer = timeout(PATIENCE, self.link.ask(&ask)).await;
        answer.unwrap_or_else(|_| Err(Failure::away("no whole answer"))).map(drop)
    }
}

fn event(device: &DeviceId, stored: &Stored, notice: &Notice, node: &str, name: &str, at: &str) -> Json {
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": &*device.namespace},
        "eventTime": at,
        "type": if notice.warning { "Warning" } else { "Normal" },
        "reason": short(&notice.reason, REASON),
        "note": short(&notice.message, NOTE),
        "action": "Report",
        "reportingController": MANAGER,
        "reportingInstance": short(node, REASON),
        "regarding": {
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "Device",
            "namespace": &*device.namespace,
            "name": &*device.name,
            "uid": stored.uid,
            "resourceVersion": stored.version,
        },
    })
}

fn series(count: u32, at: &str) -> Json {
    json!({"series": {"count": count, "lastObservedTime": at}})
}

/// A time as the API server takes it: with microseconds, neither more nor less.
fn micros(time: jiff::Timestamp) -> String {
    format!("{time:.6}")
}

/// At most so many bytes of a text.
fn short(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::{micros, short};

    #[test]
    fn texts_and_times_fit() {
        assert_eq!(short("\u{b0}\u{b0}", 3), "\u{b0}");
        assert_eq!(short("abc", 3), "abc");
        assert_eq!(micros("2026-01-02T03:04:05Z".parse().unwrap()), "2026-01-02T03:04:05.000000Z");
    }
}
