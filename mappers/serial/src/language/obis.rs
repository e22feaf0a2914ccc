//! OBIS codes (IEC 62056-61): which quantity a meter means. `A-B:C.D.E*F`: medium, channel, quantity, kind, tariff, billing
//! period; meters and people leave parts out.

use std::{fmt, str::FromStr};

/// A code. Parts that were not written are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Obis {
    /// The medium: 1 is electricity, 7 gas, 0 what is about the meter itself.
    pub a: Option<u8>,
    /// The channel.
    pub b: Option<u8>,
    /// The quantity.
    pub c: u8,
    /// How it is processed: 7 is the present value, 8 a count.
    pub d: u8,
    /// The tariff, or another division.
    pub e: Option<u8>,
    /// The billing period; 255 and none are the present one.
    pub f: Option<u8>,
}

impl Obis {
    /// The code as six bytes, as SML and DLMS send it.
    #[allow(clippy::many_single_char_names)] // the standard's
    pub fn from_bytes([a, b, c, d, e, f]: [u8; 6]) -> Self {
        Self { a: Some(a), b: Some(b), c, d, e: Some(e), f: Some(f) }
    }

    /// Whether both can mean the same. A medium or channel that one of them leaves out may be any; a tariff left out is 0, a
    /// billing period left out the present one: a value of last month is never taken for the present one.
    pub fn fits(&self, other: &Self) -> bool {
        let open = |a: Option<u8>, b: Option<u8>| a.is_none() || b.is_none() || a == b;
        let tariff = |code: &Self| code.e.unwrap_or(0);
        let period = |code: &Self| code.f.unwrap_or(255);
        open(self.a, other.a)
            && open(self.b, other.b)
            && (self.c, self.d) == (other.c, other.d)
            && tariff(self) == tariff(other)
            && period(self) == period(other)
    }

    /// Whether they are about the same quantity, whatever the channel, tariff and period: for hints.
    pub fn resembles(&self, other: &Self) -> bool {
        (self.c, self.d) == (other.c, other.d)
    }
}

impl FromStr for Obis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| {
            format!("{text:?} is no OBIS code; write one as 1-0:1.8.0, 1.8.0, 0-1:24.2.1 or 1-0:1.8.0*1")
        })
    }
}

/// A code, or none for what is none. Besides `A-B:C.D.E*F` with parts left out there are `&` for `*` (a period ended by hand)
/// and six numbers with points between them.
#[allow(clippy::many_single_char_names)] // the standard's
pub fn parse(text: &str) -> Option<Obis> {
    let (a, rest) = match text.split_once('-') {
        Some((a, rest)) => (Some(number(a)?), rest),
        None => (None, text),
    };
    let (b, rest) = match rest.split_once(':') {
        Some((b, rest)) => (Some(number(b)?), rest),
        None => (None, rest),
    };
    let (rest, f) = match rest.split_once(['*', '&']) {
        Some((rest, f)) => (rest, Some(number(f)?)),
        None => (rest, None),
    };
    let parts: Vec<&str> = rest.splitn(7, '.').collect();
    match (parts.as_slice(), f) {
        ([c, d], f) => Some(Obis { a, b, c: letter(c)?, d: letter(d)?, e: None, f }),
        ([c, d, e], f) => Some(Obis { a, b, c: letter(c)?, d: letter(d)?, e: Some(number(e)?), f }),
        ([c, d, e, f], None) => {
            Some(Obis { a, b, c: letter(c)?, d: letter(d)?, e: Some(number(e)?), f: Some(number(f)?) })
        }
        ([a1, b1, c, d, e, f], None) if a.is_none() && b.is_none() => Some(Obis {
            a: Some(number(a1)?),
            b: Some(number(b1)?),
            c: number(c)?,
            d: number(d)?,
            e: Some(number(e)?),
            f: Some(number(f)?),
        }),
        _ => None,
    }
}

fn number(text: &str) -> Option<u8> {
    (text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// The parts C and D have letters for what is about the meter itself: C(odes), F(aults), L(ists), P(rofiles) are 96 to 99.
fn letter(text: &str) -> Option<u8> {
    match text {
        "C" => Some(96),
        "F" => Some(97),
        "L" => Some(98),
        "P" => Some(99),
        text => number(text),
    }
}

impl fmt::Display for Obis {
    /// As people write it; without a period that is the present one.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = self.a.is_none() && self.b.is_none();
        let part = |out: &mut fmt::Formatter<'_>, part: u8| match part {
            96..=99 if short => write!(out, "{}", ["C", "F", "L", "P"][usize::from(part - 96)]),
            part => write!(out, "{part}"),
        };
        if let Some(a) = self.a {
            write!(out, "{a}-")?;
        }
        if let Some(b) = self.b {
            write!(out, "{b}:")?;
        }
        part(out, self.c)?;
        write!(out, ".")?;
        part(out, self.d)?;
        if let Some(e) = self.e {
            write!(out, ".{e}")?;
        }
        match self.f {
            Some(255) | None => Ok(()),
            Some(f) => write!(out, "*{f}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Obis, parse};

    fn code(text: &str) -> Obis {
        text.parse().unwrap()
    }

    #[test]
    fn codes_are_read_and_written_as_people_do() {
        for (text, written) in [
            ("1-0:1.8.0", "1-0:1.8.0"),
            ("1-0:1.8.0*255", "1-0:1.8.0"),
            ("1-0:1.8.0*01", "1-0:1.8.0*1"),
            ("1.8.0&03", "1.8.0*3"),
            ("1.0.1.8.0.255", "1-0:1.8.0"),
            ("1.8.0.255", "1.8.0"),
            ("0-1:24.2.1", "0-1:24.2.1"),
            ("F.F", "F.F"),
            ("C.1.0", "C.1.0"),
            ("0-0:96.1.1", "0-0:96.1.1"),
            ("P.01", "P.1"),
            ("32.7", "32.7"),
            ("129-129:199.130.3", "129-129:199.130.3"),
        ] {
            assert_eq!(code(text).to_string(), written, "{text}");
            assert_eq!(code(written), code(&code(written).to_string()));
        }
        for text in
            ["", "1", "1.256.0", "1-0", "1-0:1", "a.b.c", "1.8.0*", "1..0", "1.8.0.1.2", "1-0:1.0.1.8.0.255", "1.8.+0"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_short_code_fits_any_channel_and_never_another_period() {
        for (asked, sent, fits) in [
            ("1.8.0", "1-0:1.8.0", true),
            ("1-0:1.8.0", "1.8.0", true),
            ("1-0:1.8.0", "1-1:1.8.0", false),
            ("1.8.0", "1-0:1.8.0*255", true),
            ("1.8.0", "1.8.0*01", false),
            ("1.8.0*1", "1.8.0*01", true),
            ("1.8.1", "1.8.2", false),
            ("32.7.0", "32.7", true),
            ("F.F", "0-0:97.97.0*255", true),
        ] {
            assert_eq!(code(asked).fits(&code(sent)), fits, "{asked} {sent}");
        }
    }
}
