//! What was asked of the API server and what came of it, counted for `/metrics`. It decides nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// The counters of one way to an API server.
#[derive(Debug, Default)]
pub struct Counts {
    requests: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    up: AtomicBool,
}

impl Counts {
    /// Counts one request of this verb, by how it ended.
    pub fn count(&self, verb: &'static str, outcome: &'static str) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry((verb, outcome)).or_default() += 1;
    }

    /// Whether Devices come in: a watch on them is open and has proved itself.
    pub fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Relaxed);
    }

    /// Whether Devices come in.
    pub fn up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// The requests so far, by verb and outcome.
    pub fn requests(&self) -> Vec<(&'static str, &'static str, u64)> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().map(|((verb, outcome), count)| (*verb, *outcome, *count)).collect()
    }
}
