//! From YAML to a device that can be planned for and decoded: every mistake at once, each with what would be accepted.
//! Pure; no secret is read here.

use std::sync::Arc;

use mapper_api::{At, BindError, ByteOrder, DataType, Point, PointId};
use uuid::Uuid;

use crate::{
    advert::{Mac, short},
    characteristics,
    config::{self, Address, Endpoint, Figure, Mode, Pair, Secret, SecretRef},
    formats::{
        Format,
        names::{self, Kind},
    },
    radio::{Spot, WriteKind},
    rule::{Bits, Rule},
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
        if address.format.is_some() && address.reading.is_none() {
            self.refuse("format", "belongs to reading; leave it out");
        }
        let counted = address.characteristic.as_ref().is_some_and(|at| at.field.is_some());
        if address.index.is_some() && address.reading.is_none() && !counted {
            self.refuse("index", "belongs to reading, or to a characteristic's field; leave it out");
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
        let index = self.index()?;
        Some(Source::Reading { name: name.to_owned(), index, format: self.point.address.format })
    }

    fn index(&mut self) -> Option<u8> {
        let index = self.whole("index", self.point.address.index.unwrap_or(1), 1, 255)?;
        u8::try_from(index).ok()
    }

    /// A type that holds each value of this kind as it is.
    fn kind(&mut self, name: &names::Name) {
        use DataType::{Bool, Bytes, Float16, Float32, Float64, String};
        let data_type = self.point.data_type;
        let float = matches!(data_type, Float16 | Float32 | Float64);
        let (fits, what, accepted) = match name.kind {
            Kind::Bool => (data_type == Bool || data_type.is_number() && !float, "true or false", "bool"),
            Kind::Whole => (data_type.is_number(), "a whole number", "an integer type"),
            // Most of them are whole in some formats; one that is not is refused when it comes. These never are.
            Kind::Number => {
                let whole = data_type.is_number() && !matches!(name.unit, "°C" | "V");
                (float || whole, "a number with decimals", "float32")
            }
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
        let rule = self.rule("manufacturer", rule.offset, rule.prefix.as_ref(), rule.length, rule.bits.as_ref());
        Some(Source::Manufacturer(u16::try_from(company?).ok()?, rule?))
    }

    fn service(&mut self, rule: &config::ServiceData) -> Option<Source> {
        let service = self.uuid("serviceData.uuid", &rule.uuid);
        let rule = self.rule("serviceData", rule.offset, rule.prefix.as_ref(), rule.length, rule.bits.as_ref());
        Some(Source::Service(service?, rule?))
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
        if at.field.is_some() && (at.offset.is_some() || at.bits.is_some()) {
            self.refuse("characteristic.field", "is for a whole standard value; keep it, or offset and bits");
        }
        let part = uuid.and_then(|uuid| self.part(at, uuid));
        let write = match at.write.unwrap_or_default() {
            config::Write::Request => WriteKind::Request,
            config::Write::Command => WriteKind::Command,
        };
        let spot = Spot { service: service?, characteristic: uuid? };
        Some(Source::Characteristic { spot, mode: at.mode.unwrap_or_default(), part: part?, write })
    }

    /// By the Bluetooth SIG's own type where it is known and no place is given.
    fn part(&mut self, at: &config::Characteristic, uuid: Uuid) -> Option<Part> {
        let known = characteristics::fields(uuid).filter(|_| at.offset.is_none() && at.bits.is_none());
        let Some(fields) = known else {
            if let Some(field) = at.field.as_ref().filter(|_| characteristics::fields(uuid).is_none()) {
                let message = format!("{field:?}: this characteristic's type is not known; offset would be accepted");
                self.refuse("characteristic.field", message);
            }
            let rule = self.rule_within("characteristic", MOST_IN_CHARACTERISTIC, at.offset, at.bits.as_ref())?;
            if self.point.access.can_write() && (rule.offset != 0 || rule.bits.is_some()) {
                let key = if rule.bits.is_some() { "characteristic.bits" } else { "characteristic.offset" };
                self.refuse(key, "cannot be where it can be written: a characteristic is written whole");
            }
            return Some(Part::Bytes(rule));
        };
        self.own_order();
        let field = match &at.field {
            None => Some(&fields[0]),
            Some(field) => fields.iter().find(|known| known.name == field),
        };
        let Some(field) = field else {
            let accepted = fields.iter().map(|known| known.name).collect::<Vec<_>>().join(", ");
            self.refuse("characteristic.field", format!("is none of this characteristic's; accepted: {accepted}"));
            return None;
        };
        self.kind(field);
        if self.point.access.can_write() && (field.name != fields[0].name || !characteristics::is_writable(uuid)) {
            let message =
                format!("{} cannot be written by its standard type; offset: 0 writes plain bytes", field.name);
            self.refuse_property("access", message);
        }
        Some(Part::Standard { field: field.name, index: self.index()? })
    }

    fn rule(
        &mut self,
        key: &str,
        offset: Option<i64>,
        prefix: Option<&String>,
        length: Option<i64>,
        bits: Option<&String>,
    ) -> Option<Rule> {
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
        let length = match length {
            None => Some(None),
            Some(length) => {
                let length = self.whole(&format!("{key}.length"), length, 1, MOST_ADVERTISED);
                length.map(|length| usize::try_from(length).ok())
            }
        };
        let rule = self.rule_within(key, MOST_ADVERTISED, offset, bits);
        let rule = Rule { prefix: prefix?, length: length?, ..rule? };
        self.fits(key, &rule)
    }

    fn rule_within(&mut self, key: &str, most: i64, offset: Option<i64>, bits: Option<&String>) -> Option<Rule> {
        let offset = self.room(&format!("{key}.offset"), offset.unwrap_or(0), most);
        let bits = match bits.map(|text| text.parse::<Bits>()) {
            None => Some(None),
            Some(Ok(bits)) => Some(Some(bits)),
            Some(Err(message)) => {
                self.refuse(&format!("{key}.bits"), message);
                None
            }
        };
        self.fits(key, &Rule { offset: offset?, bits: bits?, ..Rule::default() })
    }

    fn fits(&mut self, key: &str, rule: &Rule) -> Option<Rule> {
        match rule.check(self.point.data_type, self.point.size) {
            Ok(()) => Some(rule.clone()),
            Err((part, message)) => {
                self.refuse(&format!("{key}.{part}"), message);
                None
            }
        }
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
