//! The figures of Bluetooth LE: on a scripted org.bluez where the radio must not be the limit, on a real BlueZ in a virtual
//! machine where its own behaviour counts. The judges are a subscriber, the kernel's accounts of the gateway's process, and
//! the bus's count of match rules.

mod advertised;
mod churn;
mod reconnect;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use hardware_tests::{
    broker::Broker,
    child::{Running, Scratch},
    gateway::{self, Settings},
    subscriber::Subscriber,
};

use crate::{Options, size};

/// The parts.
pub const PARTS: [&str; 4] = ["ble-latency", "ble-load", "ble-reconnect", "ble-churn"];

/// How long anything may take to come about: a virtual machine under software emulation is slow on a busy one.
const PATIENCE: Duration = Duration::from_secs(240);

/// Measures these parts. Without a program, one is built with Bluetooth alone.
pub fn measure(parts: &[&str], options: &Options) -> Result<()> {
    let program = match &options.gateway {
        Some(program) => program.clone(),
        None => size::build(&["--no-default-features", "--features", "ble"], "bluetooth")?,
    };
    ensure!(program.is_file(), "{}: no such program", program.display());
    for part in parts {
        let stage = Stage { program: program.clone(), broker: Broker::start()?, scratch: Scratch::new()? };
        match *part {
            "ble-latency" => advertised::latency(&stage, options),
            "ble-load" => advertised::load(&stage, options),
            "ble-reconnect" => reconnect::measure(&stage, options),
            _ => churn::measure(&stage, options),
        }
        .with_context(|| format!("{part} could not be measured; the gateway's log ends:\n{}", stage.log()))?;
    }
    Ok(())
}

/// What each part stands on.
struct Stage {
    program: PathBuf,
    broker: Broker,
    scratch: Scratch,
}

impl Stage {
    /// A gateway with these devices (name and YAML) on the BlueZ at this D-Bus address; QoS 0 and without `state`, as in
    /// the other figures of latency and load.
    fn gateway(&self, bus: &str, devices: impl IntoIterator<Item = (String, String)>) -> Result<Running> {
        let folder = gateway::write_devices(self.scratch.path(), devices)?;
        let settings = Settings { qos: 0, state: false };
        gateway::start_on(&self.program, self.scratch.path(), &folder, self.broker.port, settings, bus)
    }

    fn subscriber(&self, stamped: bool) -> Result<Subscriber> {
        Subscriber::connect(self.broker.port, stamped)
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.scratch.path().join("gateway.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// The load averages of 1, 5 and 15 minutes: what else the machine does.
fn load_average() -> String {
    let all = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    all.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Waits for a condition.
fn wait(what: &str, mut met: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !met()? {
        ensure!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss)]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
