//! Where frames begin and end in what was heard: by what ends lines, by what stands at the beginning of each, by a length or
//! by silences. Pure.

use std::time::Duration;

use super::heard::Heard;
use crate::{
    config::{Frame, LengthAt, Order},
    octets::Shown,
};

/// What a frame seems to be, and those that were cut by it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cut {
    pub(super) frame: Frame,
    /// How many bytes stand at a frame's end and behind its check.
    pub(super) end: usize,
    pub(super) start: usize,
    pub(super) frames: Vec<Vec<u8>>,
}

/// Frames are believed when there are so many.
const FEW: usize = 3;
/// What binary frames often begin with: looked for where no silence tells.
const STARTS: [&[u8]; 10] = [
    b"\x42\x4d",
    b"\x55\xaa",
    b"\xaa\x55",
    b"\xa5\x5a",
    b"\x5a\xa5",
    b"\xff\xfe",
    b"\xaa\xc0",
    b"\x16\x11",
    b"\xff\x86",
    b"\x59\x59",
];

/// Text that ends with something. `end` without a CR before LF is what the grammar takes for both.
pub(super) fn text(bytes: &[u8], began_quiet: bool) -> Option<Cut> {
    let count = |end: &[u8]| bytes.windows(end.len()).filter(|window| *window == end).count();
    let ends: [&[u8]; 4] = [b"\r\n", b"\n", b"\r", b"\x03"];
    let best = ends.iter().map(|end| (count(end), *end)).filter(|(n, _)| *n >= 2);
    // The longest that explains all.
    let (_, end) = best.reduce(|best, other| if other.0 > best.0 { other } else { best })?;
    let (mut frames, mut rest) = (Vec::new(), bytes);
    while let Some(at) = rest.windows(end.len()).position(|window| window == end) {
        frames.push(rest[..at + end.len()].to_vec());
        rest = &rest[at + end.len()..];
    }
    // It was listened from the middle of a line on.
    if !began_quiet {
        frames.remove(0);
    }
    frames.retain(|frame| frame.len() > end.len());
    if frames.is_empty() {
        return None;
    }
    let first = |frame: &Vec<u8>| frame[0];
    let mark = first(&frames[0]);
    let marked = frames.len() >= 2
        && (mark == 2 || (mark.is_ascii_punctuation() && !b"+-.\"({[".contains(&mark)))
        && frames.iter().all(|frame| first(frame) == mark);
    let frame = Frame {
        start: marked.then(|| Shown(&[mark]).to_string()),
        end: Some(Shown(end).to_string()),
        ..Frame::default()
    };
    Some(Cut { frame, end: end.len(), start: usize::from(marked), frames })
}

/// Bytes that are no text. `gap` is a silence that may part frames.
pub(super) fn binary(heard: &Heard, gap: Duration) -> Vec<Cut> {
    let bursts = heard.bursts(gap);
    let mut cuts = Vec::new();
    if bursts.len() >= FEW {
        // The last one may not be whole yet, nor may the first.
        let whole = &bursts[1..];
        cuts.extend(same_length(whole).or_else(|| tells_length(whole)));
        if cuts.is_empty() {
            let frame = Frame { gap: Some(mapper_values::Duration(gap)), ..Frame::default() };
            cuts.push(Cut { frame, end: 0, start: 0, frames: whole.to_vec() });
        }
    }
    let bytes = heard.bytes();
    let begun = bursts.get(1).filter(|burst| burst.len() >= 2).map(|burst| &burst[..2]);
    cuts.extend(begun.into_iter().chain(STARTS).filter_map(|start| marked(&bytes, start)));
    cuts
}

/// All have one length, and may begin alike.
fn same_length(bursts: &[Vec<u8>]) -> Option<Cut> {
    let length = bursts[0].len();
    // The last one may still be on its way.
    let whole =
        if bursts.len() > 2 && bursts[bursts.len() - 1].len() < length { &bursts[..bursts.len() - 1] } else { bursts };
    if length < 3 || whole.len() < 2 || whole.iter().any(|burst| burst.len() != length) {
        return None;
    }
    let alike = (0..2).take_while(|at| whole.iter().all(|burst| burst[*at] == whole[0][*at])).count();
    let frame = if alike > 0 {
        Frame {
            start: Some(Shown(&whole[0][..alike]).to_string()),
            length: i64::try_from(length).ok(),
            ..Frame::default()
        }
    } else {
        return None;
    };
    Some(Cut { frame, end: 0, start: alike, frames: whole.to_vec() })
}

/// One of the first bytes tells how long each is.
fn tells_length(bursts: &[Vec<u8>]) -> Option<Cut> {
    let mut lengths: Vec<_> = bursts.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    lengths.dedup();
    if lengths.len() < 2 || bursts.len() < FEW {
        return None;
    }
    let number = |burst: &[u8], offset: usize, size: usize, order: Order| -> Option<i64> {
        let bytes = burst.get(offset..offset + size)?;
        let add = |sum: i64, byte: &u8| sum << 8 | i64::from(*byte);
        Some(match order {
            Order::Abcd => bytes.iter().fold(0, add),
            Order::Dcba => bytes.iter().rev().fold(0, add),
        })
    };
    for (size, order) in [(1, Order::Abcd), (2, Order::Abcd), (2, Order::Dcba)] {
        for offset in 0..6 {
            let add = |burst: &Vec<u8>| {
                let length = i64::try_from(burst.len()).ok()?;
                number(burst, offset, size, order).map(|number| length - number)
            };
            let Some(first) = add(&bursts[0]).filter(|add| (-64..=255).contains(add)) else { continue };
            if bursts.iter().all(|burst| add(burst) == Some(first)) {
                let alike = (0..offset.min(2)).take_while(|at| bursts.iter().all(|b| b[*at] == bursts[0][*at])).count();
                let length_at = LengthAt {
                    offset: i64::try_from(offset).ok()?,
                    size: (size > 1).then_some(2),
                    order: (order != Order::Abcd).then_some(order),
                    add: (first != 0).then_some(first),
                };
                let frame = Frame {
                    start: (alike > 0).then(|| Shown(&bursts[0][..alike]).to_string()),
                    length_at: Some(length_at),
                    ..Frame::default()
                };
                return Some(Cut { frame, end: 0, start: alike, frames: bursts.to_vec() });
            }
        }
    }
    None
}

/// Frames that begin with these bytes, in a stream without silences.
fn marked(bytes: &[u8], start: &[u8]) -> Option<Cut> {
    let places: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(start)).collect();
    if places.len() <= FEW {
        return None;
    }
    let frames: Vec<Vec<u8>> = places.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect();
    // The start may stand within a frame too, by chance.
    let mut lengths: Vec<_> = frames.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    let usual = lengths[lengths.len() / 2];
    let mut usually: Vec<_> = frames.iter().filter(|frame| frame.len() == usual).cloned().collect();
    if usually.len() >= FEW && usually.len() * 4 >= frames.len() * 3 {
        let cut = same_length(&usually)?;
        usually.truncate(64);
        return Some(Cut { frames: usually, ..cut });
    }
    tells_length(&frames)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{binary, text};
    use crate::probe::heard::Heard;

    const GAP: Duration = Duration::from_millis(20);

    fn heard(pieces: &[(u64, &[u8])]) -> Heard {
        let mut heard = Heard::default();
        for (ms, bytes) in pieces {
            heard.take(Duration::from_millis(*ms), bytes);
        }
        heard
    }

    #[test]
    fn lines() {
        for (bytes, quiet, expected) in [
            (&b"34 kg\r\nS S 1 kg\r\nS S 2 kg\r\nS"[..], false, Some((None, "\\r\\n", 2))),
            (b"T=1\nT=2\n", true, Some((None, "\\n", 2))),
            (b"A1\rA2\r", true, Some((None, "\\r", 2))),
            (b"\x020123\x03\x020124\x03", true, Some((Some("hex:02"), "hex:03", 2))),
            (b"23*55\r\n$GPGGA,1*22\r\n$GPRMC,2*33\r\n", false, Some((Some("$"), "\\r\\n", 2))),
            (b"no end", true, None),
            (b"one\r\n", true, None),
        ] {
            let cut = text(bytes, quiet);
            let got = cut.as_ref().map(|c| (c.frame.start.as_deref(), c.frame.end.as_deref().unwrap(), c.frames.len()));
            assert_eq!(got, expected, "{bytes:?}");
        }
    }

    #[test]
    fn bytes() {
        // By silences: one length; a length that is told; neither.
        let fixed =
            heard(&[(0, b"\x09"), (100, b"\x42\x4d\x01\x07"), (200, b"\x42\x4d\x02\x08"), (300, b"\x42\x4d\x03\x01")]);
        let cut = &binary(&fixed, GAP)[0];
        assert_eq!((cut.frame.start.as_deref(), cut.frame.length, cut.frames.len()), (Some("BM"), Some(4), 3));
        let told = heard(&[
            (0, b"\x01"),
            (100, b"\xa5\x02\x01\x02\x99"),
            (200, b"\xa5\x01\x03\x98"),
            (300, b"\xa5\x03\x01\x02\x03\x90"),
        ]);
        let cut = &binary(&told, GAP)[0];
        let length = cut.frame.length_at.clone().unwrap();
        assert_eq!((cut.frame.start.as_deref(), length.offset, length.add), (Some("hex:a5"), 1, Some(3)));
        let neither =
            heard(&[(0, b"\x01"), (100, b"\xf5\x02\x01\x02\x99"), (200, b"\xa5\x01\x03\x98"), (300, b"\x15\x13\x01")]);
        assert_eq!(binary(&neither, GAP)[0].frame.gap, Some(mapper_values::Duration(GAP)));
        // Without any silence: by a start that is known.
        let stream: Vec<u8> = (0..9).flat_map(|n| [0x55, 0xaa, n, n * 7, 3]).collect();
        let cuts = binary(&heard(&[(0, &stream)]), GAP);
        assert_eq!((cuts[0].frame.start.as_deref(), cuts[0].frame.length), (Some("U\\xaa"), Some(5)));
    }
}
