//! From the address of one property to where its value is found. Pure.

use mapper_api::{At, BindError, ByteOrder, DataType, Point, PointId};
use mapper_values::{Bits, Place};
use uuid::Uuid;

use super::{Datum, Part, Source, uuid};
use crate::{
    characteristics,
    config::{self, Address, Figure},
    formats::{
        Format, gives,
        names::{self, Kind},
    },
    radio::{Spot, WriteKind},
    rule::Rule,
    secrets::hexadecimal,
};

/// The most bytes that stand in one advertisement, and in one characteristic (Core Specification, vol. 3, part F, 3.2.9).
const MOST_ADVERTISED: i64 = 254;
const MOST_IN_CHARACTERISTIC: i64 = 512;

/// The most values of one name: each takes two bytes at least.
const MOST_OF_A_NAME: i64 = MOST_ADVERTISED / 2;

/// Checks one property; all its mistakes are added.
pub(super) fn datum(id: PointId, point: &Point<Address>, errors: &mut Vec<BindError>) -> Option<Datum> {
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
            address.radio.map(|figure| self.radio(figure)),
            address.manufacturer.as_ref().and_then(|rule| self.manufacturer(rule)),
            address.service_data.as_ref().and_then(|rule| self.service(rule)),
            address.characteristic.as_ref().and_then(|at| self.characteristic(at)),
        ];
        sources.into_iter().flatten().next()
    }

    fn reading(&mut self, name: &str) -> Option<Source> {
        self.own_order();
        match names::find(name) {
            Some(known) => {
                self.kind(known);
                self.format(known);
            }
            None => self.unknown(name),
        }
        let index = self.index(MOST_OF_A_NAME)?;
        Some(Source::Reading { name: name.to_owned(), index, format: self.point.address.format })
    }

    /// Which of several of a name.
    fn index(&mut self, most: i64) -> Option<u8> {
        let index = self.whole("index", self.point.address.index.unwrap_or(1), 1, most)?;
        u8::try_from(index).ok()
    }

    /// One that has such a value.
    fn format(&mut self, name: &names::Name) {
        let word = |format: Format| serde_json::to_string(&format).unwrap_or_default().replace('"', "");
        if let Some(format) = self.point.address.format.filter(|format| !gives::gives(*format, name.name)) {
            let others = gives::of(name.name).map(word).collect::<Vec<_>>().join(", ");
            let accepted =
                if others.is_empty() { "no format has it".to_owned() } else { format!("accepted: {others}") };
            self.refuse("format", format!("{} never has {}; {accepted}", word(format), name.name));
        }
    }

    /// A type that holds each value of this kind as it is.
    fn kind(&mut self, name: &names::Name) {
        use DataType::{Bool, Bytes, String};
        let data_type = self.point.data_type;
        let (float, integer) = (data_type.is_number() && !data_type.is_whole(), is_integer(data_type));
        let (fits, what, accepted) = match name.kind {
            Kind::Bool => (data_type == Bool || integer, "true or false", "bool"),
            Kind::Whole => (float || integer, "a whole number", "an integer type"),
            // Most of them are whole in some formats; one that is not is refused when it comes. These never are.
            Kind::Number => {
                let whole = integer && !matches!(name.unit, "°C" | "V");
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

    fn radio(&mut self, figure: Figure) -> Source {
        self.own_order();
        if !self.point.data_type.is_number() || self.point.data_type == DataType::Bcd {
            let message = format!("{} cannot hold a number of dBm; int8 would be accepted", self.point.data_type);
            self.refuse_property("type", message);
        }
        Source::Radio(figure)
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
            if self.point.access.can_write() && (rule.place != Place::default()) {
                let key = if rule.place.bits.is_some() { "characteristic.bits" } else { "characteristic.offset" };
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
        Some(Part::Standard { field: field.name, index: self.index(255)? })
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
        self.fits(key, &Rule { place: Place { offset: offset?, bits: bits? }, ..Rule::default() })
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

/// Decimal digits are a form of bytes, and what is read by name has none.
fn is_integer(data_type: DataType) -> bool {
    data_type.is_whole() && data_type != DataType::Bcd
}
