//! What was heard, and how sure that is: the judgement of one baud rate, and the Device that is drafted from the best one.
//! Pure. A stream heard at a wrong rate is bytes too: it is told by what it is not, text with ends of lines, frames with a
//! check that holds, a known language.

use std::time::Duration;

use mapper_api::Json;
use serde_json::json;

use super::{
    checks,
    cut::{self, Cut},
    heard::Heard,
    language, numbers, words,
};
use crate::config::{Check, Endpoint, Language, Message, Parity};

/// From here on the settings are taken for the right ones.
pub(super) const SURE: u8 = 90;
/// From here on they may be.
pub(super) const LIKELY: u8 = 60;
/// Below, they are wrong.
pub(super) const WRONG: u8 = 40;

/// What to do where nothing came.
const NOTHING: &str = "nothing was heard: is the device on, are its TX and RX the right way round, does it speak by itself (else say \
    what to send, such as send='SI\\r\\n'), and often enough (else seconds=60)?";

/// What seems to be spoken.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Nothing,
    Noise,
    Language(Language),
    Text(Option<(Cut, Option<Check>)>),
    Bytes(Option<(Cut, Option<Check>)>),
}

/// The judgement of what was heard with one setting of the line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Guess {
    /// 0 to 100: how sure it is that the line was set right.
    pub(super) points: u8,
    /// The parity that hides in the highest bit of each byte.
    pub(super) parity: Option<Parity>,
    pub(super) content: Content,
}

/// Judges. `character` is the time that one takes on the line as it is set.
pub(super) fn guess(heard: &Heard, character: Duration) -> Guess {
    let bytes = heard.bytes();
    let parity = seventh(&bytes);
    if parity.is_some() {
        let mut guess = eight(&heard.seven_bits(), character);
        guess.parity = parity;
        return guess;
    }
    eight(heard, character)
}

fn eight(heard: &Heard, character: Duration) -> Guess {
    let bytes = heard.bytes();
    let of = |points, content| Guess { points, parity: None, content };
    if bytes.is_empty() {
        return of(0, Content::Nothing);
    }
    if let Some(language) = language::language(&bytes) {
        return of(100, Content::Language(language));
    }
    let share = text_share(&bytes);
    if share >= 0.95 && bytes.len() >= 4 {
        let Some(cut) = cut::text(&bytes, false).or_else(|| cut::text(&bytes, true)) else {
            return of(if bytes.len() >= 16 { 75 } else { LIKELY }, Content::Text(None));
        };
        let check = checks::find(&cut.frames, cut.end, true);
        let points = match (&check, bytes.len()) {
            (Some(_), _) => 100,
            (None, 32..) => 92,
            (None, _) => 80,
        };
        return of(points, Content::Text(Some((cut, check))));
    }
    let cuts = cut::binary(heard, gap(character));
    let proved = cuts.iter().find_map(|cut| Some((cut, checks::find(&cut.frames, cut.end, false)?)));
    if let Some((cut, check)) = proved {
        return of(98, Content::Bytes(Some((cut.clone(), Some(check)))));
    }
    // A level that lasts too long or changes too soon is heard as bytes of few edges.
    let torn = bytes.iter().filter(|b| matches!(b, 0 | 0x80 | 0xc0 | 0xe0 | 0xf0 | 0xf8 | 0xfc | 0xfe | 0xff)).count();
    let torn = torn * 100 / bytes.len();
    match cuts.into_iter().next() {
        Some(cut) if cut.frame.gap.is_none() => of(if torn < 50 { 55 } else { 40 }, Content::Bytes(Some((cut, None)))),
        Some(cut) => of(if torn < 50 { 30 } else { 15 }, Content::Bytes(Some((cut, None)))),
        None => of(if torn < 50 { 15 } else { 5 }, Content::Noise),
    }
}

/// A silence that parts frames: four characters, and no less than what USB adapters make of a stream by themselves.
pub(super) fn gap(character: Duration) -> Duration {
    let ms = u64::try_from((character * 4).as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(ms.max(20).next_multiple_of(5))
}

/// Which share of the bytes is text: ASCII, ends of lines, STX and ETX, and what UTF-8 or Latin-1 make of degrees.
fn text_share(bytes: &[u8]) -> f64 {
    let plain =
        |byte: &&u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t' | 2 | 3 | 4 | 6 | 0xb0 | 0xc2 | 0xb5 | 0xdf);
    #[allow(clippy::cast_precision_loss)] // some KiB
    let share = bytes.iter().filter(plain).count() as f64 / bytes.len().max(1) as f64;
    share
}

/// Seven bits and a parity bit, where eight bits were heard: all bytes have it, and without it they are text.
fn seventh(bytes: &[u8]) -> Option<Parity> {
    if bytes.len() < 16 || bytes.iter().all(|byte| *byte < 0x80) {
        return None;
    }
    let low: Vec<u8> = bytes.iter().map(|byte| byte & 0x7f).collect();
    if text_share(&low) < 0.95 {
        return None;
    }
    let odd = bytes.iter().filter(|byte| byte.count_ones() % 2 == 1).count();
    match odd * 100 / bytes.len() {
        0..=2 => Some(Parity::Even),
        98.. => Some(Parity::Odd),
        _ => None,
    }
}

impl Guess {
    /// How many whole frames were cut.
    pub(super) fn frames(&self) -> usize {
        match &self.content {
            Content::Text(Some((cut, _))) | Content::Bytes(Some((cut, _))) => cut.frames.len(),
            _ => 0,
        }
    }

    /// For people: what it is, where frames end, what proves them.
    pub(super) fn about(&self) -> Vec<(&'static str, String)> {
        let (content, cut) = match &self.content {
            Content::Nothing => ("nothing".to_owned(), None),
            Content::Noise => ("bytes in which no frames were found".to_owned(), None),
            Content::Language(language) => (format!("the language {}", word(*language)), None),
            Content::Text(cut) => ("text".to_owned(), cut.as_ref()),
            Content::Bytes(cut) => ("bytes".to_owned(), cut.as_ref()),
        };
        let frame = cut.map(|(cut, _)| {
            let frame = &cut.frame;
            let start = frame.start.as_ref().map(|start| format!("begins with {start}, "));
            let end = match (&frame.end, frame.length, &frame.length_at) {
                (Some(end), ..) => format!("ends with {end}"),
                (None, Some(length), _) => format!("has {length} bytes"),
                (None, None, Some(at)) => format!("its length stands at byte {}", at.offset),
                (None, None, None) => format!("ends with {} ms of silence", gap_ms(frame)),
            };
            format!("{}{end} ({} heard)", start.unwrap_or_default(), cut.frames.len())
        });
        let check = cut.map(|(_, check)| match check {
            Some(check) => format!("{} holds for all of them", check.kind),
            None => "none found".to_owned(),
        });
        vec![("content", content), ("frame", frame.unwrap_or_default()), ("check", check.unwrap_or_default())]
    }

    /// A spec on this line. `request` is what was sent to get it.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn draft(&self, heard: &Heard, mut line: Endpoint, request: Option<&str>) -> Result<Json, String> {
        if let Some(parity) = self.parity {
            (line.data_bits, line.parity) = (Some(7), Some(parity));
        }
        let bytes = if self.parity.is_some() { heard.seven_bits().bytes() } else { heard.bytes() };
        let properties = match &self.content {
            Content::Nothing => return Err(NOTHING.to_owned()),
            Content::Noise => return Err("no frames were found in what was heard".to_owned()),
            Content::Language(language) => {
                line.language = Some(*language);
                // A readout begins slowly and goes over to another rate by itself.
                if *language == Language::Iec62056 {
                    (line.baud, line.data_bits, line.parity) = (None, None, None);
                }
                language::properties(*language, &bytes)
            }
            Content::Text(cut) => {
                let Some((cut, check)) = cut else {
                    return Err("it is text, but no ends of lines were found; listen for longer".to_owned());
                };
                line.frame = Some(framed(cut, check.as_ref()));
                let drafted = words::draft(&contents(cut));
                line.messages = drafted.messages;
                drafted.properties
            }
            Content::Bytes(cut) => {
                let Some((cut, check)) = cut else { return Err("no frames were found in what was heard".to_owned()) };
                line.frame = Some(framed(cut, check.as_ref()));
                let message =
                    Message { name: "frame".into(), binary: Some(crate::config::Binary {}), ..Message::default() };
                line.messages = vec![message];
                let told = cut.frame.length_at.as_ref();
                let after_length = told.and_then(|at| usize::try_from(at.offset + at.size.unwrap_or(1)).ok());
                let tail = check.as_ref().map_or(0, |check| {
                    crate::check::Check::new(check).map_or(0, |known| known.len()) + count(check.after)
                });
                numbers::draft(&cut.frames, cut.start.max(after_length.unwrap_or(0)), tail)
            }
        };
        let properties = if properties.is_empty() {
            let text = matches!(self.content, Content::Text(_));
            if line.messages.is_empty() {
                line.messages.push(Message { name: "line".into(), ..Message::default() });
            }
            let kind = if text { "string" } else { "bytes" };
            vec![json!({ "name": "all", "type": kind, "size": 255, "serial": { "raw": true } })]
        } else {
            properties
        };
        if let (Some(request), Some(message)) = (request, line.messages.first_mut()) {
            message.request = Some(request.to_owned());
        }
        let endpoint = serde_json::to_value(&line).map_err(|error| error.to_string())?;
        Ok(json!({ "protocol": { "serial": endpoint }, "properties": properties }))
    }
}

fn count(number: Option<i64>) -> usize {
    number.and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
}

fn gap_ms(frame: &crate::config::Frame) -> u128 {
    frame.gap.map_or(0, |gap| gap.0.as_millis())
}

fn framed(cut: &Cut, check: Option<&Check>) -> crate::config::Frame {
    crate::config::Frame { check: check.cloned(), ..cut.frame.clone() }
}

/// What stands between start and end of each frame.
fn contents(cut: &Cut) -> Vec<Vec<u8>> {
    cut.frames.iter().map(|frame| frame[cut.start..frame.len() - cut.end].to_vec()).collect()
}

/// The language as YAML writes it.
fn word(language: Language) -> String {
    json!(language).as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
#[path = "guess_tests.rs"]
mod tests;
