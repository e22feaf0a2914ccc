//! Which fields sentences have, where, and in which unit (NMEA 0183; as gpsd's "NMEA Revealed" and the receiver descriptions of
//! u-blox list them).

use std::borrow::Cow;

use crate::language::{Content, Number, moment::Moment};

/// A field of a sentence.
#[derive(Debug)]
pub struct Field {
    /// Its name in YAML.
    pub name: &'static str,
    kind: Kind,
    /// Said whether or not the receiver has a fix.
    always: bool,
    /// Said only where this text stands at this place.
    only: Option<(usize, &'static str)>,
}

/// What stands where. A place is that of the field, counted from 0 after the sentence's name.
#[derive(Debug)]
enum Kind {
    Number(usize, &'static str),
    /// A number, and the letter of its unit.
    Measured(usize, usize, Letters),
    /// A number, and the letter of the side that it counts to: west and south are negative.
    Side(usize, usize, &'static str),
    /// Degrees and minutes in one number, and the letter of the half of the globe.
    Position(usize, usize),
    Text(usize),
    /// Time of day, and a date of six digits.
    Clock(usize, usize),
    /// Time of day, then day, month and year.
    Calendar(usize),
}

use Kind::{Calendar, Clock, Measured, Position, Side, Text};

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, always: false, only: None }
}

const fn always(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, always: true, only: None }
}

/// A field of wind: apparent where `R` stands beside it, true where `T` does. Instruments send both in turn.
const fn wind(name: &'static str, kind: Kind, reference: &'static str) -> Field {
    Field { name, kind, always: false, only: Some((1, reference)) }
}

const fn number(name: &'static str, at: usize, unit: &'static str) -> Field {
    field(name, Kind::Number(at, unit))
}

/// Units by their letters: `M` is a metre in one field, and metres per second in another.
type Letters = &'static [(&'static str, &'static str)];

const LENGTHS: Letters = &[("M", "m"), ("f", "ft"), ("F", "ft")];
const SPEEDS: Letters = &[("M", "m/s"), ("N", "kn"), ("K", "km/h"), ("S", "mph")];

/// Where a sentence says that its values are none: the field, and what stands in it then.
type Validity = &'static [(usize, &'static [&'static str])];

const VOID: &[&str] = &["V"];
const NO_MODE: &[&str] = &["N"];

/// The sentences, what makes them void, and their fields.
pub static SENTENCES: &[(&str, Validity, &[Field])] = &[
    (
        "GGA",
        &[(5, &["0", ""])],
        &[
            field("latitude", Position(1, 2)),
            field("longitude", Position(3, 4)),
            always("quality", Kind::Number(5, "")),
            always("satellites", Kind::Number(6, "")),
            number("hdop", 7, ""),
            field("altitude", Measured(8, 9, LENGTHS)),
            field("geoidSeparation", Measured(10, 11, LENGTHS)),
            number("differentialAge", 12, "s"),
            field("differentialStation", Text(13)),
        ],
    ),
    (
        "RMC",
        &[(1, VOID), (11, NO_MODE)],
        &[
            always("status", Text(1)),
            field("time", Clock(0, 8)),
            field("latitude", Position(2, 3)),
            field("longitude", Position(4, 5)),
            number("speed", 6, "kn"),
            number("course", 7, "°"),
            field("variation", Side(9, 10, "°")),
            always("mode", Text(11)),
        ],
    ),
    (
        "GLL",
        &[(5, VOID), (6, NO_MODE)],
        &[
            field("latitude", Position(0, 1)),
            field("longitude", Position(2, 3)),
            always("status", Text(5)),
            always("mode", Text(6)),
        ],
    ),
    (
        "GNS",
        &[(5, &["N", "NN", "NNN", "NNNN", "NNNNN", "NNNNNN", ""])],
        &[
            field("latitude", Position(1, 2)),
            field("longitude", Position(3, 4)),
            always("mode", Text(5)),
            always("satellites", Kind::Number(6, "")),
            number("hdop", 7, ""),
            number("altitude", 8, "m"),
            number("geoidSeparation", 9, "m"),
        ],
    ),
    (
        "VTG",
        &[(8, NO_MODE)],
        &[
            number("course", 0, "°"),
            number("courseMagnetic", 2, "°"),
            number("speed", 4, "kn"),
            number("speedKmh", 6, "km/h"),
            always("mode", Text(8)),
        ],
    ),
    (
        "GSA",
        &[(1, &["1", ""])],
        &[
            always("selection", Text(0)),
            always("fix", Kind::Number(1, "")),
            number("pdop", 14, ""),
            number("hdop", 15, ""),
            number("vdop", 16, ""),
        ],
    ),
    ("GSV", &[], &[always("satellitesInView", Kind::Number(2, ""))]),
    (
        "GST",
        &[],
        &[
            number("rms", 1, "m"),
            number("latitudeError", 5, "m"),
            number("longitudeError", 6, "m"),
            number("altitudeError", 7, "m"),
        ],
    ),
    ("ZDA", &[], &[field("time", Calendar(0))]),
    ("HDT", &[], &[number("heading", 0, "°")]),
    ("HDM", &[], &[number("heading", 0, "°")]),
    (
        "HDG",
        &[],
        &[number("heading", 0, "°"), field("deviation", Side(1, 2, "°")), field("variation", Side(3, 4, "°"))],
    ),
    ("ROT", &[(1, VOID)], &[number("rateOfTurn", 0, "°/min"), always("status", Text(1))]),
    (
        "VHW",
        &[],
        &[
            number("heading", 0, "°"),
            number("headingMagnetic", 2, "°"),
            number("speed", 4, "kn"),
            number("speedKmh", 6, "km/h"),
        ],
    ),
    ("DPT", &[], &[number("depth", 0, "m"), number("offset", 1, "m")]),
    ("DBT", &[], &[number("depth", 2, "m"), number("depthFeet", 0, "ft")]),
    ("DBS", &[], &[number("depth", 2, "m"), number("depthFeet", 0, "ft")]),
    ("DBK", &[], &[number("depth", 2, "m"), number("depthFeet", 0, "ft")]),
    ("MTW", &[], &[number("temperature", 0, "°C")]),
    (
        "MWV",
        &[(4, VOID)],
        &[
            wind("windAngle", Kind::Number(0, "°"), "R"),
            wind("windAngleTrue", Kind::Number(0, "°"), "T"),
            field("reference", Text(1)),
            wind("windSpeed", Measured(2, 3, SPEEDS), "R"),
            wind("windSpeedTrue", Measured(2, 3, SPEEDS), "T"),
            always("status", Text(4)),
        ],
    ),
    (
        "MWD",
        &[],
        &[
            number("windDirection", 0, "°"),
            number("windDirectionMagnetic", 2, "°"),
            number("windSpeedKnots", 4, "kn"),
            number("windSpeed", 6, "m/s"),
        ],
    ),
    (
        "MDA",
        &[],
        &[
            number("pressure", 2, "bar"),
            number("airTemperature", 4, "°C"),
            number("waterTemperature", 6, "°C"),
            number("humidity", 8, "%"),
            number("dewPoint", 10, "°C"),
            number("windDirection", 12, "°"),
            number("windDirectionMagnetic", 14, "°"),
            number("windSpeedKnots", 16, "kn"),
            number("windSpeed", 18, "m/s"),
        ],
    ),
];

/// The sentence and the field with these names.
///
/// # Errors
/// There is none: which there are.
pub fn known(sentence: &str, name: &str) -> Result<([u8; 3], &'static str), (&'static str, String)> {
    let Some((sentence, _, fields)) = SENTENCES.iter().find(|(known, ..)| *known == sentence) else {
        let all: Vec<&str> = SENTENCES.iter().map(|(name, ..)| *name).collect();
        return Err(("sentence", format!("{sentence:?} is not read; there are {}", all.join(", "))));
    };
    if let Some(field) = fields.iter().find(|field| field.name == name) {
        Ok((sentence.as_bytes().try_into().expect("three letters"), field.name))
    } else {
        let all: Vec<&str> = fields.iter().map(|field| field.name).collect();
        Err(("field", format!("{sentence} has no {name:?}, but {}", all.join(", "))))
    }
}

/// A value and its unit.
type Read = (Content, Option<Cow<'static, str>>);

/// Takes fields out of one sentence.
pub struct Reader<'a> {
    fields: &'a [&'a str],
}

impl<'a> Reader<'a> {
    pub fn new(fields: &'a [&'a str]) -> Self {
        Self { fields }
    }

    /// The value of this field; none where the sentence does not say it.
    pub fn read(&self, sentence: [u8; 3], field: &Field) -> Option<Read> {
        let (.., validity, _) = SENTENCES.iter().find(|(name, ..)| name.as_bytes() == sentence)?;
        let void = validity.iter().any(|(at, none)| self.fields.get(*at).is_some_and(|text| none.contains(text)));
        let other = field.only.is_some_and(|(at, text)| self.text(at) != Some(text));
        if other || void && !field.always {
            return None;
        }
        let unit = |unit: &'static str| (!unit.is_empty()).then_some(Cow::Borrowed(unit));
        match field.kind {
            Kind::Number(at, name) => Some((Content::Number(self.number(at)?), unit(name))),
            Measured(at, letter, letters) => {
                let letter = self.text(letter)?;
                let (_, name) = letters.iter().find(|(known, _)| *known == letter)?;
                Some((Content::Number(self.number(at)?), unit(name)))
            }
            Side(at, side, name) => {
                let Number { digits, exponent } = self.number(at)?;
                let digits = if self.negative(side)? { -digits } else { digits };
                Some((Content::Number(Number { digits, exponent }), unit(name)))
            }
            Position(at, half) => {
                let most = if matches!(self.text(half)?, "N" | "S") { 90 } else { 180 };
                let degrees = position(self.text(at)?, most)?;
                let digits = if self.negative(half)? { -degrees } else { degrees };
                Some((Content::Number(Number { digits, exponent: -PLACES }), unit("°")))
            }
            Text(at) => Some((Content::Text(self.text(at)?.to_owned()), None)),
            Clock(at, date) => {
                let date = self.text(date).filter(|date| date.len() == 6)?;
                let (day, month, year) = (pair(date, 0)?, pair(date, 2)?, pair(date, 4)?);
                // GPS began in 1980.
                let year = if year < 80 { 2000 + year } else { 1900 + year };
                Some((Content::Text(moment(year, month, day, self.text(at)?)?), None))
            }
            Calendar(at) => {
                let part = |at: usize| self.text(at)?.parse::<u32>().ok();
                Some((Content::Text(moment(part(at + 3)?, part(at + 2)?, part(at + 1)?, self.text(at)?)?), None))
            }
        }
    }

    fn text(&self, at: usize) -> Option<&'a str> {
        self.fields.get(at).copied().filter(|text| !text.is_empty())
    }

    fn number(&self, at: usize) -> Option<Number> {
        Number::parse(self.text(at)?)
    }

    fn negative(&self, at: usize) -> Option<bool> {
        match self.text(at)? {
            "S" | "W" => Some(true),
            "N" | "E" => Some(false),
            _ => None,
        }
    }
}

/// Decimals of a position: a tenth of a millimetre.
const PLACES: i16 = 9;

/// Degrees out of `dddmm.mmmm`, as so many parts of 10^-[`PLACES`]; none where they are more than `most`.
fn position(text: &str, most: i128) -> Option<i128> {
    let Number { digits, exponent } = Number::parse(text).filter(|number| number.digits >= 0)?;
    let ten = 10_i128.checked_pow(u32::from(exponent.unsigned_abs()))?;
    let (degrees, minutes) = (digits / (100 * ten), digits % (100 * ten));
    if degrees > most || minutes >= 60 * ten {
        return None;
    }
    let one = 10_i128.pow(u32::from(PLACES.unsigned_abs()));
    // Thirty digits may stand there: more than these products have room for.
    let parts = minutes.checked_mul(one)?.checked_add(30 * ten)? / (60 * ten);
    Some(degrees * one + parts).filter(|parts| *parts <= most * one)
}

fn pair(text: &str, at: usize) -> Option<u32> {
    text.get(at..at + 2).filter(|pair| pair.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// A moment, of a date and a time of day `hhmmss.sss`.
fn moment(year: u32, month: u32, day: u32, time: &str) -> Option<String> {
    let (whole, decimals) = time.split_once('.').unwrap_or((time, ""));
    if whole.len() != 6 || year < 1980 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let moment = Moment {
        year: year.into(),
        month: month.into(),
        day: day.into(),
        hour: pair(whole, 0)?.into(),
        minute: pair(whole, 2)?.into(),
        second: pair(whole, 4)?.into(),
        millis: format!("{decimals:0<3}").get(..3)?.parse().ok()?,
    };
    moment.utc(0)
}
