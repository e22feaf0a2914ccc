//! A serial device that misbehaves: noise, half frames, frames glued together, wrong checks, a flood. What is right is read all
//! the same, what is wrong never becomes a value, and nobody else is troubled.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::time::Duration;

use common::{
    serial::{Socket, device, number, site, speak},
    until,
};
use mapper_modbus::sim::Pty;
use serde_json::Value as Json;
use tokio::{io::AsyncWriteExt as _, sync::mpsc};

/// `$n=12*hh`: hh is the exclusive or of what stands between.
const CHECKED: &str = "frame: { start: '$', end: '\\r\\n', max: 64, check: { kind: xor, form: hex, skipStart: 1, \
                       skipEnd: 1 } }, messages: [ { name: count, regex: '^n=(?<count>[0-9]+)' } ]";
const COUNT: &str = "type: uint32, serial: { field: count }";

fn frame(n: u32) -> Vec<u8> {
    let content = format!("n={n}");
    let sum = content.bytes().fold(0, |sum, byte| sum ^ byte);
    format!("${content}*{sum:02X}\r\n").into_bytes()
}

/// Deterministic noise.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut dice = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| dice.u8(..)).collect()
}

#[tokio::test]
async fn what_is_right_is_found_among_what_is_wrong() {
    let (say, mut said) = mpsc::unbounded_channel::<Vec<u8>>();
    let nasty = Socket::with(async move |mut pty: Pty| {
        while let Some(bytes) = said.recv().await {
            pty.write_all(&bytes).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
    let good = Socket::with(|pty| speak(pty, Duration::from_millis(50), |n| frame(u32::try_from(n).unwrap())));
    let yaml =
        |name: &str, socket: &Socket| device(name, &format!("{}, {CHECKED}", socket.line()), &[("count", COUNT)]);
    let site = site(&[("nasty", yaml("nasty", &nasty)), ("good", yaml("good", &good))]).await;
    site.reads("good", "count", |v| number(v) > 3).await;
    let neighbour = site.count("good");

    let wrong = [frame(666_666)[..10].to_vec(), b"00\r\n".to_vec()].concat();
    let glued = [frame(1), frame(2), frame(3)].concat();
    let long = [b"$n=".to_vec(), vec![b'7'; 5000]].concat();
    let bursts: Vec<(&str, Vec<u8>)> = vec![
        ("nothing yet", Vec::new()),
        ("noise", noise(1, 300)),
        ("half a frame", b"$n=66".to_vec()),
        ("half a frame, then noise", [b"$n=66".to_vec(), noise(2, 40)].concat()),
        ("glued frames", glued),
        ("wrong checks", wrong.repeat(50)),
        ("a frame that never ends", long),
        ("starts without frames", b"$".repeat(500)),
        ("ends without frames", b"\r\n".repeat(500)),
        ("a flood", noise(3, 300_000)),
    ];
    for (n, (what, burst)) in (1000..).zip(bursts) {
        say.send(burst).unwrap();
        // Whatever stood before, of two whole frames the second is found; mostly the first is too.
        say.send([frame(n), frame(n + 500)].concat()).unwrap();
        until(&format!("the frame after {what}"), async || {
            site.values("nasty", "count", 0).iter().any(|v| number(v) == u64::from(n) + 500).then_some(())
        })
        .await;
    }
    let mut values: Vec<u64> = site.values("nasty", "count", 0).iter().map(number).collect();
    assert!([1, 2, 3].iter().all(|n| values.contains(n)), "glued frames were not told apart: {values:?}");
    values.retain(|v| ![1, 2, 3].contains(v) && !(1000..1010).contains(v) && !(1500..1510).contains(v));
    assert_eq!(values, [0; 0], "what is wrong became a value");

    // The neighbour missed nothing.
    until("readings of the neighbour", async || (site.count("good") > neighbour + 40).then_some(())).await;
    let counts: Vec<u64> = site.values("good", "count", 0).iter().map(number).collect();
    assert!(counts.windows(2).all(|pair| pair[1] == pair[0] + 1), "{counts:?}");
    assert_eq!(site.heard.on("/good/availability").last().unwrap().json()["state"], "online");

    // Fifty wrong checks and a flood stand in the log once, with the bytes.
    let written = site.bridge.log();
    let lines: Vec<Json> = written.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let path = nasty.path().display().to_string();
    let warned = lines.iter().filter(|line| line["level"] == "WARN" && line["line"] == path).count();
    assert!((1..=3).contains(&warned), "{warned} warnings of it:\n{written}");
}
