//! Raw values that mean "there is no value", as a spec names them. Pure.

use mapper_api::{DataType, Refusal, Value};

use crate::Shape;

/// The most of them that a property can have.
pub const MOST_SENTINELS: usize = 8;

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sentinel {
    /// This raw value.
    Raw(Value),
    /// This text where a value of another type was expected, or bytes that are none, as `0x` and hexadecimal digits.
    Instead(String),
}

impl Sentinel {
    /// What is written as a number, true, false or a text. `0x` and hexadecimal digits are the bits of a whole number,
    /// or bytes that are no value of a `bcd` or `dateTime`, most significant first.
    ///
    /// # Errors
    /// What would be accepted.
    pub fn new(written: &Value, data_type: DataType) -> Result<Self, String> {
        let text = written.to_string();
        if let Some(digits) = text.strip_prefix("0x").filter(|_| data_type != DataType::String) {
            return bits(digits, data_type).ok_or_else(|| {
                format!("{text:?} is no raw value of type {data_type}; write a number, or a text such as \"----\"")
            });
        }
        match Shape::default().raw(written, data_type) {
            Ok(raw) => Ok(Self::Raw(raw)),
            Err(_) if data_type == DataType::String => Ok(Self::Raw(Value::Text(text))),
            // What looks like a number is one that does not fit, not a text that a device might show.
            Err(_) if data_type.is_number() && text.parse::<f64>().is_ok_and(f64::is_finite) => {
                Err(format!("{text} is no raw value of type {data_type}"))
            }
            Err(_) if text.eq_ignore_ascii_case("nan") => Err("NaN is never a value; leave it out".into()),
            Err(_) if matches!(written, Value::Text(_)) && !text.is_empty() => Ok(Self::Instead(text)),
            Err(error) => Err(error.to_string()),
        }
    }

    pub fn is(&self, raw: &Value) -> bool {
        matches!(self, Self::Raw(own) if own == raw)
    }

    pub fn explains(&self, refusal: &Refusal) -> bool {
        matches!((self, &refusal.raw), (Self::Instead(own), Some(raw)) if **own == **raw)
    }
}

fn bits(digits: &str, data_type: DataType) -> Option<Sentinel> {
    let number = u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
    match data_type {
        DataType::Bcd | DataType::DateTime => Some(Sentinel::Instead(format!("0x{}", digits.to_ascii_lowercase()))),
        _ if data_type.is_whole() => {
            let unused = 64 - 8 * u32::from(data_type.width()?);
            let shifted = number << unused;
            if shifted >> unused != number {
                return None;
            }
            let signed = Value::Int(shifted.cast_signed() >> unused);
            let raw =
                [Value::Uint(number), signed].into_iter().find_map(|v| Shape::default().raw(&v, data_type).ok())?;
            Some(Sentinel::Raw(raw))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mapper_api::{
        DataType::{Bcd, Bool, Bytes, DateTime, Float32, Int16, String, Uint16, Uint64},
        Refusal, Value,
    };

    use super::Sentinel;

    #[test]
    fn what_means_none_is_known_by_its_raw_value() {
        for (written, data_type, raw) in [
            (Value::from("0x8000"), Uint16, Value::Uint(0x8000)),
            ("0x8000".into(), Int16, Value::Int(-32_768)),
            ("0x7FFF".into(), Int16, Value::Int(32_767)),
            ("0xffffffffffffffff".into(), Uint64, Value::Uint(u64::MAX)),
            ("65535".into(), Uint16, Value::Uint(65_535)),
            (Value::Int(65_535), Uint16, Value::Uint(65_535)),
            (Value::Float64(-999.9), Float32, Value::Float32(-999.9)),
            ("-9999".into(), Float32, Value::Float32(-9999.0)),
            (Value::Int(0), Bcd, Value::Uint(0)),
            (Value::Int(0), Bool, Value::Bool(false)),
            ("----".into(), String, "----".into()),
            (Value::Int(0), String, "0".into()),
            ("FFff".into(), Bytes, Value::Bytes(vec![0xff, 0xff])),
            ("1970-01-01T00:00:00Z".into(), DateTime, "1970-01-01T00:00:00Z".into()),
        ] {
            let sentinel = Sentinel::new(&written, data_type).unwrap();
            assert!(sentinel.is(&raw), "{written} {data_type}: {sentinel:?}");
        }
        assert!(!Sentinel::new(&"0x8000".into(), Uint16).unwrap().is(&Value::Uint(0)));
    }

    #[test]
    fn what_stands_instead_of_a_value_is_known_too() {
        for (written, data_type, raw) in [
            ("----", Float32, "----"),
            ("0xFFFF", Bcd, "0xffff"),
            ("0xffffffffffff", DateTime, "0xffffffffffff"),
            ("never", DateTime, "never"),
        ] {
            let sentinel = Sentinel::new(&written.into(), data_type).unwrap();
            let refusal = Refusal::bad_data("is no number");
            assert!(!sentinel.explains(&refusal) && sentinel.explains(&refusal.clone().with_raw(raw)), "{sentinel:?}");
        }
    }

    #[test]
    fn what_can_never_come_is_refused() {
        for (written, data_type, told) in [
            (Value::from("0x10000"), Uint16, "no raw value of type uint16"),
            ("0x80zz".into(), Uint16, "no raw value of type uint16"),
            ("0x7fc00000".into(), Float32, "no raw value of type float32"),
            ("65536".into(), Uint16, "65536 is no raw value of type uint16"),
            (Value::Int(-1), Uint16, "-1 is no raw value of type uint16"),
            ("NaN".into(), Float32, "never a value"),
            ("".into(), Uint16, "cannot be written"),
            (Value::Bool(true), Float32, "cannot be written"),
        ] {
            let error = Sentinel::new(&written, data_type).unwrap_err();
            assert!(error.contains(told), "{written} {data_type}: {error}");
        }
    }
}
