//! What the radio's tasks share: who listens, what was seen, which adapters and links there are. Short locks, no I/O.

mod link_state;
mod links;
mod news;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, oneshot, watch},
    task::AbortHandle,
    time::Instant,
};

pub use self::{link_state::LinkState, links::Slot};
use super::{
    RadioError, RadioErrorKind, Settings,
    agent::Agent,
    bus::Calls,
    counts::Counters,
    ear::Ear,
    facts::{Hci, Place},
    hub,
    seen::Seen,
    sessions::Sessions,
    slots::Slots,
    supervise::supervise,
    taps::Taps,
};
use crate::advert::Mac;

/// The radio behind its handles.
#[derive(Debug)]
pub struct Core {
    pub settings: Settings,
    pub counters: Arc<Counters>,
    pub agent: Agent,
    /// Somebody came or went.
    pub changed: Notify,
    /// A call had no answer: is anybody there?
    pub suspect: Notify,
    /// What BlueZ knew was taken over.
    pub loaded: Notify,
    /// A link ended.
    pub freed: Notify,
    /// One recovery at a time.
    pub recovery: tokio::sync::Mutex<()>,
    /// One pairing at a time.
    pub pairing: tokio::sync::Mutex<()>,
    /// btleplug's.
    pub sessions: Sessions,
    /// One connection to D-Bus is opened at a time.
    pub opening: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    users: usize,
    /// When the last one went.
    unused: Option<Instant>,
    ears: Vec<Arc<Ear>>,
    seen: Seen,
    adapters: BTreeMap<Hci, Adapter>,
    /// How many there were.
    plugged: u64,
    links: HashMap<Place, watch::Sender<LinkState>>,
    taps: Taps,
    calls: Option<Calls>,
    trouble: Option<RadioError>,
}

#[derive(Debug)]
struct Adapter {
    mac: Mac,
    /// Which one it is of all that there were: one that is put in again has the same number and address.
    nth: u64,
    powered: bool,
    discovering: bool,
    heard: Option<Instant>,
    /// Why it is of no use, until it hears something.
    trouble: Option<RadioError>,
    /// When the last one who listened to it went.
    left: Option<Instant>,
    slots: Slots<oneshot::Sender<Slot>>,
    poke: Arc<Notify>,
    task: Option<AbortHandle>,
}

impl Drop for Adapter {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// What an adapter's task needs to know.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // facts of their own, each from elsewhere
pub struct View {
    pub mac: Mac,
    pub powered: bool,
    pub discovering: bool,
    pub heard: Option<Instant>,
    pub wanted: bool,
    /// Nobody listens, and it is wanted until then all the same.
    pub wanted_until: Option<Instant>,
    /// It holds links, whosever, or calls a device.
    pub linked: bool,
    /// It is calling devices.
    pub calling: bool,
}

/// Whoever uses the radio holds one. The last one to go switches it off.
#[derive(Debug)]
pub struct User(pub Arc<Core>);

impl Drop for User {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.users -= 1;
        state.unused = (state.users == 0).then(Instant::now);
        drop(state);
        self.0.changed.notify_one();
    }
}

impl Core {
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            counters: Arc::default(),
            agent: Agent::default(),
            changed: Notify::new(),
            suspect: Notify::new(),
            loaded: Notify::new(),
            freed: Notify::new(),
            recovery: tokio::sync::Mutex::default(),
            pairing: tokio::sync::Mutex::default(),
            sessions: Sessions::default(),
            opening: Arc::new(Semaphore::new(1)),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses the radio, which starts it.
    pub fn user(self: &Arc<Self>) -> User {
        let mut state = self.state();
        state.users += 1;
        state.unused = None;
        if !state.running {
            state.running = true;
            let (core, left) = (Arc::clone(self), Arc::clone(self));
            let run = move || hub::run(Arc::clone(&core));
            let pause = self.settings.retry.0;
            let clear = move || left.disconnected("the radio broke down");
            tokio::spawn(async move { supervise("the radio", pause, run, clear).await });
        }
        User(Arc::clone(self))
    }

    /// When the radio is to be switched off, if nobody uses it until then.
    pub fn off_at(&self) -> Option<Instant> {
        self.state().unused.map(|since| since + self.settings.linger)
    }

    /// Nobody has used the radio for a while.
    pub fn is_unused(&self) -> bool {
        self.state().is_unused(self.settings.linger)
    }

    /// Switches the radio off if nobody has used it for a while. Whoever comes from then on starts it anew.
    pub fn switch_off(&self) -> bool {
        let mut state = self.state();
        let off = state.is_unused(self.settings.linger);
        if off {
            (state.running, state.trouble) = (false, None);
            state.disconnected("the radio was switched off");
            drop(state);
            self.sessions.clear();
        }
        off
    }

    /// The connection to D-Bus is gone, and with it all that was known by it.
    pub fn disconnected(&self, reason: &str) {
        self.state().disconnected(reason);
        self.sessions.clear();
    }

    // Listeners.

    /// A new listener. It is told at once if there is nothing to hear.
    pub fn add_ear(&self, ear: &Arc<Ear>) {
        let mut state = self.state();
        if let Some(trouble) = &state.trouble {
            ear.fail(trouble);
        } else if let Some(missing) = state.missing(ear.adapter()).filter(|_| !state.adapters.is_empty()) {
            ear.fail(&missing);
        } else if let Some(trouble) = state.of_no_use(ear.adapter()) {
            ear.fail(&trouble);
        }
        state.ears.push(Arc::clone(ear));
        state.poke();
    }

    pub fn remove_ear(&self, ear: &Arc<Ear>) {
        let mut state = self.state();
        let State { ears, adapters, .. } = &mut *state;
        ears.retain(|other| !Arc::ptr_eq(other, ear));
        for adapter in adapters.values_mut().filter(|adapter| ear.adapter().is_none_or(|mac| mac == adapter.mac)) {
            adapter.left = Some(Instant::now());
        }
        state.poke();
    }

    /// The radio is lost: says so to everybody who listens, and to those who come later.
    pub fn fail(&self, error: RadioError) {
        let mut state = self.state();
        state.ears.iter().for_each(|ear| ear.fail(&error));
        state.trouble = Some(error);
    }

    /// Says so to those who listen to this adapter; to those who listen to any, when none is of use.
    pub fn fail_adapter(&self, hci: Hci, error: &RadioError) {
        let mut state = self.state();
        let Some(adapter) = state.adapters.get_mut(&hci) else { return };
        adapter.trouble = Some(error.clone());
        let mac = adapter.mac;
        let none = state.of_no_use(None).is_some();
        let told = |ear: &&Arc<Ear>| ear.adapter().map_or(none, |adapter| adapter == mac);
        state.ears.iter().filter(told).for_each(|ear| ear.fail(error));
    }

    /// What was wrong with the adapter is over.
    pub fn adapter_works(&self, hci: Hci) {
        if let Some(adapter) = self.state().adapters.get_mut(&hci) {
            adapter.trouble = None;
        }
    }

    /// Says so to those who listen to an adapter that is not there. Nothing if everybody has one.
    pub fn fail_missing(&self) -> Option<RadioError> {
        let mut state = self.state();
        if state.adapters.is_empty() {
            drop(state);
            let error = RadioError::new(RadioErrorKind::NoRadio, "there is no Bluetooth adapter");
            self.fail(error.clone());
            return Some(error);
        }
        state.trouble = None;
        for ear in &state.ears {
            if let Some(missing) = state.missing(ear.adapter()) {
                ear.fail(&missing);
            }
        }
        None
    }

    pub fn set_calls(&self, calls: Calls) {
        self.state().calls = Some(calls);
    }

    /// How to call BlueZ, or why it cannot be.
    pub fn calls(&self) -> Result<Calls, RadioError> {
        let state = self.state();
        let trouble = || RadioError::new(RadioErrorKind::NoRadio, "Bluetooth is not there yet");
        state.calls.clone().ok_or_else(|| state.trouble.clone().unwrap_or_else(trouble))
    }

    pub fn view(&self, hci: Hci) -> Option<View> {
        let state = self.state();
        let Adapter { mac, powered, discovering, heard, left, ref trouble, .. } = *state.adapters.get(&hci)?;
        let listened = state.ears.iter().any(|ear| ear.adapter().is_none_or(|adapter| adapter == mac));
        // Whoever was told of trouble is gone until they try again: somebody has to see it end.
        let until = left.filter(|_| trouble.is_some() && !listened).map(|left| left + self.settings.linger);
        let wanted_until = until.filter(|until| *until > Instant::now());
        let wanted = listened || wanted_until.is_some();
        let mut ours = state.links.iter().filter(|(place, _)| place.hci == hci).map(|(_, link)| link.borrow().up);
        let linked = ours.clone().next().is_some() || state.foreign(hci) > 0;
        let calling = ours.any(|up| !up);
        Some(View { mac, powered, discovering, heard, wanted, wanted_until, linked, calling })
    }

    pub fn forgotten(&self) -> u64 {
        self.state().seen.forgotten()
    }
}

impl State {
    fn is_unused(&self, linger: Duration) -> bool {
        self.unused.is_some_and(|since| since + linger <= Instant::now())
    }

    fn disconnected(&mut self, reason: &str) {
        self.calls = None;
        self.clear(reason);
    }

    fn clear(&mut self, reason: &str) {
        self.adapters.clear();
        self.seen.clear();
        self.lose(|_| true, reason);
    }

    fn poke(&self) {
        self.adapters.values().for_each(|adapter| adapter.poke.notify_one());
    }

    fn lose(&self, which: impl Fn(Place) -> bool, reason: &str) {
        for (place, link) in self.links.iter().filter(|(place, _)| which(**place)) {
            link.send_if_modified(|link| link.lose(&format!("the link to {} is lost: {reason}", place.mac)));
        }
    }

    /// How many links this adapter holds that were not made here: another program's, or of an earlier run.
    fn foreign(&self, hci: Hci) -> usize {
        self.seen.connected(hci).filter(|place| !self.links.contains_key(place)).count()
    }

    /// What to say to somebody who listens to this adapter, or to any, when it is of no use.
    fn of_no_use(&self, adapter: Option<Mac>) -> Option<RadioError> {
        let mut its = self.adapters.values().filter(|its| adapter.is_none_or(|mac| mac == its.mac));
        let first = its.next()?.trouble.clone()?;
        its.all(|its| its.trouble.is_some()).then_some(first)
    }

    /// What to say to somebody who wants an adapter that is not there.
    fn missing(&self, adapter: Option<Mac>) -> Option<RadioError> {
        let adapter = adapter.filter(|mac| self.adapters.values().all(|adapter| adapter.mac != *mac))?;
        let there: Vec<_> = self.adapters.values().map(|adapter| adapter.mac.to_string()).collect();
        let message = format!("there is no Bluetooth adapter {adapter}, but {}", there.join(", "));
        Some(RadioError::new(RadioErrorKind::NoRadio, message))
    }
}
