//! The standard characteristics of the Bluetooth SIG as named values with units, and values as bytes to write. What a
//! device marks as not known gives no value; bytes of another length than the standard's are refused.
//!
//! Sources: GATT Specification Supplement (the YAML of its sections, as in the package bluetooth-sig 0.6.0), Assigned
//! Numbers 3.8, and for the measurements of a service that service's specification. Temperatures come in °C, masses in
//! kg, lengths in m and blood pressures in mmHg, also from a device that is set to other units.

mod medfloat;
mod number;
mod records;
mod table;
mod time;

use mapper_api::{Refusal, Value};
use uuid::Uuid;

use crate::{
    advert::short,
    formats::{
        Measure,
        measures::Measures,
        names::Name,
        record::{Record, hex},
    },
};

/// A standard characteristic.
struct Characteristic {
    id: u16,
    fields: &'static [Name],
    form: Form,
}

/// How its bytes are to be understood.
enum Form {
    /// One number.
    Number(number::Number),
    /// One number in the short form of IEEE 11073, in units of ten to this power.
    Medfloat16(i32),
    /// 0 or 1.
    Bool,
    /// A text in UTF-8.
    Text,
    /// Eight bytes, the least significant first, as hexadecimal digits.
    Digits,
    /// Date and time of day.
    DateTime,
    /// Date, time of day, day of the week, and why the clock was set.
    CurrentTime,
    /// Several fields, most of them told by flags. None if it ends too early.
    Record(fn(&mut Record, &mut Measures) -> Option<()>),
}

/// The named fields of a standard characteristic, the most important one first; none if it is not known here.
pub fn fields(uuid: Uuid) -> Option<&'static [Name]> {
    find(uuid).map(|found| found.fields)
}

/// What a standard characteristic's value says: a measure for each of its fields that the device states. A field that
/// may occur several times, such as `rrInterval`, is counted by its index.
///
/// # Errors
/// [`mapper_api::ErrorKind::BadData`] when the characteristic is not known here, when the bytes are too few or (for one
/// of a fixed length) too many, or when the standard reserves the value.
pub fn decode(uuid: Uuid, bytes: &[u8]) -> Result<Vec<Measure>, Refusal> {
    let found = find(uuid).ok_or_else(|| unknown(uuid))?;
    let first = found.fields[0];
    let mut out = Measures::default();
    match &found.form {
        Form::Number(number) => out.add_some(first, number.decode(first, bytes)?),
        Form::Medfloat16(power) => {
            out.add_some(first, medfloat::medfloat16(fixed(first, bytes)?, *power).map(Value::Float64));
        }
        Form::Bool => match fixed(first, bytes)? {
            [raw @ 0..=1] => out.add(first, raw == 1),
            [raw] => {
                return Err(Refusal::bad_data(format!("{}: {raw} is reserved; 0 or 1 would be accepted", first.name)));
            }
        },
        Form::Text => out.add(first, text(first, bytes)?),
        Form::Digits => {
            let mut digits: [u8; 8] = fixed(first, bytes)?;
            digits.reverse();
            out.add(first, hex(&digits));
        }
        Form::DateTime => out.add_some(first, time::date_time(fixed(first, bytes)?)),
        Form::CurrentTime => time::current_time(fixed(first, bytes)?, &mut out),
        Form::Record(read) => read(&mut Record(bytes), &mut out).ok_or_else(|| {
            Refusal::bad_data(format!("{}: the value ends too early, after {} bytes", first.name, bytes.len()))
        })?,
    }
    Ok(out.into_vec())
}

/// The decimal number of IEEE 11073 by which a thermometer states a temperature, in °C; none for its special values.
pub(crate) fn thermometer_value(bytes: [u8; 4]) -> Option<f64> {
    medfloat::medfloat32(bytes)
}

/// Whether [`encode`] can make bytes of a value for this characteristic. Whether the device lets them be written is its
/// own affair.
pub fn is_writable(uuid: Uuid) -> bool {
    find(uuid).is_some_and(|found| !matches!(found.form, Form::Record(_) | Form::Digits | Form::Medfloat16(_)))
}

/// The bytes that state this value of the characteristic's first field, in the unit of that field.
///
/// # Errors
/// [`mapper_api::ErrorKind::Rejected`] when the characteristic is not known here or has no single value, and when the
/// value has no form, with what would be accepted.
pub fn encode(uuid: Uuid, value: &Value) -> Result<Vec<u8>, Refusal> {
    let found = find(uuid).ok_or_else(|| Refusal::rejected(unknown(uuid).detail))?;
    let first = found.fields[0];
    let refuse = |accepted: &str| Err(Refusal::rejected(format!("{}: {accepted} would be accepted", first.name)));
    match (&found.form, value) {
        (Form::Number(number), value) => number.encode(first, value),
        (Form::Bool, Value::Bool(on)) => Ok(vec![u8::from(*on)]),
        (Form::Bool, _) => refuse("true or false"),
        (Form::Text, Value::Text(text)) => Ok(text.clone().into_bytes()),
        (Form::Text, _) => refuse("a text"),
        (Form::DateTime | Form::CurrentTime, Value::Text(text)) => {
            let time = time::parse(text).map(|time| match found.form {
                Form::CurrentTime => time::with_day(time).to_vec(),
                _ => time.to_vec(),
            });
            time.map_or_else(|| refuse(time::EXAMPLE), Ok)
        }
        (Form::DateTime | Form::CurrentTime, _) => refuse(time::EXAMPLE),
        (Form::Record(_) | Form::Digits | Form::Medfloat16(_), _) => {
            Err(Refusal::rejected(format!("{} cannot be written by its standard type", first.name)))
        }
    }
}

fn find(uuid: Uuid) -> Option<&'static Characteristic> {
    table::ALL.iter().find(|known| short(known.id) == uuid)
}

fn unknown(uuid: Uuid) -> Refusal {
    Refusal::bad_data(format!("characteristic {uuid} has no standard type that is known here"))
}

fn fixed<const N: usize>(name: Name, bytes: &[u8]) -> Result<[u8; N], Refusal> {
    bytes.try_into().map_err(|_| Refusal::bad_data(format!("{} takes {N} bytes, got {}", name.name, bytes.len())))
}

/// Some devices fill up with NUL.
fn text(name: Name, bytes: &[u8]) -> Result<String, Refusal> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]);
    text.map(str::to_owned).map_err(|error| Refusal::bad_data(format!("{} is not UTF-8: {error}", name.name)))
}

#[cfg(test)]
mod tests;
