//! From YAML to a [`Framing`]: each number in its range, and no two keys that contradict each other. All mistakes are told at
//! once, by their keys inside `frame`.

use std::time::Duration;

use super::{Ending, Framing, Hiding, Stuffing};
use crate::{
    check::{Check, Mistake},
    config, octets,
};

/// The most bytes of a frame where YAML says nothing.
const MAX: usize = 1024;
/// The most that it may say.
const MOST: i64 = 16384;

impl Framing {
    /// Reads what YAML says of a frame.
    ///
    /// # Errors
    /// All mistakes, by their keys inside `frame`, with what would be accepted.
    pub fn new(yaml: &config::Frame) -> Result<Self, Vec<Mistake>> {
        let mut reader = Reader::default();
        let start = reader.octets("start", yaml.start.as_deref()).unwrap_or_default();
        let ending = reader.ending(yaml);
        let gap = yaml.gap.map(|gap| gap.0);
        if gap.is_some_and(|gap| gap.is_zero() || gap > Duration::from_secs(60)) {
            reader.mistake("gap", "is out of range; 1ms to 1m would be accepted");
        }
        let stuffing = yaml.stuffing.as_ref().and_then(|stuffing| reader.stuffing(stuffing));
        let check = yaml.check.as_ref().and_then(|check| match Check::new(check) {
            Ok(check) => Some(check),
            Err(mistakes) => {
                reader.mistakes.extend(mistakes.into_iter().map(|(key, message)| (format!("check.{key}"), message)));
                None
            }
        });
        let max = reader.number("max", yaml.max, 1, MOST);
        let length = if let Some(Ending::Length(length)) = ending { length } else { 0 };
        if let Some(max) = max.filter(|max| length > *max) {
            reader.mistake("max", format!("is {max}, but length says {length}"));
        }
        let framing = Self {
            start,
            ending: ending.unwrap_or(Ending::Gap),
            gap,
            stuffing,
            max: max.unwrap_or(MAX.max(length)),
            check,
        };
        // What stands together is looked at where each key alone is right.
        if reader.mistakes.is_empty() {
            reader.together(&framing);
        }
        if reader.mistakes.is_empty() { Ok(framing) } else { Err(reader.mistakes) }
    }
}

/// Collects mistakes.
#[derive(Default)]
struct Reader {
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn mistake(&mut self, key: &str, message: impl Into<String>) {
        self.mistakes.push((key.to_owned(), message.into()));
    }

    fn octets(&mut self, key: &str, text: Option<&str>) -> Option<Vec<u8>> {
        match octets::parse(text?) {
            Ok(bytes) if (1..=64).contains(&bytes.len()) => return Some(bytes),
            Ok(bytes) => self.mistake(key, format!("has {} bytes; 1 to 64 would be accepted", bytes.len())),
            Err(error) => self.mistake(key, error.to_string()),
        }
        None
    }

    fn byte(&mut self, key: &str, text: &str) -> Option<u8> {
        match octets::parse(text) {
            Ok(bytes) if bytes.len() == 1 => return Some(bytes[0]),
            Ok(bytes) => {
                self.mistake(key, format!("has {} bytes; one would be accepted, such as '\\x7d'", bytes.len()));
            }
            Err(error) => self.mistake(key, error.to_string()),
        }
        None
    }

    fn number(&mut self, key: &str, number: Option<i64>, least: i64, most: i64) -> Option<usize> {
        let number = number?;
        let fits = usize::try_from(number).ok().filter(|_| (least..=most).contains(&number));
        if fits.is_none() {
            self.mistake(key, format!("is {number}; {least} to {most} would be accepted"));
        }
        fits
    }

    /// What ends a frame; none after a mistake.
    fn ending(&mut self, yaml: &config::Frame) -> Option<Ending> {
        let mark = self.octets("end", yaml.end.as_deref());
        let length = self.number("length", yaml.length, 1, MOST);
        let length_at = yaml.length_at.as_ref().and_then(|at| self.length_at(at));
        let trailer = self.number("trailer", yaml.trailer, 1, 32);
        if yaml.trailer.is_some() && yaml.end.is_none() {
            self.mistake("trailer", "follows `end`, and there is none");
        }
        let given: Vec<_> =
            [("end", yaml.end.is_some()), ("length", yaml.length.is_some()), ("lengthAt", yaml.length_at.is_some())]
                .into_iter()
                .filter_map(|(key, given)| given.then_some(key))
                .collect();
        for key in given.iter().skip(1) {
            self.mistake(key, format!("stands beside `{}`; one of them tells where a frame ends", given[0]));
        }
        if given.is_empty() && yaml.gap.is_none() {
            self.mistake("", "does not say where a frame ends; one of `end`, `length`, `lengthAt` and `gap` would");
        }
        let mark = mark.map(|bytes| Ending::Mark { bytes, trailer: trailer.unwrap_or(0) });
        mark.or(length.map(Ending::Length)).or(length_at).or(Some(Ending::Gap).filter(|_| given.is_empty()))
    }

    fn length_at(&mut self, yaml: &config::LengthAt) -> Option<Ending> {
        let offset = self.number("lengthAt.offset", Some(yaml.offset), 0, 64);
        let size = match yaml.size.unwrap_or(1) {
            1 => Some(1),
            2 => Some(2),
            4 => Some(4),
            other => {
                self.mistake("lengthAt.size", format!("is {other}; 1, 2 or 4 would be accepted"));
                None
            }
        };
        let add = yaml.add.unwrap_or(0);
        if !(-64..=255).contains(&add) {
            self.mistake("lengthAt.add", format!("is {add}; -64 to 255 would be accepted"));
        }
        Some(Ending::LengthAt { offset: offset?, size: size?, order: yaml.order.unwrap_or_default(), add })
    }

    fn stuffing(&mut self, yaml: &config::Stuffing) -> Option<Stuffing> {
        let escape = self.byte("stuffing.escape", &yaml.escape);
        let xor = self.number("stuffing.xor", yaml.xor, 1, 255).and_then(|bits| u8::try_from(bits).ok());
        let mut pairs = Vec::new();
        for (next, meant) in &yaml.pairs {
            let key = format!("stuffing.pairs.{next}");
            if let (Some(next), Some(meant)) = (self.byte(&key, next), self.byte(&key, meant)) {
                if pairs.iter().any(|(known, hidden)| *known == next || *hidden == meant) {
                    self.mistake(&key, "says a byte twice; each stands for one other");
                }
                pairs.push((next, meant));
            }
        }
        let hidings = [
            yaml.xor.map(|_| xor.map(Hiding::Xor)),
            (!yaml.pairs.is_empty()).then_some(Some(Hiding::Pairs(pairs))),
            yaml.doubled.filter(|doubled| *doubled).map(|_| Some(Hiding::Doubled)),
        ];
        let mut given = hidings.into_iter().flatten();
        if let (Some(hiding), None) = (given.next(), given.next()) {
            return Some(Stuffing { escape: escape?, hiding: hiding? });
        }
        self.mistake("stuffing", "needs exactly one of `xor`, `pairs` and `doubled: true`");
        None
    }

    /// Keys that are right alone, but not together.
    fn together(&mut self, framing: &Framing) {
        let Framing { start, ending, gap, stuffing, max, check } = framing;
        match ending {
            Ending::Mark { bytes, trailer } => {
                let least = start.len() + bytes.len() + trailer;
                // One more: a frame that holds nothing is none.
                if least >= *max {
                    self.mistake("max", format!("is {max}, but start, end and trailer alone have {least} bytes"));
                }
            }
            Ending::Length(length) => {
                let least = framing.least(start.len());
                if *length < least {
                    self.mistake("length", format!("is {length}, but start and check alone take {least} bytes"));
                }
            }
            Ending::LengthAt { offset, size, .. } => {
                if *offset < start.len() {
                    let message = format!("is {offset}, inside of `start`; {} and more would be accepted", start.len());
                    self.mistake("lengthAt.offset", message);
                }
                if offset + size > *max {
                    self.mistake("max", format!("is {max}, but the length stands up to byte {}", offset + size));
                }
            }
            Ending::Gap => {}
        }
        if start.len() > *max {
            self.mistake("max", format!("is {max}, but start alone has {} bytes", start.len()));
        }
        if framing.begins_by_silence() && gap.is_none() {
            self.mistake(
                "start",
                "is missing: a frame that tells its length needs one of `start`, `check` and `gap` as well, \
                 else nobody knows where it begins",
            );
        }
        if let (Ending::Mark { bytes, trailer }, Some(check)) = (ending, check) {
            let (length, after) = (check.len(), check.after().unwrap_or(if *trailer > 0 { 0 } else { bytes.len() }));
            if after < trailer + bytes.len() && after + length > *trailer {
                let key = if *trailer > 0 { "trailer" } else { "check.after" };
                let message = format!(
                    "is wrong: the check has {length} bytes and {after} after it, which is neither within the trailer's \
                     {trailer} nor before `end`"
                );
                self.mistake(key, message);
            }
        }
        if let Some(Stuffing { escape, hiding }) = stuffing {
            let mark = if let Ending::Mark { bytes, .. } = ending { &bytes[..] } else { &[] };
            for (key, bytes) in
                [("start", &start[..]), ("end", mark)].into_iter().filter(|(_, bytes)| !bytes.is_empty())
            {
                let announced = bytes.len() >= 2 && bytes[0] == *escape && bytes[1] != *escape;
                match hiding {
                    Hiding::Doubled if !announced => self.mistake(
                        key,
                        "begins without the escape byte; where that is doubled it begins start and end, as in '\\x10\\x02'",
                    ),
                    Hiding::Xor(_) | Hiding::Pairs(_) if bytes[0] == *escape => {
                        self.mistake(key, "begins with the escape byte, which announces a hidden one");
                    }
                    _ => {}
                }
            }
        }
    }
}
