//! The resource `Device`: one physical device, how to reach it, and what it offers.

use std::collections::BTreeMap;

use kube::CustomResource;
use mapper_api::{Access, ByteOrder, DataType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{DeviceStatus, Duration};

/// A physical device, how to reach it, and the properties it offers.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "fieldgate.dev",
    version = "v1alpha1",
    kind = "Device",
    namespaced,
    category = "fieldgate",
    shortname = "fgdev",
    status = "DeviceStatus",
    selectable = ".spec.nodeName",
    printcolumn = r#"{"name":"Node","type":"string","jsonPath":".spec.nodeName"}"#,
    printcolumn = r#"{"name":"Model","type":"string","jsonPath":".spec.model"}"#,
    printcolumn = r#"{"name":"Protocol","type":"string","jsonPath":".status.protocol"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reachable","type":"string","jsonPath":".status.conditions[?(@.type==\"Reachable\")].status"}"#,
    printcolumn = r#"{"name":"Since","type":"date","jsonPath":".status.conditions[?(@.type==\"Ready\")].lastTransitionTime"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DeviceSpec {
    /// The gateway that talks to the device: the name of its node. In a folder of files it may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub node_name: Option<String>,
    /// A DeviceModel of the same namespace. What stands here overrides it: properties by name, key by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub model: Option<String>,
    /// How to reach the device: exactly one key, the protocol's name.
    pub protocol: BTreeMap<String, Value>,
    /// How often the properties are read, such as `500ms`, `1s` or `1m30s`. One second if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_every: Option<Duration>,
    /// What the device offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
}

/// One datum of the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Property {
    /// Its name, the key in every payload.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?$"))]
    pub name: String,
    /// How its bytes are to be understood.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// Order of bytes and words, written for two words; wider alike. ABCD (big endian) if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<ByteOrder>,
    /// Length in bytes; needed for `string`, `bytes`, `bcd` (1 to 8: two digits each) and `dateTime` (4: seconds since
    /// 1970, 8: milliseconds, 7: CP56Time2a, 6: year - 2000 to second, a byte each), refused for the other types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 512))]
    pub size: Option<u16>,
    /// The unit of measure, such as `°C`, `kWh` or a UCUM code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub unit: Option<String>,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub description: Option<String>,
    /// Which ways it may be used; `read` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// value = raw x scale + offset. 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// value = raw x scale + offset. 0 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// Names for raw values, keyed by the raw value: `{"0": "off", "1": "on"}`. The value is then the name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Raw values that mean that there is no value, such as `"0x8000"`, `65535` or a text that the device shows instead:
    /// numbers, or texts in quotes. `0x` and hexadecimal digits are the bits of a whole number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub invalid: Vec<Value>,
    /// The least value that may be written, after scale and offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest value that may be written, after scale and offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// How often this property is read, if not as often as the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_every: Option<Duration>,
    /// How old a value may be before it counts as stale. Three poll periods if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// The wanted value: a number, true, false or a string. It is written when the device holds another, and kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<Value>,
    /// How far reported may be from desired and still count as equal. Without it they must be equal as encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub tolerance: Option<f64>,
    /// What to do when the device no longer holds the desired value; `repair` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_drift: Option<OnDrift>,
    /// The value that is written when the Device is deleted or moves to another node: a number, true, false or a
    /// string. Nothing is written if left out, nor when only the bridge stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe: Option<Value>,
    /// How often the value may be reported in the Device's status, such as `5m`; at least `10s`. It is not reported if
    /// left out, and costs a write to the API server in each interval in which it changed. The values of writable
    /// properties are always reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_every: Option<Duration>,
    /// Which readings are published; every one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Publish>,
    /// Where it lives on the wire, under the protocol's key. Its schema is the mapper's.
    #[serde(flatten)]
    pub address: BTreeMap<String, Value>,
}

/// What to do when a device no longer holds the desired value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnDrift {
    /// Write it again, at most once a minute, with back-off.
    #[default]
    Repair,
    /// Only say so.
    Report,
}

/// Which readings are published.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Publish {
    /// Only a value that differs from the one published last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_change: Option<bool>,
    /// Only a value that differs by more than this: a number in the property's own unit, or a share of max - min
    /// such as `"1%"`, which then both have to be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadband: Option<Value>,
    /// A value at least this often, changed or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least_every: Option<Duration>,
}
