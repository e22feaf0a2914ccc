//! The decimal floating-point numbers of IEEE 11073-20601 (medfloat16 and medfloat32 of the GATT Specification
//! Supplement): a mantissa times a power of ten. The special values (not a number, not at this resolution, infinite,
//! reserved) are none.

/// 12 bits of mantissa, 4 of exponent; in units of ten to this power.
pub(super) fn medfloat16(bytes: [u8; 2], power: i32) -> Option<f64> {
    let raw = u16::from_le_bytes(bytes);
    let mantissa = (raw << 4).cast_signed() >> 4;
    let exponent = raw.cast_signed() >> 12;
    // 0x07FE infinite, 0x07FF not a number, 0x0800 not at this resolution, 0x0801 reserved, 0x0802 minus infinite.
    (!matches!(mantissa, 0x07fe.. | ..=-0x07fe)).then(|| decimal(mantissa.into(), i32::from(exponent) + power))
}

/// 24 bits of mantissa, 8 of exponent.
pub(super) fn medfloat32(bytes: [u8; 4]) -> Option<f64> {
    let raw = u32::from_le_bytes(bytes);
    let mantissa = (raw << 8).cast_signed() >> 8;
    let exponent = raw.cast_signed() >> 24;
    (!matches!(mantissa, 0x007f_fffe.. | ..=-0x007f_fffe)).then(|| decimal(mantissa, exponent))
}

/// Powers of ten up to 22 are exact, so that these numbers come out as people write them.
fn decimal(mantissa: i32, exponent: i32) -> f64 {
    let power = 10_f64.powi(exponent.abs());
    if exponent < 0 { f64::from(mantissa) / power } else { f64::from(mantissa) * power }
}

#[cfg(test)]
mod tests {
    use super::{medfloat16, medfloat32};

    #[test]
    fn numbers_come_out_as_people_write_them() {
        for (raw, value) in [
            (0xff00_016c_u32, Some(36.4)), // Health Thermometer Service, the example of 3.1.1.2
            (0x0000_0024, Some(36.0)),
            (0xfeff_ff9c, Some(-1.0)),
            (0x0200_0001, Some(100.0)),
            (0xff7f_fffd, Some(838_860.5)),
            (0x007f_ffff, None),
            (0x0080_0000, None),
            (0x007f_fffe, None),
            (0x0080_0002, None),
            (0x0080_0001, None),
            // The exponent does not matter to what is special.
            (0xff80_0000, None),
        ] {
            assert_eq!(medfloat32(raw.to_le_bytes()), value, "{raw:#x}");
        }
        for (raw, value) in [
            (0x0072_u16, Some(114.0)), // IEEE 11073-20601, annex F.8
            (0xf48d, Some(116.5)),
            (0xffff, Some(-0.1)),
            (0x07fd, Some(2045.0)),
            (0x07fe, None),
            (0x07ff, None),
            (0x0800, None),
            (0x0801, None),
            (0x0802, None),
            (0x0803, Some(-2045.0)),
            (0x8001, Some(1e-8)),
        ] {
            assert_eq!(medfloat16(raw.to_le_bytes(), 0), value, "{raw:#x}");
        }
        assert_eq!(medfloat16(0x900c_u16.to_le_bytes(), 9), Some(1200.0));
    }
}
