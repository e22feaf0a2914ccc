//! The demo's devices: a Modbus TCP meter on a real socket, and an RTU line on a real pty with one dead unit. The
//! signals are computed when they are asked for; the bridge reads them as it reads any device.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use mapper_modbus::{
    Framing, Table,
    sim::{self, Bank, Exception, Pty},
};
use tokio::time::Instant;

/// The baud rate at which the pty's bytes are paced.
const BAUD: u32 = 9600;

/// The setpoint that the boilers' files ask for at first.
pub const FIRST: f64 = 20.0;

/// The device that the YAML names and nobody plays.
pub const DEAD: &str = "pump-9";
const DEAD_UNIT: u8 = 9;

/// Where the devices are.
pub struct Plant {
    /// Port of the meter, on loopback.
    pub meter: u16,
    /// Path of the serial line.
    pub line: PathBuf,
}

/// Starts the devices. They live as long as the runtime.
pub async fn start() -> anyhow::Result<Plant> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let meter = listener.local_addr()?.port();
    let bank: Arc<dyn Bank> = Arc::new(Signals { since: Instant::now(), setpoints: Mutex::default() });
    tokio::spawn(sim::listen(listener, Framing::Tcp, bank.clone()));
    let pty = Pty::open().context("no pseudo-terminal for the simulated serial line")?;
    let line = pty.path().to_owned();
    tokio::spawn(async move { sim::serve(pty, Framing::Rtu, &*bank, Some(BAUD)).await });
    Ok(Plant { meter, line })
}

/// Signals that move as a plant's do: computed from the time, but for the setpoints, which are what was written.
struct Signals {
    since: Instant,
    setpoints: Mutex<HashMap<u8, u16>>,
}

impl Signals {
    /// All registers of a unit that are served.
    fn registers(&self, unit: u8, table: Table) -> HashMap<u16, u16> {
        let seconds = self.since.elapsed().as_secs_f32();
        let wave = |period: f32| (seconds / period * std::f32::consts::TAU).sin();
        match table {
            Table::InputRegister => {
                let voltage = (231.0 + 2.5 * wave(7.0)).to_bits().to_be_bytes();
                let power = (1200.0 + 150.0 * wave(11.0)).to_bits().to_be_bytes();
                let word = |bytes: [u8; 4], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
                let temperature = self.setpoint(unit) + if wave(13.0) > 0.0 { 3 } else { 0 };
                HashMap::from([
                    (0, word(voltage, 0)),
                    (1, word(voltage, 2)),
                    (2, word(power, 0)),
                    (3, word(power, 2)),
                    (4, 0),
                    (5, u16::try_from(self.since.elapsed().as_secs() + 41_230).unwrap_or(u16::MAX)),
                    (10, temperature),
                ])
            }
            Table::HoldingRegister => HashMap::from([(40, self.setpoint(unit))]),
            Table::Coil | Table::DiscreteInput => HashMap::new(),
        }
    }

    fn setpoint(&self, unit: u8) -> u16 {
        *self.setpoints.lock().unwrap_or_else(PoisonError::into_inner).get(&unit).unwrap_or(&180)
    }
}

impl Bank for Signals {
    fn serves(&self, unit: u8) -> bool {
        unit != DEAD_UNIT
    }

    fn read(&self, unit: u8, table: Table, start: u16, count: u16) -> Result<Vec<u16>, Exception> {
        let registers = self.registers(unit, table);
        (start..start.saturating_add(count)).map(|at| registers.get(&at).copied().ok_or(Exception(2))).collect()
    }

    fn write(&self, unit: u8, table: Table, start: u16, values: &[u16]) -> Result<(), Exception> {
        match (table, start, values) {
            (Table::HoldingRegister, 40, [value]) => {
                self.setpoints.lock().unwrap_or_else(PoisonError::into_inner).insert(unit, *value);
                Ok(())
            }
            _ => Err(Exception(2)),
        }
    }
}

/// Writes the devices' YAML, as an engineer would.
pub fn write_devices(folder: &Path, plant: &Plant) -> anyhow::Result<()> {
    let line = plant.line.display();
    let meter = plant.meter;
    let mut files = vec![(
        "meter.yaml".to_owned(),
        format!(
            "\
apiVersion: fieldgate.dev/v1alpha1
kind: Device
metadata: {{ name: meter }}
spec:
  protocol:
    modbus: {{ tcp: \"127.0.0.1:{meter}\", unit: 1 }}
  pollEvery: 1s
  properties:
    - {{ name: voltage, type: float32, unit: V, modbus: {{ table: inputRegister, register: 0 }} }}
    - {{ name: power, type: float32, unit: W, modbus: {{ table: inputRegister, register: 2 }} }}
    - {{ name: energy, type: uint32, unit: kWh, scale: 0.1, modbus: {{ table: inputRegister, register: 4 }} }}
"
        ),
    )];
    for (name, unit) in [("boiler-1", 1), ("boiler-2", 2), (DEAD, DEAD_UNIT)] {
        files.push((
            format!("{name}.yaml"),
            format!(
                "\
apiVersion: fieldgate.dev/v1alpha1
kind: Device
metadata: {{ name: {name} }}
spec:
  protocol:
    modbus: {{ serial: {{ path: {line}, baud: {BAUD}, parity: none }}, unit: {unit}, timeout: 300ms }}
  pollEvery: 1s
  properties:
    - {{ name: temperature, type: int16, unit: °C, scale: 0.1, modbus: {{ table: inputRegister, register: 10 }} }}
    - name: setpoint
      type: int16
      unit: °C
      scale: 0.1
      access: readWrite
      min: 5
      max: 30
      desired: {FIRST}
      modbus: {{ table: holdingRegister, register: 40 }}
"
            ),
        ));
    }
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
