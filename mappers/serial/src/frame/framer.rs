//! Frames out of a stream of bytes. After noise, a false start, a frame that is too long or one whose check is wrong the search
//! goes on at the byte behind the place where that frame seemed to begin, so that a frame that begins inside is found.
//!
//! Where YAML names no `start`, a frame begins where the last one ended, so that noise may cost the frame that follows it, and
//! with a `trailer` the next one too; with `length` or `lengthAt` it may begin at each byte, until the check is right. The
//! piece before the first end after opening may be half a frame: with a check it is tried, without one it is passed over,
//! unless the line was silent before it.
//!
//! Bounds. Memory: twice `max` (byte stuffing may double a frame) and what one `push` brings, and a copy of one bad frame.
//! Work: each byte is searched once for `start` and once for `end`; inside of a frame that turned out to be none, frames are
//! tried until [`LOOKS`] times its length was looked at, and then its bytes are passed over. Noise costs a few looks for each
//! byte; only bytes made for it come to that bound, and only then may a frame among them be lost.

use std::{sync::Arc, time::Duration};

use super::{
    Ending, Framing, find,
    walk::{Ends, Step, Walk},
};
use crate::octets::Shown;

/// How often, on average, each byte of a frame that is none may be looked at again.
pub(super) const LOOKS: usize = 64;

/// How long a line must be silent after opening for what comes next to be a whole frame, where YAML says no `gap`. Devices
/// that send a line in one go pause for less inside of it, even behind USB adapters and device servers.
const SETTLED: Duration = Duration::from_millis(200);

/// What was found in the stream, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A whole frame whose check, if there is one, is right; byte stuffing undone.
    Frame(Vec<u8>),
    /// What looked like a frame and is none.
    Bad {
        /// As they were heard.
        bytes: Vec<u8>,
        /// What is wrong with them.
        why: String,
    },
    /// So many bytes belong to no frame.
    Skipped(usize),
}

/// Finds frames. Call [`Framer::push`] or [`Framer::silence`], and then `next` until it gives none.
#[derive(Debug)]
pub struct Framer {
    framing: Arc<Framing>,
    /// What was heard. Places, below, are in it.
    heard: Vec<u8>,
    /// Where the frame begins that is tried; what is before it is done with.
    head: usize,
    /// Whether `start` stands at the head.
    begun: bool,
    walk: Walk,
    ends: Ends,
    /// The line was silent at this place.
    silence: Option<usize>,
    /// Nothing has shown yet that the head is not in the middle of a frame.
    opening: bool,
    /// A frame without start was too long: what remains of it is passed over.
    discarding: bool,
    /// A frame that is none, while it is searched for another one inside.
    bad: Option<Bad>,
    /// Up to here bytes were counted, as part of a frame, of a bad one, or as skipped.
    counted: usize,
    /// Up to here bytes were told as bad: what is bad inside is not told again.
    told: usize,
    /// Up to here bytes were looked at in tries that failed, and how many more looks they have.
    tried: usize,
    looks: usize,
    #[cfg(test)]
    pub(super) looked: usize,
    skipped: usize,
    /// What was found behind skipped bytes that are told first.
    behind: Option<Found>,
}

#[derive(Debug)]
struct Bad {
    from: usize,
    to: usize,
    bytes: Vec<u8>,
    why: String,
}

enum Next {
    Found(Found),
    Again,
    More,
}

impl Framer {
    /// A framer at a place of the stream that may be in the middle of a frame.
    pub fn new(framing: Arc<Framing>) -> Self {
        Self {
            opening: framing.start.is_empty(),
            framing,
            heard: Vec::new(),
            head: 0,
            begun: false,
            walk: Walk::default(),
            ends: Ends::default(),
            silence: None,
            discarding: false,
            bad: None,
            counted: 0,
            told: 0,
            tried: 0,
            looks: 0,
            #[cfg(test)]
            looked: 0,
            skipped: 0,
            behind: None,
        }
    }

    /// What a frame is.
    pub fn framing(&self) -> &Arc<Framing> {
        &self.framing
    }

    /// Bytes were heard.
    pub fn push(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
    }

    /// How long the line must be silent from now, or from the last byte, for [`Framer::silence`] to be called; none while a
    /// silence would say nothing.
    pub fn gap(&self) -> Option<Duration> {
        let waiting = self.head < self.heard.len();
        match self.framing.gap {
            Some(gap) => (waiting || self.opening || self.discarding).then_some(gap),
            None => (self.opening && !waiting).then_some(SETTLED),
        }
    }

    /// The line was silent for [`Framer::gap`].
    pub fn silence(&mut self) {
        if self.framing.gap.is_some() {
            self.finish();
        } else if self.head == self.heard.len() {
            self.opening = false;
        }
    }

    /// Whether something was heard that is no frame yet.
    pub fn pending(&self) -> bool {
        self.head < self.heard.len()
    }

    /// Nothing more comes: what is there is judged as it stands. For the end of a sample, and of the time for an answer.
    pub fn finish(&mut self) {
        self.silence.get_or_insert(self.heard.len());
    }

    /// Forgets what was heard, and gives how many bytes that were; what comes next begins a frame. For use before a request.
    pub fn clear(&mut self) -> usize {
        let framing = Arc::clone(&self.framing);
        let counted = self.counted.max(self.head).min(self.heard.len());
        let forgotten = self.heard.len() - counted + self.skipped;
        *self = Self { opening: false, heard: std::mem::take(&mut self.heard), ..Self::new(framing) };
        self.heard.clear();
        forgotten
    }

    /// How many bytes of memory it holds for what was heard.
    pub fn kept(&self) -> usize {
        self.heard.capacity()
    }

    fn step(&mut self) -> Next {
        if let Some(bad) = self.bad.take_if(|bad| self.head >= bad.to) {
            return Next::Found(self.tell(bad));
        }
        let mut end = self.silence.unwrap_or(self.heard.len());
        // What begins inside of a bad frame ends with it, if it is one at all; but where frames tell their length it may reach
        // behind it, and the bad one is told once that has shown.
        if let Some(bad) = self.bad.as_ref().filter(|_| !self.framing.is_counted()) {
            end = bad.to;
        }
        let silent = self.silence == Some(end);
        if self.discarding {
            return self.discard(end);
        }
        if !self.begun {
            let start = &self.framing.start;
            let at = match find(&self.heard[self.head..end], start) {
                Some(at) => self.head + at,
                None if start.is_empty() => self.head,
                // The longest piece at the end that start may begin with.
                None => (self.head.max((end + 1).saturating_sub(start.len()))..end)
                    .find(|at| start.starts_with(&self.heard[*at..end]))
                    .unwrap_or(end),
            };
            let begun = self.heard[at..end].starts_with(start) && at < end;
            self.move_to(at);
            self.begun = begun && self.head == at;
            if self.bad.as_ref().is_some_and(|bad| self.head >= bad.to) {
                return Next::Again;
            }
            if !self.begun {
                return self.starved(end, silent);
            }
        }
        let heard = &self.heard[..end];
        match self.framing.walk(&mut self.walk, &mut self.ends, heard, self.head, silent) {
            Step::More => self.starved(end, silent),
            Step::Empty(to) => {
                self.counted = self.counted.max(to);
                self.opening = false;
                self.move_to(self.behind_mark(to));
                Next::Again
            }
            Step::Whole(to, frame) => match self.framing.verify(&frame) {
                Ok(()) => self.frame(to, frame),
                Err(why) => self.fail(to, why, to - self.head),
            },
            Step::Broken { to, why, looks } => self.fail(to, why, looks),
        }
    }

    /// What is there does not suffice.
    fn starved(&mut self, end: usize, silent: bool) -> Next {
        if let Some(bad) = self.bad.take_if(|_| !self.framing.is_counted()) {
            return Next::Found(self.tell(bad));
        }
        if !silent {
            return Next::More;
        }
        let only_mark = self.framing.shares_mark() && self.head + self.framing.start.len() == end;
        if self.head < end && self.begun && !only_mark {
            let why = format!("it breaks off after {} bytes", end - self.head);
            return self.fail(end, why, 1);
        }
        self.move_to(end);
        self.silence = None;
        self.opening = false;
        self.discarding = false;
        Next::Again
    }

    fn frame(&mut self, to: usize, frame: Vec<u8>) -> Next {
        if let Some(bad) = self.bad.take() {
            self.skipped += self.head - bad.from.max(self.counted).min(self.head);
        }
        if self.opening && self.framing.check.is_none() {
            // It may be the second half of one.
            self.opening = self.framing.begins_by_silence();
            self.move_to(to);
            return Next::Again;
        }
        self.opening = false;
        self.counted = self.counted.max(to);
        self.move_to(self.behind_mark(to));
        Next::Found(Found::Frame(frame))
    }

    /// What was tried at the head is no frame, as shows before `to`.
    fn fail(&mut self, to: usize, why: String, looks: usize) -> Next {
        #[cfg(test)]
        {
            self.looked += looks;
        }
        if self.head >= self.tried {
            self.looks = 0;
        }
        self.looks = (self.looks + LOOKS * to.saturating_sub(self.tried.max(self.head))).saturating_sub(looks);
        self.tried = self.tried.max(to);
        if self.opening {
            // Likely the second half of a frame: nobody need know.
            self.told = self.told.max(to);
            self.opening = self.framing.begins_by_silence();
        } else if self.bad.is_none() && self.head >= self.told {
            self.bad = Some(Bad { from: self.head, to, bytes: self.heard[self.head..to].to_vec(), why });
        }
        let without_start = self.framing.start.is_empty();
        let next = match &self.framing.ending {
            Ending::Mark { bytes, trailer } if without_start => {
                let ended = self.heard[self.head..to].len() >= bytes.len() + trailer
                    && self.heard[..to - trailer].ends_with(bytes);
                self.discarding = !ended;
                to
            }
            Ending::Gap if without_start => {
                self.discarding = self.silence != Some(to);
                to
            }
            _ if self.looks == 0 => self.tried,
            _ => self.head + 1,
        };
        self.move_to(next);
        Next::Again
    }

    /// Passes over what remains of a frame that was too long.
    fn discard(&mut self, end: usize) -> Next {
        if let Ending::Mark { bytes, trailer } = &self.framing.ending {
            let (length, trailer) = (bytes.len(), *trailer);
            let Some(at) = find(&self.heard[self.head..end], bytes).map(|at| self.head + at) else {
                self.move_to(self.head.max((end + 1).saturating_sub(length)));
                return self.starved(end, self.silence == Some(end));
            };
            if at + length + trailer > end {
                self.move_to(at);
                return self.starved(end, self.silence == Some(end));
            }
            self.discarding = false;
            self.move_to(at + length + trailer);
            return Next::Again;
        }
        self.move_to(end);
        self.starved(end, self.silence == Some(end))
    }

    fn tell(&mut self, bad: Bad) -> Found {
        self.told = self.told.max(bad.to);
        self.counted = self.counted.max(bad.to);
        Found::Bad { bytes: bad.bytes, why: bad.why }
    }

    /// The head goes on; the bytes between belong to no frame, if they were not counted otherwise.
    fn move_to(&mut self, place: usize) {
        // The bytes of a bad frame are counted when it is told, and before those behind it.
        let place = self.bad.as_ref().map_or(place, |bad| place.min(bad.to));
        if self.bad.is_none() {
            self.skipped += place.saturating_sub(self.counted.max(self.head));
            self.counted = self.counted.max(place);
        }
        if place != self.head {
            self.begun = false;
            self.walk = Walk::default();
        }
        self.head = place;
    }

    /// Where the next frame may begin after one that ends before this place.
    fn behind_mark(&self, to: usize) -> usize {
        if self.framing.shares_mark() { to - self.framing.start.len() } else { to }
    }

    /// Gives up the bytes that are done with, once they are more than the others.
    fn forget(&mut self) {
        let done = self.head;
        if done * 2 <= self.heard.len() || self.bad.is_some() {
            return;
        }
        self.heard.drain(..done);
        self.head = 0;
        self.ends.found = self.ends.found.and_then(|found| found.checked_sub(done));
        self.silence = self.silence.map(|silence| silence.saturating_sub(done));
        for place in [&mut self.ends.scanned, &mut self.counted, &mut self.told, &mut self.tried] {
            *place = place.saturating_sub(done);
        }
    }
}

/// None until more is pushed; it may then give frames again.
impl Iterator for Framer {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if let Some(found) = self.behind.take() {
            return Some(found);
        }
        let found = loop {
            match self.step() {
                Next::Found(found) => break Some(found),
                Next::Again => {}
                Next::More => break None,
            }
        };
        if found.is_none() {
            self.forget();
        }
        if self.skipped == 0 {
            return found;
        }
        self.behind = found;
        Some(Found::Skipped(std::mem::take(&mut self.skipped)))
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Frame(frame) => write!(f, "frame {}", Shown(frame)),
            Self::Bad { bytes, why } => write!(f, "no frame: {why}: {}", Shown(bytes)),
            Self::Skipped(count) => write!(f, "{count} bytes skipped"),
        }
    }
}
