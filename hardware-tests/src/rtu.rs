//! A serial line with Modbus RTU units on a paced pty: each byte takes its time on the wire, both ways. It answers
//! reads; units fall silent and come back on demand.

use std::{
    io::{Read, Write},
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{pty, sim};

/// What a unit takes from the end of a request (and the quiet time behind it) to its answer.
const TURNAROUND: Duration = Duration::from_millis(1);

/// A line with units 1 to `units` (31 at most). Once it is dropped and the far end is closed, its thread ends.
pub struct Line {
    /// What to open as the serial port.
    pub path: PathBuf,
    /// Bit n set: unit n is silent.
    silent: Arc<AtomicU32>,
    _far: OwnedFd,
}

impl Line {
    /// Opens the line. A character is 11 bits (8E1 or 8N2).
    pub fn open(units: u8, baud: u32) -> Result<Self> {
        let pty = pty::open()?;
        let silent = Arc::new(AtomicU32::new(0));
        let muted = Arc::clone(&silent);
        let character = Duration::from_secs(11) / baud;
        let mut near = pty.near;
        thread::Builder::new().name("rtu-line".into()).spawn(move || {
            let mut counts = [0_u16; 32];
            let mut request = Vec::new();
            let mut buffer = [0_u8; 256];
            // The read fails once nobody holds the far end.
            while let Ok(count @ 1..) = near.read(&mut buffer) {
                let arrived = Instant::now();
                request.extend_from_slice(&buffer[..count]);
                while let Some((frame, rest)) = request.split_first_chunk::<8>() {
                    let (frame, rest) = (*frame, rest.to_vec());
                    let unit = frame[0];
                    // Noise is not searched for a frame in it: the master asks again.
                    request = if crc(&frame) == 0 { rest } else { Vec::new() };
                    if crc(&frame) != 0
                        || !(1..=units).contains(&unit)
                        || muted.load(Ordering::Relaxed) & (1 << unit) != 0
                    {
                        continue;
                    }
                    let reads = &mut counts[usize::from(unit)];
                    *reads = reads.wrapping_add(1);
                    let mut answer = vec![unit];
                    sim::respond(&frame[1..6], *reads, None, &mut answer);
                    answer.extend_from_slice(&crc(&answer).to_le_bytes());
                    // The pty took the request at once; the wire needs 8 characters, then 3.5 of quiet.
                    let start = arrived + character * 23 / 2 + TURNAROUND;
                    if send(&mut near, &answer, start, character).is_err() {
                        return;
                    }
                }
            }
        })?;
        Ok(Self { path: pty.path, silent, _far: pty.far })
    }

    /// Makes a unit silent, or lets it answer again.
    pub fn silence(&self, unit: u8, silent: bool) {
        if silent {
            self.silent.fetch_or(1 << unit, Ordering::Relaxed);
        } else {
            self.silent.fetch_and(!(1 << unit), Ordering::Relaxed);
        }
    }
}

/// Each byte arrives when its last bit has.
fn send(line: &mut impl Write, bytes: &[u8], start: Instant, character: Duration) -> std::io::Result<()> {
    for (byte, sent) in bytes.iter().zip(1_u32..) {
        thread::sleep((start + character * sent).saturating_duration_since(Instant::now()));
        line.write_all(std::slice::from_ref(byte))?;
    }
    Ok(())
}

/// CRC-16/MODBUS; 0 over a frame that ends in its own.
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Read as _};

    use super::*;

    #[test]
    fn crc_of_the_catalogue() {
        assert_eq!(crc(b"123456789"), 0x4B37);
    }

    #[test]
    fn an_answer_takes_its_time_and_a_silent_unit_gives_none() {
        let line = Line::open(3, 9600).expect("line");
        let mut port = OpenOptions::new().read(true).write(true).open(&line.path).expect("far end");
        let mut ask = |unit: u8| {
            let mut request = vec![unit, 3, 0, 0, 0, 20];
            request.extend_from_slice(&crc(&request).to_le_bytes());
            port.write_all(&request).expect("request");
        };
        line.silence(2, true);
        ask(2);
        let start = Instant::now();
        ask(3);
        let mut answer = [0_u8; 45];
        port.read_exact(&mut answer).expect("answer");
        assert_eq!((answer[0], answer[2], crc(&answer)), (3, 40, 0));
        // 8 + 3.5 + 45 characters of 1.146 ms.
        assert!(start.elapsed() >= Duration::from_millis(64), "{:?}", start.elapsed());
    }
}
