//! A message: which frames are one, and how its content falls into fields. Pure. A frame is taken apart once, however many
//! properties live in it; nothing is guessed: a frame that does not fit is another message.
//!
//! Texts are read with one character for each byte (ISO 8859-1), so that no byte is refused and places are those of the bytes.
//! Work is bounded by the regular expressions' size and the frame's: they take time in proportion to both.

mod condition;
mod place;
#[cfg(test)]
mod tests;
mod text;
mod yaml;

use std::ops::Range;

use regex_lite::Regex;

use crate::octets::{Shown, latin_1};
use condition::Condition;

pub use place::Place;

/// A message, ready to read frames.
#[derive(Debug, Clone)]
pub struct Message {
    name: String,
    kind: Kind,
    /// The names of its fields; none where properties say a place or a pointer.
    fields: Vec<String>,
    when: Vec<Condition>,
    refused: Option<Regex>,
    stable: Vec<Condition>,
}

/// How the content falls into fields.
#[derive(Debug, Clone)]
enum Kind {
    /// Not at all: only the whole of it is read.
    Whole,
    /// The groups of the expression, by their numbers, are the fields.
    Regex {
        regex: Regex,
        groups: Vec<usize>,
    },
    /// For each column the field that it is. Without a separator blanks are one.
    Columns {
        separator: Option<String>,
        columns: Vec<Option<usize>>,
    },
    /// The characters of each field, the last one not included.
    Fixed(Vec<Range<usize>>),
    Json,
    Binary,
}

/// Whether a frame is a message.
#[derive(Debug)]
pub enum Fit<'a> {
    /// It is another one.
    NotThis,
    /// It is the device's refusal, in its own words.
    Refused(String),
    /// It is one, and these are its fields.
    Fields(Fields<'a>),
}

/// A frame, taken apart.
#[derive(Debug)]
pub struct Fields<'a> {
    message: &'a Message,
    frame: &'a [u8],
    content: &'a [u8],
    text: String,
    parts: Parts,
}

#[derive(Debug)]
enum Parts {
    /// The places of the fields in the text; none for one that is not there.
    Spans(Vec<Option<Range<usize>>>),
    Json(serde_json::Value),
    /// There are only bytes.
    None,
}

/// Where a value stands in a message.
#[derive(Debug, Clone, PartialEq)]
enum Whence {
    /// A field, by its number.
    Field(usize),
    /// A member of a JSON object.
    Member(String),
    /// A JSON pointer.
    Pointer(String),
    /// Bytes of the frame.
    Bytes(mapper_values::Place),
    /// All of the content.
    Raw,
}

impl Message {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What this frame is to the message; `content` is what stands between its start and end, a part of `frame`.
    pub fn read<'a>(&'a self, frame: &'a [u8], content: &'a [u8]) -> Fit<'a> {
        let text = match self.kind {
            Kind::Binary | Kind::Json | Kind::Whole if self.refused.is_none() => String::new(),
            _ => latin_1(content),
        };
        if self.refused.as_ref().is_some_and(|refused| refused.is_match(&text)) {
            return Fit::Refused(Shown(content.trim_ascii()).to_string());
        }
        let Some(parts) = self.parts(content, &text) else { return Fit::NotThis };
        let fields = Fields { message: self, frame, content, text, parts };
        if self.when.iter().all(|condition| condition.holds(&fields)) { Fit::Fields(fields) } else { Fit::NotThis }
    }

    fn parts(&self, content: &[u8], text: &str) -> Option<Parts> {
        let spans = match &self.kind {
            Kind::Whole | Kind::Binary => return Some(Parts::None),
            Kind::Json => return json(content).map(Parts::Json),
            Kind::Regex { regex, groups } => {
                let captures = regex.captures(text)?;
                groups.iter().map(|group| captures.get(*group).map(|found| found.range())).collect()
            }
            Kind::Columns { separator, columns } => {
                let mut spans = vec![None; self.fields.len()];
                let mut pieces: Box<dyn Iterator<Item = &str>> = match separator {
                    Some(separator) => Box::new(text.split(separator.as_str())),
                    None => Box::new(text.split_ascii_whitespace()),
                };
                for column in columns {
                    let piece = pieces.next()?.trim_ascii();
                    if let Some(field) = column {
                        spans[*field] = Some(within(text.as_bytes(), piece.as_bytes()));
                    }
                }
                spans
            }
            Kind::Fixed(fields) => fields
                .iter()
                .map(|characters| {
                    let piece = text.get(byte(text, characters.start)?..byte(text, characters.end)?)?.trim_ascii();
                    Some(Some(within(text.as_bytes(), piece.as_bytes())))
                })
                .collect::<Option<_>>()?,
        };
        Some(Parts::Spans(spans))
    }
}

impl Fields<'_> {
    /// A field of a text.
    fn field(&self, field: usize) -> Option<&str> {
        match &self.parts {
            Parts::Spans(spans) => self.text.get(spans.get(field)?.clone()?),
            Parts::Json(_) | Parts::None => None,
        }
    }

    fn json(&self) -> Option<&serde_json::Value> {
        if let Parts::Json(json) = &self.parts { Some(json) } else { None }
    }

    /// Whether the value has settled, by what the message says of that.
    fn is_stable(&self) -> bool {
        self.message.stable.iter().all(|condition| condition.holds(self))
    }

    /// The frame up to where its content ends.
    fn until_content_ends(&self) -> &[u8] {
        &self.frame[..within(self.frame, self.content).end.min(self.frame.len())]
    }
}

/// JSON as it should be, in UTF-8, or as simple devices send it.
fn json(content: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(content).or_else(|_| serde_json::from_str(&latin_1(content))).ok()
}

/// Where a part of some bytes stands in them.
fn within(bytes: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(bytes.as_ptr().addr());
    start..start + part.len()
}

/// Where in the text the character of this number begins, or the text ends if it has as many.
fn byte(text: &str, character: usize) -> Option<usize> {
    if text.is_ascii() {
        return (character <= text.len()).then_some(character);
    }
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(character)
}
