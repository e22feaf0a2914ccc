//! The same conversation with servers of other people's making (pymodbus, libmodbus) and with our own simulator, over
//! TCP, RTU over TCP and RTU on ptys: every type in every order, every function code, refusals, silence.

#![allow(clippy::unwrap_used)] // a test

mod common {
    pub use self::{base::*, peer::*};
    #[path = "../common/mod.rs"]
    mod base;
    #[path = "../common/peer.rs"]
    mod peer;
}

use std::sync::Arc;

use common::{Spec, bind, free_port, libmodbus, poll, pymodbus, write};
use mapper_api::{Bus, ByteOrder, DataType, ErrorKind, PointId, Protocol, Value};
use mapper_modbus::{
    Framing, Modbus, ModbusBus,
    sim::{self, Pty, Registers},
};
use serde_json::{Value as Json, json};

const HOLDING: &str = "holdingRegister";

/// Every type, its value, and the registers that hold it in big endian order.
fn samples() -> Vec<(DataType, Option<u16>, Value, Vec<u16>)> {
    vec![
        (DataType::Int16, None, Value::Int(-12_345), vec![0xcfc7]),
        (DataType::Uint16, None, Value::Uint(54_321), vec![0xd431]),
        (DataType::Int32, None, Value::Int(-123_456_789), vec![0xf8a4, 0x32eb]),
        (DataType::Uint32, None, Value::Uint(3_123_456_789), vec![0xba2c, 0x2b15]),
        (DataType::Int64, None, Value::Int(-2), vec![0xffff, 0xffff, 0xffff, 0xfffe]),
        (DataType::Uint64, None, Value::Uint(0x0102_0304_0506_0708), vec![0x0102, 0x0304, 0x0506, 0x0708]),
        (DataType::Float32, None, Value::Float32(237.73), vec![0x436d, 0xbae1]),
        (DataType::Float64, None, Value::Float64(-1.5), vec![0xbff8, 0, 0, 0]),
        (DataType::String, Some(5), "Kühl".into(), vec![0x4bc3, 0xbc68, 0x6c00]),
        (DataType::Int48, None, Value::Int(-3), vec![0xffff, 0xffff, 0xfffd]),
        (DataType::Bcd, Some(8), Value::Uint(1_234_567_890_123_456), vec![0x1234, 0x5678, 0x9012, 0x3456]),
        (DataType::DateTime, Some(6), "2023-11-14T22:13:20Z".into(), vec![0x170b, 0x0e16, 0x0d14]),
        // Tuesday; the byte beyond the seventh is left over.
        (DataType::DateTime, Some(7), "2023-11-14T22:13:20Z".into(), vec![0x204e, 0x0d16, 0x4e0b, 0x1700]),
    ]
}

/// The same bytes in another order.
fn ordered(words: &[u16], data_type: DataType, order: ByteOrder) -> Vec<u16> {
    let swap = matches!(order, ByteOrder::Badc | ByteOrder::Dcba);
    let reverse = matches!(order, ByteOrder::Cdab | ByteOrder::Dcba) && data_type != DataType::String;
    let mut words: Vec<u16> = words.iter().map(|w| if swap { w.swap_bytes() } else { *w }).collect();
    if reverse {
        words.reverse();
    }
    words
}

fn ids(count: usize) -> Vec<PointId> {
    (0..).take(count).collect()
}

async fn open(endpoint: &Json) -> ModbusBus {
    Modbus.open(&bind(endpoint, &[])).await.unwrap()
}

/// What is written as raw registers reads back in every type and order, and the other way round.
async fn every_type_and_order(bus: &mut ModbusBus, endpoint: &Json) {
    for order in [ByteOrder::Abcd, ByteOrder::Cdab, ByteOrder::Badc, ByteOrder::Dcba] {
        let (mut typed, mut raw, mut values, mut words) = (Vec::<Spec>::new(), Vec::<Spec>::new(), vec![], vec![]);
        let mut register = 10;
        for (data_type, size, value, big_endian) in samples() {
            if data_type == DataType::String && matches!(order, ByteOrder::Cdab | ByteOrder::Dcba) {
                continue;
            }
            typed.push((HOLDING, register, data_type, order, size));
            for word in ordered(&big_endian, data_type, order) {
                raw.push((HOLDING, register, DataType::Uint16, ByteOrder::Abcd, None));
                words.push(Value::from(word));
                register += 1;
            }
            values.push(value);
            register += 3; // a gap to read over
        }
        let (typed, raw) = (bind(endpoint, &typed), bind(endpoint, &raw));
        let texts = |values: &[Value]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
        let numbered = |values: &[Value]| ids(values.len()).into_iter().zip(values.to_vec()).collect::<Vec<_>>();
        let (typed_len, raw_len) = (values.len().try_into().unwrap(), words.len().try_into().unwrap());

        assert_eq!(common::plan(&typed, &ids(values.len())).len(), 1, "one merged read");
        assert!(write(bus, &raw, &numbered(&words)).await.unwrap().is_empty());
        assert_eq!(poll(bus, &typed, typed_len).await.unwrap(), texts(&values), "{order:?}");

        let zeros = words.iter().map(|_| Value::Uint(0)).collect::<Vec<_>>();
        assert!(write(bus, &raw, &numbered(&zeros)).await.unwrap().is_empty());
        assert!(write(bus, &typed, &numbered(&values)).await.unwrap().is_empty());
        assert_eq!(poll(bus, &raw, raw_len).await.unwrap(), texts(&words), "{order:?}");
    }
}

async fn bits_and_input_tables(bus: &mut ModbusBus, endpoint: &Json) {
    let bit = |table, register| (table, register, DataType::Bool, ByteOrder::Abcd, None);
    let points: Vec<Spec> = (20..32)
        .map(|n| bit("coil", n))
        .chain([bit("coil", 60), bit("discreteInput", 9)])
        .chain([("inputRegister", 30, DataType::Uint16, ByteOrder::Abcd, None)])
        .collect();
    let device = bind(endpoint, &points);
    let on = |n: PointId| n.is_multiple_of(3);
    let mut values: Vec<(PointId, Value)> = (0..12).map(|n| (n, Value::Bool(on(n)))).collect();
    values.push((12, true.into()));
    assert!(write(bus, &device, &values).await.unwrap().is_empty());
    let mut expected: Vec<String> = (0..12).map(|n| on(n).to_string()).collect();
    expected.extend(["true", "false", "0"].map(String::from));
    assert_eq!(poll(bus, &device, 15).await.unwrap(), expected);
}

async fn refusals(bus: &mut ModbusBus, endpoint: &Json) {
    let device = bind(endpoint, &[(HOLDING, 5000, DataType::Uint16, ByteOrder::Abcd, None)]);
    assert_eq!(poll(bus, &device, 1).await.unwrap(), ["illegalDataAddress"]);
    assert_eq!(write(bus, &device, &[(0, 1_u16.into())]).await.unwrap(), ["illegalDataAddress"]);
}

async fn conversation(endpoint: Json) {
    let mut bus = open(&endpoint).await;
    every_type_and_order(&mut bus, &endpoint).await;
    bits_and_input_tables(&mut bus, &endpoint).await;
    refusals(&mut bus, &endpoint).await;
}

/// A unit that is not there times out, and the next one answers.
async fn silence(mut endpoint: Json, wait: &str) {
    let mut bus = open(&endpoint).await;
    let point: [Spec; 1] = [(HOLDING, 1, DataType::Uint16, ByteOrder::Abcd, None)];
    let alive = bind(&endpoint, &point);
    endpoint["unit"] = 99.into();
    endpoint["timeout"] = wait.into();
    let dead = bind(&endpoint, &point);
    for _ in 0..3 {
        let error = poll(&mut bus, &dead, 1).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
        bus.resynchronise().await.unwrap();
        assert_eq!(poll(&mut bus, &alive, 1).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn pymodbus_over_tcp() {
    let place = format!("127.0.0.1:{}", free_port());
    let _server = pymodbus("tcp", &place).await;
    conversation(json!({ "tcp": place, "unit": 3 })).await;
    silence(json!({ "tcp": place, "unit": 1 }), "200ms").await;
}

#[tokio::test]
async fn pymodbus_with_rtu_over_tcp() {
    let place = format!("127.0.0.1:{}", free_port());
    let _server = pymodbus("rtu-tcp", &place).await;
    conversation(json!({ "tcp": place, "framing": "rtu", "unit": 3 })).await;
    silence(json!({ "tcp": place, "framing": "rtu", "unit": 1 }), "200ms").await;
}

/// Joins two ptys, so that a server and this bus each open a device file.
fn null_modem() -> (String, String) {
    let (mut a, mut b) = (Pty::open().unwrap(), Pty::open().unwrap());
    let name = |pty: &Pty| pty.path().to_str().unwrap().to_owned();
    let names = (name(&a), name(&b));
    tokio::spawn(async move { tokio::io::copy_bidirectional(&mut a, &mut b).await });
    names
}

fn serial(path: &str, unit: u8) -> Json {
    json!({ "serial": { "path": path, "baud": 9600, "parity": "none" }, "unit": unit, "timeout": "1s" })
}

#[tokio::test]
async fn pymodbus_on_a_serial_line() {
    let (near, far) = null_modem();
    let _server = pymodbus("rtu", &far).await;
    conversation(serial(&near, 3)).await;
    silence(serial(&near, 1), "200ms").await;
}

#[tokio::test]
async fn libmodbus_over_tcp() {
    let port = free_port().to_string();
    let _server = libmodbus(&["tcp", &port]).await;
    conversation(json!({ "tcp": format!("127.0.0.1:{port}"), "unit": 1 })).await;
}

#[tokio::test]
async fn libmodbus_on_a_serial_line() {
    let (near, far) = null_modem();
    let _server = libmodbus(&["rtu", &far, "7"]).await;
    conversation(serial(&near, 7)).await;
    // A libmodbus unit waits 500 ms for the answer of the other unit, and takes whatever comes by then for it.
    silence(serial(&near, 7), "700ms").await;
}

#[tokio::test]
async fn the_simulator_over_tcp_in_both_framings() {
    for framing in ["tcp", "rtu"] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = json!({ "tcp": listener.local_addr().unwrap().to_string(), "framing": framing, "unit": 3 });
        let bank = Arc::new(Registers::new([3], 1000));
        let of = if framing == "tcp" { Framing::Tcp } else { Framing::Rtu };
        tokio::spawn(sim::listen(listener, of, bank));
        conversation(endpoint.clone()).await;
        silence(endpoint, "200ms").await;
    }
}

#[tokio::test]
async fn the_simulator_on_a_paced_serial_line() {
    let pty = Pty::open().unwrap();
    let path = pty.path().to_str().unwrap().to_owned();
    tokio::spawn(async move { sim::serve(pty, Framing::Rtu, &Registers::new([3], 1000), Some(115_200)).await });
    let mut endpoint = serial(&path, 3);
    endpoint["serial"]["baud"] = 115_200.into();
    endpoint["serial"]["parity"] = "even".into();
    conversation(endpoint.clone()).await;
    silence(endpoint, "200ms").await;
}

#[tokio::test]
async fn an_unplugged_serial_line_breaks_the_bus_and_ends_the_wait() {
    let pty = Pty::open().unwrap();
    let endpoint = serial(pty.path().to_str().unwrap(), 3);
    let mut bus = open(&endpoint).await;
    drop(pty);
    let device = bind(&endpoint, &[(HOLDING, 1, DataType::Uint16, ByteOrder::Abcd, None)]);
    let error = poll(&mut bus, &device, 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Bus, "{error}");
    assert_eq!(bus.idle().await.unwrap_err().kind, ErrorKind::Bus);
}

#[tokio::test]
async fn a_serial_line_is_opened_by_one_alone() {
    let pty = Pty::open().unwrap();
    let endpoint = serial(pty.path().to_str().unwrap(), 3);
    let first = open(&endpoint).await;
    let error = Modbus.open(&bind(&endpoint, &[])).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    let text = error.to_string();
    assert!(
        text.contains(pty.path().to_str().unwrap()) && text.contains("this very program has it open already"),
        "{text}"
    );
    drop(first);
    open(&endpoint).await;
}
