//! A restart with no network: from exec to readings, from what was kept on disk.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use hardware_tests::{
    bank::Bank,
    broker::free_port,
    figure::{Figure, median},
};

use super::{objects::Device, stage::Stage};
use crate::Options;

const NODE: &str = "gw-offline";
const DEVICES: usize = 100;

/// The bridge runs once with the API server, then again and again without: at a port that refuses, and at one that takes
/// connections and says nothing.
pub fn measure(stage: &Stage, options: &Options) -> Result<()> {
    let bank = Bank::open(DEVICES)?;
    for (k, port) in bank.ports.iter().enumerate() {
        let name = format!("offline-{k:03}");
        let device = Device { name: &name, node: NODE, port: *port, changing: 15, held: 5, desired: None };
        stage.create(&device.json())?;
    }
    let config = stage.kubeconfig(NODE)?;
    let (observer, gateway) = (stage.observer(), stage.gateway(NODE, &config)?);
    observer.all(DEVICES, "Ready", Duration::from_secs(120)).with_context(|| gateway.log())?;
    gateway.stop()?;

    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let ways = [("refused", free_port()?), ("mute", mute.local_addr()?.port())];
    for (way, port) in ways {
        let lost = stage.lost(&config, port)?;
        let mut times = Vec::new();
        for _ in 0..options.rounds.max(5) {
            let subscriber = stage.subscriber()?;
            let start = Instant::now();
            let gateway = stage.gateway(NODE, &lost)?;
            subscriber
                .wait("a reading of each device", Duration::from_secs(60), |tally| tally.devices.len() == DEVICES)
                .with_context(|| gateway.log())?;
            let since: Vec<f64> =
                subscriber.tally()?.devices.values().map(|seen| (seen.first - start).as_secs_f64()).collect();
            times
                .push((since.iter().copied().fold(f64::INFINITY, f64::min), since.iter().copied().fold(0.0, f64::max)));
            gateway.stop()?;
        }
        Figure::new(
            &format!("kube.offline.{way}"),
            "s from exec to the first reading with the API server away, kept state",
            "< 1",
        )
        .with("devices", DEVICES)
        .with("first", median(times.iter().map(|(first, _)| *first)))
        .with("all", median(times.iter().map(|(_, all)| *all)))
        .with("worstFirst", times.iter().map(|(first, _)| *first).fold(0.0, f64::max))
        .print();
    }
    stage.clear()
}
