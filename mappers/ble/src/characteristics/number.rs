//! One number of a fixed width: what it stands for, and back. What is reserved is refused both ways.

use mapper_api::{Refusal, Value};

use crate::formats::{
    measures::{decimal, signed, unsigned},
    names::{Kind, Name},
};

/// A whole number on the wire, the least significant byte first, that stands for a part of the unit.
pub(super) struct Number {
    width: usize,
    signed: bool,
    /// One unit is so many of the number on the wire.
    parts: u32,
    /// The numbers that stand for a value.
    range: (i64, i64),
    /// Those that say that the value is not known, or beyond what can be stated.
    none: &'static [i64],
}

impl Number {
    /// One without a sign.
    pub const fn unsigned(width: usize, parts: u32) -> Self {
        Self { width, signed: false, parts, range: (0, (1 << (8 * width)) - 1), none: &[] }
    }

    /// One in two's complement.
    pub const fn signed(width: usize, parts: u32) -> Self {
        let most = (1 << (8 * width - 1)) - 1;
        Self { width, signed: true, parts, range: (-most - 1, most), none: &[] }
    }

    /// Only these stand for a value.
    pub const fn within(self, least: i64, most: i64) -> Self {
        Self { range: (least, most), ..self }
    }

    /// These stand for no value.
    pub const fn except(self, none: &'static [i64]) -> Self {
        Self { none, ..self }
    }

    /// The value; none if the device does not know it.
    pub fn decode(&self, name: Name, bytes: &[u8]) -> Result<Option<Value>, Refusal> {
        if bytes.len() != self.width {
            let width = self.width;
            return Err(Refusal::bad_data(format!("{} takes {width} bytes, got {}", name.name, bytes.len())));
        }
        #[allow(clippy::cast_possible_wrap)] // at most four bytes
        let raw = if self.signed { signed(bytes) } else { unsigned(bytes) as i64 };
        if self.none.contains(&raw) {
            return Ok(None);
        }
        let (least, most) = self.range;
        if raw < least || raw > most {
            let message = format!("{}: {raw} is reserved; {least} to {most} would be accepted", name.name);
            return Err(Refusal::bad_data(message));
        }
        Ok(Some(match name.kind {
            Kind::Number => decimal(raw, self.parts),
            _ if self.signed => Value::Int(raw),
            _ => Value::Uint(raw.unsigned_abs()),
        }))
    }

    /// The bytes that are nearest to a value.
    pub fn encode(&self, name: Name, value: &Value) -> Result<Vec<u8>, Refusal> {
        let raw = value.as_f64().map(|value| (value * f64::from(self.parts)).round());
        #[allow(clippy::cast_possible_truncation)] // saturates, and the range is checked next
        let raw = raw.filter(|raw| raw.is_finite()).map(|raw| raw as i64);
        let (least, most) = self.range;
        match raw {
            Some(raw) if raw >= least && raw <= most && !self.none.contains(&raw) => {
                Ok(raw.to_le_bytes()[..self.width].to_vec())
            }
            _ => {
                let [least, most] = [least, most].map(|raw| decimal(raw, self.parts));
                let message = format!("{}: {value} has no form; {least} to {most} would be accepted", name.name);
                Err(Refusal::rejected(message))
            }
        }
    }
}
