//! Links to devices and the adapters' slots for them: where to connect, who may, and what a link's device sends.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{Core, LinkState};
use crate::{
    advert::Mac,
    radio::{
        RadioError, RadioErrorKind, Who,
        best::best,
        facts::{Hci, Place},
        link::Notified,
        seen::Known,
        taps::Spots,
    },
};

/// A slot of an adapter. Dropped, it goes to the next one who waits.
#[derive(Debug)]
pub struct Slot {
    core: Arc<Core>,
    hci: Hci,
    nth: u64,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(adapter) = self.core.state().adapters.get_mut(&self.hci).filter(|adapter| adapter.nth == self.nth) {
            adapter.slots.release();
        }
        self.core.grant(self.hci);
    }
}

impl Core {
    /// Where to connect to this device; nothing while it is not in the air.
    pub fn choose(&self, who: &Who, adapter: Option<Mac>) -> Option<Place> {
        let state = self.state();
        let candidates = state.seen.candidates(who, Instant::now()).into_iter().filter_map(|mut candidate| {
            let its = state.adapters.get(&candidate.place.hci)?;
            candidate.free = its.slots.is_free(state.foreign(candidate.place.hci), Instant::now());
            adapter.is_none_or(|adapter| adapter == its.mac).then_some(candidate)
        });
        best(candidates)
    }

    pub fn known(&self, place: Place) -> Option<(Mac, Known)> {
        let state = self.state();
        Some((state.adapters.get(&place.hci)?.mac, state.seen.known(place)?))
    }

    /// Begins a link; there is one to a device at a time.
    pub fn begin_link(&self, place: Place) -> Option<watch::Receiver<LinkState>> {
        let mut state = self.state();
        if state.links.contains_key(&place) {
            return None;
        }
        let known = state.seen.known(place);
        state.seen.call(place, Instant::now());
        // Links outlive bluetoothd: the device may be connected already.
        let (up, resolved) = known.map_or((false, false), |known| (known.connected, known.resolved));
        let begin = LinkState { up, inherited: up, resolved, lost: None };
        let (link, follow) = watch::channel(begin);
        state.links.insert(place, link);
        Some(follow)
    }

    /// What the device sends goes there, until its link ends.
    pub fn tap(&self, place: Place, spots: Spots, send: mpsc::Sender<Notified>) {
        self.state().taps.add(place, spots, send);
    }

    /// A characteristic has another value.
    pub fn value(&self, place: Place, path: &str, value: Vec<u8>) {
        let dropped = self.state().taps.give(place, path, value);
        self.counters.dropped.add(u64::from(dropped));
    }

    pub fn end_link(&self, place: Place) {
        let mut state = self.state();
        state.links.remove(&place);
        state.taps.remove(place);
        drop(state);
        self.freed.notify_waiters();
    }

    /// The link stands.
    pub fn link_is_up(&self, place: Place) {
        if let Some(link) = self.state().links.get(&place) {
            link.send_modify(|link| (link.up, link.inherited) = (true, false));
        }
    }

    /// Waits for a slot.
    pub async fn slot(self: &Arc<Self>, hci: Hci, priority: u8) -> Result<Slot, RadioError> {
        let gone = || RadioError::new(RadioErrorKind::NoRadio, "the adapter is gone");
        let (grant, granted) = oneshot::channel();
        self.state().adapters.get_mut(&hci).ok_or_else(gone)?.slots.ask(priority, grant);
        self.grant(hci);
        granted.await.map_err(|_| gone())
    }

    /// The controller refused one more link: what it can hold is known now.
    pub fn learn_slots(&self, hci: Hci) {
        let mut state = self.state();
        let ours = state.links.iter().filter(|(place, link)| place.hci == hci && link.borrow().up).count();
        let held = ours + state.foreign(hci);
        if let Some(adapter) = state.adapters.get_mut(&hci) {
            adapter.slots.learn(held, Instant::now());
            tracing::warn!(adapter = %adapter.mac, links = held, "the Bluetooth adapter holds no more links than this");
        }
    }

    pub(super) fn grant(self: &Arc<Self>, hci: Hci) {
        loop {
            let (waiter, nth) = {
                let mut state = self.state();
                let foreign = state.foreign(hci);
                let Some(adapter) = state.adapters.get_mut(&hci) else { return };
                adapter.slots.strike(oneshot::Sender::is_closed);
                let Some(waiter) = adapter.slots.grant(foreign, Instant::now()) else { return };
                (waiter, adapter.nth)
            };
            // Whoever gave up just now gives it back at once: dropped outside the lock.
            drop(waiter.send(Slot { core: Arc::clone(self), hci, nth }));
        }
    }
}
