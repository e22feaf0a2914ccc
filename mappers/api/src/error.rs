//! What can go wrong, by kind. The kind decides what the core does; nothing matches on text.

use std::borrow::Cow;

use crate::PointId;

/// The result of what can fail as a whole.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who is to blame, and so what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The spec cannot be right. The device is not accepted until its spec changes.
    Config,
    /// The mapper cannot do that. The device is not accepted until its spec changes.
    Unsupported,
    /// The bus cannot be opened. The core reopens it with back-off and jitter.
    Unreachable,
    /// No answer in time. The core resynchronises the bus and backs off that device alone.
    Timeout,
    /// The transport broke. The core reopens the bus.
    Bus,
    /// The device answered and refused. The bus is fine; the point's quality is bad until the next poll.
    Rejected,
    /// The answer does not decode, or does not fit the question. The core resynchronises the bus.
    BadData,
    /// The device answered that it has no value: a sensor that is not plugged in, a position before the first fix. The
    /// bus is fine; the point's quality is bad until the next poll.
    NotAvailable,
}

impl ErrorKind {
    /// The word used as a reason in MQTT payloads, metrics and logs.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Unsupported => "unsupported",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Bus => "bus",
            Self::Rejected => "rejected",
            Self::BadData => "badData",
            Self::NotAvailable => "notAvailable",
        }
    }
}

/// An error of the bus or of an exchange as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What the core does about it.
    pub kind: ErrorKind,
    /// One line for people: what happened, with what was expected.
    pub message: Cow<'static, str>,
}

impl Error {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// One point was refused; the exchange and the bus are fine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// [`ErrorKind::Rejected`], [`ErrorKind::BadData`] or [`ErrorKind::NotAvailable`].
    pub kind: ErrorKind,
    /// The device's own word for it where it has one, such as `illegalDataAddress`.
    pub detail: Cow<'static, str>,
    /// What the device gave instead of a value of the point's type, where a spec may name it as one that means "none":
    /// a text, or bytes as `0x` and hexadecimal digits.
    pub raw: Option<Box<str>>,
}

impl Refusal {
    /// The device answered and refused.
    pub fn rejected(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ErrorKind::Rejected, detail: detail.into(), raw: None }
    }

    /// The device answered, but the bytes are no value of the point's type.
    pub fn bad_data(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ErrorKind::BadData, detail: detail.into(), raw: None }
    }

    /// The device answered that it has no value.
    pub fn not_available(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ErrorKind::NotAvailable, detail: detail.into(), raw: None }
    }

    /// The same, telling what the device gave.
    #[must_use]
    pub fn with_raw(self, raw: impl Into<Box<str>>) -> Self {
        Self { raw: Some(raw.into()), ..self }
    }
}

/// Where in a device's YAML a mistake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// `spec.protocol.<protocol>`.
    Endpoint,
    /// The address of this point: `spec.properties[n].<protocol>`.
    Address(PointId),
    /// The property that this point stands for: `spec.properties[n]`.
    Property(PointId),
}

/// A mistake in a device's YAML, found without I/O.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct BindError {
    /// The part of the YAML.
    pub at: At,
    /// The key inside that part, such as `register` or `serial.baud`; empty for the part itself.
    pub path: String,
    /// What is wrong and what would be accepted.
    pub message: String,
    /// [`ErrorKind::Config`] or [`ErrorKind::Unsupported`].
    pub kind: ErrorKind,
}

impl BindError {
    /// The spec cannot be right.
    pub fn config(at: At, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at, path: path.into(), message: message.into(), kind: ErrorKind::Config }
    }

    /// The mapper cannot do that.
    pub fn unsupported(at: At, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at, path: path.into(), message: message.into(), kind: ErrorKind::Unsupported }
    }
}
