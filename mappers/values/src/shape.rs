//! Between the raw value and the value people see: scale, offset, labels, and raw values that mean "none". Pure.

use std::{collections::BTreeMap, sync::Arc};

use mapper_api::{DataType, Refusal, Value};

use crate::{
    date_time,
    sentinel::{MOST_SENTINELS, Sentinel},
};

/// value = raw x scale + offset, or the label of the raw value; unless the raw value means that there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    scale: f64,
    offset: f64,
    /// `scale` and `offset` as whole numbers over a power of ten: `0.1` is 1 over 10. Integers times such a fraction
    /// come out as people write them: 3 x 0.1 is 0.3, not 0.30000000000000004.
    decimal: Option<Decimal>,
    labels: Option<Arc<BTreeMap<i64, String>>>,
    invalid: Option<Arc<[Sentinel]>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Decimal {
    scale: f64,
    offset: f64,
    ten: f64,
}

/// A shape that cannot be, or a value that the shape has no raw form for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ShapeError(String);

/// Beyond this a double no longer tells whole numbers apart.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Default for Shape {
    fn default() -> Self {
        Self { scale: 1.0, offset: 0.0, decimal: None, labels: None, invalid: None }
    }
}

impl Shape {
    /// A shape of this scale and offset, or of these labels (raw value to name).
    ///
    /// # Errors
    /// A scale of zero, numbers that are not finite, labels together with a scale, a label's key that is no integer,
    /// a name that stands twice.
    pub fn new(scale: f64, offset: f64, labels: &BTreeMap<String, String>) -> Result<Self, ShapeError> {
        if !scale.is_finite() || scale == 0.0 || !offset.is_finite() {
            return Err(ShapeError(format!("scale {scale} and offset {offset}: both must be finite, scale not zero")));
        }
        #[allow(clippy::float_cmp)] // the very numbers that mean "unscaled"
        let plain = scale == 1.0 && offset == 0.0;
        if labels.is_empty() {
            let decimal = if plain { None } else { Decimal::new(scale, offset) };
            return Ok(Self { scale, offset, decimal, ..Self::default() });
        }
        if !plain {
            return Err(ShapeError("labels name raw values; a property with labels has no scale or offset".into()));
        }
        let mut named = BTreeMap::new();
        for (key, name) in labels {
            let raw = match key.as_str() {
                "true" => 1,
                "false" => 0,
                text => text.parse().map_err(|_| {
                    ShapeError(format!("label key {key:?} is no raw value; write an integer in quotes, such as \"0\""))
                })?,
            };
            if named.values().any(|other| other == name) || named.insert(raw, name.clone()).is_some() {
                return Err(ShapeError(format!(
                    "label {name:?} of {key:?} stands twice; names and keys must be unique"
                )));
            }
        }
        Ok(Self { labels: Some(Arc::new(named)), ..Self::default() })
    }

    /// The same, where these raw values of that type mean that there is no value: each a number, true, false or a text.
    /// `0x` and hexadecimal digits stand for the bits of a whole number; a text that is no value of the type is one that
    /// the device gives instead.
    ///
    /// # Errors
    /// More than [`MOST_SENTINELS`], and one that can never come.
    pub fn with_invalid(self, invalid: &[Value], data_type: DataType) -> Result<Self, ShapeError> {
        if invalid.len() > MOST_SENTINELS {
            return Err(ShapeError(format!("has {} raw values; at most {MOST_SENTINELS} are accepted", invalid.len())));
        }
        let invalid: Vec<_> =
            invalid.iter().map(|raw| Sentinel::new(raw, data_type)).collect::<Result<_, _>>().map_err(ShapeError)?;
        Ok(Self { invalid: (!invalid.is_empty()).then(|| invalid.into()), ..self })
    }

    fn invalid(&self) -> impl Iterator<Item = &Sentinel> {
        self.invalid.iter().flat_map(|all| all.iter())
    }

    /// Whether values differ from raw values.
    pub fn is_plain(&self) -> bool {
        self.labels.is_none() && !self.is_scaled()
    }

    /// Whether values are numbers of their own, whatever integer the wire carries.
    #[allow(clippy::float_cmp)] // the very numbers that mean "unscaled"
    pub fn is_scaled(&self) -> bool {
        self.scale != 1.0 || self.offset != 0.0
    }

    /// The names, if the values are names.
    pub fn labels(&self) -> Option<&BTreeMap<i64, String>> {
        self.labels.as_deref()
    }

    /// The value that people see of what a mapper decoded.
    ///
    /// # Errors
    /// The mapper's, or as for [`Self::value`]; what stands instead of a value and means that there is none is
    /// [`mapper_api::ErrorKind::NotAvailable`].
    pub fn seen(&self, decoded: Result<Value, Refusal>) -> Result<Value, Refusal> {
        decoded.and_then(|raw| self.value(raw)).map_err(|refusal| match &refusal.raw {
            Some(raw) if self.invalid().any(|sentinel| sentinel.explains(&refusal)) => {
                Refusal::not_available(raw.to_string())
            }
            _ => refusal,
        })
    }

    /// The value that people see.
    ///
    /// # Errors
    /// [`mapper_api::ErrorKind::NotAvailable`] for a raw value that means that there is none; [`mapper_api::ErrorKind::BadData`] for NaN and
    /// infinity, and for a raw value without a label.
    pub fn value(&self, raw: Value) -> Result<Value, Refusal> {
        if self.invalid().any(|sentinel| sentinel.is(&raw)) {
            return Err(Refusal::not_available(raw.to_string()));
        }
        if let Some(labels) = &self.labels {
            let name = whole(&raw).and_then(|raw| labels.get(&raw));
            return name
                .map(|n| Value::Text(n.clone()))
                .ok_or_else(|| Refusal::bad_data(format!("{raw} has no label")));
        }
        let value = match raw {
            raw if !self.is_scaled() => raw,
            #[allow(clippy::cast_precision_loss)] // a scaled value is a double
            Value::Int(v) => Value::Float64(self.forth(v as f64)),
            #[allow(clippy::cast_precision_loss)] // a scaled value is a double
            Value::Uint(v) => Value::Float64(self.forth(v as f64)),
            #[allow(clippy::cast_possible_truncation)] // stays in the wire's precision, so that it prints as such
            Value::Float32(v) => Value::Float32((f64::from(v) * self.scale + self.offset) as f32),
            Value::Float64(v) => Value::Float64(v * self.scale + self.offset),
            other => other,
        };
        match value {
            Value::Float32(v) if !v.is_finite() => Err(Refusal::bad_data("notANumber")),
            Value::Float64(v) if !v.is_finite() => Err(Refusal::bad_data("notANumber")),
            value => Ok(value),
        }
    }

    /// The raw value to write for a value, of the very variant that a read of this type decodes to. It rounds to the
    /// nearest, never truncates.
    ///
    /// # Errors
    /// What the type cannot hold, with what it can; a raw value that means that there is none.
    pub fn raw(&self, value: &Value, data_type: DataType) -> Result<Value, ShapeError> {
        let raw = self.encoded(value, data_type)?;
        if self.invalid().any(|sentinel| sentinel.is(&raw)) {
            return Err(ShapeError(format!("{value} cannot be written: the raw value {raw} means that there is none")));
        }
        Ok(raw)
    }

    fn encoded(&self, value: &Value, data_type: DataType) -> Result<Value, ShapeError> {
        let refuse = |accepts: &str| Err(ShapeError(format!("{value} cannot be written as {data_type}; {accepts}")));
        if let Some(labels) = &self.labels {
            let Some((raw, _)) = labels.iter().find(|(_, name)| matches!(value, Value::Text(v) if v == *name)) else {
                return refuse(&format!("one of: {}", labels.values().cloned().collect::<Vec<_>>().join(", ")));
            };
            return Shape::default().raw(&Value::Int(*raw), data_type).map_err(|e| ShapeError(e.0));
        }
        let width = 8 * u32::from(data_type.width().unwrap_or(0));
        let (least, greatest) = match data_type {
            DataType::Bool => {
                return match value {
                    Value::Bool(v) => Ok(Value::Bool(*v)),
                    Value::Int(v @ 0..=1) => Ok(Value::Bool(*v == 1)),
                    Value::Uint(v @ 0..=1) => Ok(Value::Bool(*v == 1)),
                    _ => refuse("write true or false"),
                };
            }
            DataType::String => {
                return match value {
                    Value::Text(v) => Ok(Value::Text(v.clone())),
                    _ => refuse("write a text in quotes"),
                };
            }
            DataType::DateTime => {
                let time = if let Value::Text(v) = value { date_time::canonical(v) } else { None };
                return time.map_or_else(
                    || refuse("write a time of RFC 3339, to the millisecond: \"2026-01-31T12:00:00Z\""),
                    |time| Ok(Value::Text(time)),
                );
            }
            DataType::Bytes => {
                return match value {
                    Value::Bytes(v) => Ok(Value::Bytes(v.clone())),
                    Value::Text(v) => hexadecimal(v)
                        .map_or_else(|| refuse("write hexadecimal digits: \"00ff\""), |v| Ok(Value::Bytes(v))),
                    _ => refuse("write hexadecimal digits: \"00ff\""),
                };
            }
            DataType::Float16 | DataType::Float32 => {
                #[allow(clippy::cast_possible_truncation)] // rounds to the nearest
                return match self.unscaled(value).map(|v| v as f32) {
                    Some(v) if v.is_finite() => Ok(Value::Float32(v)),
                    _ => refuse("write a number"),
                };
            }
            DataType::Float64 => {
                return match self.unscaled(value) {
                    Some(v) if v.is_finite() => Ok(Value::Float64(v)),
                    _ => refuse("write a number"),
                };
            }
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int48 | DataType::Int64 => {
                (-(1_i128 << (width - 1)), (1_i128 << (width - 1)) - 1)
            }
            DataType::Uint8 | DataType::Uint16 | DataType::Uint32 | DataType::Uint48 | DataType::Uint64 => {
                (0, (1_i128 << width) - 1)
            }
            // Sixteen digits; fewer where the size is less than eight bytes, which whoever encodes it knows.
            DataType::Bcd => (0, 9_999_999_999_999_999),
        };
        let exact = if self.is_scaled() { None } else { whole_wide(value) };
        #[allow(clippy::cast_possible_truncation)] // saturates, and the range is checked next
        let raw = exact.or_else(|| self.unscaled(value).filter(|v| v.is_finite()).map(|v| v.round() as i128));
        match raw {
            Some(raw) if (least..=greatest).contains(&raw) => Ok(if least < 0 {
                Value::Int(i64::try_from(raw).expect("checked against the type's range"))
            } else {
                Value::Uint(u64::try_from(raw).expect("checked against the type's range"))
            }),
            _ => refuse(&format!("raw values from {least} to {greatest}")),
        }
    }

    fn forth(&self, raw: f64) -> f64 {
        match self.decimal {
            Some(d) if (raw * d.scale + d.offset).abs() < EXACT => (raw * d.scale + d.offset) / d.ten,
            _ => raw * self.scale + self.offset,
        }
    }

    fn unscaled(&self, value: &Value) -> Option<f64> {
        let value = match value {
            Value::Text(v) => v.parse().ok()?,
            number => number.as_f64()?,
        };
        Some(match self.decimal {
            _ if !self.is_scaled() => value,
            Some(d) => (value * d.ten - d.offset) / d.scale,
            None => (value - self.offset) / self.scale,
        })
    }
}

impl Decimal {
    /// None when nine decimals do not tell both numbers exactly.
    fn new(scale: f64, offset: f64) -> Option<Self> {
        (0..=9).map(|n| 10_f64.powi(n)).find_map(|ten| {
            let (s, o) = ((scale * ten).round(), (offset * ten).round());
            #[allow(clippy::float_cmp)] // the test is whether nothing was lost
            let same = s / ten == scale && o / ten == offset;
            (same && s.abs() < EXACT && o.abs() < EXACT).then_some(Self { scale: s, offset: o, ten })
        })
    }
}

fn whole(raw: &Value) -> Option<i64> {
    match raw {
        Value::Bool(v) => Some(i64::from(*v)),
        Value::Int(v) => Some(*v),
        Value::Uint(v) => i64::try_from(*v).ok(),
        _ => None,
    }
}

/// Integers, also as texts: 64 bits do not fit into a JSON number.
fn whole_wide(value: &Value) -> Option<i128> {
    match value {
        Value::Int(v) => Some((*v).into()),
        Value::Uint(v) => Some((*v).into()),
        Value::Text(v) => v.parse().ok(),
        _ => None,
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mapper_api::{DataType, ErrorKind, Refusal, Value};

    use super::Shape;

    fn scaled(scale: f64, offset: f64) -> Shape {
        Shape::new(scale, offset, &BTreeMap::new()).unwrap()
    }

    #[test]
    fn scaled_integers_come_out_as_people_write_them() {
        for (raw, scale, offset, text) in [
            (3_i64, 0.1, 0.0, "0.3"),
            (2131, 0.1, 0.0, "213.1"),
            (23773, 0.01, 0.0, "237.73"),
            (-55, 0.1, -40.0, "-45.5"),
            (7, 1000.0, 0.0, "7000"),
            (1, 1.0 / 3.0, 0.0, "0.3333333333333333"),
        ] {
            assert_eq!(scaled(scale, offset).value(Value::Int(raw)).unwrap().to_string(), text);
        }
        assert_eq!(scaled(10.0, 0.0).value(237.73_f32.into()).unwrap().to_string(), "2377.3");
    }

    #[test]
    fn writing_rounds_and_never_truncates() {
        let tenth = scaled(0.1, 0.0);
        for (value, raw) in [(21.3, 213), (21.26, 213), (21.24, 212), (-21.26, -213), (0.29, 3), (1.15, 12)] {
            assert_eq!(tenth.raw(&Value::Float64(value), DataType::Int16).unwrap(), Value::Int(raw), "{value}");
        }
        assert_eq!(Shape::default().raw(&Value::Float64(21.3), DataType::Float32).unwrap(), 21.3_f32.into());
        assert_eq!(Shape::default().raw(&Value::Float64(2.5), DataType::Uint16).unwrap(), Value::Uint(3));
    }

    #[test]
    fn what_the_type_cannot_hold_is_refused_with_what_it_can() {
        let plain = Shape::default();
        for (value, data_type, accepts) in [
            (Value::Int(70_000), DataType::Uint16, "0 to 65535"),
            (Value::Int(-1), DataType::Uint8, "0 to 255"),
            (Value::Int(200), DataType::Int8, "-128 to 127"),
            (Value::Float64(f64::NAN), DataType::Float32, "a number"),
            (Value::Float64(1e39), DataType::Float32, "a number"),
            (Value::Text("on".into()), DataType::Bool, "true or false"),
            (Value::Bool(true), DataType::String, "in quotes"),
            (Value::Text("0".into()), DataType::Bytes, "hexadecimal"),
            (Value::Int(-1), DataType::Bcd, "0 to 9999999999999999"),
            (Value::Text("noon".into()), DataType::DateTime, "RFC 3339"),
            (Value::Int(0), DataType::DateTime, "RFC 3339"),
        ] {
            let error = plain.raw(&value, data_type).unwrap_err().to_string();
            assert!(error.contains(accepts), "{error}");
        }
    }

    #[test]
    fn wide_integers_keep_every_digit() {
        let plain = Shape::default();
        let big = Value::Text(u64::MAX.to_string());
        assert_eq!(plain.raw(&big, DataType::Uint64).unwrap(), Value::Uint(u64::MAX));
        assert_eq!(plain.raw(&Value::Int(i64::MIN), DataType::Int64).unwrap(), Value::Int(i64::MIN));
        assert_eq!(plain.value(Value::Uint(u64::MAX)).unwrap(), Value::Uint(u64::MAX));
    }

    #[test]
    fn labels_name_raw_values_both_ways() {
        let names = BTreeMap::from([("0".to_owned(), "off".to_owned()), ("1".to_owned(), "on".to_owned())]);
        let shape = Shape::new(1.0, 0.0, &names).unwrap();
        assert_eq!(shape.value(Value::Uint(1)).unwrap(), "on".into());
        assert_eq!(shape.raw(&"off".into(), DataType::Uint16).unwrap(), Value::Uint(0));
        assert_eq!(shape.raw(&"on".into(), DataType::Bool).unwrap(), Value::Bool(true));
        assert!(shape.value(Value::Uint(7)).unwrap_err().detail.contains("no label"));
        assert!(shape.raw(&"auto".into(), DataType::Uint16).unwrap_err().to_string().contains("off, on"));
        assert!(Shape::new(0.1, 0.0, &names).is_err());
    }

    #[test]
    fn decimal_digits_scale_and_times_have_one_form() {
        let tenth = scaled(0.1, 0.0);
        assert_eq!(tenth.value(Value::Uint(1234)).unwrap().to_string(), "123.4");
        assert_eq!(tenth.raw(&Value::Float64(123.4), DataType::Bcd).unwrap(), Value::Uint(1234));
        let time = Value::Text("2024-02-29T12:00:00.000+02:00".into());
        assert_eq!(Shape::default().raw(&time, DataType::DateTime).unwrap(), "2024-02-29T10:00:00Z".into());
    }

    #[test]
    fn a_raw_value_that_means_none_is_none_before_scale_and_labels() {
        let invalid = |shape: Shape, invalid: &[Value], data_type| shape.with_invalid(invalid, data_type).unwrap();
        let names = BTreeMap::from([("0".to_owned(), "off".to_owned())]);
        let labelled = Shape::new(1.0, 0.0, &names).unwrap();
        for (shape, raw) in [
            (invalid(scaled(0.1, -40.0), &["0x8000".into()], DataType::Int16), Value::Int(-32_768)),
            (invalid(labelled, &[Value::Int(255)], DataType::Uint8), Value::Uint(255)),
            (invalid(Shape::default(), &["----".into()], DataType::String), "----".into()),
            (invalid(Shape::default(), &[Value::Float64(-9999.0)], DataType::Float32), Value::Float32(-9999.0)),
        ] {
            let refusal = shape.value(raw.clone()).unwrap_err();
            assert_eq!((refusal.kind, refusal.detail.as_ref()), (ErrorKind::NotAvailable, &*raw.to_string()));
            assert_eq!(shape.seen(Ok(raw)), Err(refusal));
        }
        let tenth = invalid(scaled(0.1, 0.0), &[Value::Int(65_535)], DataType::Uint16);
        assert_eq!(tenth.value(Value::Uint(1234)).unwrap().to_string(), "123.4");
        let error = tenth.raw(&Value::Float64(6553.5), DataType::Uint16).unwrap_err().to_string();
        assert!(error.contains("the raw value 65535 means that there is none"), "{error}");
        assert!(Shape::default().with_invalid(&vec![Value::Int(1); 9], DataType::Uint8).is_err());
    }

    #[test]
    fn a_text_instead_of_a_number_may_mean_none() {
        let shape = Shape::default().with_invalid(&["----".into()], DataType::Float32).unwrap();
        let other = Refusal::bad_data("is no number").with_raw("E-01");
        assert_eq!(shape.seen(Err(other.clone())), Err(other));
        let none = Refusal::bad_data("is no number").with_raw("----");
        assert_eq!(shape.seen(Err(none)), Err(Refusal::not_available("----")));
        let nan = shape.seen(Ok(f32::NAN.into())).unwrap_err();
        assert_eq!((nan.kind, nan.detail.as_ref()), (ErrorKind::BadData, "notANumber"));
    }

    #[test]
    fn no_number_is_bad_data() {
        assert!(Shape::default().value(f32::NAN.into()).is_err());
        assert!(Shape::default().value(f64::INFINITY.into()).is_err());
    }
}
