//! What the API server last said of the own Devices' statuses: fed by lists, watches and answers to writes. It asks for
//! nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::object::Found;
use crate::{control::sink::Stored, model::DeviceId};

/// The statuses as they are stored.
#[derive(Debug, Default)]
pub struct Mirror {
    state: Mutex<State>,
    wake: Notify,
}

/// A [`Stored`], with its status as JSON: a third of the memory, and it is asked for on change only.
#[derive(Debug)]
struct Held {
    uid: String,
    generation: i64,
    version: String,
    status: Box<[u8]>,
}

#[derive(Debug, Default)]
struct State {
    stored: BTreeMap<DeviceId, Held>,
    changed: BTreeSet<DeviceId>,
}

impl Mirror {
    /// What is stored of a device, as far as it is known.
    pub fn get(&self, device: &DeviceId) -> Option<Stored> {
        let state = self.state();
        let Held { uid, generation, version, status } = state.stored.get(device)?;
        // It was written by this program from a status.
        let status = serde_json::from_slice(status).unwrap_or_default();
        Some(Stored { uid: uid.clone(), generation: *generation, version: version.clone(), status })
    }

    /// An own Device was seen. One that is older than what is known changes nothing.
    pub fn put(&self, found: &Found) {
        self.take(found, |before| is_older(&found.version, &before.version));
    }

    /// This is what the API server holds of an own Device, though something newer was known.
    pub fn set_back(&self, found: &Found) {
        self.take(found, |_| false);
    }

    fn take(&self, found: &Found, stays: impl FnOnce(&Held) -> bool) {
        let mut state = self.state();
        let before = state.stored.get(&found.key.id);
        if before.is_some_and(|before| before.uid == found.uid && stays(before)) {
            return;
        }
        let status = serde_json::to_vec(&found.status).unwrap_or_default().into_boxed_slice();
        let same = before.is_some_and(|b| b.uid == found.uid && b.generation == found.generation && b.status == status);
        let stored =
            Held { uid: found.uid.clone(), generation: found.generation, version: found.version.clone(), status };
        state.stored.insert(found.key.id.clone(), stored);
        if !same {
            state.changed.insert(found.key.id.clone());
            drop(state);
            self.wake.notify_one();
        }
    }

    /// A device is no longer served.
    pub fn forget(&self, device: &DeviceId) {
        let mut state = self.state();
        if state.stored.remove(device).is_some() {
            state.changed.insert(device.clone());
            drop(state);
            self.wake.notify_one();
        }
    }

    /// The devices whose stored status changed since the last call, once there is one. Cancel-safe.
    pub async fn changed(&self) -> Vec<DeviceId> {
        loop {
            let changed = std::mem::take(&mut self.state().changed);
            if !changed.is_empty() {
                return changed.into_iter().collect();
            }
            self.wake.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a resourceVersion is older than another. Where they are no numbers, nobody can tell.
/// (Kubernetes promises the order of versions of one object since 1.35.)
pub fn is_older(version: &str, than: &str) -> bool {
    match (version.parse::<u128>(), than.parse::<u128>()) {
        (Ok(version), Ok(than)) => version < than,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::object::{self, tests::device},
        *,
    };
    use crate::control::document::Kind;

    fn found(version: &str, protocol: &str) -> Found {
        let mut json = device("a", "gw-1", "u1", 1);
        json["metadata"]["resourceVersion"] = json!(version);
        json["status"] = json!({"protocol": protocol});
        object::read(Kind::Device, &json.to_string()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_wakes_once_and_what_is_older_changes_nothing() {
        let (mirror, id) = (Mirror::default(), DeviceId::new("plant", "a"));
        mirror.put(&found("10", "x"));
        assert_eq!(mirror.changed().await, std::slice::from_ref(&id));
        for (what, version, protocol) in [("the same, later", "11", "x"), ("an old one", "9", "y")] {
            mirror.put(&found(version, protocol));
            let silent = tokio::time::timeout(std::time::Duration::from_secs(1), mirror.changed()).await;
            assert!(silent.is_err(), "{what}");
        }
        assert_eq!(mirror.get(&id).unwrap().version, "11");
        mirror.set_back(&found("9", "y"));
        assert_eq!(mirror.changed().await, std::slice::from_ref(&id));
        assert_eq!(mirror.get(&id).unwrap().version, "9", "the API server was restored");
        mirror.forget(&id);
        assert_eq!(mirror.changed().await, std::slice::from_ref(&id));
        assert_eq!(mirror.get(&id), None);
    }
}
