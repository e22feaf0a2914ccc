//! A point: one property as the mapper sees it. Type, order and size are the core's words; the address is the mapper's.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The index of a point in the list that its device was bound with.
pub type PointId = u16;

/// What to read or write, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Point<A> {
    /// Where the property lives on the wire.
    pub address: A,
    /// How its bytes are to be understood.
    pub data_type: DataType,
    /// Order of bytes and words; [`ByteOrder::Abcd`] unless the spec says otherwise.
    pub order: ByteOrder,
    /// Length in bytes of a `string`, `bytes`, `bcd` or `dateTime`; none for the other types.
    pub size: Option<u16>,
    /// Which ways it may be used.
    pub access: Access,
}

/// How bytes are to be understood. The names are those of the YAML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum DataType {
    Bool,
    Int8,
    Int16,
    Int32,
    Int48,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint48,
    Uint64,
    Float16,
    Float32,
    Float64,
    String,
    Bytes,
    Bcd,
    #[serde(rename = "dateTime")]
    DateTime,
}

impl DataType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 18] = [
        Self::Bool,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int48,
        Self::Int64,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint48,
        Self::Uint64,
        Self::Float16,
        Self::Float32,
        Self::Float64,
        Self::String,
        Self::Bytes,
        Self::Bcd,
        Self::DateTime,
    ];

    /// The name used in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int48 => "int48",
            Self::Int64 => "int64",
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint48 => "uint48",
            Self::Uint64 => "uint64",
            Self::Float16 => "float16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Bcd => "bcd",
            Self::DateTime => "dateTime",
        }
    }

    /// Width in bytes; none where the point's `size` tells it.
    pub fn width(self) -> Option<u16> {
        match self {
            Self::Bool | Self::Int8 | Self::Uint8 => Some(1),
            Self::Int16 | Self::Uint16 | Self::Float16 => Some(2),
            Self::Int32 | Self::Uint32 | Self::Float32 => Some(4),
            Self::Int48 | Self::Uint48 => Some(6),
            Self::Int64 | Self::Uint64 | Self::Float64 => Some(8),
            Self::String | Self::Bytes | Self::Bcd | Self::DateTime => None,
        }
    }

    /// Whether it is a number, and so may be scaled and have limits.
    pub fn is_number(self) -> bool {
        !matches!(self, Self::Bool | Self::String | Self::Bytes | Self::DateTime)
    }

    /// Whether it is a number without decimals.
    pub fn is_whole(self) -> bool {
        self.is_number() && !matches!(self, Self::Float16 | Self::Float32 | Self::Float64)
    }

    /// Whether its length may be any, up to what is asked for: the others have the length that they have.
    pub fn is_text(self) -> bool {
        matches!(self, Self::String | Self::Bytes)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Order of the bytes of a value, written for a value of two words; wider and narrower ones alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ByteOrder {
    /// Most significant word first, most significant byte first (big endian).
    #[default]
    Abcd,
    /// Least significant word first, most significant byte first.
    Cdab,
    /// Most significant word first, least significant byte first.
    Badc,
    /// Least significant word first, least significant byte first (little endian).
    Dcba,
}

/// Which ways a property may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// Read only.
    #[default]
    Read,
    /// Write only: it is never polled.
    Write,
    /// Both.
    ReadWrite,
}

impl Access {
    /// May it be read?
    pub fn can_read(self) -> bool {
        self != Self::Write
    }

    /// May it be written?
    pub fn can_write(self) -> bool {
        self != Self::Read
    }
}
