//! Who listens, and the queue of each. A listener that does not keep up loses the oldest, which is counted.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::Instant};

use super::{RadioError, Who, privacy};
use crate::advert::{Advert, Mac};

/// How much waits for one listener.
pub const QUEUE: usize = 256;

/// How many addresses a listener remembers that are not made with its key.
const STRANGERS: usize = 256;

/// An advertisement, received just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What was received.
    pub advert: Advert,
    /// When.
    pub at: Instant,
    /// By the adapter of this address.
    pub adapter: Mac,
}

/// One listener's side of the radio.
#[derive(Debug)]
pub(super) struct Ear {
    who: Who,
    adapter: Option<Mac>,
    inner: Mutex<Inner>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Heard>,
    trouble: Option<RadioError>,
    strangers: HashSet<Mac>,
    deaf: bool,
}

impl Ear {
    pub fn new(who: Who, adapter: Option<Mac>) -> Arc<Self> {
        Arc::new(Self { who, adapter, inner: Mutex::default(), more: Notify::new() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes it if it is meant for this ear. `echo`: another adapter heard the same one just before. `first`: the
    /// address under which BlueZ first met the device. Returns how many were dropped for it.
    pub fn offer(&self, heard: &Heard, echo: bool, first: Mac) -> u64 {
        if self.adapter.map_or(echo, |adapter| adapter != heard.adapter) || !self.means(&heard.advert, first) {
            return 0;
        }
        let mut inner = self.inner();
        if inner.deaf {
            return 0;
        }
        let dropped = if inner.queue.len() >= QUEUE { inner.queue.pop_front().is_some() } else { false };
        inner.queue.push_back(heard.clone());
        drop(inner);
        self.more.notify_one();
        u64::from(dropped)
    }

    /// Hears no more, but keeps discovery on.
    pub fn deafen(&self) {
        let mut inner = self.inner();
        (inner.deaf, inner.queue) = (true, VecDeque::new());
    }

    /// Says once that the radio is lost. What was heard before it comes first.
    pub fn fail(&self, error: &RadioError) {
        self.inner().trouble = Some(error.clone());
        self.more.notify_one();
    }

    /// The trouble that would come next, if nothing was heard before it.
    pub fn trouble(&self) -> Option<RadioError> {
        let mut inner = self.inner();
        if inner.queue.is_empty() { inner.trouble.take() } else { None }
    }

    /// The next one. Cancel-safe.
    pub async fn next(&self) -> Result<Heard, RadioError> {
        loop {
            {
                let mut inner = self.inner();
                if let Some(heard) = inner.queue.pop_front() {
                    return Ok(heard);
                }
                if let Some(error) = inner.trouble.take() {
                    return Err(error);
                }
            }
            self.more.notified().await;
        }
    }

    pub fn adapter(&self) -> Option<Mac> {
        self.adapter
    }

    fn means(&self, advert: &Advert, first: Mac) -> bool {
        match &self.who {
            Who::Everyone => true,
            Who::Mac(mac) => *mac == advert.mac,
            Who::Name(name) => advert.name.as_ref() == Some(name),
            Who::Irk(key) => {
                // Once bonded, a device goes by its identity address; the one it was met by is still made with its key.
                let mac = if advert.mac == first { Some(first).filter(|_| advert.random) } else { Some(first) };
                let Some(mac) = mac.filter(|mac| privacy::is_resolvable(*mac)) else { return false };
                let mut inner = self.inner();
                if inner.strangers.contains(&mac) {
                    return false;
                }
                let ours = privacy::resolves(key, mac);
                if !ours {
                    if inner.strangers.len() >= STRANGERS {
                        inner.strangers.clear();
                    }
                    inner.strangers.insert(mac);
                }
                ours
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::{super::RadioErrorKind, Ear, Heard, Mac, QUEUE, RadioError, Who};
    use crate::{advert::Advert, formats::Key};

    const A: Mac = Mac([0xA4, 0xC1, 0x38, 0, 0, 1]);
    const B: Mac = Mac([0xA4, 0xC1, 0x38, 0, 0, 2]);

    fn heard(mac: Mac, adapter: Mac, name: Option<&str>) -> Heard {
        let mut advert = Advert::new(mac);
        advert.name = name.map(str::to_owned);
        advert.random = true;
        Heard { advert, at: Instant::now(), adapter }
    }

    #[tokio::test]
    async fn takes_what_is_meant_for_it() {
        // The sample data of the Core Specification, vol. 3, part H, appendix D.7 (ah), made an address.
        let key = Key([0xec, 0x02, 0x34, 0xa3, 0x57, 0xc8, 0xad, 0x05, 0x34, 0x10, 0x10, 0xa6, 0x0a, 0x39, 0x7d, 0x9b]);
        let private = Mac([0x70, 0x81, 0x94, 0x0d, 0xfb, 0xaa]);
        for (who, adapter, heard, echo, taken) in [
            (Who::Everyone, None, heard(A, B, None), false, true),
            (Who::Everyone, None, heard(A, B, None), true, false),
            (Who::Everyone, Some(B), heard(A, B, None), true, true),
            (Who::Everyone, Some(A), heard(A, B, None), false, false),
            (Who::Mac(A), None, heard(A, B, None), false, true),
            (Who::Mac(B), None, heard(A, B, None), false, false),
            (Who::Name("x".into()), None, heard(A, B, Some("x")), false, true),
            (Who::Name("x".into()), None, heard(A, B, Some("xy")), false, false),
            (Who::Name("x".into()), None, heard(A, B, None), false, false),
            (Who::Irk(key.clone()), None, heard(private, B, None), false, true),
            (Who::Irk(key), None, heard(Mac([0x70, 0x81, 0x94, 0x0d, 0xfb, 0xab]), B, None), false, false),
        ] {
            let ear = Ear::new(who.clone(), adapter);
            for _ in 0..2 {
                assert_eq!(ear.offer(&heard, echo, heard.advert.mac), 0);
                assert_eq!(ear.inner().queue.pop_front().is_some(), taken, "{who:?} {adapter:?} {heard:?} {echo}");
            }
        }
    }

    #[tokio::test]
    async fn a_bonded_device_is_known_by_the_address_it_was_met_by() {
        let key = Key([0xec, 0x02, 0x34, 0xa3, 0x57, 0xc8, 0xad, 0x05, 0x34, 0x10, 0x10, 0xa6, 0x0a, 0x39, 0x7d, 0x9b]);
        let ear = Ear::new(Who::Irk(key), None);
        let mut heard = heard(A, B, None);
        heard.advert.random = false;
        for (first, taken) in
            [([0x70, 0x81, 0x94, 0x0d, 0xfb, 0xaa], true), ([0x70, 0x81, 0x94, 0x0d, 0xfb, 0xab], false)]
        {
            ear.offer(&heard, false, Mac(first));
            assert_eq!(ear.inner().queue.pop_front().is_some(), taken);
        }
        ear.deafen();
        ear.offer(&heard, false, Mac([0x70, 0x81, 0x94, 0x0d, 0xfb, 0xaa]));
        assert!(ear.inner().queue.is_empty());
    }

    #[tokio::test]
    async fn a_full_queue_loses_the_oldest_and_trouble_comes_after_what_was_heard() {
        let ear = Ear::new(Who::Everyone, None);
        let mut dropped = 0;
        for i in 0..u16::try_from(QUEUE + 3).unwrap() {
            let mut heard = heard(A, B, None);
            heard.advert.manufacturer.push((i, Vec::new()));
            dropped += ear.offer(&heard, false, A);
        }
        assert_eq!(dropped, 3);
        ear.fail(&RadioError::new(RadioErrorKind::NoRadio, "gone"));
        assert_eq!(ear.next().await.unwrap().advert.manufacturer[0].0, 3);
        for _ in 1..QUEUE {
            ear.next().await.unwrap();
        }
        assert_eq!(ear.next().await.unwrap_err().message, "gone");
        assert!(ear.inner().trouble.is_none());
    }
}
