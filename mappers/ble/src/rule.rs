//! The generic rule: which records are meant, and where in them a property's value stands. Pure; places, types and orders
//! are those of `mapper-values`.

use mapper_api::{ByteOrder, DataType, Refusal, Value};
use mapper_values::Place;

/// Where a value stands in a record of manufacturer data, of service data, or in a characteristic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its first byte, and which of its bits are meant.
    pub place: Place,
    /// What the record begins with; another one says nothing.
    pub prefix: Vec<u8>,
    /// How many bytes the record has; another one says nothing.
    pub length: Option<usize>,
}

impl Rule {
    /// Whether a value of this type can stand so.
    ///
    /// # Errors
    /// The key of the rule that is wrong, and what would be accepted.
    pub fn check(&self, data_type: DataType, size: Option<u16>) -> Result<(), (&'static str, String)> {
        let end = self.place.end(data_type, size);
        if let Some(length) = self.length.filter(|length| end > *length) {
            return Err(("length", format!("is {length}, but the value reaches to byte {end}")));
        }
        if let Some(length) = self.length.filter(|length| self.prefix.len() > *length) {
            let message = format!("has {} bytes, but length says that the record has {length}", self.prefix.len());
            return Err(("prefix", message));
        }
        self.place.check(data_type, size).map_err(|message| ("bits", message))
    }

    /// The value in the first of these records that it stands in; none if none of them is meant. A text or bytes without
    /// a size reach to the end of the record.
    ///
    /// # Errors
    /// [`mapper_api::ErrorKind::BadData`] when the records that are meant end before the value does, or it is no text.
    pub fn read<'a>(
        &self,
        records: impl IntoIterator<Item = &'a [u8]>,
        data_type: DataType,
        order: ByteOrder,
        size: Option<u16>,
    ) -> Option<Result<Value, Refusal>> {
        let meant = |record: &&[u8]| {
            record.starts_with(&self.prefix) && self.length.is_none_or(|length| record.len() == length)
        };
        let mut refused = None;
        for record in records.into_iter().filter(meant) {
            match self.place.read(record, data_type, order, size) {
                Ok(value) => return Some(Ok(value)),
                Err(refusal) => refused = refused.or(Some(Err(refusal))),
            }
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use mapper_api::{ByteOrder, DataType, ErrorKind, Value};
    use mapper_values::Place;
    use proptest::prelude::*;

    use super::Rule;
    use crate::formats::samples::bytes;

    fn rule(offset: usize, prefix: &str) -> Rule {
        Rule { place: Place { offset, bits: None }, prefix: bytes(prefix), length: None }
    }

    fn bits(text: &str) -> Rule {
        Rule { place: Place { offset: 0, bits: Some(text.parse().unwrap()) }, ..Rule::default() }
    }

    fn read(rule: &Rule, records: &[&str], data_type: DataType, size: Option<u16>) -> String {
        let records: Vec<_> = records.iter().map(|hex| bytes(hex)).collect();
        // Numbers the least significant byte first, as in most records; texts as they stand.
        let order = if data_type.is_number() { ByteOrder::Dcba } else { ByteOrder::Abcd };
        match rule.read(records.iter().map(|record| &record[..]), data_type, order, size) {
            None => "nothing".to_owned(),
            Some(Ok(value)) => value.to_string(),
            Some(Err(refusal)) => {
                assert_eq!(refusal.kind, ErrorKind::BadData);
                refusal.detail.into_owned()
            }
        }
    }

    #[test]
    fn values_stand_in_the_record_that_is_meant() {
        let ruuvi = "0512fc5394c37c0004fffc040cac364200cdcbb8334c884f";
        for (rule, records, data_type, size, expected) in [
            (rule(1, "05"), &[ruuvi][..], DataType::Uint16, None, "64530"),
            // All records of a company, not the first alone.
            (rule(1, "05"), &["0303", ruuvi], DataType::Uint8, None, "18"),
            (rule(1, "07"), &["0303", ruuvi], DataType::Uint8, None, "nothing"),
            (rule(1, ""), &[], DataType::Uint8, None, "nothing"),
            (Rule { length: Some(3), ..rule(1, "") }, &["0102", "0304ff"], DataType::Int8, None, "4"),
            (Rule { length: Some(4), ..rule(1, "") }, &["0102", "0304ff"], DataType::Int8, None, "nothing"),
            (rule(0, ""), &["0000c841"], DataType::Float32, None, "25"),
            (rule(1, ""), &["0041636d65"], DataType::String, None, "Acme"),
            (rule(1, ""), &["0041636d65"], DataType::String, Some(2), "Ac"),
            (rule(2, ""), &["00410102"], DataType::Bytes, None, "0102"),
            (rule(4, ""), &["00410102"], DataType::Bytes, None, ""),
            (bits("0..3"), &["a5"], DataType::Uint8, None, "5"),
            (bits("4..7"), &["a5"], DataType::Uint8, None, "10"),
            (bits("4..7"), &["a5"], DataType::Int8, None, "-6"),
            (bits("4..11"), &["b00a"], DataType::Uint16, None, "171"),
            (bits("7"), &["80"], DataType::Bool, None, "true"),
            (bits("6"), &["80"], DataType::Bool, None, "false"),
            (bits("0..63"), &["ffffffffffffffff"], DataType::Int64, None, "-1"),
            (bits("0..63"), &["ffffffffffffffff"], DataType::Uint64, None, "18446744073709551615"),
        ] {
            assert_eq!(read(&rule, records, data_type, size), expected, "{rule:?} {records:?}");
        }
    }

    #[test]
    fn a_record_that_ends_too_early_is_refused_with_its_length() {
        for (rule, records, data_type, size, expected) in [
            (
                rule(3, "05"),
                &["0512fc"][..],
                DataType::Uint16,
                None,
                "the record has 3 bytes; the value takes 2 from byte 3 on",
            ),
            (rule(2, "05"), &["0512fc"], DataType::Uint16, None, "has 3 bytes; the value takes 2 from byte 2 on"),
            (rule(9, ""), &[""], DataType::Bytes, None, "has 0 bytes; the value takes 0 from byte 9 on"),
            (rule(1, ""), &["0041"], DataType::String, Some(2), "has 2 bytes; the value takes 2 from byte 1 on"),
            (rule(0, ""), &["ff"], DataType::String, None, "not UTF-8"),
        ] {
            let told = read(&rule, records, data_type, size);
            assert!(told.contains(expected), "{told}");
        }
        // Another record of the same company may have it.
        assert_eq!(read(&rule(2, "05"), &["0512fc", "0512fc53"], DataType::Uint16, None), "21500");
    }

    #[test]
    fn what_cannot_be_is_said_before_anything_is_read() {
        let length = |length| Rule { length: Some(length), ..rule(2, "") };
        for (rule, data_type, size, expected) in [
            (bits("0..8"), DataType::Uint8, None, Some(("bits", "its last bit is 7"))),
            (bits("8"), DataType::Bool, None, Some(("bits", "its last bit is 7"))),
            (bits("0"), DataType::Float32, None, Some(("bits", "float32 has none"))),
            (bits("0"), DataType::String, Some(4), Some(("bits", "string has none"))),
            (bits("0..15"), DataType::Int16, None, None),
            (length(3), DataType::Uint16, None, Some(("length", "is 3, but the value reaches to byte 4"))),
            (length(4), DataType::Uint16, None, None),
            (length(4), DataType::String, Some(3), Some(("length", "reaches to byte 5"))),
            (length(4), DataType::String, None, None),
            (
                Rule { prefix: vec![5; 5], ..length(4) },
                DataType::Uint8,
                None,
                Some(("prefix", "has 5 bytes, but length says that the record has 4")),
            ),
            (Rule { prefix: vec![5; 4], ..length(4) }, DataType::Uint8, None, None),
        ] {
            match (rule.check(data_type, size), expected) {
                (Ok(()), None) => {}
                (Err((key, message)), Some((wanted, part))) => {
                    assert!(key == wanted && message.contains(part), "{key} {message}");
                }
                other => panic!("{rule:?}: {other:?}"),
            }
        }
    }

    proptest! {
        /// Any rule on any record: no panic; and what is cut off is refused, or the same.
        #[test]
        fn no_input_panics_or_invents(
            record in prop::collection::vec(any::<u8>(), 0..24),
            offset in 0..24_usize,
            which in 0..DataType::ALL.len(),
            bits in prop::option::of((0..64_u8, 0..64_u8)),
            length in prop::option::of(0..24_usize),
        ) {
            let data_type = DataType::ALL[which];
            let bits = bits.map(|(a, b)| format!("{}..{}", a.min(b), a.max(b)).parse().unwrap());
            let rule = Rule { place: Place { offset, bits }, prefix: Vec::new(), length };
            if rule.check(data_type, Some(4)).is_ok() {
                let read = |record: &[u8]| rule.read([record], data_type, ByteOrder::Cdab, Some(4));
                let whole = read(&record);
                let same = |a: &Value, b: &Value| a == b || (a.to_string() == b.to_string());
                for end in 0..record.len() {
                    if let Some(Ok(cut)) = read(&record[..end]) {
                        let agrees = matches!(&whole, Some(Ok(value)) if same(value, &cut));
                        prop_assert!(agrees || length.is_some(), "{cut:?} {whole:?}");
                    }
                }
            }
        }
    }
}
