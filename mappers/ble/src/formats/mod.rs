//! What advertisements of known formats say. Pure; one file a format, each from its public specification. Nothing here
//! remembers: replays and repetitions are told apart by who keeps the counters.

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
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub [u8; 16]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// One value of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// What it is, in camelCase: `temperature`, `humidity`, `batteryLevel`; the same word in every format.
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
    /// A number that grows with each message of this device; a lower one is a replay.
    pub counter: Option<u32>,
    /// A number that tells messages apart: the same one as before is a repetition.
    pub packet: Option<u8>,
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
    /// It breaks the format's own rules.
    #[error("{0}")]
    Malformed(Cow<'static, str>),
}

/// One format's view of an advertisement; none if the advertisement is not of this format.
pub type Heard = Option<Result<Message, Trouble>>;

type Decode = fn(&Advert, Option<&Key>) -> Heard;

/// Every format's decoder.
const DECODERS: &[(Format, Decode)] = &[];

/// What each format makes of an advertisement. Most are of one format or none.
pub fn decode(advert: &Advert, key: Option<&Key>) -> Vec<(Format, Result<Message, Trouble>)> {
    DECODERS.iter().filter_map(|(format, decode)| Some((*format, decode(advert, key)?))).collect()
}
