//! Frames of a serial line: unit, PDU, CRC. Pure. Nothing tells where a frame begins, so it is looked for: what was
//! asked tells unit and function, the frame tells its length, and the CRC decides.

use super::{Expect, Found, Within};

/// The unit stands before the PDU, the CRC behind it.
pub(crate) const PDU: Within = Within { head: 1, tail: 2 };

const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_MODBUS);

/// The first whole frame of the expected unit and function, an exception included. Its length may be another than
/// the expected: whether it fits the question is decided above.
pub(crate) fn find(bytes: &[u8], expect: Expect) -> Found {
    let mut suspect = false;
    for skip in 0..bytes.len().saturating_sub(4) {
        let rest = &bytes[skip..];
        let Some(len) = frame_len(rest, expect) else { continue };
        let Some(frame) = rest.get(..len) else { continue };
        if has_good_crc(frame) {
            return Found::Frame { skip, len };
        }
        suspect |= len == expect.len + 3 || frame[1] & 0x80 != 0;
    }
    if suspect { Found::Suspect } else { Found::More { skip: 0 } }
}

/// The length that a frame beginning here has, if it can be an answer.
fn frame_len(bytes: &[u8], expect: Expect) -> Option<usize> {
    if bytes[0] != expect.unit {
        return None;
    }
    match bytes[1] {
        function if function == expect.function | 0x80 => Some(5),
        function if function != expect.function => None,
        1..=4 => Some(5 + usize::from(bytes[2])),
        _ => Some(8),
    }
}

/// Low byte first, unlike all else in Modbus.
pub(crate) fn has_good_crc(frame: &[u8]) -> bool {
    let (body, crc) = frame.split_at(frame.len() - 2);
    CRC.checksum(body).to_le_bytes() == crc
}

/// Appends the frame of a PDU.
pub(crate) fn wrap(unit: u8, pdu: &[u8], out: &mut Vec<u8>) {
    out.push(unit);
    out.extend_from_slice(pdu);
    seal(out);
}

/// Appends the CRC to what stands in the buffer.
pub(crate) fn seal(frame: &mut Vec<u8>) {
    let crc = CRC.checksum(frame).to_le_bytes();
    frame.extend_from_slice(&crc);
}

#[cfg(test)]
mod tests {
    use super::{Expect, Found, find, seal};

    const EXPECT: Expect = Expect { unit: 1, function: 3, len: 4 };

    fn sealed(body: &[u8]) -> Vec<u8> {
        let mut frame = body.to_vec();
        seal(&mut frame);
        frame
    }

    #[test]
    fn a_frame_is_found_wherever_it_stands() {
        let frame = sealed(&[1, 3, 2, 0, 70]);
        for noise in [&[][..], &[0], &[0; 30], &[1, 3, 2], &[1, 3, 200, 1, 3], &[0xff; 7], &[1; 5]] {
            let bytes = [noise, &frame].concat();
            assert_eq!(find(&bytes, EXPECT), Found::Frame { skip: noise.len(), len: 7 }, "{noise:?}");
            assert!(!matches!(find(&bytes[..bytes.len() - 1], EXPECT), Found::Frame { .. }), "{noise:?}");
        }
    }

    #[test]
    fn other_units_and_functions_are_passed_over() {
        for body in [&[2, 3, 2, 0, 70][..], &[1, 4, 2, 0, 70], &[1, 0x84, 2]] {
            assert_eq!(find(&sealed(body), EXPECT), Found::More { skip: 0 });
        }
    }

    #[test]
    fn short_answers_and_exceptions_are_frames() {
        assert_eq!(find(&sealed(&[1, 3, 0]), EXPECT), Found::Frame { skip: 0, len: 5 });
        assert_eq!(find(&sealed(&[1, 0x83, 2]), EXPECT), Found::Frame { skip: 0, len: 5 });
    }

    #[test]
    fn a_flipped_bit_is_suspect() {
        let mut frame = sealed(&[1, 3, 2, 0, 70]);
        frame[4] ^= 1;
        assert_eq!(find(&frame, EXPECT), Found::Suspect);
    }
}
