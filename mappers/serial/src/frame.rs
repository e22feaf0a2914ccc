//! What a frame is, and how frames are found in a stream of bytes. Pure: bytes and silences go in, frames come out. Nothing is
//! mended: a frame whose check is wrong is told as such, and never read.
//!
//! A frame here is what the device meant: from its first byte of `start` to its last byte, byte stuffing undone.

mod framer;
#[cfg(test)]
mod tests;
mod walk;
mod yaml;

use std::time::Duration;

use crate::{check::Check, config::Order};

pub use framer::{Found, Framer};

/// What a frame is.
#[derive(Debug, Clone)]
pub struct Framing {
    /// What it begins with; may be empty.
    start: Vec<u8>,
    ending: Ending,
    /// The silence after which a frame has ended, or has broken off.
    gap: Option<Duration>,
    stuffing: Option<Stuffing>,
    /// The most bytes of a frame, byte stuffing undone.
    max: usize,
    check: Option<Check>,
}

/// What tells where a frame ends.
#[derive(Debug, Clone)]
enum Ending {
    /// These bytes, and how many that follow them.
    Mark { bytes: Vec<u8>, trailer: usize },
    /// So many bytes in all.
    Length(usize),
    /// A number inside it, plus `add`.
    LengthAt { offset: usize, size: usize, order: Order, add: i64 },
    /// Silence.
    Gap,
}

/// How bytes are hidden.
#[derive(Debug, Clone)]
struct Stuffing {
    escape: u8,
    hiding: Hiding,
}

#[derive(Debug, Clone)]
enum Hiding {
    /// The byte after the escape, with these bits turned over.
    Xor(u8),
    /// The byte after the escape, and what it stands for.
    Pairs(Vec<(u8, u8)>),
    /// The escape twice.
    Doubled,
}

impl Framing {
    /// The check of its frames.
    pub fn check(&self) -> Option<&Check> {
        self.check.as_ref()
    }

    /// The most bytes that a frame has.
    pub fn max(&self) -> usize {
        self.max
    }

    /// What stands in a frame between `start` and `end`, without the check and what separates it (`skipEnd`) where these
    /// stand last in it.
    pub fn content<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let from = self.start.len().min(frame.len());
        let trailer = if let Ending::Mark { trailer, .. } = self.ending { trailer } else { 0 };
        let mut to = frame.len().saturating_sub(trailer + self.mark(frame)).max(from);
        if let Some(check) = &self.check
            && let Some(place) = check.place(frame.len(), self.behind_check(frame))
            && place.end == to
        {
            to = place.start.saturating_sub(check.skip_end()).max(from);
        }
        &frame[from..to]
    }

    /// Whether the check of a whole frame is right; true without one.
    ///
    /// # Errors
    /// Both sums.
    pub fn verify(&self, frame: &[u8]) -> Result<(), String> {
        let Some(check) = &self.check else { return Ok(()) };
        let behind = self.behind_check(frame);
        // What belongs to the start is no check.
        match check.place(frame.len(), behind) {
            Some(place) if place.start < self.start.len() => {
                Err(format!("{} bytes are too short for start and check", frame.len()))
            }
            _ => check.verify(frame, behind),
        }
    }

    /// Appends the check of what stands before, hidden as the frame hides bytes. For `{check}` in what is sent; what stands
    /// before is taken as it is.
    ///
    /// # Errors
    /// The frame has no check, or what stands before is too short for it.
    pub fn append_check(&self, request: &mut Vec<u8>) -> Result<(), String> {
        let check = self.check.as_ref().ok_or("the frame has no check; say which under frame.check")?;
        let from = request.len();
        check.append(request)?;
        let hidden = self.hide(&request[from..]);
        request.truncate(from);
        request.extend(hidden);
        Ok(())
    }

    /// These bytes as they are written inside of a frame: byte stuffing done.
    pub fn hide(&self, bytes: &[u8]) -> Vec<u8> {
        let Some(Stuffing { escape, hiding }) = &self.stuffing else { return bytes.to_vec() };
        let mut hidden = Vec::with_capacity(bytes.len() + 8);
        for byte in bytes {
            let follows = match hiding {
                Hiding::Xor(bits) => {
                    let mark = if let Ending::Mark { bytes, .. } = &self.ending { &bytes[..] } else { &[] };
                    (byte == escape || self.start.contains(byte) || mark.contains(byte)).then_some(byte ^ bits)
                }
                Hiding::Pairs(pairs) => pairs.iter().find(|(_, meant)| meant == byte).map(|(next, _)| *next),
                Hiding::Doubled => (byte == escape).then_some(*escape),
            };
            match follows {
                Some(next) => hidden.extend([*escape, next]),
                None => hidden.push(*byte),
            }
        }
        hidden
    }

    /// How many bytes mark the end of this frame; a CR before a lone LF is one of them.
    fn mark(&self, frame: &[u8]) -> usize {
        match &self.ending {
            Ending::Mark { bytes, trailer } => {
                let before = frame.len().saturating_sub(trailer + bytes.len()).max(self.start.len());
                let carriage =
                    bytes == b"\n" && frame.get(self.start.len()..before).is_some_and(|c| c.ends_with(b"\r"));
                bytes.len() + usize::from(carriage)
            }
            Ending::Length(_) | Ending::LengthAt { .. } | Ending::Gap => 0,
        }
    }

    /// The fewest bytes of a frame of which so many are no check.
    fn least(&self, others: usize) -> usize {
        let Some(check) = &self.check else { return others };
        check.least(0).max(others + check.len() + check.after().unwrap_or(0))
    }

    /// How many bytes follow the check, where YAML does not say.
    fn behind_check(&self, frame: &[u8]) -> usize {
        if matches!(self.ending, Ending::Mark { trailer: 1.., .. }) { 0 } else { self.mark(frame) }
    }

    /// Whether one mark may end a frame and begin the next.
    fn shares_mark(&self) -> bool {
        matches!(&self.ending, Ending::Mark { bytes, trailer: 0 } if *bytes == self.start)
    }

    /// Whether its length tells where a frame ends.
    fn is_counted(&self) -> bool {
        matches!(self.ending, Ending::Length(_) | Ending::LengthAt { .. })
    }

    /// Whether nothing but a silence tells where a frame begins.
    fn begins_by_silence(&self) -> bool {
        self.is_counted() && self.start.is_empty() && self.check.is_none()
    }
}

/// Where the needle first stands in the bytes.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    match needle {
        [] => None,
        [byte] => bytes.iter().position(|b| b == byte),
        _ => bytes.windows(needle.len()).position(|window| window == needle),
    }
}
