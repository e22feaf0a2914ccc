//! The resource `DeviceModel`: what many devices of one kind have in common.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

// The spec is a Device's with nothing required, so it stays untyped here: the schema is composed from the Device's.
/// What devices of one kind have in common. A Device names it and overrides it key by key.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "fieldgate.dev",
    version = "v1alpha1",
    kind = "DeviceModel",
    namespaced,
    category = "fieldgate",
    shortname = "fgmodel",
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DeviceModelSpec {
    /// Recorded answers and the values that they must give. `fieldgate check` runs them with no hardware at hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
    /// The keys of a Device's spec, all optional.
    #[serde(flatten)]
    pub device: Map<String, Value>,
}

/// A recorded answer and the values that it must give.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// What it was recorded from: a manual's page, a bench, a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What the device answered, under the protocol's key. Its schema is the mapper's.
    pub given: Map<String, Value>,
    /// The values, by property, after scale and labels; `notAvailable` where the answer says that there is none.
    pub expect: Map<String, Value>,
}
