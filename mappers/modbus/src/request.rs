//! One Modbus question and its answer, as the core holds them. Pure.

use std::{borrow::Cow, fmt, sync::Arc};

use mapper_api::PointId;
use tokio_modbus::Request as Pdu;

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

    pub fn pdu(&self) -> Pdu<'_> {
        match self {
            Self::Read { table: Table::Coil, start, count } => Pdu::ReadCoils(*start, *count),
            Self::Read { table: Table::DiscreteInput, start, count } => Pdu::ReadDiscreteInputs(*start, *count),
            Self::Read { table: Table::HoldingRegister, start, count } => Pdu::ReadHoldingRegisters(*start, *count),
            Self::Read { table: Table::InputRegister, start, count } => Pdu::ReadInputRegisters(*start, *count),
            Self::WriteCoil { start, on } => Pdu::WriteSingleCoil(*start, *on),
            Self::WriteRegister { start, word } => Pdu::WriteSingleRegister(*start, *word),
            Self::WriteCoils { start, on } => Pdu::WriteMultipleCoils(*start, Cow::Borrowed(on)),
            Self::WriteRegisters { start, words } => Pdu::WriteMultipleRegisters(*start, Cow::Borrowed(words)),
        }
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
