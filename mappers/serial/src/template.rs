//! What is sent, with places for parameters, a value and a check: `'SET {address} {value:05.1}{check}\r\n'`. Pure.
//!
//! A `{` that begins no such place stands for itself, so that JSON can be sent as it is; `\x7b` always does.

use std::collections::BTreeMap;

use mapper_api::{ByteOrder, DataType, Refusal, Value};
use mapper_values::codec;

use crate::{frame::Framing, octets};

/// Bytes to send, with places to be filled in. Parameters are filled in when it is made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Bytes(Vec<u8>),
    Value(Form),
    Check,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Form {
    kind: Kind,
    /// Characters at least.
    width: usize,
    /// Filled with zeros rather than blanks.
    zeros: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Kind {
    /// The number in its shortest form, or the text.
    #[default]
    Plain,
    /// So many decimals.
    Decimals(usize),
    /// Hexadecimal digits.
    Hex { upper: bool },
    /// The bytes of the type.
    Raw,
}

/// A value that is to be filled in, and how its bytes would be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filling<'a> {
    pub value: &'a Value,
    pub data_type: DataType,
    pub order: ByteOrder,
    pub size: Option<u16>,
}

/// The most characters of a number.
const WIDEST: usize = 32;
const FORMS: &str = "{value}, {value:05.1}, {value:x4} and {value:raw} would be accepted";

impl Template {
    /// Reads it, and fills the parameters in.
    ///
    /// # Errors
    /// A place that nothing stands for, with what would; bytes that cannot be read.
    pub fn new(text: &str, parameters: &BTreeMap<String, String>, values: bool, check: bool) -> Result<Self, String> {
        let (prefix, mut rest) = text.strip_prefix("hex:").map_or(("", text), |rest| ("hex:", rest));
        let mut parts = Vec::new();
        let mut literal = String::new();
        loop {
            let at = rest.find('{').unwrap_or(rest.len());
            literal.push_str(&rest[..at]);
            rest = &rest[at..];
            let Some((name, form, after)) = place(rest) else {
                if rest.is_empty() {
                    break;
                }
                literal.push('{');
                rest = &rest[1..];
                continue;
            };
            push(&mut parts, bytes_of(prefix, &std::mem::take(&mut literal))?);
            match name {
                "value" if values => parts.push(Part::Value(Form::new(form.unwrap_or(""))?)),
                "check" if form.is_none() => {
                    if !check {
                        return Err("{check}: the frame has no `check`, whose kind it would be".into());
                    }
                    parts.push(Part::Check);
                }
                name => match parameters.get(name) {
                    Some(given) if form.is_none() => push(&mut parts, bytes_of("", given)?),
                    _ => return Err(unknown(&rest[..rest.len() - after.len()], parameters, values)),
                },
            }
            rest = after;
        }
        push(&mut parts, bytes_of(prefix, &literal)?);
        Ok(Self(parts))
    }

    /// The bytes of one that has no place for a value.
    ///
    /// # Errors
    /// The check cannot be over what stands before it.
    pub fn bytes(&self, framing: Option<&Framing>) -> Result<Vec<u8>, String> {
        self.fill(None, framing).map_err(|refusal| refusal.detail.into_owned())
    }

    /// The bytes with a value in them.
    ///
    /// # Errors
    /// The value cannot be written like that.
    pub fn fill(&self, filling: Option<Filling<'_>>, framing: Option<&Framing>) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        for part in &self.0 {
            match (part, filling, framing) {
                (Part::Bytes(literal), ..) => bytes.extend_from_slice(literal),
                (Part::Value(form), Some(filling), _) => form.write(filling, &mut bytes)?,
                (Part::Check, _, Some(framing)) => {
                    framing.append_check(&mut bytes).map_err(|why| Refusal::rejected(format!("{{check}} {why}")))?;
                }
                (Part::Value(_), None, _) | (Part::Check, _, None) => {}
            }
        }
        Ok(bytes)
    }
}

fn push(parts: &mut Vec<Part>, more: Vec<u8>) {
    match parts.last_mut() {
        Some(Part::Bytes(bytes)) => bytes.extend(more),
        _ if more.is_empty() => {}
        _ => parts.push(Part::Bytes(more)),
    }
}

fn bytes_of(prefix: &str, text: &str) -> Result<Vec<u8>, String> {
    octets::parse(&format!("{prefix}{text}")).map_err(|error| error.to_string())
}

fn unknown(place: &str, parameters: &BTreeMap<String, String>, values: bool) -> String {
    let named: Vec<_> = parameters.keys().map(|name| format!("{{{name}}}")).collect();
    let named = if named.is_empty() {
        "`parameters` names none".to_owned()
    } else {
        format!("`parameters` has {}", named.join(", "))
    };
    let values = if values { "; {value} is the value" } else { "" };
    format!("{place} stands for nothing: {named}{values}, {{check}} is the check; write \\x7b for the character {{")
}

/// A place at the beginning of the text: its name, its form, and what stands behind it.
fn place(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let (inside, after) = text.strip_prefix('{')?.split_once('}')?;
    let (name, form) = inside.split_once(':').map_or((inside, None), |(name, form)| (name, Some(form)));
    let word = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    word.then_some((name, form, after))
}

/// Text in which `{name}` stands for a parameter, such as a condition.
///
/// # Errors
/// A name that is no parameter.
pub(crate) fn text(text: &str, parameters: &BTreeMap<String, String>) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((name, None, after)) = place(rest) {
            let unknown = || unknown(&rest[..rest.len() - after.len()], parameters, false);
            out.push_str(parameters.get(name).ok_or_else(unknown)?);
            rest = after;
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

impl Form {
    fn new(text: &str) -> Result<Self, String> {
        let refuse = || format!("{{value:{text}}}: {FORMS}");
        let number = |digits: &str| match digits {
            "" => Ok(0),
            digits => digits.parse().ok().filter(|n| *n <= WIDEST).ok_or_else(refuse),
        };
        let hex = |digits, upper| Ok(Self { kind: Kind::Hex { upper }, width: number(digits)?, zeros: true });
        match text {
            "raw" => return Ok(Self { kind: Kind::Raw, ..Self::default() }),
            _ if text.starts_with('x') => return hex(&text[1..], false),
            _ if text.starts_with('X') => return hex(&text[1..], true),
            _ => {}
        }
        let (width, decimals) = text.split_once('.').map_or((text, None), |(width, digits)| (width, Some(digits)));
        let kind = match decimals {
            None => Kind::Plain,
            Some("") => return Err(refuse()),
            Some(digits) => Kind::Decimals(number(digits)?),
        };
        Ok(Self { kind, width: number(width)?, zeros: width.starts_with('0') })
    }

    fn write(self, filling: Filling<'_>, bytes: &mut Vec<u8>) -> Result<(), Refusal> {
        let Filling { value, data_type, order, size } = filling;
        let no = |what: &str| Refusal::rejected(format!("{value} cannot be written as {what}"));
        let text = match (self.kind, value) {
            (Kind::Raw, value) => {
                // A text is as long as it is where no size is given.
                let own = match value {
                    Value::Text(text) => u16::try_from(text.len()).ok(),
                    Value::Bytes(bytes) => u16::try_from(bytes.len()).ok(),
                    _ => None,
                };
                bytes.extend(codec::encode(value, data_type, order, size.or(own))?);
                return Ok(());
            }
            (Kind::Plain, Value::Bool(on)) => u8::from(*on).to_string(),
            (Kind::Plain, Value::Text(text)) => text.clone(),
            (Kind::Plain, Value::Bytes(raw)) => {
                bytes.extend_from_slice(raw);
                return Ok(());
            }
            (Kind::Plain, Value::Float32(_) | Value::Float64(_)) if value.as_f64().is_some_and(|v| !v.is_finite()) => {
                return Err(no("a number"));
            }
            (Kind::Plain, number) => number.to_string(),
            (Kind::Decimals(decimals), number) => {
                let number = number.as_f64().filter(|v| v.is_finite()).ok_or_else(|| no("a number"))?;
                format!("{number:.decimals$}")
            }
            (Kind::Hex { upper }, number) => {
                let number = match number {
                    Value::Uint(v) => *v,
                    Value::Int(v) if *v >= 0 => v.unsigned_abs(),
                    // As many digits as the type has.
                    Value::Int(v) => {
                        let bits = 8 * u32::from(data_type.width().unwrap_or(8));
                        v.cast_unsigned() & u64::MAX.checked_shr(64 - bits.clamp(1, 64)).unwrap_or(u64::MAX)
                    }
                    Value::Bool(on) => u64::from(*on),
                    _ => return Err(no("hexadecimal digits")),
                };
                if upper { format!("{number:X}") } else { format!("{number:x}") }
            }
        };
        if self.width > 0 && text.len() > self.width {
            return Err(Refusal::rejected(format!("{text} does not fit into {} characters", self.width)));
        }
        let missing = self.width.saturating_sub(text.chars().count());
        let mut padded = String::with_capacity(text.len() + missing);
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) if self.zeros => ("-", digits),
            _ => ("", &*text),
        };
        let fill = if self.zeros { '0' } else { ' ' };
        padded.push_str(sign);
        padded.extend(std::iter::repeat_n(fill, missing));
        padded.push_str(digits);
        bytes.extend_from_slice(padded.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mapper_api::{ByteOrder, DataType, Value};
    use proptest::prelude::*;

    use super::{Filling, Template, text};

    fn parameters() -> BTreeMap<String, String> {
        [("address", "01"), ("id", r"\x41")].map(|(a, b)| (a.to_owned(), b.to_owned())).into()
    }

    fn template(text: &str) -> Result<Template, String> {
        Template::new(text, &parameters(), true, false)
    }

    fn filled(text: &str, value: impl Into<Value>, data_type: DataType) -> Result<Vec<u8>, String> {
        let value = value.into();
        let filling = Filling { value: &value, data_type, order: ByteOrder::Abcd, size: None };
        template(text)?.fill(Some(filling), None).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn parameters_and_bytes() {
        for (text, bytes) in [
            ("SI\\r\\n", &b"SI\r\n"[..]),
            ("#{address}M{id}", b"#01MA"),
            ("{address}{address}", b"0101"),
            (r#"{"cmd":{"read":"{address}"}}"#, br#"{"cmd":{"read":"01"}}"#),
            ("\\x7baddress}", b"{address}"),
            ("hex:02 {id} 03", b"\x02A\x03"),
            ("{ a }", b"{ a }"),
        ] {
            assert_eq!(template(text).unwrap().bytes(None).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn values() {
        for (text, value, data_type, bytes) in [
            ("SET {value}", Value::Float32(21.5), DataType::Float32, &b"SET 21.5"[..]),
            ("{value:05.1}", Value::Float32(-1.26), DataType::Float32, b"-01.3"),
            ("{value:6.2}|", Value::Float64(3.0), DataType::Float64, b"  3.00|"),
            ("{value:04}", Value::Uint(7), DataType::Uint8, b"0007"),
            ("{value:x4}", Value::Int(-2), DataType::Int16, b"fffe"),
            ("{value:X}", Value::Uint(0xab), DataType::Uint8, b"AB"),
            ("{value:raw}", Value::Uint(0x0102), DataType::Uint16, b"\x01\x02"),
            ("{value:raw}", Value::Text("ab".into()), DataType::String, b"ab"),
            ("{value}", Value::Bool(true), DataType::Bool, b"1"),
            ("{value}", Value::Text("ON".into()), DataType::String, b"ON"),
        ] {
            assert_eq!(filled(text, value.clone(), data_type).as_deref(), Ok(bytes), "{text} {value:?}");
        }
        assert!(filled("{value:03}", 1000_u16, DataType::Uint16).unwrap_err().contains("does not fit"));
        assert!(filled("{value:x}", 1.5_f32, DataType::Float32).unwrap_err().contains("hexadecimal"));
        assert!(filled("{value}", f32::NAN, DataType::Float32).unwrap_err().contains("number"));
    }

    #[test]
    fn what_stands_for_nothing_is_refused_with_what_would() {
        for (text, part) in [
            ("{adress}", "`parameters` has {address}, {id}"),
            ("{value:5.}", "{value:05.1}"),
            ("{value:99}", "{value:05.1}"),
            ("{check}", "no `check`"),
            ("{address:x}", "{address:x} stands for nothing"),
        ] {
            let error = template(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(Template::new("{value}", &parameters(), false, false).unwrap_err().contains("stands for nothing"));
    }

    #[test]
    fn conditions_take_parameters() {
        assert_eq!(text("x{address}y{", &parameters()).unwrap(), "x01y{");
        assert!(text("{nobody}", &parameters()).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(template in ".*", value: f64, number: i64) {
            for value in [Value::Float64(value), Value::Int(number), Value::Text(template.clone())] {
                let data_type = if matches!(value, Value::Int(_)) { DataType::Int64 } else { DataType::Float64 };
                let filling = Filling { value: &value, data_type, order: ByteOrder::Abcd, size: None };
                if let Ok(template) = Template::new(&template, &parameters(), true, false) {
                    let _ = template.fill(Some(filling), None);
                }
            }
            let _ = text(&template, &parameters());
        }

        #[test]
        fn a_number_is_as_wide_as_it_was_asked_for(number: i16, width in 6_usize..20) {
            let bytes = filled(&format!("{{value:0{width}}}"), number, DataType::Int16).unwrap();
            prop_assert_eq!(bytes.len(), width);
            prop_assert_eq!(std::str::from_utf8(&bytes).unwrap().parse::<i16>().unwrap(), number);
        }
    }
}
