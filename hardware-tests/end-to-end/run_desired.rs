//! `desired` through the running bridge: read first, written once, verified, and said so.

#![allow(clippy::unwrap_used)] // a test

mod common;

use common::{
    bridge::{Bridge, Folder, condition, device, fieldgate},
    broker::Broker,
    plant::{Plant, Probe},
    subscriber::Subscriber,
    until,
};
use fieldgate::data::Version;
use mapper_modbus::Table::HoldingRegister;
use serde_json::{Value as Json, json};

/// Float32, a scaled int16, and one that refuses.
const UNITS: [(u8, &str, &str); 3] = [
    (1, "exact", "type: float32"),
    (2, "scaled", "type: int16, scale: 0.1"),
    (3, "stubborn", "type: int16, scale: 0.1"),
];

fn write(folder: &Folder, plant: &Plant, desired: &str) {
    for (unit, name, kind) in UNITS {
        let rest =
            format!("{kind}, access: readWrite, desired: {desired}, modbus: {{ table: holdingRegister, register: 4 }}");
        folder.write(&format!("{name}.yaml"), &device(name, &plant.endpoint(unit), &[("setpoint", &rest)]));
    }
}

#[tokio::test]
async fn what_is_desired_is_written_once_and_what_became_of_it_is_told() {
    let broker = Broker::start("");
    let heard = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let bank = Probe::new([1, 2, 3], &[3]);
    let plant = Plant::start(bank.clone()).await;
    bank.set(2, HoldingRegister, 4, &[190]);
    let folder = Folder::new();
    write(&folder, &plant, "21.3");
    let bridge = Bridge::start(folder.path(), &broker.url()).await;

    let held = |s: &Json| s["properties"]["setpoint"]["synced"] == true && s["properties"]["setpoint"]["value"] == 21.3;
    for name in ["exact", "scaled"] {
        let state = heard.last(&format!("/{name}/state"), held).await.json();
        assert_eq!(state["properties"]["setpoint"]["desired"], 21.3, "{state}");
        let id = format!("default/{name}");
        let shown = bridge.shows(&id, "synced", |d| condition(d, "Synced")["reason"] == "Synced").await;
        assert_eq!(condition(&shown, "Synced")["status"], "True");
        assert_eq!(condition(&shown, "Ready")["status"], "True");
        assert_eq!(shown["status"]["reported"]["setpoint"], json!({"value": 21.3, "desired": 21.3}));
    }
    let refused = bridge.shows("default/stubborn", "refused", |d| condition(d, "Synced")["reason"] == "Refused").await;
    let said = condition(&refused, "Synced");
    assert_eq!(said["status"], "False");
    assert!(said["message"].as_str().unwrap().contains("setpoint"), "{said}");
    heard.last("/stubborn/state", |s| s["properties"]["setpoint"]["synced"] == false).await;
    let not_ready = |d: &Json| d["devices"]["default/stubborn"]["reason"] == "refused";
    heard.last("bridge/gw-1/devices", not_ready).await;

    // A person asks, too.
    let mut command = fieldgate();
    command.args(["health", "--devices", "--http", &bridge.http.to_string()]);
    let asked = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let printed: Json = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!(condition(&printed["devices"]["default/exact"], "Synced")["status"], "True");

    // Thirty polls later there is still one write to each.
    for (unit, ..) in UNITS {
        bank.read(unit, bank.reads(unit) + 30).await;
    }
    let bits = 21.3_f32.to_bits();
    let words = vec![(bits >> 16) as u16, (bits & 0xffff) as u16];
    assert_eq!(bank.writes(1), [(HoldingRegister, 4, words)]);
    assert_eq!(bank.writes(2), [(HoldingRegister, 4, vec![213])]);
    assert_eq!(bank.writes(3), [(HoldingRegister, 4, vec![213])]);

    // Somebody turns the knob: it is told at once, and not fought over within the minute.
    bank.set(2, HoldingRegister, 4, &[190]);
    let drifted =
        |s: &Json| s["properties"]["setpoint"]["synced"] == false && s["properties"]["setpoint"]["value"] == 19.0;
    heard.last("/scaled/state", drifted).await;
    let shown = bridge.shows("default/scaled", "drift", |d| condition(d, "Synced")["status"] == "False").await;
    assert_eq!(shown["status"]["reported"]["setpoint"], json!({"value": 19.0, "desired": 21.3}));
    bank.read(2, bank.reads(2) + 20).await;
    assert_eq!(bank.writes(2).len(), 1);

    // A new spec is written at once.
    write(&folder, &plant, "22.5");
    heard.last("/scaled/state", |s| s["properties"]["setpoint"]["value"] == 22.5).await;
    bank.read(2, bank.reads(2) + 10).await;
    assert_eq!(bank.writes(2)[1..], [(HoldingRegister, 4, vec![225])]);
}

#[tokio::test]
async fn what_the_device_already_holds_is_not_written() {
    let broker = Broker::start("");
    let bank = Probe::new([1, 2, 3], &[]);
    let plant = Plant::start(bank.clone()).await;
    let bits = 21.3_f32.to_bits();
    bank.set(1, HoldingRegister, 4, &[(bits >> 16) as u16, (bits & 0xffff) as u16]);
    bank.set(2, HoldingRegister, 4, &[213]);
    let folder = Folder::new();
    write(&folder, &plant, "21.3");
    let bridge = Bridge::start(folder.path(), &broker.url()).await;
    for (unit, name, _) in &UNITS[..2] {
        bridge.shows(&format!("default/{name}"), "synced", |d| condition(d, "Synced")["reason"] == "Synced").await;
        bank.read(*unit, 20).await;
        assert_eq!(bank.writes(*unit), []);
    }
}

#[tokio::test]
async fn a_device_that_cannot_be_read_is_ready_once_it_took_what_is_desired() {
    let broker = Broker::start("");
    let bank = Probe::new([1], &[]);
    let plant = Plant::start(bank.clone()).await;
    let folder = Folder::new();
    let rest = "type: int16, access: write, desired: 7, modbus: { table: holdingRegister, register: 4 }";
    folder.write("lamp.yaml", &device("lamp", &plant.endpoint(1), &[("level", rest)]));
    let bridge = Bridge::start(folder.path(), &broker.url()).await;
    let shown = bridge.shows("default/lamp", "ready", |d| condition(d, "Ready")["status"] == "True").await;
    assert_eq!(condition(&shown, "Reachable")["status"], "True", "{shown}");
}

/// The property of a device that is to be left at 5, whatever is desired.
fn valve(desired: &str) -> String {
    format!(
        "type: int16, scale: 0.1, access: readWrite, desired: {desired}, safe: 0.5, \
         modbus: {{ table: holdingRegister, register: 4 }}"
    )
}

#[tokio::test]
async fn a_deleted_device_is_left_in_its_safe_state_and_nothing_else_is() {
    let broker = Broker::start("");
    let bank = Probe::new([1, 2, 3], &[2]);
    let plant = Plant::start(bank.clone()).await;
    let folder = Folder::new();
    let put = |name: &str, unit: u8, head: &str, desired: &str| {
        let text = device(name, &plant.endpoint(unit), &[("valve", &valve(desired))]);
        folder.write(&format!("{name}.yaml"), &text.replace("spec:", &format!("spec:\n  {head}")));
    };
    // Unit 2 refuses every write, unit 9 never answers.
    for (name, unit) in [("boiler", 1), ("stubborn", 2), ("mover", 3), ("silent", 9)] {
        put(name, unit, "nodeName: gw-1", "7");
    }
    let written = |value: u16| vec![(HoldingRegister, 4, vec![value])];
    let mut bridge = Bridge::start(folder.path(), &broker.url()).await;
    for name in ["boiler", "mover"] {
        bridge.shows(&format!("default/{name}"), "synced", |d| condition(d, "Synced")["reason"] == "Synced").await;
    }
    bridge.shows("default/stubborn", "refused", |d| condition(d, "Synced")["reason"] == "Refused").await;

    // An edit replaces the device, which is no deletion.
    put("boiler", 1, "nodeName: gw-1", "8");
    until("the new desired value", async || (bank.writes(1).len() == 2).then_some(())).await;
    assert_eq!(bank.writes(1)[1..], written(80));
    assert_eq!(bank.writes(3), written(70));

    put("mover", 3, "nodeName: gw-2", "7");
    folder.remove("stubborn.yaml");
    folder.remove("silent.yaml");
    until("the safe value of the one that moves", async || (bank.writes(3).len() == 2).then_some(())).await;
    assert_eq!(bank.writes(3)[1..], written(5));
    let told = |device: &'static str, what: &'static str| {
        let bridge = &bridge;
        async move {
            let says = |line: &str| line.contains(&format!("default/{device}\"")) && line.contains(what);
            until(&format!("{device}: {what}"), async || bridge.log().lines().any(says).then_some(())).await;
        }
    };
    told("mover", "Wrote a safe value.").await;
    told("stubborn", "Safe value not written: the device refused it").await;
    told("silent", "Safe value not written: ").await;
    let before = bank.reads(1);
    bank.read(1, before + 10).await;

    // Deleted, and made again.
    folder.remove("boiler.yaml");
    until("the safe value", async || (bank.writes(1).len() == 3).then_some(())).await;
    assert_eq!(bank.writes(1)[2..], written(5));
    put("boiler", 1, "nodeName: gw-1", "9");
    until("the desired value", async || (bank.writes(1).len() == 4).then_some(())).await;
    assert_eq!(bank.writes(1)[3..], written(90));

    // The bridge stops: the device goes on as it is.
    bridge.signal("TERM");
    assert!(bridge.ended().await.success());
    assert_eq!(bank.writes(1).len(), 4);
}
