//! From YAML to a [`Message`]. All mistakes are told at once, by their keys inside the message.

use std::{collections::BTreeMap, ops::Range};

use regex_lite::{Regex, RegexBuilder};

use super::{Kind, Message, Whence, condition::Condition};
use crate::{
    check::Mistake,
    config,
    octets::{self, latin_1},
};

/// The most memory that a regular expression takes, which bounds its time as well.
const REGEX: usize = 1 << 17;
/// The most columns.
const COLUMNS: usize = 128;
/// How alike two names are for one to be meant by the other.
const ALIKE: f64 = 0.8;

impl Message {
    /// Reads what YAML says of a message; `parameters` stand for `{name}` in its conditions.
    ///
    /// # Errors
    /// All mistakes, by their keys inside the message, with what would be accepted.
    pub fn new(yaml: &config::Message, parameters: &BTreeMap<String, String>) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let given: Vec<_> = [
            ("regex", yaml.regex.is_some()),
            ("columns", yaml.columns.is_some()),
            ("fixed", !yaml.fixed.is_empty()),
            ("json", yaml.json.is_some()),
            ("binary", yaml.binary.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, given)| given.then_some(key))
        .collect();
        for key in given.iter().skip(1) {
            let message = format!("stands beside `{}`; one of them tells how the content falls into fields", given[0]);
            mistakes.push(((*key).to_owned(), message));
        }
        let kind = match given[..] {
            ["regex"] => yaml.regex.as_deref().and_then(|text| expression(text, "regex", &mut mistakes)).map(by_groups),
            ["columns"] => yaml.columns.as_ref().map(|columns| by_columns(columns, &mut mistakes)),
            ["fixed"] => Some(by_characters(&yaml.fixed, &mut mistakes)),
            ["json"] => Some((Kind::Json, Vec::new())),
            ["binary"] => Some((Kind::Binary, Vec::new())),
            [] => Some((Kind::Whole, Vec::new())),
            _ => None,
        };
        let refused = yaml.refused.as_deref().and_then(|text| expression(text, "refused", &mut mistakes));
        // Conditions name fields; without these they cannot be looked at.
        let Some((kind, fields)) = kind else { return Err(mistakes) };
        let mut message = Self { name: yaml.name.clone(), kind, fields, when: Vec::new(), refused, stable: Vec::new() };
        message.when = Condition::all(&message, "when", &yaml.when, parameters, &mut mistakes);
        message.stable = Condition::all(&message, "stable", &yaml.stable, parameters, &mut mistakes);
        if mistakes.is_empty() { Ok(message) } else { Err(mistakes) }
    }

    /// Where a field stands.
    ///
    /// # Errors
    /// It has no such field; which ones it has.
    pub(super) fn whence(&self, field: &str) -> Result<Whence, String> {
        let name = &self.name;
        match &self.kind {
            Kind::Json => return Ok(Whence::Member(field.to_owned())),
            Kind::Binary => {
                return Err(format!("message {name} is binary and has no fields; `offset` says a place in it"));
            }
            Kind::Whole => {
                let message = "has no fields; one of regex, columns, fixed, json and binary would give it some";
                return Err(format!("message {name} {message}"));
            }
            Kind::Regex { .. } | Kind::Columns { .. } | Kind::Fixed(_) => {}
        }
        if let Some(number) = self.fields.iter().position(|known| known == field) {
            return Ok(Whence::Field(number));
        }
        let likeness = |known: &&String| strsim::jaro_winkler(known, field);
        let nearest = self.fields.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let meant = nearest.filter(|known| likeness(known) >= ALIKE);
        let meant = meant.map_or_else(String::new, |known| format!("did you mean {known}? "));
        let has = if self.fields.is_empty() { "none".to_owned() } else { self.fields.join(", ") };
        Err(format!("{field:?} is no field of message {name}; {meant}it has {has}"))
    }
}

type Fields = (Kind, Vec<String>);

fn expression(text: &str, key: &str, mistakes: &mut Vec<Mistake>) -> Option<Regex> {
    let refuse =
        |error: regex_lite::Error| mistakes.push((key.to_owned(), format!("is no regular expression: {error}")));
    RegexBuilder::new(text).size_limit(REGEX).build().map_err(refuse).ok()
}

fn by_groups(regex: Regex) -> Fields {
    let named = regex.capture_names().enumerate().filter_map(|(group, name)| Some((group, name?.to_owned())));
    let (groups, fields) = named.unzip();
    (Kind::Regex { regex, groups }, fields)
}

fn by_columns(yaml: &config::Columns, mistakes: &mut Vec<Mistake>) -> Fields {
    let mut separator = None;
    if let Some(text) = &yaml.separator {
        match octets::parse(text) {
            Ok(bytes) if bytes.is_empty() => {
                let message = "is empty; leave it out where blanks separate".to_owned();
                mistakes.push(("columns.separator".to_owned(), message));
            }
            Ok(bytes) => separator = Some(latin_1(&bytes)),
            Err(error) => mistakes.push(("columns.separator".to_owned(), error.to_string())),
        }
    }
    if !(1..=COLUMNS).contains(&yaml.names.len()) {
        let message = format!("are {}; 1 to {COLUMNS} would be accepted", yaml.names.len());
        mistakes.push(("columns.names".to_owned(), message));
    }
    let mut fields: Vec<String> = Vec::new();
    let mut column = |name: &String| {
        if matches!(name.as_str(), "" | "-") {
            return None;
        }
        if fields.contains(name) {
            let message = format!("have {name} twice; '-' skips a column that nobody wants");
            mistakes.push(("columns.names".to_owned(), message));
        }
        fields.push(name.clone());
        Some(fields.len() - 1)
    };
    let columns = yaml.names.iter().map(&mut column).collect();
    (Kind::Columns { separator, columns }, fields)
}

fn by_characters(yaml: &BTreeMap<String, String>, mistakes: &mut Vec<Mistake>) -> Fields {
    let mut places = Vec::new();
    for (name, text) in yaml {
        if let Some(place) = characters(text) {
            places.push(place);
        } else {
            let message = format!(
                "{text:?} are no characters; write the first and the last one, counted from 0, such as \"2..9\", or one: \"7\""
            );
            mistakes.push((format!("fixed.{name}"), message));
        }
    }
    (Kind::Fixed(places), yaml.keys().cloned().collect())
}

/// `2..9`, both included, or `7`.
fn characters(text: &str) -> Option<Range<usize>> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let number = |digits: &str| {
        let digits = Some(digits).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
        digits.parse().ok().filter(|number: &usize| *number < 16_384)
    };
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..last + 1)
}
