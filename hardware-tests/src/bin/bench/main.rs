//! The benchmark: the gateway and a plain C program do the same work in turn, on the loopback, and are measured alike.
//!
//! It measures; it judges nothing and fails only when something does not run.

mod ble;
mod cluster;
mod method;
mod rig;
mod rtu;
mod serial;
mod size;
mod stage;
mod startup;
mod steady;
mod yardstick;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use crate::rig::Rig;

const HELP: &str = "\
Measures the gateway against a C program on libmodbus and libmosquitto, and prints one line of JSON per figure.

usage: bench [PART...] [--gateway PATH] [--seconds N] [--rounds N] [--full]

parts (all of them if none is named):
  w1        100 devices x 20 registers at 1 s: CPU, delivery, wake-ups, memory; QoS 0, QoS 1, QoS 1 with state
  w2x       100 devices x 100 registers at 100 ms, without and with state
  unpaced   100 devices x 100 registers as fast as they go
  latency   1 device at 100 ms: answer on the wire to the subscriber's receipt
  startup   exec to the first reading, and to one of each of 100 devices
  rtu       a serial line at 9600 baud, two of ten units silent
  size      the stripped release binary with Modbus and MQTT only

parts with a Kubernetes API server (only if named; `kube` is all of them):
  kube-apply    a Device created, to its first reading and to Accepted
  kube-desired  `desired` edited, to the value in the device and to Synced
  kube-node     1,000 devices on one node: API writes, memory, CPU; a restart; each device flaps once
  kube-fleet    200 gateways (10 real) x 20 devices: CPU of the server, writes, events, bytes
  kube-offline  a restart with no API server, to the first reading
  kube-size     the stripped release binary with every mapper and Kubernetes, without the demo

parts with Bluetooth LE (only if named; `ble` is all of them):
  ble-latency    advertisements stamped by a scripted org.bluez, to the subscriber
  ble-load       200 sensors that advertise at 1 Hz: CPU, loss, memory
  ble-reconnect  20 devices that notify, on a real BlueZ: bluetoothd killed and started again
  ble-churn      devices that come and go, links that are lost: memory, and match rules at the bus

parts with serial lines, which are ptys (only if named; `serial` is all of them):
  serial-saturated  115,200 baud full of 20-byte frames: loss, CPU
  serial-ports      16 lines at once, 9600 baud full: loss, memory
  serial-latency    the last byte on the line to the subscriber
  serial-unplug     pulled out, to Reachable=False; put in again, to the first value

options:
  --gateway PATH    the program to measure; without it `cargo build --release` makes it
  --seconds N       length of a window (default 10)
  --rounds N        windows of each program, taken in turn (default 3)
  --full            serial windows of 5 minutes instead of 1; with Kubernetes 300 samples, windows of 5
                    minutes, 10 for kube-node; 100,000 devices, 10,000 and 300 links for ble-churn
  --samples N       Devices created or edited (default 60)
  --devices N       devices of kube-node (default 1000)
  --gateways N      gateways of kube-fleet (default 200)
  --reference-only  the C program alone, to see what the machine gives

example: cargo figures w1 latency --seconds 30";

/// What the command line asked for.
pub struct Options {
    parts: Vec<String>,
    gateway: Option<PathBuf>,
    seconds: u64,
    rounds: usize,
    full: bool,
    reference_only: bool,
    samples: Option<usize>,
    devices: Option<usize>,
    gateways: usize,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut options = Self {
            parts: Vec::new(),
            gateway: None,
            seconds: 10,
            rounds: 3,
            full: false,
            reference_only: false,
            samples: None,
            devices: None,
            gateways: 200,
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--help" | "-h" => return Ok(None),
                "--gateway" => options.gateway = Some(value()?.into()),
                "--seconds" => options.seconds = value()?.parse().context("--seconds takes a whole number")?,
                "--rounds" => options.rounds = value()?.parse().context("--rounds takes a whole number")?,
                "--full" => options.full = true,
                "--reference-only" => options.reference_only = true,
                "--samples" => options.samples = Some(value()?.parse().context("--samples takes a whole number")?),
                "--devices" => options.devices = Some(value()?.parse().context("--devices takes a whole number")?),
                "--gateways" => options.gateways = value()?.parse().context("--gateways takes a whole number")?,
                "ble" => options.parts.extend(ble::PARTS.map(String::from)),
                part if ble::PARTS.contains(&part) => options.parts.push(part.into()),
                "serial" => options.parts.extend(serial::PARTS.map(String::from)),
                part if serial::PARTS.contains(&part) => options.parts.push(part.into()),
                "kube" => options.parts.extend(cluster::PARTS.map(String::from)),
                part if cluster::PARTS.contains(&part) => options.parts.push(part.into()),
                part if PARTS.contains(&part.to_lowercase().as_str()) => options.parts.push(part.to_lowercase()),
                other => bail!(
                    "no part or option {other}; parts: {}, {}, {}, {}; see --help",
                    PARTS.join(", "),
                    ble::PARTS.join(", "),
                    serial::PARTS.join(", "),
                    cluster::PARTS.join(", ")
                ),
            }
        }
        ensure!(options.seconds > 0 && options.rounds > 0, "--seconds and --rounds are at least 1");
        if options.parts.is_empty() {
            options.parts = PARTS.map(String::from).to_vec();
        }
        Ok(Some(options))
    }

    /// How many Devices are created or edited.
    fn samples(&self) -> usize {
        self.samples.unwrap_or(if self.full { 300 } else { 60 }).max(1)
    }

    /// How many devices one node has.
    fn devices(&self) -> usize {
        self.devices.unwrap_or(1000).max(1)
    }

    /// The length of a window with an API server: longer than others, whose work repeats each second.
    fn window(&self) -> Duration {
        Duration::from_secs(if self.full { 300 } else { self.seconds })
    }
}

const PARTS: [&str; 7] = ["w1", "w2x", "unpaced", "latency", "startup", "rtu", "size"];

fn main() -> Result<()> {
    let Some(options) = Options::parse(std::env::args().skip(1))? else {
        println!("{HELP}");
        return Ok(());
    };
    let (of_cluster, parts): (Vec<&str>, Vec<&str>) =
        options.parts.iter().map(String::as_str).partition(|part| cluster::PARTS.contains(part));
    if !of_cluster.is_empty() {
        cluster::measure(&of_cluster, &options)?;
    }
    let (of_bluetooth, parts): (Vec<&str>, Vec<&str>) = parts.into_iter().partition(|part| ble::PARTS.contains(part));
    if !of_bluetooth.is_empty() {
        ble::measure(&of_bluetooth, &options)?;
    }
    let (of_lines, parts): (Vec<&str>, Vec<&str>) = parts.into_iter().partition(|part| serial::PARTS.contains(part));
    if !of_lines.is_empty() {
        serial::measure(&of_lines, &options)?;
    }
    if parts.is_empty() {
        return Ok(());
    }
    let gateway = match &options.gateway {
        _ if options.reference_only => None,
        Some(path) => Some(path.clone()),
        None => Some(size::build(&[], "")?),
    };
    method::print(&options);
    let rig = Rig::new(gateway)?;
    for part in parts {
        match part {
            "w1" => steady::w1(&rig, &options)?,
            "w2x" => steady::w2x(&rig, &options)?,
            "unpaced" => steady::unpaced(&rig, &options)?,
            "latency" => steady::latency(&rig, &options)?,
            "startup" => startup::measure(&rig, &options)?,
            "rtu" => rtu::measure(&rig, &options)?,
            _ => size::measure()?,
        }
    }
    Ok(())
}
