//! From YAML to a device that can be planned for and decoded: every mistake at once, each with what would be accepted.
//! Pure; no secret is read here.

use std::sync::Arc;

use mapper_api::{At, BindError, ByteOrder, DataType, Point, PointId};
use uuid::Uuid;

use crate::{
    advert::{Mac, short},
    config::{self, Address, Endpoint, Figure, Mode, Pair, Secret, SecretRef},
    formats::{
        Format,
        names::{self, Kind},
    },
    radio::{Spot, WriteKind},
    secrets::hexadecimal,
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
    Manufacturer(u16, Cut),
    Service(Uuid, Cut),
    Characteristic { spot: Spot, mode: Mode, part: Part, write: WriteKind },
}

/// Which bytes of what is advertised.
#[derive(Debug, PartialEq)]
pub(crate) struct Cut {
    pub offset: usize,
    pub prefix: Vec<u8>,
}

/// Which part of a characteristic's value.
#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    /// What stands from this byte on.
    Bytes(usize),
    /// This field of a type of the Bluetooth SIG; the first one if none is named.
    Standard(Option<String>),
}

/// The most bytes that stand in one advertisement, and in one characteristic (Core Specification, vol. 3, part F, 3.2.9).
const MOST_ADVERTISED: i64 = 254;
const MOST_IN_CHARACTERISTIC: i64 = 512;

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
            refuse("passkey", "is missing: pair: passkey needs the file with its digits".into())
        }
        (Some(Pair::JustWorks | Pair::Numeric) | None, Some(_)) => {
            refuse("passkey", "is for pair: passkey; leave it out, or change pair".into());
        }
        _ => {}
    }
    if endpoint.pair.is_some() && !connects {
        refuse("pair", "needs a connection: give connect: true, or a property with a characteristic".into());
    }
    let data: Vec<_> = (0..).zip(points).filter_map(|(id, point)| datum(id, point, &mut errors)).collect();
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

fn datum(id: PointId, point: &Point<Address>, errors: &mut Vec<BindError>) -> Option<Datum> {
    let before = errors.len();
    let mut check = Check { id, point, errors };
    let source = check.source()?;
    let (data_type, order, size) = (point.data_type, point.order, point.size);
    (errors.len() == before).then_some(Datum { source, data_type, order, size, readable: point.access.can_read() })
}

/// The check of one property.
struct Check<'a> {
    id: PointId,
    point: &'a Point<Address>,
    errors: &'a mut Vec<BindError>,
}

impl Check<'_> {
    fn refuse(&mut self, path: &str, message: impl Into<String>) {
        self.errors.push(BindError::config(At::Address(self.id), path, message));
    }

    fn refuse_property(&mut self, key: &str, message: impl Into<String>) {
        self.errors.push(BindError::config(At::Property(self.id), key, message));
    }

    fn source(&mut self) -> Option<Source> {
        let address = &self.point.address;
        let given: Vec<_> = [
            ("reading", address.reading.is_some()),
            ("radio", address.radio.is_some()),
            ("manufacturer", address.manufacturer.is_some()),
            ("serviceData", address.service_data.is_some()),
            ("characteristic", address.characteristic.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, given)| given.then_some(key))
        .collect();
        if given.len() != 1 {
            let given = if given.is_empty() { "none is".to_owned() } else { format!("{} are", given.join(" and ")) };
            self.refuse(
                "",
                format!(
                    "one of reading, radio, manufacturer, serviceData, characteristic must be given; {given} given"
                ),
            );
        }
        for (key, given) in [("index", address.index.is_some()), ("format", address.format.is_some())] {
            if given && address.reading.is_none() {
                self.refuse(key, "belongs to reading; leave it out");
            }
        }
        if address.characteristic.is_none() && self.point.access.can_write() {
            self.refuse_property("access", "what is advertised can only be read; a characteristic can be written");
        }
        let sources = [
            address.reading.as_deref().and_then(|name| self.reading(name)),
            address.radio.and_then(|figure| self.radio(figure)),
            address.manufacturer.as_ref().and_then(|rule| self.manufacturer(rule)),
            address.service_data.as_ref().and_then(|rule| self.service(rule)),
            address.characteristic.as_ref().and_then(|at| self.characteristic(at)),
        ];
        sources.into_iter().flatten().next()
    }

    fn reading(&mut self, name: &str) -> Option<Source> {
        self.own_order();
        match names::find(name) {
            Some(known) => self.kind(known),
            None => self.unknown(name),
        }
        let address = &self.point.address;
        let index = self.whole("index", address.index.unwrap_or(1), 1, 255)?;
        let index = u8::try_from(index).ok()?;
        Some(Source::Reading { name: name.to_owned(), index, format: address.format })
    }

    /// A type that holds each value of this kind as it is.
    fn kind(&mut self, name: &names::Name) {
        use DataType::{Bool, Bytes, Float16, Float32, Float64, String};
        let data_type = self.point.data_type;
        let float = matches!(data_type, Float16 | Float32 | Float64);
        let (fits, what, accepted) = match name.kind {
            Kind::Bool => (data_type == Bool || data_type.is_number() && !float, "true or false", "bool"),
            Kind::Whole => (data_type.is_number(), "a whole number", "an integer type"),
            Kind::Number => (float, "a number with decimals", "float32"),
            Kind::Text => (data_type == String, "a text", "string"),
            Kind::Bytes => (data_type == Bytes, "some bytes", "bytes"),
        };
        if !fits {
            let message =
                format!("{data_type} does not hold {}, which is {what}: {accepted} would be accepted", name.name);
            self.refuse_property("type", message);
        }
    }

    fn unknown(&mut self, name: &str) {
        let distance = |known: &names::Name| strsim::osa_distance(name, known.name);
        let nearest = names::ALL.iter().min_by_key(|known| distance(known)).filter(|known| distance(known) <= 3);
        let hint = nearest.map(|known| format!("; did you mean {}?", known.name)).unwrap_or_default();
        let known = "no format has this name; fieldgate scan ble shows what a device sends";
        self.refuse("reading", format!("{name:?}: {known}{hint}"));
    }

    fn radio(&mut self, figure: Figure) -> Option<Source> {
        self.own_order();
        if !self.point.data_type.is_number() {
            let message = format!("{} cannot hold a number of dBm; int8 would be accepted", self.point.data_type);
            self.refuse_property("type", message);
        }
        Some(Source::Radio(figure))
    }

    fn manufacturer(&mut self, rule: &config::Manufacturer) -> Option<Source> {
        let company = self.whole("manufacturer.company", rule.company, 0, 65_535);
        let cut = self.cut("manufacturer", rule.offset, rule.prefix.as_deref());
        Some(Source::Manufacturer(u16::try_from(company?).ok()?, cut?))
    }

    fn service(&mut self, rule: &config::ServiceData) -> Option<Source> {
        let service = self.uuid("serviceData.uuid", &rule.uuid);
        let cut = self.cut("serviceData", rule.offset, rule.prefix.as_deref());
        Some(Source::Service(service?, cut?))
    }

    fn characteristic(&mut self, at: &config::Characteristic) -> Option<Source> {
        let service = self.uuid("characteristic.service", &at.service);
        let uuid = self.uuid("characteristic.uuid", &at.uuid);
        let access = self.point.access;
        if at.mode.is_some() && !access.can_read() {
            self.refuse("characteristic.mode", "says how it is read, but access is write; leave it out");
        }
        if at.write.is_some() && !access.can_write() {
            self.refuse("characteristic.write", "says how it is written, but access is read; leave it out");
        }
        if let Some(field) = &at.field {
            self.word("characteristic.field", field);
            if at.offset.is_some() {
                self.refuse("characteristic.field", "and offset are both given; keep one of them");
            }
        }
        let part = self.part(at, uuid);
        let write = match at.write.unwrap_or_default() {
            config::Write::Request => WriteKind::Request,
            config::Write::Command => WriteKind::Command,
        };
        let spot = Spot { service: service?, characteristic: uuid? };
        Some(Source::Characteristic { spot, mode: at.mode.unwrap_or_default(), part: part?, write })
    }

    fn part(&mut self, at: &config::Characteristic, uuid: Option<Uuid>) -> Option<Part> {
        let offset = match at.offset {
            Some(offset) => self.room("characteristic.offset", offset, MOST_IN_CHARACTERISTIC)?,
            None => 0,
        };
        if self.point.access.can_write() && offset != 0 {
            self.refuse(
                "characteristic.offset",
                "must be 0 where it can be written: a characteristic is written whole",
            );
        }
        let _ = uuid;
        Some(Part::Bytes(offset))
    }

    fn cut(&mut self, key: &str, offset: Option<i64>, prefix: Option<&str>) -> Option<Cut> {
        let offset = self.room(&format!("{key}.offset"), offset.unwrap_or(0), MOST_ADVERTISED);
        let prefix = match prefix {
            None => Some(Vec::new()),
            Some(text) => {
                let bytes = hexadecimal(text).filter(|bytes| (1..=32).contains(&bytes.len()));
                if bytes.is_none() {
                    let message = format!("{text:?} is not 1 to 32 bytes as hexadecimal digits, such as \"05\"");
                    self.refuse(&format!("{key}.prefix"), message);
                }
                bytes
            }
        };
        Some(Cut { offset: offset?, prefix: prefix? })
    }

    /// An offset at which the type still fits.
    fn room(&mut self, path: &str, offset: i64, most: i64) -> Option<usize> {
        let width = i64::from(self.point.data_type.width().unwrap_or(1));
        self.whole(path, offset, 0, most - width).and_then(|offset| usize::try_from(offset).ok())
    }

    fn whole(&mut self, path: &str, number: i64, least: i64, greatest: i64) -> Option<i64> {
        if (least..=greatest).contains(&number) {
            return Some(number);
        }
        self.refuse(path, format!("{number} is not in {least}..{greatest}"));
        None
    }

    fn word(&mut self, path: &str, word: &str) {
        let fits = word.len() <= 63
            && word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_alphanumeric());
        if !fits {
            self.refuse(path, format!("{word:?} is no name; one in camelCase would be accepted, such as temperature"));
        }
    }

    fn uuid(&mut self, path: &str, text: &str) -> Option<Uuid> {
        let found = uuid(text);
        if found.is_none() {
            self.refuse(path, format!("{text:?} is no UUID; four hexadecimal digits or a whole one would be accepted"));
        }
        found
    }

    fn own_order(&mut self) {
        if self.point.order != ByteOrder::Abcd {
            self.refuse_property("order", "what is read by name has its own order; leave it out");
        }
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
        if wide && point.order == ByteOrder::Abcd && address.characteristic.is_some() {
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
