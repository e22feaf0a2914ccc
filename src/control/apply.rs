//! The fleet: what runs, and the steps from a catalogue of wanted devices to running ones. Each device has its member
//! on a bus, its lane into the data path, and a keeper of its desired values; one poll feeds all of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fieldgate_crds::{DeviceStatus, condition};
use mapper_api::{Decoded, ErrorKind, PointId, Value};
use tokio::time::Instant;

use super::{
    catalog::Catalog,
    desired::Sync,
    diff::{Change, diff},
    held::Held,
    issue::Issue,
    keeper::{Keeper, Writer},
    leave::{Nobody, safe_values, write_safe},
    report::{Account, Subjects},
    sink::Pending,
    status::{Facts, Flaps, status},
    touched::{Mark, Touched},
    watch::Watch,
};
use crate::{
    bus::{BusStats, Buses, Failure, Member, Observer, WriteOutcome},
    clock::Stamp,
    data::{DataPath, Lane, Leaving, PropertyView, Readiness, View},
    model::{Device, DeviceId},
};

/// Everything that runs.
pub struct Fleet {
    lines: Arc<Lines>,
    data: DataPath,
    entries: Mutex<BTreeMap<DeviceId, Entry>>,
    /// How many devices were left in a safe state.
    left: AtomicU64,
    touched: Arc<Touched>,
}

/// The way to the devices, shared by the fleet and its keepers.
struct Lines {
    /// None once stopped.
    buses: Mutex<Option<Buses>>,
    /// Whether another bridge serves the devices is known there.
    data: DataPath,
}

/// One wanted device.
struct Entry {
    mark: Arc<Mark>,
    running: Option<Running>,
    /// Why the spec last seen is not at work.
    refused: Option<(&'static str, String)>,
    generation: i64,
    status: DeviceStatus,
    flaps: Flaps,
    /// Its model was edited while it ran, and itself not since then.
    remodelled: bool,
}

struct Running {
    device: Arc<Device>,
    lane: Arc<Lane>,
    watch: Arc<Watch>,
    keeper: Option<Arc<Keeper<Lines>>>,
    /// What was told of the properties that are told only so often.
    held: Vec<(PointId, Duration, Held)>,
}

/// A device as `/devices` shows it.
pub struct Shown {
    /// Its name.
    pub id: DeviceId,
    /// Its status, as the resource has it.
    pub status: DeviceStatus,
    /// The device at work and its live values.
    pub live: Option<(Arc<Device>, View)>,
    /// When its status may change although nothing happens.
    again: Option<Instant>,
}

/// One poll, every consumer.
struct Fan {
    lane: Arc<Lane>,
    watch: Arc<Watch>,
    keeper: Option<Arc<Keeper<Lines>>>,
}

impl Observer for Fan {
    fn answered(&self, at: Stamp, points: &[Decoded]) {
        self.lane.answered(at, points);
        if let Some(keeper) = &self.keeper {
            keeper.answered(at, points);
        }
        self.watch.answered(points, || self.lane.offline());
    }

    fn heard(&self, at: Stamp, points: &[Decoded], fresh: Option<Duration>) -> Option<Duration> {
        let silence = self.lane.heard(at, points, fresh);
        if let Some(keeper) = &self.keeper {
            keeper.answered(at, points);
        }
        self.watch.answered(points, || self.lane.offline());
        silence
    }

    fn failed(&self, at: Stamp, points: &[PointId], failure: &Failure, misses: u32) {
        self.lane.failed(at, points, failure, misses);
        self.watch.failed(points, failure, self.lane.offline(), self.lane.is_silent(failure, misses));
    }

    fn silent(&self, at: Stamp, points: &[PointId], failure: &Failure, gone: bool) {
        self.lane.silent(at, points, failure, gone);
        self.watch.failed(points, failure, self.lane.offline(), gone);
    }

    fn skipped(&self, periods: u64) {
        self.lane.skipped(periods);
    }
}

impl Lines {
    fn with<T>(&self, act: impl FnOnce(&mut Buses) -> T) -> Option<T> {
        self.buses.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(act)
    }
}

impl Writer for Lines {
    async fn write(&self, device: &DeviceId, values: Vec<(PointId, Value)>) -> WriteOutcome {
        match self.with(|buses| buses.write(device, values)) {
            Some(outcome) => outcome.await,
            None => WriteOutcome::NotSent(Failure {
                kind: ErrorKind::Unreachable,
                message: "the bridge is stopping".into(),
            }),
        }
    }

    fn stands_back(&self) -> bool {
        self.data.stands_back()
    }

    async fn alone(&self) {
        self.data.alone().await;
    }
}

impl Fleet {
    /// A fleet without devices.
    pub fn new(buses: Buses, data: DataPath) -> Arc<Self> {
        let lines = Arc::new(Lines { buses: Mutex::new(Some(buses)), data: data.clone() });
        Arc::new(Self { lines, data, entries: Mutex::default(), left: AtomicU64::new(0), touched: Arc::default() })
    }

    /// Makes what runs equal to what is wanted. A device whose spec did not change is not touched, and a device whose
    /// new spec was refused goes on with its last accepted one.
    pub fn apply(self: &Arc<Self>, catalog: &Catalog) {
        let mut entries = self.entries();
        let running = entries.iter().filter_map(|(id, e)| Some((id.clone(), e.running.as_ref()?.device.clone())));
        let running: BTreeMap<DeviceId, Arc<Device>> = running.collect();
        let changes = diff(&running, catalog.at_work());
        // Whoever moves leaves first: a line with new settings opens when all have left the old one.
        for change in &changes {
            if let Change::Replace(device) = change
                && running.get(&device.id).is_some_and(|old| old.bound.bus_key() != device.bound.bus_key())
            {
                self.lines.with(|buses| buses.leave(&device.id));
            }
        }
        for change in changes {
            match change {
                Change::Stop(id) => {
                    tracing::info!(device = %id, "Device removed.");
                    // Whoever only lost its bus to another device is not gone.
                    let gone = running.get(&id).filter(|old| catalog.uid(&id) != Some(&*old.uid));
                    let moved = catalog.elsewhere.contains(&id);
                    if let Some(device) = gone {
                        self.leave_safe(device, moved);
                    }
                    self.lines.with(|buses| buses.leave(&id));
                    self.data.remove(&id, if moved { Leaving::Moved } else { Leaving::Deleted });
                    if let Some(entry) = entries.remove(&id) {
                        entry.mark.touch();
                    }
                }
                Change::Start(device) | Change::Replace(device) => {
                    tracing::info!(device = %device.id, bus = %device.bound.bus_key(), generation = device.generation, "Device taken on.");
                    let entry = entries.entry(device.id.clone()).or_insert_with(|| self.entry(&device.id));
                    let before = entry.running.take();
                    if before.as_ref().is_some_and(|before| !is_reached_alike(&before.device, &device)) {
                        // It may well be what mends it.
                        entry.flaps.reachable.forget();
                    }
                    entry.remodelled = before.as_ref().is_some_and(|before| {
                        before.device.uid == device.uid && before.device.generation == device.generation
                    });
                    entry.running = Some(self.start(&device, &entry.mark, before.as_ref()));
                    entry.mark.touch();
                }
            }
        }
        entries.retain(|id, entry| {
            let stays = catalog.devices.contains_key(id);
            if !stays {
                entry.mark.touch();
            }
            stays
        });
        for (id, device) in &catalog.devices {
            let entry = entries.entry(id.clone()).or_insert_with(|| self.entry(id));
            let generation = catalog.generation(id);
            let refused = device.as_ref().err().map(|issues| Issue::refused(issues));
            if entry.refused != refused
                && let Some((_, message)) = &refused
            {
                tracing::warn!(device = %id, "Device not accepted: {message}");
            }
            if (entry.generation, &entry.refused) != (generation, &refused) {
                entry.mark.touch();
            }
            (entry.generation, entry.refused) = (generation, refused);
        }
        drop(entries);
        if catalog.incomplete {
            self.data.devices_unreadable();
        }
        self.data.devices_changed();
    }

    fn entry(&self, id: &DeviceId) -> Entry {
        let mark = Mark::new(id.clone(), &self.touched);
        let (generation, status, flaps) = (0, DeviceStatus::default(), Flaps::default());
        Entry { mark, running: None, refused: None, generation, status, flaps, remodelled: false }
    }

    fn start(self: &Arc<Self>, device: &Arc<Device>, mark: &Arc<Mark>, before: Option<&Running>) -> Running {
        let lane = self.data.put(device.clone());
        let (told, data, touched) = (Arc::downgrade(&lane), self.data.clone(), mark.clone());
        let kept = before.and_then(|before| before.keeper.as_deref());
        let keeper = Keeper::new(device, self.lines.clone(), kept, move |kept| {
            tell_sync(&told, kept);
            data.devices_changed();
            touched.touch();
        });
        let words = before.map(|before| before.watch.words()).unwrap_or_default();
        let watch = Arc::new(Watch::new(mark.clone(), device, lane.offline(), words));
        let observer = Arc::new(Fan { lane: lane.clone(), watch: watch.clone(), keeper: keeper.clone() });
        let (id, bound, groups) = (device.id.clone(), device.bound.clone(), device.poll_groups());
        self.lines.with(|buses| buses.join(Member { id, bound, groups, observer }));
        if let Some(keeper) = &keeper {
            keeper.write_blind();
        }
        let timed = (0..).zip(&device.properties).filter(|(_, property)| !property.access.can_write());
        let held =
            timed.filter_map(|(point, property)| Some((point, property.report_every?, Held::default()))).collect();
        Running { device: device.clone(), lane, watch, keeper, held }
    }

    /// Writes the safe values of a device that was deleted or has moved. For that it stays on its bus, unpolled and under
    /// a name that nobody else can have, so that it holds up neither its successor nor anything else.
    fn leave_safe(self: &Arc<Self>, device: &Arc<Device>, moved: bool) {
        let values = safe_values(device);
        if values.is_empty() {
            return;
        }
        let id = &device.id;
        if self.data.stands_back() {
            tracing::info!(device = %id, "Safe values not written: another bridge of this node serves it.");
            return;
        }
        let number = self.left.fetch_add(1, Ordering::Relaxed);
        let at = DeviceId::new(&id.namespace, &format!("{} (leaving, {number})", id.name));
        let member =
            Member { id: at.clone(), bound: device.bound.clone(), groups: Vec::new(), observer: Arc::new(Nobody) };
        // Sent here and now: what a successor of the same name writes comes after it.
        let first = self.lines.with(|buses| {
            buses.join(member);
            buses.write(&at, values)
        });
        let Some(first) = first else { return };
        let (lines, device, fleet) = (self.lines.clone(), device.clone(), Arc::downgrade(self));
        tokio::spawn(async move {
            // Another node, or another name for the same device, may have written since then.
            let same = |entry: &Entry| entry.running.as_ref().is_some_and(|now| is_reached_alike(&now.device, &device));
            let replaced = || {
                moved || lines.stands_back() || fleet.upgrade().is_none_or(|fleet| fleet.entries().values().any(same))
            };
            write_safe(&device, &at, first, &*lines, replaced).await;
            lines.with(|buses| buses.leave(&at));
        });
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<DeviceId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each bus counts.
    pub fn buses(&self) -> Vec<BusStats> {
        self.lines.with(|buses| buses.stats()).unwrap_or_default()
    }

    /// Every device with its status and live values, computed now, one after the other: all at once would take as much
    /// memory as the devices themselves. A status changes only with what it tells.
    pub fn devices<T>(&self, mut show: impl FnMut(Shown) -> T) -> Vec<T> {
        self.entries().iter_mut().map(|(id, entry)| show(entry.shown(id))).collect()
    }

    /// Ends all buses, each after the sequence in flight.
    pub async fn stop(&self) {
        let buses = self.lines.buses.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(buses) = buses {
            buses.stop().await;
        }
    }
}

/// Whether both are reached in the same way: it is the same device, whatever its name.
fn is_reached_alike(a: &Device, b: &Device) -> bool {
    a.bound.bus_key() == b.bound.bus_key() && a.is_reached_as(b)
}

/// Whether each desired value is in the device, for the lane's `state`.
fn tell_sync(lane: &Weak<Lane>, kept: &[(PointId, bool)]) {
    let Some(lane) = lane.upgrade() else { return };
    for (point, synced) in kept {
        lane.synced(*point, *synced);
    }
}

impl Subjects for Fleet {
    fn touched(&self) -> Pending<'_, Vec<DeviceId>> {
        if self.touched.ask() {
            self.entries().values().for_each(|entry| entry.mark.touch());
        }
        Box::pin(self.touched.next())
    }

    fn alone(&self) -> Pending<'_, ()> {
        Box::pin(self.data.alone())
    }

    fn account(&self, device: &DeviceId) -> Option<Account> {
        let (shown, remodelled) = {
            let mut entries = self.entries();
            let entry = entries.get_mut(device)?;
            (entry.shown(device), entry.remodelled)
        };
        let live = shown.live.as_ref();
        let properties = live.iter().flat_map(|(device, view)| device.properties.iter().zip(&view.properties));
        let unread = properties.filter(|(property, seen)| property.access.can_read() && seen.reason == "notRead");
        Some(Account {
            uid: live.map(|(device, _)| device.uid.clone()),
            unread: unread.map(|(_, seen)| seen.name.clone()).collect(),
            remodelled,
            status: shown.status,
            again: shown.again,
        })
    }
}

impl Entry {
    fn shown(&mut self, id: &DeviceId) -> Shown {
        // Before the values are looked at: what changes from here on is news again.
        if let Some(running) = &self.running {
            running.held.iter().for_each(|(point, ..)| running.watch.wait(*point, false));
        }
        let live = self.running.as_ref().map(|running| (running.device.clone(), running.lane.view()));
        let (facts, later) = self.facts(live.as_ref());
        self.status = status(&self.status, &facts, &mut self.flaps, Stamp::now());
        let flaps = [self.flaps.reachable.again(), self.flaps.synced.again()];
        let again = flaps.into_iter().flatten().chain(later).min();
        Shown { id: id.clone(), status: self.status.clone(), live, again }
    }

    /// What is known, and when a reported value has waited long enough.
    fn facts(&mut self, view: Option<&(Arc<Device>, View)>) -> (Facts, Option<Instant>) {
        let mut facts = Facts { generation: self.generation, refused: self.refused.clone(), ..Facts::default() };
        let (Some((device, view)), Some(running)) = (view, &mut self.running) else { return (facts, None) };
        facts.running = true;
        facts.model_generation = device.model_generation;
        facts.protocol = Some(device.bound.protocol());
        facts.reachable = match view.availability.offline {
            None => Some(Ok(())),
            Some("notRead") => None,
            Some(reason) => Some(Err(reason)),
        };
        facts.bus = format!("{}:{}", device.bound.protocol(), device.bound.bus_key());
        facts.words = running.watch.words();
        let kept = running.keeper.iter().flat_map(|keeper| keeper.state());
        facts.sync = kept.map(|(point, sync)| (device.property(point).name.to_string(), sync)).collect();
        // The device's availability is that of its values; a device that refuses them all answers all the same.
        if facts.reachable != Some(Ok(())) && running.watch.answers() {
            let seen = view.properties.iter().find(|seen| !seen.detail.is_empty());
            let words = |seen: &PropertyView| format!("{}: {}", seen.name, seen.detail);
            facts.reachable = Some(Ok(()));
            facts.rejected = Some(seen.map_or_else(|| "no property was given".to_owned(), words));
        }
        // Of a device that is never read only a write tells whether it is there.
        if device.properties.iter().all(|property| !property.access.can_read()) {
            let answers = facts.sync.iter().filter_map(|(_, sync)| match sync {
                Sync::Failed(failure) if failure.kind != ErrorKind::Rejected => Some(Err(failure)),
                Sync::Unverified | Sync::Refused(_) | Sync::Failed(_) => Some(Ok(())),
                _ => None,
            });
            match answers.min_by_key(Result::is_err) {
                Some(Ok(())) => facts.reachable = Some(Ok(())),
                Some(Err(failure)) => {
                    (facts.reachable, facts.words) =
                        (Some(Err(failure.kind.reason())), failure.message.as_str().into());
                }
                None => facts.unasked = facts.sync.is_empty(),
            }
        }
        let found = |point: PointId| {
            let (property, seen) = (device.property(point), &view.properties[usize::from(point)]);
            seen.value.as_ref().map(|(value, _)| property.json(value))
        };
        let writable = (0..).zip(&device.properties).filter(|(_, property)| property.access.can_write());
        facts.reported = writable
            .map(|(point, property)| {
                let desired = property.desired.as_ref().map(|desired| property.json(&desired.value));
                (property.name.to_string(), found(point), desired)
            })
            .collect();
        let (now, mut later) = (Instant::now(), None);
        for (point, every, held) in &mut running.held {
            let (told, again) = held.see(found(*point), *every, now);
            running.watch.wait(*point, again.is_some());
            later = [later, again].into_iter().flatten().min();
            facts.reported.push((device.property(*point).name.to_string(), told, None));
        }
        (facts, later)
    }
}

impl Shown {
    /// The condition `Ready` in the words of MQTT.
    pub fn readiness(&self) -> Readiness {
        match self.status.conditions.iter().find(|c| c.type_ == condition::READY) {
            Some(ready) if ready.status == "True" => Readiness::Ready,
            Some(ready) => {
                let mut letters = ready.reason.chars();
                let first = letters.next().map(|letter| letter.to_ascii_lowercase());
                Readiness::NotReady {
                    reason: first.into_iter().chain(letters).collect(),
                    message: ready.message.clone(),
                }
            }
            None => Readiness::NotReady { reason: "notRead".into(), message: String::new() },
        }
    }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
