//! One task per bus: it owns what cannot be shared, and runs one exchange at a time.
//!
//! Protocol-blind: a bus knows bound devices, points and periods, not properties, MQTT or resources. What it finds
//! goes to the [`Observer`] that came with the device.

mod backoff;
mod buses;
mod device;
mod grid;
mod handle;
mod line;
mod schedule;
mod stats;
mod supervise;
mod task;
#[cfg(test)]
mod tests;
mod write;

use std::{sync::Arc, time::Duration};

use mapper_api::{BoundDevice, Decoded, ErrorKind, PointId, Value};
use tokio::sync::oneshot;

pub use buses::Buses;
pub use grid::Grid;
pub use handle::{BusHandle, Options, spawn};
pub use stats::BusStats;
pub use task::OPENING;

use crate::{clock::Stamp, model::DeviceId};

/// A device as its bus sees it.
#[derive(Clone)]
pub struct Member {
    /// Its name, for logs and for replacing it.
    pub id: DeviceId,
    /// Endpoint and addresses.
    pub bound: Arc<dyn BoundDevice>,
    /// Which points to read how often.
    pub groups: Vec<(Duration, Vec<PointId>)>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
}

/// Why points got no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Timeout, Unreachable, Bus or BadData.
    pub kind: ErrorKind,
    /// One line for people.
    pub message: String,
}

/// Who is told what a bus finds out about one device. Called on the bus task: it must not block or wait.
pub trait Observer: Send + Sync {
    /// An answer came at this moment; each point has its raw value or a refusal.
    fn answered(&self, at: Stamp, points: &[Decoded]);
    /// A frame that nobody asked for came at this moment. What it says may be trusted this long; none if the mapper does
    /// not know. Returns how long its sender may be silent from then on; none if that says nothing.
    fn heard(&self, at: Stamp, points: &[Decoded], fresh: Option<Duration>) -> Option<Duration>;
    /// An exchange failed as a whole; these points got no value. `misses` counts the exchanges that this device has
    /// left unanswered in a row (0 when the device is not to blame, as when the bus cannot be opened).
    fn failed(&self, at: Stamp, points: &[PointId], failure: &Failure, misses: u32);
    /// Nothing was heard of the device for as long as it may be silent; these points came unasked. It is gone, unless it
    /// answers when it is asked.
    fn silent(&self, at: Stamp, points: &[PointId], failure: &Failure, gone: bool);
    /// This many polls fell due and were skipped, since the bus was late.
    fn skipped(&self, periods: u64);
}

/// What a write came to.
#[derive(Debug, Clone, PartialEq)]
pub enum WriteOutcome {
    /// Written; what was read back for each point that could be read, raw.
    Written(Vec<Decoded>),
    /// The device refused this point.
    Refused(PointId, mapper_api::Refusal),
    /// Nobody knows whether the device did it.
    Unknown(Failure),
    /// The bus or the device was gone before anything was sent.
    NotSent(Failure),
}

/// What a bus can be told. Boxed, since a queue has room for 32 of them from the start.
pub enum Command {
    /// Take this device on, or replace the one of the same name. Its first poll is due at once.
    Join(Box<Member>),
    /// Let it go.
    Leave(Box<DeviceId>),
    /// Write raw values and read them back in one go, ahead of every poll. Access and range are already checked.
    Write(Box<Write>),
}

/// Raw values for a device.
pub struct Write {
    /// The device.
    pub device: DeviceId,
    /// What to write, in order.
    pub values: Vec<(PointId, Value)>,
    /// Where the outcome goes.
    pub reply: oneshot::Sender<WriteOutcome>,
}
