//! The languages that are built in: what meters and GPS receivers say, as data.
//!
//! All of it is pure: bytes in, data out. [`Listener`] takes a line that speaks by itself; [`iec62056::Readout`] says what to
//! send to a meter that is asked; [`Place`] is where a property lives, and takes its value from a [`Telegram`]. Nothing here
//! opens a line, waits, or guesses a value: what does not prove itself by its check is refused.

mod cut;
mod dataset;
mod dlms;
pub mod iec62056;
mod key;
mod listener;
mod moment;
pub mod nmea;
mod number;
pub mod obis;
mod p1;
mod place;
#[cfg(test)]
mod samples;
mod seal;
mod sml;
mod unit;

use std::borrow::Cow;

use cut::Cut;
pub use key::{Key, Keys};
pub use listener::{Heard, Listener};
pub use number::Number;
pub use obis::Obis;
pub use place::{Mistake, Place};

use crate::config::Parity;

/// What a meter or a receiver says at once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Telegram {
    /// Who says it, as it names itself: a P1 meter's line after `/`, an SML server's number. Empty where it does not.
    pub sender: String,
    /// All that it says, in its order; at most [`MOST`].
    pub data: Vec<Datum>,
    /// Whether all that the device ever says is in each of its telegrams. If not, a telegram without a datum says nothing of
    /// it; if so, the datum is missing.
    pub whole: bool,
}

/// No telegram has more data; what is more is refused.
pub const MOST: usize = 1024;

/// One value of a telegram.
#[derive(Debug, Clone, PartialEq)]
pub struct Datum {
    /// What it is the value of.
    pub name: Name,
    /// Which of the values with this name, counted from 0.
    pub index: usize,
    /// The value.
    pub content: Content,
    /// Its unit, as the device writes it, or as people do where the device sends a number for it.
    pub unit: Option<Cow<'static, str>>,
}

/// What a datum is the value of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// A meter's code.
    Obis(Obis),
    /// A field of an NMEA 0183 sentence, such as `latitude` of `GGA`.
    Nmea {
        /// The sentence without its talker.
        sentence: [u8; 3],
        /// The field, as `docs/meters.md` lists them.
        field: &'static str,
    },
}

/// A value as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A text, which may spell a number.
    Text(String),
    /// A number, with all its digits.
    Number(Number),
    /// Bytes that may or may not be a text.
    Bytes(Vec<u8>),
    /// True or false.
    Bool(bool),
}

/// The line that a language is spoken on, where the YAML says nothing else: baud, data bits, parity; one stop bit.
pub fn line(language: crate::config::Language) -> (u32, u8, Parity) {
    use crate::config::Language;
    match language {
        Language::P1 => (115_200, 8, Parity::None),
        Language::Sml => (9600, 8, Parity::None),
        Language::Iec62056 => (300, 7, Parity::Even),
        Language::Dlms => (2400, 8, Parity::Even),
        Language::Nmea => (4800, 8, Parity::None),
    }
}

/// Bytes as people read them: as a text if they are one, as the number of a meter (DIN 43863-5: `1 EMH00 12345678`) if they
/// are one, else as hexadecimal digits.
fn readable(bytes: &[u8]) -> String {
    let printable = |bytes: &[u8]| bytes.iter().all(|b| matches!(b, b' '..=b'~'));
    match bytes {
        [0x0a, kind @ 0..10, maker @ .., block, a, b, c, d] if maker.len() == 3 && printable(maker) => {
            let number = u32::from_be_bytes([*a, *b, *c, *d]);
            format!("{kind} {}{block:02X} {number:08}", String::from_utf8_lossy(maker))
        }
        _ if printable(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => mapper_api::Value::Bytes(bytes.to_vec()).to_string(),
    }
}

#[cfg(test)]
mod tests;
