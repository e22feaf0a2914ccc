//! SML, the language of German meters (BSI TR-03109-1, annex IV; SML 1.03 and 1.04): files between escape sequences, with a
//! CRC over all of it; inside, messages of which only the answer to GetList is read.
//!
//! The CRCs of the single messages are not looked at: the one over the file covers them.

mod item;

use crc::{CRC_16_IBM_SDLC, CRC_16_KERMIT, Crc};
use item::{Item, Items};

use super::{Content, Cut, Datum, MOST, Name, Number, Obis, Telegram, cut, readable, unit};

/// No file is longer; those of the meters that are known have less than 1 kB.
pub const LONGEST: usize = 8192;

const ESCAPE: [u8; 4] = [0x1b; 4];
/// How a file begins: an escape, and version 1.
pub const START: [u8; 8] = [0x1b, 0x1b, 0x1b, 0x1b, 1, 1, 1, 1];

static CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_SDLC);
/// What Holley's DTZ541 sends instead (libsml and ESPHome accept it as well).
static CRC_OF_HOLLEY: Crc<u16> = Crc::<u16>::new(&CRC_16_KERMIT);

/// The tag of the answer to GetList, in the numbers of SML's messages.
const GET_LIST: u64 = 0x0701;

/// The next file of a line.
pub fn cut(bytes: &[u8]) -> Cut {
    match cut::noise(bytes, &START) {
        0 if bytes.len() < START.len() => return Cut::More,
        0 => {}
        noise => return Cut::Noise(noise),
    }
    let bytes = cut::seen(bytes, LONGEST);
    let mut at = START.len();
    while let Some(escape) = cut::find(bytes, &ESCAPE, at) {
        match bytes.get(escape + 4..escape + 8) {
            None => break,
            // A DZG meter fills up with four bytes where it needs none.
            Some([0x1a, 0..=4, _, _]) => return Cut::Whole(escape + 8),
            // Four bytes of the content that look like an escape have one before them.
            Some(four) if four == ESCAPE => at = escape + 8,
            Some([1, 1, 1, 1]) => return Cut::Bad(escape, "the file breaks off".into()),
            Some(_) => return Cut::Bad(escape + 4, "an escape that means nothing".into()),
        }
    }
    cut::more(bytes, LONGEST)
}

/// What a file says, from its first byte to the last of its CRC.
///
/// # Errors
/// It does not prove itself, or it is no answer to GetList.
pub fn read(file: &[u8]) -> Result<Telegram, String> {
    let (summed, sent) = file.split_last_chunk::<2>().ok_or("no SML file")?;
    let sent = u16::from_le_bytes(*sent);
    let sum = CRC.checksum(summed);
    if sum != sent && CRC_OF_HOLLEY.checksum(summed).swap_bytes() != sent && CRC_OF_HOLLEY.checksum(summed) != sent {
        return Err(format!("the CRC is {sent:04x}, and {sum:04x} over what came"));
    }
    let (body, end) = summed.split_last_chunk::<6>().ok_or("no SML file")?;
    let padding = usize::from(end[5]);
    let body = body.strip_prefix(&START).ok_or("no SML file")?;
    let content = unescaped(body.get(..body.len().saturating_sub(padding)).unwrap_or_default());
    let mut items = Items::new(&content);
    let mut telegram = Telegram { whole: true, ..Telegram::default() };
    while !items.at_filling() {
        message(&mut items, &mut telegram)?;
    }
    if telegram.data.is_empty() { Err("an SML file without values".into()) } else { Ok(telegram) }
}

fn unescaped(body: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(body.len());
    let mut at = 0;
    while at < body.len() {
        if body[at..].starts_with(&ESCAPE) {
            at += ESCAPE.len();
            content.extend_from_slice(&body[at..body.len().min(at + ESCAPE.len())]);
            at += ESCAPE.len();
        } else {
            content.push(body[at]);
            at += 1;
        }
    }
    content
}

/// One message: transaction, group, what to do on errors, the body with its tag, a CRC, an end.
fn message(items: &mut Items, telegram: &mut Telegram) -> Result<(), String> {
    let message = items.list()?;
    if message != 6 {
        return Err(format!("a message of {message} parts; 6 are expected"));
    }
    items.skip(3)?;
    if items.list()? != 2 {
        return Err("a message body without a tag".into());
    }
    match items.next()? {
        Item::Uint(GET_LIST) => get_list(items, telegram)?,
        _ => items.skip(1)?,
    }
    items.skip(1)?;
    match items.next()? {
        Item::End => Ok(()),
        _ => Err("a message without its end".into()),
    }
}

/// The answer to GetList: client, server, name of the list, time, the values, signature, time of a gateway.
fn get_list(items: &mut Items, telegram: &mut Telegram) -> Result<(), String> {
    if items.list()? != 7 {
        return Err("an answer to GetList that has not 7 parts".into());
    }
    items.skip(1)?;
    if let Item::Octets(server) = items.next()? {
        telegram.sender = readable(server);
    }
    items.skip(2)?;
    let mut broken = false;
    for _ in 0..items.list()? {
        entry(items, telegram, &mut broken)?;
        if telegram.data.len() > MOST {
            return Err(format!("more than {MOST} values"));
        }
    }
    items.skip(2)
}

/// One value: code, status, time, unit, scaler, value, signature.
fn entry(items: &mut Items, telegram: &mut Telegram, broken: &mut bool) -> Result<(), String> {
    let parts = items.list()?;
    if parts != 7 {
        return Err(format!("a value of {parts} parts; 7 are expected"));
    }
    let code = match items.next()? {
        Item::Octets(code) => <[u8; 6]>::try_from(code).ok(),
        _ => None,
    };
    let status = items.next()?;
    if let Item::List(parts) = status {
        items.skip(parts)?;
    }
    items.skip(1)?;
    let unit = match items.next()? {
        Item::Uint(code) => u8::try_from(code).ok().and_then(unit::name),
        _ => None,
    };
    let exponent = match items.next()? {
        Item::Int(scaler) => i16::try_from(scaler).map_err(|_| "a scaler out of range")?,
        _ => 0,
    };
    let before = items.left();
    let value = items.next()?;
    let width = before - items.left() - 1;
    if let Item::List(parts) = value {
        items.skip(parts)?;
    }
    items.skip(1)?;
    let Some(code) = code else { return Ok(()) };
    *broken |= code == SERIAL && matches!(value, Item::Octets(number) if sends_power_without_sign(number));
    let content = match value {
        Item::Octets([]) | Item::List(_) | Item::End => return Ok(()),
        Item::Octets(bytes) => Content::Bytes(bytes.to_vec()),
        Item::Bool(value) => Content::Bool(value),
        Item::Uint(value) => Content::Number(Number { digits: value.into(), exponent }),
        Item::Int(value) if value < 0 && *broken && code == POWER && width <= 3 => {
            Content::Number(Number { digits: i128::from(value) + (1 << (8 * width)), exponent })
        }
        Item::Int(value) => Content::Number(Number { digits: value.into(), exponent }),
    };
    let name = Name::Obis(Obis::from_bytes(code));
    telegram.data.push(Datum { name, index: 0, content, unit: unit.map(Into::into) });
    if let Item::Uint(status) = status {
        let content = Content::Number(Number::whole(status));
        telegram.data.push(Datum { name, index: 1, content, unit: None });
    }
    Ok(())
}

/// The code of a meter's own number, and of its power.
const SERIAL: [u8; 6] = [1, 0, 96, 1, 0, 255];
const POWER: [u8; 6] = [1, 0, 16, 7, 0, 255];

/// DZG's DVS74 with these numbers send a positive power of up to three bytes as if it had a sign: 328.05 W come as -327.31 W;
/// negative ones they send in four bytes. Found and bounded by libsml (`sml_list.c`, `detect_buggy_dzg_dvs74`).
fn sends_power_without_sign(number: &[u8]) -> bool {
    match number {
        [0x0a, 0x01, b'D', b'Z', b'G', rest @ ..] if rest.len() == 5 => {
            let number = rest.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            matches!(number, 42_000_000..=48_999_999 | 55_000_000..=58_999_999)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
