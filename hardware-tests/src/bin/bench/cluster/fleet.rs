//! Many gateways on one API server: what they cost it when nothing changes, and what one change costs.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use hardware_tests::{bank::Bank, figure::Figure, proc};
use serde_json::json;

use super::{
    api::GROUP,
    audit::kinds,
    mib,
    objects::{self, Device, MODEL, NAMESPACE},
    simulated::{self, Received, Simulated},
    stage::{Gateway, Stage, path_of},
};
use crate::Options;

/// Gateways that are the real program.
const REAL: usize = 10;
/// Devices of each gateway.
const EACH: usize = 20;
/// How many Devices are edited, each of another gateway.
const EDITS: usize = 20;
/// How many edits it takes to tell what one costs.
const MANY: usize = 300;
/// How long an edit has to show all of its effects.
const EFFECT: Duration = Duration::from_secs(10);
/// Where the devices of the simulated gateways would be: nobody asks them.
const NOWHERE: u16 = 9;

/// The gateways that are at work.
struct Fleet {
    real: Vec<Gateway>,
    simulated: Vec<Simulated>,
}

/// A window of the API server.
struct Window {
    cpu_percent: f64,
    rss_mib: f64,
}

/// Sets the fleet up, and measures the server without, with and again without it.
pub fn measure(stage: &mut Stage, options: &Options) -> Result<()> {
    let gateways = options.gateways.max(REAL + EDITS);
    let nodes: Vec<String> = (0..gateways).map(|k| format!("fleet-{k:04}")).collect();
    let bank = Bank::open(REAL * EACH)?;
    stage.model(&objects::model(18, 2))?;
    let empty = (stage.metric("apiserver_storage_size_bytes")?, stage.server_memory()?);
    for (k, node) in nodes.iter().enumerate() {
        for n in 0..EACH {
            let port = bank.ports.get(k * EACH + n).copied().unwrap_or(NOWHERE);
            let name = name_of(k, n);
            stage.create(&Device { name: &name, node, port, changing: 0, held: 0, desired: None }.of_model())?;
        }
    }
    let configs = nodes.iter().map(|node| stage.kubeconfig(node)).collect::<Result<Vec<_>>>()?;
    let observer = stage.observer();
    let real = (0..REAL).map(|k| stage.gateway(&nodes[k], &configs[k])).collect::<Result<Vec<_>>>()?;
    observer.all(REAL * EACH, "Ready", Duration::from_secs(120)).with_context(|| real[0].log())?;
    let (told, _) = stage.block(stage.api.get(&path_of(&name_of(0, 0))))?;
    for (node, config) in nodes.iter().zip(&configs).skip(REAL) {
        let reported = stage.block(simulated::report(config, node, &told["status"]))?;
        ensure!(reported == EACH as u64, "{node} has {reported} Devices");
    }
    drop(observer);
    for gateway in real {
        gateway.stop()?;
    }
    thread::sleep(Duration::from_secs(15));
    sizes(stage, gateways * EACH, empty, told.to_string().len())?;
    let before = window(stage, options.window())?;
    let alone = edits(stage, before.cpu_percent)?;

    let (cpu, arrival) = (stage.server_usage()?, Instant::now());
    let fleet = Fleet {
        real: (0..REAL).map(|k| stage.gateway(&nodes[k], &configs[k])).collect::<Result<Vec<_>>>()?,
        simulated: (REAL..gateways)
            .map(|k| stage.block(Simulated::start(&nodes[k], &configs[k])))
            .collect::<Result<Vec<_>>>()?,
    };
    let deadline = Instant::now() + Duration::from_secs(120);
    while !fleet.simulated.iter().all(Simulated::ready) {
        ensure!(Instant::now() < deadline, "not every simulated gateway has its watches");
        thread::sleep(Duration::from_millis(10));
    }
    let arrived = arrival.elapsed();
    thread::sleep(Duration::from_secs(20));
    Figure::new("kube.fleet.arrival", "CPU seconds of the API server until all gateways have listed and watch", "")
        .with("gateways", gateways)
        .with("seconds", arrived.as_secs_f64())
        .with("cpuSeconds", stage.server_usage()?.saturating_sub(cpu).as_secs_f64())
        .with("listBytesPerGateway", fleet.sum(|r| &r.list_bytes) / fleet.simulated.len() as u64)
        .print();

    let (mark, counts) = (stage.mark()?, fleet.counts());
    let with = window(stage, options.window())?;
    let writes = stage.writes(mark)?;
    let idle = fleet.counts() - counts;
    Figure::new("kube.fleet.edit", "CPU ms of the API server for an edit of one Device: every watch is asked", "")
        .with("gateways", gateways)
        .with("noWatches", alone)
        .with("allWatches", edits(stage, with.cpu_percent)?)
        .print();
    foreign(stage, &fleet)?;
    model(stage, &fleet, gateways, with.cpu_percent)?;
    storm(stage, &fleet, gateways)?;
    let failures = fleet.sum(|r| &r.failures);
    let failure = fleet.simulated.iter().find_map(|s| s.received.first_failure.get()).cloned();
    for gateway in fleet.real {
        gateway.stop()?;
    }
    drop(fleet.simulated);
    thread::sleep(Duration::from_secs(20));
    let after = window(stage, options.window())?;

    let none = f64::midpoint(before.cpu_percent, after.cpu_percent);
    Figure::new(
        "kube.fleet.cpu",
        "% of one core of the API server (etcd inside) above the same with no gateway",
        "<= 2",
    )
    .with("gateways", gateways)
    .with("seconds", options.window().as_secs())
    .with("above", with.cpu_percent - none)
    .with("with", with.cpu_percent)
    .with("before", before.cpu_percent)
    .with("after", after.cpu_percent)
    .with("rssMiB", json!({"before": before.rss_mib, "with": with.rss_mib, "after": after.rss_mib}))
    .with("nonGetRequests", kinds(&writes))
    .with("failures", failures)
    .with("firstFailure", failure)
    .print();
    Figure::new("kube.fleet.idle", "events that a gateway receives while nothing changes", "0")
        .with("events", idle.events)
        .with("eventBytes", idle.event_bytes)
        .with("bookmarks", idle.bookmarks)
        .with("bookmarkBytes", idle.bookmark_bytes)
        .with("watches", idle.watches)
        .print();
    stage.clear()
}

/// Edits Devices of some gateways and counts what the others hear.
fn foreign(stage: &Stage, fleet: &Fleet) -> Result<()> {
    let counts: Vec<Counts> = fleet.simulated.iter().map(|s| Counts::of(&s.received)).collect();
    let cpu = stage.server_usage()?;
    for k in 0..EDITS {
        let edit = json!([{"op": "replace", "path": "/spec/pollEvery", "value": "2s"}]);
        stage.block(stage.api.patch(&path_of(&name_of(REAL + k, 0)), &edit))?;
    }
    thread::sleep(EFFECT);
    let cpu = stage.server_usage()?.saturating_sub(cpu);
    let now = fleet.simulated.iter().zip(&counts).map(|(s, before)| Counts::of(&s.received) - *before);
    let (mut own, mut others) = (Counts::default(), Counts::default());
    for (k, received) in now.enumerate() {
        let sum = if k < EDITS { &mut own } else { &mut others };
        *sum = *sum + received;
    }
    #[allow(clippy::cast_precision_loss)]
    Figure::new("kube.fleet.foreign", "events and bytes that gateways receive when others' Devices change", "0")
        .with("edits", EDITS)
        .with("gateways", fleet.simulated.len() - EDITS)
        .with("events", others.events)
        .with("bytes", others.event_bytes)
        .with("ownEvents", own.events)
        .with("ownBytes", own.event_bytes)
        .with("apiServerCpuMsPerEditWithIdleLoad", cpu.as_secs_f64() * 1e3 / EDITS as f64)
        .print();
    Ok(())
}

/// Edits the model that every Device uses.
fn model(stage: &Stage, fleet: &Fleet, gateways: usize, idle_percent: f64) -> Result<()> {
    let idle = idle_percent / 100.0 * EFFECT.as_secs_f64();
    let (mark, counts, cpu) = (stage.mark()?, fleet.counts(), stage.server_usage()?);
    let gateway = proc::usage(fleet.real[0].pid())?;
    let path = format!("{GROUP}/namespaces/{NAMESPACE}/devicemodels/{MODEL}");
    stage.block(stage.api.patch(&path, &json!([{"op": "add", "path": "/spec/properties/0/unit", "value": "V"}])))?;
    thread::sleep(EFFECT);
    let (cpu, received) = (stage.server_usage()?.saturating_sub(cpu), fleet.counts() - counts);
    let gateway = proc::usage(fleet.real[0].pid())?.cpu.saturating_sub(gateway.cpu);
    Figure::new("kube.fleet.model", "cost of one edit of the DeviceModel of every Device", "")
        .with("gateways", gateways)
        .with("events", received.events)
        .with("bytes", received.event_bytes)
        .with("apiServerCpuMs", (cpu.as_secs_f64() - idle) * 1e3)
        .with("gatewayCpuMsWithItsWork", gateway.as_secs_f64() * 1e3)
        .with("writes", kinds(&stage.writes(mark)?))
        .print();
    Ok(())
}

/// The server is killed and comes back: every gateway asks again.
fn storm(stage: &mut Stage, fleet: &Fleet, gateways: usize) -> Result<()> {
    let watches: Vec<u64> = fleet.simulated.iter().map(|s| s.received.watches.load(Relaxed)).collect();
    let (mark, before) = (stage.mark()?, fleet.counts());
    let (lists, failures) = (fleet.sum(|r| &r.lists), fleet.sum(|r| &r.failures));
    let down = Instant::now();
    stage.kill_and_restart()?;
    let up = Instant::now();
    let ready = stage.server_usage()?;
    let back = |(s, before): (&Simulated, &u64)| s.received.watches.load(Relaxed) >= before + 2;
    while !fleet.simulated.iter().zip(&watches).all(back) {
        ensure!(up.elapsed() < Duration::from_secs(180), "not every watch is back");
        thread::sleep(Duration::from_millis(10));
    }
    let all = up.elapsed();
    thread::sleep(Duration::from_secs(20));
    let received = fleet.counts() - before;
    Figure::new("kube.fleet.storm", "s from a server that is ready again until every watch is back", "")
        .with("gateways", gateways)
        .with("seconds", all.as_secs_f64())
        .with("secondsAway", (up - down).as_secs_f64())
        .with("apiServerCpuSecondsOverThat20sMore", stage.server_usage()?.saturating_sub(ready).as_secs_f64())
        .with("lists", fleet.sum(|r| &r.lists) - lists)
        .with("failures", fleet.sum(|r| &r.failures) - failures)
        .with("events", received.events)
        .with("writes", kinds(&stage.writes(mark)?))
        .print();
    Ok(())
}

fn sizes(stage: &Stage, devices: usize, empty: (f64, u64), one: usize) -> Result<()> {
    let (size, memory) = (stage.metric("apiserver_storage_size_bytes")?, stage.server_memory()?);
    let (list, bytes) = stage.block(stage.api.get(&format!("{GROUP}/devices?limit=500")))?;
    let items = list["items"].as_array().map_or(0, Vec::len).max(1);
    #[allow(clippy::cast_precision_loss)]
    let (count, kib) = (devices as f64, memory.saturating_sub(empty.1) as f64);
    Figure::new("kube.fleet.etcd", "bytes of a Device with its status (20 properties, from the model)", "")
        .with("devices", devices)
        .with("object", one)
        .with("listed", bytes / items as u64)
        .with("database", (size - empty.0) / count)
        .with("apiServerMemory", kib * 1024.0 / count)
        .print();
    Ok(())
}

/// CPU milliseconds of the API server for one edit of a Device of a simulated gateway, idle work taken off.
fn edits(stage: &Stage, idle_percent: f64) -> Result<f64> {
    let (start, before) = (Instant::now(), stage.server_usage()?);
    for k in 0..MANY {
        let edit = json!({"metadata": {"annotations": {"edit": k.to_string()}}});
        stage.block(stage.api.merge(&path_of(&name_of(REAL, k % EACH)), &edit))?;
    }
    thread::sleep(Duration::from_secs(2)); // what the watches still have to be told
    let used = stage.server_usage()?.saturating_sub(before).as_secs_f64()
        - idle_percent / 100.0 * start.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss)]
    Ok(used * 1e3 / MANY as f64)
}

/// What the API server takes over a while.
fn window(stage: &Stage, length: Duration) -> Result<Window> {
    let (start, before) = (Instant::now(), stage.server_usage()?);
    thread::sleep(length);
    let used = stage.server_usage()?.saturating_sub(before).as_secs_f64();
    let rss_mib = mib(stage.server_memory()?);
    Ok(Window { cpu_percent: used / start.elapsed().as_secs_f64() * 100.0, rss_mib })
}

fn name_of(gateway: usize, device: usize) -> String {
    format!("fleet-{gateway:04}-{device:02}")
}

impl Fleet {
    fn sum(&self, what: fn(&Received) -> &AtomicU64) -> u64 {
        self.simulated.iter().map(|s| what(&s.received).load(Relaxed)).sum()
    }

    fn counts(&self) -> Counts {
        self.simulated.iter().map(|s| Counts::of(&s.received)).fold(Counts::default(), |sum, next| sum + next)
    }
}

/// What was received up to a moment, or between two.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    events: u64,
    event_bytes: u64,
    bookmarks: u64,
    bookmark_bytes: u64,
    watches: u64,
}

impl Counts {
    fn of(received: &Received) -> Self {
        Self {
            events: received.events.load(Relaxed),
            event_bytes: received.event_bytes.load(Relaxed),
            bookmarks: received.bookmarks.load(Relaxed),
            bookmark_bytes: received.bookmark_bytes.load(Relaxed),
            watches: received.watches.load(Relaxed),
        }
    }

    fn with(self, other: Self, join: fn(u64, u64) -> u64) -> Self {
        Self {
            events: join(self.events, other.events),
            event_bytes: join(self.event_bytes, other.event_bytes),
            bookmarks: join(self.bookmarks, other.bookmarks),
            bookmark_bytes: join(self.bookmark_bytes, other.bookmark_bytes),
            watches: join(self.watches, other.watches),
        }
    }
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, u64::wrapping_add)
    }
}

impl std::ops::Sub for Counts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.with(other, u64::wrapping_sub)
    }
}
