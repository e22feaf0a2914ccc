//! What YAML may say of a Modbus device: the endpoint under `spec.protocol.modbus`, the address under
//! `spec.properties[].modbus`. Types only; what they mean together is checked in `bind`.
//!
//! Numbers are wider here than on the wire, so that a number out of range is refused with the range, not with a
//! parser's words.

use mapper_tty::Parity;
use mapper_values::{BITS, Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to reach a Modbus device: exactly one of `tcp` and `serial`, and its unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["tcp"]}, {"required": ["serial"]}]))]
pub struct Endpoint {
    /// Host and port, such as `10.0.0.7:502` or `plc.local`. Port 502 if left out; with framing `rtu` it is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 260))]
    pub tcp: Option<String>,
    /// A serial line and its settings. All devices of one line must give the same settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<Serial>,
    /// How frames are written: `tcp` (on TCP if left out) or `rtu` (on a serial line if left out; over TCP for
    /// gateways that pass serial frames through).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framing: Option<Framing>,
    /// The unit that answers: 1 to 247; 255 as well on TCP, for a device that is addressed by its IP alone.
    #[schemars(range(min = 1, max = 255))]
    pub unit: i64,
    /// How long the unit may stay silent before it starts to answer. 1s on TCP, 500ms on a serial line if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// RTU: silence kept before each request and after a time-out, for units that need time to turn around. If left
    /// out 3.5 characters on a serial line (1.75 ms above 19200 baud), never less; over TCP 20ms after a time-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<Duration>,
    /// The most unwanted registers that may be read over to merge two reads into one request; sixteen coils or
    /// discrete inputs count as one register. 16 if left out; 0 merges neighbours only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 124))]
    pub max_gap: Option<i64>,
    /// The most registers that the device gives in one answer. 125 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 125))]
    pub max_registers: Option<i64>,
    /// The most coils or discrete inputs that the device gives in one answer. 2000 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2000))]
    pub max_bits: Option<i64>,
}

/// A serial line. Characters have eight data bits, as RTU demands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Serial {
    /// The device file; the names under `/dev/serial/by-id/` survive replugging.
    #[schemars(length(min = 1, max = 255))]
    pub path: String,
    /// Bits per second, such as 9600 or 19200.
    #[schemars(range(min = 50, max = 4_000_000))]
    pub baud: i64,
    /// Parity bit: `even` (the standard's choice, if left out), `odd` or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parity: Option<Parity>,
    /// Stop bits: 1 (if left out) or 2. The standard asks for 2 where parity is `none`; most devices use 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2))]
    pub stop_bits: Option<i64>,
}

// The variants of these enums have no docstrings of their own: the schema would spell them as a union of types, which
// the API server refuses.

/// How frames are written on the wire: with the header of Modbus TCP and its transaction id, or as on a serial line
/// (unit, function, data, CRC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Framing {
    Tcp,
    Rtu,
}

/// Where a property lives: `table` and `register`, or `reference`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["table", "register"]}, {"required": ["reference"]}]))]
pub struct Address {
    /// Which of the device's four tables: `coil` and `discreteInput` hold bits, `holdingRegister` and
    /// `inputRegister` hold 16-bit registers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Table>,
    /// The zero-based address of the protocol, 0 to 65535; of the first register where a value takes several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub register: Option<i64>,
    /// The other notation, in quotes, instead of `table` and `register`: `"40001"` or `"400001"` is register 0 of
    /// holdingRegister; 0 stands for coil, 1 for discreteInput, 3 for inputRegister.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0134][0-9]{4,5}$"))]
    pub reference: Option<String>,
    /// With a table of registers: which bits of the number there are the value, the lowest being 0: `"4..11"`, or `"7"`
    /// for one. A bool says whether any of them is set. Such a property can only be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 6), regex(pattern = BITS))]
    pub bits: Option<String>,
}

/// One of the four tables of a Modbus device: coils (function codes 1, 5, 15) and discrete inputs (2) are bits, holding
/// registers (3, 6, 16) and input registers (4) have 16 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Table {
    Coil,
    DiscreteInput,
    HoldingRegister,
    InputRegister,
}

impl Table {
    /// Whether it holds bits.
    pub fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::DiscreteInput)
    }

    /// Whether it can be written.
    pub fn is_writable(self) -> bool {
        matches!(self, Self::Coil | Self::HoldingRegister)
    }

    /// The name used in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::DiscreteInput => "discreteInput",
            Self::HoldingRegister => "holdingRegister",
            Self::InputRegister => "inputRegister",
        }
    }

    /// The standard's words for one of it; add an s for several.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::DiscreteInput => "discrete input",
            Self::HoldingRegister => "holding register",
            Self::InputRegister => "input register",
        }
    }
}
