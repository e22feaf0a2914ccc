//! What YAML may say of a Bluetooth LE device: the endpoint under `spec.protocol.ble`, the address under
//! `spec.properties[].ble`. Types only; what they mean together is checked in `bind`.
//!
//! Numbers are wider here than in the air, so that a number out of range is refused with the range, not with a parser's
//! words.

use mapper_api::Secret;
use mapper_values::BITS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::formats::Format;

/// How to reach a Bluetooth LE device: exactly one of `address`, `name` and `irk`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["address"]}, {"required": ["name"]}, {"required": ["irk"]}]))]
pub struct Endpoint {
    /// The device's address, such as `A4:C1:38:12:34:56`: public or random static, one that does not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 17), regex(pattern = MAC))]
    pub address: Option<String>,
    /// The name that the device advertises, for one whose address is not known beforehand. Of several devices of this
    /// name the one that is heard first is kept to until it falls silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 248))]
    pub name: Option<String>,
    /// The identity resolving key of a device that changes its address (a phone, a watch): a file with 32 hexadecimal
    /// digits, most significant byte first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irk: Option<Secret>,
    /// The address of the adapter that is to be used, and no other one. Whichever hears the device best if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 17), regex(pattern = MAC))]
    pub adapter: Option<String>,
    /// The key that the device's advertisements are encrypted with: a file with 32 hexadecimal digits (24 for old Xiaomi devices). With
    /// it, what is not encrypted is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_key: Option<Secret>,
    /// With true a connection to the device is kept. A property with a `characteristic` needs one, and implies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<bool>,
    /// Pair before anything is read, and keep the bond: `justWorks` proves nothing of who is there; `passkey` takes the
    /// number of `passkey`; `numeric` logs the number to compare with the one that the device shows, where it is
    /// confirmed or refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<Pair>,
    /// The number that the device shows or that is printed on it: a file with six digits. For `pair: passkey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkey: Option<Secret>,
}

const MAC: &str = "^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$";
const UUID: &str = "^([0-9A-Fa-f]{4}|[0-9A-Fa-f]{8}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$";
const BYTES: &str = "^([0-9A-Fa-f]{2}){1,32}$";
const WORD: &str = "^[a-z][A-Za-z0-9]*$";

// The variants of these enums have no docstrings of their own: the schema would spell them as a union of types, which
// the API server refuses.

/// How to pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Pair {
    JustWorks,
    Passkey,
    Numeric,
}

/// Where a property lives: exactly one of `reading`, `radio`, `manufacturer`, `serviceData` and `characteristic`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["reading"]}, {"required": ["radio"]}, {"required": ["manufacturer"]},
    {"required": ["serviceData"]}, {"required": ["characteristic"]}]))]
pub struct Address {
    /// A value that the device advertises in a known format, by its name: `temperature`, `humidity`, `batteryLevel`.
    /// `fieldgate scan ble` shows the names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = WORD))]
    pub reading: Option<String>,
    /// With `reading` or a characteristic's `field`: which one, where a message has several of that name; 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub index: Option<i64>,
    /// With `reading`: of this format only, for a device that advertises in several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// What the radio tells of an advertisement: `rssi`, the strength of its reception in dBm, or `txPower`, the power
    /// in dBm that the device says to send with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radio: Option<Figure>,
    /// Bytes of the manufacturer data that the device advertises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<Manufacturer>,
    /// Bytes of the service data that the device advertises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_data: Option<ServiceData>,
    /// A characteristic of the device, for which it is connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characteristic: Option<Characteristic>,
}

/// What a radio tells of an advertisement: how strong it came in, or with which power it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Figure {
    Rssi,
    TxPower,
}

/// A kind of record, and which of its bytes are meant: the same keys for each kind. (Written out by a macro: with serde's
/// `flatten` a key that is not known would pass.)
macro_rules! record {
    ($(#[$of:meta])* $name:ident { $(#[$at:meta])* $key:ident: $type:ty, $(#[$from:meta])* offset }) => {
        $(#[$of])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $(#[$at])*
            pub $key: $type,
            $(#[$from])*
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0, max = 253))]
            pub offset: Option<i64>,
            /// What the data must begin with, in hexadecimal digits: data that begins otherwise says nothing.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 64), regex(pattern = BYTES))]
            pub prefix: Option<String>,
            /// How many bytes the data must have: data of another length says nothing.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 1, max = 254))]
            pub length: Option<i64>,
            /// Which bits of the number are the value, the lowest being 0: `"4..11"`, or `"7"` for one. All of them if left out.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 6), regex(pattern = BITS))]
            pub bits: Option<String>,
        }
    };
}

record! {
    /// Bytes of manufacturer data.
    Manufacturer {
        /// The company's number at the Bluetooth SIG, such as 0x0499, 0 to 65535.
        #[schemars(range(min = 0, max = 65535))]
        company: i64,
        /// Where the value begins, in bytes after the company's number. 0 if left out.
        offset
    }
}

record! {
    /// Bytes of service data.
    ServiceData {
        /// The service: four hexadecimal digits in quotes for one of the Bluetooth SIG's, such as `"181a"`, or a whole UUID.
        #[schemars(length(max = 36), regex(pattern = UUID))]
        uuid: String,
        /// Where the value begins, in bytes after the UUID. 0 if left out.
        offset
    }
}

/// A characteristic, and which of its bytes are meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Characteristic {
    /// The service that it belongs to: four hexadecimal digits in quotes, such as `"180f"`, or a whole UUID.
    #[schemars(length(max = 36), regex(pattern = UUID))]
    pub service: String,
    /// The characteristic's own, such as `"2a19"`.
    #[schemars(length(max = 36), regex(pattern = UUID))]
    pub uuid: String,
    /// How its values come: `read` (polled, if left out), or sent by the device, as `notify` or `indicate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Where the value begins, in bytes, decoded by the property's `type` and `order`. If left out a characteristic of
    /// the Bluetooth SIG is decoded by its own type there, any other one from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 511))]
    pub offset: Option<i64>,
    /// Without `offset`: the field of a characteristic of the Bluetooth SIG that has several, such as `energyExpended`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = WORD))]
    pub field: Option<String>,
    /// With `offset`: which bits of the number are the value, the lowest being 0: `"4..11"`, or `"7"` for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 6), regex(pattern = BITS))]
    pub bits: Option<String>,
    /// How it is written: `request` (the device answers, if left out) or `command` (it does not).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<Write>,
}

/// How the values of a characteristic come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Mode {
    #[default]
    Read,
    Notify,
    Indicate,
}

/// How a characteristic is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Write {
    #[default]
    Request,
    Command,
}
