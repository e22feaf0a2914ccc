//! Devices that go away and come back, and one that was never there, as a subscriber of the running bridge sees them.

#![allow(clippy::unwrap_used)] // a test

mod common;

use common::{
    bridge::{Bridge, Folder, LEVEL, condition, device},
    broker::Broker,
    plant::{Plant, Probe},
    subscriber::{Heard, Subscriber},
    until,
};
use fieldgate::data::Version;
use jiff::Timestamp;
use mapper_modbus::{
    Framing, Table,
    sim::{Pty, Registers, serve},
};
use serde_json::{Value as Json, json};

fn time(reading: &Json) -> i64 {
    reading["time"].as_str().unwrap().parse::<Timestamp>().unwrap().as_millisecond()
}

#[tokio::test]
async fn a_device_that_goes_is_offline_and_one_that_comes_back_is_online() {
    let broker = Broker::start("");
    let heard = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let mut plant = Plant::start(Probe::new([1], &[])).await;
    let folder = Folder::new();
    folder.write("meter.yaml", &device("meter", &plant.endpoint(1), &[("level", LEVEL)]));
    plant.bank.set(1, Table::InputRegister, 0, &[7]);
    let bridge = Bridge::start(folder.path(), &broker.url()).await;
    heard.last("/meter/availability", |a| a["state"] == "online").await;
    heard.last("/meter/readings", |r| r["values"] == json!({"level": 7})).await;
    heard.last("bridge/gw-1/devices", |d| d["devices"]["default/meter"] == json!({"ready": true})).await;

    plant.down().await;
    let offline = heard.last("/meter/availability", |a| a["state"] == "offline").await.json();
    let reason = offline["reason"].as_str().expect("a reason");
    assert!(["timeout", "unreachable", "bus"].contains(&reason), "{offline}");
    let bad = until("a reading that says so", async || {
        heard.on("/meter/readings").iter().map(Heard::json).find(|r| r.get("bad").is_some())
    })
    .await;
    assert!(bad["values"]["level"].is_null() && bad["bad"]["level"]["reason"].is_string(), "{bad}");
    let state = heard.last("/meter/state", |s| s["properties"]["level"]["quality"] == "stale").await.json();
    assert_eq!(state["properties"]["level"]["value"], 7, "the last good value stays, with its time");
    let shown = bridge.shows("default/meter", "offline", |d| d["live"]["state"] == "offline").await;
    assert_eq!(condition(&shown, "Reachable")["status"], "False", "{shown}");
    let told = |d: &Json| d["devices"]["default/meter"]["reason"] == *reason;
    heard.last("bridge/gw-1/devices", told).await;

    plant.bank.set(1, Table::InputRegister, 0, &[8]);
    plant.up().await;
    heard.last("/meter/availability", |a| a["state"] == "online").await;
    heard.last("/meter/readings", |r| r["values"] == json!({"level": 8}) && r.get("bad").is_none()).await;
    heard.last("/meter/state", |s| s["properties"]["level"]["quality"] == "good").await;
    heard.last("bridge/gw-1/devices", |d| d["devices"]["default/meter"] == json!({"ready": true})).await;
    let seqs: Vec<_> = heard.on("/meter/readings").iter().map(|r| r.json()["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_dead_unit_leaves_its_neighbours_their_rate() {
    const PERIOD: i64 = 1000;
    let broker = Broker::start("");
    let heard = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let pty = Pty::open().unwrap();
    let line = pty.path().display().to_string();
    let bank = Registers::new([1, 3], 8);
    let server = tokio::spawn(async move { serve(pty, Framing::Rtu, &bank, Some(9600)).await });
    let folder = Folder::new();
    for (name, unit) in [("first", 1), ("dead", 2), ("third", 3)] {
        let endpoint = format!("{{ serial: {{ path: {line}, baud: 9600 }}, unit: {unit}, timeout: 500ms }}");
        let text = device(name, &endpoint, &[("level", LEVEL)]).replace("pollEvery: 100ms", "pollEvery: 1s");
        folder.write(&format!("{name}.yaml"), &text);
    }
    let bridge = Bridge::start(folder.path(), &broker.url()).await;
    let offline = heard.last("/dead/availability", |a| a["reason"] == "timeout").await.json();
    assert_eq!(offline["state"], "offline");
    let bad = heard.last("/dead/readings", |r| r["bad"]["level"]["reason"] == "timeout").await.json();
    assert!(bad["values"]["level"].is_null());
    let good = |name: &str| -> Vec<Json> {
        let all = heard.on(&format!("/{name}/readings"));
        all.iter().map(Heard::json).filter(|r| r["values"]["level"].is_number()).collect()
    };
    for name in ["first", "third"] {
        until(&format!("readings of {name}"), async || (good(name).len() > 12).then_some(())).await;
        let readings = good(name);
        // Polls fall on a grid: twelve periods hold twelve readings, unless some were skipped or failed; a machine that is
        // busy with other things may cost one or two.
        let halves = (time(&readings[12]) - time(&readings[0])) / (PERIOD / 2);
        assert!(halves < 30, "{name}: 12 readings took {halves} half periods");
        assert_eq!(heard.on(&format!("/{name}/availability")).last().unwrap().json()["state"], "online");
    }
    let shown = bridge.shows("default/dead", "offline", |d| condition(d, "Reachable")["reason"] == "Timeout").await;
    assert_eq!(condition(&shown, "Ready")["status"], "False");
    server.abort();
}

#[tokio::test]
async fn a_device_that_refuses_everything_answers_and_is_not_ready() {
    let broker = Broker::start("");
    let heard = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let plant = Plant::start(Probe::new([1], &[])).await;
    let folder = Folder::new();
    let beyond = "type: uint16, modbus: { table: inputRegister, register: 900 }";
    folder.write("meter.yaml", &device("meter", &plant.endpoint(1), &[("level", beyond)]));
    let bridge = Bridge::start(folder.path(), &broker.url()).await;
    let rejected = |d: &Json| condition(d, "Ready")["reason"] == "Rejected";
    let shown = bridge.shows("default/meter", "refusing", rejected).await;
    assert_eq!(condition(&shown, "Reachable")["status"], "True", "{shown}");
    assert_eq!(condition(&shown, "Ready")["status"], "False", "{shown}");
    let message = condition(&shown, "Reachable")["message"].as_str().unwrap();
    assert!(message.contains("level: ") && message.contains("address"), "{message}");
    // Nobody has a value of it.
    heard.last("/meter/availability", |a| a["state"] == "offline").await;
}
