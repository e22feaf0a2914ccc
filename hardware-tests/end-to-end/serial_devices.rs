//! Serial devices of several kinds, as a subscriber of the running bridge sees them: asked, written, several on a line, a GPS
//! receiver's recording, a scale.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use common::{
    bridge::condition,
    serial::{Socket, answer, device, site, speak},
    site::near,
    subscriber::Heard,
    until,
};
use jiff::Timestamp;
use mapper_modbus::sim::Pty;
use serde_json::Value as Json;
use tokio::io::AsyncWriteExt as _;

/// Recorded by Paul Beard in Hamilton, Waikato: test/daemon/bu353s4.log of gpsd (GlobalSat BU-353-S4).
const GPS: [&str; 6] = [
    "$GPGGA,030719.000,3747.0873,S,17518.8938,E,1,08,1.1,59.9,M,23.7,M,,0000*7D",
    "$GPGSA,A,3,17,28,06,01,30,20,26,13,,,,,1.8,1.1,1.5*33",
    "$GPRMC,030719.000,A,3747.0873,S,17518.8938,E,0.69,181.39,311214,,,A*7D",
    "$GPGGA,030720.000,3747.0875,S,17518.8938,E,1,08,1.1,59.8,M,23.7,M,,0000*70",
    "$GPGSA,A,3,17,28,06,01,30,20,26,13,,,,,1.8,1.1,1.5*33",
    "$GPRMC,030720.000,A,3747.0875,S,17518.8938,E,1.15,181.39,311214,,,A*7B",
];

#[tokio::test]
async fn a_device_that_must_be_asked_is_asked_and_written() {
    let state = Arc::new(Mutex::new((18.0_f64, Vec::new())));
    let inside = state.clone();
    let device_within = move |pty: Pty| {
        answer(pty, b'\n', move |asked| {
            let mut state = inside.lock().unwrap();
            Some(match asked.trim_end().split_once(' ') {
                None if asked == "READ\r\n" => format!("TEMP {:.1} C\r\n", state.0).into_bytes(),
                Some(("SET", value)) if value.parse::<f64>().is_ok_and(|v| (5.0..=30.0).contains(&v)) => {
                    state.0 = value.parse().unwrap();
                    state.1.push(value.to_owned());
                    b"OK\r\n".to_vec()
                }
                _ => b"ERR\r\n".to_vec(),
            })
        })
    };
    let socket = Socket::with(device_within);
    let endpoint = format!(
        "{}, frame: {{ end: '\\r\\n' }}, messages: [ {{ name: temp, request: 'READ\\r\\n', \
         regex: '^TEMP (?<value>[-0-9.]+) (?<unit>C|F)$', refused: '^ERR' }} ]",
        socket.line()
    );
    let serial = "serial: { message: temp, field: value, expect: { unit: C }, \
                  write: { send: 'SET {value:.1}\\r\\n', answer: '^OK', refused: '^ERR' } }";
    let property = |desired: &str| format!("type: float32, access: readWrite{desired}, {serial}");
    let yaml = |desired: &str| device("stove", &endpoint, &[("setpoint", &property(desired))]);
    let site = site(&[("stove", yaml(""))]).await;
    site.reads("stove", "setpoint", |v| near(v, 18.0)).await;
    assert!(state.lock().unwrap().1.is_empty(), "nothing was to be written");

    site.devices.write("stove.yaml", &yaml(", desired: 21.5"));
    site.reads("stove", "setpoint", |v| near(v, 21.5)).await;
    let synced = |d: &Json| condition(d, "Synced")["status"] == "True";
    site.bridge.shows("default/stove", "synced", synced).await;
    assert_eq!(state.lock().unwrap().1, ["21.5"], "once, and no more");

    // What the device refuses is told by its own words.
    site.devices.write("stove.yaml", &yaml(", desired: 99"));
    let refused = |d: &Json| condition(d, "Synced")["message"].as_str().is_some_and(|said| said.contains("ERR"));
    let shown = site.bridge.shows("default/stove", "refused", refused).await;
    assert_eq!(condition(&shown, "Synced")["status"], "False", "{shown}");
    assert_eq!(condition(&shown, "Reachable")["status"], "True", "{shown}");
}

#[tokio::test]
async fn a_silent_device_leaves_its_neighbour_on_the_line_its_rate() {
    const PERIOD: i64 = 500;
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    // Only 01 is there.
    let socket = Socket::with(move |pty: Pty| {
        answer(pty, b'\r', move |line| {
            let n = if line == "#01\r" { count.fetch_add(1, Relaxed) } else { return None };
            Some(format!(">01 {n}\r").into_bytes())
        })
    });
    let endpoint = |address: &str| {
        format!(
            "{}, frame: {{ end: '\\r' }}, timeout: 300ms, parameters: {{ address: '{address}' }}, messages: [ {{ name: v, \
             request: '#{{address}}\\r', regex: '^>(?<address>[0-9]+) (?<v>[0-9]+)$', when: {{ address: '{{address}}' }} }} ]",
            socket.line()
        )
    };
    let yaml = |name: &str, address: &str| {
        let property = "type: uint32, serial: { field: v }";
        device(name, &endpoint(address), &[("v", property)]).replace("pollEvery: 200ms", "pollEvery: 500ms")
    };
    let site = site(&[("there", yaml("there", "01")), ("silent", yaml("silent", "02"))]).await;
    assert_eq!(site.offline("silent").await, "timeout");
    until("readings", async || (site.values("there", "v", 0).len() > 24).then_some(())).await;
    let times: Vec<i64> = site
        .heard
        .on("/there/readings")
        .iter()
        .map(|heard| heard.json()["time"].as_str().unwrap().parse::<Timestamp>().unwrap().as_millisecond())
        .collect();
    // Polls fall on a grid; a machine that is busy with other things may cost some.
    let halves = (times[24] - times[0]) / (PERIOD / 2);
    assert!(halves < 72, "24 readings took {halves} half periods");
    site.online("there").await;
}

#[tokio::test]
async fn a_gps_receiver_is_read() {
    let mut place = 0;
    let socket = Socket::with(move |pty| {
        speak(pty, Duration::from_millis(50), move |_| {
            place = (place + 1) % GPS.len();
            format!("{}\r\n", GPS[place]).into_bytes()
        })
    });
    let nmea = |sentence: &str, field: &str| {
        format!("type: float64, serial: {{ nmea: {{ sentence: {sentence}, field: {field} }} }}")
    };
    let properties = [
        ("latitude", nmea("GGA", "latitude")),
        ("longitude", nmea("GGA", "longitude")),
        ("speed", nmea("RMC", "speed")),
    ];
    let properties: Vec<_> = properties.iter().map(|(name, rest)| (*name, rest.as_str())).collect();
    let endpoint = format!("{}, language: nmea", socket.line());
    let site = site(&[("gps", device("gps", &endpoint, &properties))]).await;
    // 37 degrees 47.0873 minutes south, 175 degrees 18.8938 minutes east.
    site.reads("gps", "latitude", |v| near(v, -37.784_788)).await;
    site.reads("gps", "longitude", |v| near(v, 175.314_897)).await;
    site.reads("gps", "speed", |v| near(v, 0.69)).await;
    site.reads("gps", "speed", |v| near(v, 1.15)).await;
    site.online("gps").await;
}

#[tokio::test]
async fn a_scale_publishes_settled_weights_only() {
    // Ten times a second: it settles at 10.00, moves, settles at 20.00, moves, settles at 30.00.
    let said = |n: u64| {
        let (settled, step) = ((n / 10 % 3 + 1) * 1000, n % 10);
        let (state, weight) = if step < 4 { ("SD", settled - 777 + 111 * step) } else { ("ST", settled) };
        format!("{state}  {:4}.{:02} kg\r\n", weight / 100, weight % 100).into_bytes()
    };
    let socket = Socket::with(move |pty| speak(pty, Duration::from_millis(100), said));
    let endpoint = format!(
        "{}, frame: {{ end: '\\r\\n' }}, messages: [ {{ name: weight, stable: {{ state: ST }}, \
         regex: '^(?<state>S[TD]) *(?<weight>-?[0-9.]+) (?<unit>kg|g)$' }} ]",
        socket.line()
    );
    let weight = "type: float32, unit: kg, publish: { onChange: true }, \
                  serial: { field: weight, expect: { unit: kg }, stable: true }";
    let site = site(&[("scale", device("scale", &endpoint, &[("weight", weight)]))]).await;
    until("settled weights", async || (site.values("scale", "weight", 0).len() >= 7).then_some(())).await;
    let values = site.values("scale", "weight", 0);
    let settled = |v: &Json| [10.0, 20.0, 30.0].iter().any(|kg| near(v, *kg));
    assert!(values.iter().all(settled), "a weight in between: {values:?}");
    assert!(values.windows(2).all(|pair| pair[0] != pair[1]), "not only changes: {values:?}");
}

#[tokio::test]
async fn another_unit_is_bad_or_converted() {
    let socket = Socket::with(async |mut pty: Pty| {
        loop {
            for line in ["1500 g\r\n", "12 lb\r\n", "2.5 kg\r\n"] {
                pty.write_all(line.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    });
    let endpoint = format!(
        "{}, frame: {{ end: '\\r\\n' }}, messages: [ {{ name: weight, regex: '^(?<weight>[0-9.]+) (?<unit>[a-z]+)$' }} ]",
        socket.line()
    );
    let weight = "type: float32, unit: kg, serial: { field: weight, expect: { unit: kg }, units: { g: 0.001 } }";
    let site = site(&[("scale", device("scale", &endpoint, &[("weight", weight)]))]).await;
    site.reads("scale", "weight", |v| near(v, 1.5)).await;
    site.reads("scale", "weight", |v| near(v, 2.5)).await;
    let bad = until("a reading in pounds", async || {
        site.heard.on("/scale/readings").iter().map(Heard::json).find(|r| r["bad"]["weight"].is_object())
    })
    .await;
    let said = bad["bad"]["weight"].to_string();
    assert!(said.contains("badData") && said.contains("lb") && said.contains("kg"), "{bad}");
    assert!(!site.values("scale", "weight", 0).iter().any(|v| near(v, 12.0)), "pounds were taken for kilograms");
}
