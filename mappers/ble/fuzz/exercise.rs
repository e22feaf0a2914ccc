//! What must hold of the decoders for any bytes: no panic, no measure that is not in the table of names, no value from a
//! message cut off that the whole one does not give, the same from a sealed message as from the clear one, and nothing
//! from one that was changed. Used by the fuzz target and by tests/formats.rs.

use aes::{Aes128, cipher::KeyInit};
use ccm::{
    Ccm,
    aead::AeadInOut,
    consts::{U4, U12, U13},
};
use mapper_api::Value;
use mapper_ble::{
    advert::{Advert, Mac, short},
    formats::{
        Format, Key, Measure, Trouble, decode,
        names::{self, Kind},
    },
};

const MAC: Mac = Mac([0xa4, 0xc1, 0x38, 0x12, 0x34, 0x56]);
const KEY: [u8; 16] = *b"a key for tests.";

/// Where formats put their data.
const SERVICES: [u16; 12] =
    [0xfcd2, 0x181c, 0x181e, 0xfe95, 0x181a, 0xfeaa, 0xfd3d, 0x0d00, 0x180f, 0x1809, 0x2a6e, 0x2a19];
const COMPANIES: [u16; 8] = [0x0499, 0x004c, 0xec88, 0x0001, 0x0969, 0x0118, 0xffff, 0x0059];

/// Types and products of MiBeacon that random bytes would hardly find.
const TYPES: [u16; 76] = [
    0x0003, 0x0006, 0x0007, 0x0008, 0x000a, 0x000b, 0x000f, 0x0010, 0x1001, 0x1004, 0x1005, 0x1006, 0x1007, 0x1008,
    0x1009, 0x100a, 0x100d, 0x100e, 0x1010, 0x1012, 0x1013, 0x1014, 0x1015, 0x1017, 0x1018, 0x1019, 0x101b, 0x3003,
    0x4801, 0x4802, 0x4803, 0x4804, 0x4805, 0x4806, 0x4808, 0x480c, 0x4818, 0x483c, 0x483d, 0x483e, 0x484e, 0x4851,
    0x4852, 0x487b, 0x4a01, 0x4a08, 0x4a0c, 0x4a0d, 0x4a0e, 0x4a0f, 0x4a12, 0x4a13, 0x4a1a, 0x4a68, 0x4c01, 0x4c02,
    0x4c03, 0x4c08, 0x4e01, 0x4e0c, 0x4e0d, 0x4e0e, 0x4e16, 0x5003, 0x5422, 0x560c, 0x560d, 0x560e, 0x5810, 0x6461,
    0x6e16, 0x2000, 0x4e1c, 0x5413, 0x7777, 0xffff,
];
const PRODUCTS: [u16; 16] = [
    0x055b, 0x0098, 0x07f6, 0x0a83, 0x04e1, 0x0153, 0x03bf, 0x03b6, 0x0dfd, 0x6375, 0x4683, 0x5968, 0x1949, 0x3a61,
    0x45c9, 0xbeef,
];

/// The first byte chooses what the others are taken for.
pub fn exercise(data: &[u8]) {
    let [choice, rest @ ..] = data else { return };
    let choice = usize::from(*choice);
    match choice % 8 {
        0 => any(&service(SERVICES[choice / 8 % SERVICES.len()], rest.to_vec())),
        1 => any(&Advert { manufacturer: vec![(COMPANIES[choice / 8 % COMPANIES.len()], rest.to_vec())], ..empty() }),
        2 => any(&service(0x181a, [&MAC.0, rest].concat())),
        3 => any(&service(0x181a, [&reversed(), rest].concat())),
        4 => bthome(rest),
        5 => any(&service(0x181c, rest.to_vec())),
        _ => mibeacon(rest),
    }
}

fn empty() -> Advert {
    Advert::new(MAC)
}

fn service(service: u16, data: Vec<u8>) -> Advert {
    Advert { service_data: vec![(short(service), data)], ..empty() }
}

fn reversed() -> [u8; 6] {
    let mut mac = MAC.0;
    mac.reverse();
    mac
}

/// What any advertisement may be held to.
fn any(advert: &Advert) {
    for key in [None, Some(&Key(KEY))] {
        for (_, message) in decode(advert, key) {
            message.iter().flat_map(|message| &message.measures).for_each(known);
        }
    }
    for format in [Format::Bthome, Format::MiBeacon, Format::Atc] {
        let whole = measures(advert, None, format);
        // ATC messages have one length each: what is longer is none to begin with.
        if format == Format::Atc && whole.is_empty() {
            continue;
        }
        for length in 0..advert.service_data.first().map_or(0, |(_, data)| data.len()) {
            let mut cut = advert.clone();
            cut.service_data[0].1.truncate(length);
            let part = measures(&cut, None, format);
            assert!(whole.starts_with(&part), "{format:?} at {length} of {advert:?}: {part:?}, {whole:?}");
        }
    }
}

fn known(measure: &Measure) {
    let name = names::find(measure.name).unwrap_or_else(|| panic!("{measure:?} has no name of the table"));
    assert_eq!(name.unit, measure.unit, "{measure:?}");
    assert!(measure.index > 0, "{measure:?}");
    let fits = match (name.kind, &measure.value) {
        (Kind::Number, Value::Float64(value)) => value.is_finite(),
        (Kind::Bool, Value::Bool(_))
        | (Kind::Whole, Value::Int(_) | Value::Uint(_))
        | (Kind::Text, Value::Text(_))
        | (Kind::Bytes, Value::Bytes(_)) => true,
        _ => false,
    };
    assert!(fits, "{measure:?} is no {:?}", name.kind);
}

fn measures(advert: &Advert, key: Option<&Key>, format: Format) -> Vec<Measure> {
    let heard = decode(advert, key).into_iter().find(|(of, _)| *of == format);
    heard.and_then(|(_, message)| message.ok()).map_or_else(Vec::new, |message| message.measures)
}

/// The objects clear, and sealed.
fn bthome(objects: &[u8]) {
    let clear = service(0xfcd2, [&[0x40], objects].concat());
    let mut nonce = [0; 13];
    nonce[..6].copy_from_slice(&MAC.0);
    nonce[6..].copy_from_slice(&[0xd2, 0xfc, 0x41, 1, 2, 3, 4]);
    let mut content = objects.to_vec();
    let cipher = Ccm::<Aes128, U4, U13>::new(&KEY.into());
    let check = cipher.encrypt_inout_detached(&nonce.into(), &[], (&mut content[..]).into()).expect("short enough");
    sealed(&clear, &service(0xfcd2, [&[0x41], &content[..], &[1, 2, 3, 4], &check[..]].concat()), Format::Bthome);
}

/// A product, then objects: a type, a length, the content.
fn mibeacon(data: &[u8]) {
    let Some((product, mut data)) = data.split_first() else { return };
    let mut objects = Vec::new();
    while let [kind, length, rest @ ..] = data {
        let length = length % 11;
        let Some((content, rest)) = rest.split_at_checked(length.into()) else { break };
        objects.extend(TYPES[usize::from(*kind) % TYPES.len()].to_le_bytes());
        objects.push(length);
        objects.extend(content);
        data = rest;
    }
    let product = PRODUCTS[usize::from(*product) % PRODUCTS.len()].to_le_bytes();
    let clear = service(0xfe95, [&[0x40, 0x50], &product[..], &[7], &objects].concat());
    let nonce = [&reversed()[..], &product, &[7, 1, 2, 3]].concat();
    let cipher = Ccm::<Aes128, U4, U12>::new(&KEY.into());
    let mut content = objects;
    let nonce = nonce[..].try_into().expect("twelve bytes");
    let check = cipher.encrypt_inout_detached(nonce, &[0x11], (&mut content[..]).into()).expect("short enough");
    let data = [&[0x48, 0x50], &product[..], &[7], &content, &[1, 2, 3], &check].concat();
    sealed(&clear, &service(0xfe95, data), Format::MiBeacon);
}

/// What a clear message and its sealed form must have in common.
fn sealed(clear: &Advert, sealed: &Advert, format: Format) {
    let key = Key(KEY);
    assert_eq!(measures(clear, None, format), measures(sealed, Some(&key), format), "{clear:?}");
    let refused = |advert: &Advert, key: Option<&Key>| {
        decode(advert, key).into_iter().find(|(of, _)| *of == format).and_then(|(_, message)| message.err())
    };
    assert_eq!(refused(sealed, None), Some(Trouble::KeyNeeded));
    assert_eq!(refused(sealed, Some(&Key([0; 16]))), Some(Trouble::WrongKey));
    assert_eq!(refused(clear, Some(&key)), Some(Trouble::NotEncrypted));
    let length = sealed.service_data[0].1.len();
    for at in length - 8..length {
        let mut changed = sealed.clone();
        changed.service_data[0].1[at] ^= 1;
        assert!(refused(&changed, Some(&key)).is_some(), "byte {at} of {sealed:?}");
    }
    any(clear);
    any(sealed);
}
