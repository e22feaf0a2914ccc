//! Modbus devices of the test's own: it sees every read and every write, refuses where told to, and can go away and come
//! back on the same port.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use mapper_modbus::{
    Framing, Table,
    sim::{Bank, Exception, Registers, serve},
};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

/// A request to write: where, and what.
pub type Write = (Table, u16, Vec<u16>);

/// Registers that are watched.
pub struct Probe {
    registers: Registers,
    refuses: Vec<u8>,
    reads: Mutex<HashMap<u8, usize>>,
    writes: Mutex<HashMap<u8, Vec<Write>>>,
}

impl Probe {
    /// These units, with 32 registers and bits a table; those in `refuses` refuse every write.
    pub fn new(units: impl IntoIterator<Item = u8>, refuses: &[u8]) -> Arc<Self> {
        Arc::new(Self {
            registers: Registers::new(units, 32),
            refuses: refuses.to_vec(),
            reads: Mutex::default(),
            writes: Mutex::default(),
        })
    }

    /// How many requests to read this unit were answered.
    pub fn reads(&self, unit: u8) -> usize {
        self.reads.lock().unwrap().get(&unit).copied().unwrap_or(0)
    }

    /// The requests to write this unit, refused or not.
    pub fn writes(&self, unit: u8) -> Vec<Write> {
        self.writes.lock().unwrap().get(&unit).cloned().unwrap_or_default()
    }

    /// Changes registers as a person at the device would.
    pub fn set(&self, unit: u8, table: Table, start: u16, values: &[u16]) {
        self.registers.write(unit, table, start, values).unwrap();
    }

    /// Waits until this many requests to read the unit were answered.
    pub async fn read(&self, unit: u8, times: usize) {
        super::until(&format!("{times} reads of unit {unit}"), async || (self.reads(unit) >= times).then_some(()))
            .await;
    }
}

impl Bank for Probe {
    fn serves(&self, unit: u8) -> bool {
        self.registers.serves(unit)
    }

    fn read(&self, unit: u8, table: Table, start: u16, count: u16) -> Result<Vec<u16>, Exception> {
        *self.reads.lock().unwrap().entry(unit).or_default() += 1;
        self.registers.read(unit, table, start, count)
    }

    fn write(&self, unit: u8, table: Table, start: u16, values: &[u16]) -> Result<(), Exception> {
        self.writes.lock().unwrap().entry(unit).or_default().push((table, start, values.to_vec()));
        if self.refuses.contains(&unit) {
            return Err(Exception(3));
        }
        self.registers.write(unit, table, start, values)
    }
}

/// A Modbus TCP server on loopback.
pub struct Plant {
    pub port: u16,
    pub bank: Arc<Probe>,
    connections: Arc<AtomicU32>,
    task: Option<JoinHandle<()>>,
}

impl Drop for Plant {
    fn drop(&mut self) {
        self.task.iter().for_each(JoinHandle::abort);
    }
}

impl Plant {
    pub async fn start(bank: Arc<Probe>) -> Self {
        let mut plant = Self { port: 0, bank, connections: Arc::default(), task: None };
        plant.up().await;
        plant
    }

    /// Connections accepted since the start.
    pub fn connections(&self) -> u32 {
        self.connections.load(Relaxed)
    }

    /// Listens again, on the same port.
    pub async fn up(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.port = listener.local_addr().unwrap().port();
        let (bank, connections) = (self.bank.clone(), self.connections.clone());
        self.task = Some(tokio::spawn(async move {
            let mut served = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                connections.fetch_add(1, Relaxed);
                let bank = bank.clone();
                served.spawn(async move { serve(stream, Framing::Tcp, &*bank, None).await });
            }
        }));
    }

    /// Closes the listener and every connection.
    pub async fn down(&mut self) {
        let task = self.task.take().expect("it is up");
        task.abort();
        let _ = task.await;
    }

    /// The endpoint of a unit, for YAML.
    pub fn endpoint(&self, unit: u8) -> String {
        format!("{{ tcp: \"127.0.0.1:{}\", unit: {unit}, timeout: 300ms }}", self.port)
    }
}
