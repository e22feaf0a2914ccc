//! What `fieldgate probe` shows: one device that nothing describes yet, listened to until it is understood.

use std::time::Duration;

use crate::{BoxFuture, Error, Found};

/// Something to show on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// What is being done, or what was found out: one line for people.
    Note(String),
    /// What came from the device.
    Heard {
        /// Since the beginning of the probe.
        after: Duration,
        /// As it came; some KiB at most.
        bytes: Vec<u8>,
    },
}

/// A probe that goes on until it has heard enough, or is dropped.
pub trait Probing: Send {
    /// Waits for the next step; none when there is nothing more to learn. Cancel-safe.
    ///
    /// # Errors
    /// The probe cannot go on: what is missing and what to do.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Step>, Error>>;

    /// What is known by now, with a Device's spec to start from. It may be asked for at any time: people end a probe
    /// when they have seen enough.
    fn found(&self) -> Found;
}
