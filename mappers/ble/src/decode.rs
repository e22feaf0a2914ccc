//! From what a device said to raw values of its properties, and from a value to the bytes that are written. Pure.

use mapper_api::{DataType, Decoded, PointId, Refusal, Value};
use mapper_values::{Shape, codec};

use crate::{
    advert::Advert,
    bind::{Bound, Datum, Part, Source},
    characteristics,
    config::Figure,
    formats::{Format, Message, Trouble},
    radio::Spot,
    request::{Answer, Frame, Request, Said, What},
};

/// What an answer says of the points that it was for.
pub(crate) fn answer(bound: &Bound, request: &Request, answer: &Answer, out: &mut Vec<Decoded>) {
    match (answer, &request.what) {
        (Answer::Value(bytes), What::Read(_) | What::Subscribe(_)) => {
            let said =
                |(point, datum)| Decoded { point, result: part(datum, bytes).unwrap_or_else(|| unstated(datum)) };
            out.extend(data(bound, &request.points).map(said));
        }
        (Answer::Refused(why), _) => {
            let refusal = || Err(Refusal::rejected(why.clone()));
            out.extend(request.points.iter().map(|point| Decoded { point: *point, result: refusal() }));
        }
        (Answer::Done | Answer::Value(_), _) => {}
    }
}

/// What a frame says of the device's points.
pub(crate) fn frame(bound: &Bound, frame: &Frame, out: &mut Vec<Decoded>) {
    match &frame.said {
        Said::Advertised(advert, messages) => advertised(bound, advert, messages, out),
        Said::Repeated(advert) => {
            let all = (0..).zip(&bound.points);
            out.extend(all.filter_map(|(point, datum)| match datum.source {
                Source::Radio(figure) => Some(Decoded { point, result: measured(figure, advert, datum.data_type)? }),
                _ => None,
            }));
        }
        Said::Notified(spot, bytes) => notified(bound, *spot, bytes, out),
    }
}

/// What an advertisement says of the device's points.
pub(crate) fn advertised(
    bound: &Bound,
    advert: &Advert,
    messages: &[(Format, Result<Message, Trouble>)],
    out: &mut Vec<Decoded>,
) {
    for (point, datum) in (0..).zip(&bound.points) {
        let result = match &datum.source {
            Source::Reading { name, index, format } => {
                let meant = messages.iter().filter(|(other, _)| format.is_none_or(|format| format == *other));
                reading(name, *index, meant.map(|(_, message)| message), datum)
            }
            Source::Radio(figure) => measured(*figure, advert, datum.data_type),
            Source::Manufacturer(company, rule) => {
                let records = advert.manufacturer.iter().filter(|(id, _)| id == company).map(|(_, data)| &data[..]);
                rule.read(records, datum.data_type, datum.order, datum.size)
            }
            Source::Service(uuid, rule) => {
                let records = advert.service_data.iter().filter(|(id, _)| id == uuid).map(|(_, data)| &data[..]);
                rule.read(records, datum.data_type, datum.order, datum.size)
            }
            Source::Characteristic { .. } => None,
        };
        out.extend(result.map(|result| Decoded { point, result }));
    }
}

/// What a characteristic's value says of the device's points, whichever way they are read.
pub(crate) fn notified(bound: &Bound, at: Spot, bytes: &[u8], out: &mut Vec<Decoded>) {
    let all = (0..).zip(&bound.points).filter(|(_, datum)| datum.readable);
    let meant = all.filter(|(_, datum)| matches!(&datum.source, Source::Characteristic { spot, .. } if *spot == at));
    out.extend(meant.filter_map(|(point, datum)| Some(Decoded { point, result: part(datum, bytes)? })));
}

fn data<'a>(bound: &'a Bound, points: &'a [PointId]) -> impl Iterator<Item = (PointId, &'a Datum)> {
    points.iter().filter_map(|id| Some((*id, bound.points.get(usize::from(*id))?)))
}

/// A measure of the first message that has it; the trouble of a message if none is well.
fn reading<'a>(
    name: &str,
    index: u8,
    messages: impl Iterator<Item = &'a Result<Message, Trouble>>,
    datum: &Datum,
) -> Option<Result<Value, Refusal>> {
    let (mut well, mut trouble) = (false, None);
    for message in messages {
        match message {
            Ok(message) => {
                well = true;
                if let Some(measure) = message.measures.iter().find(|m| m.name == name && m.index == index) {
                    return Some(typed(&measure.value, datum));
                }
            }
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    trouble.filter(|_| !well).map(|error| Err(Refusal::bad_data(error.to_string())))
}

fn measured(figure: Figure, advert: &Advert, data_type: DataType) -> Option<Result<Value, Refusal>> {
    let value = match figure {
        Figure::Rssi => advert.rssi,
        Figure::TxPower => advert.tx_power,
    }?;
    Some(converted(&Value::Int(value.into()), data_type))
}

/// The value of the property's type; one that does not fit is refused, never rounded.
fn typed(value: &Value, datum: &Datum) -> Result<Value, Refusal> {
    let size = datum.size.map_or(usize::MAX, usize::from);
    let length = match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    };
    if length > size {
        return Err(Refusal::bad_data(format!("has {length} bytes; the property's size is {size}")));
    }
    match (value, datum.data_type) {
        // What people write as hexadecimal digits would be taken for them.
        (Value::Text(_), DataType::Bytes) => Err(Refusal::bad_data("is a text; type string would be accepted")),
        (value, data_type) => converted(value, data_type),
    }
}

fn converted(value: &Value, data_type: DataType) -> Result<Value, Refusal> {
    let fractional = value.as_f64().is_some_and(|number| number.fract() != 0.0);
    if fractional && data_type.is_whole() {
        return Err(Refusal::bad_data(format!("{value} is no whole number; type float32 would be accepted")));
    }
    let number = match value {
        Value::Bool(on) if data_type.is_number() => &Value::Int((*on).into()),
        value => value,
    };
    Shape::default().raw(number, data_type).map_err(|error| Refusal::bad_data(error.to_string()))
}

/// The property's value in a characteristic's; none if the device does not state it.
fn part(datum: &Datum, bytes: &[u8]) -> Option<Result<Value, Refusal>> {
    let Source::Characteristic { spot, part, .. } = &datum.source else { return None };
    match part {
        // Longer texts are cut by the device; what is shorter than its size is whole.
        Part::Bytes(rule) => {
            let rest = u16::try_from(bytes.len().saturating_sub(rule.place.offset)).unwrap_or(u16::MAX);
            let size = datum.size.map(|size| if datum.data_type.is_text() { size.min(rest) } else { size });
            rule.read([bytes], datum.data_type, datum.order, size)
        }
        Part::Standard { field, index } => match characteristics::decode(spot.characteristic, bytes) {
            Ok(measures) => {
                let found = measures.iter().find(|measure| measure.name == *field && measure.index == *index);
                found.map(|measure| typed(&measure.value, datum))
            }
            Err(refusal) => Some(Err(refusal)),
        },
    }
}

fn unstated(datum: &Datum) -> Result<Value, Refusal> {
    let field = match &datum.source {
        Source::Characteristic { part: Part::Standard { field, .. }, .. } => field,
        _ => "value",
    };
    Err(Refusal::bad_data(format!("the device states no {field}")))
}

/// The bytes of a characteristic with this value.
pub(crate) fn to_bytes(datum: &Datum, value: &Value) -> Result<Vec<u8>, Refusal> {
    match &datum.source {
        Source::Characteristic { spot, part: Part::Standard { .. }, .. } => {
            characteristics::encode(spot.characteristic, value)
        }
        _ => codec::encode(value, datum.data_type, datum.order, datum.size),
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
