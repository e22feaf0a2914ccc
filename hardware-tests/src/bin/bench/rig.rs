//! The bench itself: broker, simulator, subscriber, and the two programs that take their turns at it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use hardware_tests::{
    broker::Broker,
    child::{Running, Scratch},
    gateway::{self, Endpoint, Settings},
    proc::{self, Memory},
    subscriber::Subscriber,
};

use crate::yardstick;

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// `fieldgate run`.
    Gateway,
    /// The C program.
    Reference,
}

/// The work.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many devices.
    pub devices: usize,
    /// uint16 registers of each.
    pub registers: u16,
    /// Poll period.
    pub period_ms: u64,
    /// QoS of the readings.
    pub qos: u8,
    /// Whether the gateway publishes `state` too. The reference never does.
    pub state: bool,
    /// Whether the registers carry the time.
    pub stamped: bool,
}

/// What a window gave.
pub struct Window {
    /// CPU seconds per million readings.
    pub cpu: f64,
    /// Counted / expected.
    pub delivered: f64,
    /// Sequence numbers that never came.
    pub missing: u64,
    /// Readings counted.
    pub readings: u64,
    /// Voluntary context switches per second.
    pub sleeps: f64,
    /// Memory at its end.
    pub memory: Memory,
    /// Latencies in microseconds, if stamped.
    pub latencies: Vec<u64>,
}

/// Everything but the load.
pub struct Rig {
    /// The broker of all runs.
    pub broker: Broker,
    /// Files.
    pub scratch: Scratch,
    gateway: Option<PathBuf>,
    reference: PathBuf,
}

/// Simulated devices; they end with this value.
pub struct Devices {
    /// Their ports.
    pub ports: Vec<u16>,
    _running: Running,
}

impl Rig {
    /// Starts the broker and builds the reference. Without a gateway only the reference takes part.
    pub fn new(gateway: Option<PathBuf>) -> Result<Self> {
        let scratch = Scratch::new()?;
        let reference = yardstick::build(scratch.path(), "reference", &["-lmodbus", "-lmosquitto"])?;
        if let Some(program) = &gateway {
            ensure!(program.is_file(), "{}: no such program", program.display());
        }
        Ok(Self { broker: Broker::start()?, scratch, gateway, reference })
    }

    /// Who takes part.
    pub fn contestants(&self) -> &'static [Who] {
        if self.gateway.is_some() { &[Who::Gateway, Who::Reference] } else { &[Who::Reference] }
    }

    /// The gateway's program, if it takes part.
    pub fn gateway(&self) -> Option<&Path> {
        self.gateway.as_deref()
    }

    /// Starts the simulated devices, as a process of their own.
    pub fn devices(load: &Load) -> Result<Devices> {
        let program = std::env::current_exe()?.with_file_name("modbus-sim");
        let mut command = Command::new(&program);
        command.arg(load.devices.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        if load.stamped {
            command.arg("--stamped");
        }
        let mut running =
            Running::spawn(&mut command).context("it is built by `cargo build --release -p hardware-tests`")?;
        let mut line = String::new();
        BufReader::new(running.child().stdout.take().context("no stdout")?).read_line(&mut line)?;
        let ports = line.split_whitespace().map(str::parse).collect::<Result<Vec<u16>, _>>()?;
        ensure!(ports.len() == load.devices, "the simulator gave {} ports", ports.len());
        Ok(Devices { ports, _running: running })
    }

    /// Connects a subscriber.
    pub fn subscriber(&self, stamped: bool) -> Result<Subscriber> {
        Subscriber::connect(self.broker.port, stamped)
    }

    /// Starts a program on a load.
    pub fn start(&self, who: Who, load: &Load, devices: &Devices) -> Result<Running> {
        match (who, &self.gateway) {
            (Who::Gateway, Some(program)) => {
                let files = (0..).zip(&devices.ports).map(|(k, port): (usize, _)| {
                    let name = format!("dev-{k:03}");
                    let yaml = gateway::device_yaml(&name, &Endpoint::Tcp(*port), load.registers, load.period_ms);
                    (name, yaml)
                });
                let folder = gateway::write_devices(self.scratch.path(), files)?;
                let settings = Settings { qos: load.qos, state: load.state };
                gateway::start(program, self.scratch.path(), &folder, self.broker.port, settings)
            }
            _ => Running::spawn(
                Command::new(&self.reference)
                    .args([u64::from(self.broker.port), u64::from(load.qos), load.period_ms].map(|n| n.to_string()))
                    .arg(load.registers.to_string())
                    .args(devices.ports.iter().map(u16::to_string))
                    .stdin(Stdio::null()),
            ),
        }
    }

    /// The end of the gateway's log, for an error about it.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.scratch.path().join("gateway.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// One window of one program: start, all devices read, settled, measured, stopped.
    pub fn window(&self, who: Who, load: &Load, devices: &Devices, length: Duration) -> Result<Window> {
        let subscriber = self.subscriber(load.stamped)?;
        let mut running = self.start(who, load, devices)?;
        let period = Duration::from_millis(load.period_ms);
        subscriber
            .wait("a reading of each device", Duration::from_secs(20), |tally| tally.devices.len() == load.devices)
            .with_context(|| format!("{who:?}; the gateway's log ends:\n{}", self.log()))?;
        // Retained topics are sent anew over 10 s after a connection: part of the start, not of the steady state.
        let settle = if who == Who::Gateway { Duration::from_secs(11) } else { Duration::from_secs(2) };
        thread::sleep(settle);
        quiet(&subscriber, period);
        subscriber.mark();
        let (start, before) = (Instant::now(), proc::usage(running.pid())?);
        thread::sleep(length);
        let (after, elapsed) = (proc::usage(running.pid())?, start.elapsed());
        let tally = subscriber.tally()?;
        running.check()?;
        let memory = proc::memory(running.pid())?;
        running.stop()?;
        #[allow(clippy::cast_precision_loss)]
        let (readings, sleeps) = (tally.readings as f64, (after.sleeps - before.sleeps) as f64);
        #[allow(clippy::cast_precision_loss)]
        let expected = load.devices as f64 * f64::from(load.registers) * elapsed.as_secs_f64() / period.as_secs_f64();
        Ok(Window {
            cpu: after.cpu.saturating_sub(before.cpu).as_secs_f64() / readings * 1e6,
            delivered: readings / expected,
            missing: tally.missing,
            readings: tally.readings,
            sleeps: sleeps / elapsed.as_secs_f64(),
            memory,
            latencies: tally.latencies,
        })
    }
}

/// Waits for a moment between two bursts of readings, so that a window of whole periods holds whole bursts. Polls that
/// never pause have none: three periods are tried.
fn quiet(subscriber: &Subscriber, period: Duration) {
    let deadline = Instant::now() + period * 3;
    let mut last = subscriber.readings();
    let mut heard = false;
    while Instant::now() < deadline {
        thread::sleep(period / 8);
        let now = subscriber.readings();
        if now == last && heard {
            return;
        }
        heard |= now != last;
        last = now;
    }
}
