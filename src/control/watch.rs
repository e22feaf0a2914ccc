//! Notices on the bus task what may change a device's status: whether it answers, and what the properties hold that are reported.
//! It compares a fingerprint before it does anything else: a device at rest costs no lock and no allocation.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use mapper_api::{Decoded, ErrorKind, PointId, Refusal, Value};

use super::{touched::Mark, words::Told};
use crate::{bus::Failure, model::Device};

/// Nothing has been found yet; or the device is online.
const NONE: u64 = 0;
/// The device gave no value.
const REFUSED: u64 = 1;
/// Parts the fingerprints of values from the two above.
const APART: u64 = 0x9e37_79b9_7f4a_7c15;

/// What was last seen of one device.
pub struct Watch {
    mark: Arc<Mark>,
    /// The points whose value stands in the status, ascending.
    found: Box<[Found]>,
    /// The fingerprint of the reason why the device is offline.
    offline: AtomicU64,
    /// It answered since it was last offline, if only with refusals.
    answers: AtomicBool,
    /// The failure that is told of that reason, in its mapper's words.
    words: Mutex<Told>,
}

struct Found {
    point: PointId,
    /// It is told only so often.
    timed: bool,
    /// It changed, and will be looked at when its time has come: further changes are no news.
    waits: AtomicBool,
    /// The fingerprint of what was found last.
    print: AtomicU64,
}

impl Found {
    /// Whether that is news.
    fn is(&self, print: u64) -> bool {
        changed(&self.print, print) && !(self.timed && self.waits.swap(true, Relaxed))
    }
}

impl Watch {
    /// A watch of this device, which was so far offline for this reason; `words` as of an earlier [`Watch::words`].
    pub fn new(mark: Arc<Mark>, device: &Device, offline: Option<&'static str>, words: Box<str>) -> Self {
        let points = (0..).zip(&device.properties).filter_map(|(point, property)| {
            let timed = !property.access.can_write();
            let found = Found { point, timed, waits: AtomicBool::new(false), print: AtomicU64::new(NONE) };
            (!timed || property.report_every.is_some()).then_some(found)
        });
        Self {
            mark,
            found: points.collect(),
            offline: AtomicU64::new(offline.map_or(NONE, hash)),
            answers: AtomicBool::new(offline.is_none()),
            words: Mutex::new(Told::first(words)),
        }
    }

    /// Why the device is offline, in its mapper's words. Of later failures of the same reason only one that says something
    /// else replaces them: most differ in their times.
    pub fn words(&self) -> Box<str> {
        self.told().text.clone()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it answers, if only with refusals.
    pub fn answers(&self) -> bool {
        self.answers.load(Relaxed)
    }

    /// Whether a changed value of this point waits for its time.
    pub fn wait(&self, point: PointId, waits: bool) {
        if let Some(found) = self.found(point) {
            found.waits.store(waits, Relaxed);
        }
    }

    fn found(&self, point: PointId) -> Option<&Found> {
        let place = self.found.binary_search_by_key(&point, |found| found.point);
        place.ok().map(|place| &self.found[place])
    }

    /// An answer came. `offline` is asked only if the device was offline before.
    pub fn answered(&self, points: &[Decoded], offline: impl FnOnce() -> Option<&'static str>) {
        let mut touched = !self.answers.load(Relaxed);
        if touched {
            self.answers.store(true, Relaxed);
        }
        if !self.found.is_empty() {
            for Decoded { point, result } in points {
                if let Some(found) = self.found(*point) {
                    touched |= found.is(fingerprint(result));
                }
            }
        }
        if self.offline.load(Relaxed) != NONE {
            touched |= changed(&self.offline, offline().map_or(NONE, hash));
        }
        if touched {
            self.mark.touch();
        }
    }

    /// An exchange failed, after which the device is offline for this reason, and is or is not `silent`: it answers no
    /// more, not even with refusals. (One that refuses everything has no value and stays offline, though it answers.)
    pub fn failed(&self, points: &[PointId], failure: &Failure, offline: Option<&'static str>, silent: bool) {
        let mut touched = false;
        for point in points {
            let Some(found) = self.found(*point) else { continue };
            // An answer that does not fit hides the value; silence shows the last good one again.
            match (failure.kind, found.print.load(Relaxed)) {
                (ErrorKind::BadData, _) => touched |= found.is(REFUSED),
                (_, REFUSED) => touched |= found.is(NONE),
                _ => {}
            }
        }
        touched |= silent && self.answers.swap(false, Relaxed);
        if changed(&self.offline, offline.map_or(NONE, hash)) {
            *self.told() = Told::first(failure.message.as_str());
            touched = true;
        } else if offline == Some(failure.kind.reason()) {
            touched |= self.told().again(&failure.message);
        }
        if touched {
            self.mark.touch();
        }
    }
}

/// Compares before it stores: a store would take the cache line from whoever reads beside.
fn changed(cell: &AtomicU64, now: u64) -> bool {
    let differs = cell.load(Relaxed) != now;
    if differs {
        cell.store(now, Relaxed);
    }
    differs
}

fn fingerprint(result: &Result<Value, Refusal>) -> u64 {
    match result {
        Err(_) => REFUSED,
        Ok(Value::Bool(v)) => APART ^ u64::from(*v),
        Ok(Value::Int(v)) => APART ^ v.cast_unsigned(),
        Ok(Value::Uint(v)) => APART ^ v,
        Ok(Value::Float32(v)) => APART ^ u64::from(v.to_bits()),
        Ok(Value::Float64(v)) => APART ^ v.to_bits(),
        Ok(Value::Text(v)) => hash(v),
        Ok(Value::Bytes(v)) => hash(v),
    }
}

fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    // Never one of the two that mean something else.
    hasher.finish().max(REFUSED + 1)
}
