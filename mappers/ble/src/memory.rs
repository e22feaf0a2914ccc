//! What must be known of devices beyond one open bus: how long they may be silent, and their counters, so that what was
//! recorded before is not taken for news. Shared by the buses; the core saves it now and then.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{presence::Known, replay_guard::ReplayGuard};

/// So many devices are remembered, about 100 KiB; then the one that was heard least lately is forgotten.
const MOST: usize = 1024;

/// What is known of one device.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Kept {
    /// Its silences.
    pub known: Known,
    /// Its counters.
    pub guard: ReplayGuard,
    /// The mark of the key that they are of.
    pub key: Option<u32>,
}

/// What is known of all, by their marks.
#[derive(Debug)]
pub(crate) struct Memory {
    start: Instant,
    inner: Mutex<Inner>,
    pub counted: Counters,
}

/// What was heard and is no news.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub replayed: AtomicU64,
    pub repeated: AtomicU64,
    pub not_understood: AtomicU64,
}

/// Advertisements that were no news, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Older than what was heard before: recorded and played back. They are dropped.
    pub replayed: u64,
    /// The same message once more. Only their strength is told.
    pub repeated: u64,
    /// Encrypted without a key or with another, or against the rules of their format.
    pub not_understood: u64,
}

#[derive(Debug, Default)]
struct Inner {
    devices: HashMap<String, (Kept, u64)>,
    /// Grows with each message that was kept.
    order: u64,
    changed: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self { start: Instant::now(), inner: Mutex::default(), counted: Counters::default() }
    }
}

impl Memory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let Counters { replayed, repeated, not_understood } = &self.counted;
        Counts {
            replayed: replayed.load(Relaxed),
            repeated: repeated.load(Relaxed),
            not_understood: not_understood.load(Relaxed),
        }
    }

    /// A moment as the counters and intervals take it: counted from one that stays the same while the process runs.
    pub fn time(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.start)
    }

    /// Takes what an earlier process saved. What cannot be read is forgotten: it can be learnt anew.
    pub fn restore(&self, saved: &[u8]) {
        match serde_json::from_slice::<HashMap<String, Kept>>(saved) {
            Ok(devices) => {
                let devices = devices.into_iter().take(MOST).map(|(id, kept)| (id, (kept, 0)));
                self.inner().devices = devices.collect();
            }
            Err(error) => {
                tracing::warn!(%error, "What was learnt of Bluetooth devices cannot be read, and is learnt anew.");
            }
        }
    }

    /// All of it, if it has changed since the last call. If it could then not be written, it is saved with the next
    /// change: devices that count change all the time, and for others little is lost.
    pub fn save(&self) -> Option<Vec<u8>> {
        let mut inner = self.inner();
        if !std::mem::take(&mut inner.changed) {
            return None;
        }
        let devices: HashMap<_, _> = inner.devices.iter().map(|(id, (kept, _))| (id, kept)).collect();
        serde_json::to_vec(&devices).ok()
    }

    /// What is known of a device.
    pub fn of(&self, device: &str) -> Kept {
        self.inner().devices.get(device).map(|(kept, _)| kept.clone()).unwrap_or_default()
    }

    /// Keeps it. `counted`: its counters are worth saving.
    pub fn keep(&self, device: &str, known: Known, guard: &ReplayGuard, key: Option<u32>, counted: bool) {
        let mut inner = self.inner();
        inner.order += 1;
        let order = inner.order;
        inner.changed |= if let Some((kept, heard)) = inner.devices.get_mut(device) {
            *heard = order;
            let changed = kept.known != known || kept.key != key || counted;
            (kept.known, kept.guard, kept.key) = (known, guard.clone(), key);
            changed
        } else {
            if inner.devices.len() >= MOST {
                let oldest = inner.devices.iter().min_by_key(|(_, (_, heard))| heard).map(|(id, _)| id.clone());
                oldest.and_then(|id| inner.devices.remove(&id));
            }
            inner.devices.insert(device.to_owned(), (Kept { known, guard: guard.clone(), key }, order));
            true
        };
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::{MOST, Memory};
    use crate::{
        formats::{Format, Message},
        presence::Known,
        replay_guard::{ReplayGuard, Verdict},
    };

    fn counted(counter: u32) -> Message {
        Message { encrypted: true, counter: Some(counter), ..Message::new(Format::Bthome) }
    }

    #[test]
    fn what_changed_is_saved_once_and_reads_back() {
        let memory = Memory::default();
        assert_eq!(memory.save(), None);
        let known = Known { sleepy: true, silence: Some(60) };
        let mut guard = ReplayGuard::default();
        assert_eq!(guard.judge(&counted(700), Duration::ZERO), Verdict::New);
        let id = "A4:C1:38:12:34:56";
        memory.keep(id, known, &guard, None, true);
        let saved = memory.save().unwrap();
        memory.keep(id, known, &guard, None, false);
        assert_eq!(memory.save(), None, "nothing changed");
        let after = Memory::default();
        after.restore(&saved);
        assert_eq!((after.of(id).known, after.save()), (known, None));
        assert_eq!(after.of(id).guard.judge(&counted(600), Duration::ZERO), Verdict::Replay);
        assert_eq!(after.of("another").known, Known::default());
    }

    #[test]
    fn nonsense_is_forgotten() {
        for saved in [&b""[..], b"[]", b"{\"a\": 1}", b"\xff"] {
            let memory = Memory::default();
            memory.restore(saved);
            assert!(memory.inner().devices.is_empty());
        }
    }

    #[test]
    fn it_does_not_grow_beyond_its_bound_and_forgets_who_was_not_heard_for_longest() {
        let memory = Memory::default();
        let guard = ReplayGuard::from(BTreeMap::from([(Format::Bthome, u32::MAX)]));
        let known = Known { sleepy: true, silence: None };
        for i in 0..2 * MOST {
            // One that is heard all the time.
            memory.keep("A4:C1:38:12:34:56", known, &guard, None, true);
            memory.keep(
                &format!("A4:C1:38:12:{i:04}"),
                Known { sleepy: false, silence: Some(900) },
                &guard,
                None,
                true,
            );
        }
        assert_eq!(memory.inner().devices.len(), MOST);
        assert_eq!(memory.of("A4:C1:38:12:34:56").known, known);
        let last = memory.of(&format!("A4:C1:38:12:{:04}", 2 * MOST - 1));
        assert_eq!((last.known.silence, memory.of("A4:C1:38:12:0000").known.silence), (Some(900), None));
        assert!(memory.save().unwrap().len() < 128 * MOST);
    }
}
