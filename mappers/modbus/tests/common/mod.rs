//! What the tests share: devices from YAML-like JSON, and one call that asks as the core would.
#![allow(dead_code)] // each test file uses its part

use std::{fmt::Write as _, time::Duration};

use mapper_api::{Access, Bus, ByteOrder, DataType, Decoded, Error, Point, PointId, Protocol, Sequence, Value};
use mapper_modbus::{Address, Bound, Framing, Learnt, Line, Modbus, ModbusBus, Request, Table};
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub type Spec<'a> = (&'a str, i64, DataType, ByteOrder, Option<u16>);

/// A device whose points can all be written where their table can.
pub fn bind(endpoint: &Json, points: &[Spec]) -> Bound {
    let points = points.iter().map(|(table, register, data_type, order, size)| {
        let table: Table = serde_json::from_value(Json::from(*table)).unwrap();
        Point {
            address: Address { table: Some(table), register: Some(*register), ..Address::default() },
            data_type: *data_type,
            order: *order,
            size: *size,
            access: if table.is_writable() { Access::ReadWrite } else { Access::Read },
        }
    });
    Modbus.bind(serde_json::from_value(endpoint.clone()).unwrap(), points.collect()).unwrap()
}

/// `count` neighbouring holding registers as uint16, of a unit with this time-out.
pub fn registers(unit: u8, start: i64, count: i64, more: &str) -> Bound {
    let endpoint = format!(r#"{{ "tcp": "peer:1", "unit": {unit}, "timeout": "100ms" {more} }}"#);
    let points: Vec<Spec> =
        (start..start + count).map(|r| ("holdingRegister", r, DataType::Uint16, ByteOrder::Abcd, None)).collect();
    bind(&serde_json::from_str(&endpoint).unwrap(), &points)
}

pub fn plan(bound: &Bound, wanted: &[PointId]) -> Vec<Request> {
    Modbus.plan(bound, wanted, &Learnt::default()).into_iter().flat_map(|Sequence(r)| r).collect()
}

/// Polls the device once: its values in the order of its points, refusals as text.
pub async fn poll(bus: &mut ModbusBus, bound: &Bound, count: u16) -> Result<Vec<String>, Error> {
    let wanted: Vec<PointId> = (0..count).collect();
    let mut out: Vec<Decoded> = Vec::new();
    for request in plan(bound, &wanted) {
        let answer = bus.exchange(&request).await?;
        Modbus.decode(bound, &request, &answer, &mut out);
    }
    out.sort_by_key(|d| d.point);
    Ok(out.into_iter().map(|d| d.result.map_or_else(|r| r.detail.into_owned(), |v| v.to_string())).collect())
}

/// Writes in order; refusals as text.
pub async fn write(bus: &mut ModbusBus, bound: &Bound, values: &[(PointId, Value)]) -> Result<Vec<String>, Error> {
    let mut out: Vec<Decoded> = Vec::new();
    for request in Modbus.plan_write(bound, values).unwrap().into_iter().flat_map(|Sequence(r)| r) {
        let answer = bus.exchange(&request).await?;
        Modbus.decode(bound, &request, &answer, &mut out);
    }
    Ok(out.into_iter().map(|d| d.result.unwrap_err().detail.into_owned()).collect())
}

pub const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_MODBUS);

/// A frame of a serial line.
pub fn sealed(body: &[u8]) -> Vec<u8> {
    let mut frame = body.to_vec();
    frame.extend(CRC.checksum(body).to_le_bytes());
    frame
}

/// The far end of a wire, played by the test.
pub struct Peer(pub tokio::io::DuplexStream);

impl Peer {
    /// A bus of this framing and its far end.
    pub fn new(framing: Framing) -> (ModbusBus, Self) {
        let (near, far) = tokio::io::duplex(4096);
        let line = match framing {
            Framing::Tcp => Line::tcp(Framing::Tcp, None),
            Framing::Rtu => Line::serial(19200, None),
        };
        (ModbusBus::attach(near, line), Self(far))
    }

    pub async fn request(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Reads an RTU request for one holding register and gives the answer that fits: ten times its address.
    pub async fn rtu(&mut self) -> Vec<u8> {
        let request = self.request(8).await;
        let value = (u16::from_be_bytes([request[2], request[3]]) * 10).to_be_bytes();
        sealed(&[request[0], request[1], 2, value[0], value[1]])
    }

    /// The same over Modbus TCP.
    pub async fn tcp(&mut self) -> Vec<u8> {
        let r = self.request(12).await;
        let value = (u16::from_be_bytes([r[8], r[9]]) * 10).to_be_bytes();
        vec![r[0], r[1], 0, 0, 0, 5, r[6], r[7], 2, value[0], value[1]]
    }
}

pub async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, b| {
        write!(text, "{b:02x}").unwrap();
        text
    })
}
