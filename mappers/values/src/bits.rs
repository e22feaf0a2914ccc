//! Some bits of a whole number. Pure.

use std::{fmt, str::FromStr};

use mapper_api::{ByteOrder, DataType, Value};

use crate::codec;

/// Bits of a number from one to another, both included; 0 is the lowest. Written `"4..11"`, or `"7"` for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bits {
    first: u8,
    last: u8,
}

/// What a text of [`Bits`] looks like, for schemas.
pub const BITS: &str = r"^[0-9]{1,2}(\.\.[0-9]{1,2})?$";

impl Bits {
    /// Whether a value of this type can be some bits of a number of so many bytes.
    ///
    /// # Errors
    /// Why not, and what would be accepted.
    pub fn check(self, data_type: DataType, bytes: usize) -> Result<(), String> {
        if data_type != DataType::Bool && (!data_type.is_whole() || data_type == DataType::Bcd) {
            return Err(format!("are of a whole number or a bool; {data_type} has none"));
        }
        if usize::from(self.last) >= 8 * bytes {
            return Err(format!("{self} reach past {data_type}; its last bit is {}", 8 * bytes - 1));
        }
        Ok(())
    }

    /// The value that these bits of a number of at most eight bytes are: a bool says whether any is set, a signed number
    /// has its sign in the highest. Bits that the number does not have are not set.
    pub fn of(self, number: &[u8], data_type: DataType, order: ByteOrder) -> Value {
        let raw = codec::whole(number, order);
        let unused = 63 - u32::from(self.last - self.first);
        let high = raw >> self.first << unused;
        match data_type {
            DataType::Bool => Value::Bool(high != 0),
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int48 | DataType::Int64 => {
                Value::Int(high.cast_signed() >> unused)
            }
            _ => Value::Uint(high >> unused),
        }
    }
}

impl FromStr for Bits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let bit = |digits: &str| {
            let digits = Some(digits).filter(|digits| digits.bytes().all(|c| c.is_ascii_digit()))?;
            digits.parse().ok().filter(|bit| *bit < 64)
        };
        match (bit(first), bit(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!(
                "{text:?} names no bits; write the lowest and the highest, such as \"4..11\", or one: \"7\""
            )),
        }
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}..{}", self.first, self.last) }
    }
}

#[cfg(test)]
mod tests {
    use mapper_api::{
        ByteOrder::{Abcd, Cdab, Dcba},
        DataType,
    };

    use super::Bits;

    #[test]
    fn bits_are_written_as_people_count_them() {
        for text in ["0", "7", "4..11", "0..63"] {
            assert_eq!(text.parse::<Bits>().unwrap().to_string(), text);
        }
        assert_eq!("7..7".parse::<Bits>().unwrap().to_string(), "7");
        for text in ["", "64", "11..4", "4..", "..4", "4-11", "+4", "4..=11", "300"] {
            assert!(text.parse::<Bits>().unwrap_err().contains("\"4..11\""), "{text}");
        }
    }

    #[test]
    fn bits_of_a_number_are_a_number_or_a_truth() {
        for (bits, number, data_type, order, told) in [
            ("0..3", &[0xa5][..], DataType::Uint8, Abcd, "5"),
            ("4..7", &[0xa5], DataType::Uint8, Abcd, "10"),
            ("4..7", &[0xa5], DataType::Int8, Abcd, "-6"),
            ("4..11", &[0xb0, 0x0a], DataType::Uint16, Dcba, "171"),
            ("15", &[0x80, 0], DataType::Bool, Abcd, "true"),
            ("15", &[0, 0x80], DataType::Bool, Abcd, "false"),
            ("8..15", &[0x80, 0], DataType::Bool, Abcd, "true"),
            ("16", &[0, 0, 0, 1], DataType::Bool, Cdab, "true"),
            ("0..63", &[0xff; 8], DataType::Int64, Abcd, "-1"),
            ("0..63", &[0xff; 8], DataType::Uint64, Abcd, "18446744073709551615"),
        ] {
            let value = bits.parse::<Bits>().unwrap().of(number, data_type, order);
            assert_eq!(value.to_string(), told, "{bits} of {number:02x?}");
        }
    }

    #[test]
    fn what_has_no_such_bits_is_told() {
        for (bits, data_type, bytes, told) in [
            ("0..8", DataType::Uint8, 1, Some("its last bit is 7")),
            ("16", DataType::Bool, 2, Some("its last bit is 15")),
            ("15", DataType::Bool, 2, None),
            ("0..15", DataType::Int16, 2, None),
            ("0", DataType::Float32, 4, Some("float32 has none")),
            ("0", DataType::Bcd, 4, Some("bcd has none")),
            ("0", DataType::DateTime, 4, Some("dateTime has none")),
            ("0", DataType::String, 4, Some("string has none")),
        ] {
            let error = bits.parse::<Bits>().unwrap().check(data_type, bytes).err();
            let fits = told.map_or(error.is_none(), |told| error.as_ref().is_some_and(|e| e.contains(told)));
            assert!(fits, "{bits} of {data_type}: {error:?}");
        }
    }
}
