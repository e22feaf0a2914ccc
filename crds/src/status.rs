//! What the gateway last said of a device. It is written on change only.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The types of the conditions.
pub mod condition {
    /// The spec is right and the gateway acts on it.
    pub const ACCEPTED: &str = "Accepted";
    /// The device answers.
    pub const REACHABLE: &str = "Reachable";
    /// Every desired value is in the device.
    pub const SYNCED: &str = "Synced";
    /// All of the above.
    pub const READY: &str = "Ready";
}

/// What the gateway last said of the device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceStatus {
    /// The generation of the spec that this status tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The generation of the device's DeviceModel at the last change of this status. An edit of the model that changes
    /// nothing else here is not written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_model_generation: Option<i64>,
    /// The protocol that the device is reached by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Accepted, Reachable, Synced, Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Wanted and found values, by property; of writable properties only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reported: BTreeMap<String, Reported>,
}

/// A wanted value and what was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reported {
    /// What the device held at the last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// What was wanted then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<Value>,
}
