//! Keeping one property at its desired value: when to write, when to wait, what to say. Pure: it reads no clock and
//! sends nothing.
//!
//! A value is read before it is first written, and written only if it differs. What is compared is what would be on
//! the wire: encoded and rounded, or within the spec's tolerance. A write that reached the device is not repeated
//! within a minute, so that a device that rounds or refuses does not wear out its memory.

use std::time::Duration;

use fieldgate_crds::OnDrift;
use mapper_api::{ErrorKind, Value};
use tokio::time::Instant;

use crate::{
    bus::{Failure, WriteOutcome},
    model::{Desired, Property},
};

/// The least time between two writes that reached the device; doubled each time, up to [`LONGEST`].
const REPAIR: Duration = Duration::from_secs(60);
/// The least time after a write of which nobody knows whether it was done; doubled each time, up to [`REPAIR`].
const UNKNOWN: Duration = Duration::from_secs(5);
/// The longest time between two attempts.
const LONGEST: Duration = Duration::from_secs(3600);
/// A value that held for so long starts the count anew.
const HELD: Duration = Duration::from_secs(600);

/// Whether a property holds its desired value, as far as is known.
#[derive(Debug, Clone, PartialEq)]
pub enum Sync {
    /// Neither read nor written yet.
    Unknown,
    /// Read, and equal.
    Synced,
    /// Written to a property that cannot be read.
    Unverified,
    /// Read, and different; it is about to be written.
    Pending,
    /// Read, and different; the spec says to report it only.
    Drifted(Value),
    /// Written, but the device holds something else.
    Mismatch(Value),
    /// The device refused the write.
    Refused(String),
    /// The write was not answered, or could not be sent.
    Failed(Failure),
}

impl Sync {
    /// Does the device hold the desired value?
    pub fn is_synced(&self) -> bool {
        matches!(self, Self::Synced | Self::Unverified)
    }

    /// The reason of the condition `Synced` and its message, for a property of this name. What the device holds stands in
    /// `reported`, not here: a message must not change with every poll.
    pub fn reason(&self, property: &str) -> (&'static str, String) {
        match self {
            Self::Synced => ("Synced", String::new()),
            Self::Unverified => ("Written", format!("{property}: written; it cannot be read back")),
            Self::Unknown => ("NotRead", format!("{property}: not read yet")),
            Self::Pending => ("Writing", format!("{property}: about to be written")),
            Self::Drifted(_) => ("Drifted", format!("{property}: the device holds another value; onDrift is report")),
            Self::Mismatch(_) => (
                "Mismatch",
                format!("{property}: written, but the device holds another value; set a tolerance if it rounds"),
            ),
            Self::Refused(detail) => ("Refused", format!("{property}: the device refused the write: {detail}")),
            Self::Failed(failure) => ("WriteFailed", format!("{property}: {}", failure.message)),
        }
    }
}

/// The memory of one property with a desired value.
#[derive(Debug, Clone)]
pub struct Keeping {
    sync: Sync,
    writing: bool,
    /// The device has held the desired value since the spec asked for it.
    held: bool,
    attempts: u32,
    not_before: Option<Instant>,
    last_write: Option<Instant>,
    /// Writes that reached the device, or may have.
    pub writes: u64,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            sync: Sync::Unknown,
            writing: false,
            held: false,
            attempts: 0,
            not_before: None,
            last_write: None,
            writes: 0,
        }
    }
}

impl Keeping {
    /// What is remembered of a property whose spec is as it was when other parts of the device's spec have changed. A write
    /// that is under way is not waited for, but not repeated at once either.
    #[must_use]
    pub fn carried(&self, now: Instant) -> Self {
        let not_before = if self.writing { Some(now + UNKNOWN) } else { self.not_before };
        Self { writing: false, not_before, ..self.clone() }
    }

    /// What is known.
    pub fn sync(&self) -> &Sync {
        &self.sync
    }

    /// The device was read and holds this raw value. True: write now, and tell [`Self::written`] what came of it.
    pub fn found(&mut self, property: &Property, desired: &Desired, raw: &Value, now: Instant) -> bool {
        if self.writing {
            return false;
        }
        if equal(property, desired, raw) {
            self.sync = Sync::Synced;
            self.held = true;
            if self.last_write.is_none_or(|at| now - at >= HELD) {
                self.attempts = 0;
                self.not_before = None;
            }
            return false;
        }
        if desired.on_drift == OnDrift::Report && self.held {
            self.sync = Sync::Drifted(raw.clone());
            return false;
        }
        if self.not_before.is_some_and(|at| now < at) {
            if self.sync.is_synced() {
                self.sync = Sync::Pending;
            }
            return false;
        }
        self.begin()
    }

    /// A property that cannot be read is written once. True as for [`Self::found`].
    pub fn blind(&mut self) -> bool {
        !self.writing && self.sync != Sync::Unverified && self.begin()
    }

    /// The write that was asked for is not done now: the next read decides anew.
    pub fn postpone(&mut self) {
        self.writing = false;
    }

    fn begin(&mut self) -> bool {
        self.writing = true;
        if !matches!(self.sync, Sync::Mismatch(_) | Sync::Refused(_) | Sync::Failed(_)) {
            self.sync = Sync::Pending;
        }
        true
    }

    /// The outcome of a write that was asked for: `found` is what was read back, if it can be read.
    pub fn written(&mut self, property: &Property, desired: &Desired, outcome: Attempt, now: Instant) {
        self.writing = false;
        if let Attempt::NotSent(failure) = outcome {
            // Nothing reached the device: the next good read writes again.
            self.sync = Sync::Failed(failure);
            return;
        }
        self.writes += 1;
        self.attempts += 1;
        self.last_write = Some(now);
        let doubled = |base: Duration, cap| base.saturating_mul(1 << (self.attempts - 1).min(10)).min(cap);
        let (sync, wait) = match outcome {
            Attempt::Found(raw) if equal(property, desired, &raw) => (Sync::Synced, doubled(REPAIR, LONGEST)),
            Attempt::Found(raw) => (Sync::Mismatch(raw), doubled(REPAIR, LONGEST)),
            Attempt::Unread => (Sync::Unverified, REPAIR),
            Attempt::Refused(detail) => (Sync::Refused(detail), doubled(REPAIR, LONGEST)),
            Attempt::Unknown(failure) | Attempt::NotSent(failure) => (Sync::Failed(failure), doubled(UNKNOWN, REPAIR)),
        };
        self.held |= sync.is_synced();
        self.sync = sync;
        self.not_before = Some(now + wait);
    }

    /// How long to wait before an attempt that no read will cause.
    pub fn wait(&self, now: Instant) -> Duration {
        self.not_before.map_or(UNKNOWN, |at| at.saturating_duration_since(now).max(UNKNOWN))
    }
}

/// What came of one property's write.
#[derive(Debug, Clone, PartialEq)]
pub enum Attempt {
    /// Written, and this was read back.
    Found(Value),
    /// Written; it cannot be read back.
    Unread,
    /// The device refused it.
    Refused(String),
    /// Nobody knows whether the device did it.
    Unknown(Failure),
    /// Nothing was sent.
    NotSent(Failure),
}

impl Attempt {
    /// What the outcome of a write of several points means for one of them.
    pub fn of(outcome: &WriteOutcome, point: mapper_api::PointId, readable: bool) -> Self {
        let answered = |message: String| Failure { kind: ErrorKind::Rejected, message };
        match outcome {
            WriteOutcome::Written(points) => match points.iter().find(|d| d.point == point).map(|d| &d.result) {
                Some(Ok(raw)) => Self::Found(raw.clone()),
                Some(Err(refusal)) => Self::Unknown(answered(format!("written, but not read back: {refusal}"))),
                None if readable => Self::Unknown(answered("written, but not read back: no answer".into())),
                None => Self::Unread,
            },
            WriteOutcome::Refused(refused, refusal) if *refused == point => Self::Refused(refusal.detail.to_string()),
            WriteOutcome::Refused(..) => Self::NotSent(answered("another value of the same write was refused".into())),
            WriteOutcome::Unknown(failure) => Self::Unknown(failure.clone()),
            WriteOutcome::NotSent(failure) => Self::NotSent(failure.clone()),
        }
    }
}

/// Equal as it would be on the wire, or within the tolerance.
fn equal(property: &Property, desired: &Desired, raw: &Value) -> bool {
    if desired.raw == *raw {
        return true;
    }
    let seen = property.shape.value(raw.clone()).ok();
    match (desired.tolerance, seen.as_ref().and_then(Value::as_f64), desired.value.as_f64()) {
        // A hair more than the tolerance, so that 21.3 +- 0.1 takes 21.4 whatever the last bit says.
        (Some(tolerance), Some(seen), Some(wanted)) => (seen - wanted).abs() <= tolerance * (1.0 + 1e-9),
        _ => false,
    }
}

#[cfg(test)]
#[path = "desired_tests.rs"]
mod tests;
