//! The measures of one message while it is read: names, units and indices come from one place, and numbers come out as
//! people write them.

use mapper_api::{ByteOrder, DataType, Value};

use super::{
    Format, Measure, Message,
    names::{Kind, Name},
};

/// The measures of one message so far.
#[derive(Debug, Default)]
pub struct Measures(Vec<Measure>);

impl Measures {
    /// The next one of this name.
    pub fn add(&mut self, name: Name, value: impl Into<Value>) {
        let index = self.next_index(name);
        self.add_at(name, index, value);
    }

    /// One whose index the message states itself, a button's number for instance.
    pub fn add_at(&mut self, name: Name, index: u8, value: impl Into<Value>) {
        let value = value.into();
        debug_assert!(fits(name.kind, &value), "{} is no {value:?}", name.name);
        self.0.push(Measure { name: name.name, index, value, unit: name.unit });
    }

    /// The next one of this name, unless the device says that it has none.
    pub fn add_some(&mut self, name: Name, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// One more than those of this name that are there.
    pub fn next_index(&self, name: Name) -> u8 {
        let there = self.0.iter().filter(|measure| measure.name == name.name).count();
        u8::try_from(there + 1).unwrap_or(u8::MAX)
    }

    /// None yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A message in clear that says all this.
    pub fn message(self, format: Format) -> Message {
        Message { measures: self.0, ..Message::new(format) }
    }

    /// All of them, in the order of the message.
    pub fn into_vec(self) -> Vec<Measure> {
        self.0
    }
}

/// Whether a value is of this kind.
pub fn fits(kind: Kind, value: &Value) -> bool {
    matches!(
        (kind, value),
        (Kind::Bool, Value::Bool(_))
            | (Kind::Whole, Value::Int(_) | Value::Uint(_))
            | (Kind::Number, Value::Float64(_))
            | (Kind::Text, Value::Text(_))
            | (Kind::Bytes, Value::Bytes(_))
    )
}

/// A number with decimals, sent as a whole one: 2506 hundredths are 25.06. Dividing rounds once, and so gives the very
/// number that a person would write; multiplying by 0.01 would give 25.060000000000002.
pub fn decimal(whole: i64, divisor: u32) -> Value {
    #[allow(clippy::cast_precision_loss)] // what devices send has at most 32 bits, far below 2^53
    Value::Float64(whole as f64 / f64::from(divisor))
}

/// A floating number of two, four or eight bytes, the least significant first, with the few digits it was made from:
/// 25.06, not 25.059999465942383. None if it is no number.
pub fn float(bytes: &[u8]) -> Option<f64> {
    let data_type = match bytes.len() {
        2 => DataType::Float16,
        4 => DataType::Float32,
        8 => DataType::Float64,
        _ => return None,
    };
    match mapper_values::codec::decode(bytes, data_type, ByteOrder::Dcba).ok()? {
        Value::Float32(value) if value.is_finite() => value.to_string().parse().ok(),
        Value::Float64(value) if value.is_finite() => Some(value),
        _ => None,
    }
}

/// A text.
pub fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// The number in these bytes, the least significant first. At most eight of them count.
pub fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The same with a sign, in two's complement.
pub fn signed(bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * bytes.len().clamp(1, 8);
    (unsigned(bytes) << unused).cast_signed() >> unused
}

#[cfg(test)]
mod tests {
    use mapper_api::Value;

    use super::{Measures, decimal, float, signed, unsigned};
    use crate::formats::names;

    #[test]
    fn decimals_are_those_people_write() {
        assert_eq!(decimal(2506, 100), Value::Float64(25.06));
        assert_eq!(decimal(-2506, 100), Value::Float64(-25.06));
        assert_eq!(decimal(1_346_067, 1000), Value::Float64(1346.067));
        // Every temperature that a sensor can send reads back digit for digit.
        for hundredths in i16::MIN..=i16::MAX {
            let Value::Float64(value) = decimal(hundredths.into(), 100) else { panic!() };
            assert_eq!(format!("{value:.2}").parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
        assert_eq!(float(&25.06_f32.to_le_bytes()), Some(25.06));
        assert_eq!(float(&25.06_f64.to_le_bytes()), Some(25.06));
        assert_eq!(float(&[0x00, 0x4e]), Some(24.0));
        for bytes in [&f32::NAN.to_le_bytes()[..], &f32::INFINITY.to_le_bytes(), &[0, 0x7c], &[1, 2, 3], &[]] {
            assert_eq!(float(bytes), None);
        }
    }

    #[test]
    fn numbers_of_every_width() {
        assert_eq!((unsigned(&[0xca, 0x09]), signed(&[0xca, 0x09])), (2506, 2506));
        assert_eq!((unsigned(&[0xff]), signed(&[0xff])), (255, -1));
        assert_eq!((unsigned(&[0, 0, 0x80]), signed(&[0, 0, 0x80])), (0x0080_0000, -0x0080_0000));
        assert_eq!((unsigned(&[0xff; 8]), signed(&[0xff; 8])), (u64::MAX, -1));
        assert_eq!((unsigned(&[]), signed(&[])), (0, 0));
    }

    #[test]
    fn indices_count_each_name() {
        let mut measures = Measures::default();
        for name in [names::TEMPERATURE, names::HUMIDITY, names::TEMPERATURE] {
            measures.add(name, decimal(1, 1));
        }
        let told: Vec<_> = measures.into_vec().into_iter().map(|measure| (measure.name, measure.index)).collect();
        assert_eq!(told, [("temperature", 1), ("humidity", 1), ("temperature", 2)]);
    }
}
