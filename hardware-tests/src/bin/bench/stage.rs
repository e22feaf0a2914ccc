//! What the figures of Bluetooth and of serial lines stand on: a broker, files, a gateway, and what else the machine does.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use hardware_tests::{
    broker::Broker,
    child::{Running, Scratch},
    gateway::{self, Settings},
    subscriber::Subscriber,
};

/// How long anything may take to come about: a virtual machine under software emulation is slow on a busy one.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// QoS 0 and without `state`, as in the other figures of latency and load.
const SETTINGS: Settings = Settings { qos: 0, state: false };

/// What each part stands on.
pub struct Stage {
    program: PathBuf,
    broker: Broker,
    /// Files of the part's own.
    pub scratch: Scratch,
}

impl Stage {
    /// For this program.
    pub fn new(program: &Path) -> Result<Self> {
        ensure!(program.is_file(), "{}: no such program", program.display());
        Ok(Self { program: program.to_owned(), broker: Broker::start()?, scratch: Scratch::new()? })
    }

    /// A gateway with these devices (name and YAML); with a port its pages are there.
    pub fn gateway(&self, devices: impl IntoIterator<Item = (String, String)>, http: Option<u16>) -> Result<Running> {
        let folder = gateway::write_devices(self.scratch.path(), devices)?;
        let (program, scratch, broker) = (&self.program, self.scratch.path(), self.broker.port);
        match http {
            None => gateway::start(program, scratch, &folder, broker, SETTINGS),
            Some(port) => gateway::start_watched(program, scratch, &folder, broker, SETTINGS, port),
        }
    }

    /// The same on the BlueZ at this D-Bus address.
    pub fn gateway_on(&self, bus: &str, devices: impl IntoIterator<Item = (String, String)>) -> Result<Running> {
        let folder = gateway::write_devices(self.scratch.path(), devices)?;
        gateway::start_on(&self.program, self.scratch.path(), &folder, self.broker.port, SETTINGS, bus)
    }

    /// The broker's port.
    pub fn port(&self) -> u16 {
        self.broker.port
    }

    /// Connects a subscriber.
    pub fn subscriber(&self, stamped: bool) -> Result<Subscriber> {
        Subscriber::connect(self.broker.port, stamped)
    }

    /// The end of the gateway's log, for an error about it.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.scratch.path().join("gateway.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// The load averages of 1, 5 and 15 minutes: what else the machine does.
pub fn load_average() -> String {
    let all = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    all.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Waits for a condition.
pub fn wait(what: &str, mut met: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !met()? {
        ensure!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// KiB as MiB.
#[allow(clippy::cast_precision_loss)]
pub fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
