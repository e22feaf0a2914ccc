//! One Modbus question and its answer, as the core holds them. Pure.

use std::{fmt, sync::Arc};

use mapper_api::PointId;

use crate::{bind::Unit, config::Table};

/// One question to one unit.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) unit: Arc<Unit>,
    pub(crate) what: What,
    pub(crate) points: Box<[PointId]>,
}

/// The function, the place and what is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// Function codes 1 to 4.
    Read { table: Table, start: u16, count: u16 },
    /// 5.
    WriteCoil { start: u16, on: bool },
    /// 6.
    WriteRegister { start: u16, word: u16 },
    /// 15.
    WriteCoils { start: u16, on: Vec<bool> },
    /// 16.
    WriteRegisters { start: u16, words: Vec<u16> },
}

/// The reply to a [`Request`]; it was checked against the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The registers that were asked for.
    Registers(Vec<u16>),
    /// The bits that were asked for, filled up to whole bytes.
    Bits(Vec<bool>),
    /// The write was done.
    Written,
    /// The unit refused, with this exception code.
    Exception(u8),
}

impl What {
    pub fn function(&self) -> u8 {
        match self {
            Self::Read { table: Table::Coil, .. } => 1,
            Self::Read { table: Table::DiscreteInput, .. } => 2,
            Self::Read { table: Table::HoldingRegister, .. } => 3,
            Self::Read { table: Table::InputRegister, .. } => 4,
            Self::WriteCoil { .. } => 5,
            Self::WriteRegister { .. } => 6,
            Self::WriteCoils { .. } => 15,
            Self::WriteRegisters { .. } => 16,
        }
    }

    /// Bytes of the request, function code included.
    pub fn request_len(&self) -> usize {
        match self {
            Self::WriteCoils { on, .. } => 6 + on.len().div_ceil(8),
            Self::WriteRegisters { words, .. } => 6 + 2 * words.len(),
            _ => 5,
        }
    }

    /// Bytes of an answer that fits, function code included.
    pub fn answer_len(&self) -> usize {
        match self {
            Self::Read { table, count, .. } if table.is_bits() => 2 + usize::from(*count).div_ceil(8),
            Self::Read { count, .. } => 2 + 2 * usize::from(*count),
            _ => 5,
        }
    }

    /// Function code, place, values (Modbus Application Protocol V1.1b3, chapter 6).
    pub fn pdu(&self) -> Vec<u8> {
        let mut pdu = Vec::with_capacity(self.request_len());
        let word = |pdu: &mut Vec<u8>, word: usize| {
            pdu.extend_from_slice(&u16::try_from(word).unwrap_or(u16::MAX).to_be_bytes());
        };
        pdu.push(self.function());
        match self {
            Self::Read { start, count, .. } => {
                word(&mut pdu, usize::from(*start));
                word(&mut pdu, usize::from(*count));
            }
            Self::WriteCoil { start, on } => {
                word(&mut pdu, usize::from(*start));
                word(&mut pdu, if *on { 0xff00 } else { 0 });
            }
            Self::WriteRegister { start, word: value } => {
                word(&mut pdu, usize::from(*start));
                word(&mut pdu, usize::from(*value));
            }
            Self::WriteCoils { start, on } => {
                word(&mut pdu, usize::from(*start));
                word(&mut pdu, on.len());
                let bytes = on.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
                pdu.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
                pdu.extend(bytes);
            }
            Self::WriteRegisters { start, words } => {
                word(&mut pdu, usize::from(*start));
                word(&mut pdu, words.len());
                pdu.push(u8::try_from(2 * words.len()).unwrap_or(u8::MAX));
                for value in words {
                    word(&mut pdu, usize::from(*value));
                }
            }
        }
        pdu
    }

    fn place(&self) -> (&'static str, Table, u16, usize) {
        match self {
            Self::Read { table, start, count } => ("read", *table, *start, (*count).into()),
            Self::WriteCoil { start, .. } => ("write", Table::Coil, *start, 1),
            Self::WriteRegister { start, .. } => ("write", Table::HoldingRegister, *start, 1),
            Self::WriteCoils { start, on } => ("write", Table::Coil, *start, on.len()),
            Self::WriteRegisters { start, words } => ("write", Table::HoldingRegister, *start, words.len()),
        }
    }
}

impl fmt::Display for What {
    /// `read holding registers 40..59`, the last one included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, table, start, count) = self.place();
        write!(f, "{verb} {}", table.words())?;
        match count {
            1 => write!(f, " {start}"),
            n => write!(f, "s {start}..{}", usize::from(start) + n - 1),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unit {} {}", self.unit.id, self.what)
    }
}

#[cfg(test)]
mod tests {
    use tokio_modbus::{Request as Pdu, bytes::Bytes};

    use super::What;
    use crate::config::Table;

    #[test]
    fn a_server_understands_each_request() {
        let bits = [true, false, true, true, false, false, false, false, true, true];
        for (what, meant) in [
            (What::Read { table: Table::Coil, start: 7, count: 2000 }, Pdu::ReadCoils(7, 2000)),
            (What::Read { table: Table::DiscreteInput, start: 65535, count: 1 }, Pdu::ReadDiscreteInputs(65535, 1)),
            (What::Read { table: Table::HoldingRegister, start: 256, count: 125 }, Pdu::ReadHoldingRegisters(256, 125)),
            (What::Read { table: Table::InputRegister, start: 0, count: 2 }, Pdu::ReadInputRegisters(0, 2)),
            (What::WriteCoil { start: 3, on: true }, Pdu::WriteSingleCoil(3, true)),
            (What::WriteCoil { start: 3, on: false }, Pdu::WriteSingleCoil(3, false)),
            (What::WriteRegister { start: 513, word: 0xabcd }, Pdu::WriteSingleRegister(513, 0xabcd)),
            (What::WriteCoils { start: 9, on: bits.to_vec() }, Pdu::WriteMultipleCoils(9, bits[..].into())),
            (
                What::WriteRegisters { start: 1, words: vec![1, 0x0203, 65535] },
                Pdu::WriteMultipleRegisters(1, [1, 0x0203, 65535][..].into()),
            ),
        ] {
            let pdu = what.pdu();
            assert_eq!(pdu.len(), what.request_len(), "{what}");
            assert_eq!(Pdu::try_from(Bytes::from(pdu)).unwrap(), meant, "{what}");
        }
    }
}
