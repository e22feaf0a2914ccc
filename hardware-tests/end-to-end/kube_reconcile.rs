//! Devices of a real API server: polled, written, told of, and left alone.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::time::Duration;

use common::{
    bridge::{LEVEL, condition},
    kube::{SETPOINT, Stage, shared},
    subscriber::Subscriber,
    until,
};
use fieldgate::data::Version;
use hardware_tests::cluster::{Entry, Gateway};
use mapper_modbus::Table::{HoldingRegister, InputRegister};
use serde_json::{Value as Json, json};

fn model(name: &str, properties: &str) -> String {
    format!(
        "apiVersion: fieldgate.dev/v1alpha1\nkind: DeviceModel\nmetadata: {{ name: {name} }}\nspec:\n  pollEvery: 100ms\n  \
         properties:\n{properties}"
    )
}

/// A Device that has everything but its endpoint from a model.
fn of_model(stage: &Stage, name: &str, unit: u8, model: &str) -> String {
    let (endpoint, node) = (stage.plant.endpoint(unit), stage.node("gw"));
    format!(
        "apiVersion: fieldgate.dev/v1alpha1\nkind: Device\nmetadata: {{ name: {name} }}\nspec:\n  nodeName: {node}\n  model: \
         {model}\n  protocol:\n    modbus: {endpoint}\n"
    )
}

fn has_level(readings: &Json, value: i64) -> bool {
    readings["values"]["level"] == value
}

/// What this gateway has written to the API so far.
fn writes(gateway: &Gateway) -> Vec<Entry> {
    let audit = shared().audit().unwrap().into_iter();
    audit.filter(|e| e.user == gateway.user() && !["get", "list", "watch"].contains(&e.verb.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_objects_does_not_matter_and_a_broken_one_hides_none() {
    let stage = Stage::new(shared(), "order", 1..=5, &[]).await;
    for unit in 1..=5 {
        stage.bank.set(unit, InputRegister, 0, &[u16::from(unit) * 10]);
    }
    let level = format!("  - {{ name: level, {LEVEL} }}\n");
    stage.apply(&of_model(&stage, "before-all", 1, "early"));
    stage.apply(&model("early", &level));
    let gateway = stage.gateway(shared(), "gw");
    let bridge = stage.bridge(&gateway, shared().endpoint(), None).await;
    // There before the bridge; the model before the device; the device before its model; another node's; a broken one.
    stage.apply(&of_model(&stage, "model-first", 2, "early"));
    stage.apply(&of_model(&stage, "device-first", 3, "late"));
    stage.apply(&stage.device("foreign", "elsewhere", 4, &[("level", LEVEL)]));
    let desires = "type: uint16, desired: 5, modbus: { table: inputRegister, register: 0 }";
    stage.apply(&stage.device("broken", "gw", 5, &[("level", desires)]));
    let waits = stage.is("device-first", "Accepted", "False").await;
    assert!(condition(&waits, "Accepted")["message"].as_str().unwrap().contains("late"), "{waits:#}");
    stage.apply(&model("late", &level));

    for (name, value) in [("before-all", 10), ("model-first", 20), ("device-first", 30)] {
        stage.heard.last(&format!("/{}/{name}/readings", stage.namespace), |r| has_level(r, value)).await;
        let wait = ["wait", "--for=condition=Ready", "--timeout=60s", "-n", &stage.namespace];
        stage.kubectl.ok(&[&wait[..], &[&format!("device/{name}")]].concat()).unwrap();
    }
    let broken = stage.is("broken", "Accepted", "False").await;
    let message = condition(&broken, "Accepted")["message"].as_str().unwrap();
    assert!(message.contains("desired"), "{message}");
    assert_eq!((stage.bank.reads(4), stage.bank.reads(5)), (0, 0), "not the own node's, and not accepted");
    let foreign = stage.kubectl.get(&stage.namespace, "device", "foreign").unwrap();
    assert!(foreign["status"].is_null(), "{foreign:#}");
    let table = stage.kubectl.ok(&["get", "devices", "-n", &stage.namespace]).unwrap();
    let row = table.lines().find(|line| line.starts_with("model-first")).unwrap();
    assert!(row.contains("early") && row.contains("modbus") && row.contains("True"), "{table}");
    drop(bridge);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desired_value_reaches_the_device_and_who_refuses_is_told_from_who_is_silent() {
    let stage = Stage::new(shared(), "desired", 1..=2, &[2]).await;
    let gateway = stage.gateway(shared(), "gw");
    let bridge = stage.bridge(&gateway, shared().endpoint(), None).await;
    for (name, unit) in [("good", 1), ("stubborn", 2), ("silent", 3)] {
        stage.apply(&stage.device(name, "gw", unit, &[("setpoint", SETPOINT)]));
    }
    stage.is("good", "Ready", "True").await;
    assert_eq!(stage.bank.writes(1), [], "nobody asked for anything");
    for name in ["good", "stubborn", "silent"] {
        stage.desire(name, &json!(215));
    }
    stage.written(1, 215).await;
    let good = stage.is("good", "Synced", "True").await;
    assert_eq!(condition(&good, "Synced")["reason"], "Synced");
    let reported = |object: &Json| object["status"]["reported"]["setpoint"] == json!({"value": 215, "desired": 215});
    stage.stored("good", "reported", reported).await;
    stage
        .kubectl
        .ok(&["wait", "--for=condition=Synced", "--timeout=60s", "-n", &stage.namespace, "device/good"])
        .unwrap();

    // It may have said that it is under way first.
    let stubborn = stage.stored("stubborn", "refused", |o| condition(o, "Synced")["reason"] == "Refused").await;
    assert_eq!(condition(&stubborn, "Synced")["status"], "False", "{stubborn:#}");
    assert_eq!(condition(&stubborn, "Reachable")["status"], "True");
    let silent = stage.is("silent", "Reachable", "False").await;
    assert_ne!(condition(&silent, "Synced")["status"], "True", "{silent:#}");
    assert_ne!(condition(&silent, "Synced")["reason"], "Refused", "{silent:#}");

    stage.desire("good", &json!(220));
    stage.written(1, 220).await;
    stage.stored("good", "220", |o| o["status"]["reported"]["setpoint"]["value"] == 220).await;
    assert_eq!(stage.bank.writes(1).len(), 2, "each once");
    assert_eq!(bridge.taken_on(&stage.id("stubborn")), 2, "its spec and its desired value");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_fleet_writes_nothing_and_its_own_words_change_nothing() {
    let stage = Stage::new(shared(), "quiet", 1..=3, &[]).await;
    let gateway = stage.gateway(shared(), "gw");
    for (name, unit) in [("a", 1), ("b", 2), ("c", 3)] {
        let properties = [("setpoint", SETPOINT), ("level", LEVEL)];
        stage.apply(&stage.device(name, "gw", unit, &properties));
    }
    let bridge = stage.bridge(&gateway, shared().endpoint(), None).await;
    for name in ["a", "b", "c"] {
        stage.is(name, "Ready", "True").await;
        stage.stored(name, "reported", |o| o["status"]["reported"]["setpoint"]["value"] == 0).await;
    }
    // An event may follow the status that it tells of.
    let mut settled = (0, tokio::time::Instant::now());
    until("no more writes", async || {
        let now = writes(&gateway).len();
        if now != settled.0 {
            settled = (now, tokio::time::Instant::now());
        }
        (settled.1.elapsed() > Duration::from_secs(2)).then_some(())
    })
    .await;
    let before = writes(&gateway);
    assert!(before.iter().all(|e| ["devices/status", "events"].contains(&e.resource.as_str())), "{before:#?}");
    assert!(before.iter().filter(|e| e.resource == "devices/status").count() <= 6, "{before:#?}");
    // Readings change with every poll; a read-only value is nothing for the API.
    for value in 1..=20 {
        for unit in 1..=3 {
            stage.bank.set(unit, InputRegister, 0, &[value]);
        }
        stage.polled(1, 2).await;
    }
    assert_eq!(writes(&gateway).len(), before.len(), "{:#?}", &writes(&gateway)[before.len()..]);
    for name in ["a", "b", "c"] {
        assert_eq!(bridge.taken_on(&stage.id(name)), 1, "a status echo rebuilt {name}");
    }
    // A value that may be written and that somebody else wrote is told: once.
    stage.bank.set(1, HoldingRegister, 4, &[7]);
    stage.stored("a", "7", |o| o["status"]["reported"]["setpoint"]["value"] == 7).await;
    assert_eq!(bridge.taken_on(&stage.id("a")), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_model_touches_its_devices_only_and_a_deleted_device_leaves_no_trace() {
    let stage = Stage::new(shared(), "model", 1..=3, &[]).await;
    let gateway = stage.gateway(shared(), "gw");
    let bridge = stage.bridge(&gateway, shared().endpoint(), None).await;
    stage.apply(&model("red", &format!("  - {{ name: level, {LEVEL} }}\n")));
    stage.apply(&model("blue", &format!("  - {{ name: level, {LEVEL} }}\n")));
    for (name, unit, of) in [("red-1", 1, "red"), ("red-2", 2, "red"), ("blue-1", 3, "blue")] {
        stage.apply(&of_model(&stage, name, unit, of));
    }
    for name in ["red-1", "red-2", "blue-1"] {
        stage.is(name, "Ready", "True").await;
    }
    let before = ["red-1", "red-2", "blue-1"].map(|name| bridge.taken_on(&stage.id(name)));
    let changed = "type: uint16, modbus: { table: inputRegister, register: 1 }";
    stage.apply(&model("red", &format!("  - {{ name: level, {changed} }}\n")));
    for (at, unit) in [("red-1", 1), ("red-2", 2)] {
        stage.bank.set(unit, InputRegister, 1, &[77]);
        stage.heard.last(&format!("/{}/{at}/readings", stage.namespace), |r| has_level(r, 77)).await;
    }
    let after = ["red-1", "red-2", "blue-1"].map(|name| bridge.taken_on(&stage.id(name)));
    assert_eq!([after[0] - before[0], after[1] - before[1], after[2] - before[2]], [1, 1, 0]);

    stage.kubectl.ok(&["delete", "device", "red-1", "-n", &stage.namespace]).unwrap();
    let gone = |end: &str| stage.heard.on(end).last().is_some_and(|heard| heard.payload.is_empty());
    let end = format!("/{}/red-1/state", stage.namespace);
    until("an empty retained message", async || gone(&end).then_some(())).await;
    bridge.shows(&stage.id("red-1"), "gone", Json::is_null).await;
    let late = Subscriber::new(Version::V5, stage.broker.port, "fieldgate/#").await;
    late.last(&format!("/{}/red-2/state", stage.namespace), |_| true).await;
    let left: Vec<_> = late.all().into_iter().filter(|h| h.retain && h.topic.contains("/red-1/")).collect();
    assert!(left.is_empty(), "{left:?}");
    let reads = stage.bank.reads(1);
    stage.polled(2, 10).await;
    assert_eq!(stage.bank.reads(1), reads, "it is still polled");
}
