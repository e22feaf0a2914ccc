//! BTHome: version 2 (service data 0xFCD2, clear and encrypted) and what is left of version 1 (0x181C clear, 0x181E
//! encrypted). From <https://bthome.io/format/>, <https://bthome.io/encryption/> and <https://bthome.io/v1/>. It tells
//! what a message says; whether it was heard before is not decided here.

mod objects;
mod read;
#[cfg(test)]
mod tests;

use self::read::Said;
use super::{Format, Heard, Key, Message, Trouble, seal};
use crate::advert::{Advert, Mac, short};

/// The bits of version 2's first byte.
mod info {
    pub const ENCRYPTED: u8 = 1;
    /// The address stands before the objects, the last byte first. An old draft; bthome-ble reads it still.
    pub const ADDRESS: u8 = 1 << 1;
    /// It sends when something happens, not at an interval.
    pub const TRIGGERED: u8 = 1 << 2;
    pub const VERSION: u8 = 5;
}

/// The header that version 1 authenticates beside the content, as Xiaomi does.
const HEADER_1: [u8; 1] = [0x11];

/// What an advertisement says in BTHome.
pub fn decode(advert: &Advert, key: Option<&Key>) -> Heard {
    if let Some(data) = advert.service_data(short(0xfcd2)) {
        return Some(version_2(advert, data, key));
    }
    if let Some(data) = advert.service_data(short(0x181e)) {
        let opened = opened(data, key, advert.mac, &[0x1e, 0x18], &HEADER_1);
        return Some(opened.and_then(|(content, counter)| {
            let message = message(advert, read::version_1(&content))?;
            Ok(Message { encrypted: true, counter: Some(counter), ..message })
        }));
    }
    let data = advert.service_data(short(0x181c))?;
    Some(if key.is_some() { Err(Trouble::NotEncrypted) } else { message(advert, read::version_1(data)) })
}

fn version_2(advert: &Advert, data: &[u8], key: Option<&Key>) -> Result<Message, Trouble> {
    let (&first, rest) = data.split_first().ok_or(Trouble::Malformed("BTHome data is empty".into()))?;
    if first >> info::VERSION != 2 {
        return Err(Trouble::Malformed(format!("there is no BTHome version {}", first >> info::VERSION).into()));
    }
    let (mac, rest) = if first & info::ADDRESS == 0 {
        (advert.mac, rest)
    } else {
        let (mac, rest) = rest.split_first_chunk().ok_or_else(too_short)?;
        let mut mac: [u8; 6] = *mac;
        mac.reverse();
        (Mac(mac), rest)
    };
    let message = if first & info::ENCRYPTED != 0 {
        let (content, counter) = opened(rest, key, mac, &[0xd2, 0xfc, first], &[])?;
        Message { encrypted: true, counter: Some(counter), ..message(advert, read::version_2(&content))? }
    } else if key.is_some() {
        return Err(Trouble::NotEncrypted);
    } else {
        message(advert, read::version_2(rest))?
    };
    Ok(Message { sleepy: first & info::TRIGGERED != 0, ..message })
}

/// The content and the counter of an encrypted message: content, counter, check. The nonce is the address, the UUID
/// (and what else the version puts there), and the counter.
fn opened(data: &[u8], key: Option<&Key>, mac: Mac, middle: &[u8], header: &[u8]) -> Result<(Vec<u8>, u32), Trouble> {
    let key = key.ok_or(Trouble::KeyNeeded)?;
    let (rest, check) = data.split_last_chunk::<{ seal::CHECK }>().ok_or_else(too_short)?;
    let (sealed, counter) = rest.split_last_chunk::<4>().ok_or_else(too_short)?;
    let nonce = [&mac.0[..], middle, counter].concat();
    let content = seal::open(key, &nonce, header, sealed, *check).ok_or(Trouble::WrongKey)?;
    Ok((content, u32::from_le_bytes(*counter)))
}

fn too_short() -> Trouble {
    Trouble::Malformed("the BTHome data is cut off".into())
}

/// A message that says this; a trouble if nothing at all of it was understood.
fn message(advert: &Advert, said: Said) -> Result<Message, Trouble> {
    let Said { measures, packet, remark } = said;
    match remark {
        Some(remark) if measures.is_empty() && packet.is_none() => Err(Trouble::Malformed(remark)),
        remark => Ok(Message {
            model: advert.name.as_deref().and_then(model).map(Into::into),
            measures: measures.into_vec(),
            packet,
            remark,
            ..Message::new(Format::Bthome)
        }),
    }
}

/// The models whose names the makers publish: BTHome itself has no field for them. From bthome-ble 3.25 (parser.py).
fn model(name: &str) -> Option<&'static str> {
    Some(match name {
        "SBBT-002C" => "Shelly BLU Button1",
        "SBBT-102C" => "Shelly BLU Button1 ZB",
        "SBBT-004CEU" => "Shelly BLU Wall Switch 4",
        "SBBT-004CUS" => "Shelly BLU RC Button 4",
        "SBDW-002C" => "Shelly BLU Door/Window",
        "SBHT-003C" => "Shelly BLU H&T",
        "SBHT-103C" => "Shelly BLU H&T Display ZB",
        "SBHT-203C" => "Shelly BLU H&T ZB",
        "SBMO-003Z" => "Shelly BLU Motion",
        "SBTR-001AEU" => "Shelly BLU TRV",
        _ => return None,
    })
}
