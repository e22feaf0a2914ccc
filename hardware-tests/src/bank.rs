//! Modbus TCP devices whose owner knows what was written into them, and when, and can let each fall silent. On a thread
//! of their own in this process. They refuse function codes other than 3, 4, 6 and 16.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Context, Result};
use tokio::sync::oneshot;

use crate::sim;

/// Registers below this one are new with each read; from here on they hold what was written, at first their own number.
pub const HELD: u16 = 20;
/// How many registers hold what was written.
const COUNT: u16 = 16;

/// One value that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// The register.
    pub register: u16,
    /// What it holds now.
    pub value: u16,
    /// When it came.
    pub at: Instant,
}

/// What one device holds.
#[derive(Debug)]
struct Held {
    words: Vec<u16>,
    writes: Vec<Write>,
}

/// One device.
struct Device {
    silent: AtomicBool,
    held: Mutex<Held>,
}

/// The devices; they end with this value.
pub struct Bank {
    /// The port of each on 127.0.0.1.
    pub ports: Vec<u16>,
    devices: Vec<Arc<Device>>,
    // Its end is what the thread waits for.
    _alive: oneshot::Sender<()>,
}

impl Bank {
    /// Opens this many devices, a port each.
    pub fn open(devices: usize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listeners = runtime.block_on(sim::bind(devices)).context("too few file descriptors? see ulimit -n")?;
        let ports = listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect::<Result<_>>()?;
        let devices: Vec<Arc<Device>> = (0..devices).map(|_| Arc::new(Device::new())).collect();
        let (alive, ended) = oneshot::channel();
        let served = devices.clone();
        thread::Builder::new().name("bank".into()).spawn(move || {
            runtime.block_on(async move {
                for (listener, device) in listeners.into_iter().zip(served) {
                    tokio::spawn(sim::serve_with(listener, move |request, reads, answer| {
                        device.answer(request, reads, answer)
                    }));
                }
                let _ = ended.await;
            });
        })?;
        Ok(Self { ports, devices, _alive: alive })
    }

    /// Lets a device fall silent (it takes requests and answers none), or answer again.
    pub fn silence(&self, device: usize, silent: bool) {
        self.devices[device].silent.store(silent, Ordering::Relaxed);
    }

    /// What was written into a device so far.
    pub fn writes(&self, device: usize) -> Vec<Write> {
        self.devices[device].held.lock().unwrap_or_else(PoisonError::into_inner).writes.clone()
    }
}

impl Device {
    fn new() -> Self {
        let held = Held { words: (HELD..HELD + COUNT).collect(), writes: Vec::new() };
        Self { silent: AtomicBool::new(false), held: Mutex::new(held) }
    }

    fn answer(&self, request: &[u8], reads: u16, answer: &mut Vec<u8>) -> bool {
        if self.silent.load(Ordering::Relaxed) {
            return false;
        }
        self.held.lock().unwrap_or_else(PoisonError::into_inner).answer(request, reads, Instant::now(), answer);
        true
    }
}

impl Held {
    fn answer(&mut self, request: &[u8], reads: u16, now: Instant, answer: &mut Vec<u8>) {
        let &[function, a, b, c, d, ref data @ ..] = request else {
            answer.extend_from_slice(&[request.first().copied().unwrap_or(0) | 0x80, 3]);
            return;
        };
        let (first, second) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        match function {
            3 | 4 if (1..=125).contains(&second) => {
                answer.extend_from_slice(&[function, u8::try_from(second * 2).unwrap_or_default()]);
                for register in (0..second).map(|offset| first.wrapping_add(offset)) {
                    let held = register.checked_sub(HELD).and_then(|at| self.words.get(usize::from(at)));
                    let value = held.copied().unwrap_or_else(|| reads.wrapping_add(register));
                    answer.extend_from_slice(&value.to_be_bytes());
                }
            }
            6 if self.write(first, second, now) => answer.extend_from_slice(&request[..5]),
            16 if data.len() == usize::from(second) * 2 + 1 => {
                let words = data[1..].chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
                if (first..).zip(words).all(|(register, value)| self.write(register, value, now)) {
                    answer.extend_from_slice(&request[..5]);
                } else {
                    answer.extend_from_slice(&[function | 0x80, 2]);
                }
            }
            3 | 4 | 16 => answer.extend_from_slice(&[function | 0x80, 3]),
            6 => answer.extend_from_slice(&[function | 0x80, 2]),
            _ => answer.extend_from_slice(&[function | 0x80, 1]),
        }
    }

    /// Whether there is such a register to write.
    fn write(&mut self, register: u16, value: u16, now: Instant) -> bool {
        let word = register.checked_sub(HELD).and_then(|at| self.words.get_mut(usize::from(at)));
        let known = word.is_some();
        if let Some(word) = word {
            *word = value;
            self.writes.push(Write { register, value, at: now });
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_holds_what_was_written_and_nothing_else() {
        let mut held = Held { words: (HELD..HELD + COUNT).collect(), writes: Vec::new() };
        let mut ask = |request: &[u8]| {
            let mut answer = Vec::new();
            held.answer(request, 7, Instant::now(), &mut answer);
            answer
        };
        let cases: [(&str, &[u8], &[u8]); 9] = [
            ("new and held in one", &[3, 0, 19, 0, 2], &[3, 4, 0, 26, 0, 20]),
            ("one written", &[6, 0, 21, 1, 2], &[6, 0, 21, 1, 2]),
            ("and read", &[3, 0, 21, 0, 1], &[3, 2, 1, 2]),
            ("several written", &[16, 0, 20, 0, 2, 4, 0, 9, 0, 8], &[16, 0, 20, 0, 2]),
            ("and read", &[4, 0, 20, 0, 2], &[4, 4, 0, 9, 0, 8]),
            ("not writable", &[6, 0, 3, 0, 1], &[0x86, 2]),
            ("beyond the last", &[16, 0, 35, 0, 2, 4, 0, 1, 0, 1], &[0x90, 2]),
            ("another length than said", &[16, 0, 20, 0, 2, 4, 0, 9], &[0x90, 3]),
            ("another function", &[5, 0, 0, 0, 0], &[0x85, 1]),
        ];
        for (what, request, expected) in cases {
            assert_eq!(ask(request), expected, "{what}");
        }
        assert_eq!(
            held.writes.iter().map(|w| (w.register, w.value)).collect::<Vec<_>>(),
            [(21, 258), (20, 9), (21, 8), (35, 1)]
        );
    }
}
