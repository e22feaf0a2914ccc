//! From an edit of `desired` to the value in the device, and to Synced=True in the stored status.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use hardware_tests::{
    bank::{Bank, HELD},
    figure::Figure,
};
use serde_json::json;

use super::{
    millis,
    objects::Device,
    stage::{Stage, path_of, pause},
};
use crate::Options;

const NODE: &str = "gw-desired";
const CHANGING: u16 = 5;

/// One edit on each of many Devices: a Device's own pace, which is slower than this, does not matter then.
pub fn measure(stage: &Stage, options: &Options) -> Result<()> {
    let samples = options.samples();
    let bank = Bank::open(samples)?;
    let names: Vec<String> = (0..samples).map(|k| format!("desired-{k:03}")).collect();
    for (name, port) in names.iter().zip(&bank.ports) {
        let device = Device { name, node: NODE, port: *port, changing: CHANGING, held: 1, desired: Some(HELD) };
        stage.create(&device.json())?;
    }
    let observer = stage.observer();
    let gateway = stage.gateway(NODE, &stage.kubeconfig(NODE)?)?;
    observer.all(samples, "Ready", Duration::from_secs(60 + samples as u64)).with_context(|| gateway.log())?;
    thread::sleep(Duration::from_secs(11)); // what was put off within the pace of a Device
    let (mut written, mut synced) = (Vec::new(), Vec::new());
    for (k, name) in names.iter().enumerate() {
        let path = format!("/spec/properties/{CHANGING}/desired");
        let start = Instant::now();
        stage.block(stage.api.patch(&path_of(name), &json!([{"op": "replace", "path": path, "value": 7}])))?;
        let confirmed = observer.when(name, "Synced", start, 2).with_context(|| gateway.log())?;
        synced.push(confirmed - start);
        let writes = bank.writes(k);
        let [write] = writes.as_slice() else { anyhow::bail!("{name}: writes {writes:?} where one was wanted") };
        ensure!(write.value == 7, "{name}: {write:?}");
        written.push(write.at - start);
        pause(Duration::from_millis(600)..Duration::from_millis(1_600));
    }
    gateway.stop()?;
    stage.clear()?;
    Figure::new("kube.desired.device", "s from PATCH of desired to the value in the device", "p99 < 1")
        .with("samples", samples)
        .with("p50", millis(&mut written, 0.5) / 1e3)
        .with("p99", millis(&mut written, 0.99) / 1e3)
        .print();
    Figure::new("kube.desired.synced", "s from PATCH of desired to Synced=True of that generation, stored", "p99 < 1")
        .with("samples", samples)
        .with("p50", millis(&mut synced, 0.5) / 1e3)
        .with("p99", millis(&mut synced, 0.99) / 1e3)
        .print();
    Ok(())
}
