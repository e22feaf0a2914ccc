//! Where a property lives in what a meter or a receiver says, and its value.

use mapper_api::{DataType, Refusal, Value};

use super::{Content, Datum, Name, Number, Obis, Telegram, moment, nmea, readable};
use crate::config::{Address, Base, Language};

/// A mistake in a property's address: the key, and what is wrong with it and what would be accepted.
pub type Mistake = (String, String);

/// Where a property lives.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    what: What,
    data_type: DataType,
    base: Base,
    /// The unit that it must have, and the factors of others to it.
    unit: Option<String>,
    factors: Vec<(String, Number)>,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    /// The code, and which of its values: counted from 0, or the last.
    Obis(Obis, Option<usize>),
    Nmea([u8; 3], &'static str),
}

impl Place {
    /// The place of an address in this language.
    ///
    /// # Errors
    /// All mistakes in it.
    pub fn bind(language: Language, address: &Address, data_type: DataType) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut wrong = |path: &str, message: String| mistakes.push((path.to_owned(), message));
        let wanted = if language == Language::Nmea { "nmea" } else { "obis" };
        for (given, key) in [
            (address.message.is_some(), "message"),
            (address.field.is_some(), "field"),
            (address.offset.is_some(), "offset"),
            (address.bits.is_some(), "bits"),
            (address.pointer.is_some(), "pointer"),
            (address.raw.is_some(), "raw"),
            (address.stable.is_some(), "stable"),
            (address.write.is_some(), "write"),
            (address.obis.is_some() && wanted != "obis", "obis"),
            (address.index.is_some() && wanted != "obis", "index"),
            (address.nmea.is_some() && wanted != "nmea", "nmea"),
        ] {
            if given {
                wrong(key, format!("with this `language` a property says where it lives by `{wanted}`"));
            }
        }
        if address.decimal.is_some() {
            wrong("decimal", "numbers of a `language` have a point".to_owned());
        }
        let what = match (wanted, &address.obis, &address.nmea) {
            ("obis", Some(code), _) => match code.parse() {
                Ok(code) => Some(What::Obis(code, usize::try_from(address.index.unwrap_or(0)).ok())),
                Err(why) => {
                    wrong("obis", why);
                    None
                }
            },
            ("nmea", _, Some(sentence)) => match nmea::known(&sentence.sentence, &sentence.field) {
                Ok((sentence, field)) => Some(What::Nmea(sentence, field)),
                Err((key, why)) => {
                    wrong(&format!("nmea.{key}"), why);
                    None
                }
            },
            _ => {
                wrong(wanted, "is missing".to_owned());
                None
            }
        };
        for field in address.expect.keys().filter(|field| *field != "unit") {
            wrong(&format!("expect.{field}"), "with a `language` the only field is `unit`".into());
        }
        let unit = address.expect.get("unit").cloned();
        if unit.is_none() && !address.units.is_empty() {
            wrong("units", "needs `expect: {unit: ...}`, the unit that they are converted to".into());
        }
        let mut factors = Vec::new();
        for (unit, factor) in &address.units {
            match Number::from_f64(*factor).filter(|factor| factor.digits != 0) {
                Some(factor) => factors.push((unit.clone(), factor)),
                None => wrong(&format!("units.{unit}"), format!("{factor} is no factor; write a number that is not 0")),
            }
        }
        if data_type == DataType::Bcd {
            wrong(wanted, "is no bcd, which is of bytes; numbers of this `language` are uint64 or float64".into());
        }
        if !address.units.is_empty() && !data_type.is_number() {
            wrong("units", format!("converts numbers; the property is a {data_type}"));
        }
        match what {
            Some(what) if mistakes.is_empty() => {
                Ok(Self { what, data_type, base: address.base.unwrap_or_default(), unit, factors })
            }
            _ => Err(mistakes),
        }
    }

    /// The property's value in a telegram; none for a telegram that says nothing of it.
    pub fn read(&self, telegram: &Telegram) -> Option<Result<Value, Refusal>> {
        match self.datum(telegram) {
            Some(datum) => Some(self.value(datum)),
            None => match &self.what {
                What::Obis(code, index) => telegram.whole.then(|| Err(missing(telegram, code, *index))),
                What::Nmea(sentence, _) => {
                    let spoken = telegram.sender.as_bytes().ends_with(sentence);
                    spoken.then(|| Err(Refusal::bad_data("notAvailable")))
                }
            },
        }
    }

    fn datum<'a>(&self, telegram: &'a Telegram) -> Option<&'a Datum> {
        match &self.what {
            What::Obis(code, Some(index)) => telegram.find(code).nth(*index),
            What::Obis(code, None) => telegram.find(code).last(),
            What::Nmea(sentence, field) => {
                let name = Name::Nmea { sentence: *sentence, field };
                telegram.data.iter().find(|datum| datum.name == name)
            }
        }
    }

    fn value(&self, datum: &Datum) -> Result<Value, Refusal> {
        let factor = self.factor(datum)?;
        let number = |number: Number| match factor {
            None => number.value(self.data_type),
            Some(factor) => number
                .times(&factor)
                .ok_or_else(|| Refusal::bad_data(format!("{number} has too many digits to be converted")))?
                .value(self.data_type),
        };
        match &datum.content {
            Content::Number(raw) => number(*raw),
            Content::Bool(raw) if self.data_type == DataType::String => Ok(Value::Text(raw.to_string())),
            Content::Bool(raw) => Number::whole(*raw).value(self.data_type),
            Content::Text(text) => match self.data_type {
                DataType::String => Ok(Value::Text(text.clone())),
                DataType::Bytes => Ok(Value::Bytes(text.clone().into_bytes())),
                DataType::DateTime => {
                    let known = moment::is_utc(text).then(|| text.clone()).or_else(|| moment::of_p1(text));
                    known.map(Value::Text).ok_or_else(|| {
                        Refusal::bad_data(format!(
                            "{text:?} is no date and time of a known zone; string has it as it is"
                        ))
                    })
                }
                data_type => {
                    let parsed = match self.base {
                        Base::Decimal => Number::parse(text),
                        Base::Hex => Number::parse_hex(text),
                    };
                    number(parsed.ok_or_else(|| Refusal::bad_data(format!("{text:?} is no {data_type}")))?)
                }
            },
            Content::Bytes(bytes) => match self.data_type {
                DataType::Bytes => Ok(Value::Bytes(bytes.clone())),
                DataType::String => Ok(Value::Text(readable(bytes))),
                data_type => Err(Refusal::bad_data(format!("{} bytes are no {data_type}", bytes.len()))),
            },
        }
    }

    /// What a number is to be multiplied with.
    fn factor(&self, datum: &Datum) -> Result<Option<Number>, Refusal> {
        let sent = datum.unit.as_deref().unwrap_or("");
        match &self.unit {
            None => Ok(None),
            Some(unit) if unit == sent => Ok(None),
            Some(unit) => match self.factors.iter().find(|(other, _)| other == sent) {
                Some((_, factor)) => Ok(Some(*factor)),
                None if sent.is_empty() => Err(Refusal::bad_data(format!("no unit; {unit} is expected"))),
                None => Err(Refusal::bad_data(format!("the unit is {sent}; {unit} is expected"))),
            },
        }
    }
}

impl Telegram {
    /// The values under a code: those of the first code that fits, so that channels are not mixed.
    pub fn find<'a>(&'a self, code: &Obis) -> impl Iterator<Item = &'a Datum> + use<'a> {
        let is = |datum: &Datum, wanted: &Obis| matches!(&datum.name, Name::Obis(sent) if wanted.fits(sent));
        let first = self.data.iter().find(|datum| is(datum, code)).map(|datum| datum.name);
        self.data.iter().filter(move |datum| Some(datum.name) == first)
    }
}

fn missing(telegram: &Telegram, code: &Obis, index: Option<usize>) -> Refusal {
    let many = telegram.find(code).count();
    if let (Some(index), true) = (index, many > 0) {
        return Refusal::bad_data(format!("the telegram has {many} values of {code}, and none with index {index}"));
    }
    let alike: Vec<String> = telegram
        .data
        .iter()
        .filter_map(|datum| match datum.name {
            Name::Obis(sent) if datum.index == 0 && sent.resembles(code) => Some(sent.to_string()),
            _ => None,
        })
        .take(5)
        .collect();
    if alike.is_empty() {
        Refusal::bad_data(format!("the telegram has no {code}"))
    } else {
        Refusal::bad_data(format!("the telegram has no {code}, but {}", alike.join(", ")))
    }
}

#[cfg(test)]
mod tests;
