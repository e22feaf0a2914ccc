//! What a bus counts. Written by its task, read by health and metrics.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The counters of one bus.
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub up: AtomicBool,
    opens: AtomicU64,
    exchanges_ok: AtomicU64,
    exchanges_failed: AtomicU64,
    periods_missed: AtomicU64,
    busy_nanos: AtomicU64,
}

/// The counters of one bus at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusStats {
    /// Protocol and resource: `modbus:tcp:10.0.0.7:502`.
    pub bus: String,
    /// How many devices are on it.
    pub devices: usize,
    /// Whether it is open.
    pub up: bool,
    /// How often it was opened.
    pub opens: u64,
    /// Exchanges that were answered.
    pub exchanges_ok: u64,
    /// Exchanges that failed as a whole.
    pub exchanges_failed: u64,
    /// Polls that were skipped because the bus was late.
    pub periods_missed: u64,
    /// How long exchanges kept the bus. The increase of it over the time passed is the utilisation.
    pub busy: Duration,
}

impl Stats {
    pub fn opened(&self) {
        self.opens.fetch_add(1, Relaxed);
        self.up.store(true, Relaxed);
    }

    pub fn exchanged(&self, ok: bool, took: Duration) {
        if ok { &self.exchanges_ok } else { &self.exchanges_failed }.fetch_add(1, Relaxed);
        self.busy(took);
    }

    pub fn busy(&self, took: Duration) {
        self.busy_nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    pub fn missed(&self, periods: u64) {
        self.periods_missed.fetch_add(periods, Relaxed);
    }

    pub fn snapshot(&self, bus: String, devices: usize) -> BusStats {
        BusStats {
            bus,
            devices,
            up: self.up.load(Relaxed),
            opens: self.opens.load(Relaxed),
            exchanges_ok: self.exchanges_ok.load(Relaxed),
            exchanges_failed: self.exchanges_failed.load(Relaxed),
            periods_missed: self.periods_missed.load(Relaxed),
            busy: Duration::from_nanos(self.busy_nanos.load(Relaxed)),
        }
    }
}
