use mapper_api::{ByteOrder, DataType, Value};
use proptest::prelude::*;

use super::{encode, from_words};
use crate::{bind::Spot, config::Table};

fn spot(data_type: DataType, order: ByteOrder, size: u16) -> Spot {
    let count = if size > 0 { size.div_ceil(2) } else { data_type.width().unwrap().div_ceil(2) };
    Spot { table: Table::HoldingRegister, start: 0, count, data_type, order, size, bits: None, readable: true }
}

#[test]
fn registers_of_every_order() {
    use ByteOrder::{Abcd, Badc, Cdab, Dcba};
    let table: [(&[u16], _, _, _, Value); 15] = [
        (&[0x436d, 0xbae1], DataType::Float32, Abcd, 0, 237.73_f32.into()),
        (&[0xbae1, 0x436d], DataType::Float32, Cdab, 0, 237.73_f32.into()),
        (&[0x6d43, 0xe1ba], DataType::Float32, Badc, 0, 237.73_f32.into()),
        (&[0xe1ba, 0x6d43], DataType::Float32, Dcba, 0, 237.73_f32.into()),
        (&[0xfffe], DataType::Int16, Abcd, 0, (-2_i16).into()),
        (&[4, 3, 2, 1], DataType::Uint64, Cdab, 0, 0x0001_0002_0003_0004_u64.into()),
        (&[0x4162, 0x6364], DataType::String, Abcd, 3, "Abc".into()),
        (&[0x6241, 0x6463], DataType::String, Badc, 3, "Abc".into()),
        (&[0x4100], DataType::String, Abcd, 2, "A".into()),
        (&[0x1234, 0x5678], DataType::Bcd, Abcd, 4, Value::Uint(12_345_678)),
        (&[0x5678, 0x1234], DataType::Bcd, Cdab, 4, Value::Uint(12_345_678)),
        (&[0x6553, 0xf100], DataType::DateTime, Abcd, 4, "2023-11-14T22:13:20Z".into()),
        (&[0x170b, 0x0e16, 0x0d14], DataType::DateTime, Abcd, 6, "2023-11-14T22:13:20Z".into()),
        // CP56Time2a of seven bytes in four registers, the low byte first and last.
        (&[0x9b4e, 0x0d16, 0x4e0b, 0x1700], DataType::DateTime, Abcd, 7, "2023-11-14T22:13:20.123Z".into()),
        (&[0x0017, 0x0b4e, 0x160d, 0x4e9b], DataType::DateTime, Dcba, 7, "2023-11-14T22:13:20.123Z".into()),
    ];
    for (words, data_type, order, size, value) in table {
        let spot = spot(data_type, order, size);
        assert_eq!(from_words(words, &spot), Ok(value.clone()), "{words:04x?} {order:?}");
        // The byte beyond an odd size is written as zero.
        assert_eq!(from_words(&encode(&value, &spot).unwrap(), &spot), Ok(value));
    }
    assert_eq!(encode(&"Abc".into(), &spot(DataType::String, Badc, 3)).unwrap(), [0x6241, 0x0063]);
    assert!(encode(&"Abcd".into(), &spot(DataType::String, Abcd, 3)).is_err());
}

#[test]
fn bits_of_registers() {
    use ByteOrder::{Abcd, Cdab};
    for (words, bits, data_type, order, value) in [
        (&[0x8001][..], "15", DataType::Bool, Abcd, Value::Bool(true)),
        (&[0x8001], "14", DataType::Bool, Abcd, Value::Bool(false)),
        (&[0x12f4], "4..7", DataType::Uint16, Abcd, Value::Uint(15)),
        (&[0x12f4], "4..7", DataType::Int16, Abcd, Value::Int(-1)),
        (&[0, 0x0300], "24..25", DataType::Uint32, Cdab, Value::Uint(3)),
    ] {
        let mut spot = spot(data_type, order, 0);
        spot.bits = Some(bits.parse().unwrap());
        assert_eq!(from_words(words, &spot), Ok(value), "{words:04x?} {bits}");
    }
}

fn orders() -> impl Strategy<Value = ByteOrder> {
    prop_oneof![Just(ByteOrder::Abcd), Just(ByteOrder::Badc), Just(ByteOrder::Cdab), Just(ByteOrder::Dcba)]
}

proptest! {
    #[test]
    fn no_registers_panic_and_what_decodes_encodes_to_the_same(
        words in proptest::collection::vec(any::<u16>(), 4), order in orders(), which in 0..10_usize,
    ) {
        use DataType::{Float32, Float64, Int16, Int32, Int48, Int64, Uint16, Uint32, Uint48, Uint64};
        let spot = spot([Int16, Int32, Int48, Int64, Uint16, Uint32, Uint48, Uint64, Float32, Float64][which], order, 0);
        let words = &words[..usize::from(spot.count)];
        let value = from_words(words, &spot).unwrap();
        prop_assert_eq!(encode(&value, &spot).unwrap(), words);
    }

    #[test]
    fn texts_come_back_whatever_their_size(text in "[a-zA-Z0-9]{1,20}", order in 0..2_usize, spare in 0..5_u16) {
        let size = u16::try_from(text.len()).unwrap() + spare;
        let spot = spot(DataType::String, [ByteOrder::Abcd, ByteOrder::Badc][order], size);
        let words = encode(&Value::Text(text.clone()), &spot).unwrap();
        prop_assert_eq!(words.len(), usize::from(size.div_ceil(2)));
        prop_assert_eq!(from_words(&words, &spot), Ok(Value::Text(text)));
    }
}
