//! Bytes to raw values and back, by type and order. Pure; the caller knows where the bytes come from.

use mapper_api::{ByteOrder, DataType, Refusal, Value};

use crate::date_time;

/// The most bytes of a `bcd`: sixteen digits.
const MOST_BCD: usize = 8;

/// Decodes the bytes of one value, as they came off the wire.
///
/// A text ends at its first NUL; trailing spaces are dropped. A floating-point NaN or infinity decodes as such: the
/// core tells the subscriber that it is no number. A `bcd` has two decimal digits a byte, a `dateTime` one of the forms
/// by its length: 4 bytes (seconds since 1970), 8 (milliseconds), 7 (CP56Time2a, as IEC 60870-5-4 orders its bytes) or 6
/// (year - 2000 to second, a byte each).
///
/// # Errors
/// [`mapper_api::ErrorKind::BadData`] when the length does not fit the type, a text is not UTF-8, a digit is none or a time
/// is none. The last two tell the bytes, most significant first.
pub fn decode(bytes: &[u8], data_type: DataType, order: ByteOrder) -> Result<Value, Refusal> {
    if let Some(width) = data_type.width()
        && bytes.len() != usize::from(width)
    {
        return Err(Refusal::bad_data(format!("{data_type} takes {width} bytes, got {}", bytes.len())));
    }
    let be = || whole(bytes, order);
    Ok(match data_type {
        DataType::Bool => Value::Bool(bytes[0] != 0),
        DataType::Uint8 | DataType::Uint16 | DataType::Uint32 | DataType::Uint48 | DataType::Uint64 => {
            Value::Uint(be())
        }
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int48 | DataType::Int64 => {
            let unused = 64 - 8 * bytes.len();
            Value::Int((be() << unused).cast_signed() >> unused)
        }
        DataType::Float16 => Value::Float32(half_to_single(low_16(be()))),
        DataType::Float32 => Value::Float32(f32::from_bits(low_32(be()))),
        DataType::Float64 => Value::Float64(f64::from_bits(be())),
        DataType::String => {
            let mut text = bytes.to_vec();
            reorder_text(&mut text, order);
            text.truncate(text.iter().position(|b| *b == 0).unwrap_or(text.len()));
            let text = String::from_utf8(text).map_err(|e| Refusal::bad_data(format!("text is not UTF-8: {e}")))?;
            Value::Text(text.trim_end_matches(' ').to_owned())
        }
        DataType::Bytes => {
            let mut raw = bytes.to_vec();
            reorder_text(&mut raw, order);
            Value::Bytes(raw)
        }
        DataType::Bcd | DataType::DateTime => {
            let mut raw = bytes.to_vec();
            sized(data_type, raw.len(), order)
                .and_then(|()| {
                    arrange(&mut raw, order);
                    if data_type == DataType::Bcd {
                        digits(&raw).map(Value::Uint)
                    } else {
                        date_time::decode(&raw).map(Value::Text)
                    }
                })
                .map_err(|message| Refusal::bad_data(message).with_raw(format!("0x{}", Value::Bytes(raw))))?
        }
    })
}

/// The whole number without a sign that stands in at most eight bytes; of more, in the first eight.
pub(crate) fn whole(bytes: &[u8], order: ByteOrder) -> u64 {
    let bytes = &bytes[..bytes.len().min(8)];
    let mut buffer = [0_u8; 8];
    let start = 8 - bytes.len();
    buffer[start..].copy_from_slice(bytes);
    arrange(&mut buffer[start..], order);
    u64::from_be_bytes(buffer)
}

/// Whether a `bcd` or `dateTime` can have this length, in this order.
fn sized(data_type: DataType, length: usize, order: ByteOrder) -> Result<(), String> {
    if data_type == DataType::Bcd && !(1..=MOST_BCD).contains(&length) {
        return Err(format!("bcd takes 1 to {MOST_BCD} bytes, got {length}"));
    }
    if !length.is_multiple_of(2) && length > 1 && matches!(order, ByteOrder::Badc | ByteOrder::Cdab) {
        return Err(format!("{length} bytes have no words to exchange"));
    }
    Ok(())
}

/// The number that packed decimal digits are.
fn digits(bytes: &[u8]) -> Result<u64, String> {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).try_fold(0, |number, digit| match digit {
        0..=9 => Ok(10 * number + u64::from(digit)),
        _ => Err("is no decimal number: a digit is above 9".to_owned()),
    })
}

/// The packed decimal digits of a number.
fn to_digits(number: u64, width: usize) -> Result<Vec<u8>, String> {
    let mut rest = number;
    let mut bytes = vec![0; width];
    for byte in bytes.iter_mut().rev() {
        let [low, high] = [rest % 10, rest / 10 % 10].map(|digit| u8::try_from(digit).expect("a digit is below 10"));
        *byte = high << 4 | low;
        rest /= 100;
    }
    if rest == 0 { Ok(bytes) } else { Err(format!("{number} has more than {} digits", 2 * width)) }
}

/// Encodes a raw value; `size` is the length in bytes of a text or of bytes, which are filled up with NUL, or of a `bcd` or
/// a `dateTime`.
///
/// # Errors
/// [`mapper_api::ErrorKind::Rejected`] when the value has no form of that type and size.
pub fn encode(value: &Value, data_type: DataType, order: ByteOrder, size: Option<u16>) -> Result<Vec<u8>, Refusal> {
    let width = usize::from(data_type.width().or(size).unwrap_or(0));
    let fit = |bytes: &[u8]| {
        let mut padded = bytes.to_vec();
        if padded.len() > width {
            return Err(Refusal::rejected(format!("{} bytes do not fit into {width}", padded.len())));
        }
        padded.resize(width, 0);
        reorder_text(&mut padded, order);
        Ok(padded)
    };
    let number = |bits: u64| {
        let mut bytes = bits.to_be_bytes()[8 - width..].to_vec();
        arrange(&mut bytes, order);
        Ok(bytes)
    };
    let exact = |bytes: Result<Vec<u8>, String>| {
        let arranged = sized(data_type, width, order).and(bytes).map(|mut bytes| {
            arrange(&mut bytes, order);
            bytes
        });
        arranged.map_err(Refusal::rejected)
    };
    let bits = 8 * u32::from(data_type.width().unwrap_or(0));
    match (data_type, value) {
        (DataType::Bool, Value::Bool(v)) => Ok(vec![u8::from(*v)]),
        (
            DataType::Uint8 | DataType::Uint16 | DataType::Uint32 | DataType::Uint48 | DataType::Uint64,
            Value::Uint(v),
        ) if bits == 64 || v >> bits == 0 => number(*v),
        (DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int48 | DataType::Int64, Value::Int(v))
            if (v << (64 - bits)) >> (64 - bits) == *v =>
        {
            number(v.cast_unsigned())
        }
        (DataType::Float16, Value::Float32(v)) => number(single_to_half(*v).into()),
        (DataType::Float32, Value::Float32(v)) => number(v.to_bits().into()),
        (DataType::Float64, Value::Float64(v)) => number(v.to_bits()),
        (DataType::String, Value::Text(v)) => fit(v.as_bytes()),
        (DataType::Bytes, Value::Bytes(v)) => fit(v),
        (DataType::Bcd, Value::Uint(v)) => exact(to_digits(*v, width)),
        (DataType::DateTime, Value::Text(v)) => exact(date_time::encode(v, width)),
        _ => Err(Refusal::rejected(format!("{value} has no form as {data_type}"))),
    }
}

/// Brings bytes from the wire into the order most significant first, and back: the same permutation does both, but for an
/// odd number of them whose words are to be exchanged.
pub fn arrange(bytes: &mut [u8], order: ByteOrder) {
    match order {
        ByteOrder::Abcd => {}
        ByteOrder::Dcba => bytes.reverse(),
        ByteOrder::Badc => swap_in_words(bytes),
        ByteOrder::Cdab => {
            bytes.reverse();
            swap_in_words(bytes);
        }
    }
}

/// Texts have no words to exchange, only the bytes within each.
fn reorder_text(bytes: &mut [u8], order: ByteOrder) {
    if matches!(order, ByteOrder::Badc | ByteOrder::Dcba) {
        swap_in_words(bytes);
    }
}

fn swap_in_words(bytes: &mut [u8]) {
    bytes.chunks_exact_mut(2).for_each(|word| word.swap(0, 1));
}

#[allow(clippy::cast_possible_truncation)] // the caller has checked the width
fn low_32(bits: u64) -> u32 {
    bits as u32
}

#[allow(clippy::cast_possible_truncation)] // the caller has checked the width
fn low_16(bits: u64) -> u16 {
    bits as u16
}

/// IEEE 754 binary16 to binary32, exact.
fn half_to_single(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(half >> 10 & 0x1f);
    let fraction = f32::from(half & 0x3ff);
    match (exponent, half & 0x3ff) {
        (0x1f, 0) => sign * f32::INFINITY,
        (0x1f, _) => f32::NAN,
        (0, _) => sign * fraction * 2_f32.powi(-24),
        _ => sign * (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    }
}

/// IEEE 754 binary32 to the nearest binary16, ties to even; too great becomes infinity.
fn single_to_half(single: f32) -> u16 {
    let sign = if single.is_sign_negative() { 0x8000 } else { 0 };
    if single.is_nan() {
        return 0x7e00;
    }
    let magnitude = single.abs();
    if magnitude >= 65520.0 {
        return sign | 0x7c00;
    }
    // The spacing of binary16 at this magnitude; 2^-24 below the least normal number.
    let exponent =
        if magnitude < 2_f32.powi(-14) { -14 } else { i32::from(low_16((magnitude.to_bits() >> 23).into())) - 127 };
    let steps = (f64::from(magnitude) / 2_f64.powi(exponent - 10)).round_ties_even();
    // `steps` is below 2^11, and carries into the exponent by itself.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let steps = steps as u16;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let biased = ((exponent + 14) as u16) << 10;
    sign | (biased + steps)
}

#[cfg(test)]
mod tests {
    use mapper_api::ByteOrder::{Abcd, Badc, Cdab, Dcba};
    use mapper_api::{ByteOrder, DataType, Value};
    use proptest::prelude::*;

    use super::{decode, encode, half_to_single, single_to_half};

    #[test]
    fn every_order_of_every_width() {
        let table: [(&[u8], DataType, ByteOrder, Value); 21] = [
            (&[0x12, 0x34], DataType::Uint16, Abcd, 0x1234_u16.into()),
            (&[0x12, 0x34], DataType::Uint16, Cdab, 0x1234_u16.into()),
            (&[0x34, 0x12], DataType::Uint16, Badc, 0x1234_u16.into()),
            (&[0x34, 0x12], DataType::Uint16, Dcba, 0x1234_u16.into()),
            (&[0x12, 0x34, 0x56, 0x78], DataType::Uint32, Abcd, 0x1234_5678_u32.into()),
            (&[0x56, 0x78, 0x12, 0x34], DataType::Uint32, Cdab, 0x1234_5678_u32.into()),
            (&[0x34, 0x12, 0x78, 0x56], DataType::Uint32, Badc, 0x1234_5678_u32.into()),
            (&[0x78, 0x56, 0x34, 0x12], DataType::Uint32, Dcba, 0x1234_5678_u32.into()),
            (&[7, 8, 5, 6, 3, 4, 1, 2], DataType::Uint64, Cdab, 0x0102_0304_0506_0708_u64.into()),
            (&[2, 1, 4, 3, 6, 5, 8, 7], DataType::Uint64, Badc, 0x0102_0304_0506_0708_u64.into()),
            (&[5, 6, 3, 4, 1, 2], DataType::Uint48, Cdab, 0x0102_0304_0506_u64.into()),
            (b"bAc\0", DataType::String, Badc, "Ab".into()),
            (b"Ab  ", DataType::String, Abcd, "Ab".into()),
            (&[0x09], DataType::Bcd, Cdab, 9_u8.into()),
            (&[0x12, 0x34, 0x56], DataType::Bcd, Abcd, 123_456_u32.into()),
            (&[0x56, 0x34, 0x12], DataType::Bcd, Dcba, 123_456_u32.into()),
            (&[0x56, 0x78, 0x12, 0x34], DataType::Bcd, Cdab, 12_345_678_u32.into()),
            (&[0x99; 8], DataType::Bcd, Badc, 9_999_999_999_999_999_u64.into()),
            (&[0x65, 0x53, 0xf1, 0x00], DataType::DateTime, Abcd, "2023-11-14T22:13:20Z".into()),
            (&[0xf1, 0x00, 0x65, 0x53], DataType::DateTime, Cdab, "2023-11-14T22:13:20Z".into()),
            (&[23, 11, 14, 22, 13, 0x4e, 0x20], DataType::DateTime, Dcba, "2023-11-14T22:13:20Z".into()),
        ];
        for (bytes, data_type, order, value) in table {
            assert_eq!(decode(bytes, data_type, order).unwrap(), value, "{bytes:02x?} {data_type} {order:?}");
        }
    }

    #[test]
    fn signed_and_floating_values() {
        assert_eq!(decode(&[0xff, 0xfe], DataType::Int16, Abcd).unwrap(), (-2_i16).into());
        assert_eq!(decode(&[0x80, 0, 0, 0, 0, 0], DataType::Int48, Abcd).unwrap(), Value::Int(-(1 << 47)));
        assert_eq!(decode(&[0x43, 0x6d, 0xba, 0xe1], DataType::Float32, Abcd).unwrap(), 237.73_f32.into());
        assert_eq!(decode(&[0xba, 0xe1, 0x43, 0x6d], DataType::Float32, Cdab).unwrap(), 237.73_f32.into());
        assert_eq!(decode(&[0x3c, 0x00], DataType::Float16, Abcd).unwrap(), 1_f32.into());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(decode(&[1, 2, 3], DataType::Uint16, Abcd).is_err());
        assert!(decode(&[0xff, 0xfe], DataType::String, Abcd).unwrap_err().detail.contains("UTF-8"));
        assert!(encode(&70_000_u32.into(), DataType::Uint16, Abcd, None).is_err());
        assert!(encode(&Value::Int(-32_769), DataType::Int16, Abcd, None).is_err());
        assert!(encode(&"abc".into(), DataType::String, Abcd, Some(2)).is_err());
        assert!(encode(&1.5_f64.into(), DataType::Uint16, Abcd, None).is_err());
        for (bytes, data_type, order, told) in [
            (&[0x12, 0x3a][..], DataType::Bcd, Abcd, "above 9"),
            (&[0x12, 0x34, 0x56], DataType::Bcd, Cdab, "no words"),
            (&[], DataType::Bcd, Abcd, "1 to 8 bytes"),
            (&[0; 9], DataType::Bcd, Abcd, "1 to 8 bytes"),
            (&[0; 5], DataType::DateTime, Abcd, "4, 6, 7 or 8 bytes"),
            (&[0; 7], DataType::DateTime, Badc, "no words"),
        ] {
            let refusal = decode(bytes, data_type, order).unwrap_err();
            assert!(refusal.detail.contains(told), "{data_type} {order:?}: {refusal}");
        }
        assert_eq!(decode(&[0xff, 0x12], DataType::Bcd, Dcba).unwrap_err().raw.as_deref(), Some("0x12ff"));
        for (value, data_type, size, told) in [
            (Value::Uint(100), DataType::Bcd, Some(1), "more than 2 digits"),
            (Value::Uint(1), DataType::Bcd, None, "1 to 8 bytes"),
            (Value::Int(-1), DataType::Bcd, Some(1), "no form as bcd"),
            ("2023-11-14T22:13:20Z".into(), DataType::DateTime, None, "4, 6, 7 or 8 bytes"),
            ("2023-11-14T22:13:20Z".into(), DataType::DateTime, Some(5), "4, 6, 7 or 8 bytes"),
        ] {
            let refusal = encode(&value, data_type, Abcd, size).unwrap_err();
            assert!(refusal.detail.contains(told), "{value} {size:?}: {refusal}");
        }
    }

    #[test]
    fn half_precision_is_exact_both_ways() {
        for half in 0..=u16::MAX {
            let single = half_to_single(half);
            if !single.is_nan() {
                assert_eq!(single_to_half(single), half, "{half:04x} {single}");
            }
        }
    }

    #[test]
    fn half_precision_rounds_to_the_nearest() {
        for (single, half) in
            [(65519.0, 0x7bff), (65520.0, 0x7c00), (1e-8, 0), (5.97e-8, 1), (1.0004, 0x3c00), (-2.0, 0xc000)]
        {
            assert_eq!(single_to_half(single), half, "{single}");
        }
    }

    fn orders() -> impl Strategy<Value = ByteOrder> {
        prop_oneof![Just(Abcd), Just(Badc), Just(Cdab), Just(Dcba)]
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(bits: u64, order in orders(), which in 0..DataType::ALL.len()) {
            let data_type = DataType::ALL[which];
            let size = data_type.width().is_none().then_some(8);
            let bytes = &bits.to_be_bytes()[..usize::from(data_type.width().or(size).unwrap())];
            if let Ok(value) = decode(bytes, data_type, order) {
                let again = encode(&value, data_type, order, size).unwrap();
                let twice = decode(&again, data_type, order).unwrap();
                prop_assert_eq!(format!("{value:?}"), format!("{twice:?}"));
            }
        }

        #[test]
        fn digits_read_back(number in 0..10_000_000_000_000_000_u64, size in 1..=8_u16, order in orders()) {
            let number = number % 10_u64.pow(2 * u32::from(size));
            let order = if size % 2 == 1 && matches!(order, Badc | Cdab) { Dcba } else { order };
            let bytes = encode(&Value::Uint(number), DataType::Bcd, order, Some(size)).unwrap();
            prop_assert_eq!(bytes.len(), usize::from(size));
            prop_assert_eq!(decode(&bytes, DataType::Bcd, order).unwrap(), Value::Uint(number));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, order in orders(), which in 0..DataType::ALL.len()) {
            let data_type = DataType::ALL[which];
            if data_type.width().is_none_or(|w| usize::from(w) == bytes.len()) {
                let _ = decode(&bytes, data_type, order);
            }
        }
    }
}
