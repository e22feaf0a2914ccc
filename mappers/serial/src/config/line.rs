//! The line in YAML: which adapter, and its settings.

use mapper_values::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use mapper_tty::{Flow, Parity};

/// What a USB adapter says of itself. All that is given must be so; two adapters that fit are an error that names both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Usb {
    /// The vendor's number, four hexadecimal digits in quotes, such as "0403" (FTDI).
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{4}$"))]
    pub vendor: String,
    /// The product's number at that vendor, four hexadecimal digits in quotes, such as "6001".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{4}$"))]
    pub product: Option<String>,
    /// The serial number, where the adapter has one: it tells two of the same make apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 126))]
    pub serial_number: Option<String>,
    /// Which of the adapter's ports, counted from 0, where it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31))]
    pub interface: Option<i64>,
}

/// How the driver of an RS-485 port turns its direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rs485 {
    /// Level of RTS while sending; true if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rts_on_send: Option<bool>,
    /// Level of RTS afterwards; false if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rts_after_send: Option<bool>,
    /// How long the direction is turned before the first bit; at most 100ms, 0s if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_before: Option<Duration>,
    /// How long it stays turned after the last bit; at most 100ms, 0s if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_after: Option<Duration>,
}
