//! A line that speaks by itself: bytes in, telegrams out. Memory is bounded by the longest telegram of the language.

use super::{Cut, Keys, Telegram, cut, dlms, iec62056, nmea, p1, seal, sml};
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
    opener: seal::Opener,
    /// Frames of a DLMS telegram whose last has not come.
    assembly: dlms::Assembly,
    /// The last frame ended with a flag, and nothing came after it.
    flag: bool,
    /// What came and is not read yet.
    waiting: Vec<u8>,
    /// What waits will not be finished.
    silent: bool,
    /// Bytes that were dropped because nobody took telegrams out.
    dropped: usize,
    /// A P1 meter has sent a CRC: it always does.
    checked: bool,
}

/// Bytes that wait at most: two of the longest telegrams. [`Listener::next`] empties it after each piece.
const WAITING: usize = 2 * p1::LONGEST;

impl Listener {
    /// A line that speaks this language; the meter that is asked, in `iec62056`, is read as an answer is: by its data sets.
    pub fn new(language: Language, keys: Keys) -> Self {
        Self {
            language,
            opener: seal::Opener::new(keys),
            assembly: dlms::Assembly::default(),
            flag: false,
            waiting: Vec::new(),
            silent: false,
            dropped: 0,
            checked: false,
        }
    }

    /// Bytes as they come. Take out what is heard before the next ones: what does not fit is lost, and counted.
    pub fn push(&mut self, bytes: &[u8]) {
        self.silent = false;
        self.waiting.extend_from_slice(bytes);
        if let Some(over) = self.waiting.len().checked_sub(WAITING).filter(|over| *over > 0) {
            self.waiting.drain(..over);
            self.dropped += over;
        }
    }

    /// The line was silent for longer than a telegram pauses: what waits will not be finished. What that tells, as
    /// [`Listener::next`] would; which goes on after it.
    pub fn silence(&mut self) -> Option<Heard> {
        self.silent = true;
        self.flag = false;
        self.assembly.clear();
        self.next()
    }

    /// How many bytes wait: at most two of the longest telegrams.
    pub fn kept(&self) -> usize {
        self.waiting.len()
    }

    /// How many encrypted telegrams were refused because they were sent before: somebody records the line and plays it back.
    pub fn replayed(&self) -> u64 {
        self.opener.replayed
    }

    /// The next thing on the line; none until more bytes have come.
    #[allow(clippy::should_implement_trait)] // it goes on after none
    pub fn next(&mut self) -> Option<Heard> {
        if self.dropped > 0 {
            return Some(Heard::Skipped(std::mem::take(&mut self.dropped)));
        }
        loop {
            if self.flag && !self.waiting.is_empty() {
                self.flag = false;
                self.waiting.splice(..0, dlms::shared_flag(&self.waiting));
            }
            let mut lost = true;
            let heard = match self.cut() {
                Cut::More if self.silent && !self.waiting.is_empty() => {
                    let end = self.again(&self.waiting).unwrap_or(self.waiting.len());
                    let bytes = self.waiting.drain(..end).collect();
                    Heard::Bad { bytes, why: "the line fell silent within a telegram".into() }
                }
                Cut::More => return None,
                Cut::Noise(count) => {
                    lost = self.language != Language::Dlms || !dlms::filling(&self.waiting[..count]);
                    self.waiting.drain(..count);
                    Heard::Skipped(count)
                }
                Cut::Bad(count, why) => Heard::Bad { bytes: self.waiting.drain(..count).collect(), why },
                Cut::Whole(count) => {
                    let mut bytes: Vec<u8> = self.waiting.drain(..count).collect();
                    let read = self.read(&bytes);
                    self.flag = read.is_ok() && self.language == Language::Dlms && dlms::ends_with_flag(&bytes);
                    match read {
                        Ok(Some(telegram)) => Heard::Telegram(telegram),
                        Ok(None) => continue,
                        Err(why) => {
                            // A length or an end that noise made up must not swallow the telegram that follows.
                            if let Some(again) = self.again(&bytes) {
                                self.waiting.splice(..0, bytes.drain(again..));
                            }
                            Heard::Bad { bytes, why }
                        }
                    }
                }
            };
            if lost && !matches!(heard, Heard::Telegram(_)) {
                self.assembly.clear();
            }
            return Some(heard);
        }
    }

    /// Where another telegram may begin in bytes that are none.
    fn again(&self, bytes: &[u8]) -> Option<usize> {
        match self.language {
            Language::P1 if self.opener.has_key() => cut::find(bytes, &seal::START, 1),
            Language::P1 => cut::find(bytes, b"/", 1),
            Language::Sml => cut::find(bytes, &sml::START, 1),
            Language::Dlms => dlms::again(bytes),
            Language::Iec62056 | Language::Nmea => None,
        }
    }

    fn cut(&self) -> Cut {
        match self.language {
            Language::P1 => p1::cut(&self.waiting),
            Language::Sml => sml::cut(&self.waiting),
            Language::Iec62056 => iec62056::cut(&self.waiting),
            Language::Dlms => dlms::cut(&self.waiting),
            Language::Nmea => nmea::cut(&self.waiting),
        }
    }

    /// What a whole frame says; none for one that others must follow.
    fn read(&mut self, bytes: &[u8]) -> Result<Option<Telegram>, String> {
        let not_sealed = |opener: &seal::Opener| {
            if opener.has_key() {
                Err("a telegram that is not encrypted, from a meter that has a `key`".to_owned())
            } else {
                Ok(())
            }
        };
        match self.language {
            Language::P1 if bytes.first() == Some(&seal::TAG) => self.opener.open(bytes, p1::opened).map(Some),
            Language::P1 => {
                not_sealed(&self.opener)?;
                let (telegram, checked) = p1::read(bytes)?;
                if self.checked && !checked {
                    return Err("the CRC is missing after `!`; telegrams before had one".into());
                }
                self.checked = checked;
                Ok(Some(telegram))
            }
            Language::Dlms => match self.assembly.frame(bytes)? {
                None => Ok(None),
                // It may be what is left of a frame that was refused, whose sum would have proven it.
                Some(_) if bytes.first() == Some(&seal::TAG) && self.opener.proves_nothing() => {
                    Err("an encrypted telegram without a frame: only `authenticationKey` would prove it".into())
                }
                Some(message) if message.first() == Some(&seal::TAG) => {
                    self.opener.open(&message, |content, _| dlms::read(content)).map(Some)
                }
                Some(message) => {
                    not_sealed(&self.opener)?;
                    dlms::read(&message).map(Some)
                }
            },
            Language::Sml => sml::read(bytes).map(Some),
            Language::Iec62056 => iec62056::read(bytes).map(Some),
            Language::Nmea => nmea::read(bytes).map(Some),
        }
    }
}
