//! Where a value stands in a record of bytes. Pure. A record that ends too early is refused with its length: nothing is
//! filled up or cut short.

use mapper_api::{ByteOrder, DataType, Refusal, Value};

use crate::{Bits, codec};

/// The first byte of a value in a record, and which bits of its number are meant, where not all are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Counted from 0.
    pub offset: usize,
    /// Of the number that stands there.
    pub bits: Option<Bits>,
}

impl Place {
    /// One past the last byte of a value of this type; of a text without a size, where it begins.
    pub fn end(&self, data_type: DataType, size: Option<u16>) -> usize {
        self.offset + data_type.width().or(size).map_or(0, usize::from)
    }

    /// Whether the bits, if there are some, can be of this type.
    ///
    /// # Errors
    /// Why not, and what would be accepted.
    pub fn check(&self, data_type: DataType, size: Option<u16>) -> Result<(), String> {
        let bytes = self.end(data_type, size) - self.offset;
        self.bits.map_or(Ok(()), |bits| bits.check(data_type, bytes))
    }

    /// The value in a record. A text or bytes without a size reach to its end.
    ///
    /// # Errors
    /// [`mapper_api::ErrorKind::BadData`] when the record ends before the value does, or the bytes are none of that type.
    pub fn read(
        &self,
        record: &[u8],
        data_type: DataType,
        order: ByteOrder,
        size: Option<u16>,
    ) -> Result<Value, Refusal> {
        let width = data_type.width().or(size);
        let end = width.map_or(record.len(), |_| self.end(data_type, size));
        let bytes = record.get(self.offset..end).ok_or_else(|| {
            let (length, offset, width) = (record.len(), self.offset, width.unwrap_or(0));
            Refusal::bad_data(format!("the record has {length} bytes; the value takes {width} from byte {offset} on"))
        })?;
        match self.bits {
            Some(bits) => match bits.check(data_type, bytes.len()) {
                Ok(()) => Ok(bits.of(bytes, data_type, order)),
                Err(message) => Err(Refusal::bad_data(format!("bits {message}"))),
            },
            None => codec::decode(bytes, data_type, order),
        }
    }
}

#[cfg(test)]
mod tests {
    use mapper_api::{
        ByteOrder::{Abcd, Dcba},
        DataType, ErrorKind,
    };

    use super::Place;

    #[test]
    fn a_value_stands_whole_in_its_record_or_not_at_all() {
        let record = [0x05, 0x12, 0x34, 0x56, 0xf0];
        for (offset, bits, data_type, order, size, told) in [
            (1, None, DataType::Uint16, Dcba, None, "13330"),
            (1, None, DataType::Bcd, Abcd, Some(3), "123456"),
            (3, None, DataType::Bytes, Abcd, None, "56f0"),
            (4, Some("4..7"), DataType::Uint8, Abcd, None, "15"),
            (4, Some("3"), DataType::Bool, Abcd, None, "false"),
            (3, None, DataType::Bcd, Abcd, Some(3), "the record has 5 bytes; the value takes 3 from byte 3 on"),
            (4, None, DataType::Bcd, Abcd, Some(1), "is no decimal number: a digit is above 9"),
            (6, None, DataType::Bytes, Abcd, None, "the record has 5 bytes; the value takes 0 from byte 6 on"),
            (0, Some("0"), DataType::Float32, Abcd, None, "bits are of a whole number or a bool; float32 has none"),
        ] {
            let place = Place { offset, bits: bits.map(|bits| bits.parse().unwrap()) };
            let found = place.read(&record, data_type, order, size);
            assert!(found.as_ref().err().is_none_or(|refusal| refusal.kind == ErrorKind::BadData));
            assert_eq!(found.map_or_else(|e| e.to_string(), |v| v.to_string()), told, "{place:?} {data_type}");
        }
    }
}
