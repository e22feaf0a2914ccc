//! Data as COSEM writes it (IEC 62056-6-2, A-XDR): a type, then the value. Nothing calls itself, so that depth costs nothing,
//! and as many parts as bytes are kept at most.

use std::borrow::Cow;

use super::lists;
use crate::language::{Content, Datum, MOST, Name, Number, Obis, moment::Moment, unit};

/// One part. A group is followed by its parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    Group(usize),
    Nothing,
    Bool(bool),
    Number(Number),
    /// One that may have decimals.
    Float(Number),
    /// A number of one byte with a sign, which scalers are.
    Small(i8),
    Enum(u8),
    Octets(&'a [u8]),
    Text(&'a [u8]),
    Time(&'a [u8]),
}

/// What of a message is still to be read.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or("a message that breaks off")?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N).map(|bytes| bytes.try_into().expect("as many as were asked for"))
    }

    /// A length: one byte up to 127, else how many bytes follow.
    pub fn length(&mut self) -> Result<usize, String> {
        match self.array::<1>()? {
            [short @ 0..=0x7f] => Ok(short.into()),
            [0x81] => Ok(self.array::<1>()?[0].into()),
            [0x82] => Ok(u16::from_be_bytes(self.array()?).into()),
            [other] => Err(format!("a length that begins with {other:02x}")),
        }
    }

    /// All values that have a code, of one group that ends where the message does.
    pub fn data(mut self) -> Result<Vec<Datum>, String> {
        let mut items = Vec::new();
        let mut open = 1;
        while open > 0 {
            open -= 1;
            let item = self.item()?;
            if let Item::Group(parts) = item {
                // Each part has a byte at least.
                if parts > self.0.len() {
                    return Err("a group that breaks off".into());
                }
                open += parts;
            }
            items.push(item);
        }
        match self.0.len() {
            0 => lists::read(&items).or_else(|| lists::self_described(&items)).map_or_else(|| named(&items), Ok),
            left => Err(format!("{left} bytes after the end of the data")),
        }
    }

    fn item(&mut self) -> Result<Item<'a>, String> {
        let number = |digits: i128| Item::Number(Number::whole(digits));
        Ok(match self.array::<1>()?[0] {
            0x00 => Item::Nothing,
            0x01 | 0x02 => Item::Group(self.length()?),
            0x03 => Item::Bool(self.array::<1>()?[0] != 0),
            0x04 => {
                let bits = self.length()?;
                Item::Octets(self.take(bits.div_ceil(8))?)
            }
            0x05 => number(i32::from_be_bytes(self.array()?).into()),
            0x06 => number(u32::from_be_bytes(self.array()?).into()),
            0x09 => {
                let length = self.length()?;
                Item::Octets(self.take(length)?)
            }
            0x0a | 0x0c => {
                let length = self.length()?;
                Item::Text(self.take(length)?)
            }
            0x0f => Item::Small(i8::from_be_bytes(self.array()?)),
            0x10 => number(i16::from_be_bytes(self.array()?).into()),
            0x11 => number(u8::from_be_bytes(self.array()?).into()),
            0x12 => number(u16::from_be_bytes(self.array()?).into()),
            0x14 => number(i64::from_be_bytes(self.array()?).into()),
            0x15 => number(u64::from_be_bytes(self.array()?).into()),
            0x16 => Item::Enum(self.array::<1>()?[0]),
            0x17 => float(&f32::from_be_bytes(self.array()?).to_string()),
            0x18 => float(&f64::from_be_bytes(self.array()?).to_string()),
            0x19 => Item::Time(self.take(12)?),
            0x1a => Item::Octets(self.take(5)?),
            0x1b => Item::Octets(self.take(4)?),
            other => return Err(format!("data of type {other:02x}")),
        })
    }
}

/// What is no number, or one with more digits than a quantity has, is nothing: the parts beside it are right.
fn float(text: &str) -> Item<'static> {
    Number::parse(text).map_or(Item::Nothing, Item::Float)
}

/// The values with their codes: the code is six bytes of which the last is 255, the value what follows; then may come a group
/// of a scaler and a unit.
fn named(items: &[Item]) -> Result<Vec<Datum>, String> {
    let mut data = Vec::new();
    let mut rest = items;
    while let Some((first, after)) = rest.split_first() {
        // What is said there of a code is not its value.
        if lists::defined(rest).is_some() {
            rest = &rest[5..];
            continue;
        }
        rest = after;
        let Item::Octets(code @ [_, _, _, _, _, 255]) = *first else { continue };
        let code = Obis::from_bytes(code.try_into().expect("six bytes"));
        let Some(value) = after.first().filter(|value| !matches!(value, Item::Group(_))) else { continue };
        rest = &after[1..];
        let mut unit: Option<&str> = None;
        let mut exponent = 0;
        if let [Item::Group(2), Item::Small(scaler), Item::Enum(code), left @ ..] = rest {
            (exponent, unit, rest) = (i16::from(*scaler), unit::name(*code), left);
        }
        let Some(content) = content(code, value) else { continue };
        let content = match content {
            Content::Number(Number { digits, exponent: own }) => {
                Content::Number(Number { digits, exponent: own + exponent })
            }
            other => other,
        };
        data.push(Datum { name: Name::Obis(code), index: 0, content, unit: unit.map(Cow::Borrowed) });
        if data.len() > MOST {
            return Err(format!("more than {MOST} values"));
        }
    }
    Ok(data)
}

/// The value of a part that is one.
pub fn content(code: Obis, value: &Item) -> Option<Content> {
    Some(match *value {
        Item::Number(number) | Item::Float(number) => Content::Number(number),
        Item::Small(digits) => Content::Number(Number::whole(digits)),
        Item::Enum(value) => Content::Number(Number::whole(value)),
        Item::Bool(value) => Content::Bool(value),
        Item::Time(time) => moment(time),
        Item::Octets(time) if time.len() == 12 && (code.c, code.d) == (1, 0) => moment(time),
        Item::Octets(bytes) | Item::Text(bytes) => Content::Bytes(bytes.to_vec()),
        Item::Nothing | Item::Group(_) => return None,
    })
}

/// A date and time of twelve bytes (Blue Book, 4.1.6.1): year, month, day, day of the week, hour, minute, second, hundredths,
/// minutes that UTC is ahead, status. Where the meter does not say how far it is off UTC, its own time without a zone.
fn moment(bytes: &[u8]) -> Content {
    let &[y1, y2, month, day, _, hour, minute, second, hundredths, off1, off2, _] = bytes else {
        return Content::Bytes(bytes.to_vec());
    };
    let off = i16::from_be_bytes([off1, off2]);
    let moment = Moment {
        year: u16::from_be_bytes([y1, y2]).into(),
        month: month.into(),
        day: day.into(),
        hour: hour.into(),
        minute: minute.into(),
        second: second.into(),
        millis: if hundredths == 255 { 0 } else { i64::from(hundredths) * 10 },
    };
    let known = off != i16::MIN;
    match moment.utc(if known { -i64::from(off) } else { 0 }) {
        Some(text) if known => Content::Text(text),
        Some(text) => Content::Text(text.trim_end_matches('Z').to_owned()),
        None => Content::Bytes(bytes.to_vec()),
    }
}
