//! Simulated Modbus TCP devices: cheap, and every answer is new. They refuse what the benchmark does not ask: function
//! codes other than 3 and 4.

use std::net::Ipv4Addr;

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the registers hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Registers {
    /// The four first registers hold the time at which the answer was built: microseconds of CLOCK_MONOTONIC,
    /// most significant word first.
    pub stamped: bool,
}

/// Binds this many devices to free ports of 127.0.0.1.
pub async fn bind(devices: usize) -> Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(devices);
    for _ in 0..devices {
        listeners.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?);
    }
    Ok(listeners)
}

/// Serves one device until its listener fails. Each connection is a device of its own, whose registers count its reads.
pub async fn serve(listener: TcpListener, registers: Registers) -> Result<()> {
    serve_with(listener, move |request, reads, answer| {
        respond(request, reads, registers.stamped.then(micros), answer);
        true
    })
    .await
}

/// Serves one device until its listener fails. `respond` is given a request (function code and data) and its number on
/// this connection, appends the answer, and says whether to send it.
pub async fn serve_with<F>(listener: TcpListener, respond: F) -> Result<()>
where
    F: Fn(&[u8], u16, &mut Vec<u8>) -> bool + Clone + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        // A client that goes away ends its connection only.
        let respond = respond.clone();
        tokio::spawn(async move { connection(stream, respond).await.ok() });
    }
}

async fn connection(mut stream: TcpStream, respond: impl Fn(&[u8], u16, &mut Vec<u8>) -> bool) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0_u8; 260];
    let mut filled = 0;
    let mut reads = 0_u16;
    let mut answer = Vec::with_capacity(260);
    loop {
        let count = stream.read(&mut buffer[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        while filled >= 6 {
            let length = 6 + usize::from(u16::from_be_bytes([buffer[4], buffer[5]]));
            if !(8..=buffer.len()).contains(&length) {
                anyhow::bail!("a frame of {length} bytes");
            }
            if filled < length {
                break;
            }
            reads = reads.wrapping_add(1);
            answer.clear();
            answer.extend_from_slice(&buffer[..4]);
            answer.extend_from_slice(&[0, 0, buffer[6]]);
            if respond(&buffer[7..length], reads, &mut answer) {
                let body = u16::try_from(answer.len() - 6)?;
                answer[4..6].copy_from_slice(&body.to_be_bytes());
                stream.write_all(&answer).await?;
            }
            buffer.copy_within(length..filled, 0);
            filled -= length;
        }
    }
}

/// Appends the answer to a request (function code and data): register n of read number `reads` holds `reads + n`.
pub fn respond(request: &[u8], reads: u16, stamp: Option<u64>, answer: &mut Vec<u8>) {
    let &[function, a, b, c, d] = request else {
        answer.extend_from_slice(&[request.first().copied().unwrap_or(0) | 0x80, 3]);
        return;
    };
    let (first, count) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    if function != 3 && function != 4 {
        answer.extend_from_slice(&[function | 0x80, 1]);
        return;
    }
    let bytes = match u8::try_from(count.saturating_mul(2)) {
        Ok(bytes) if (1..=125).contains(&count) => bytes,
        _ => {
            answer.extend_from_slice(&[function | 0x80, 3]);
            return;
        }
    };
    answer.extend_from_slice(&[function, bytes]);
    for register in (0..count).map(|offset| first.wrapping_add(offset)) {
        let value = match stamp {
            Some(stamp) if register < 4 => {
                let at = usize::from(register) * 2;
                answer.extend_from_slice(&stamp.to_be_bytes()[at..at + 2]);
                continue;
            }
            _ => reads.wrapping_add(register),
        };
        answer.extend_from_slice(&value.to_be_bytes());
    }
}

/// CLOCK_MONOTONIC in microseconds: the same clock in every process of the machine.
pub fn micros() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(request: &[u8], stamp: Option<u64>) -> Vec<u8> {
        let mut answer = Vec::new();
        respond(request, 7, stamp, &mut answer);
        answer
    }

    #[test]
    fn answers() {
        assert_eq!(answer(&[3, 0, 0, 0, 2], None), [3, 4, 0, 7, 0, 8]);
        assert_eq!(answer(&[4, 0, 5, 0, 1], None), [4, 2, 0, 12]);
        assert_eq!(answer(&[3, 0, 3, 0, 2], Some(0x0102_0304_0506_0708)), [3, 4, 7, 8, 0, 11]);
        assert_eq!(answer(&[3, 0, 0, 0, 126], None), [0x83, 3]);
        assert_eq!(answer(&[3, 0, 0, 0, 0], None), [0x83, 3]);
        assert_eq!(answer(&[6, 0, 0, 0, 1], None), [0x86, 1]);
        assert_eq!(answer(&[], None), [0x80, 3]);
    }
}
