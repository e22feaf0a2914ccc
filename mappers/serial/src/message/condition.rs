//! What must stand in a field: of a frame to be a message (`when`), of a value to have settled (`stable`) or to be meant
//! (`expect`).

use std::{borrow::Cow, collections::BTreeMap};

use mapper_values::Place;

use super::{Fields, Kind, Message, Whence};
use crate::{
    check::Mistake,
    octets::{self, Shown},
    template,
};

/// What must stand in a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    /// The field as YAML names it.
    pub name: String,
    whence: Whence,
    wanted: Wanted,
}

#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    Text(String),
    Bytes(Vec<u8>),
}

/// The last byte that a frame may have.
const LAST: usize = 16_383;

impl Condition {
    /// The conditions that YAML lists under this key.
    pub(super) fn all(
        message: &Message,
        key: &str,
        yaml: &BTreeMap<String, String>,
        parameters: &BTreeMap<String, String>,
        mistakes: &mut Vec<Mistake>,
    ) -> Vec<Self> {
        let condition = |(name, wanted): (&String, &String)| {
            Self::new(message, name, wanted, parameters)
                .map_err(|message| mistakes.push((format!("{key}.{name}"), message)))
                .ok()
        };
        yaml.iter().filter_map(condition).collect()
    }

    fn new(message: &Message, name: &str, wanted: &str, parameters: &BTreeMap<String, String>) -> Result<Self, String> {
        let wanted = template::text(wanted, parameters)?;
        let (whence, wanted) = if let Kind::Binary = message.kind {
            let offset = Some(name).filter(|name| name.bytes().all(|digit| digit.is_ascii_digit()));
            let offset = offset.and_then(|offset| offset.parse().ok()).filter(|offset| *offset <= LAST);
            let offset = offset.ok_or_else(|| {
                format!("{name:?} is no place in a binary frame; a number from 0 to {LAST} in quotes would be accepted")
            })?;
            let bytes = octets::parse(&wanted).map_err(|error| error.to_string())?;
            (Whence::Bytes(Place { offset, bits: None }), Wanted::Bytes(bytes))
        } else {
            (message.whence(name)?, Wanted::Text(wanted))
        };
        Ok(Self { name: name.to_owned(), whence, wanted })
    }

    /// What is wanted, as people write it.
    pub(super) fn wanted(&self) -> Cow<'_, str> {
        match &self.wanted {
            Wanted::Text(text) => Cow::Borrowed(text),
            Wanted::Bytes(bytes) => Cow::Owned(Shown(bytes).to_string()),
        }
    }

    /// What stands there; none where nothing does.
    pub(super) fn found<'a>(&self, fields: &'a Fields<'_>) -> Option<Cow<'a, str>> {
        match (&self.whence, &self.wanted) {
            (Whence::Field(field), _) => fields.field(*field).map(Cow::Borrowed),
            (Whence::Member(name), _) => match fields.json()?.get(name)? {
                serde_json::Value::String(text) => Some(Cow::Borrowed(text)),
                serde_json::Value::Null => None,
                other => Some(Cow::Owned(other.to_string())),
            },
            (Whence::Bytes(place), Wanted::Bytes(bytes)) => {
                let found = fields.frame.get(place.offset..place.offset + bytes.len())?;
                Some(Cow::Owned(Shown(found).to_string()))
            }
            (Whence::Pointer(_) | Whence::Raw | Whence::Bytes(_), _) => None,
        }
    }

    pub(super) fn holds(&self, fields: &Fields<'_>) -> bool {
        match (&self.whence, &self.wanted) {
            (Whence::Bytes(place), Wanted::Bytes(bytes)) => {
                fields.frame.get(place.offset..).is_some_and(|rest| rest.starts_with(bytes))
            }
            (_, Wanted::Text(wanted)) => self.found(fields).is_some_and(|found| same(&found, wanted)),
            _ => false,
        }
    }
}

/// Whether a text of the frame is this one of YAML, which the device may send in ISO 8859-1 or in UTF-8.
pub(super) fn same(found: &str, wanted: &str) -> bool {
    found == wanted || (!found.is_ascii() && found.chars().map(u32::from).eq(wanted.bytes().map(u32::from)))
}
