//! Xiaomi's MiBeacon, versions 2 to 5 (service data 0xFE95): clear, sealed with a bind key (versions 4 and 5), and in
//! the old encryption without a check (versions 2 and 3). The frame and its nonce: xiaomi-ble 1.21 (parser.py), ESPHome
//! (components/xiaomi_ble) and the firmware of ATC_MiThermometer (src/mi_beacon.c, mi_beacon.h), which agree.

mod buttons;
mod locks;
mod models;
mod objects;
mod own;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::models::{Model, model};
use super::{Format, Heard, Key, Message, Trouble, measures::Measures, seal};
use crate::advert::{Advert, Mac, short};

/// The bits of the two bytes of frame control.
mod control {
    pub const ENCRYPTED: u16 = 1 << 3;
    pub const ADDRESS: u16 = 1 << 4;
    pub const CAPABILITY: u16 = 1 << 5;
    pub const OBJECT: u16 = 1 << 6;
    pub const MESH: u16 = 1 << 7;
    pub const VERSION: u16 = 12;
}

/// The bit of the byte of capabilities that a byte about input and output follows.
const CAPABILITY_IO: u8 = 1 << 5;

/// The header that is authenticated beside the content.
const HEADER: [u8; 1] = [0x11];

/// Control, product id and frame counter, which the old nonce takes over as they are.
const START: usize = 5;

/// What an advertisement says in MiBeacon.
pub fn decode(advert: &Advert, key: Option<&Key>) -> Heard {
    let data = advert.service_data(short(0xfe95))?;
    Some(read(advert.mac, data, key))
}

fn read(sender: Mac, data: &[u8], key: Option<&Key>) -> Result<Message, Trouble> {
    let (start, mut rest) = data.split_first_chunk::<START>().ok_or_else(too_short)?;
    let [control, product] = [[start[0], start[1]], [start[2], start[3]]].map(u16::from_le_bytes);
    let version = control >> control::VERSION;
    let has = |bit| control & bit != 0;
    if has(control::MESH) {
        return Err(Trouble::Malformed("it is of a mesh device: those say nothing in MiBeacon".into()));
    }
    if !(2..=5).contains(&version) {
        return Err(Trouble::Malformed(format!("MiBeacon version {version} is not known").into()));
    }
    if has(control::ADDRESS) {
        let (mac, after) = rest.split_first_chunk::<6>().ok_or_else(too_short)?;
        if !mac.iter().rev().eq(&sender.0) {
            return Err(Trouble::Malformed("it names another address than its sender's".into()));
        }
        rest = after;
    }
    if has(control::CAPABILITY) {
        let (capability, after) = rest.split_first().ok_or_else(too_short)?;
        rest = after;
        if capability & CAPABILITY_IO != 0 {
            rest = rest.split_first().ok_or_else(too_short)?.1;
        }
    }
    let model = model(product);
    let message = Message {
        model: model.map(|model| model.name.into()),
        sleepy: model.is_some_and(|model| model.sleepy),
        packet: Some(start[4]),
        ..Message::new(Format::MiBeacon)
    };
    if !has(control::OBJECT) {
        // A sign of life, which encrypted devices send in the clear too. It says nothing that could be wrong.
        return Ok(message);
    }
    if !has(control::ENCRYPTED) {
        if key.is_some() {
            return Err(Trouble::NotEncrypted);
        }
        let Objects { measures, remark } = objects(rest, model);
        return match remark {
            Some(remark) if measures.is_empty() => Err(Trouble::Malformed(remark)),
            remark => Ok(Message { measures: measures.into_vec(), remark, ..message }),
        };
    }
    let key = key.ok_or(Trouble::KeyNeeded)?;
    if version >= 4 {
        let (content, counter) = opened(sender, *start, rest, key)?;
        let Objects { measures, remark } = objects(&content, model);
        return Ok(Message {
            measures: measures.into_vec(),
            remark,
            encrypted: true,
            counter: Some(counter),
            ..message
        });
    }
    // Any key gives something, so it counts only if it is whole objects of types that are known, of the right lengths.
    // Of a million wrong keys fewer than ten would give that.
    match objects(&opened_unchecked(sender, *start, rest, key)?, model) {
        Objects { measures, remark: None } if !measures.is_empty() => Ok(Message {
            measures: measures.into_vec(),
            unchecked: true,
            remark: Some("its encryption, of MiBeacon 2 and 3, does not tell who sent it".into()),
            ..message
        }),
        _ => Err(Trouble::WrongKey),
    }
}

/// The content of versions 4 and 5, and the counter: content, the upper three bytes of the counter, the check. The byte
/// that counts the frames is the lowest of the counter's four (ATC_MiThermometer, src/mi_beacon.c).
fn opened(Mac(mut mac): Mac, start: [u8; START], rest: &[u8], key: &Key) -> Result<(Vec<u8>, u32), Trouble> {
    let (rest, check) = rest.split_last_chunk::<{ seal::CHECK }>().ok_or_else(too_short)?;
    let (content, upper) = rest.split_last_chunk::<3>().ok_or_else(too_short)?;
    mac.reverse();
    let nonce = [&mac[..], &start[2..], upper].concat();
    let content = seal::open(key, &nonce, &HEADER, content, *check).ok_or(Trouble::WrongKey)?;
    Ok((content, u32::from_le_bytes([start[4], upper[0], upper[1], upper[2]])))
}

/// The content of versions 2 and 3: content, three random bytes, and one that no decoder uses.
fn opened_unchecked(Mac(mut mac): Mac, start: [u8; START], rest: &[u8], key: &Key) -> Result<Vec<u8>, Trouble> {
    let (content, [random @ .., _]) = rest.split_last_chunk::<4>().ok_or_else(too_short)?;
    mac.reverse();
    let mut nonce = [0; 13];
    nonce[..START].copy_from_slice(&start);
    nonce[START..8].copy_from_slice(random);
    nonce[8..].copy_from_slice(&mac[..5]);
    Ok(seal::open_unchecked(key, nonce, content))
}

fn too_short() -> Trouble {
    Trouble::Malformed("the MiBeacon is cut off".into())
}

#[derive(Default)]
struct Objects {
    measures: Measures,
    remark: Option<Cow<'static, str>>,
}

/// The objects, one after the other: a type of two bytes, a length, the content. What is not known is passed over.
fn objects(mut data: &[u8], model: Option<Model>) -> Objects {
    let mut read = Objects::default();
    while !data.is_empty() {
        let Some((kind, content, rest)) = object(data) else {
            read.remark.get_or_insert("its last object is cut off".into());
            break;
        };
        data = rest;
        if objects::read(kind, content, model, &mut read.measures).is_none() {
            let length = content.len();
            read.remark.get_or_insert(format!("object 0x{kind:04x} of {length} bytes is not known").into());
        }
    }
    read
}

fn object(data: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let ([low, high, length], rest) = data.split_first_chunk()?;
    let (content, rest) = rest.split_at_checked((*length).into())?;
    Some((u16::from_le_bytes([*low, *high]), content, rest))
}
