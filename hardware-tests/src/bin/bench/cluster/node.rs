//! Many devices on one node: what it costs when nothing changes, when the bridge restarts, and when every device flaps.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use hardware_tests::{bank::Bank, cluster::Entry, figure::Figure, proc};

use super::{
    audit::{kinds, moments, most_within},
    mib,
    objects::Device,
    observer::Observer,
    stage::{Gateway, Stage},
};
use crate::Options;

const NODE: &str = "gw-node";
const CHANGING: u16 = 20;
const HELD: u16 = 5;
/// How long every device is silent: longer than it takes to call one unreachable.
const SILENT: Duration = Duration::from_secs(20);

/// The node is set up once; then the window, the restart and the flap.
pub fn measure(stage: &Stage, options: &Options) -> Result<()> {
    let devices = options.devices();
    let bank = Bank::open(devices)?;
    for (k, port) in bank.ports.iter().enumerate() {
        let name = format!("node-{k:04}");
        let device = Device { name: &name, node: NODE, port: *port, changing: CHANGING, held: HELD, desired: None };
        stage.create(&device.json())?;
    }
    let observer = stage.observer();
    let config = stage.kubeconfig(NODE)?;
    let (start, mark) = (Instant::now(), stage.mark()?);
    let mut gateway = stage.gateway(NODE, &config)?;
    all_ready(&observer, &gateway, devices)?;
    let settled = start.elapsed();
    let first = settled_writes(stage, mark)?;
    Figure::new("kube.node.first", "s until each Device of a new node is Ready in its stored status", "")
        .with("devices", devices)
        .with("seconds", settled.as_secs_f64())
        .with("writes", kinds(&first))
        .print();

    quiet(stage, options, &mut gateway, devices)?;

    let mark = stage.mark()?;
    gateway.stop()?;
    let gateway = stage.gateway(NODE, &config)?;
    let subscriber = stage.subscriber()?;
    subscriber
        .wait("a reading of each device", Duration::from_secs(60), |tally| tally.devices.len() == devices)
        .with_context(|| gateway.log())?;
    thread::sleep(Duration::from_secs(if options.full { 120 } else { 30 }));
    Figure::new("kube.node.restart", "API writes after a restart of the bridge over a quiet fleet", "0")
        .with("devices", devices)
        .with("writes", kinds(&stage.writes(mark)?))
        .print();
    drop(subscriber);

    flap(stage, &bank, &observer, &gateway)?;
    gateway.stop()?;
    stage.clear()
}

fn all_ready(observer: &Observer, gateway: &Gateway, devices: usize) -> Result<()> {
    let within = Duration::from_secs(60 + devices as u64);
    observer.all(devices, "Ready", within).with_context(|| gateway.log())
}

/// The writes since a mark, once there was none for longer than the pace of a Device and of its Events puts off.
fn settled_writes(stage: &Stage, mark: u64) -> Result<Vec<Entry>> {
    let mut writes = stage.writes(mark)?;
    let mut last = Instant::now();
    while last.elapsed() < Duration::from_secs(25) {
        thread::sleep(Duration::from_secs(5));
        let now = stage.writes(mark)?;
        if now.len() != writes.len() {
            (writes, last) = (now, Instant::now());
        }
    }
    Ok(writes)
}

/// Every read-only property is new with each poll; nothing that the API server should hear of changes.
fn quiet(stage: &Stage, options: &Options, gateway: &mut Gateway, devices: usize) -> Result<()> {
    let window = if options.full { Duration::from_secs(600) } else { options.window() };
    let subscriber = stage.subscriber()?;
    subscriber.wait("a reading of each device", Duration::from_secs(60), |tally| tally.devices.len() == devices)?;
    let (mark, server) = (stage.mark()?, stage.server_usage()?);
    subscriber.mark();
    let (start, before) = (Instant::now(), proc::usage(gateway.pid())?);
    thread::sleep(window);
    let (after, elapsed) = (proc::usage(gateway.pid())?, start.elapsed().as_secs_f64());
    let tally = subscriber.tally()?;
    gateway.check()?;
    let memory = proc::memory(gateway.pid())?;
    let writes = stage.writes(mark)?;
    #[allow(clippy::cast_precision_loss)]
    let (readings, expected) = (tally.readings as f64, devices as f64 * f64::from(CHANGING + HELD) * elapsed);
    let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
    Figure::new("kube.node.quiet", "API writes while every read-only property changes each second", "0")
        .with("devices", devices)
        .with("seconds", elapsed)
        .with("writes", kinds(&writes))
        .with("delivered", readings / expected)
        .with("gatewayCpuPercent", cpu / elapsed * 100.0)
        .with("cpuSecondsPerMillion", cpu / readings * 1e6)
        .with("apiServerCpuPercent", stage.server_usage()?.saturating_sub(server).as_secs_f64() / elapsed * 100.0)
        .print();
    Figure::new("kube.node.memory", "MiB of the gateway", "VmHWM <= 40")
        .with("devices", devices)
        .with("vmHwm", mib(memory.peak_kib))
        .with("rssAnon", mib(memory.anon_kib))
        .print();
    Ok(())
}

/// Every device falls silent and answers again.
fn flap(stage: &Stage, bank: &Bank, observer: &Observer, gateway: &Gateway) -> Result<()> {
    let devices = bank.ports.len();
    let mark = stage.mark()?;
    (0..devices).for_each(|k| bank.silence(k, true));
    thread::sleep(SILENT);
    (0..devices).for_each(|k| bank.silence(k, false));
    // Not "all are Ready": those whose turn had not come are Ready still, in what is stored.
    let writes = settled_writes(stage, mark)?;
    all_ready(observer, gateway, devices)?;
    let every = moments(&writes);
    let kinds = kinds(&writes);
    let statuses: Vec<Entry> = writes.into_iter().filter(|write| write.resource == "devices/status").collect();
    let mut of_device: HashMap<&str, usize> = HashMap::new();
    for write in &statuses {
        *of_device.entry(&write.name).or_default() += 1;
    }
    let times = moments(&statuses);
    let took =
        times.iter().max().zip(times.iter().min()).map_or(Duration::ZERO, |(last, first)| last.saturating_sub(*first));
    #[allow(clippy::cast_precision_loss)]
    let mean = statuses.len() as f64 / devices as f64;
    Figure::new("kube.node.flap", "status patches of a device that flaps once, all at once", "<= 2")
        .with("devices", devices)
        .with("most", of_device.values().max().copied().unwrap_or_default())
        .with("mean", mean)
        .with("patches", statuses.len())
        .with("writes", kinds)
        .with("silentSeconds", SILENT.as_secs())
        .with("secondsFromFirstToLast", took.as_secs_f64())
        .print();
    Figure::new(
        "kube.node.pace",
        "status patches of a node: 5 a second with a burst of 20",
        "<= 25 in 1 s, 70 in 10 s",
    )
    .with("inOneSecond", most_within(&times, Duration::from_secs(1)))
    .with("inTenSeconds", most_within(&times, Duration::from_secs(10)))
    .with("withEventsInOneSecond", most_within(&every, Duration::from_secs(1)))
    .print();
    Ok(())
}
