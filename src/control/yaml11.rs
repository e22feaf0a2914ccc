//! What kubectl makes of a plain scalar. It reads YAML 1.1 by the rules of go-yaml v2 (`resolve.go`), which differ
//! from the standard's: dates stay texts and base 60 is unknown. Only plain scalars differ; quoting ends all doubt.

use serde_json::{Number, Value as Json};

use super::yaml::Value;

/// kubectl's reading as JSON, if it is another than ours.
pub fn differs(text: &str, ours: &Value) -> Option<Json> {
    let theirs = read(text);
    let same = match (ours, &theirs) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(a), Json::Bool(b)) => a == b,
        (Value::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Text(a), Json::String(b)) => **a == **b,
        _ => false,
    };
    (!same).then_some(theirs)
}

fn read(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Json::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return false.into(),
        _ => {}
    }
    let number = match text.bytes().next() {
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let plain: String = text.chars().filter(|c| *c != '_').collect();
            integer(&plain).or_else(|| float(&plain))
        }
        Some(b'.') if underscores_part_digits(text) => float(&text.replace('_', "")),
        _ => None,
    };
    number.map_or_else(|| text.into(), Json::Number)
}

/// Go's `ParseInt` and `ParseUint` with base 0: `0x`, `0o`, `0b`, and octal for a mere leading zero.
fn integer(text: &str) -> Option<Number> {
    let (negative, bare) = match text.strip_prefix(['+', '-']) {
        Some(bare) => (text.starts_with('-'), bare),
        None => (false, text),
    };
    let lower = bare.to_ascii_lowercase();
    let (digits, radix) = if let Some(hex) = lower.strip_prefix("0x") {
        (hex, 16)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        (octal, 8)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        (binary, 2)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (&*lower, 10)
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -value } else { value };
    i64::try_from(value).map(Number::from).ok().or_else(|| {
        // An unsigned parse in Go takes no sign.
        u64::try_from(value).ok().filter(|_| bare.len() == text.len()).map(Number::from)
    })
}

fn float(text: &str) -> Option<Number> {
    let shaped = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if shaped { text.parse().ok().and_then(Number::from_f64) } else { None }
}

/// Go's `ParseFloat` takes underscores between digits only.
fn underscores_part_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |n: Option<usize>| n.and_then(|n| bytes.get(n)).is_some_and(u8::is_ascii_digit);
    (0..bytes.len()).filter(|n| bytes[*n] == b'_').all(|n| digit(n.checked_sub(1)) && digit(Some(n + 1)))
}
