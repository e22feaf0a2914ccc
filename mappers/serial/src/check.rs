//! The sum that proves a frame: which kind, how it is written, where it stands and what it covers. Pure. A sum is only ever
//! compared: no frame is mended by it.

mod catalogue;

use std::borrow::Cow;

use crate::config::{self, Form, Order, Over};
use catalogue::Counter;

/// A mistake in YAML: the key inside the part that was read, and what would be accepted.
pub type Mistake = (String, String);

/// A sum over a frame, and where it stands.
#[derive(Debug, Clone)]
pub struct Check {
    sum: Sum,
    form: Form,
    order: Order,
    over: Over,
    skip_start: usize,
    skip_end: usize,
    after: Option<usize>,
}

#[derive(Debug, Clone)]
enum Sum {
    Crc(Counter),
    Xor,
    Sum8,
    Sum16,
    /// The two's complement of the sum.
    Lrc,
    Fletcher16,
}

/// The sums that are no CRC.
const PLAIN: [(&str, Sum); 5] =
    [("xor", Sum::Xor), ("sum8", Sum::Sum8), ("sum16", Sum::Sum16), ("lrc", Sum::Lrc), ("fletcher16", Sum::Fletcher16)];

impl Check {
    /// Reads what YAML says of a check.
    ///
    /// # Errors
    /// All mistakes, by their keys inside `check`.
    pub fn new(yaml: &config::Check) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let sum = Sum::named(&yaml.kind).unwrap_or_else(|message| {
            mistakes.push(("kind".to_owned(), message));
            Sum::Xor
        });
        if yaml.order.is_some() && yaml.form.is_some_and(|form| form != Form::Binary) {
            let message = "is of a binary sum; digits stand with the most significant one first".to_owned();
            mistakes.push(("order".to_owned(), message));
        }
        let mut count = |key: &str, number: Option<i64>| {
            let count = number.map(|n| usize::try_from(n).ok().filter(|n| *n <= 64));
            if count == Some(None) {
                let message = format!("is {}; 0 to 64 would be accepted", number.unwrap_or_default());
                mistakes.push((key.to_owned(), message));
            }
            count.flatten()
        };
        let skip_start = count("skipStart", yaml.skip_start).unwrap_or(0);
        let skip_end = count("skipEnd", yaml.skip_end).unwrap_or(0);
        let after = count("after", yaml.after);
        let (form, order) = (yaml.form.unwrap_or_default(), yaml.order.unwrap_or_default());
        let over = yaml.over.unwrap_or_default();
        if mistakes.is_empty() {
            Ok(Self { sum, form, order, over, skip_start, skip_end, after })
        } else {
            Err(mistakes)
        }
    }

    /// How many bytes it is written with.
    #[allow(clippy::len_without_is_empty)] // it is never empty
    pub fn len(&self) -> usize {
        match self.form {
            Form::Binary => self.sum.width(),
            Form::Hex => 2 * self.sum.width(),
            // As many digits as the greatest sum has.
            Form::Decimal => [3, 5, 10][self.sum.width() / 2],
        }
    }

    /// The fewest bytes of a frame with this check, where the frame's end has `end` bytes.
    pub fn least(&self, end: usize) -> usize {
        self.skip_start + self.skip_end + self.len() + self.after.unwrap_or(end)
    }

    /// Where in the frame it stands; `end` is how many bytes end this frame and follow the sum, where YAML says nothing else.
    /// None in a frame that is too short.
    pub fn place(&self, frame: usize, end: usize) -> Option<std::ops::Range<usize>> {
        let to = frame.checked_sub(self.after.unwrap_or(end))?;
        Some(to.checked_sub(self.len())?..to)
    }

    /// How many bytes follow it, where YAML says so.
    pub fn after(&self) -> Option<usize> {
        self.after
    }

    /// How many bytes before the sum are not summed.
    pub fn skip_end(&self) -> usize {
        self.skip_end
    }

    /// Whether the sum in the frame is that of its bytes. `end` as in [`Self::place`].
    ///
    /// # Errors
    /// What is wrong, with both sums.
    pub fn verify(&self, frame: &[u8], end: usize) -> Result<(), String> {
        let short = || format!("{} bytes are too short for the check, which takes {}", frame.len(), self.least(end));
        let place = self.place(frame.len(), end).ok_or_else(short)?;
        let to = place.start.checked_sub(self.skip_end).filter(|to| *to >= self.skip_start).ok_or_else(short)?;
        let counted = self.sum(&frame[self.skip_start..to])?;
        let stands = self.read(&frame[place])?;
        if counted == stands {
            Ok(())
        } else {
            let digits = 2 * self.sum.width();
            Err(format!("the check is {stands:0digits$x}, but {counted:0digits$x} by the frame's bytes"))
        }
    }

    /// Appends the sum of what stands before, for `{check}` in requests: without the first `skipStart` bytes and the last
    /// `skipEnd`.
    ///
    /// # Errors
    /// What stands before is shorter than that, or no hexadecimal digits where they are summed.
    pub fn append(&self, request: &mut Vec<u8>) -> Result<(), String> {
        let to = request.len().checked_sub(self.skip_end).filter(|to| *to >= self.skip_start);
        let to = to.ok_or_else(|| format!("stands behind {} bytes, fewer than it skips", request.len()))?;
        let sum = self.sum(&request[self.skip_start..to])?;
        let width = self.sum.width();
        match self.form {
            Form::Binary => {
                let from = request.len();
                request.extend(&sum.to_be_bytes()[4 - width..]);
                if self.order == Order::Dcba {
                    request[from..].reverse();
                }
            }
            Form::Hex => request.extend(format!("{sum:0digits$X}", digits = 2 * width).bytes()),
            Form::Decimal => request.extend(format!("{sum:0digits$}", digits = self.len()).bytes()),
        }
        Ok(())
    }

    fn sum(&self, bytes: &[u8]) -> Result<u32, String> {
        let bytes = match self.over {
            Over::Bytes => Cow::Borrowed(bytes),
            Over::Hex => {
                Cow::Owned(pairs(bytes).ok_or("the check is over hexadecimal digits, but other ones stand there")?)
            }
        };
        Ok(self.sum.over(&bytes))
    }

    fn read(&self, written: &[u8]) -> Result<u32, String> {
        let (radix, name) = match self.form {
            Form::Binary => {
                let add = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
                return Ok(match self.order {
                    Order::Abcd => written.iter().fold(0, add),
                    Order::Dcba => written.iter().rev().fold(0, add),
                });
            }
            Form::Hex => (16, "hexadecimal"),
            Form::Decimal => (10, "decimal"),
        };
        // Signs and blanks, which the parser would take, are no digits.
        let digits = std::str::from_utf8(written).ok().filter(|text| text.chars().all(|c| c.is_digit(radix)));
        digits.and_then(|digits| u32::from_str_radix(digits, radix).ok()).ok_or_else(|| {
            let shown = crate::octets::Shown(written);
            format!("'{shown}' stands where the check's {} {name} digits should", written.len())
        })
    }
}

impl Sum {
    fn named(name: &str) -> Result<Self, String> {
        let plain = PLAIN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, sum)| sum.clone());
        plain.or_else(|| Counter::named(name).map(Self::Crc)).ok_or_else(|| {
            let upper = name.to_ascii_uppercase();
            let mut near: Vec<_> = PLAIN.iter().map(|(name, _)| *name).chain(catalogue::names()).collect();
            let likeness = |known: &&str| strsim::jaro_winkler(&known.to_ascii_uppercase(), &upper);
            near.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
            format!(
                "{name:?} is no known check; the nearest are {}. xor, sum8, sum16, lrc, fletcher16 and the CRC-8, CRC-16 \
                 and CRC-32 of https://reveng.sourceforge.io/crc-catalogue/all.htm would be accepted",
                near[..3].join(", ")
            )
        })
    }

    /// Bytes of the sum.
    fn width(&self) -> usize {
        match self {
            Self::Crc(counter) => counter.width(),
            Self::Xor | Self::Sum8 | Self::Lrc => 1,
            Self::Sum16 | Self::Fletcher16 => 2,
        }
    }

    fn over(&self, bytes: &[u8]) -> u32 {
        let total = || bytes.iter().fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        match self {
            Self::Crc(counter) => counter.sum(bytes),
            Self::Xor => bytes.iter().fold(0, |sum, byte| sum ^ byte).into(),
            Self::Sum8 => total() & 0xff,
            Self::Sum16 => total() & 0xffff,
            Self::Lrc => total().wrapping_neg() & 0xff,
            // Two sums modulo 255, the second one above (J. G. Fletcher 1982; RFC 1146 has the 8-bit variant).
            Self::Fletcher16 => {
                let (low, high) = bytes.iter().fold((0_u32, 0_u32), |(low, high), byte| {
                    let low = (low + u32::from(*byte)) % 255;
                    (low, (high + low) % 255)
                });
                high << 8 | low
            }
        }
    }
}

/// The bytes that pairs of hexadecimal digits stand for.
fn pairs(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pair = |pair: &[u8]| Some(nibble(pair[0])? << 4 | nibble(pair[1])?);
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(pair).collect())?
}

#[cfg(test)]
mod tests {
    use super::Check;
    use crate::{
        config::{self, Form, Order, Over},
        octets::parse,
    };

    fn yaml(kind: &str) -> config::Check {
        config::Check { kind: kind.to_owned(), ..config::Check::default() }
    }

    /// Real frames and published sums.
    #[test]
    fn sums_of_known_frames() {
        let hex = |kind| config::Check { form: Some(Form::Hex), ..yaml(kind) };
        let table = [
            // NMEA 0183, as gpsd's description of the sentences prints it.
            (
                config::Check { skip_start: Some(1), skip_end: Some(1), ..hex("xor") },
                "$GPGGA,123519,4807.038,N,01131.324,E,1,08,0.9,545.4,M,46.9,M, , *42\\r\\n",
                2,
            ),
            // Modbus over serial line V1.02, appendix B: the sum of 02 07 is 1241 in its order.
            (config::Check { order: Some(Order::Dcba), ..yaml("CRC-16/MODBUS") }, "hex:02 07 41 12", 0),
            // The example of the article on Fletcher's sum: abcde gives c8f0.
            (yaml("fletcher16"), "abcde\\xc8\\xf0", 0),
            (hex("Fletcher16"), "abcdeC8F0", 0),
            // RFID reader RDM6300 (https://forum.hobbycomponents.com/viewtopic.php?p=7544): the exclusive or of the five
            // bytes that ten digits stand for.
            (config::Check { over: Some(Over::Hex), skip_start: Some(1), ..hex("xor") }, "\\x02100086F44426\\x03", 1),
            // Modbus ASCII: the two's complement of the sum of the bytes, in digits.
            (config::Check { over: Some(Over::Hex), skip_start: Some(1), ..hex("lrc") }, ":010300000001FB\\r\\n", 2),
            // FIX: three decimal digits.
            (config::Check { form: Some(Form::Decimal), ..yaml("sum8") }, "AB131", 0),
            (config::Check { after: Some(1), ..yaml("sum16") }, "AB\\x00\\x83\\x16", 0),
        ];
        for (yaml, frame, end) in table {
            let check = Check::new(&yaml).unwrap();
            let frame = parse(frame).unwrap();
            assert_eq!(check.verify(&frame, end), Ok(()), "{yaml:?}");
            let place = check.place(frame.len(), end).unwrap();
            let mut request = frame[..place.start].to_vec();
            check.append(&mut request).unwrap();
            assert_eq!(request, frame[..place.end], "{yaml:?}");
            for at in [place.start - 1 - check.skip_end(), place.end - 1] {
                let mut broken = frame.clone();
                broken[at] ^= 1;
                assert!(check.verify(&broken, end).is_err(), "{yaml:?} {at}");
            }
            for length in 0..check.least(end) {
                assert!(check.verify(&frame[..length], end).is_err());
            }
        }
    }

    #[test]
    fn a_wrong_sum_is_told_with_the_right_one() {
        let check = Check::new(&config::Check { order: Some(Order::Dcba), ..yaml("CRC-16/MODBUS") }).unwrap();
        let told = check.verify(&[2, 7, 0x41, 0x13], 0).unwrap_err();
        assert_eq!(told, "the check is 1341, but 1241 by the frame's bytes");
        let check = Check::new(&config::Check { form: Some(Form::Hex), ..yaml("xor") }).unwrap();
        assert!(check.verify(b"1+1", 0).unwrap_err().contains("'+1' stands where the check's 2 hexadecimal digits"));
        assert!(check.verify(b"1", 0).unwrap_err().contains("too short"));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let yaml = config::Check {
            form: Some(Form::Hex),
            order: Some(Order::Dcba),
            skip_start: Some(-1),
            after: Some(65),
            ..yaml("CRC-16/MODBSU")
        };
        let told = Check::new(&yaml).unwrap_err();
        let keys: Vec<_> = told.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["kind", "order", "skipStart", "after"]);
        assert!(told[0].1.contains("CRC-16/MODBUS") && told[2].1.contains("0 to 64"), "{told:?}");
    }
}
