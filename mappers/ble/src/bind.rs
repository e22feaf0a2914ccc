//! From YAML to a device that can be planned for and decoded: every mistake at once, each with what would be accepted.
//! Pure; no secret is read here.

mod address;

use std::sync::Arc;

use mapper_api::{At, BindError, ByteOrder, DataType, Point, Secret, SecretRef};
use uuid::Uuid;

use crate::{
    advert::{Mac, short},
    characteristics,
    config::{Address, Endpoint, Figure, Mode, Pair},
    formats::Format,
    radio::{Spot, WriteKind},
    rule::Rule,
};

/// A Bluetooth LE device that was checked.
#[derive(Debug)]
pub struct Bound {
    pub(crate) device: Arc<Device>,
    pub(crate) points: Vec<Datum>,
    /// What may be meant otherwise.
    pub(crate) notes: Vec<BindError>,
}

impl Bound {
    /// Something of it comes unasked.
    pub(crate) fn sends(&self) -> bool {
        let sent = |source: &Source| match source {
            Source::Characteristic { mode, .. } => *mode != Mode::Read,
            _ => true,
        };
        self.points.iter().any(|datum| sent(&datum.source))
    }
}

/// What every request of a device shares.
#[derive(Debug)]
pub(crate) struct Device {
    /// What its frames are marked with, and what is remembered of it stands under: `A4:C1:38:12:34:56`, `name:X` or
    /// `irk:<secret>/<key>`.
    pub id: Arc<str>,
    pub whom: Whom,
    pub adapter: Option<Mac>,
    pub bind_key: Option<SecretRef>,
    pub pairing: Option<Pair>,
    pub passkey: Option<SecretRef>,
    /// Something of it is advertised.
    pub hears: bool,
    /// It is connected to.
    pub connects: bool,
}

/// Whom to listen or to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whom {
    Mac(Mac),
    Name(String),
    Irk(SecretRef),
}

/// One property: where it is found and how its bytes are to be understood.
#[derive(Debug)]
pub(crate) struct Datum {
    pub source: Source,
    pub data_type: DataType,
    pub order: ByteOrder,
    pub size: Option<u16>,
    pub readable: bool,
}

/// Where a property is found.
#[derive(Debug, PartialEq)]
pub(crate) enum Source {
    Reading { name: String, index: u8, format: Option<Format> },
    Radio(Figure),
    Manufacturer(u16, Rule),
    Service(Uuid, Rule),
    Characteristic { spot: Spot, mode: Mode, part: Part, write: WriteKind },
}

/// Which part of a characteristic's value.
#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    /// These bytes, decoded by the property's type and order.
    Bytes(Rule),
    /// This field of a type of the Bluetooth SIG, and which one of several.
    Standard { field: &'static str, index: u8 },
}

pub(crate) fn bind(endpoint: &Endpoint, points: &[Point<Address>]) -> Result<Bound, Vec<BindError>> {
    let mut errors = Vec::new();
    let mut refuse = |path: &str, message: String| errors.push(BindError::config(At::Endpoint, path, message));
    let whom = whom(endpoint, &mut refuse);
    let adapter = endpoint.adapter.as_deref().and_then(|text| mac(text, "adapter", &mut refuse));
    for (key, secret) in [("irk", &endpoint.irk), ("bindKey", &endpoint.bind_key), ("passkey", &endpoint.passkey)] {
        if let Some(Secret { secret_ref: at }) = secret {
            file_name(&at.name, &format!("{key}.secretRef.name"), &mut refuse);
            file_name(&at.key, &format!("{key}.secretRef.key"), &mut refuse);
        }
    }
    let connected = points.iter().any(|point| point.address.characteristic.is_some());
    if connected && endpoint.connect == Some(false) {
        refuse(
            "connect",
            "is false, but a property has a characteristic, which needs a connection; leave it out".into(),
        );
    }
    let connects = connected || endpoint.connect == Some(true);
    match (endpoint.pair, &endpoint.passkey) {
        (Some(Pair::Passkey), None) => {
            refuse("passkey", "is missing: pair: passkey needs the file with its digits".into());
        }
        (Some(Pair::JustWorks | Pair::Numeric) | None, Some(_)) => {
            refuse("passkey", "is for pair: passkey; leave it out, or change pair".into());
        }
        _ => {}
    }
    if endpoint.pair.is_some() && !connects {
        refuse("pair", "needs a connection: give connect: true, or a property with a characteristic".into());
    }
    let data: Vec<_> = (0..).zip(points).filter_map(|(id, point)| address::datum(id, point, &mut errors)).collect();
    match whom {
        Some(whom) if errors.is_empty() => {
            let notes = notes(endpoint, &whom, connects, points);
            let device = Device {
                id: identity(endpoint).into(),
                whom,
                adapter,
                bind_key: endpoint.bind_key.as_ref().map(|secret| secret.secret_ref.clone()),
                pairing: endpoint.pair,
                passkey: endpoint.passkey.as_ref().map(|secret| secret.secret_ref.clone()),
                hears: data.iter().any(|datum| !matches!(datum.source, Source::Characteristic { .. })),
                connects,
            };
            Ok(Bound { device: Arc::new(device), points: data, notes })
        }
        _ => Err(errors),
    }
}

/// The one name of a device: equal for equal devices, however their YAML spells them.
pub(crate) fn identity(endpoint: &Endpoint) -> String {
    match (&endpoint.address, &endpoint.name, &endpoint.irk) {
        (Some(text), ..) => text.to_ascii_uppercase(),
        (None, Some(name), _) => format!("name:{name}"),
        (None, None, Some(Secret { secret_ref: SecretRef { name, key } })) => format!("irk:{name}/{key}"),
        (None, None, None) => String::new(),
    }
}

/// What all Devices that speak to one device must have in common, as one line.
pub(crate) fn settings(endpoint: &Endpoint) -> String {
    let mut words = Vec::new();
    if let Some(adapter) = &endpoint.adapter {
        words.push(format!("adapter {}", adapter.to_ascii_uppercase()));
    }
    let secrets = [("bindKey", &endpoint.bind_key), ("passkey", &endpoint.passkey)];
    words.extend(secrets.into_iter().filter_map(|(key, secret)| {
        let SecretRef { name, key: file } = &secret.as_ref()?.secret_ref;
        Some(format!("{key} {name}/{file}"))
    }));
    match endpoint.pair {
        Some(Pair::JustWorks) => words.push("pair justWorks".into()),
        Some(Pair::Passkey) => words.push("pair passkey".into()),
        Some(Pair::Numeric) => words.push("pair numeric".into()),
        None => {}
    }
    words.join(" ")
}

fn whom(endpoint: &Endpoint, refuse: &mut impl FnMut(&str, String)) -> Option<Whom> {
    match (&endpoint.address, &endpoint.name, &endpoint.irk) {
        (Some(text), None, None) => mac(text, "address", refuse).map(Whom::Mac),
        (None, Some(name), None) => {
            if name.is_empty() || name.len() > 248 {
                refuse("name", format!("has {} bytes; a device's name has 1 to 248", name.len()));
            }
            Some(Whom::Name(name.clone()))
        }
        (None, None, Some(secret)) => Some(Whom::Irk(secret.secret_ref.clone())),
        (None, None, None) => {
            refuse("", "one of address, name or irk must be given, such as address: \"A4:C1:38:12:34:56\"".into());
            None
        }
        _ => {
            refuse("", "only one of address, name and irk can be given; a device is found by one of them".into());
            None
        }
    }
}

fn mac(text: &str, key: &str, refuse: &mut impl FnMut(&str, String)) -> Option<Mac> {
    text.parse().map_err(|message| refuse(key, message)).ok()
}

/// A secret's folder or file: never a way out of the secrets folder.
fn file_name(name: &str, path: &str, refuse: &mut impl FnMut(&str, String)) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !(1..=253).contains(&name.len()) || name.starts_with('.') || !name.chars().all(allowed) {
        let message = format!("{name:?} is no name of a secret: letters, digits, -, _ and ., not first, are accepted");
        refuse(path, message);
    }
}

/// Four or eight digits stand in the base of the Bluetooth SIG.
pub(crate) fn uuid(text: &str) -> Option<Uuid> {
    let digits = text.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-');
    match text.len() {
        4 => u16::from_str_radix(text, 16).ok().filter(|_| digits).map(short),
        8 => {
            let id = u32::from_str_radix(text, 16).ok().filter(|_| digits)?;
            Some(Uuid::from_u128(short(0).as_u128() | u128::from(id) << 96))
        }
        36 => text.parse().ok(),
        _ => None,
    }
}

fn notes(endpoint: &Endpoint, whom: &Whom, connects: bool, points: &[Point<Address>]) -> Vec<BindError> {
    let mut notes = Vec::new();
    match whom {
        Whom::Mac(Mac([first, ..])) if first & 0b11 != 0 && first >> 6 < 0b10 => {
            let message = "is a private address, which its device changes every few minutes: give irk or name instead";
            notes.push(BindError::config(At::Endpoint, "address", message));
        }
        Whom::Name(_) => {
            let message = "may be the name of several devices: the one heard first is kept to until it falls silent; \
                           address is surer";
            notes.push(BindError::config(At::Endpoint, "name", message));
        }
        _ => {}
    }
    if endpoint.bind_key.is_some() && points.iter().all(|point| point.address.reading.is_none()) {
        notes.push(BindError::config(
            At::Endpoint,
            "bindKey",
            "is for properties with a reading, of which there is none",
        ));
    }
    for (id, point) in (0..).zip(points) {
        let wide = point.data_type.is_number() && point.data_type.width().is_some_and(|width| width > 1);
        let address = &point.address;
        if address.characteristic.is_none() && connects {
            let message = "is advertised, but most devices stop advertising while they are connected to";
            notes.push(BindError::config(At::Address(id), "", message));
        }
        let plain = address.characteristic.as_ref().is_some_and(|at| {
            at.offset.is_some() || uuid(&at.uuid).is_none_or(|uuid| characteristics::fields(uuid).is_none())
        });
        if wide && point.order == ByteOrder::Abcd && plain {
            let message = "is not given, so the most significant byte comes first; characteristics usually have the \
                           least significant byte first, which is DCBA";
            notes.push(BindError::config(At::Property(id), "order", message));
        }
    }
    notes
}

#[cfg(test)]
#[path = "bind_tests.rs"]
pub(crate) mod tests;
