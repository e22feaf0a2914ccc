//! What YAML may say: the endpoint under `spec.protocol.virtual`, the address under `spec.properties[].virtual`.

use mapper_values::Duration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A simulated device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// The bus that the device is on; devices of one name share it, and wait for one another. `virtual` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub bus: Option<String>,
    /// The device's name on that bus: what `memory` belongs to and what pushed values are marked with. `device` if left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub device: Option<String>,
    /// How long an exchange takes, such as `5ms`. No time if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Duration>,
    /// With true the device never answers: each question to it ends with a time-out after 300 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<bool>,
}

/// What a property shows: exactly one of the signals.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Address {
    /// Always this value: a number, true, false, or a text; hexadecimal digits for `bytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "scalar")]
    pub constant: Option<Json>,
    /// A sine wave over the time since the bus was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sine: Option<Wave>,
    /// `max` for the first half of each period, `min` for the second. A `bool` is true at `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub square: Option<Wave>,
    /// Grows with each reading, and wraps around as the type does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<Counter>,
    /// Holds what was written; this value at first. It forgets when the bus is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "scalar")]
    pub memory: Option<Json>,
    /// The device refuses to give this property, with this word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub refused: Option<String>,
    /// The device sends the property unasked as well, this often, such as `5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_every: Option<Duration>,
}

/// A wave between two values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// The least value, before scale and offset.
    pub min: f64,
    /// The greatest value, before scale and offset.
    pub max: f64,
    /// How long a wave takes, such as `1m`.
    pub period: Duration,
}

/// A counter of readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// By how much it grows with each reading.
    pub step: i64,
}

fn scalar(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}
