//! Where the status of devices goes, for a source that takes it back. What is written when is decided elsewhere.

use std::{pin::Pin, time::Duration};

use fieldgate_crds::DeviceStatus;

use crate::model::DeviceId;

/// What the source last said of a device: what a status is compared with before it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The object's identity: another one under the same name is another device.
    pub uid: String,
    /// The generation of its spec.
    pub generation: i64,
    /// Its resourceVersion.
    pub version: String,
    /// The status that is stored.
    pub status: DeviceStatus,
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The answer echoes what was sent.
    Confirmed,
    /// The object is gone, or another has its name: there is nothing to report to.
    Gone,
    /// Refused for good: the same would be refused again. With the server's words.
    Refused(String),
    /// Nobody knows; it may have been done. To be sent again, not before this time if the server named one.
    Unknown(String, Option<Duration>),
}

/// Something to tell people, beside the status. It may be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whether somebody should look at it: a `Warning` rather than `Normal`.
    pub warning: bool,
    /// The reason of the condition that changed.
    pub reason: String,
    /// One line for people.
    pub message: String,
}

/// Work that is under way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Takes statuses.
pub trait StatusSink: Send + Sync + 'static {
    /// What is stored of a device, as far as it is known.
    fn stored(&self, device: &DeviceId) -> Option<Stored>;

    /// The devices whose stored status has changed since the last call, once there is one. Cancel-safe.
    fn changed(&self) -> Pending<'_, Vec<DeviceId>>;

    /// Replaces the status of this very object (`stored.uid`).
    fn write<'a>(&'a self, device: &'a DeviceId, stored: &'a Stored, status: &'a DeviceStatus) -> Pending<'a, Written>;

    /// Tells people of a change of this very object.
    fn notify<'a>(&'a self, device: &'a DeviceId, stored: &'a Stored, notice: &'a Notice) -> Pending<'a, ()>;
}
