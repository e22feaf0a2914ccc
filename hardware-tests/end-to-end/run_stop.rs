//! The ends of a running bridge, and a start without a broker: what was read is not lost, and what became of the bridge is
//! told.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::time::{Duration, Instant};

use common::{
    bridge::{Bridge, Folder, LEVEL, device},
    broker::Broker,
    gate::Gate,
    plant::{Plant, Probe},
    subscriber::{Heard, Subscriber},
    until,
};
use fieldgate::data::Version;
use serde_json::{Value as Json, json};

const UNITS: [u8; 4] = [1, 2, 3, 4];

/// Devices on a bus each, so that their requests are under way at the same time.
async fn plants(folder: &Folder) -> Vec<Plant> {
    let mut plants = Vec::new();
    for unit in UNITS {
        let plant = Plant::start(Probe::new([unit], &[])).await;
        folder
            .write(&format!("d{unit}.yaml"), &device(&format!("d{unit}"), &plant.endpoint(unit), &[("level", LEVEL)]));
        plants.push(plant);
    }
    plants
}

/// The readings of a unit's device by `seq`, each once, in the order of their first arrival.
fn readings(heard: &Subscriber, unit: u8) -> Vec<Json> {
    let mut all: Vec<Json> = Vec::new();
    for reading in heard.on(&format!("/d{unit}/readings")).iter().map(Heard::json) {
        if !all.iter().any(|r| r["seq"] == reading["seq"]) {
            all.push(reading);
        }
    }
    all
}

/// Every answer that a plant gave has arrived as a reading of its own, from `seq` 1 without a gap.
async fn all_arrived(heard: &Subscriber, plants: &[Plant]) {
    for (unit, plant) in UNITS.into_iter().zip(plants) {
        let answered = plant.bank.reads(unit);
        until(&format!("{answered} readings of unit {unit}"), async || {
            (readings(heard, unit).len() >= answered).then_some(())
        })
        .await;
        let seqs: Vec<_> = readings(heard, unit).iter().map(|r| r["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, (1..=answered as u64).collect::<Vec<_>>(), "unit {unit}");
    }
}

#[tokio::test]
async fn an_orderly_stop_loses_no_reading_and_says_goodbye() {
    let broker = Broker::start("");
    let heard = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let folder = Folder::new();
    let plants = plants(&folder).await;
    let mut bridge = Bridge::start(folder.path(), &broker.url()).await;
    for (unit, plant) in UNITS.into_iter().zip(&plants) {
        plant.bank.read(unit, 20).await;
    }
    bridge.signal("TERM");
    let since = Instant::now();
    let status = bridge.ended().await;
    assert!(status.success(), "{status}");
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    all_arrived(&heard, &plants).await;
    let state = heard.last("bridge/gw-1/state", |s| s["state"] == "offline").await.json();
    assert_eq!(state["reason"], "stopped");
    let late = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let retained = late.last("bridge/gw-1/state", Json::is_object).await;
    assert!(retained.retain);
    assert_eq!(retained.json()["state"], "offline");
    assert_eq!(retained.json()["reason"], "stopped");
    late.last("/d1/state", Json::is_object).await;
}

#[tokio::test]
async fn an_orderly_stop_without_a_broker_or_a_device_ends_in_time_too() {
    let folder = Folder::new();
    let mut plants = plants(&folder).await;
    let mut bridge = Bridge::start(folder.path(), "mqtt://127.0.0.1:9").await;
    plants[0].bank.read(1, 3).await;
    plants[0].down().await;
    bridge.shows("default/d1", "offline", |d| d["live"]["state"] == "offline").await;
    bridge.signal("TERM");
    let since = Instant::now();
    let status = bridge.ended().await;
    assert!(status.success(), "{status}");
    assert!(since.elapsed() < Duration::from_secs(7), "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_silent_device_and_a_frozen_broker_do_not_hold_up_the_stop() {
    let broker = Broker::start("");
    let heard = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let folder = Folder::new();
    let plant = Plant::start(Probe::new([1], &[])).await;
    folder.write("d1.yaml", &device("d1", &plant.endpoint(1), &[("level", LEVEL)]));
    // Nobody answers for unit 9, and its time-out is longer than anybody waits for a stop.
    let silent = format!("{{ tcp: \"localhost:{}\", unit: 9, timeout: 1m }}", plant.port);
    folder.write("d9.yaml", &device("d9", &silent, &[("level", LEVEL)]));
    let mut bridge = Bridge::start(folder.path(), &broker.url()).await;
    heard.last("/d1/availability", |a| a["state"] == "online").await;
    until("both buses", async || (plant.connections() == 2).then_some(())).await;
    broker.freeze();
    plant.bank.read(1, plant.bank.reads(1) + 3).await;
    bridge.signal("TERM");
    let since = Instant::now();
    let status = bridge.ended().await;
    broker.thaw();
    assert!(status.success(), "{status}");
    assert!(since.elapsed() < Duration::from_secs(7), "{:?}: five seconds are given", since.elapsed());
}

#[tokio::test]
async fn a_killed_bridge_is_told_by_its_will() {
    let broker = Broker::start("");
    let heard = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let folder = Folder::new();
    let plants = plants(&folder).await;
    let mut bridge = Bridge::start(folder.path(), &broker.url()).await;
    plants[0].bank.read(1, 3).await;
    let online = heard.last("bridge/gw-1/state", |s| s["state"] == "online").await.json();
    bridge.signal("KILL");
    assert!(!bridge.ended().await.success());
    let will = heard.last("bridge/gw-1/state", |s| s["state"] == "offline").await.json();
    assert_eq!(will, json!({"state": "offline", "boot": online["boot"]}));
    let late = Subscriber::new(Version::V5, broker.port, "fieldgate/bridge/#").await;
    let retained = late.last("bridge/gw-1/state", Json::is_object).await;
    assert!(retained.retain);
    assert_eq!(retained.json(), will);
}

#[tokio::test]
async fn what_was_read_before_the_broker_came_arrives_too() {
    let broker = Broker::start("");
    let heard = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let folder = Folder::new();
    let plants = plants(&folder).await;
    // The subscriber is there before the bridge can be: the bridge's way to the broker opens later.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut bridge = Bridge::start(folder.path(), &format!("mqtt://127.0.0.1:{port}")).await;
    for (unit, plant) in UNITS.into_iter().zip(&plants) {
        plant.bank.read(unit, 10).await;
    }
    assert_eq!(bridge.page("/readyz").await, "ok\n", "it is ready without a broker");
    let early: Vec<_> = UNITS.into_iter().zip(&plants).map(|(unit, plant)| plant.bank.reads(unit) as u64).collect();
    assert!(heard.all().is_empty());
    let _gate = Gate::at(port, broker.port).await;
    for unit in UNITS {
        let live = |r: &Json| r.get("historical").is_none();
        heard.last(&format!("/d{unit}/readings"), live).await;
    }
    bridge.signal("TERM");
    assert!(bridge.ended().await.success());
    all_arrived(&heard, &plants).await;
    for (unit, early) in UNITS.into_iter().zip(early) {
        // The last of them may still have been on its way from the device to the outbox.
        let before = readings(&heard, unit).into_iter().filter(|r| r["seq"].as_u64().unwrap() < early);
        assert!(before.clone().all(|r| r["historical"] == true), "unit {unit}");
        assert!(before.count() > 0);
    }
}
