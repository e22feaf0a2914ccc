//! Where a property lives in a message, and its value there. What cannot be is told when the device is bound.

use std::collections::BTreeMap;

use mapper_api::{DataType, Point, Refusal, Value};

use super::{
    Fields, Kind, Message, Whence,
    condition::{Condition, same},
    text::{Reading, readable},
};
use crate::{
    check::Mistake,
    config::{Address, Base},
    language::Number,
};

/// Where a property lives in a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    whence: Whence,
    reading: Reading,
    expect: Vec<Condition>,
    /// Which of the conditions is about a unit that may be converted, and by which factors.
    units: Option<(usize, Vec<(String, Number)>)>,
    /// Only a value that has settled.
    stable: bool,
}

impl Place {
    /// The place of a point in this message.
    ///
    /// # Errors
    /// All mistakes, by their keys inside the address, with what would be accepted. Whether the address says exactly one of
    /// `field`, `offset`, `pointer` and `raw` is not looked at.
    pub fn new(point: &Point<Address>, message: &Message) -> Result<Self, Vec<Mistake>> {
        let Point { address, data_type, order, size, .. } = point;
        let mut mistakes = Vec::new();
        let mut wrong = |key: &str, message: String| mistakes.push((key.to_owned(), message));
        let (base, decimal) = (address.base.unwrap_or_default(), address.decimal);
        let reading = Reading { data_type: *data_type, order: *order, size: *size, base, decimal };
        let whence = whence(point, message).map_err(|(key, message)| wrong(key, message)).ok();
        if let Some(Whence::Bytes(_) | Whence::Raw) = whence
            && address.base.is_some()
        {
            wrong("base", "is of a number in a text".to_owned());
        }
        if reading.base == Base::Hex && matches!(data_type, DataType::String | DataType::DateTime) {
            wrong("base", format!("is of a number or of bytes; the property is a {data_type}"));
        }
        let of_bytes = matches!(whence, Some(Whence::Bytes(_) | Whence::Raw));
        if decimal.is_some() && (of_bytes || base == Base::Hex || !data_type.is_number()) {
            wrong("decimal", "is of a decimal number in a text".to_owned());
        }
        if address.bits.is_some() && address.offset.is_none() {
            wrong("bits", "goes with `offset`".to_owned());
        }
        let stable = address.stable.unwrap_or(false);
        if stable && message.stable.is_empty() {
            let name = &message.name;
            wrong("stable", format!("needs `stable` of message {name}: what stands where when a value has settled"));
        }
        let expect = Condition::all(message, "expect", &address.expect, &BTreeMap::new(), &mut mistakes);
        let units = units(address, reading, whence.as_ref(), &expect, &mut mistakes);
        match whence {
            Some(whence) if mistakes.is_empty() => Ok(Self { whence, reading, expect, units, stable }),
            _ => Err(mistakes),
        }
    }

    /// The property's value in a message; none if it says nothing of it: the value has not settled, or its field is not
    /// there.
    ///
    /// # Errors
    /// [`mapper_api::ErrorKind::BadData`] where what stands there is no value of its type, or another unit than expected;
    /// [`mapper_api::ErrorKind::NotAvailable`] where its field is empty.
    pub fn read(&self, fields: &Fields<'_>) -> Option<Result<Value, Refusal>> {
        if self.stable && !fields.is_stable() {
            return None;
        }
        match &self.whence {
            Whence::Field(field) => {
                let text = fields.field(*field)?;
                Some(self.factor(fields).and_then(|factor| self.reading.text(text, factor)))
            }
            Whence::Member(name) => self.json(fields, fields.json()?.get(name)?),
            Whence::Pointer(pointer) => self.json(fields, fields.json()?.pointer(pointer)?),
            Whence::Bytes(place) => {
                let Reading { data_type, order, size, .. } = self.reading;
                // A value without a size reaches to the end of the content, not into the check.
                let record =
                    if data_type.width().or(size).is_some() { fields.frame } else { fields.until_content_ends() };
                Some(self.factor(fields).and_then(|_| place.read(record, data_type, order, size)))
            }
            Whence::Raw => Some(self.factor(fields).map(|_| match self.reading.data_type {
                DataType::Bytes => Value::Bytes(fields.content.to_vec()),
                _ => Value::Text(readable(fields.content.to_vec())),
            })),
        }
    }

    #[allow(clippy::unnecessary_wraps)] // as the other places have it
    fn json(&self, fields: &Fields<'_>, json: &serde_json::Value) -> Option<Result<Value, Refusal>> {
        Some(self.factor(fields).and_then(|factor| self.reading.json(json, factor)))
    }

    /// What the number is to be multiplied with, if all conditions hold but for a unit that may be converted.
    fn factor(&self, fields: &Fields<'_>) -> Result<Option<&Number>, Refusal> {
        let mut factor = None;
        for (index, condition) in self.expect.iter().enumerate().filter(|(_, condition)| !condition.holds(fields)) {
            let (name, wanted) = (&condition.name, condition.wanted());
            let Some(found) = condition.found(fields) else {
                return Err(Refusal::bad_data(format!("{name} is missing; {wanted} is expected")));
            };
            let factors = self.units.as_ref().filter(|(of, _)| *of == index).map_or(&[][..], |(_, factors)| factors);
            match factors.iter().find(|(unit, _)| same(&found, unit)) {
                Some((_, by)) => factor = Some(by),
                None => return Err(Refusal::bad_data(format!("{name} is {found}; {wanted} is expected"))),
            }
        }
        Ok(factor)
    }
}

/// Where the value stands.
fn whence(point: &Point<Address>, message: &Message) -> Result<Whence, (&'static str, String)> {
    let Point { address, data_type, size, .. } = point;
    let name = &message.name;
    if let Some(field) = &address.field {
        return message.whence(field).map_err(|message| ("field", message));
    }
    if let Some(pointer) = &address.pointer {
        return match message.kind {
            Kind::Json if pointer.starts_with('/') => Ok(Whence::Pointer(pointer.clone())),
            Kind::Json => Err(("pointer", format!("{pointer:?} is no JSON pointer; /a/0/b would be accepted"))),
            _ => Err(("pointer", format!("is of JSON, and message {name} is none; `json: {{}}` says that it is"))),
        };
    }
    if let Some(given) = address.offset {
        if !matches!(message.kind, Kind::Binary) {
            return Err((
                "offset",
                format!("is of bytes, and message {name} is a text; `binary: {{}}` says that it is none"),
            ));
        }
        let Some(offset) = usize::try_from(given).ok().filter(|offset| *offset < 16_384) else {
            return Err(("offset", format!("is {given}; 0 to 16383 would be accepted")));
        };
        let bits = address.bits.as_deref().map(str::parse).transpose().map_err(|message| ("bits", message))?;
        let place = mapper_values::Place { offset, bits };
        place.check(*data_type, *size).map_err(|message| ("bits", message))?;
        return Ok(Whence::Bytes(place));
    }
    match data_type {
        DataType::String | DataType::Bytes => Ok(Whence::Raw),
        _ => Err(("raw", format!("is a text or bytes; the property is a {data_type}"))),
    }
}

/// The condition that is about a unit, and the factors of other units.
fn units(
    address: &Address,
    reading: Reading,
    whence: Option<&Whence>,
    expect: &[Condition],
    mistakes: &mut Vec<Mistake>,
) -> Option<(usize, Vec<(String, Number)>)> {
    if address.units.is_empty() {
        return None;
    }
    let mut wrong = |key: String, message: String| mistakes.push((key, message));
    let about = match expect {
        [_] => Some(0),
        _ => expect.iter().position(|condition| condition.name == "unit"),
    };
    // A mistake in `expect` was told.
    if about.is_none() && expect.len() == address.expect.len() {
        wrong("units".into(), "needs `expect: {unit: ...}`, the unit that they are converted to".into());
    }
    if !reading.data_type.is_number() {
        wrong("units".into(), format!("converts numbers; the property is a {}", reading.data_type));
    }
    if reading.base == Base::Hex || matches!(whence, Some(Whence::Bytes(_) | Whence::Raw)) {
        wrong("units".into(), "converts decimal numbers in texts and JSON".into());
    }
    let mut factors = Vec::with_capacity(address.units.len());
    for (unit, factor) in &address.units {
        match Number::from_f64(*factor).filter(|factor| factor.digits != 0) {
            Some(factor) => factors.push((unit.clone(), factor)),
            None => wrong(format!("units.{unit}"), format!("{factor} is no factor; a number that is not 0 would be")),
        }
    }
    about.map(|about| (about, factors))
}
