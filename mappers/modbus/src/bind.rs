//! From YAML to a device that can be planned for: every mistake at once, each with what would be accepted. Pure.

use std::{sync::Arc, time::Duration};

use mapper_api::{At, BindError, ByteOrder, DataType, Point, PointId};
use mapper_tty::{Parity, Settings, Target};
use mapper_values::{Bits, DATE_TIME_SIZES};

use crate::{
    config::{Address, Endpoint, Framing, Serial, Table},
    line::Line,
};

/// A Modbus device that was checked: all that planning and decoding need.
#[derive(Debug)]
pub struct Bound {
    pub(crate) unit: Arc<Unit>,
    pub(crate) points: Vec<Spot>,
    pub(crate) limits: Limits,
    /// What may be meant otherwise.
    pub(crate) notes: Vec<BindError>,
}

/// What every request of a device shares.
#[derive(Debug)]
pub(crate) struct Unit {
    pub id: u8,
    pub target: Target,
    /// Of a serial line; of no meaning over TCP.
    pub settings: Settings,
    pub line: Line,
    pub timeout: Duration,
}

/// How far reads are merged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub gap: u16,
    pub registers: u16,
    pub bits: u16,
}

/// Where a point lives: `count` registers or bits from `start`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spot {
    pub table: Table,
    pub start: u16,
    pub count: u16,
    pub data_type: DataType,
    pub order: ByteOrder,
    /// Length in bytes of a type that has no width of its own; 0 for the others.
    pub size: u16,
    /// Which bits of the number in its registers are the value, where not all are.
    pub bits: Option<Bits>,
    pub readable: bool,
}

impl Spot {
    /// One past the last register or bit; up to 65536.
    pub fn end(&self) -> u32 {
        u32::from(self.start) + u32::from(self.count)
    }
}

/// The most that one request may ask for, by the standard.
const MAX_REGISTERS: u16 = 125;
const MAX_BITS: u16 = 2000;
/// The most registers that one request may write, by the standard.
const MAX_WRITTEN: u16 = 123;

pub(crate) fn bind(endpoint: &Endpoint, points: &[Point<Address>]) -> Result<Bound, Vec<BindError>> {
    let mut errors = Vec::new();
    let mut refuse = |path: &str, message: String| errors.push(BindError::config(At::Endpoint, path, message));
    let mut whole = |key: &str, given: Option<i64>, default: u16, least: u16, most: u16| {
        let number = given.unwrap_or(default.into());
        u16::try_from(number).ok().filter(|n| (least..=most).contains(n)).unwrap_or_else(|| {
            refuse(key, format!("{number} is not in {least}..{most}"));
            default
        })
    };
    let limits = Limits {
        gap: whole("maxGap", endpoint.max_gap, 16, 0, 124),
        registers: whole("maxRegisters", endpoint.max_registers, MAX_REGISTERS, 1, MAX_REGISTERS),
        bits: whole("maxBits", endpoint.max_bits, MAX_BITS, 1, MAX_BITS),
    };
    let id = match (endpoint.unit, endpoint.tcp.is_some()) {
        (0, _) => {
            refuse("unit", "0 is the broadcast: nobody answers it; write the device's own unit, 1 to 247".into());
            1
        }
        (n, tcp) => u8::try_from(n).ok().filter(|n| *n <= 247 || (tcp && *n == 255)).unwrap_or_else(|| {
            let also = if tcp { ", or 255 for a device addressed by its IP alone" } else { "" };
            refuse("unit", format!("{n} is not in 1..247{also}"));
            1
        }),
    };
    let timeout = endpoint.timeout.map_or(default_timeout(endpoint), |t| t.0);
    if timeout.is_zero() || timeout > Duration::from_secs(60) {
        refuse("timeout", "must be longer than 0s and at most 60s".into());
    }
    if endpoint.quiet.is_some_and(|q| q.0 > Duration::from_secs(10)) {
        refuse("quiet", "must be at most 10s".into());
    }
    if endpoint.quiet.is_some() && framing(endpoint) == Framing::Tcp {
        refuse("quiet", "belongs to framing rtu; leave it out".into());
    }
    let target = target(endpoint, &mut refuse);
    let spots: Vec<_> = (0..).zip(points).filter_map(|(id, point)| spot(id, point, limits, &mut errors)).collect();
    match target {
        Some((target, settings, line)) if errors.is_empty() => {
            let notes = (0..).zip(points).filter_map(|(id, point)| other_notation(id, &point.address)).collect();
            Ok(Bound { unit: Arc::new(Unit { id, target, settings, line, timeout }), points: spots, limits, notes })
        }
        _ => Err(errors),
    }
}

/// A remark on a `register` that looks like a reference, which counts from 1 and names its table by the first digit.
fn other_notation(id: PointId, address: &Address) -> Option<BindError> {
    let (table, number) = (address.table?, address.register?);
    let first = match table {
        Table::Coil => return None, // 1 to 9999 are plain registers as well
        Table::DiscreteInput => 10_001,
        Table::InputRegister => 30_001,
        Table::HoldingRegister => 40_001,
    };
    (first..first + 9999).contains(&number).then(|| {
        let message = format!(
            "the {} with the zero-based address {number} will be read (reference: \"{}\"); if the manual's {number} is \
             meant, write reference: \"{number}\" or register: {}",
            table.words(),
            first / 10_000 * 100_000 + number + 1,
            number - first,
        );
        BindError::config(At::Address(id), "register", message)
    })
}

/// The framing that was written, or the one that the transport implies.
pub(crate) fn framing(endpoint: &Endpoint) -> Framing {
    endpoint.framing.unwrap_or(if endpoint.serial.is_some() { Framing::Rtu } else { Framing::Tcp })
}

fn default_timeout(endpoint: &Endpoint) -> Duration {
    Duration::from_millis(if endpoint.serial.is_some() { 500 } else { 1000 })
}

fn target(endpoint: &Endpoint, refuse: &mut impl FnMut(&str, String)) -> Option<(Target, Settings, Line)> {
    let framing = framing(endpoint);
    let quiet = endpoint.quiet.map(|q| q.0);
    match (&endpoint.tcp, &endpoint.serial) {
        (Some(text), None) => match host_port(text, framing) {
            Ok((host, port)) => Some((Target::Tcp { host, port }, Settings::default(), Line::tcp(framing, quiet))),
            Err(message) => {
                refuse("tcp", message);
                None
            }
        },
        (None, Some(serial)) => {
            if framing == Framing::Tcp {
                refuse("framing", "tcp frames do not travel on a serial line; rtu would be accepted".into());
            }
            serial_line(serial, quiet, refuse)
        }
        (None, None) => {
            refuse("", "one of tcp or serial must be given, such as tcp: \"10.0.0.7:502\"".into());
            None
        }
        (Some(_), Some(_)) => {
            refuse("", "tcp and serial are both given; a device is reached by one of them".into());
            None
        }
    }
}

fn serial_line(
    serial: &Serial,
    quiet: Option<Duration>,
    refuse: &mut impl FnMut(&str, String),
) -> Option<(Target, Settings, Line)> {
    let baud = u32::try_from(serial.baud).ok().filter(|baud| Settings::BAUD.contains(baud));
    let two_stop_bits = match serial.stop_bits.unwrap_or(1) {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    };
    if serial.path.is_empty() {
        refuse("serial.path", "is empty; write a device file such as /dev/ttyUSB0".into());
    }
    if baud.is_none() {
        refuse("serial.baud", format!("{} is not in 50..4000000", serial.baud));
    }
    if two_stop_bits.is_none() {
        refuse("serial.stopBits", "must be 1 or 2".into());
    }
    let (baud, two_stop_bits) = (baud?, two_stop_bits?);
    let settings = line_settings(serial, baud, two_stop_bits);
    Some((Target::Path(serial.path.clone()), settings, Line::serial(baud, quiet)))
}

/// `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
pub(crate) fn host_port(text: &str, framing: Framing) -> Result<(String, u16), String> {
    // RTU over TCP has no usual port.
    mapper_tty::host_port(text, (framing == Framing::Tcp).then_some(502))
}

/// One line of settings, as people write them: `9600 8E1 rtu`.
pub(crate) fn settings(endpoint: &Endpoint) -> String {
    let framing = match framing(endpoint) {
        Framing::Tcp => "tcp",
        Framing::Rtu => "rtu",
    };
    endpoint.serial.as_ref().map_or_else(
        || framing.to_owned(),
        |serial| {
            // What is out of range is refused by `bind`, with its own words.
            let baud = u32::try_from(serial.baud).unwrap_or_default();
            format!("{} {framing}", line_settings(serial, baud, serial.stop_bits == Some(2)))
        },
    )
}

/// The settings of an RTU line.
fn line_settings(serial: &Serial, baud: u32, two_stop_bits: bool) -> Settings {
    Settings {
        baud,
        parity: serial.parity.unwrap_or(Parity::Even),
        stop_bits: if two_stop_bits { 2 } else { 1 },
        ..Settings::default()
    }
}

fn spot(id: PointId, point: &Point<Address>, limits: Limits, errors: &mut Vec<BindError>) -> Option<Spot> {
    let before = errors.len();
    let place = place(id, &point.address, errors);
    let size = point.size.unwrap_or(0);
    let is_text = point.data_type == DataType::String;
    let most = 2 * if point.access.can_write() { limits.registers.min(MAX_WRITTEN) } else { limits.registers };
    if is_text && !(1..=most).contains(&size) {
        let message = format!("a string needs its length in bytes, 1 to {most} in one request; got {size}");
        errors.push(BindError::config(At::Property(id), "size", message));
    }
    if is_text && matches!(point.order, ByteOrder::Cdab | ByteOrder::Dcba) {
        let message = "a string has ABCD (first character in the high byte) or BADC (in the low byte)";
        errors.push(BindError::config(At::Property(id), "order", message));
    }
    let fits = match point.data_type {
        DataType::Bcd => size.is_multiple_of(2) && (2..=8).contains(&size),
        DataType::DateTime => DATE_TIME_SIZES.contains(&size),
        _ => true,
    };
    if !fits {
        let accepted = if point.data_type == DataType::Bcd { "2, 4, 6 or 8" } else { "4, 6, 7 or 8" };
        let message = format!("a {} in registers has {accepted} bytes; got {size}", point.data_type);
        errors.push(BindError::config(At::Property(id), "size", message));
    }
    let (table, start) = place?;
    let count = point.data_type.width().unwrap_or(size.max(1)).div_ceil(2);
    let bits = bits(id, point, table, count, errors);
    let mut refuse = |at, path: &str, message: String| errors.push(BindError::config(at, path, message));
    let is_bool = point.data_type == DataType::Bool;
    if table.is_bits() && !is_bool {
        let message = format!("{} holds bits: type bool; {} needs a register table", table.name(), point.data_type);
        refuse(At::Property(id), "type", message);
    }
    if !table.is_bits() && is_bool && point.address.bits.is_none() {
        let message = format!(
            "{} holds numbers; give bits: \"0\" for a bool that is one bit of it, or take uint16",
            table.name()
        );
        refuse(At::Property(id), "type", message);
    }
    if point.access.can_write() && !table.is_writable() {
        let message = format!("{} can only be read; coil and holdingRegister can be written", table.name());
        refuse(At::Property(id), "access", message);
    }
    let most = if table.is_bits() { limits.bits } else { limits.registers };
    if count > most && !is_text {
        let message = format!("{} takes {count} registers, the device's maxRegisters is {most}", point.data_type);
        refuse(At::Property(id), "type", message);
    }
    if u32::from(start) + u32::from(count) > 65536 {
        let last = 65536 - u32::from(count);
        let message = format!("{count} registers from {start} reach past 65535; the last that fits is {last}");
        refuse(At::Address(id), "register", message);
    }
    (errors.len() == before).then_some(Spot {
        table,
        start,
        count,
        data_type: point.data_type,
        order: point.order,
        size: if point.data_type.width().is_none() { size } else { 0 },
        bits,
        readable: point.access.can_read(),
    })
}

/// The bits of a register that are meant, if not all are.
fn bits(id: PointId, point: &Point<Address>, table: Table, count: u16, errors: &mut Vec<BindError>) -> Option<Bits> {
    let text = point.address.bits.as_deref()?;
    let mut refuse = |message: String| errors.push(BindError::config(At::Address(id), "bits", message));
    if table.is_bits() {
        refuse(format!("{} holds single bits, of which there is none to choose; leave it out", table.name()));
    }
    if point.access.can_write() {
        refuse("can only be read, as a register is written whole: take access read, or the whole register".into());
    }
    match text.parse::<Bits>() {
        Err(message) => refuse(message),
        Ok(bits) => match bits.check(point.data_type, 2 * usize::from(count)) {
            Err(message) => refuse(message),
            Ok(()) => return Some(bits),
        },
    }
    None
}

fn place(id: PointId, address: &Address, errors: &mut Vec<BindError>) -> Option<(Table, u16)> {
    let mut refuse = |path: &str, message: String| {
        errors.push(BindError::config(At::Address(id), path, message));
        None
    };
    match (address.table, address.register, &address.reference) {
        (_, Some(_), Some(_)) => refuse("reference", "register and reference are both given; keep one of them".into()),
        (table, None, Some(text)) => match reference(text) {
            Err(message) => refuse("reference", message),
            Ok((found, _)) if table.is_some_and(|t| t != found) => {
                let table = table.map_or("", Table::name);
                refuse("table", format!("{table} disagrees with reference {text:?}, which is {}", found.name()))
            }
            Ok(found) => Some(found),
        },
        (Some(table), Some(register), None) => match u16::try_from(register) {
            Ok(register) => Some((table, register)),
            Err(_) => refuse("register", format!("{register} is not in 0..65535")),
        },
        (table, register, None) => {
            if table.is_none() {
                let tables = "coil, discreteInput, holdingRegister or inputRegister";
                refuse("table", format!("is missing; one of {tables} would be accepted, or reference: \"40001\""));
            }
            match register {
                None => refuse("register", "is missing; 0 to 65535 would be accepted, or reference: \"40001\"".into()),
                Some(r) if u16::try_from(r).is_err() => refuse("register", format!("{r} is not in 0..65535")),
                Some(_) => None,
            }
        }
    }
}

/// `"40001"` or `"400001"`: the first digit names the table, the others count from one.
fn reference(text: &str) -> Result<(Table, u16), String> {
    let refuse = || {
        format!(
            "{text:?} is no reference; five or six digits in quotes would be accepted, such as \"40001\" or \"400001\""
        )
    };
    if !matches!(text.len(), 5 | 6) || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refuse());
    }
    let table = match text.as_bytes()[0] {
        b'0' => Table::Coil,
        b'1' => Table::DiscreteInput,
        b'3' => Table::InputRegister,
        b'4' => Table::HoldingRegister,
        digit => return Err(format!("{text:?} starts with {}; 0, 1, 3 or 4 name a table", digit as char)),
    };
    let number: u32 = text[1..].parse().map_err(|_| refuse())?;
    match number.checked_sub(1).and_then(|n| u16::try_from(n).ok()) {
        Some(register) => Ok((table, register)),
        None => Err(format!("{text:?}: after the table's digit the number runs from 1 to 65536")),
    }
}

#[cfg(test)]
#[path = "bind_tests.rs"]
mod tests;
