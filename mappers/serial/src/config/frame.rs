//! A frame in YAML: where it begins and ends, and how it is checked. Bytes are written as texts: each character is one
//! byte, with `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN`; or as `hex:42 4d`.

use std::collections::BTreeMap;

use mapper_values::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a frame is. One of `end`, `length`, `lengthAt` and `gap` tells where it ends; with `end` or `lengthAt` a `gap` as
/// well gives up a frame that breaks off. After noise the next frame is found again; what was skipped is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Frame {
    /// The bytes that a frame begins with, such as `'\x02'` or `hex:42 4d`. What stands before them is noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub start: Option<String>,
    /// The bytes that end a frame, such as `'\r\n'`. With `'\n'` a CR before it belongs to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub end: Option<String>,
    /// With `end`: how many bytes follow it and still belong to the frame, such as its check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    pub trailer: Option<i64>,
    /// How many bytes each frame has, `start` included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16384))]
    pub length: Option<i64>,
    /// Where a frame says how long it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_at: Option<LengthAt>,
    /// The silence that ends a frame, such as `20ms`. USB adapters hand bytes over every 16 ms: shorter ones tear frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Duration>,
    /// How bytes that would be taken for `start` or `end` are written inside of a frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuffing: Option<Stuffing>,
    /// The most bytes that a frame has. 1024 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16384))]
    pub max: Option<i64>,
    /// The sum that proves a frame. A frame whose sum is wrong is never read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
}

/// A number inside the frame that tells its length.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LengthAt {
    /// Where the number stands, in bytes from the frame's first.
    #[schemars(range(min = 0, max = 64))]
    pub offset: i64,
    /// Bytes of the number: 1 (if left out), 2 or 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4))]
    pub size: Option<i64>,
    /// The order of its bytes; `ABCD` (most significant first) if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// What is added to the number to give the length of the whole frame; 0 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -64, max = 255))]
    pub add: Option<i64>,
}

/// How bytes are hidden: by `escape` and exactly one of `xor`, `pairs` and `doubled`. It is undone before anything else is
/// looked at, `start` and `end` excepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stuffing {
    /// The byte that announces a hidden one, such as `'\x7d'`.
    #[schemars(length(min = 1, max = 8))]
    pub escape: String,
    /// The hidden byte is the next one with these bits turned over; 32 in HDLC and PPP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub xor: Option<i64>,
    /// The next byte, and the hidden one that it stands for: `{'\xdc': '\xc0', '\xdd': '\xdb'}` in SLIP.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub pairs: BTreeMap<String, String>,
    /// With true, the escape byte twice stands for itself, and otherwise begins `start` or `end`: DLE framing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubled: Option<bool>,
}

/// A sum over a frame, and where it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// A CRC of 8, 16 or 32 bits by its name in the catalogue of parametrised CRC algorithms, such as `CRC-16/MODBUS` or
    /// `CRC-8/MAXIM-DOW`; or `xor`, `sum8`, `sum16`, `lrc` (the two's complement of the sum), `fletcher16`.
    #[schemars(length(min = 3, max = 32))]
    pub kind: String,
    /// How the sum is written: `binary` (if left out), `hex` or `decimal` digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// The order of its bytes where it is `binary`; `ABCD` (most significant first) if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// What is summed: the `bytes` as they stand (if left out), or those that pairs of `hex` digits stand for, as in Modbus
    /// ASCII and with RFID readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Over>,
    /// How many bytes at the frame's beginning are not summed, such as the `$` of NMEA 0183; 0 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 64))]
    pub skip_start: Option<i64>,
    /// How many bytes before the sum are not summed, such as the `*` of NMEA 0183; 0 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 64))]
    pub skip_end: Option<i64>,
    /// How many bytes follow the sum. If left out it stands just before `end`, and at the very end where there is a `trailer`
    /// or no `end`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 64))]
    pub after: Option<i64>,
}

// The variants of these enums have no docstrings of their own: the schema would spell them as a union of types, which
// the API server refuses.

/// Order of the bytes of a number: most significant first, or least significant first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Order {
    #[default]
    Abcd,
    Dcba,
}

/// How a sum is written: as bytes, or as digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Form {
    #[default]
    Binary,
    Hex,
    Decimal,
}

/// What is summed: bytes, or those that pairs of hexadecimal digits stand for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Over {
    #[default]
    Bytes,
    Hex,
}
