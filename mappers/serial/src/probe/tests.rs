//! When a rate is given up, and the whole probe over TCP. Bytes over TCP have no baud rate, as on a pty: what is shown is
//! that a line is opened, listened to and drafted from, not that a rate is found. That stands in `guess_tests`, by simulation.

use std::{fmt::Write as _, future::Future, time::Duration};

use mapper_api::{Found, Json, Probing as _, Step};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

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

/// Probes what `peer` says, to the end; the steps as text, and what was found.
async fn probed<F: Future<Output = ()> + Send + 'static>(
    more: Json,
    peer: impl FnOnce(TcpStream) -> F,
) -> (String, Found) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut args = json!({ "tcp": listener.local_addr().unwrap().to_string() });
    args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut probe = begin(&args).unwrap();
    let mut steps = String::new();
    let first = probe.next().await.unwrap().unwrap();
    let peer = tokio::spawn(peer(listener.accept().await.unwrap().0));
    let mut step = Some(first);
    while let Some(shown) = step {
        match shown {
            Step::Note(text) => writeln!(steps, "{text}").unwrap(),
            Step::Heard { bytes, .. } => writeln!(steps, "heard {} bytes", bytes.len()).unwrap(),
        }
        step = probe.next().await.unwrap();
    }
    peer.abort();
    (steps, probe.found())
}

#[tokio::test]
async fn a_line_is_listened_to_and_drafted_from() {
    let (steps, found) = probed(json!({}), async |mut stream: TcpStream| {
        for n in 0.. {
            let line = format!("ST,+{:06}.1  kg\r\n", n * 7);
            if stream.write_all(line.as_bytes()).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(steps.contains("is open for this process alone") && steps.contains("heard "), "{steps}");
    let draft = found.draft.unwrap();
    assert_eq!(draft["properties"][0]["unit"], "kg", "{draft:#}");
    assert!(draft["protocol"]["serial"]["baud"].is_null(), "{draft:#}");
}

#[tokio::test]
async fn who_must_be_asked_is_asked() {
    let answers = async |mut stream: TcpStream| {
        let mut buffer = [0; 64];
        let mut number = 10;
        while let Ok(1..) = stream.read(&mut buffer).await {
            number += 1;
            stream.write_all(format!("S S     {number}.25 g\r\n").as_bytes()).await.unwrap();
        }
    };
    let (steps, found) = probed(json!({ "send": "SI\\r\\n", "seconds": 10 }), answers).await;
    assert!(steps.contains("sent SI\\r\\n"), "{steps}");
    let draft = found.draft.unwrap();
    assert_eq!(draft["protocol"]["serial"]["messages"][0]["request"], "SI\\r\\n", "{draft:#}");
}

#[tokio::test]
async fn silence_is_told() {
    let (_, found) = probed(json!({ "seconds": 1 }), async |stream: TcpStream| {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let why = found.draft.unwrap_err();
    assert!(why.starts_with("nothing was heard: ") && why.contains("send='SI\\r\\n'"), "{why}");
    assert!(found.about.iter().all(|(title, _)| *title != "sure"), "{:?}", found.about);
}

#[tokio::test]
async fn frames_that_only_silence_parts_are_drafted_where_the_rate_is_known() {
    let (_, found) = probed(json!({ "seconds": 1 }), async |mut stream: TcpStream| {
        for n in 0_u8.. {
            let frame =
                [n.wrapping_mul(91) | 0x80, 0x81, n, 0x9c, n ^ 0xc3, 0x91, 0x85][..4 + usize::from(n % 4)].to_vec();
            if stream.write_all(&frame).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    })
    .await;
    let draft = found.draft.unwrap();
    assert!(draft["protocol"]["serial"]["frame"]["gap"].is_string(), "{draft:#}");
}
