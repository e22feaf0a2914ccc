//! Frames of Modbus TCP: a header of transaction id, protocol 0, length, unit; then the PDU. Pure.

use super::{Found, Within};

const HEADER: usize = 6;
/// Behind the header stand the unit and the PDU.
pub(crate) const PDU: Within = Within { head: HEADER + 1, tail: 0 };
/// Unit and the longest PDU.
const LONGEST: usize = 254;

/// The frame of this unit with this transaction id. Whole frames with another id are late answers: they are skipped.
pub(crate) fn find(bytes: &[u8], id: u16, unit: u8) -> Found {
    let mut skip = 0;
    loop {
        let rest = &bytes[skip..];
        match frame_len(rest) {
            Err(message) => return Found::Lost(message),
            Ok(None) => return Found::More { skip },
            Ok(Some(len)) if rest[..2] != id.to_be_bytes() => skip += len,
            Ok(Some(_)) if rest[HEADER] != unit => {
                return Found::Bad(format!("the answer is of unit {}", rest[HEADER]));
            }
            Ok(Some(len)) => {
                return match malformed(&rest[HEADER + 1..len]) {
                    None => Found::Frame { skip, len },
                    Some(message) => Found::Bad(message),
                };
            }
        }
    }
}

/// Appends the frame of a PDU, which has at most 253 bytes.
pub(crate) fn wrap(id: u16, unit: u8, pdu: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(1 + pdu.len()).unwrap_or(u16::MAX);
    for part in [id, 0, length] {
        out.extend_from_slice(&part.to_be_bytes());
    }
    out.push(unit);
    out.extend_from_slice(pdu);
}

/// How many bytes at the start are whole frames.
///
/// # Errors
/// Bytes that are no frame of Modbus TCP.
pub(crate) fn skip_whole(bytes: &[u8]) -> Result<usize, String> {
    let mut skip = 0;
    while let Some(len) = frame_len(&bytes[skip..])? {
        skip += len;
    }
    Ok(skip)
}

/// The length of the frame that starts here, once it is whole.
fn frame_len(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(header) = bytes.get(..HEADER) else { return Ok(None) };
    let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[2..4] != [0, 0] || !(3..=LONGEST).contains(&len) {
        return Err(format!("what came is not Modbus TCP: {header:02x?}; is framing rtu meant?"));
    }
    Ok((bytes.len() >= HEADER + len).then_some(HEADER + len))
}

/// tokio-modbus trusts the byte count of a read's answer.
fn malformed(pdu: &[u8]) -> Option<String> {
    let (told, has) = (usize::from(pdu[1]), pdu.len() - 2);
    (matches!(pdu[0], 1..=4) && told != has).then(|| format!("the answer tells {told} bytes and has {has}"))
}

#[cfg(test)]
mod tests {
    use super::{Found, find, skip_whole};

    const SEVEN: [u8; 11] = [0, 7, 0, 0, 0, 5, 1, 3, 2, 0, 70];

    #[test]
    fn a_frame_is_found_behind_late_ones() {
        let two = [[0, 6, 0, 0, 0, 5, 1, 3, 2, 0, 60], SEVEN].concat();
        assert_eq!(find(&two, 7, 1), Found::Frame { skip: 11, len: 11 });
        assert_eq!(find(&two, 8, 1), Found::More { skip: 22 });
        assert_eq!(find(&two[..15], 7, 1), Found::More { skip: 11 });
        assert!(matches!(find(&two, 7, 2), Found::Bad(_)), "of another unit");
        assert_eq!(skip_whole(&two[..15]), Ok(11));
    }

    #[test]
    fn what_is_no_frame_is_told() {
        assert!(matches!(find(b"HTTP/1.1 400", 7, 1), Found::Lost(_)));
        assert!(matches!(find(&[0, 7, 0, 0, 0, 0, 1, 3], 7, 1), Found::Lost(_)));
        assert!(matches!(find(&[0, 7, 0, 0, 0, 5, 1, 1, 9, 0, 70], 7, 1), Found::Bad(_)));
    }
}
