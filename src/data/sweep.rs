//! What an earlier run of this bridge left at the broker: at the start it reads its own retained `devices`, asks for the
//! retained topics of those that are gone, and clears the ones that carry its own node. A device that moved to another
//! bridge carries that one's.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value as Json;
use tokio::time::Instant;

use super::topic::{DEVICE_RETAINED, Topics};
use crate::model::DeviceId;

/// How long retained messages are waited for; a broker sends them right after it took the subscription.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many devices are asked for at once.
const ROUND: usize = 16;

/// What to tell the broker next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    Subscribe(String),
    Unsubscribe(String),
}

/// The sweep.
#[derive(Debug, Default)]
pub enum Sweep {
    /// Not begun on this connection.
    #[default]
    Idle,
    /// Waits for its own retained `devices`.
    Listing { until: Instant },
    /// Waits for the retained topics of devices that are gone.
    Asking { until: Instant, filters: Vec<String>, rest: BTreeSet<DeviceId>, asked: BTreeSet<DeviceId> },
    /// Done for this start.
    Done,
}

impl Sweep {
    /// Begins.
    pub fn begin(&mut self, topics: &Topics, now: Instant) -> Vec<Ask> {
        *self = Self::Listing { until: now + PATIENCE };
        vec![Ask::Subscribe(topics.bridge("devices"))]
    }

    /// The connection is gone: what is not done begins anew.
    pub fn lost(&mut self) {
        if !matches!(self, Self::Done) {
            *self = Self::Idle;
        }
    }

    /// Whether it is done.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// When to go on.
    pub fn until(&self) -> Option<Instant> {
        match self {
            Self::Listing { until } | Self::Asking { until, .. } => Some(*until),
            Self::Idle | Self::Done => None,
        }
    }

    /// A message came; a topic to clear, if it is one. `serves` tells whether a device is (or should be) served here.
    pub fn message(
        &mut self,
        topics: &Topics,
        node: &str,
        topic: &str,
        payload: &[u8],
        serves: impl Fn(&DeviceId) -> bool,
        now: Instant,
    ) -> Option<String> {
        let json: Json = serde_json::from_slice(payload).ok()?;
        match self {
            Self::Listing { .. } if topic == topics.bridge("devices") => {
                let names = json["devices"].as_object().into_iter().flat_map(serde_json::Map::keys);
                let ids = names.filter_map(|name| name.split_once('/')).map(|(ns, name)| DeviceId::new(ns, name));
                let mut filters = Vec::new();
                if json["notListed"].as_u64().unwrap_or(0) > 0 {
                    filters.push(topics.device(&DeviceId::new("+", "+"), "info"));
                }
                let rest = ids.filter(|id| !serves(id)).collect();
                *self = Self::Asking { until: now, filters, rest, asked: BTreeSet::new() };
                None
            }
            Self::Asking { rest, asked, .. } if json["node"] == node => {
                let mut levels = topic.rsplitn(4, '/');
                let (leaf, name, namespace) = (levels.next()?, levels.next()?, levels.next()?);
                let id = DeviceId::new(namespace, name);
                if serves(&id) || !DEVICE_RETAINED.contains(&leaf) || topic != topics.device(&id, leaf) {
                    return None;
                }
                if !asked.contains(&id) {
                    rest.insert(id);
                }
                Some(topic.into())
            }
            _ => None,
        }
    }

    /// Goes on when [`Sweep::until`] has come.
    pub fn go_on(&mut self, topics: &Topics, now: Instant) -> Vec<Ask> {
        match self {
            // Nothing retained: this node never ran here.
            Self::Listing { .. } => {
                *self = Self::Done;
                vec![Ask::Unsubscribe(topics.bridge("devices"))]
            }
            Self::Asking { until, filters, rest, asked } => {
                let mut asks = Vec::new();
                if asked.is_empty() {
                    asks.push(Ask::Unsubscribe(topics.bridge("devices")));
                }
                // Filters that were put in by `message` have not been subscribed to: the first round does so.
                let fresh = asked.is_empty() && !filters.is_empty();
                if fresh {
                    asks.extend(filters.iter().cloned().map(Ask::Subscribe));
                    asked.insert(DeviceId::new("+", "+"));
                    *until = now + PATIENCE;
                    return asks;
                }
                asks.extend(filters.drain(..).map(Ask::Unsubscribe));
                while filters.len() < ROUND
                    && let Some(id) = rest.pop_first()
                {
                    filters.push(topics.device(&id, "+"));
                    asked.insert(id);
                }
                asks.extend(filters.iter().cloned().map(Ask::Subscribe));
                if filters.is_empty() {
                    *self = Self::Done;
                } else {
                    *until = now + PATIENCE;
                }
                asks
            }
            Self::Idle | Self::Done => Vec::new(),
        }
    }
}
