//! A number with all its digits, as meters send it: whole digits and a power of ten.

use std::{fmt, str::FromStr};

use mapper_api::{DataType, Refusal, Value};

/// `digits` x 10^`exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// All digits, as a whole number.
    pub digits: i128,
    /// The power of ten that they are multiplied with.
    pub exponent: i16,
}

/// More digits than these are no quantity.
const DIGITS: usize = 30;

impl Number {
    /// A whole number.
    pub fn whole(digits: impl Into<i128>) -> Self {
        Self { digits: digits.into(), exponent: 0 }
    }

    /// The number that a text spells with digits, at most one point, and a sign. Nothing else: no exponent, no words; no
    /// comma, which no language has in a number (IEC 62056-21 and P1 write a point).
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, decimals) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all = whole.bytes().chain(decimals.bytes());
        if whole.len() + decimals.len() > DIGITS || whole.len() + decimals.len() == 0 {
            return None;
        }
        let mut digits = 0_i128;
        for byte in all {
            digits = digits * 10 + i128::from(char::from(byte).to_digit(10)?);
        }
        let exponent = -i16::try_from(decimals.len()).ok()?;
        Some(Self { digits: if negative { -digits } else { digits }, exponent })
    }

    /// The number that a text of hexadecimal digits spells.
    pub fn parse_hex(text: &str) -> Option<Self> {
        (text.len() <= 16 && text.bytes().all(|b| b.is_ascii_hexdigit()))
            .then(|| u64::from_str_radix(text, 16).ok().map(Self::whole))?
    }

    /// The shortest number that reads back as this double. None for infinity and for no number.
    pub fn from_f64(value: f64) -> Option<Self> {
        value.is_finite().then(|| Self::parse(&value.to_string())).flatten()
    }

    /// The product, exactly; none where it has too many digits.
    pub fn times(&self, other: &Self) -> Option<Self> {
        Some(Self {
            digits: self.digits.checked_mul(other.digits)?,
            exponent: self.exponent.checked_add(other.exponent)?,
        })
    }

    /// The value of this type.
    ///
    /// # Errors
    /// [`mapper_api::ErrorKind::BadData`] where the type cannot hold it: decimals in a whole number, a number out of range.
    pub fn value(&self, data_type: DataType) -> Result<Value, Refusal> {
        match data_type {
            DataType::Bool => match self.exact() {
                Some(0) => Ok(Value::Bool(false)),
                Some(1) => Ok(Value::Bool(true)),
                _ => Err(Refusal::bad_data(format!("{self} is neither 0 nor 1"))),
            },
            DataType::String => Ok(Value::Text(self.to_string())),
            DataType::Float16 | DataType::Float32 => {
                self.float().filter(|v: &f32| v.is_finite()).map(Value::Float32).ok_or_else(|| self.too_large())
            }
            DataType::Float64 => {
                self.float().filter(|v: &f64| v.is_finite()).map(Value::Float64).ok_or_else(|| self.too_large())
            }
            data_type => self.whole_value(data_type),
        }
    }

    fn whole_value(&self, data_type: DataType) -> Result<Value, Refusal> {
        let Some(width) = data_type.width().filter(|_| data_type.is_number()) else {
            return Err(Refusal::bad_data(format!("{self} is a number, and no {data_type}")));
        };
        let whole = self
            .exact()
            .ok_or_else(|| Refusal::bad_data(format!("{self} is no whole number; float64 has decimals")))?;
        let bits = 8 * u32::from(width);
        let refuse = |least: i128, greatest: i128| {
            Refusal::bad_data(format!("{self} is out of the range of {data_type}, {least} to {greatest}"))
        };
        let signed =
            matches!(data_type, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int48 | DataType::Int64);
        let (least, greatest) =
            if signed { (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1) } else { (0, (1_i128 << bits) - 1) };
        if !(least..=greatest).contains(&whole) {
            return Err(refuse(least, greatest));
        }
        if signed {
            i64::try_from(whole).map(Value::Int).map_err(|_| refuse(least, greatest))
        } else {
            u64::try_from(whole).map(Value::Uint).map_err(|_| refuse(least, greatest))
        }
    }

    /// The whole number, if it is one.
    fn exact(&self) -> Option<i128> {
        let power = 10_i128.checked_pow(self.exponent.unsigned_abs().into());
        match (self.exponent >= 0, power) {
            _ if self.digits == 0 => Some(0),
            (true, power) => self.digits.checked_mul(power?),
            (false, power) => power.filter(|ten| self.digits % ten == 0).map(|ten| self.digits / ten),
        }
    }

    /// The nearest float, by way of the text: multiplying with a power of ten would round twice.
    fn float<F: FromStr>(&self) -> Option<F> {
        format!("{}e{}", self.digits, self.exponent).parse().ok()
    }

    fn too_large(&self) -> Refusal {
        Refusal::bad_data(format!("{}e{} is more than a float holds", self.digits, self.exponent))
    }
}

impl fmt::Display for Number {
    /// As people write it, without an exponent and with the decimals that were sent.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.digits < 0 { "-" } else { "" };
        let digits = self.digits.unsigned_abs();
        let places = usize::from(self.exponent.unsigned_abs());
        if self.exponent >= 0 {
            let zeros = if digits == 0 { 0 } else { places };
            return write!(out, "{sign}{digits}{:0<zeros$}", "");
        }
        let text = format!("{digits:0>width$}", width = places + 1);
        let (whole, decimals) = text.split_at(text.len() - places);
        write!(out, "{sign}{whole}.{decimals}")
    }
}

#[cfg(test)]
mod tests {
    use mapper_api::{DataType, Value};

    use super::Number;

    #[test]
    fn texts_are_numbers_with_all_their_digits() {
        for (text, written) in [
            ("000123.456", "123.456"),
            ("-0.5", "-0.5"),
            ("+7", "7"),
            ("00000000", "0"),
            ("1.500", "1.500"),
            (".5", "0.5"),
        ] {
            assert_eq!(Number::parse(text).unwrap().to_string(), written, "{text}");
        }
        for text in ["", "-", ".", "1e3", "nan", "1.2.3", "12,5", "12 5", "0x10", "--1", "é1", &"9".repeat(31)] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    #[test]
    fn values_are_exact_or_refused() {
        let number = |digits, exponent| Number { digits, exponent };
        assert_eq!(number(3, -1).value(DataType::Float64).unwrap(), Value::Float64(0.3));
        assert_eq!(number(2131, -1).value(DataType::Float32).unwrap(), Value::Float32(213.1));
        assert_eq!(number(12, 3).value(DataType::Uint16).unwrap(), Value::Uint(12_000));
        assert_eq!(number(12_000, -3).value(DataType::Int8).unwrap(), Value::Int(12));
        assert_eq!(number(u64::MAX.into(), 0).value(DataType::Uint64).unwrap(), Value::Uint(u64::MAX));
        assert_eq!(number(1, 0).value(DataType::Bool).unwrap(), Value::Bool(true));
        assert_eq!(number(5, 2).value(DataType::String).unwrap(), "500".into());
        for (digits, exponent, data_type, says) in [
            (15, -1, DataType::Int32, "no whole number"),
            (300, 0, DataType::Uint8, "0 to 255"),
            (-1, 0, DataType::Uint64, "out of the range"),
            (1, 127, DataType::Int64, "whole number"),
            (2, 0, DataType::Bool, "neither 0 nor 1"),
            (2, 0, DataType::Bytes, "no bytes"),
        ] {
            let error = number(digits, exponent).value(data_type).unwrap_err().detail;
            assert!(error.contains(says), "{error}");
        }
    }
}
