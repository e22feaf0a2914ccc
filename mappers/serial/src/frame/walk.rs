//! One try at a frame: from a place in the stream where one may begin to where it ends, or to where it shows that it is none.
//! What was looked at once is not looked at again while more bytes come.

use super::{Ending, Framing, Hiding, Stuffing, find};
use crate::{config::Order, octets::Shown};

/// How far a try has come. Places are in the framer's buffer.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// With byte stuffing: the next byte to look at, and what was found until then. None before the first one.
    hidden: Option<Hidden>,
}

#[derive(Debug)]
struct Hidden {
    /// In bytes from the frame's first.
    at: usize,
    clean: Vec<u8>,
}

/// Where ends stand, or do not: the same for all tries, so that noise is not searched once for each.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// No end begins before this place and behind `from`.
    pub(super) scanned: usize,
    /// The first end.
    pub(super) found: Option<usize>,
}

/// What a try has come to.
#[derive(Debug)]
pub(super) enum Step {
    /// More bytes are needed to tell.
    More,
    /// The frame ends before this place. It is nothing but a mark of its end.
    Empty(usize),
    /// The frame ends before this place.
    Whole(usize, Vec<u8>),
    /// It is none, as shows before this place; `looks` is what it cost, in bytes looked at.
    Broken { to: usize, why: String, looks: usize },
}

/// What is known of a length.
enum Length {
    Unknown,
    Known(usize),
    Impossible(usize, String),
}

impl Framing {
    /// Goes on with a try at `from`, whose `start` was found. `silent`: the line was silent after the last byte.
    pub(super) fn walk(&self, walk: &mut Walk, ends: &mut Ends, heard: &[u8], from: usize, silent: bool) -> Step {
        match &self.stuffing {
            Some(stuffing) => self.walk_hidden(walk, stuffing, heard, from, silent),
            None => self.walk_plain(ends, heard, from, silent),
        }
    }

    fn walk_plain(&self, ends: &mut Ends, heard: &[u8], from: usize, silent: bool) -> Step {
        let whole = |to: usize| match heard.get(from..to) {
            Some(frame) if self.is_empty(frame) => Step::Empty(to),
            Some(frame) => Step::Whole(to, frame.to_vec()),
            None => Step::More,
        };
        match &self.ending {
            Ending::Mark { bytes, trailer } => {
                ends.forget_before(from + self.start.len());
                let found = ends.search(heard, bytes);
                // The last place where an end may begin.
                let last = from + self.max - trailer - bytes.len();
                match found {
                    Some(at) if at <= last => whole(at + bytes.len() + trailer),
                    None if heard.len() < last + bytes.len() => Step::More,
                    _ if self.start.is_empty() => self.too_long(last + 1, 1),
                    _ => self.too_long(last + bytes.len(), 1),
                }
            }
            Ending::Gap => match heard.len() - from {
                length if length > self.max => self.too_long(from + self.max, self.max),
                _ if silent => whole(heard.len()),
                _ => Step::More,
            },
            Ending::Length(_) | Ending::LengthAt { .. } => match self.length(&heard[from..]) {
                Length::Unknown => Step::More,
                Length::Known(length) => whole(from + length),
                Length::Impossible(seen, why) => Step::Broken { to: from + seen, why, looks: seen },
            },
        }
    }

    fn walk_hidden(&self, walk: &mut Walk, stuffing: &Stuffing, heard: &[u8], from: usize, silent: bool) -> Step {
        let start = self.start.len();
        let Hidden { at, clean } =
            walk.hidden.get_or_insert_with(|| Hidden { at: start, clean: heard[from..from + start].to_vec() });
        let (mark, trailer) = match &self.ending {
            Ending::Mark { bytes, trailer } => (&bytes[..], *trailer),
            Ending::Length(_) | Ending::LengthAt { .. } | Ending::Gap => (&[][..], 0),
        };
        loop {
            if let Length::Impossible(_, why) = self.length(clean) {
                return Step::Broken { to: from + *at, why, looks: *at };
            }
            if let Length::Known(length) = self.length(clean)
                && clean.len() >= length
            {
                return Step::Whole(from + *at, std::mem::take(clean));
            }
            let ahead = &heard[from + *at..];
            let to = from + *at;
            let broken = |to: usize, why: String| Step::Broken { to, why, looks: to - from };
            if clean.len() + mark.len() + trailer > self.max {
                return self.too_long(to, to - from);
            }
            if !mark.is_empty() && ahead.starts_with(mark) {
                let Some(tail) = ahead.get(..mark.len() + trailer) else { return Step::More };
                clean.extend(tail);
                let to = to + tail.len();
                return if self.is_empty(clean) { Step::Empty(to) } else { Step::Whole(to, std::mem::take(clean)) };
            }
            match *ahead {
                [] if silent && matches!(self.ending, Ending::Gap) => return Step::Whole(to, std::mem::take(clean)),
                [] => return Step::More,
                // The next byte would make it the end, or not.
                _ if ahead.len() < mark.len() && mark.starts_with(ahead) => return Step::More,
                [byte, ref rest @ ..] if byte == stuffing.escape => match (rest.first(), &stuffing.hiding) {
                    (None, _) => return Step::More,
                    (Some(next), Hiding::Doubled) if *next == byte => clean.push(byte),
                    (Some(_), Hiding::Doubled) if begins(ahead, &self.start) => {
                        return broken(to, "another frame begins before this one ends".to_owned());
                    }
                    (Some(next), Hiding::Pairs(pairs)) if pairs.iter().any(|(known, _)| known == next) => {
                        clean.extend(pairs.iter().find(|(known, _)| known == next).map(|(_, meant)| *meant));
                    }
                    (Some(_), Hiding::Xor(_)) if !mark.is_empty() && rest.starts_with(mark) => {
                        return broken(to + 1, "it is broken off: the escape byte stands before the end".to_owned());
                    }
                    (Some(next), Hiding::Xor(bits)) => clean.push(next ^ bits),
                    (Some(_), _) => {
                        let shown = Shown(&ahead[..2]).to_string();
                        return broken(to + 1, format!("{shown} hides no byte"));
                    }
                },
                // A start of one byte is always hidden inside of a frame.
                [byte, ..] if self.start == [byte] && mark != [byte] => {
                    return broken(to, "another frame begins before this one ends".to_owned());
                }
                [byte, ..] => {
                    clean.push(byte);
                    *at += 1;
                    continue;
                }
            }
            *at += 2;
        }
    }

    fn too_long(&self, to: usize, looks: usize) -> Step {
        Step::Broken { to, why: format!("it has more than the {} bytes that a frame may have", self.max), looks }
    }

    /// What a frame that begins so says of its length.
    fn length(&self, frame: &[u8]) -> Length {
        match &self.ending {
            Ending::Length(length) => Length::Known(*length),
            Ending::LengthAt { offset, size, order, add } => {
                let Some(number) = frame.get(*offset..offset + size) else { return Length::Unknown };
                let more = |sum: i64, byte: &u8| sum << 8 | i64::from(*byte);
                let number = match order {
                    Order::Abcd => number.iter().fold(0, more),
                    Order::Dcba => number.iter().rev().fold(0, more),
                };
                let (least, length) = (self.least(offset + size), number + add);
                match usize::try_from(length).ok().filter(|length| (least..=self.max).contains(length)) {
                    Some(length) => Length::Known(length),
                    None => Length::Impossible(
                        offset + size,
                        format!("it says that it has {length} bytes; {least} to {} would be accepted", self.max),
                    ),
                }
            }
            Ending::Mark { .. } | Ending::Gap => Length::Unknown,
        }
    }

    /// A mark and nothing before it: an empty line, or the idle state of lines that fill pauses with marks.
    fn is_empty(&self, frame: &[u8]) -> bool {
        let marked = matches!(self.ending, Ending::Mark { trailer: 0, .. });
        marked && (self.start.is_empty() || self.shares_mark()) && frame.len() == self.start.len() + self.mark(frame)
    }
}

impl Ends {
    fn forget_before(&mut self, from: usize) {
        self.scanned = self.scanned.max(from);
        self.found = self.found.filter(|found| *found >= from);
    }

    fn search(&mut self, heard: &[u8], mark: &[u8]) -> Option<usize> {
        if self.found.is_none() && self.scanned < heard.len() {
            self.found = find(&heard[self.scanned..], mark).map(|at| at + self.scanned);
            // An end that is half heard may begin behind this place.
            self.scanned = self.found.unwrap_or((heard.len() + 1).saturating_sub(mark.len()).max(self.scanned));
        }
        self.found
    }
}

/// Whether the bytes begin with the other ones, where these are any.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    !with.is_empty() && bytes.starts_with(with)
}
