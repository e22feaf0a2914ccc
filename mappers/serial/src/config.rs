//! What YAML may say of a serial device: the endpoint under `spec.protocol.serial`, the address under
//! `spec.properties[].serial`. Types only; what they mean together is checked in `bind`.
//!
//! Numbers are wider here than on the wire, so that a number out of range is refused with the range, not with a parser's
//! words.

mod frame;
mod line;
mod message;
mod property;

use std::collections::BTreeMap;

use mapper_api::Secret;
use mapper_values::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use frame::{Check, Form, Frame, LengthAt, Order, Over, Stuffing};
pub use line::{Flow, Parity, Rs485, Usb};
pub use message::{Binary, Columns, JsonLine, Message};
pub use property::{Address, Base, Decimal, Sentence, Write};

/// How to reach a serial device: exactly one of `path`, `usb`, `tcp` and `rfc2217`; what its frames are, and what is said on
/// the line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["path"]}, {"required": ["usb"]}, {"required": ["tcp"]},
    {"required": ["rfc2217"]}]))]
pub struct Endpoint {
    /// The device file; the names under `/dev/serial/by-id/` and `/dev/serial/by-path/` survive replugging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub path: Option<String>,
    /// What the USB adapter says of itself, instead of a path. `fieldgate scan serial` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usb: Option<Usb>,
    /// Host and port of a device server that passes the bytes on as they are, such as `10.0.0.9:4001`. The settings of the
    /// line are the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 260))]
    pub tcp: Option<String>,
    /// Host and port of a device server that speaks RFC 2217: the settings of the line are sent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 260))]
    pub rfc2217: Option<String>,
    /// Bits per second. 9600 if left out; the language's own where one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 50, max = 4_000_000))]
    pub baud: Option<i64>,
    /// Data bits of a character: 5 to 8; 8 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 8))]
    pub data_bits: Option<i64>,
    /// Parity bit: `none` (if left out), `even` or `odd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parity: Option<Parity>,
    /// Stop bits: 1 (if left out) or 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2))]
    pub stop_bits: Option<i64>,
    /// Flow control: `none` (if left out), `hardware` (RTS and CTS) or `software` (XON and XOFF, for text only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    /// Level of the DTR wire once the line is open; left alone if left out. Optical heads and some scales are fed by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtr: Option<bool>,
    /// Level of the RTS wire once the line is open; left alone if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rts: Option<bool>,
    /// The line is an RS-485 pair, and the kernel's driver is to turn its direction. Adapters that turn it by themselves need
    /// nothing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rs485: Option<Rs485>,
    /// The line hears what is sent on it: two-wire lines and current loops. What was sent is then taken away from what comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<bool>,
    /// A language that is built in, instead of `frame` and `messages`: `p1` (DSMR meters, encrypted ones with `key`), `sml`
    /// (German meters), `iec62056` (the meter is asked at the poll period, and the baud rate changed; `parameters.address` where
    /// several share a line), `dlms` (meters that push) or `nmea` (GPS receivers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// The key that the meter's telegrams are encrypted with: a file with 32 hexadecimal digits. For `p1` and `dlms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// The second key of the same meter, with which telegrams are authenticated: a file with 32 hexadecimal digits. Without it
    /// a wrong `key` shows by the content alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication_key: Option<Secret>,
    /// What a frame is: where it begins and ends, and how it is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<Frame>,
    /// The messages that the device sends, or answers with. A frame is the first one that it fits; what fits one with a
    /// `request`, and was not asked for, is nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub messages: Vec<Message>,
    /// Texts for `{name}` in requests and conditions, such as the address of a device on a line of several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub parameters: BTreeMap<String, String>,
    /// What is sent once the line is open, before anything is asked, in this order and with nothing in between.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub start: Vec<Step>,
    /// How long the device may take to answer; 1s if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How often a request is sent again before it counts as unanswered; 0 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5))]
    pub retries: Option<i64>,
    /// Silence kept before each request, for devices that need time to turn around. None if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<Duration>,
    /// How long a device that sends by itself may say nothing before it counts as gone. If left out it is learnt from the
    /// device's own pace; `0s` is for ever, for barcode readers and others that speak only when something happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<Duration>,
}

/// One step of a start-up sequence. What is given of it happens in this order: `send`, `answer`, `baud`, `wait`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Bytes to send, such as `'ATE0\r'`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub send: Option<String>,
    /// A regular expression that the answer's text must match; other frames are passed over until the time-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub answer: Option<String>,
    /// How long the answer may take, if not as long as the endpoint's `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// The baud rate from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 50, max = 4_000_000))]
    pub baud: Option<i64>,
    /// How long to wait then; at most 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Duration>,
}

// The variants of these enums have no docstrings of their own: the schema would spell them as a union of types, which
// the API server refuses.

/// A language that is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Language {
    P1,
    Sml,
    Iec62056,
    Dlms,
    Nmea,
}
