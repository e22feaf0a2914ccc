//! A running bridge, its devices, its broker, and all that is heard of it over MQTT. Waits are long: they are there to end a
//! test that will not pass.

use std::{fs, process::Command, time::Duration};

use fieldgate::data::Version;
use serde_json::Value as Json;
use tokio::time::{Instant, sleep};

use super::{
    bridge::{Bridge, Folder},
    broker::Broker,
    gate::Gate,
    subscriber::{Heard, Subscriber},
};

/// The longest that anything may take: the silence of a Bluetooth device is noticed after half a minute once its interval is
/// known, and after more than three before; and a virtual machine under software emulation is slow.
const PATIENCE: Duration = Duration::from_secs(240);

/// A bridge with devices, and all that is heard of it.
pub struct Site {
    pub heard: Subscriber,
    pub bridge: Bridge,
    pub devices: Folder,
    secrets: Folder,
    pub broker: Broker,
    /// Between the bridge and the broker.
    pub gate: Gate,
}

impl Site {
    /// Starts the bridge with these devices (name and YAML) and secrets (`name/key` and content). What `log` says is logged.
    pub async fn with(program: Command, devices: &[(&str, String)], secrets: &[(&str, &str)], log: &str) -> Self {
        let broker = Broker::start("");
        let gate = Gate::to(broker.port).await;
        let heard = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
        let (folder, kept) = (Folder::new(), Folder::new());
        for (name, yaml) in devices {
            folder.write(&format!("{name}.yaml"), yaml);
        }
        for (path, text) in secrets {
            let path = kept.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let (folder_path, secrets_path) = (folder.path().to_str().unwrap(), kept.path().to_str().unwrap());
        let url = gate.url();
        let flags =
            ["--node", "gw-1", "--devices", folder_path, "--secrets", secrets_path, "--broker", &url, "--log", log];
        let bridge = Bridge::from(program, &flags).await;
        Self { heard, bridge, devices: folder, secrets: kept, broker, gate }
    }

    /// Puts a file (`name/key`) into the secrets folder.
    pub fn secret(&self, path: &str, text: &str) {
        let path = self.secrets.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The last message on a device's topic, when it fits.
    pub async fn last(&self, device: &str, topic: &str, fits: impl Fn(&Json) -> bool) -> Json {
        let end = format!("/{device}/{topic}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let last = self.heard.on(&end).last().map(Heard::json);
            if let Some(json) = last.as_ref().filter(|json| fits(json)) {
                return json.clone();
            }
            assert!(
                Instant::now() < deadline,
                "waited {PATIENCE:?} for a fitting message on {end}; the last: {last:?}"
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for a reading of this property, good and fitting; gives its place among the device's readings.
    pub async fn reads(&self, device: &str, property: &str, fits: impl Fn(&Json) -> bool) -> usize {
        self.reads_after(0, device, property, fits).await
    }

    /// The same among the readings from this place on.
    pub async fn reads_after(&self, from: usize, device: &str, property: &str, fits: impl Fn(&Json) -> bool) -> usize {
        let end = format!("/{device}/readings");
        let good = |json: &Json| json["bad"][property].is_null() && fits(&json["values"][property]);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let all = self.heard.on(&end);
            if let Some(place) = (from..all.len()).find(|place| good(&all[*place].json())) {
                return place;
            }
            let last = all.last().map(Heard::json);
            let what = format!("a fitting {property} among the readings of {device} from number {from} on");
            assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}; the last of {}: {last:?}", all.len());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// How many readings of this device came.
    pub fn count(&self, device: &str) -> usize {
        self.heard.on(&format!("/{device}/readings")).len()
    }

    /// The property's values in the device's readings from this place on, missing ones left out.
    pub fn values(&self, device: &str, property: &str, from: usize) -> Vec<Json> {
        let all = self.heard.on(&format!("/{device}/readings"));
        let values = all.iter().skip(from).filter_map(|heard| heard.json()["values"].get(property).cloned());
        values.filter(|value| !value.is_null()).collect()
    }

    /// Waits until the device is offline, and gives the reason.
    pub async fn offline(&self, device: &str) -> String {
        let told = self.last(device, "availability", |a| a["state"] == "offline" && a["reason"] != "notRead").await;
        told["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the device is online.
    pub async fn online(&self, device: &str) {
        self.last(device, "availability", |a| a["state"] == "online").await;
    }
}

/// Whether a value is this number, as near as a float32 is.
pub fn near(value: &Json, number: f64) -> bool {
    value.as_f64().is_some_and(|v| (v - number).abs() < 1e-4)
}
