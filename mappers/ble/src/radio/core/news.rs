//! What BlueZ says of adapters and devices, and what goes with them when they are gone.

use std::{collections::HashSet, sync::Arc};

use tokio::{sync::Notify, task::AbortHandle, time::Instant};

use super::{Adapter, Core};
use crate::radio::{
    ear::Heard,
    facts::{AdapterFacts, DeviceFacts, Hci, Place, Signal},
    slots::Slots,
};

impl Core {
    /// A device came or changed; what of it is an advertisement goes to who listens.
    pub fn device(self: &Arc<Self>, place: Place, facts: DeviceFacts, added: bool) {
        let ended =
            facts.connected == Some(false) && self.state().seen.known(place).is_some_and(|before| before.connected);
        self.learn_device(place, facts, added);
        if ended {
            self.grant(place.hci);
        }
    }

    fn learn_device(&self, place: Place, facts: DeviceFacts, added: bool) {
        let now = Instant::now();
        let mut state = self.state();
        let state = &mut *state;
        if let Some(link) = state.links.get(&place) {
            link.send_if_modified(|link| link.learn(&facts));
        }
        let merged = state.seen.take(place, facts, added, now);
        let (Some(merged), Some(adapter)) = (merged, state.adapters.get_mut(&place.hci)) else { return };
        (adapter.heard, adapter.trouble) = (Some(now), None);
        self.counters.adverts.add(1);
        self.counters.echoes.add(u64::from(merged.echo));
        let heard = Heard { advert: merged.advert, at: now, adapter: adapter.mac };
        let dropped = state.ears.iter().map(|ear| ear.offer(&heard, merged.echo, place.mac)).sum();
        self.counters.dropped.add(dropped);
    }

    pub fn device_gone(self: &Arc<Self>, place: Place) {
        let mut state = self.state();
        state.seen.remove(place);
        state.lose(|other| other == place, "BlueZ removed the device");
        drop(state);
        self.grant(place.hci);
    }

    /// These are all the adapters and devices that BlueZ has: what it was not heard to remove is gone as well.
    pub fn keep_only(self: &Arc<Self>, all: &[Signal]) {
        let (mut adapters, mut places) = (HashSet::new(), HashSet::new());
        for signal in all {
            match signal {
                Signal::Adapter { hci, .. } => _ = adapters.insert(*hci),
                Signal::Device { place, .. } => _ = places.insert(*place),
                _ => {}
            }
        }
        let (gone, forgotten): (Vec<_>, Vec<_>) = {
            let state = self.state();
            let gone = state.adapters.keys().copied().filter(|hci| !adapters.contains(hci)).collect();
            (gone, state.seen.places().filter(|place| !places.contains(place)).collect())
        };
        for hci in gone {
            self.adapter_gone(hci);
        }
        for place in forgotten {
            self.device_gone(place);
        }
    }

    /// An adapter came or changed. Returns what its new task waits for, if it is new.
    pub fn adapter(&self, hci: Hci, facts: &AdapterFacts) -> Option<Arc<Notify>> {
        let mut state = self.state();
        if let Some(adapter) = state.adapters.get_mut(&hci) {
            adapter.powered = facts.powered.unwrap_or(adapter.powered);
            adapter.discovering = facts.discovering.unwrap_or(adapter.discovering);
            adapter.poke.notify_one();
            if facts.powered == Some(false) {
                state.lose(|place| place.hci == hci, "the adapter was switched off");
            }
            return None;
        }
        let poke = Arc::new(Notify::new());
        let adapter = Adapter {
            mac: facts.address?,
            nth: state.plugged,
            powered: facts.powered.unwrap_or_default(),
            discovering: facts.discovering.unwrap_or_default(),
            heard: None,
            trouble: None,
            left: None,
            slots: Slots::new(self.settings.slots),
            poke: Arc::clone(&poke),
            task: None,
        };
        tracing::info!(adapter = %adapter.mac, %hci, "Bluetooth adapter");
        state.plugged += 1;
        state.adapters.insert(hci, adapter);
        state.trouble = None;
        Some(poke)
    }

    /// The task that owns an adapter. It ends with the adapter.
    pub fn set_task(&self, hci: Hci, task: AbortHandle) {
        if let Some(adapter) = self.state().adapters.get_mut(&hci) {
            adapter.task = Some(task);
        }
    }

    pub fn adapter_gone(&self, hci: Hci) {
        let mut state = self.state();
        if let Some(adapter) = state.adapters.remove(&hci) {
            tracing::warn!(adapter = %adapter.mac, "the Bluetooth adapter is gone");
        }
        state.seen.remove_adapter(hci);
        state.lose(|place| place.hci == hci, "the adapter is gone");
    }

    /// BlueZ is gone, and with it all that it knew.
    pub fn clear(&self, reason: &str) {
        self.state().clear(reason);
        self.sessions.clear();
    }
}
