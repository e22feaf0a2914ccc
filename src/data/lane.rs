//! One device's way from the bus to the outbox: raw -> value -> snapshot -> filter -> encode -> append. Called on the bus
//! task; it never waits.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use mapper_api::{Decoded, ErrorKind, PointId, Refusal, Value};
use tokio::time::Instant;

use super::{
    Core, Entry, News, Stream,
    filter::Filter,
    lock,
    payload::{self, StateProperty},
    snapshot::{Cell, Quality},
};
use crate::{
    bus::{Failure, Observer},
    clock::Stamp,
    model::{Device, Property},
};

/// Whether the device answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    /// Why it is offline; none while it is online.
    pub offline: Option<&'static str>,
    /// Since when it has been so.
    pub since: Stamp,
}

/// One device's way to the outbox.
pub struct Lane {
    core: Arc<Core>,
    device: Arc<Device>,
    stream: Arc<Stream>,
    key: u64,
    inner: Mutex<Inner>,
    /// Whether the publisher has been told that `state` changed, and has not rendered it since.
    told: AtomicBool,
    closed: AtomicBool,
    too_large: AtomicBool,
}

struct Inner {
    cells: Vec<Cell>,
    /// Whether each desired value is in the device; none before that is known.
    synced: Vec<Option<bool>>,
    filters: Vec<Filter>,
    availability: Availability,
    /// Exchanges without an answer since the last good value, whoever is to blame.
    failures: u32,
    /// The same since the last answer of any kind.
    unanswered: u32,
    /// Which properties were last told unasked; empty if none ever was.
    heard: Vec<bool>,
    /// How long those may be trusted, if the mapper knows.
    fresh: Option<Duration>,
    /// How long the body of the last message was.
    length: usize,
}

/// The body of a message in the making. Made anew for each: kept, it would take as much memory as everything else of a
/// lane.
#[derive(Default)]
struct Body {
    values: Vec<u8>,
    bad: Vec<u8>,
}

/// What is known of a device, for `/devices` and for its status.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Whether it answers.
    pub availability: Availability,
    /// Its properties, in the order of the spec.
    pub properties: Vec<PropertyView>,
}

/// What is known of a property.
#[derive(Debug, Clone, PartialEq)]
pub struct PropertyView {
    /// Its name.
    pub name: Arc<str>,
    /// The last good value and when it was answered; none while bad.
    pub value: Option<(Value, Stamp)>,
    /// How far it can be trusted.
    pub quality: Quality,
    /// Why it is not good; empty if it is.
    pub reason: &'static str,
    /// More about the reason.
    pub detail: String,
    /// The wanted value.
    pub desired: Option<Value>,
}

impl Lane {
    pub(super) fn new(
        core: Arc<Core>,
        device: Arc<Device>,
        stream: Arc<Stream>,
        key: u64,
        before: Option<&Self>,
    ) -> Self {
        let mut inner = Inner {
            cells: vec![Cell::default(); device.properties.len()],
            synced: vec![None; device.properties.len()],
            filters: vec![Filter::default(); device.properties.len()],
            availability: Availability { offline: Some("notRead"), since: Stamp::now() },
            failures: 0,
            unanswered: 0,
            heard: Vec::new(),
            fresh: None,
            length: 0,
        };
        if let Some(before) = before.filter(|b| b.device.uid == device.uid)
            && device.is_reached_as(&before.device)
        {
            let old = lock(&before.inner);
            inner.availability = old.availability;
            (inner.failures, inner.unanswered, inner.fresh) = (old.failures, old.unanswered, old.fresh);
            for (point, property) in device.properties.iter().enumerate() {
                if let Some(old_point) = device.same_point(property, &before.device) {
                    inner.cells[point] = old.cells[old_point].clone();
                    inner.filters[point] = old.filters[old_point].clone();
                    inner.synced[point] = old.synced[old_point];
                    if old.heard.get(old_point).is_some_and(|heard| *heard) {
                        inner.heard.resize(device.properties.len(), false);
                        inner.heard[point] = true;
                    }
                }
            }
        }
        let flag = || AtomicBool::new(false);
        let inner = Mutex::new(inner);
        Self { core, device, stream, key, inner, told: flag(), closed: flag(), too_large: flag() }
    }

    /// The device.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    pub(super) fn key(&self) -> u64 {
        self.key
    }

    /// Nothing more comes from this lane; a poll that is under way must not bring back a deleted device.
    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    /// Whether a point with a desired value holds it. It stands in `state`.
    pub fn synced(&self, point: PointId, synced: bool) {
        let changed = match lock(&self.inner).synced.get_mut(usize::from(point)) {
            Some(before) => before.replace(synced) != Some(synced),
            None => false,
        };
        if changed {
            self.touch();
        }
    }

    /// Why it is offline; none while it is online.
    pub fn offline(&self) -> Option<&'static str> {
        lock(&self.inner).availability.offline
    }

    /// Whether it gives no answer any more, not even a refusal; `misses` as in [`Observer::failed`].
    pub fn is_silent(&self, failure: &Failure, misses: u32) -> bool {
        self.is_gone(failure, misses.max(lock(&self.inner).unanswered))
    }

    /// What cannot be opened cannot answer: no need to count.
    fn is_gone(&self, failure: &Failure, misses: u32) -> bool {
        failure.kind == ErrorKind::Unreachable || misses >= self.core.options.offline_after
    }

    /// What is known now.
    pub fn view(&self) -> View {
        let (inner, now) = (lock(&self.inner), Instant::now());
        let properties = self.device.properties.iter().zip(&inner.cells).enumerate().map(|(point, (p, cell))| {
            let (quality, reason) = cell.quality_at(now, inner.max_age(point, p));
            PropertyView {
                name: p.name.clone(),
                value: cell.value().map(|(value, at)| (value.clone(), at)),
                quality,
                reason,
                detail: cell.detail().into(),
                desired: p.desired.as_ref().map(|d| d.value.clone()),
            }
        });
        View { availability: inner.availability, properties: properties.collect() }
    }

    /// Lets values grow old; when the next one will, and whether one did.
    pub(super) fn age(&self, now: Instant) -> (Option<Instant>, bool) {
        let mut inner = lock(&self.inner);
        let (mut next, mut changed) = (None::<Instant>, false);
        for (point, property) in self.device.properties.iter().enumerate() {
            let max_age = inner.max_age(point, property);
            let cell = &mut inner.cells[point];
            changed |= cell.age(now, max_age);
            if let Some(at) = cell.ages_at(max_age) {
                next = Some(next.map_or(at, |n| n.min(at)));
            }
        }
        (next, changed)
    }

    /// The `state` message of this moment.
    pub(super) fn state(&self, now: Stamp) -> Vec<u8> {
        self.told.store(false, Relaxed);
        let inner = lock(&self.inner);
        let clock = lock(&self.core.clock);
        let cells = inner.cells.iter().zip(&inner.synced);
        let readable = self.device.properties.iter().zip(cells).enumerate().filter(|(_, (p, _))| shown(p));
        let properties = readable.map(|(point, (property, (cell, synced)))| {
            let max_age = inner.max_age(point, property);
            let (quality, reason) = cell.quality_at(now.mono, max_age);
            let value = cell.value().map(|(value, at)| (value, clock.wall(at)));
            StateProperty { property, value, quality, reason, detail: cell.detail(), synced: *synced, max_age }
        });
        let seq = self.stream.seq.load(Relaxed);
        let size = 160 + 128 * self.device.properties.len();
        payload::state(&self.core.origin, seq, clock.wall(now), properties, size)
    }

    /// The `availability` message of this moment.
    pub(super) fn availability(&self) -> Vec<u8> {
        let availability = lock(&self.inner).availability;
        let since = lock(&self.core.clock).wall(availability.since);
        payload::availability(&self.core.node.name, since, availability.offline)
    }

    fn set_availability(&self, inner: &mut Inner, offline: Option<&'static str>, at: Stamp) {
        if inner.availability.offline == offline {
            return;
        }
        // With another reason it is still the same outage.
        let same_side = inner.availability.offline.is_some() == offline.is_some();
        inner.availability.offline = offline;
        if !same_side {
            inner.availability.since = at;
        }
        self.core.tell(News::Availability(self.key));
    }

    fn touch(&self) {
        if self.core.options.state && !self.told.swap(true, Relaxed) {
            self.core.tell(News::State(self.key));
        }
    }

    /// Hands what was collected to the outbox.
    fn append(&self, inner: &mut Inner, body: Body, at: Stamp) {
        let body = body.whole();
        inner.length = body.len();
        let size = body.len() + self.core.origin.len() + self.stream.topic.len() + OVERHEAD;
        let largest = self.core.largest.load(Relaxed);
        if u32::try_from(size).map_or(true, |size| size > largest) {
            self.core.counts.refused.fetch_add(1, Relaxed);
            self.stream.dropped.fetch_add(1, Relaxed);
            if !self.too_large.swap(true, Relaxed) {
                tracing::error!(device = %self.device.id, size, largest, "a readings message is larger than the limit \
                    and is dropped; poll fewer properties together or raise maxMessageBytes and the broker's limit");
            }
        } else {
            let seq = self.stream.seq.fetch_add(1, Relaxed) + 1;
            let link = self.core.link.load(Relaxed);
            lock(&self.core.outbox).append(Entry { stream: self.stream.clone(), seq, at, link, body });
            self.core.wake.notify_one();
        }
    }
}

/// What `seq`, `time`, the optional keys and MQTT's header take at most, besides what is known.
pub(super) const OVERHEAD: usize = 160;

/// A property that can only be written has a state only if a value is wanted.
fn shown(property: &Property) -> bool {
    property.access.can_read() || property.desired.is_some()
}

fn key(out: &mut Vec<u8>, name: &str) {
    payload::write_text(out, name);
    out.push(b':');
}

impl Inner {
    /// How old a property's value may be: as the spec says, else as the device's own pace teaches, else by its poll period.
    fn max_age(&self, point: usize, property: &Property) -> Duration {
        let taught = self.fresh.filter(|_| property.learns_age && self.heard.get(point).is_some_and(|heard| *heard));
        taught.unwrap_or(property.max_age)
    }
}

impl Body {
    fn value(&mut self, property: &Property, value: &Value, hint: usize) {
        self.key(&property.name, hint);
        payload::write_value(&mut self.values, value, property.is_string_encoded());
    }

    fn bad(&mut self, property: &Property, reason: &str, detail: &str, hint: usize) {
        self.key(&property.name, hint);
        self.values.extend_from_slice(b"null");
        if !self.bad.is_empty() {
            self.bad.push(b',');
        }
        key(&mut self.bad, &property.name);
        payload::write_bad(&mut self.bad, reason, detail);
    }

    fn key(&mut self, name: &str, hint: usize) {
        if self.values.is_empty() {
            self.values.reserve(hint);
            self.values.extend_from_slice(VALUES);
        }
        if self.values.len() > VALUES.len() {
            self.values.push(b',');
        }
        key(&mut self.values, name);
    }

    fn whole(mut self) -> Box<[u8]> {
        self.values.push(b'}');
        if !self.bad.is_empty() {
            self.values.extend_from_slice(b",\"bad\":{");
            self.values.extend_from_slice(&self.bad);
            self.values.push(b'}');
        }
        self.values.into_boxed_slice()
    }
}

const VALUES: &[u8] = b"\"values\":{";

/// How an answer came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    Asked,
    /// It may be trusted this long, if the mapper knows.
    Unasked(Option<Duration>),
}

impl Lane {
    fn take(&self, at: Stamp, points: &[Decoded], came: Came) {
        if self.closed.load(Relaxed) {
            return;
        }
        self.core.counts.exchanges_ok.fetch_add(1, Relaxed);
        let mut guard = lock(&self.inner);
        let inner = &mut *guard;
        let mut body = Body::default();
        let (mut passed, mut changed, mut good) = (0, false, false);
        if let Came::Unasked(fresh) = came {
            inner.heard.resize(self.device.properties.len(), false);
            changed |= inner.fresh != fresh;
            inner.fresh = fresh;
        }
        for Decoded { point, result } in points {
            let index = usize::from(*point);
            let Some(property) = self.device.properties.get(index) else { continue };
            let rule = &property.publish;
            if let Some(heard) = inner.heard.get_mut(index) {
                *heard = came != Came::Asked;
            }
            match property.shape.seen(result.clone()) {
                Ok(value) => {
                    good = true;
                    if inner.filters[index].value(rule, &value, at.mono) {
                        passed += 1;
                        body.value(property, &value, inner.length);
                    }
                    changed |= inner.cells[index].good(value, at);
                }
                Err(refusal) => {
                    let Refusal { kind, detail, .. } = &refusal;
                    if inner.filters[index].failure(rule, kind.reason(), at.mono) {
                        passed += 1;
                        body.bad(property, kind.reason(), detail, inner.length);
                    }
                    changed |= inner.cells[index].refused(&refusal);
                }
            }
        }
        inner.unanswered = 0;
        if good {
            inner.failures = 0;
            self.set_availability(inner, None, at);
        }
        if passed > 0 {
            self.core.counts.values.fetch_add(passed, Relaxed);
            self.append(inner, body, at);
        }
        if passed > 0 || changed {
            self.touch();
        }
    }
}

impl Observer for Lane {
    fn answered(&self, at: Stamp, points: &[Decoded]) {
        self.take(at, points, Came::Asked);
    }

    /// Where the spec gives each of its values more time than the mapper does, the device has that time too: such as a valve
    /// that tells only what changes.
    fn heard(&self, at: Stamp, points: &[Decoded], fresh: Option<Duration>) -> Option<Duration> {
        self.take(at, points, Came::Unasked(fresh));
        let inner = lock(&self.inner);
        let heard =
            self.device.properties.iter().enumerate().filter(|(point, _)| inner.heard.get(*point) == Some(&true));
        let shortest = heard.map(|(point, property)| inner.max_age(point, property)).min();
        fresh.map(|fresh| shortest.map_or(fresh, |age| age.max(fresh)))
    }

    fn failed(&self, at: Stamp, points: &[PointId], failure: &Failure, misses: u32) {
        self.fail(at, points, failure, misses);
    }

    /// A value of which the spec says how old it may be is that old before it is stale.
    fn silent(&self, at: Stamp, points: &[PointId], failure: &Failure, gone: bool) {
        let learns = |point: &PointId| self.device.properties.get(usize::from(*point)).is_some_and(|p| p.learns_age);
        let points: Vec<_> = points.iter().copied().filter(learns).collect();
        self.fail(at, &points, failure, if gone { u32::MAX } else { 0 });
    }

    fn skipped(&self, periods: u64) {
        self.core.counts.periods_missed.fetch_add(periods, Relaxed);
    }
}

impl Lane {
    fn fail(&self, at: Stamp, points: &[PointId], failure: &Failure, misses: u32) {
        if self.closed.load(Relaxed) {
            return;
        }
        self.core.counts.exchanges_failed.fetch_add(1, Relaxed);
        let reason = failure.kind.reason();
        let mut guard = lock(&self.inner);
        let inner = &mut *guard;
        let mut body = Body::default();
        let (mut passed, mut changed) = (0, false);
        for point in points {
            let index = usize::from(*point);
            let Some(property) = self.device.properties.get(index) else { continue };
            if inner.filters[index].failure(&property.publish, reason, at.mono) {
                passed += 1;
                body.bad(property, reason, "", inner.length);
            }
            changed |= inner.cells[index].failed(failure.kind);
        }
        if failure.kind != ErrorKind::BadData {
            inner.failures = inner.failures.saturating_add(1);
            inner.unanswered = inner.unanswered.saturating_add(1);
        }
        if self.is_gone(failure, misses.max(inner.failures)) {
            self.set_availability(inner, Some(reason), at);
        }
        if passed > 0 {
            self.core.counts.values.fetch_add(passed, Relaxed);
            self.append(inner, body, at);
            self.touch();
        } else if changed {
            self.touch();
        }
    }
}

/// How often `state` is sent at most.
pub(super) const STATE_EVERY: Duration = Duration::from_secs(1);
