//! The P1 port of DSMR, SMR 5 and e-MUCS meters (P1 Companion Standard 5.0.2, chapters 5 and 6): text from `/` to `!`, then a
//! CRC of four hexadecimal digits from DSMR 4 on; or encrypted as [`seal`] says, with such a text inside.

use crc::{CRC_16_ARC, Crc};

use super::{Cut, Telegram, cut, dataset, seal};

/// No telegram is longer: the longest known ones, of Hungary, have some 3.5 kB.
pub const LONGEST: usize = 8192;

static CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_ARC);

/// The next telegram of a line.
pub fn cut(bytes: &[u8]) -> Cut {
    let start = bytes.iter().position(|b| matches!(*b, b'/' | seal::TAG)).unwrap_or(bytes.len());
    match bytes.get(start) {
        None if bytes.is_empty() => Cut::More,
        _ if start > 0 => Cut::Noise(start),
        Some(&seal::TAG) => match seal::length(bytes) {
            // A byte like the tag in noise is noise.
            Err(_) => Cut::Noise(1),
            Ok(Some(length)) if length > LONGEST => Cut::Noise(1),
            Ok(Some(length)) if length <= bytes.len() => Cut::Whole(length),
            Ok(_) => Cut::More,
        },
        _ => cut_text(bytes),
    }
}

fn cut_text(bytes: &[u8]) -> Cut {
    let bytes = cut::seen(bytes, LONGEST);
    // Another line that begins so is another telegram: this one lost its end.
    let again = cut::find(bytes, b"\n/", 1).map(|at| at + 1);
    let Some(mark) = cut::find(bytes, b"\n!", 1).map(|at| at + 1) else {
        return match again {
            Some(again) => Cut::Bad(again, "the telegram breaks off".into()),
            None => cut::more(bytes, LONGEST),
        };
    };
    if let Some(again) = again.filter(|again| *again < mark) {
        return Cut::Bad(again, "the telegram breaks off".into());
    }
    // The CRC, CR and LF. Some meters send LF alone.
    let tail = &bytes[mark + 1..bytes.len().min(mark + 8)];
    match tail.iter().position(|b| *b == b'\n') {
        Some(end) => Cut::Whole(mark + 1 + end + 1),
        None if tail.len() < 7 => cut::more(bytes, LONGEST),
        None => Cut::Bad(mark + 1, "the line after `!` does not end".into()),
    }
}

/// What a telegram says, from its first byte to the line's end after `!`; and whether a CRC proved it.
///
/// # Errors
/// It does not prove itself.
pub fn read(bytes: &[u8]) -> Result<(Telegram, bool), String> {
    let damaged = || "no P1 telegram: a line that begins with / and one that begins with ! are expected".to_owned();
    let mark = cut::find(bytes, b"\n!", 0).map(|at| at + 1).ok_or_else(damaged)?;
    let text = str::from_utf8(&bytes[..mark]).map_err(|_| "bytes in a P1 telegram that are no text".to_owned())?;
    let (head, block) = text.strip_prefix('/').and_then(|text| text.split_once('\n')).ok_or_else(damaged)?;
    let crc = bytes[mark + 1..].trim_ascii();
    let checked = !crc.is_empty();
    if checked {
        let sent =
            str::from_utf8(crc).ok().filter(|crc| crc.len() == 4).and_then(|crc| u16::from_str_radix(crc, 16).ok());
        let sent = sent.ok_or("four hexadecimal digits are expected after `!`")?;
        let sum = CRC.checksum(&bytes[..=mark]);
        if sum != sent {
            return Err(format!("the CRC is {sent:04X}, and {sum:04X} over what came"));
        }
    }
    let data = dataset::data(block)?;
    if data.is_empty() {
        return Err("a P1 telegram without data".into());
    }
    let telegram = Telegram { sender: head.trim().to_owned(), data, whole: true };
    // These codes are the version of the standard: whoever sends one sends a CRC.
    let version = ["1-3:0.2.8", "0-0:96.1.4"].map(|code| code.parse().expect("an OBIS code"));
    if !checked && version.iter().any(|code| telegram.find(code).next().is_some()) {
        return Err("the CRC is missing after `!`".into());
    }
    Ok((telegram, checked))
}

/// What the text of an encrypted telegram says.
///
/// # Errors
/// It does not prove itself, and its seal did not prove it.
pub fn opened(text: &[u8], proven: bool) -> Result<Telegram, String> {
    match read(text)? {
        (telegram, checked) if checked || proven => Ok(telegram),
        _ => Err("it has no CRC; `authenticationKey` would prove it".into()),
    }
}

#[cfg(test)]
mod tests;
