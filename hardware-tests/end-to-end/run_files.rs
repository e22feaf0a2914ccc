//! The folder of a running bridge: edits, mistakes, deletions, renames and swapped links, seen by a subscriber and by the
//! simulated devices.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path, time::Duration};

use common::{
    bridge::{Bridge, Folder, LEVEL, condition, device},
    broker::Broker,
    plant::{Plant, Probe},
    subscriber::Subscriber,
    until,
};
use fieldgate::data::Version;
use serde_json::{Value as Json, json};

/// An edit takes effect within this time.
const EFFECT: Duration = Duration::from_secs(2);

/// Two devices on one bus, a broker, and somebody who listens.
struct Site {
    folder: Folder,
    plant: Plant,
    broker: Broker,
    heard: Subscriber,
}

impl Site {
    async fn new() -> Self {
        let broker = Broker::start("");
        let heard = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
        Self { folder: Folder::new(), plant: Plant::start(Probe::new([1, 2, 3], &[])).await, broker, heard }
    }

    fn device(&self, name: &str, unit: u8, property: &str) -> String {
        device(name, &self.plant.endpoint(unit), &[(property, LEVEL)])
    }

    async fn run(&self) -> Bridge {
        Bridge::start(self.folder.path(), &self.broker.url()).await
    }

    fn readings(&self, name: &str) -> Vec<Json> {
        self.heard.on(&format!("/{name}/readings")).iter().map(common::subscriber::Heard::json).collect()
    }

    /// Waits for a reading of this property.
    async fn reads(&self, name: &str, property: &str) {
        until(&format!("{name}: a reading of {property}"), async || {
            self.readings(name).last().filter(|r| r["values"][property].is_number()).map(|_| ())
        })
        .await;
    }

    /// The same, as fast as an edit must take effect.
    async fn soon_reads(&self, name: &str, property: &str) {
        let in_time = tokio::time::timeout(EFFECT, self.reads(name, property)).await;
        assert!(
            in_time.is_ok(),
            "the edit of {name} had no effect within {EFFECT:?}: {:?}",
            self.readings(name).last()
        );
    }

    /// Waits for so many more readings of a device.
    async fn more(&self, name: &str, count: usize) {
        let enough = self.readings(name).len() + count;
        until(&format!("{count} more of {name}"), async || (self.readings(name).len() >= enough).then_some(())).await;
    }

    /// Every `seq` from 1 on, in one boot.
    fn unbroken(&self, name: &str) {
        let readings = self.readings(name);
        let boots: BTreeSet<_> = readings.iter().map(|r| r["boot"].as_str().unwrap()).collect();
        assert_eq!(boots.len(), 1);
        let seqs: Vec<_> = readings.iter().map(|r| r["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "{name}");
    }
}

#[tokio::test]
async fn an_edit_takes_effect_for_its_device_alone() {
    let site = Site::new().await;
    let bridge = site.run().await;
    site.folder.write("south.yaml", &site.device("south", 2, "level"));
    site.soon_reads("south", "level").await;
    site.folder.write("north.yaml", &site.device("north", 1, "level"));
    site.soon_reads("north", "level").await;
    site.folder.write("north.yaml", &site.device("north", 1, "depth"));
    site.soon_reads("north", "depth").await;
    site.more("north", 5).await;
    site.more("south", 5).await;
    site.unbroken("north");
    site.unbroken("south");
    assert!(site.readings("south").iter().all(|r| r["values"]["level"].is_number()), "the neighbour was disturbed");
    assert_eq!(site.plant.connections(), 1, "the bus was opened again");
    assert_eq!((bridge.taken_on("default/north"), bridge.taken_on("default/south")), (2, 1));
    let state = site.heard.last("/north/state", |state| state["properties"]["depth"]["quality"] == "good").await;
    assert!(state.json()["properties"].get("level").is_none());
    let shown = bridge.shows("default/north", "generation 2", |d| d["status"]["observedGeneration"] == 2).await;
    assert_eq!(condition(&shown, "Ready")["status"], "True", "{shown}");
}

#[tokio::test]
async fn a_broken_file_neither_hides_the_others_nor_stops_its_own_device() {
    let site = Site::new().await;
    site.folder.write("north.yaml", &site.device("north", 1, "level"));
    site.folder.write("south.yaml", &site.device("south", 2, "level"));
    let bridge = site.run().await;
    site.reads("north", "level").await;
    site.reads("south", "level").await;
    let good = site.device("north", 1, "depth");
    let wrong = good.replace("register: 0", "register: 70000");
    let said = "spec.properties[0].modbus.register: 70000 is not in 0..65535";
    site.folder.write("north.yaml", &wrong);
    let named = |devices: &Json| {
        let north = &devices["devices"]["default/north"];
        north["ready"] == false && north["reason"] == "config" && north["message"].as_str().unwrap().contains(said)
    };
    let devices = site.heard.last("bridge/gw-1/devices", named).await.json();
    assert_eq!(devices["devices"]["default/south"], json!({"ready": true}), "{devices}");
    site.folder.write("third.yaml", &site.device("third", 3, "level"));
    site.soon_reads("third", "level").await;
    site.more("north", 5).await;
    site.more("south", 5).await;

    // No YAML at all: its last good text stays in force, which is the wrong one above, and so does the device.
    site.folder.write("north.yaml", "spec: [");
    until("the broken file in the log", async || {
        bridge.log().lines().find(|line| line.contains("north.yaml") && line.contains("last good")).map(|_| ())
    })
    .await;
    site.more("north", 5).await;
    site.more("south", 5).await;

    site.folder.write("north.yaml", &good);
    site.soon_reads("north", "depth").await;
    site.heard.last("bridge/gw-1/devices", |d| d["devices"]["default/north"] == json!({"ready": true})).await;
    for name in ["north", "south", "third"] {
        site.unbroken(name);
    }
    assert_eq!(site.plant.connections(), 1);
}

#[tokio::test]
async fn a_deleted_file_clears_what_was_retained() {
    let site = Site::new().await;
    site.folder.write("north.yaml", &site.device("north", 1, "level"));
    site.folder.write("south.yaml", &site.device("south", 2, "level"));
    let _bridge = site.run().await;
    for name in ["north", "south"] {
        site.heard.last(&format!("/{name}/availability"), |a| a["state"] == "online").await;
        site.heard.last(&format!("/{name}/state"), |s| s["properties"]["level"]["quality"] == "good").await;
    }
    site.folder.remove("north.yaml");
    for topic in ["state", "availability", "info"] {
        let end = format!("/north/{topic}");
        until(&format!("{end} cleared"), async || {
            site.heard.on(&end).last().filter(|h| h.payload.is_empty()).map(|_| ())
        })
        .await;
    }
    site.heard.last("bridge/gw-1/devices", |d| d["count"] == 1).await;
    site.more("south", 3).await;
    let late = Subscriber::new(Version::V5, site.broker.port, "fieldgate/#").await;
    late.last("/south/info", Json::is_object).await;
    late.last("/south/readings", Json::is_object).await;
    assert_eq!(late.on("/north/state").len() + late.on("/north/info").len() + late.on("/north/availability").len(), 0);
    site.unbroken("south");
}

#[tokio::test]
async fn a_device_that_moves_to_another_node_keeps_its_retained_topics() {
    let site = Site::new().await;
    let north = site.device("north", 1, "level");
    site.folder.write("north.yaml", &north);
    site.folder.write("south.yaml", &site.device("south", 2, "level"));
    let _bridge = site.run().await;
    site.heard.last("/north/state", |s| s["properties"]["level"]["quality"] == "good").await;
    let moved = north.replacen("spec:\n", "spec:\n  nodeName: gw-2\n", 1);
    assert_ne!(moved, north);
    site.folder.write("north.yaml", &moved);
    site.heard.last("bridge/gw-1/devices", |d| d["count"] == 1).await;
    site.more("south", 3).await;
    let late = Subscriber::new(Version::V5, site.broker.port, "fieldgate/#").await;
    for topic in ["state", "availability", "info"] {
        late.last(&format!("/north/{topic}"), Json::is_object).await;
    }
}

#[tokio::test]
async fn the_rename_of_an_editor_is_seen() {
    let site = Site::new().await;
    site.folder.write("north.yaml", &site.device("north", 1, "level"));
    let _bridge = site.run().await;
    site.reads("north", "level").await;
    let at = |name: &str| site.folder.path().join(name);
    let aside = Folder::new();
    for (n, property) in ["one", "two", "three"].into_iter().enumerate() {
        // Some keep the old file aside, some write over it.
        if n == 1 {
            fs::rename(at("north.yaml"), at("north.yaml~")).unwrap();
        }
        // It is written elsewhere, so that nothing but the rename happens in the folder.
        aside.write("new", &site.device("north", 1, property));
        fs::rename(aside.path().join("new"), at("north.yaml")).unwrap();
        site.soon_reads("north", property).await;
    }
    site.unbroken("north");
    assert_eq!(site.plant.connections(), 1);
}

/// Puts a version of the files in force, as a kubelet does with a ConfigMap.
fn swap(folder: &Path, version: &str, text: &str) {
    let data = folder.join(version);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("north.yaml"), text).unwrap();
    symlink(version, folder.join("..data_tmp")).unwrap();
    let before = fs::read_link(folder.join("..data")).ok();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    if let Some(before) = before {
        fs::remove_dir_all(folder.join(before)).unwrap();
    }
}

#[tokio::test]
async fn the_swapped_links_of_a_config_map_are_seen() {
    let site = Site::new().await;
    swap(site.folder.path(), "..2026_01", &site.device("north", 1, "level"));
    symlink("..data/north.yaml", site.folder.path().join("north.yaml")).unwrap();
    let _bridge = site.run().await;
    site.reads("north", "level").await;
    for (version, property) in [("..2026_02", "one"), ("..2026_03", "two")] {
        swap(site.folder.path(), version, &site.device("north", 1, property));
        site.soon_reads("north", property).await;
    }
    site.unbroken("north");
    assert_eq!(site.plant.connections(), 1);
}

#[tokio::test]
async fn a_file_edited_every_100_ms_harms_nobody_and_the_last_edit_wins() {
    let site = Site::new().await;
    site.folder.write("north.yaml", &site.device("north", 1, "level"));
    site.folder.write("south.yaml", &site.device("south", 2, "level"));
    let bridge = site.run().await;
    site.reads("north", "level").await;
    site.reads("south", "level").await;
    let before = site.readings("south").len();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    for n in 0..40 {
        tick.tick().await;
        site.folder.write("north.yaml", &site.device("north", 1, &format!("edit{n}")));
    }
    let during = site.readings("south").len() - before;
    assert!(during >= 10, "{during} readings of the neighbour within 4 s of edits, polled every 100 ms");
    site.soon_reads("north", "edit39").await;
    let seen: BTreeSet<_> = site
        .readings("north")
        .iter()
        .flat_map(|r| r["values"].as_object().unwrap().keys().cloned().collect::<Vec<_>>())
        .collect();
    assert!(seen.len() >= 4, "edits wait for the last one: {seen:?}");
    site.more("south", 3).await;
    site.more("north", 3).await;
    assert!(site.readings("north").last().unwrap()["values"]["edit39"].is_number());
    site.unbroken("north");
    site.unbroken("south");
    assert_eq!(site.plant.connections(), 1);
    let shown = bridge.shows("default/south", "ready", |d| condition(d, "Ready")["status"] == "True").await;
    assert_eq!(shown["status"]["observedGeneration"], 1);
    assert_eq!(bridge.taken_on("default/south"), 1);
}
