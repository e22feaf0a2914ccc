//! A line that speaks by itself: bytes in, telegrams out. Memory is bounded by the longest telegram of the language.

use super::{Cut, Keys, Telegram, cut, iec62056, nmea, p1, seal, sml};
use crate::config::Language;

/// What is on the line.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// A telegram that proved itself.
    Telegram(Telegram),
    /// Bytes that began as one, and why they are none.
    Bad {
        /// All of them.
        bytes: Vec<u8>,
        /// For people.
        why: String,
    },
    /// So many bytes of noise.
    Skipped(usize),
}

/// Listens to one line. Telegrams go out in the order of their coming, each once.
#[derive(Debug)]
pub struct Listener {
    language: Language,
    keys: Keys,
    /// What came and is not read yet.
    waiting: Vec<u8>,
    /// Bytes that were dropped because nobody took telegrams out.
    dropped: usize,
    /// The meter's title and the last frame counter that it used.
    counter: Option<([u8; 8], u32)>,
    /// A P1 meter has sent a CRC: it always does.
    checked: bool,
}

/// Bytes that wait at most: two of the longest telegrams. [`Listener::next`] empties it after each piece.
const WAITING: usize = 2 * p1::LONGEST;

impl Listener {
    /// A line that speaks this language; the meter that is asked, in `iec62056`, is read as an answer is: by its data sets.
    pub fn new(language: Language, keys: Keys) -> Self {
        Self { language, keys, waiting: Vec::new(), dropped: 0, counter: None, checked: false }
    }

    /// Bytes as they come. Take out what is heard before the next ones: what does not fit is lost, and counted.
    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        if let Some(over) = self.waiting.len().checked_sub(WAITING).filter(|over| *over > 0) {
            self.waiting.drain(..over);
            self.dropped += over;
        }
    }

    /// The line was silent for longer than a telegram pauses: what waits will not be finished.
    pub fn silence(&mut self) -> Option<Heard> {
        let bytes = std::mem::take(&mut self.waiting);
        (!bytes.is_empty()).then(|| Heard::Bad { bytes, why: "the line fell silent within a telegram".into() })
    }

    /// The next thing on the line; none until more bytes have come.
    pub fn next(&mut self) -> Option<Heard> {
        if self.dropped > 0 {
            return Some(Heard::Skipped(std::mem::take(&mut self.dropped)));
        }
        match self.cut() {
            Cut::More => None,
            Cut::Noise(count) => {
                self.waiting.drain(..count);
                Some(Heard::Skipped(count))
            }
            Cut::Bad(count, why) => Some(Heard::Bad { bytes: self.waiting.drain(..count).collect(), why }),
            Cut::Whole(count) => {
                let mut bytes: Vec<u8> = self.waiting.drain(..count).collect();
                Some(match self.read(&bytes) {
                    Ok(telegram) => Heard::Telegram(telegram),
                    Err(why) => {
                        // A length or an end that noise made up must not swallow the telegram that follows.
                        if let Some(again) = self.start().and_then(|start| cut::find(&bytes, start, 1)) {
                            self.waiting.splice(..0, bytes.drain(again..));
                        }
                        Heard::Bad { bytes, why }
                    }
                })
            }
        }
    }

    /// The bytes that a telegram of the language begins with, where they are rare inside of one.
    fn start(&self) -> Option<&'static [u8]> {
        match self.language {
            Language::P1 if self.keys.encryption.is_some() => Some(&seal::START),
            Language::Sml => Some(&sml::START),
            _ => None,
        }
    }

    fn cut(&self) -> Cut {
        match self.language {
            Language::P1 => p1::cut(&self.waiting),
            Language::Sml => sml::cut(&self.waiting),
            Language::Iec62056 => iec62056::cut(&self.waiting),
            Language::Nmea => nmea::cut(&self.waiting),
            _ => Cut::More,
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Telegram, String> {
        match self.language {
            Language::P1 if bytes.first() == Some(&seal::TAG) => {
                let sealed = seal::parse(bytes)?;
                self.fresh(&sealed)?;
                let telegram = p1::open(&sealed, &self.keys)?;
                self.counter = Some((sealed.title, sealed.counter));
                Ok(telegram)
            }
            Language::P1 if self.keys.encryption.is_some() => {
                Err("a telegram that is not encrypted, from a meter that has a `key`".into())
            }
            Language::P1 => {
                let (telegram, checked) = p1::read(bytes)?;
                if self.checked && !checked {
                    return Err("the CRC is missing after `!`; telegrams before had one".into());
                }
                self.checked = checked;
                Ok(telegram)
            }
            Language::Sml => sml::read(bytes),
            Language::Iec62056 => iec62056::read(bytes),
            Language::Nmea => nmea::read(bytes),
            _ => Err("not spoken".into()),
        }
    }

    /// Refuses a telegram that was sent before, and one that is older than the last: somebody replays it.
    fn fresh(&self, sealed: &seal::Sealed) -> Result<(), String> {
        match self.counter {
            Some((title, last)) if title == sealed.title && sealed.counter <= last => {
                Err(format!("frame counter {} after {last}: a telegram that was sent before", sealed.counter))
            }
            _ => Ok(()),
        }
    }
}
