//! What a signal is at a moment. Pure: time, readings so far and memory are handed in.

use std::{f64::consts::TAU, time::Duration};

use mapper_api::{DataType, Refusal, Value};
use mapper_values::Shape;

use crate::{
    bind::fits,
    config::{Counter, Wave},
};

/// A checked signal.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// Always the same raw value.
    Constant(Value),
    /// A sine wave.
    Sine(Wave),
    /// `max` in the first half of a period, `min` in the second.
    Square(Wave),
    /// Grows with each reading.
    Counter(Counter),
    /// Holds what was written, at first this raw value.
    Memory(Value),
    /// Refused with this word.
    Refused(String),
}

/// What the bus knows of a point beside its signal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cell {
    /// How often it was read.
    pub readings: u64,
    /// What was written last.
    pub written: Option<Value>,
}

/// The raw value at this time since the bus was opened.
///
/// # Errors
/// The device's refusal, or [`mapper_api::ErrorKind::BadData`] for what the type cannot hold.
pub fn sample(
    signal: &Signal,
    data_type: DataType,
    size: Option<u16>,
    at: Duration,
    cell: &Cell,
) -> Result<Value, Refusal> {
    match signal {
        Signal::Constant(value) => Ok(value.clone()),
        Signal::Memory(first) => Ok(cell.written.as_ref().unwrap_or(first).clone()),
        Signal::Refused(word) => Err(Refusal::rejected(word.clone())),
        Signal::Counter(counter) => Ok(count(counter.step, cell.readings, data_type, size)),
        Signal::Sine(wave) => {
            let middle = f64::midpoint(wave.min, wave.max);
            typed(middle + (wave.max - middle) * (phase(wave, at) * TAU).sin(), data_type, size)
        }
        Signal::Square(wave) => {
            let high = phase(wave, at) < 0.5;
            if data_type == DataType::Bool {
                return Ok(Value::Bool(high));
            }
            typed(if high { wave.max } else { wave.min }, data_type, size)
        }
    }
}

/// How much of the current wave has passed, 0 to 1.
fn phase(wave: &Wave, at: Duration) -> f64 {
    let period = wave.period.0.as_nanos().max(1);
    Duration::from_nanos(u64::try_from(at.as_nanos() % period).unwrap_or(0)).as_secs_f64() / wave.period.0.as_secs_f64()
}

fn typed(value: f64, data_type: DataType, size: Option<u16>) -> Result<Value, Refusal> {
    let raw = Shape::default().raw(&Value::Float64(value), data_type).map_err(|error| error.to_string());
    raw.and_then(|raw| fits(&raw, data_type, size).map(|()| raw)).map_err(Refusal::bad_data)
}

/// Counts round and round, as the registers of a device do.
fn count(step: i64, readings: u64, data_type: DataType, size: Option<u16>) -> Value {
    let total = step.wrapping_mul(readings.cast_signed());
    let unused = 64_u32.saturating_sub(8 * u32::from(data_type.width().unwrap_or(8)));
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // a float holds what a float can
    match data_type {
        DataType::Float64 => Value::Float64(total as f64),
        DataType::Float16 | DataType::Float32 => Value::Float32(total as f32),
        DataType::Uint8 | DataType::Uint16 | DataType::Uint32 | DataType::Uint48 | DataType::Uint64 => {
            Value::Uint(total.cast_unsigned() << unused >> unused)
        }
        DataType::Bcd => {
            let numbers = 10_i64.pow(2 * u32::from(size.unwrap_or(1).min(8)));
            Value::Uint(total.rem_euclid(numbers).cast_unsigned())
        }
        _ => Value::Int(total << unused >> unused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(min: f64, max: f64) -> Wave {
        Wave { min, max, period: mapper_values::Duration(Duration::from_secs(8)) }
    }

    #[test]
    fn waves_go_round() {
        let sine = Signal::Sine(wave(-10.0, 30.0));
        let square = Signal::Square(wave(0.0, 1.0));
        let cell = Cell::default();
        for (second, expected, high) in [(0, 10, true), (2, 30, true), (4, 10, false), (6, -10, false), (82, 30, true)]
        {
            let at = Duration::from_secs(second);
            assert_eq!(sample(&sine, DataType::Int16, None, at, &cell), Ok(Value::Int(expected)), "{second}");
            assert_eq!(sample(&square, DataType::Bool, None, at, &cell), Ok(Value::Bool(high)), "{second}");
            assert_eq!(sample(&square, DataType::Uint8, None, at, &cell), Ok(Value::Uint(high.into())), "{second}");
        }
        let beyond =
            sample(&Signal::Square(wave(0.0, 300.0)), DataType::Uint8, None, Duration::ZERO, &cell).unwrap_err();
        assert!(beyond.detail.contains("0 to 255"), "{beyond}");
    }

    #[test]
    fn counters_wrap_as_their_type_does() {
        for (step, readings, data_type, value) in [
            (1, 10_000, DataType::Bcd, Value::Uint(0)),
            (-1, 1, DataType::Bcd, Value::Uint(9999)),
            (1, 256, DataType::Uint8, Value::Uint(0)),
            (1, 128, DataType::Int8, Value::Int(-128)),
            (-1, 1, DataType::Uint16, Value::Uint(65_535)),
            (3, 5, DataType::Float32, Value::Float32(15.0)),
            (3, 5, DataType::Int64, Value::Int(15)),
        ] {
            assert_eq!(count(step, readings, data_type, Some(2)), value, "{step} x {readings} as {data_type}");
        }
    }
}
