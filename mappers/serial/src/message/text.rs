//! Texts and JSON to values, by type. What is no value of the type is refused in its own words, never guessed; what a device
//! sends instead of a number is kept beside the refusal, for the `invalid` of a property.

use std::borrow::Cow;

use mapper_api::{ByteOrder, DataType, Refusal, Value};
use mapper_values::codec;

use crate::{
    config::{Base, Decimal},
    language::Number,
    octets::{Shown, latin_1},
};

/// How a text is read as a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    pub data_type: DataType,
    pub order: ByteOrder,
    pub size: Option<u16>,
    pub base: Base,
    pub decimal: Option<Decimal>,
}

/// The greatest power of ten that a number in a text may have; a double has no greater one.
const POWERS: i16 = 330;

impl Reading {
    /// The value of a text of one character for each byte, converted by the factor.
    pub(super) fn text(self, text: &str, factor: Option<&Number>) -> Result<Value, Refusal> {
        let bytes = || text.chars().filter_map(|c| u8::try_from(c).ok()).collect::<Vec<u8>>();
        match self.data_type {
            DataType::String => {
                return Ok(Value::Text(if text.is_ascii() { text.to_owned() } else { readable(bytes()) }));
            }
            DataType::Bytes if self.base == Base::Decimal => return Ok(Value::Bytes(bytes())),
            _ => {}
        }
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err(Refusal::not_available("nothing stands in the field").with_raw(""));
        }
        match (self.base, self.data_type) {
            (Base::Hex, _) => self.hexadecimal(text),
            (Base::Decimal, DataType::Bool) => truth(text).map(Value::Bool).ok_or_else(|| {
                none(text, "is no bool; 1, true, on and yes, or 0, false, off and no would be accepted")
            }),
            (Base::Decimal, DataType::DateTime) => {
                let time = codec::encode(&Value::Text(text.to_owned()), DataType::DateTime, ByteOrder::Abcd, Some(8));
                time.and_then(|time| codec::decode(&time, DataType::DateTime, ByteOrder::Abcd))
                    .map_err(|_| none(text, "is no time; 2024-05-01T12:00:00Z would be accepted"))
            }
            (Base::Decimal, _) => {
                let number = decimal(text, self.decimal).map_err(|why| none(text, why))?;
                self.number(number, factor)
            }
        }
    }

    /// The value of JSON, converted by the factor.
    pub(super) fn json(self, json: &serde_json::Value, factor: Option<&Number>) -> Result<Value, Refusal> {
        match (json, self.data_type) {
            (serde_json::Value::Null, _) => Err(Refusal::not_available("the JSON says null").with_raw("null")),
            (serde_json::Value::String(text), DataType::String) => Ok(Value::Text(text.clone())),
            (serde_json::Value::String(text), DataType::Bytes) if self.base == Base::Decimal => {
                Ok(Value::Bytes(text.clone().into_bytes()))
            }
            (serde_json::Value::String(text), _) => self.text(text, factor),
            (serde_json::Value::Bool(truth), DataType::Bool) => Ok(Value::Bool(*truth)),
            (other, DataType::String) => Ok(Value::Text(other.to_string())),
            (serde_json::Value::Number(number), data_type) if data_type.is_number() || data_type == DataType::Bool => {
                Self { base: Base::Decimal, decimal: None, ..self }.text(&number.to_string(), factor)
            }
            (other, data_type) => {
                let shown: String = other.to_string().chars().take(64).collect();
                Err(Refusal::bad_data(format!("{shown} is no {data_type}")).with_raw(shown))
            }
        }
    }

    fn number(self, number: Number, factor: Option<&Number>) -> Result<Value, Refusal> {
        let number = match factor {
            None => number,
            Some(factor) => number
                .times(factor)
                .ok_or_else(|| Refusal::bad_data(format!("{number} has too many digits to be converted")))?,
        };
        if self.data_type != DataType::Bcd {
            return number.value(self.data_type);
        }
        let digits = 2 * u32::from(self.size.unwrap_or(8).min(8));
        match number.value(DataType::Uint64)? {
            Value::Uint(value) if value < 10_u64.pow(digits) => Ok(Value::Uint(value)),
            _ => Err(Refusal::bad_data(format!("{number} has more than {digits} digits"))),
        }
    }

    /// Hexadecimal digits are the bytes of the type in its order. Fewer of them are a number without its leading zeros.
    fn hexadecimal(self, text: &str) -> Result<Value, Refusal> {
        let Self { data_type, order, size, .. } = self;
        let refuse = || none(text, "is no hexadecimal number");
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(refuse());
        }
        let pairs = |digits: &str| -> Result<Vec<u8>, Refusal> {
            crate::octets::parse(&format!("hex:{digits}")).map_err(|_| refuse())
        };
        if data_type == DataType::Bytes {
            return Ok(Value::Bytes(pairs(digits)?));
        }
        if data_type == DataType::Bool {
            return Ok(Value::Bool(digits.bytes().any(|digit| digit != b'0')));
        }
        let width = data_type.width().or(size).map_or(digits.len().div_ceil(2), usize::from);
        let whole = data_type.is_whole() && order == ByteOrder::Abcd;
        let digits = if whole && digits.len() > 2 * width { digits.trim_start_matches('0') } else { digits };
        match digits.len() {
            length if length == 2 * width => codec::decode(&pairs(digits)?, data_type, order),
            length if length < 2 * width && whole => {
                codec::decode(&pairs(&format!("{digits:0>width$}", width = 2 * width))?, data_type, order)
            }
            length => Err(none(text, &format!("has {length} hexadecimal digits; {data_type} has {}", 2 * width))),
        }
    }
}

/// The number that a text spells: a sign, blanks after it as scales write them, digits with a point or a comma, and a power
/// of ten.
///
/// # Errors
/// It is none, in words.
fn decimal(text: &str, sign: Option<Decimal>) -> Result<Number, &'static str> {
    const NONE: &str = "is no decimal number";
    let (negative, unsigned) = match text.as_bytes() {
        [b'-', ..] => (true, text[1..].trim_ascii_start()),
        [b'+', ..] => (false, text[1..].trim_ascii_start()),
        _ => (false, text),
    };
    let (digits, power) = match unsigned.split_once(['e', 'E']) {
        Some((digits, power)) => (digits, power.parse().ok().filter(|power: &i16| power.abs() <= POWERS).ok_or(NONE)?),
        None => (unsigned, 0),
    };
    let digits = with_point(digits, sign)?;
    let number = Number::parse(&digits).filter(|_| !digits.starts_with(['+', '-'])).ok_or(NONE)?;
    let digits = if negative { -number.digits } else { number.digits };
    Ok(Number { digits, exponent: number.exponent.checked_add(power).ok_or(NONE)? })
}

/// Digits with a point before their decimals, and with nothing between their thousands.
///
/// # Errors
/// A lone comma may part decimals or thousands, and nobody said which.
fn with_point(digits: &str, sign: Option<Decimal>) -> Result<Cow<'_, str>, &'static str> {
    let (mark, between, refused) = match (sign, digits.split_once(',')) {
        (None, None) => return Ok(digits.into()),
        (None, Some((whole, decimals))) if decimals.len() == 3 && (1..=3).contains(&whole.len()) && whole != "0" => {
            return Err("has a comma, of decimals or of thousands; `decimal: comma` or `decimal: point` says which");
        }
        (None, Some(_)) => return Ok(digits.replace(',', ".").into()),
        (Some(Decimal::Point), _) => ('.', ',', "is no decimal number by `decimal: point`"),
        (Some(Decimal::Comma), _) => (',', '.', "is no decimal number by `decimal: comma`"),
    };
    let (whole, decimals) = digits.split_once(mark).map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let mut groups = whole.split(between);
    let first = groups.next().unwrap_or_default();
    let mut plain = first.to_owned();
    for group in groups {
        if group.len() != 3 || !(1..=3).contains(&first.len()) {
            return Err(refused);
        }
        plain.push_str(group);
    }
    if let Some(decimals) = decimals {
        if decimals.contains(['.', ',']) {
            return Err(refused);
        }
        plain.push('.');
        plain.push_str(decimals);
    }
    Ok(plain.into())
}

fn truth(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match () {
        () if is(&["1", "true", "on", "yes"]) => Some(true),
        () if is(&["0", "false", "off", "no"]) => Some(false),
        () => None,
    }
}

/// Bytes as a text: UTF-8 where they are that, else ISO 8859-1.
pub(super) fn readable(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| latin_1(error.as_bytes()))
}

/// A text that is no value, told and kept.
fn none(text: &str, why: &str) -> Refusal {
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
    Refusal::bad_data(format!("'{}' {why}", Shown(&bytes))).with_raw(text)
}
