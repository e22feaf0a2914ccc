//! A Modbus server for demonstrations and tests: several units over any byte stream, in either framing, and at the pace
//! of a serial line if asked. A unit that the bank does not serve is simply absent: nobody answers for it.

mod pty;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    time::{Instant, sleep_until},
};

pub use pty::Pty;

use crate::{
    config::{Framing, Table},
    transport::rtu,
};

/// A refusal, by its exception code: 2 is illegalDataAddress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception(pub u8);

/// The illegal function, the illegal data address and the illegal data value of the standard.
const FUNCTION: Exception = Exception(1);
const ADDRESS: Exception = Exception(2);
const VALUE: Exception = Exception(3);

/// What the server serves. Bits are registers of 0 or 1.
pub trait Bank: Send + Sync + 'static {
    /// Whether this unit is there at all.
    fn serves(&self, unit: u8) -> bool;

    /// The values of `count` registers or bits from `start`.
    ///
    /// # Errors
    /// What the unit refuses with.
    fn read(&self, unit: u8, table: Table, start: u16, count: u16) -> Result<Vec<u16>, Exception>;

    /// Writes the values from `start` on.
    ///
    /// # Errors
    /// What the unit refuses with.
    fn write(&self, unit: u8, table: Table, start: u16, values: &[u16]) -> Result<(), Exception>;
}

/// A bank in memory: each unit has so many registers and bits in each table, zero at first.
#[derive(Debug, Default)]
pub struct Registers(Mutex<HashMap<(u8, Table), Vec<u16>>>);

impl Registers {
    /// These units, each with `size` registers or bits a table.
    pub fn new(units: impl IntoIterator<Item = u8>, size: u16) -> Self {
        let tables = [Table::Coil, Table::DiscreteInput, Table::HoldingRegister, Table::InputRegister];
        let all = units.into_iter().flat_map(|unit| tables.map(|table| ((unit, table), vec![0; size.into()])));
        Self(Mutex::new(all.collect()))
    }

    /// Takes a unit off the bus, as if its power were cut.
    pub fn remove(&self, unit: u8) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _), _| *other != unit);
    }

    fn with<T>(
        &self,
        unit: u8,
        table: Table,
        start: u16,
        count: usize,
        then: impl FnOnce(&mut [u16]) -> T,
    ) -> Result<T, Exception> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let values = all.get_mut(&(unit, table)).ok_or(ADDRESS)?;
        values.get_mut(start.into()..usize::from(start) + count).map(then).ok_or(ADDRESS)
    }
}

impl Bank for Registers {
    fn serves(&self, unit: u8) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&(unit, Table::Coil))
    }

    fn read(&self, unit: u8, table: Table, start: u16, count: u16) -> Result<Vec<u16>, Exception> {
        self.with(unit, table, start, count.into(), |values| values.to_vec())
    }

    fn write(&self, unit: u8, table: Table, start: u16, values: &[u16]) -> Result<(), Exception> {
        self.with(unit, table, start, values.len(), |old| old.copy_from_slice(values))
    }
}

/// Accepts connections for ever; each is served by a task of its own.
///
/// # Errors
/// The listener's.
pub async fn listen(listener: TcpListener, framing: Framing, bank: Arc<dyn Bank>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let bank = bank.clone();
        tokio::spawn(async move { serve(stream, framing, &*bank, None).await });
    }
}

/// Serves one stream until its end. With a `baud` rate, requests and answers take the time of eleven bits a character.
///
/// # Errors
/// The stream's; its end is none.
pub async fn serve(
    mut io: impl AsyncRead + AsyncWrite + Unpin,
    framing: Framing,
    bank: &dyn Bank,
    baud: Option<u32>,
) -> io::Result<()> {
    let character = baud.map_or(Duration::ZERO, |baud| Duration::from_secs(11) / baud.max(1));
    let (mut inbound, mut bytes) = (Vec::new(), [0; 512]);
    loop {
        while let Some((len, unit_at)) = request_len(&mut inbound, framing) {
            let request: Vec<u8> = inbound.drain(..len).collect();
            let unit = request[unit_at];
            let end = if framing == Framing::Rtu { len - 2 } else { len };
            if !bank.serves(unit) {
                continue;
            }
            let mut answer = request[..unit_at].to_vec();
            answer.push(unit);
            respond(&request[unit_at + 1..end], unit, bank, &mut answer);
            match framing {
                Framing::Tcp => {
                    let len = u16::try_from(answer.len() - 6).expect("a PDU is at most 253 bytes");
                    answer[4..6].copy_from_slice(&len.to_be_bytes());
                }
                Framing::Rtu => rtu::seal(&mut answer),
            }
            paced(&mut io, &answer, character, len).await?;
        }
        match io.read(&mut bytes).await? {
            0 => return Ok(()),
            n => inbound.extend_from_slice(&bytes[..n]),
        }
    }
}

/// Writes what the line would have carried by each moment, after the silence that ends the request.
async fn paced(
    io: &mut (impl AsyncWrite + Unpin),
    answer: &[u8],
    character: Duration,
    request: usize,
) -> io::Result<()> {
    if character.is_zero() {
        return io.write_all(answer).await;
    }
    let mut at = Instant::now() + character * u32::try_from(request).unwrap_or(0) + character * 7 / 2;
    for chunk in answer.chunks(4) {
        at += character * u32::try_from(chunk.len()).unwrap_or(0);
        sleep_until(at).await;
        io.write_all(chunk).await?;
    }
    Ok(())
}

/// The length of the whole request at the start of the buffer, and where its unit stands. Bytes that begin none are
/// dropped.
fn request_len(inbound: &mut Vec<u8>, framing: Framing) -> Option<(usize, usize)> {
    if framing == Framing::Tcp {
        let len = 6 + usize::from(u16::from_be_bytes([*inbound.get(4)?, *inbound.get(5)?]));
        return (len >= 8 && inbound.len() >= len).then_some((len, 6));
    }
    loop {
        let len = match inbound.get(1)? {
            15 | 16 => 9 + usize::from(*inbound.get(6)?),
            _ => 8,
        };
        let frame = inbound.get(..len)?;
        if rtu::has_good_crc(frame) {
            return Some((len, 0));
        }
        inbound.remove(0);
    }
}

fn respond(pdu: &[u8], unit: u8, bank: &dyn Bank, answer: &mut Vec<u8>) {
    let unsealed = answer.len();
    answer.push(pdu[0]);
    if let Err(Exception(code)) = run(pdu, unit, bank, answer) {
        answer.truncate(unsealed);
        answer.extend([pdu[0] | 0x80, code]);
    }
}

fn run(pdu: &[u8], unit: u8, bank: &dyn Bank, answer: &mut Vec<u8>) -> Result<(), Exception> {
    let word = |at: usize| pdu.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]])).ok_or(VALUE);
    let table = match pdu[0] {
        1 | 5 | 15 => Table::Coil,
        2 => Table::DiscreteInput,
        3 | 6 | 16 => Table::HoldingRegister,
        4 => Table::InputRegister,
        _ => return Err(FUNCTION),
    };
    let (start, second) = (word(1)?, word(3)?);
    let bytes = |len: usize| u8::try_from(len).map_err(|_| VALUE);
    match pdu[0] {
        1..=2 => {
            let bits = bank.read(unit, table, start, Some(second).filter(|n| (1..=2000).contains(n)).ok_or(VALUE)?)?;
            answer.push(bytes(bits.len().div_ceil(8))?);
            let byte = |bits: &[u16]| (0..).zip(bits).fold(0_u8, |byte, (n, bit)| byte | u8::from(*bit != 0) << n);
            answer.extend(bits.chunks(8).map(byte));
        }
        3..=4 => {
            let words = bank.read(unit, table, start, Some(second).filter(|n| (1..=125).contains(n)).ok_or(VALUE)?)?;
            answer.push(bytes(2 * words.len())?);
            answer.extend(words.iter().flat_map(|w| w.to_be_bytes()));
        }
        5 if !matches!(second, 0 | 0xff00) => return Err(VALUE),
        5 => bank.write(unit, table, start, &[u16::from(second != 0)])?,
        6 => bank.write(unit, table, start, &[second])?,
        15 => {
            let packed = pdu.get(6..6 + usize::from(second).div_ceil(8)).ok_or(VALUE)?;
            let bits: Vec<_> = (0..usize::from(second)).map(|n| u16::from(packed[n / 8] >> (n % 8) & 1)).collect();
            bank.write(unit, table, start, &bits)?;
        }
        _ => {
            let words = pdu.get(6..6 + 2 * usize::from(second)).ok_or(VALUE)?;
            let words: Vec<_> = words.chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect();
            bank.write(unit, table, start, &words)?;
        }
    }
    if pdu[0] > 4 {
        answer.extend_from_slice(&pdu[1..5]);
    }
    Ok(())
}
