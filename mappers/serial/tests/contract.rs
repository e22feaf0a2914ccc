//! The contract on a pty: devices that only talk, and devices that are asked, with one that is silent on the same line.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::{collections::BTreeMap, sync::Arc};

use common::{Line, on};
use mapper_api::{Access, ByteOrder, DataType};
use mapper_serial::Serial;
use mapper_testkit::{Bench, Device, Expect, Property};
use serde_json::{Value as Json, json};

mod listened {
    mapper_testkit::contract!(super::listening());
}

mod asked {
    mapper_testkit::contract!(super::asking());
}

fn text(address: Json, expect: Expect, unasked: bool) -> Property {
    let (data_type, order, access) = (DataType::String, ByteOrder::Abcd, Access::Read);
    Property { address, data_type, order, size: None, access, expect, unasked }
}

/// A counter and a constant, again and again.
fn listening() -> Bench {
    let line = Line::new();
    let mut count = 0_u32;
    line.talk(move || {
        count += 1;
        if count.is_multiple_of(2) { format!("#{}\r\n", count / 2) } else { "T=21.5 C\r\n".to_owned() }.into_bytes()
    });
    let endpoint = json!({
        "baud": 115_200,
        "frame": { "end": "\\r\\n" },
        "messages": [
            { "name": "count", "regex": "^#(?<n>[0-9]+)$" },
            { "name": "temperature", "regex": "^T=(?<t>[-0-9.]+) (?<unit>.+)$" },
        ],
    });
    let device = Device::new(on(&line.path, endpoint))
        .unasked(json!({ "field": "n" }), DataType::Uint32, Expect::Counts)
        .unasked(json!({ "field": "t" }), DataType::Float32, Expect::value(21.5))
        .with(text(json!({ "field": "unit" }), Expect::value("C"), true));
    Bench::new(Arc::new(Serial::default()), device).keep(line)
}

/// A device of several on one line: `#01R0` reads its register 0, `#01W0=5` writes it.
fn asking() -> Bench {
    let line = Line::new();
    let mut registers = BTreeMap::from(
        [("0", "-7"), ("1", "237.73"), ("5", "0")].map(|(register, value)| (register.to_owned(), value.to_owned())),
    );
    line.serve(move |request| {
        let Some(request) = request.trim_end().strip_prefix("#01") else { return Vec::new() };
        let answer = match request.split_once('=') {
            Some((register, value)) => {
                registers.insert(register.trim_start_matches('W').to_owned(), value.to_owned());
                ">01OK\r".to_owned()
            }
            None => match registers.get(request.trim_start_matches('R')) {
                Some(value) => format!(">01{request}={value}\r"),
                None => "?01\r".to_owned(),
            },
        };
        answer.into_bytes()
    });
    let endpoint = |address: &str, timeout: &str| {
        let read = |register: u8| {
            json!({
                "name": format!("r{register}"),
                "request": format!("#{{address}}R{register}\\r"),
                "regex": format!("^>(?<from>..)R{register}=(?<v>.*)$"),
                "when": { "from": "{address}" },
                "refused": "^\\?",
            })
        };
        let endpoint = json!({
            "frame": { "end": "\\r" },
            "parameters": { "address": address },
            "messages": [read(0), read(1), read(5), read(9)],
            "timeout": timeout,
        });
        on(&line.path, endpoint)
    };
    let field = |register: u8| json!({ "message": format!("r{register}"), "field": "v" });
    let mut writable = field(5);
    writable["write"] = json!({ "send": "#{address}W5={value:05.1}\\r", "answer": "^>..OK", "refused": "^\\?" });
    let device = Device::new(endpoint("01", "20s"))
        .property(field(0), DataType::Int16, Expect::value(-7))
        .property(field(1), DataType::Float32, Expect::value(237.73))
        .property(field(9), DataType::Uint16, Expect::Refused)
        .writable(writable, DataType::Float64, 21.5);
    let silent = Device::new(endpoint("02", "100ms")).property(field(0), DataType::Int16, Expect::Any);
    Bench::new(Arc::new(Serial::default()), device).silent(silent).keep(line)
}
