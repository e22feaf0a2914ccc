//! What must be known of devices after a restart: how long they may be silent, and their counters, so that what was
//! recorded before is not taken for news. Shared by the buses; the core saves it now and then.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::presence::Known;

/// So many devices are remembered, about 100 KiB; further ones are learnt anew after a restart.
const MOST: usize = 1024;

/// What is known of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Kept {
    /// Its silences.
    #[serde(flatten)]
    pub known: Known,
    /// The counter of its last encrypted message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counter: Option<u32>,
}

/// What is known of all, by their marks.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    devices: HashMap<String, Kept>,
    changed: bool,
}

impl Memory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what an earlier process saved. What cannot be read is forgotten: it can be learnt anew.
    pub fn restore(&self, saved: &[u8]) {
        match serde_json::from_slice::<HashMap<String, Kept>>(saved) {
            Ok(devices) => self.inner().devices = devices.into_iter().take(MOST).collect(),
            Err(error) => {
                tracing::warn!(%error, "What was learnt of Bluetooth devices cannot be read, and is learnt anew.")
            }
        }
    }

    /// All of it, if it has changed since the last call.
    pub fn save(&self) -> Option<Vec<u8>> {
        let mut inner = self.inner();
        if !std::mem::take(&mut inner.changed) {
            return None;
        }
        serde_json::to_vec(&inner.devices).ok()
    }

    /// What is known of a device.
    pub fn of(&self, device: &str) -> Kept {
        self.inner().devices.get(device).cloned().unwrap_or_default()
    }

    /// Keeps it.
    pub fn keep(&self, device: &str, kept: Kept) {
        let mut inner = self.inner();
        let room = inner.devices.len() < MOST;
        match inner.devices.get_mut(device) {
            Some(known) if *known == kept => return,
            Some(known) => *known = kept,
            None if !room => return,
            None => drop(inner.devices.insert(device.to_owned(), kept)),
        }
        inner.changed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::{Kept, MOST, Memory};
    use crate::presence::Known;

    #[test]
    fn what_changed_is_saved_once_and_reads_back() {
        let memory = Memory::default();
        assert_eq!(memory.save(), None);
        let kept = Kept { known: Known { sleepy: true, silence: Some(60) }, counter: Some(7) };
        let id = "A4:C1:38:12:34:56";
        memory.keep(id, kept.clone());
        let saved = memory.save().unwrap();
        memory.keep(id, kept.clone());
        assert_eq!(memory.save(), None, "nothing changed");
        let after = Memory::default();
        after.restore(&saved);
        assert_eq!((after.of(id), after.save()), (kept, None));
        assert_eq!(after.of("another"), Kept::default());
    }

    #[test]
    fn nonsense_is_forgotten() {
        for saved in [&b""[..], b"[]", b"{\"a\": 1}", b"\xff"] {
            let memory = Memory::default();
            memory.restore(saved);
            assert_eq!(memory.of("a"), Kept::default());
        }
    }

    #[test]
    fn it_does_not_grow_beyond_its_bound() {
        let memory = Memory::default();
        for i in 0..2 * MOST {
            memory.keep(&i.to_string(), Kept::default());
        }
        assert_eq!(memory.inner().devices.len(), MOST);
        assert!(memory.save().unwrap().len() < 100 * MOST);
    }
}
