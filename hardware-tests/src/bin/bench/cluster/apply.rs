//! From the creation of a Device to its first reading at a subscriber, and to Accepted in its stored status.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hardware_tests::{bank::Bank, figure::Figure};

use super::{
    millis,
    objects::{self, Device, NAMESPACE},
    stage::{Stage, pause},
};
use crate::Options;

const NODE: &str = "gw-apply";

/// One Device after the other, each of a model that stands already.
pub fn measure(stage: &Stage, options: &Options) -> Result<()> {
    let samples = options.samples();
    let bank = Bank::open(samples)?;
    stage.model(&objects::model(18, 2))?;
    let gateway = stage.gateway(NODE, &stage.kubeconfig(NODE)?)?;
    let (subscriber, observer) = (stage.subscriber()?, stage.observer());
    let (mut answered, mut first, mut accepted, mut ready) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (k, port) in bank.ports.iter().enumerate() {
        let name = format!("apply-{k:03}");
        let device = Device { name: &name, node: NODE, port: *port, changing: 0, held: 0, desired: None };
        let start = Instant::now();
        stage.create(&device.of_model())?;
        answered.push(start.elapsed());
        let topic = format!("fieldgate/device/{NAMESPACE}/{name}/readings");
        let mut came = start;
        subscriber
            .wait(&format!("a reading of {name}"), Duration::from_secs(30), |tally| {
                tally.devices.get(topic.as_bytes()).map(|seen| came = seen.first).is_some()
            })
            .with_context(|| gateway.log())?;
        first.push(came - start);
        let when = |condition| observer.when(&name, condition, start, 1).with_context(|| gateway.log());
        accepted.push(when("Accepted")? - start);
        ready.push(when("Ready")? - start);
        // No step with the polls' grid, and less than the five writes a second that a node may make.
        pause(Duration::from_millis(600)..Duration::from_millis(1_600));
    }
    gateway.stop()?;
    stage.clear()?;
    Figure::new("kube.apply.reading", "s from POST of a Device to its first reading over MQTT, poll 1 s", "p99 < 2")
        .with("samples", samples)
        .with("answeredP50", millis(&mut answered, 0.5) / 1e3)
        .with("p50", millis(&mut first, 0.5) / 1e3)
        .with("p99", millis(&mut first, 0.99) / 1e3)
        .print();
    Figure::new("kube.apply.accepted", "s from POST of a Device to Accepted=True in its stored status", "< 1")
        .with("samples", samples)
        .with("p50", millis(&mut accepted, 0.5) / 1e3)
        .with("p99", millis(&mut accepted, 0.99) / 1e3)
        .with("readyP50", millis(&mut ready, 0.5) / 1e3)
        .with("readyP99", millis(&mut ready, 0.99) / 1e3)
        .print();
    Ok(())
}
