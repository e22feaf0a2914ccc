//! A property's address in YAML: which message, and where in it.

use std::collections::BTreeMap;

use mapper_values::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a property lives: one of `field`, `offset`, `pointer`, `obis`, `nmea` and `raw`, and how it is written; or only `write`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = [{"required": ["field"]}, {"required": ["offset"]}, {"required": ["pointer"]},
    {"required": ["obis"]}, {"required": ["nmea"]}, {"required": ["raw"]}, {"required": ["write"]}]))]
pub struct Address {
    /// The message that it stands in. It may be left out where only one can be meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub message: Option<String>,
    /// A field of the message, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub field: Option<String>,
    /// With `binary`: the place of the value's first byte in the frame, counted from 0, `start` included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 16383))]
    pub offset: Option<i64>,
    /// With `offset`: which bits of the number are the value, where not all are: `"4..11"`, both included, or `"7"`; 0 is the
    /// lowest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]{1,2}(\.\.[0-9]{1,2})?$"))]
    pub bits: Option<String>,
    /// With `json`: where it stands, as a JSON pointer (RFC 6901), such as `/sensors/0/temperature`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = "^/"))]
    pub pointer: Option<String>,
    /// With a meter's language: the OBIS code, such as `1-0:1.8.0`, or `1.8.0` for whatever stands before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 23))]
    pub obis: Option<String>,
    /// With `obis`: which of several values of that code, counted from 0; 0 if left out. -1 is the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1, max = 63))]
    pub index: Option<i64>,
    /// With language `nmea`: which sentence, and what of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nmea: Option<Sentence>,
    /// With true: the whole of the message, between `start` and `end`, as `string` or `bytes`. Barcode readers need no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<bool>,
    /// What must stand in these fields of the same frame, such as `{unit: kg}`; otherwise the value is bad, and both are named.
    /// With `obis` the only field is `unit`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 4))]
    pub expect: BTreeMap<String, String>,
    /// Units that are converted to the one in `expect.unit`, by their factors: `{g: 0.001, t: 1000}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub units: BTreeMap<String, f64>,
    /// With true: only a value that has settled, by the message's `stable`. Another one says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<bool>,
    /// How a number is written in a text: `decimal` (if left out) or `hex` digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// What parts a number's decimals off in a text: `point` or `comma`; the other one then parts its thousands. If left out it is
    /// either, and a number such as `1,234`, which may be both, is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<Decimal>,
    /// How the property is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<Write>,
}

/// One value of an NMEA 0183 sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sentence {
    /// The sentence without its talker, such as `GGA` or `RMC`.
    #[schemars(length(min = 3, max = 3))]
    pub sentence: String,
    /// What of it, such as `latitude` (degrees, north positive), `speed` or `satellites`. The page of the mapper lists them.
    #[schemars(length(min = 1, max = 63))]
    pub field: String,
}

/// How a property is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Write {
    /// What is sent, such as `'SET {value}\r\n'`. `{value:05.1}` is five characters wide, filled with zeros, with one decimal;
    /// `{value:x4}` are four hexadecimal digits; `{value:raw}` are the bytes of its type. `{name}` stands for a parameter,
    /// `{check}` for the check of the frame over what stands before.
    #[schemars(length(min = 1, max = 512))]
    pub send: String,
    /// A regular expression that the confirmation must match; without it nothing is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub answer: Option<String>,
    /// A regular expression: an answer that matches is the device's refusal, and its text the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub refused: Option<String>,
    /// How long the answer may take, if not as long as the endpoint's `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

// The variants have no docstrings of their own: the schema would spell them as a union of types, which the API server
// refuses.

/// How a number is written in a text: with ten digits, or with sixteen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Base {
    #[default]
    Decimal,
    Hex,
}

/// What parts the decimals of a number in a text off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Decimal {
    Point,
    Comma,
}
