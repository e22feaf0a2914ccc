//! NMEA 0183: lines of a receiver or an instrument, `$`, talker, sentence, fields between commas, `*` and a check. The fields
//! that [`SENTENCES`] names are read; what a receiver does not know, because it has no fix or says so, is left out, never 0.
//!
//! A sentence without a check is refused. What one sentence does not say is not taken from another.

mod fields;

pub use fields::{SENTENCES, known};

use super::{Cut, Datum, Name, Telegram, cut};
use fields::Reader;

/// No line is longer: the standard says 82 bytes, and makers with sentences of their own go beyond it.
pub const LONGEST: usize = 256;

/// The next sentence of a line.
pub fn cut(bytes: &[u8]) -> Cut {
    match bytes.iter().position(|byte| *byte == b'$') {
        None if bytes.is_empty() => return Cut::More,
        None => return Cut::Noise(bytes.len()),
        Some(0) => {}
        Some(noise) => return Cut::Noise(noise),
    }
    let bytes = cut::seen(bytes, LONGEST);
    let end = cut::find(bytes, b"\n", 0);
    let again = cut::find(bytes, b"$", 1);
    match (end, again) {
        (end, Some(again)) if end.is_none_or(|end| again < end) => Cut::Bad(again, "the sentence breaks off".into()),
        (Some(end), _) => Cut::Whole(end + 1),
        _ => cut::more(bytes, LONGEST),
    }
}

/// What a sentence says; a sentence that is not known, or that is a maker's own, says nothing.
///
/// # Errors
/// It does not prove itself.
pub fn read(line: &[u8]) -> Result<Telegram, String> {
    let text =
        str::from_utf8(line.trim_ascii()).ok().filter(|text| text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    let text = text.ok_or("bytes in a sentence that are no text")?;
    let text = text.strip_prefix('$').ok_or("a sentence that does not begin with $")?;
    let (content, sent) = text.rsplit_once('*').ok_or("a sentence without a check")?;
    let sent = match sent.len() {
        2 => u8::from_str_radix(sent, 16).map_err(|_| format!("a check of {sent:?}"))?,
        _ => return Err(format!("a check of {sent:?}")),
    };
    let sum = content.bytes().fold(0, |sum, byte| sum ^ byte);
    if sum != sent {
        return Err(format!("the check is {sent:02X}, and {sum:02X} over what came"));
    }
    let mut fields: Vec<&str> = content.split(',').map(str::trim).collect();
    let sender = fields.remove(0).to_owned();
    let mut telegram = Telegram { sender, ..Telegram::default() };
    let bytes = telegram.sender.as_bytes();
    let Some(sentence) = bytes.last_chunk::<3>().filter(|_| bytes.len() == 5 && bytes[0] != b'P').copied() else {
        return Ok(telegram);
    };
    let reader = Reader::new(&fields);
    for field in SENTENCES.iter().filter(|(name, ..)| name.as_bytes() == sentence).flat_map(|(.., fields)| *fields) {
        if let Some((content, unit)) = reader.read(sentence, field) {
            let name = Name::Nmea { sentence, field: field.name };
            telegram.data.push(Datum { name, index: 0, content, unit });
        }
    }
    Ok(telegram)
}

#[cfg(test)]
mod tests;
