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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_under_a_model_that_was_edited_while_no_bridge_ran_is_not_claimed() {
    let mut stage = Stage::new(shared(), "remodel", [1], &[]).await;
    let gateway = stage.gateway(shared(), "gw");
    let at = |register: u8, every: &str| {
        let setpoint = SETPOINT.replace("register: 4", &format!("register: {register}"));
        let text = model("valve", &format!("  - {{ name: setpoint, {setpoint} }}\n"));
        text.replace("pollEvery: 100ms", &format!("pollEvery: {every}"))
    };
    stage.apply(&at(4, "100ms"));
    let desired = "  properties:\n    - { name: setpoint, desired: 215 }\n";
    stage.apply(&(of_model(&stage, "valve", 1, "valve") + desired));
    let claims = |object: &Json, status: &str, model: i64| {
        condition(object, "Synced")["status"] == status && object["status"]["observedModelGeneration"] == model
    };
    let bridge = stage.bridge(&gateway, shared().endpoint(), None).await;
    stage.written(1, 215).await;
    stage.stored("valve", "synced", |o| claims(o, "True", 1)).await;

    // The desired value is to stand elsewhere now, and nobody can say whether it does.
    drop(bridge);
    stage.apply(&at(5, "100ms"));
    stage.plant.down().await;
    let bridge = stage.bridge(&gateway, shared().endpoint(), None).await;
    let silent = stage.stored("valve", "no longer synced", |o| claims(o, "Unknown", 2)).await;
    assert_eq!(condition(&silent, "Synced")["reason"], "NotRead", "{silent:#}");
    stage.plant.up().await;
    let ready = |o: &Json| claims(o, "True", 2) && condition(o, "Ready")["status"] == "True";
    stage.stored("valve", "synced again", ready).await;
    assert_eq!(stage.bank.writes(1).last().unwrap().1, 5, "the register of the edited model");
    stage.stored("valve", "reported", |o| o["status"]["reported"]["setpoint"]["value"] == 215).await;

    // An edit that changes nothing of what is told is no write: neither now nor after the next start.
    let reports = || writes(&gateway).iter().filter(|e| e.resource == "devices/status").count();
    let before = reports();
    stage.apply(&at(5, "200ms"));
    until("the edit", async || (bridge.taken_on(&stage.id("valve")) == 2).then_some(())).await;
    stage.polled(1, 5).await;
    drop(bridge);
    let bridge = stage.bridge(&gateway, shared().endpoint(), None).await;
    stage.polled(1, 20).await;
    bridge.shows(&stage.id("valve"), "ready", |d| condition(d, "Ready")["status"] == "True").await;
    assert_eq!(reports(), before, "{:#?}", writes(&gateway));
    stage.stored("valve", "told of the model before", ready).await;
}

/// A new node tells of many devices at once: never more than its cap, and first of those that need a person.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_writes_within_its_cap_and_trouble_first() {
    const DEVICES: usize = 60;
    let stage = Stage::new(shared(), "cap", [], &[]).await;
    let gateway = stage.gateway(shared(), "gw");
    let node = stage.node("gw");
    let device = |n: usize| {
        // The last ones name a model that is not there.
        let model = if n + 5 >= DEVICES { json!("missing") } else { Json::Null };
        json!({
            "apiVersion": "fieldgate.dev/v1alpha1", "kind": "Device", "metadata": {"name": format!("d{n:02}")},
            "spec": {
                "nodeName": node, "model": model, "protocol": {"virtual": {}},
                "properties": [{"name": "level", "type": "uint16", "virtual": {"constant": 5}}],
            },
        })
    };
    let all: Vec<Json> = (0..DEVICES).map(device).collect();
    stage.apply(&json!({"apiVersion": "v1", "kind": "List", "items": all}).to_string());
    let bridge = stage.bridge(&gateway, shared().endpoint(), None).await;
    let told = async || {
        let devices = stage.kubectl.ok(&["get", "devices", "-n", &stage.namespace, "-o", "json"]).unwrap();
        let devices: Json = serde_json::from_str(&devices).unwrap();
        let ready = |device: &Json| ["True", "False"].iter().any(|s| condition(device, "Ready")["status"] == *s);
        devices["items"].as_array().unwrap().iter().all(ready).then_some(())
    };
    until("the status of each device", told).await;
    let writes = writes(&gateway);
    let time = |entry: &Entry| entry.at.parse::<jiff::Timestamp>().unwrap();
    for (n, first) in writes.iter().enumerate() {
        for (m, last) in writes.iter().enumerate().skip(n) {
            let seconds = time(last).duration_since(time(first)).as_secs_f64();
            // One more, since requests are not equally long on their way.
            let cap = 20.0 + 5.0 * seconds + 1.0;
            assert!(
                u32::try_from(m - n + 1).is_ok_and(|count| f64::from(count) <= cap),
                "writes {n} to {m} in {seconds} s: {}",
                bridge.log()
            );
        }
    }
    let reports = writes.iter().filter(|entry| entry.resource == "devices/status");
    let broken: Vec<_> = reports.enumerate().filter(|(_, e)| *e.name >= *"d55").map(|(at, _)| at).collect();
    assert!(broken.len() == 5 && broken.iter().all(|at| *at < 25), "{broken:?}");
}

/// What a person reads of a Device whose last edit is refused, word for word. Times, and how wide a column is, differ from
/// run to run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_describe_reads_well() {
    let stage = Stage::new(shared(), "describe", [1], &[]).await;
    let gateway = stage.gateway(shared(), "gw");
    stage.apply(&stage.device("pump", "gw", 1, &[("setpoint", SETPOINT), ("level", LEVEL)]));
    let _bridge = stage.bridge(&gateway, shared().endpoint(), None).await;
    stage.is("pump", "Ready", "True").await;
    stage.desire("pump", &json!(70_000));
    let described = async || {
        let text = stage.kubectl.ok(&["describe", "device", "pump", "-n", &stage.namespace]).unwrap();
        (text.contains("Warning") && text.contains("Normal")).then_some(text)
    };
    let text = until("both events", described).await;
    let lines = text.lines().skip_while(|line| *line != "Status:").map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_age = |word: &&str| word.ends_with('s') && word.trim_end_matches('s').parse::<u32>().is_ok();
        let time = words.iter().position(|word| is_age(word) || word.parse::<jiff::Timestamp>().is_ok());
        words
            .iter()
            .enumerate()
            .map(|(n, word)| if Some(n) == time { "TIME" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    });
    let mut lines: Vec<String> = lines.collect();
    // Both in one second, perhaps.
    let events = lines.len() - 2;
    lines[events..].sort();
    let wrong = "spec.properties[0].desired: 70000 cannot be written as uint16; raw values from 0 to 65535 (the last accepted \
                 spec is still at work)";
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        let message = format!("Message: {message}").trim_end().to_owned();
        let rest = [("Observed Generation", "2"), ("Reason", reason), ("Status", status), ("Type", kind)];
        let rest = rest.map(|(key, value)| format!("{key}: {value}"));
        ["Last Transition Time: TIME".to_owned(), message].into_iter().chain(rest).collect::<Vec<_>>()
    };
    let line = |text: &str| vec![text.to_owned()];
    let expected = [
        line("Status:"),
        line("Conditions:"),
        condition("Accepted", "False", "Config", wrong),
        condition("Reachable", "True", "Answering", ""),
        condition("Synced", "True", "NothingDesired", ""),
        condition("Ready", "False", "Config", wrong),
        line("Observed Generation: 2"),
        line("Protocol: modbus"),
        line("Reported:"),
        line("Setpoint:"),
        line("Value: 0"),
        line("Events:"),
        line("Type Reason Age From Message"),
        line("---- ------ ---- ---- -------"),
        line("Normal Ready TIME fieldgate the device answers and holds what is desired"),
        line(&format!("Warning Config TIME fieldgate {wrong}")),
    ];
    assert_eq!(lines, expected.concat(), "{text}");
}
