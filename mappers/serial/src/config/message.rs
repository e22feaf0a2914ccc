//! A message in YAML: how it is asked for, what tells it apart, and how its content falls into fields.

use std::collections::BTreeMap;

use mapper_values::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Frame;

/// One kind of frame, and what stands in it. At most one of `regex`, `columns`, `fixed`, `json` and `binary` tells how; the
/// text that it is about stands between `start` and `end`, without the check where that is its last part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Message {
    /// Its name, for properties and in errors.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?$"))]
    pub name: String,
    /// What is sent to get it, at the poll period of its properties, such as `'SI\r\n'`. `{name}` stands for a parameter,
    /// `{check}` for the check of the frame over what stands before. A message without a request comes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub request: Option<String>,
    /// How long the answer may take, if not as long as the endpoint's `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// What a frame of the answer is, if not the endpoint's `frame`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<Frame>,
    /// A regular expression over the text. Its named groups, `(?<weight>[0-9.]+)`, are the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub regex: Option<String>,
    /// Fields with a separator between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Columns>,
    /// Fields at fixed places of the text: `{weight: "2..9"}` are the characters 2 to 9, both included, counted from 0. Blanks
    /// around them are taken away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub fixed: BTreeMap<String, String>,
    /// The text is JSON; properties say where in it they stand by `pointer`. An object's members are fields as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonLine>,
    /// The frame is bytes; properties say where in it they stand by `offset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<Binary>,
    /// What must stand in these fields, else the frame is another message: `{type: GPGGA}`; with `binary` the bytes at these
    /// offsets: `{"1": '\x03'}`. `{name}` stands for a parameter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub when: BTreeMap<String, String>,
    /// A regular expression: an answer that matches is the device's refusal, and its text the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub refused: Option<String>,
    /// What stands in these fields when the value has settled: `{state: S}`. For properties with `stable: true`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 4))]
    pub stable: BTreeMap<String, String>,
}

/// Fields with a separator between them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Columns {
    /// What stands between two fields, such as `","` or `'\t'`. Blanks, however many, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub separator: Option<String>,
    /// The fields' names in their order; `-` for one that nobody wants. A text with more fields is read as far; one with
    /// fewer is another message.
    #[schemars(length(min = 1, max = 128))]
    pub names: Vec<String>,
}

/// The text is JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonLine {}

/// The frame is bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Binary {}
