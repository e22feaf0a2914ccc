//! When a rate is given up, and the whole probe on a pty. A pty has no baud rate: what is shown there is that the line is
//! opened, listened to and drafted from, not that a rate is found. That stands in `guess_tests`, by simulation.

use std::time::Duration;

use serde_json::json;

use super::{Verdict, begin, format, guess, verdict};
use crate::probe::heard::Heard;

#[test]
fn arguments_are_checked() {
    for (args, part) in [
        (json!({ "path": "/dev/ttyUSB0", "tcp": "a:1" }), "keep one of them"),
        (json!({ "tcp": "a" }), "tcp: "),
        (json!({ "path": "/dev/ttyUSB0", "format": "9N1" }), "such as 8N1"),
        (json!({ "path": "/dev/ttyUSB0", "baud": 10 }), "baud: 10 is not in 50.."),
        (json!({ "path": "/dev/ttyUSB0", "seconds": 0 }), "seconds: 0"),
        (json!({ "path": "/dev/ttyUSB0", "send": "\\q" }), "send: "),
        (json!({ "pth": "/dev/ttyUSB0" }), "pth"),
    ] {
        let error = begin(&args).unwrap_err();
        assert!(error.message.contains(part), "{args}: {error}");
    }
    assert_eq!(format("7e1").unwrap().to_string(), "9600 7E1");
}

#[test]
fn when_a_rate_is_given_up() {
    let judged = |bytes: &[u8]| {
        let mut heard = Heard::default();
        heard.take(Duration::ZERO, bytes);
        guess(&heard, Duration::from_millis(1))
    };
    let limit = Duration::from_secs(10);
    let (text, noise) = (b"S S 12.3 kg\r\n".repeat(9), b"\x00\xfe\x81\x13\x9c\x00\x80".repeat(40));
    for (bytes, ms, asked, expected) in [
        (&b""[..], 500, None, Verdict::Listen),
        (b"", 10_000, None, Verdict::Next),
        (&text[..], 500, None, Verdict::Settled),
        (&text[..13], 500, None, Verdict::Listen),
        (&text[..13], 10_000, None, Verdict::Settled),
        (&noise[..50], 500, None, Verdict::Listen),
        (&noise, 500, None, Verdict::Next),
        (b"", 0, Some(0), Verdict::Ask),
        (b"", 500, Some(1), Verdict::Listen),
        (b"", 1000, Some(1), Verdict::Ask),
        (b"", 2000, Some(2), Verdict::Next),
        (&text[..26], 2000, Some(2), Verdict::Ask),
        (&text, 2000, Some(2), Verdict::Settled),
    ] {
        let got = verdict(&judged(bytes), bytes.len(), Duration::from_millis(ms), limit, asked);
        assert_eq!(got, expected, "{} bytes after {ms} ms, asked {asked:?}", bytes.len());
    }
}
