//! One value as the device gave it, before scale and labels.

use std::fmt;

/// A decoded value. Its variant follows from the point's [`crate::DataType`] alone, never from the value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `bool`.
    Bool(bool),
    /// `int8` to `int64`.
    Int(i64),
    /// `uint8` to `uint64`, and `bcd`.
    Uint(u64),
    /// `float16` and `float32`: kept in single precision, so that it prints as such.
    Float32(f32),
    /// `float64`, and any number after scaling.
    Float64(f64),
    /// `string`; and `dateTime`, as RFC 3339 in UTC, with milliseconds where they are not zero.
    Text(String),
    /// `bytes`.
    Bytes(Vec<u8>),
}

impl Value {
    /// A scalar as YAML or JSON writes it, before any type is known: a whole number, another number, true or false, a
    /// text. None for lists, maps and null.
    pub fn from_json(json: &serde_json::Value) -> Option<Self> {
        match json {
            serde_json::Value::Bool(v) => Some(Self::Bool(*v)),
            serde_json::Value::Number(v) => match (v.as_i64(), v.as_u64()) {
                (Some(v), _) => Some(Self::Int(v)),
                (_, Some(v)) => Some(Self::Uint(v)),
                _ => v.as_f64().map(Self::Float64),
            },
            serde_json::Value::String(v) => Some(Self::Text(v.clone())),
            _ => None,
        }
    }

    /// The number, to the precision of a double; none for what is no number.
    pub fn as_f64(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)] // said so
        match self {
            Self::Int(v) => Some(*v as f64),
            Self::Uint(v) => Some(*v as f64),
            Self::Float32(v) => Some(f64::from(*v)),
            Self::Float64(v) => Some(*v),
            Self::Bool(_) | Self::Text(_) | Self::Bytes(_) => None,
        }
    }
}

impl fmt::Display for Value {
    /// As people read it: floats in the shortest form that reads back the same, bytes in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(v) => v.fmt(f),
            Self::Int(v) => v.fmt(f),
            Self::Uint(v) => v.fmt(f),
            Self::Float32(v) => v.fmt(f),
            Self::Float64(v) => v.fmt(f),
            Self::Text(v) => f.write_str(v),
            Self::Bytes(v) => v.iter().try_for_each(|b| write!(f, "{b:02x}")),
        }
    }
}

macro_rules! from {
    ($($t:ty => $variant:ident),* $(,)?) => {$(
        impl From<$t> for Value {
            fn from(v: $t) -> Self {
                Self::$variant(v.into())
            }
        }
    )*};
}

from! {
    bool => Bool,
    i8 => Int, i16 => Int, i32 => Int, i64 => Int,
    u8 => Uint, u16 => Uint, u32 => Uint, u64 => Uint,
    f32 => Float32, f64 => Float64,
    String => Text, &str => Text, Vec<u8> => Bytes,
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn a_single_precision_value_prints_as_one() {
        assert_eq!(Value::from(237.73_f32).to_string(), "237.73");
        assert_eq!(Value::from(f64::from(237.73_f32)).to_string(), "237.72999572753906");
    }
}
