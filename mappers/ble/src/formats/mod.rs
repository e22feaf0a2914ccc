//! What advertisements of known formats say. Pure; one file a format, each from its public specification. Nothing here
//! remembers: replays and repetitions are told apart by who keeps the counters.

mod altbeacon;
mod atc;
mod bthome;
mod eddystone;
pub(crate) mod gives;
mod govee;
mod ibeacon;
pub(crate) mod measures;
mod mibeacon;
pub mod names;
pub(crate) mod record;
mod ruuvi;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod seal;
mod sig;
mod switchbot;
#[cfg(test)]
mod vectors;

use std::borrow::Cow;

use mapper_api::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::advert::Advert;

/// A published format of advertisements. The names are those of the YAML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Format {
    Bthome,
    MiBeacon,
    Atc,
    Ruuvi,
    Govee,
    SwitchBot,
    IBeacon,
    Eddystone,
    AltBeacon,
    // Service data of the Bluetooth SIG's own services. (No docstring: see `config`.)
    Sig,
}

/// A key of 16 bytes, as a device's maker or app gives it. It is never printed.
///
/// MiBeacon's old encryption (versions 2 and 3) has keys of 12 bytes; they become 16 by four that are always the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub [u8; 16]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// The key that 32 hexadecimal digits write, or 24 for MiBeacon's old encryption. None for anything else; what was
    /// given must not be quoted to anyone.
    pub fn from_hex(text: &str) -> Option<Self> {
        // As xiaomi-ble (parser.py, set_bindkey) and ble_monitor (ble_parser/xiaomi.py) have it.
        const MIDDLE: [u8; 4] = [0x8d, 0x3d, 0x3c, 0x97];
        let digits = text.as_bytes();
        let bytes = digits.chunks(2).map(|pair| {
            let [high, low] = pair.try_into().ok().map(|pair: [u8; 2]| pair.map(|c| char::from(c).to_digit(16)))?;
            u8::try_from(high? << 4 | low?).ok()
        });
        let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
        match *bytes {
            [ref first @ .., _, _, _, _, _, _] if bytes.len() == 12 => {
                let whole = [first, &MIDDLE[..], &bytes[6..]].concat();
                whole.try_into().ok().map(Self)
            }
            _ => bytes.try_into().ok().map(Self),
        }
    }
}

/// One value of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// What it is, in camelCase: `temperature`, `humidity`, `batteryLevel`; one of [`names`], the same word in every
    /// format.
    pub name: &'static str,
    /// 1 for the first of this name in the message, 2 for the second.
    pub index: u8,
    /// The value in [`Measure::unit`].
    pub value: Value,
    /// The unit; empty if it has none.
    pub unit: &'static str,
}

/// What one advertisement says in one format.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// In which format.
    pub format: Format,
    /// The maker's name of the device, where the message tells it.
    pub model: Option<Cow<'static, str>>,
    /// Its values, in the order of the message.
    pub measures: Vec<Measure>,
    /// The device sends when something happens, not at an interval: its silence means nothing.
    pub sleepy: bool,
    /// It was encrypted, and is authentic.
    pub encrypted: bool,
    /// It was encrypted in a way that does not tell who sent it (MiBeacon 2 and 3), and opened with the key.
    pub unchecked: bool,
    /// A number that grows with each message of this device; a lower one is a replay.
    pub counter: Option<u32>,
    /// A number that tells messages apart: the same one as before is a repetition.
    pub packet: Option<u8>,
    /// What of it could not be read, or is against the format's rules: the measures are what was understood before
    /// that, and are right. It is for people.
    pub remark: Option<Cow<'static, str>>,
}

impl Message {
    /// One that says nothing.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            model: None,
            measures: Vec::new(),
            sleepy: false,
            encrypted: false,
            unchecked: false,
            counter: None,
            packet: None,
            remark: None,
        }
    }

    /// It was opened with the device's key.
    pub fn is_opened(&self) -> bool {
        self.encrypted || self.unchecked
    }

    /// It says more than that its sender is there: encrypted devices send that in the clear too, and it proves no key.
    pub fn tells(&self) -> bool {
        self.is_opened() || !self.measures.is_empty()
    }
}

/// Why a message of a format gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It is encrypted, and there is no key.
    #[error("it is encrypted and the device has no bindKey")]
    KeyNeeded,
    /// It is encrypted with another key.
    #[error("it cannot be decrypted: the bindKey is not the device's")]
    WrongKey,
    /// It was promised to be encrypted, and is not.
    #[error("it is not encrypted although the device has a bindKey")]
    NotEncrypted,
    /// Its counter is behind what was heard.
    #[error("it is older than what was heard before: recorded and played back, or the device was set up again")]
    Replayed,
    /// It breaks the format's own rules.
    #[error("{0}")]
    Malformed(Cow<'static, str>),
}

impl Trouble {
    /// The key does not fit: it is wrong, or the message is not the device's.
    pub fn is_amiss(&self) -> bool {
        matches!(self, Self::WrongKey | Self::NotEncrypted)
    }
}

/// One format's view of an advertisement; none if the advertisement is not of this format.
pub type Heard = Option<Result<Message, Trouble>>;

type Decode = fn(&Advert, Option<&Key>) -> Heard;

/// Every format's decoder.
const DECODERS: &[(Format, Decode)] = &[
    (Format::Bthome, bthome::decode),
    (Format::MiBeacon, mibeacon::decode),
    (Format::Atc, atc::decode),
    (Format::Ruuvi, ruuvi::decode),
    (Format::Govee, govee::decode),
    (Format::SwitchBot, switchbot::decode),
    (Format::IBeacon, ibeacon::decode),
    (Format::Eddystone, eddystone::decode),
    (Format::AltBeacon, altbeacon::decode),
    (Format::Sig, sig::decode),
];

/// What each format makes of an advertisement. Most are of one format or none. With a key nothing that was said in the
/// clear is believed, in whatever format: its sender's address proves nothing.
pub fn decode(advert: &Advert, key: Option<&Key>) -> Vec<(Format, Result<Message, Trouble>)> {
    let sealed = |message: Message| {
        let known = |measure: &Measure| gives::gives(message.format, measure.name);
        debug_assert!(message.measures.iter().all(known), "{message:?}");
        let believed = key.is_none() || message.is_opened() || !message.tells();
        if believed { Ok(message) } else { Err(Trouble::NotEncrypted) }
    };
    DECODERS.iter().filter_map(|(format, decode)| Some((*format, decode(advert, key)?.and_then(sealed)))).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        Format, Key, Trouble, decode,
        samples::{key, service as sent},
        vectors::{manufacturer, service},
    };

    #[test]
    fn with_a_key_nothing_is_believed_that_was_said_in_the_clear() {
        let altbeacon = format!("beac{}c500", "01".repeat(20));
        for (format, advert) in [
            (Format::Bthome, service(0xfcd2, "4002ca0903bf13")),
            (Format::Bthome, service(0x181c, "2302ca09")),
            (Format::MiBeacon, sent("58:2D:34:35:93:21", 0xfe95, "5020aa01da219335342d580d1004fe004802")),
            (Format::Atc, sent("A4:C1:38:02:83:F4", 0x181a, "a4c1380283f4ff9c2f5f0bf819")),
            (Format::Ruuvi, manufacturer(0x0499, "0512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F")),
            (Format::Govee, manufacturer(0xec88, "0088078c116402")),
            (Format::SwitchBot, service(0xfd3d, "5400e4069835")),
            (Format::IBeacon, manufacturer(0x004c, "0215E2C56DB5DFFB48D2B060D0F5A71096E000640000C5")),
            (Format::Eddystone, service(0xfeaa, "20000b1813000000146700002ac4")),
            (Format::AltBeacon, manufacturer(0x0118, &altbeacon)),
            (Format::Sig, service(0x2a6e, "3409")),
        ] {
            let told = |key| decode(&advert, key).into_iter().find_map(|(of, said)| (of == format).then_some(said));
            assert!(told(None).is_some_and(|said| said.is_ok_and(|said| !said.measures.is_empty())), "{format:?}");
            assert_eq!(told(Some(&Key([7; 16]))), Some(Err(Trouble::NotEncrypted)), "{format:?}");
        }
    }

    #[test]
    fn what_was_opened_with_the_key_is_believed_and_so_is_a_sign_of_life() {
        // The old encryption, of which nobody can tell who sent it, and a clear message without an object.
        for (advert, hex, opened) in [
            (
                sent("F8:24:41:C5:98:8B", 0xfe95, "5830b603d28b98c54124f8c3491476757e00000099"),
                "b853075158487ca39a5b5ea9",
                true,
            ),
            (sent("A4:C1:38:D4:3C:48", 0xfe95, "30585b0502483cd438c1a408"), &"07".repeat(16), false),
        ] {
            let told = decode(&advert, Some(&key(hex)));
            let [(_, Ok(said))] = &told[..] else { panic!("{told:?}") };
            assert_eq!((said.is_opened(), said.tells()), (opened, opened));
        }
    }

    #[test]
    fn keys_are_of_32_or_24_digits() {
        let key = Key::from_hex("231d39c1d7cc1ab1aee224cd096dB932").unwrap();
        assert_eq!((key.0[0], key.0[15]), (0x23, 0x32));
        // YLKG07YL of ble_monitor's tests: six bytes, the four that are always the same, six bytes.
        let old = Key::from_hex("b853075158487ca39a5b5ea9").unwrap();
        assert_eq!(old, Key::from_hex("b853075158488d3d3c977ca39a5b5ea9").unwrap());
        for text in [
            "",
            "23",
            "231d39c1d7cc1ab1aee224cd096db93",
            "+31d39c1d7cc1ab1aee224cd096db932",
            "é31d39c1d7cc1ab1aee224cd096db93",
            "231d39c1d7cc1ab1aee224cd096db93200",
        ] {
            assert_eq!(Key::from_hex(text), None, "{text}");
        }
        assert_eq!(format!("{key:?}"), "Key(..)");
    }
}
