//! What can go wrong with a radio, and what the core makes of it.

use mapper_api::{Error, ErrorKind};

use super::Phase;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RadioErrorKind {
    /// There is no Bluetooth here: no D-Bus, no BlueZ, no adapter, or not the one asked for.
    NoRadio,
    /// The device is not in the air.
    NotSeen,
    /// The link to the device did not come about, or is gone.
    Lost,
    /// No answer in time.
    Timeout,
    /// The device wants to be paired first, or pairing failed.
    NotPaired,
    /// The device refused this read or write; the link is fine.
    Refused,
    /// The device has no such characteristic.
    NoCharacteristic,
}

/// An error of the radio.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RadioError {
    /// What went wrong.
    pub kind: RadioErrorKind,
    /// One line for people.
    pub message: String,
    /// What a connect was at when it ended so.
    pub phase: Option<Phase>,
}

impl RadioError {
    /// An error of this kind.
    pub fn new(kind: RadioErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), phase: None }
    }

    /// The same, of a connect that was at this.
    #[must_use]
    pub fn at(self, phase: Phase) -> Self {
        Self { phase: Some(phase), ..self }
    }

    /// It concerns one characteristic alone; the link is fine.
    pub fn is_refusal(&self) -> bool {
        matches!(self.kind, RadioErrorKind::Refused | RadioErrorKind::NoCharacteristic)
    }
}

impl From<RadioError> for Error {
    fn from(error: RadioError) -> Self {
        let kind = match error.kind {
            RadioErrorKind::NoRadio | RadioErrorKind::NotSeen | RadioErrorKind::NotPaired => ErrorKind::Unreachable,
            RadioErrorKind::Timeout => ErrorKind::Timeout,
            RadioErrorKind::Lost => ErrorKind::Bus,
            RadioErrorKind::Refused | RadioErrorKind::NoCharacteristic => ErrorKind::Rejected,
        };
        Self::new(kind, error.message)
    }
}
