//! Tables: what is found in streams of each kind of framing, and what YAML is refused.

use super::{super::framer::LOOKS, Found, Framer, Framing, found, found_and_end, framer, frames, framing};
use crate::octets::{Shown, parse};
use std::sync::Arc;

const NMEA: &str =
    r#"{"start": "$", "end": "\\r\\n", "check": {"kind": "xor", "form": "hex", "skipStart": 1, "skipEnd": 1}}"#;
const LINES: &str = r#"{"end": "\\n"}"#;
const STX_LRC: &str =
    r#"{"start": "\\x02", "end": "\\x03", "trailer": 1, "max": 32, "check": {"kind": "xor", "skipStart": 1}}"#;
const RDM6300: &str = r#"{"start": "\\x02", "end": "\\x03",
    "check": {"kind": "xor", "form": "hex", "over": "hex", "skipStart": 1}}"#;
const PMS5003: &str =
    r#"{"start": "hex:42 4d", "lengthAt": {"offset": 2, "size": 2, "add": 4}, "check": {"kind": "sum16"}}"#;
const SDS011: &str = r#"{"start": "hex:aa c0", "length": 10, "check": {"kind": "sum8", "skipStart": 2, "after": 1}}"#;
const MODBUS: &str = r#"{"gap": "20ms", "check": {"kind": "CRC-16/MODBUS", "order": "DCBA"}}"#;
const SLIP: &str =
    r#"{"end": "\\xc0", "stuffing": {"escape": "\\xdb", "pairs": {"\\xdc": "\\xc0", "\\xdd": "\\xdb"}}}"#;
const HDLC: &str = r#"{"start": "~", "end": "~", "stuffing": {"escape": "\\x7d", "xor": 32},
    "check": {"kind": "CRC-16/IBM-SDLC", "order": "DCBA", "skipStart": 1}}"#;
const DLE: &str = r#"{"start": "\\x10\\x02", "end": "\\x10\\x03", "stuffing": {"escape": "\\x10", "doubled": true}}"#;
const FIXED: &str = r#"{"length": 4, "check": {"kind": "CRC-8/MAXIM-DOW"}}"#;
const GAP: &str = r#"{"gap": "20ms", "max": 8}"#;

/// The same notation for the bytes of what is expected.
fn expected(text: &str) -> String {
    let item = |item: &str| match item.split_at_checked(1) {
        Some((kind @ ("+" | "-"), bytes)) => format!("{kind}{}", parse(bytes).unwrap().escape_ascii()),
        _ => item.to_owned(),
    };
    text.split(" | ").map(item).collect::<Vec<_>>().join(" | ")
}

/// What is found, as a text: frames behind `+`, bad ones behind `-`, counts of skipped bytes. Pushed as a whole and byte by byte, it must be the same.
fn told(yaml: &str, stream: &str, silence: bool) -> String {
    let framing = framing(yaml);
    let stream = parse(stream).unwrap();
    let run = |piece| {
        let framer = &mut framer(&framing);
        if silence { found_and_end(framer, &stream, piece) } else { found(framer, &stream, piece) }
    };
    let whole = run(stream.len());
    assert_eq!(whole, run(1), "{yaml} {}", Shown(&stream));
    let line = |found: &Found| match found {
        Found::Frame(frame) => format!("+{}", framing.content(frame).escape_ascii()),
        Found::Bad { bytes, .. } => format!("-{}", bytes.escape_ascii()),
        Found::Skipped(count) => format!("{count}"),
    };
    whole.iter().map(line).collect::<Vec<_>>().join(" | ")
}

/// The sentence is the example of <https://gpsd.gitlab.io/gpsd/NMEA.html>; the frames of the PMS5003 and the SDS011 are test data
/// of <https://github.com/avaldebe/PyPMS>, the tag of the RDM6300 is one that a user of it printed
/// (<https://forum.arduino.cc/t/251993>). HDLC is that of RFC 1662, SLIP that of RFC 1055; the sum of 02 07 is in the
/// specification of Modbus for serial lines (V1.02, appendix B).
#[test]
fn frames_of_every_kind() {
    const GGA: &str = "$GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,*76\\r\\n";
    const GGA_CONTENT: &str = "+GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,";
    const PM: &str = "hex:424d001c0005000d00160005000d001602fd00fc001d000f00060006970003c5";
    let table: &[(&str, &str, &str)] = &[
        (NMEA, GGA, GGA_CONTENT),
        (NMEA, &format!("2,M,,*76\\r\\n$GP{GGA}"), &format!("13 | {GGA_CONTENT}")),
        (LINES, "12.5\\r\\n13\\n\\r\\n\\n14\\r\\n15", "+12.5 | +13 | +14"),
        (STX_LRC, "\\x02AB\\x03\\x00\\x02\\x03\\x03", "+AB | +"),
        (RDM6300, "\\x02010063E9AE25\\x03", "+010063E9AE"),
        (PMS5003, PM, "+hex:001c0005000d00160005000d001602fd00fc001d000f000600069700"),
        (SDS011, "hex:AAC0D4043A0AA1601DAB", "+hex:D4043A0AA1601DAB"),
        (SLIP, "\\xc0A\\xdb\\xdcB\\xdb\\xdd\\xc0\\xc0C\\xc0", "+A\\xc0B\\xdb | +C"),
        // A frame with FCS of PPP in HDLC-like framing, the flag between two frames shared, and hidden bytes in it.
        (
            HDLC,
            "~123456789\\x6e\\x90~123456789\\x6e\\x90~~123456789\\x6e\\x90~",
            "+123456789 | +123456789 | +123456789",
        ),
        (HDLC, "~\\x7d\\x5e\\x7d\\x5d\\xf1\\xcd~", "+~}"),
        (DLE, "\\x10\\x02A\\x10\\x10\\x03\\x10\\x03\\x10\\x02B\\x10\\x03", "+A\\x10\\x03 | +B"),
        (FIXED, "hex:010203d8 010203d8", "+\\x01\\x02\\x03 | +\\x01\\x02\\x03"),
    ];
    for (yaml, stream, wanted) in table {
        assert_eq!(told(yaml, stream, false), expected(wanted), "{yaml} {stream}");
    }
    for (yaml, stream, wanted) in [(MODBUS, "hex:02 07 41 12", "+hex:02 07"), (GAP, "12345678", "+12345678")] {
        assert_eq!(told(yaml, stream, true), expected(wanted), "{yaml} {stream}");
    }
}

#[test]
fn after_noise_the_next_frame_is_found() {
    let table: &[(&str, &str, &str)] = &[
        // A false start, and the frame inside of what it seemed to be.
        (STX_LRC, "xx\\x02garb\\x02AB\\x03\\x00!", "7 | +AB | 1"),
        (STX_LRC, "\\x02AB\\x03\\x01\\x02AB\\x03\\x00", "-\\x02AB\\x03\\x01 | +AB"),
        // Too long, with frames inside and behind.
        (
            STX_LRC,
            "\\x02 a frame of more than 32 bytes with \\x02AB\\x03\\x00",
            "-\\x02 a frame of more than 32 bytes | 6 | +AB",
        ),
        (PMS5003, "hex:42 4d 00 10 42 4d 00 06 01 02 03 04 00 9f 01 02 03 04 05 06", "4 | +hex:00 06 01 02 03 04 | 6"),
        // A false start that says a length which cannot be.
        (PMS5003, "hex:42 4d 42 4d 00 06 01 02 03 04 00 9f", "2 | +hex:00 06 01 02 03 04"),
        (FIXED, "hex:ff 010203d8", "1 | +\\x01\\x02\\x03"),
        (FIXED, "hex:010203d9 010203d8", "-hex:01 02 03 d9 | +\\x01\\x02\\x03"),
        (LINES, "ab\\x00\\xffc\\n12\\n", "+ab\\x00\\xffc | +12"),
        // HDLC: noise between frames takes no frame with it; the abort sequence ends a frame.
        (HDLC, "~123456789\\x6e\\x90~noise~123456789\\x6e\\x90~", "+123456789 | -~noise~ | +123456789"),
        (HDLC, "~1234\\x7d~123456789\\x6e\\x90~", "-~1234} | +123456789"),
        (DLE, "\\x10\\x02A\\x10\\x02B\\x10\\x03", "-hex:10 02 41 | +B"),
        (DLE, "\\x10\\x02A\\x10BC\\x10\\x02B\\x10\\x03", "-hex:10 02 41 10 | 2 | +B"),
        (SLIP, "A\\xdbB\\xc0C\\xc0", "-A\\xdb | 2 | +C"),
    ];
    for (yaml, stream, wanted) in table {
        assert_eq!(told(yaml, stream, false), expected(wanted), "{yaml} {stream}");
    }
    let long = format!("{}\\n12\\n", "x".repeat(1500));
    assert_eq!(told(LINES, &long, false).split(" | ").skip(1).collect::<Vec<_>>(), ["477", "+12"]);
    for (yaml, stream, wanted) in [
        (MODBUS, "hex:02 07 41 13", "-hex:02 07 41 13"),
        (GAP, "1234567890", "-12345678 | 2"),
        (r#"{"end": "\\n", "gap": "1s"}"#, "12\\n3", "+12 | -3"),
        (
            r#"{"start": "\\x02", "lengthAt": {"offset": 1}, "gap": "50ms", "check": {"kind": "sum8"}}"#,
            "\\x02\\x40\\x02\\x04\\x05\\x0b",
            "2 | +\\x04\\x05",
        ),
    ] {
        assert_eq!(told(yaml, stream, true), expected(wanted), "{yaml} {stream}");
    }
}

#[test]
fn the_first_piece_after_opening_may_be_half_a_frame() {
    let open = |yaml: &str| Framer::new(framing(yaml));
    let all = |framer: &mut Framer, stream: &[u8]| {
        let found = found(framer, stream, 1);
        frames(&found).iter().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect::<Vec<_>>()
    };
    // Without a check nobody can tell.
    assert_eq!(all(&mut open(LINES), b"2.5\n13.5\n"), ["13.5\n"]);
    // The line was silent before it: a barcode reader hours after the start.
    let mut framer = open(LINES);
    assert!(framer.gap().is_some());
    framer.silence();
    assert_eq!(framer.gap(), None);
    assert_eq!(all(&mut framer, b"12.5\n13.5\n"), ["12.5\n", "13.5\n"]);
    // A silence behind a piece says nothing of what was before it.
    let mut framer = open(LINES);
    assert!(all(&mut framer, b"2.").is_empty());
    assert_eq!(framer.gap(), None);
    framer.silence();
    assert_eq!(all(&mut framer, b"5\n13.5\n"), ["13.5\n"]);
    // A check tells, and a wrong one is no reason for alarm.
    let sum = r#"{"end": "\n", "check": {"kind": "sum8", "form": "hex"}}"#;
    assert_eq!(found(&mut open(sum), b"A41\nA41\n", 1).len(), 2);
    assert_eq!(
        found(&mut open(sum), b"1A41\nA41\nB41\n", 1),
        [
            Found::Skipped(5),
            Found::Frame(b"A41\n".to_vec()),
            Found::Bad { bytes: b"B41\n".to_vec(), why: "the check is 41, but 42 by the frame's bytes".to_owned() }
        ]
    );
    // Frames that only a silence separates: nothing is taken before one came.
    let mut framer = open(r#"{"length": 2, "gap": "20ms"}"#);
    assert!(all(&mut framer, b"bababa").is_empty());
    framer.silence();
    assert_eq!(all(&mut framer, b"abab"), ["ab", "ab"]);
    let mut framer = open(GAP);
    assert!(found_and_end(&mut framer, b"bc", 1).iter().all(|found| *found == Found::Skipped(2)));
    assert_eq!(frames(&found_and_end(&mut framer, b"abc", 1)), [b"abc"]);
}

#[test]
fn what_was_heard_before_a_request_is_forgotten() {
    let mut framer = framer(&framing(LINES));
    assert!(found(&mut framer, b"half a", 6).is_empty());
    assert_eq!(framer.clear(), 6);
    assert_eq!(frames(&found(&mut framer, b"12\n", 3)), [b"12\n"]);
    assert_eq!(framer.clear(), 0);
}

#[test]
fn a_check_in_a_request_is_hidden_like_the_frame() {
    let hdlc = framing(HDLC);
    // The sum of these bytes has a byte that must be hidden.
    let (content, sum) = (0..=255_u8)
        .map(|byte| {
            let mut request = vec![b'~', byte];
            hdlc.check().unwrap().append(&mut request).unwrap();
            (byte, request[2..].to_vec())
        })
        .find(|(_, sum)| sum[0] == 0x7e || sum[0] == 0x7d)
        .unwrap();
    let mut request = vec![b'~', content];
    hdlc.append_check(&mut request).unwrap();
    assert_eq!(request[2..], [0x7d, sum[0] ^ 0x20, sum[1]]);
    assert!(framing(LINES).append_check(&mut request).unwrap_err().contains("frame.check"));
}

#[test]
fn hostile_noise_costs_a_bounded_number_of_looks() {
    // Nothing but starts, each of which says that its frame is as long as may be: without a bound 16384 times 16384 bytes
    // were summed.
    let yaml = r#"{"start": "?", "lengthAt": {"offset": 1, "size": 2}, "max": 16384, "check": {"kind": "sum8"}}"#;
    let framing = framing(yaml);
    let noise = vec![b'?'; 100_000];
    let mut framer = framer(&framing);
    let found = found(&mut framer, &noise, 4096);
    assert!(frames(&found).is_empty());
    assert!(framer.looked > 100_000 && framer.looked <= (LOOKS + 2) * noise.len(), "{}", framer.looked);
    // A buffer grows by doubling.
    assert!(framer.kept() <= 2 * (2 * 16384 + 4096), "{}", framer.kept());
}

#[test]
fn all_mistakes_are_told_at_once_with_what_is_accepted() {
    for (yaml, expected) in [
        ("{}", &[("", "one of `end`, `length`, `lengthAt` and `gap`")][..]),
        (
            r#"{"start": "\\q", "end": "", "trailer": 33, "gap": "0s", "max": 0, "check": {"kind": "crc"}}"#,
            &[
                ("start", "means nothing"),
                ("end", "1 to 64"),
                ("trailer", "1 to 32"),
                ("gap", "1ms to 1m"),
                ("check.kind", "nearest"),
                ("max", "1 to 16384"),
            ],
        ),
        (
            r#"{"end": "a", "length": 5, "lengthAt": {"offset": 65, "size": 3, "add": 300}}"#,
            &[
                ("lengthAt.offset", "0 to 64"),
                ("lengthAt.size", "1, 2 or 4"),
                ("lengthAt.add", "-64 to 255"),
                ("length", "beside `end`"),
                ("lengthAt", "beside `end`"),
            ],
        ),
        (r#"{"length": 5, "trailer": 1}"#, &[("trailer", "there is none")]),
        (r#"{"length": 5}"#, &[("start", "`start`, `check` and `gap`")]),
        (r#"{"start": "a", "length": 9, "max": 8}"#, &[("max", "length says 9")]),
        (r#"{"start": "abc", "length": 2}"#, &[("length", "take 3 bytes")]),
        (r#"{"start": "abc", "lengthAt": {"offset": 2}}"#, &[("lengthAt.offset", "3 and more")]),
        (r#"{"start": "a", "end": "bc", "max": 3}"#, &[("max", "alone have 3 bytes")]),
        (r#"{"end": "a", "trailer": 1, "check": {"kind": "sum16"}}"#, &[("trailer", "has 2 bytes")]),
        (r#"{"end": "abc", "check": {"kind": "sum16", "after": 1}}"#, &[("check.after", "nor before `end`")]),
        (
            r#"{"end": "a", "stuffing": {"escape": "ab", "xor": 0, "doubled": true}}"#,
            &[("stuffing.escape", "one would be"), ("stuffing.xor", "1 to 255"), ("stuffing", "exactly one")],
        ),
        (r#"{"end": "a", "stuffing": {"escape": "b"}}"#, &[("stuffing", "exactly one")]),
        (
            r#"{"end": "a", "stuffing": {"escape": "b", "pairs": {"c": "a", "d": "a"}}}"#,
            &[("stuffing.pairs.d", "twice")],
        ),
        (r#"{"start": "a", "end": "b", "stuffing": {"escape": "b", "xor": 32}}"#, &[("end", "announces")]),
        (
            r#"{"start": "a", "end": "bc", "stuffing": {"escape": "b", "doubled": true}}"#,
            &[("start", "without the escape byte")],
        ),
    ] {
        let told = Framing::new(&serde_json::from_str(yaml).unwrap()).unwrap_err();
        assert_eq!(told.len(), expected.len(), "{yaml}: {told:?}");
        for ((key, message), (wanted, part)) in told.iter().zip(expected) {
            assert!(key == wanted && message.contains(part), "{yaml}: {key}: {message}");
        }
    }
}

#[test]
fn the_content_is_what_stands_between_without_the_check() {
    for (yaml, frame, content) in [
        (NMEA, &b"$GPTXT*47\r\n"[..], &b"GPTXT"[..]),
        (LINES, b"ab\r\n", b"ab"),
        (LINES, b"ab\n", b"ab"),
        (LINES, b"\r\n", b""),
        (STX_LRC, b"\x02AB\x03\x41", b"AB"),
        (PMS5003, b"BM\0\x06abcd\0\0", b"\0\x06abcd"),
        // A check in the middle stays.
        (r#"{"length": 6, "check": {"kind": "sum8", "after": 2}}"#, b"abcdef", b"abcdef"),
        // Never more than there is.
        (NMEA, b"$", b""),
        (NMEA, b"", b""),
    ] {
        assert_eq!(framing(yaml).content(frame), content, "{yaml}");
    }
    assert!(Arc::new(framing(LINES)).max() == 1024);
}
