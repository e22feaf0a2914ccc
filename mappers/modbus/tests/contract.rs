//! The contract, against the simulator: TCP, and a serial line at its pace with a unit that is not there.

#![allow(clippy::unwrap_used)] // a test

use std::{sync::Arc, thread};

use mapper_api::{ByteOrder, DataType};
use mapper_modbus::{
    Framing, Modbus, Table,
    sim::{self, Bank, Pty, Registers},
};
use mapper_testkit::{Bench, Device, Expect};
use serde_json::{Value as Json, json};

mod tcp {
    mapper_testkit::contract!(super::tcp_bench());
}

mod serial {
    mapper_testkit::contract!(super::serial_bench());
}

/// 100 registers a table; what lies beyond is refused.
fn bank() -> Arc<Registers> {
    let bank = Registers::new([3], 100);
    bank.write(3, Table::HoldingRegister, 10, &[0x436d, 0xbae1, 0, 0xfff9]).unwrap();
    bank.write(3, Table::InputRegister, 5, &[0x4669, 0x656c, 0x6400]).unwrap();
    bank.write(3, Table::DiscreteInput, 7, &[1]).unwrap();
    Arc::new(bank)
}

fn device(endpoint: Json) -> Device {
    let at = |table: &str, register: u16| json!({ "table": table, "register": register });
    let text = mapper_testkit::Property {
        address: at("inputRegister", 5),
        data_type: DataType::String,
        order: ByteOrder::Abcd,
        size: Some(5),
        access: mapper_api::Access::Read,
        expect: Expect::value("Field"),
        unasked: false,
    };
    Device::new(endpoint)
        .property(at("holdingRegister", 10), DataType::Float32, Expect::value(237.73))
        .property(json!({ "reference": "40014" }), DataType::Int16, Expect::value(-7))
        .property(json!({ "reference": "40014", "bits": "1..3" }), DataType::Uint16, Expect::value(4))
        .property(json!({ "reference": "40014", "bits": "0" }), DataType::Bool, Expect::value(true))
        .property(at("holdingRegister", 100), DataType::Uint16, Expect::Refused)
        .property(at("discreteInput", 7), DataType::Bool, Expect::value(true))
        .with(text)
        .writable(at("holdingRegister", 90), DataType::Float64, 1.25)
        .writable(at("holdingRegister", 94), DataType::Uint16, 1234)
        .writable(at("coil", 0), DataType::Bool, true)
        .writable(at("coil", 1), DataType::Bool, true)
}

fn silent(endpoint: &Json) -> Device {
    let mut endpoint = endpoint.clone();
    endpoint["unit"] = 9.into();
    endpoint["timeout"] = "100ms".into();
    Device::new(endpoint).property(json!({ "reference": "40001" }), DataType::Uint16, Expect::Any)
}

/// The bench runs each case in a runtime of its own; so does the simulator.
fn apart(task: impl Future<Output = ()> + Send + 'static) {
    thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(task);
    });
}

fn tcp_bench() -> Bench {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = json!({ "tcp": listener.local_addr().unwrap().to_string(), "unit": 3 });
    apart(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        sim::listen(listener, Framing::Tcp, bank()).await.unwrap();
    });
    Bench::new(Arc::new(Modbus), device(endpoint.clone())).silent(silent(&endpoint))
}

fn serial_bench() -> Bench {
    let (name, path) = std::sync::mpsc::channel();
    apart(async move {
        let pty = Pty::open().unwrap();
        name.send(pty.path().to_str().unwrap().to_owned()).unwrap();
        sim::serve(pty, Framing::Rtu, &*bank(), Some(115_200)).await.unwrap();
    });
    let endpoint = json!({ "serial": { "path": path.recv().unwrap(), "baud": 115_200 }, "unit": 3 });
    Bench::new(Arc::new(Modbus), device(endpoint.clone())).silent(silent(&endpoint))
}
