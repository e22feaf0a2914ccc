//! Any grammar, any noise: valid frames are found, memory stays bounded, nothing depends on how the stream was cut.

use proptest::prelude::*;

use super::{Found, found, found_and_end, framer, frames, framing};

/// Framings that tell by themselves where a frame begins, with a check that noise does not pass.
const STRONG: [&str; 7] = [
    r#"{"start": "$", "end": "\r\n", "check": {"kind": "CRC-32/ISCSI", "form": "hex"}, "max": 64}"#,
    r#"{"start": "\u0002", "end": "\u0003", "trailer": 4, "check": {"kind": "CRC-32"}, "max": 64}"#,
    r#"{"start": "BM", "lengthAt": {"offset": 2, "size": 2, "add": 4}, "check": {"kind": "CRC-32"}, "max": 64}"#,
    r#"{"start": "\u00aa", "length": 24, "check": {"kind": "CRC-32/MPEG-2", "order": "DCBA", "after": 1}}"#,
    r#"{"length": 24, "check": {"kind": "CRC-32/MPEG-2"}}"#,
    r#"{"start": "~", "end": "~", "stuffing": {"escape": "}", "xor": 32}, "check": {"kind": "CRC-32"}, "max": 64}"#,
    r#"{"start": "\u0010\u0002", "end": "\u0010\u0003", "stuffing": {"escape": "\u0010", "doubled": true},
        "check": {"kind": "CRC-32"}, "max": 64}"#,
];
/// Those whose frames begin where the last one ended.
const WEAK: [&str; 5] = [
    r#"{"end": "\n", "max": 64}"#,
    r#"{"end": "\r\n", "check": {"kind": "CRC-16/ARC", "form": "decimal"}, "max": 64}"#,
    r#"{"end": "\u00c0", "stuffing": {"escape": "\u00db", "pairs": {"\u00dc": "\u00c0", "\u00dd": "\u00db"}}, "max": 64}"#,
    r#"{"gap": "20ms", "check": {"kind": "CRC-16/MODBUS"}, "max": 64}"#,
    r#"{"start": "\u0002", "gap": "20ms", "max": 64}"#,
];

/// A frame as it is sent, and as it is found, around this content. The content is made to fit: nothing in it that the
/// framing takes for a mark, and of the right length.
fn build(which: usize, content: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let framing = framing(STRONG[which]);
    let check = framing.check().unwrap();
    let clean = |marks: &[u8]| content.iter().copied().filter(|b| !marks.contains(b)).collect::<Vec<u8>>();
    let mut fixed = content.to_vec();
    fixed.resize(18, 7);
    let mut frame = match which {
        0 => [b"$", &clean(b"\r\n")[..]].concat(),
        1 => [b"\x02", &clean(b"\x03")[..], b"\x03"].concat(),
        2 => [b"BM\0", &[u8::try_from(content.len()).unwrap() + 4][..], content].concat(),
        3 => [b"\xaa", &fixed[..]].concat(),
        4 => [b"zz", &fixed[..]].concat(),
        5 => [b"~", content].concat(),
        _ => [b"\x10\x02", content].concat(),
    };
    check.append(&mut frame).unwrap();
    let (start, end): (usize, &[u8]) = match which {
        0 => (1, b"\r\n"),
        3 => (1, b"!"),
        5 => (1, b"~"),
        6 => (2, b"\x10\x03"),
        _ => (0, b""),
    };
    let sent = [&frame[..start], &framing.hide(&frame[start..]), end].concat();
    frame.extend(end);
    (sent, frame)
}

/// Noise that is rich in what framings take for marks.
fn noise(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let mark = prop::sample::select(b"$\r\n\x02\x03BM\0\xaa!~}\x10\xc0\xdb".to_vec());
    prop::collection::vec(prop_oneof![any::<u8>(), mark], 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Frames between noise, and a last one that ends what a false start waits for.
    #[test]
    fn valid_frames_after_noise_are_always_found(
        which in 0..STRONG.len(),
        parts in prop::collection::vec((noise(40), prop::collection::vec(any::<u8>(), 1..18)), 1..6),
        piece in 1..50_usize,
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (noise, content) in &parts {
            // A mark at the end of noise would swallow the first mark of the frame: half a `DLE DLE`, or an escape.
            stream.extend(noise);
            stream.push(b' ');
            let (sent, frame) = build(which, content);
            stream.extend(sent);
            expected.push(frame);
        }
        // A false start may say that it is longer than what came: more shows that it is not.
        stream.extend([b' '; 80]);
        let framing = framing(STRONG[which]);
        let found = found(&mut framer(&framing), &stream, piece);
        prop_assert_eq!(frames(&found), expected.iter().map(|frame| &frame[..]).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_depends_on_how_the_stream_was_cut(
        which in 0..STRONG.len() + WEAK.len(),
        noise in noise(400),
        content in prop::collection::vec(any::<u8>(), 1..18),
        piece in 2..50_usize,
    ) {
        let yaml = STRONG.get(which).unwrap_or_else(|| &WEAK[which - STRONG.len()]);
        let framing = framing(yaml);
        let stream = [&noise[..], &build(which % STRONG.len(), &content).0, &noise].concat();
        let bytewise = found_and_end(&mut framer(&framing), &stream, 1);
        prop_assert_eq!(&bytewise, &found_and_end(&mut framer(&framing), &stream, piece));
        prop_assert_eq!(&bytewise, &found_and_end(&mut framer(&framing), &stream, stream.len()));
    }

    /// Whatever comes: each frame has a right check and at most `max` bytes, and no more is kept than is said.
    #[test]
    fn memory_is_bounded_and_frames_are_proved(
        which in 0..STRONG.len() + WEAK.len(),
        pieces in prop::collection::vec((noise(200), any::<bool>()), 1..20),
    ) {
        let yaml = STRONG.get(which).unwrap_or_else(|| &WEAK[which - STRONG.len()]);
        let framing = framing(yaml);
        let mut framer = super::Framer::new(framing.clone());
        for (piece, silent) in &pieces {
            framer.push(piece);
            if *silent {
                framer.silence();
            }
            for found in &mut framer {
                match found {
                    Found::Frame(frame) => {
                        prop_assert!(framing.verify(&frame).is_ok() && frame.len() <= framing.max());
                        prop_assert!(framing.content(&frame).len() <= frame.len());
                    }
                    Found::Bad { bytes, why } => {
                        prop_assert!(!bytes.is_empty() && bytes.len() <= 2 * framing.max() + 2 && !why.is_empty());
                    }
                    Found::Skipped(count) => prop_assert!(count > 0),
                }
            }
            prop_assert!(framer.kept() <= 8 * framing.max() + 400, "{}", framer.kept());
        }
    }

    #[test]
    fn what_is_hidden_is_found_again(which in 0..3_usize, contents in prop::collection::vec(
        prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"~}\x10\x02\x03\xc0\xdb".to_vec())], 1..25), 1..4,
    )) {
        let (yaml, start, end): (_, &[u8], &[u8]) = [
            (r#"{"start": "~", "end": "~", "stuffing": {"escape": "}", "xor": 32}}"#, &b"~"[..], &b"~"[..]),
            (WEAK[2], b"", b"\xc0"),
            (
                r#"{"start": "\u0010\u0002", "end": "\u0010\u0003", "stuffing": {"escape": "\u0010", "doubled": true}}"#,
                b"\x10\x02",
                b"\x10\x03",
            ),
        ][which];
        let framing = framing(yaml);
        let stream: Vec<u8> = contents.iter().flat_map(|c| [start, &framing.hide(c), end].concat()).collect();
        let found = found(&mut framer(&framing), &stream, 7);
        let read: Vec<_> = frames(&found).into_iter().map(|frame| framing.content(frame).to_vec()).collect();
        prop_assert_eq!(read, contents);
    }
}
