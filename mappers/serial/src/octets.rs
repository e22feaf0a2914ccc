//! Bytes as people write them in YAML: a text whose characters are bytes, with `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN`; or
//! `hex:42 4d`. Read and shown alike. A character that is no byte is refused, never encoded.

use std::fmt::{self, Write as _};

/// Why a text is no bytes, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {why}; {ACCEPTED}")]
pub struct NoOctets {
    text: String,
    why: String,
}

/// What is accepted, for errors.
pub const ACCEPTED: &str =
    r"write characters, \r, \n, \t, \0, \\ and \xNN, such as '\x02SI\r\n', or hex:02 53 49 0d 0a";

const HEX: &str = "hex:";

/// Reads bytes as they are written in YAML.
pub fn parse(text: &str) -> Result<Vec<u8>, NoOctets> {
    let bytes = match text.strip_prefix(HEX) {
        Some(digits) => hexadecimal(digits),
        None => characters(text),
    };
    bytes.map_err(|why| NoOctets { text: text.to_owned(), why })
}

fn hexadecimal(digits: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    for group in digits.split_whitespace() {
        let nibble = |c: char| c.to_digit(16).and_then(|d| u8::try_from(d).ok());
        let nibbles: Option<Vec<u8>> = group.chars().map(nibble).collect();
        match nibbles.filter(|nibbles| nibbles.len().is_multiple_of(2)) {
            Some(nibbles) => bytes.extend(nibbles.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1])),
            None => return Err(format!("has {group:?}, which is no pairs of hexadecimal digits")),
        }
    }
    Ok(bytes)
}

fn characters(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        bytes.push(if character == '\\' {
            escaped(&mut rest)?
        } else {
            u8::try_from(character).map_err(|_| format!("has {character:?}, which is no single byte"))?
        });
    }
    Ok(bytes)
}

fn escaped(rest: &mut std::str::Chars<'_>) -> Result<u8, String> {
    match rest.next() {
        Some('r') => Ok(b'\r'),
        Some('n') => Ok(b'\n'),
        Some('t') => Ok(b'\t'),
        Some('0') => Ok(0),
        Some('\\') => Ok(b'\\'),
        Some('x') => {
            let mut digit = || rest.next().and_then(|c| c.to_digit(16)).and_then(|d| u8::try_from(d).ok());
            match (digit(), digit()) {
                (Some(high), Some(low)) => Ok(high << 4 | low),
                _ => Err(r"has \x without two hexadecimal digits".to_owned()),
            }
        }
        Some(other) => Err(format!(r"has \{other}, which means nothing")),
        None => Err(r"ends with a lone \".to_owned()),
    }
}

/// Bytes, shown as they would be written in YAML: as characters, or in hexadecimal where most of them are none. At most 256
/// bytes are shown, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a>(pub &'a [u8]);

/// The most bytes that are shown.
const MOST_SHOWN: usize = 256;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = &self.0[..self.0.len().min(MOST_SHOWN)];
        let plain = |byte: &&u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t');
        if bytes.iter().filter(plain).count() * 2 >= bytes.len() {
            bytes.iter().enumerate().try_for_each(|(at, byte)| match byte {
                b'\r' => f.write_str(r"\r"),
                b'\n' => f.write_str(r"\n"),
                b'\t' => f.write_str(r"\t"),
                b'\\' => f.write_str(r"\\"),
                // Else it would be read as hexadecimal digits.
                b'h' if at == 0 && bytes.starts_with(HEX.as_bytes()) => f.write_str(r"\x68"),
                b' '..=b'~' => f.write_char(char::from(*byte)),
                _ => write!(f, r"\x{byte:02x}"),
            })?;
        } else {
            f.write_str(HEX)?;
            bytes.iter().enumerate().try_for_each(|(at, byte)| {
                f.write_str(if at == 0 { "" } else { " " })?;
                write!(f, "{byte:02x}")
            })?;
        }
        if self.0.len() > MOST_SHOWN {
            write!(f, "... ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

/// Bytes as a text with one character for each (ISO 8859-1), so that any bytes are a text and places in it are places in
/// the bytes.
pub fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Shown, latin_1, parse};

    #[test]
    fn both_notations_are_read() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("SI\\r\\n", b"SI\r\n"),
            ("\\x02\\t\\0\\\\", b"\x02\t\0\\"),
            ("hex:02 03ff", b"\x02\x03\xff"),
            ("hex:", b""),
            ("\\xfF\u{e9}", b"\xff\xe9"),
            ("{address}", b"{address}"),
        ] {
            assert_eq!(parse(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_bytes_is_refused_with_what_is() {
        for (text, why) in [
            ("\\q", "means nothing"),
            ("\\", "lone"),
            ("\\x1", "two hexadecimal digits"),
            ("\\x1g", "two hexadecimal digits"),
            ("5 \u{20ac}", "no single byte"),
            ("hex:0", "no pairs"),
            ("hex:0g", "no pairs"),
            ("hex:1 23", "no pairs"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("hex:02 53"), "{error}");
        }
    }

    #[test]
    fn bytes_are_shown_as_they_are_written() {
        for (bytes, text) in [
            (&b"SI\r\n"[..], "SI\\r\\n"),
            (b"\x0212\x03", "\\x0212\\x03"),
            (b"\x02\x03\xffA", "hex:02 03 ff 41"),
            (b"hex:1", "\\x68ex:1"),
            (b"", ""),
        ] {
            assert_eq!(Shown(bytes).to_string(), text);
        }
        let long = Shown(&[b'a'; 300]).to_string();
        assert!(long.len() < 280 && long.ends_with("a... (300 bytes)"), "{long}");
        assert_eq!(latin_1(b"a\xe9"), "a\u{e9}");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(parse(&Shown(&bytes).to_string()).unwrap(), bytes);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
