//! One question to a device and its answer, and what it says unasked, as the core holds them. Pure.

use std::{fmt, sync::Arc, time::Duration};

use mapper_api::PointId;
use tokio::time::Instant;

use crate::{
    advert::Advert,
    bind::Device,
    formats::{Format, Message, Trouble},
    radio::{Spot, WriteKind},
};

/// One question to one device.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) device: Arc<Device>,
    pub(crate) what: What,
    pub(crate) points: Box<[PointId]>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// Have an ear for what the device advertises.
    Listen,
    /// Have the characteristic sent by the device; if it can be read too, read it once.
    Subscribe(Spot),
    /// Read the whole characteristic.
    Read(Spot),
    /// Write the whole characteristic.
    Write(Spot, Vec<u8>, WriteKind),
}

/// The reply to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done, and there is nothing to say.
    Done,
    /// The characteristic's value.
    Value(Vec<u8>),
    /// The device refused this characteristic; the link is fine.
    Refused(String),
}

/// What a device said unasked.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The device's own mark.
    pub(crate) source: Arc<str>,
    pub(crate) said: Said,
    /// When it was received.
    pub(crate) at: Instant,
    /// How long it may be silent from now on.
    pub(crate) silence: Duration,
}

/// What was said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    /// An advertisement, with what it says in each known format.
    Advertised(Advert, Vec<(Format, Result<Message, Trouble>)>),
    /// The same message as before, received once more: news of the radio only.
    Repeated(Advert),
    /// A characteristic's value.
    Notified(Spot, Vec<u8>),
}

impl Said {
    /// What is wrong with it.
    pub fn troubles(&self) -> impl Iterator<Item = &Trouble> {
        let messages = match self {
            Self::Advertised(_, messages) => &messages[..],
            Self::Repeated(_) | Self::Notified(..) => &[],
        };
        messages.iter().filter_map(|(_, message)| message.as_ref().err())
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.device.id;
        match &self.what {
            What::Listen => write!(f, "listen to {id:.80}"),
            What::Subscribe(spot) => write!(f, "subscribe to {}", Place(spot)),
            What::Read(spot) => write!(f, "read {}", Place(spot)),
            What::Write(spot, bytes, _) => write!(f, "write {} bytes to {}", bytes.len(), Place(spot)),
        }
    }
}

/// A characteristic in as few letters as tell it.
struct Place<'a>(&'a Spot);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "characteristic {} of service {}", brief(self.0.characteristic), brief(self.0.service))
    }
}

/// Four digits for a UUID of the Bluetooth SIG.
pub(crate) fn brief(uuid: uuid::Uuid) -> String {
    let id = u16::try_from(uuid.as_u128() >> 96 & 0xffff).unwrap_or(0);
    if uuid == crate::advert::short(id) { format!("{id:04x}") } else { uuid.to_string() }
}
