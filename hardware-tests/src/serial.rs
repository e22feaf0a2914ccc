//! A device on a pty that sends frames of 20 bytes at a pace, as a UART would hand them on: what is not taken in time is lost,
//! and counted. A pty has no baud rate: the pace is the only thing that it shows of one.

use std::{
    io::{ErrorKind, Write as _},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::io::ioctl_fionbio;

use crate::{pty, rtu::crc, sim::micros};

/// Bytes of a frame.
pub const FRAME: usize = 20;

/// The frame in YAML: `a5 5a`, eight bytes that are r0 to r3 of [`crate::gateway::serial_yaml`], eight that stay, CRC-16/MODBUS.
pub const YAML: &str = "frame: { start: 'hex:a5 5a', length: 20, check: { kind: CRC-16/MODBUS, order: DCBA } }, \
                        messages: [ { name: frame, binary: {} } ]";

/// What r0 to r3 hold, most significant word first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The number of the frame.
    Number,
    /// The time right before it is sent: the subscriber's stamp.
    Stamp,
}

/// A device that is plugged in; it is pulled out when dropped: the line hangs up, and its name goes.
pub struct Sender {
    link: PathBuf,
    stop: Arc<AtomicBool>,
    quiet: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    /// Plugs one in under this name, which must be free: a frame every `period`.
    pub fn plug(link: &Path, period: Duration, content: Content) -> Result<Self> {
        let pty = pty::open()?;
        ioctl_fionbio(&pty.near, true).map_err(std::io::Error::from)?;
        symlink(&pty.path, link).with_context(|| format!("cannot link {}", link.display()))?;
        let (stop, quiet) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (sent, lost) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let shared = (stop.clone(), quiet.clone(), sent.clone(), lost.clone());
        let thread = thread::Builder::new().name("serial".into()).spawn(move || {
            let (stop, quiet, sent, lost) = shared;
            // Both ends go with this thread.
            let mut pty = pty;
            let mut next = Instant::now();
            for number in 1_u64.. {
                next += period;
                thread::sleep(next.saturating_duration_since(Instant::now()));
                if stop.load(Relaxed) {
                    return;
                }
                if quiet.load(Relaxed) {
                    continue;
                }
                let content = if content == Content::Number { number } else { micros() };
                match pty.near.write(&frame(content)) {
                    Ok(FRAME) => {}
                    Ok(_) => {
                        lost.fetch_add(1, Relaxed);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        lost.fetch_add(1, Relaxed);
                    }
                    Err(_) => return,
                }
                sent.fetch_add(1, Relaxed);
            }
        })?;
        Ok(Self { link: link.to_owned(), stop, quiet, sent, lost, thread: Some(thread) })
    }

    /// Keeps it quiet, with the line open, or lets it go on.
    pub fn quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Relaxed);
    }

    /// Frames sent, and how many of them nobody took in time.
    pub fn sent(&self) -> (u64, u64) {
        (self.sent.load(Relaxed), self.lost.load(Relaxed))
    }

    /// Pulls it out.
    pub fn pull(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends within a period; a panic of it was printed.
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.link);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.end();
    }
}

fn frame(content: u64) -> [u8; FRAME] {
    let mut frame = [0xa5, 0x5a, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0];
    frame[2..10].copy_from_slice(&content.to_be_bytes());
    let sum = crc(&frame[..FRAME - 2]);
    frame[FRAME - 2..].copy_from_slice(&sum.to_le_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read as _, time::Duration};

    use super::{Content, FRAME, Sender};
    use crate::{child::Scratch, rtu::crc};

    #[test]
    fn frames_come_whole_until_it_is_pulled_out() {
        let scratch = Scratch::new().expect("scratch");
        let name = scratch.path().join("line");
        let sender = Sender::plug(&name, Duration::from_millis(2), Content::Number).expect("sender");
        let mut line = File::open(&name).expect("line");
        let mut bytes = [0; FRAME * 3];
        line.read_exact(&mut bytes).expect("three frames");
        for (frame, number) in bytes.chunks_exact(FRAME).zip(1_u64..) {
            assert_eq!((&frame[..2], &frame[2..10], crc(frame)), (&[0xa5, 0x5a][..], &number.to_be_bytes()[..], 0));
        }
        sender.pull();
        assert!(!name.exists());
        // What was on its way may still be read; then the line is gone.
        let end = loop {
            match line.read(&mut bytes) {
                Ok(1..) => {}
                end => break end,
            }
        };
        assert!(matches!(end, Ok(0) | Err(_)));
    }
}
