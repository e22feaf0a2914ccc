//! One question to a device and its answer, and what comes unasked, as the core holds them. Pure.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use mapper_api::PointId;
use tokio::time::Instant;

use crate::{
    bind::Device,
    language::Telegram,
    octets,
    report::{Counts, count},
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
    /// A step of the device's start-up sequence.
    Step(usize),
    /// A message of the device's that has a request.
    Ask(usize),
    /// The whole of a meter, by IEC 62056-21 mode C.
    Readout,
    /// These bytes, which set this point.
    Write(PointId, Vec<u8>),
}

/// The reply to a [`Request`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It is done, and there is nothing to say.
    Done,
    /// The frame of the message that was asked for.
    Frame(Vec<u8>),
    /// What the meter says.
    Telegram(Box<Told>),
    /// The device refused, with this text; the line is fine.
    Refused(String),
}

/// What a meter or a receiver says, by a language that is built in.
#[derive(Debug, Clone, PartialEq)]
pub struct Told(pub(crate) Telegram);

/// What came unasked. Every device of the line looks whether it is its own.
#[derive(Debug)]
pub struct Frame {
    /// Tells it apart from every other frame of this process.
    pub(crate) number: u64,
    pub(crate) said: Said,
    /// When its last byte was received.
    pub(crate) at: Instant,
    /// Some device had something from it.
    pub(crate) understood: AtomicBool,
    pub(crate) counts: Arc<Counts>,
}

/// What was said.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    /// A frame of the line, its check proven.
    Bytes(Vec<u8>),
    /// A telegram of the line's language.
    Telegram(Box<Telegram>),
}

impl Frame {
    pub(crate) fn new(said: Said, at: Instant, counts: &Arc<Counts>) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Relaxed);
        Self { number, said, at, understood: AtomicBool::new(false), counts: counts.clone() }
    }
}

impl Drop for Frame {
    /// Only now is it known that no device had anything from it.
    fn drop(&mut self) {
        if !self.understood.load(Relaxed) {
            count(&self.counts.not_understood, 1);
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Step(index) => match self.device.steps.get(*index).and_then(|step| step.send.as_deref()) {
                Some(bytes) => write!(f, "start[{index}] {}", Short(bytes)),
                None => write!(f, "start[{index}]"),
            },
            What::Ask(index) => match self.device.messages.get(*index) {
                Some(message) => {
                    let sent = message.ask.as_ref().map_or(&[][..], |ask| &ask.send);
                    write!(f, "ask {} {}", message.name, Short(sent))
                }
                None => write!(f, "ask"),
            },
            What::Readout => f.write_str("read the meter out"),
            What::Write(_, bytes) => write!(f, "write {}", Short(bytes)),
        }
    }
}

/// As many bytes as fit into a line.
pub(crate) struct Short<'a>(pub &'a [u8]);

const SHORT: usize = 24;

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.0.len() > SHORT { "..." } else { "" };
        write!(f, "'{}{more}'", octets::Shown(&self.0[..self.0.len().min(SHORT)]))
    }
}
