use mapper_api::{Access, At, ByteOrder, DataType, Mapper, Point, Protocol};
use serde_json::{Value as Json, json};
use std::sync::Arc;

use crate::{Modbus, Table};

fn errors(endpoint: &Json, address: &Json, data_type: DataType, access: Access, size: Option<u16>) -> Vec<String> {
    let points = vec![Point { address, data_type, order: ByteOrder::Abcd, size, access }];
    match Mapper::bind(Arc::new(Modbus), endpoint, points) {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .iter()
            .map(|e| {
                let at = match e.at {
                    At::Endpoint => "endpoint",
                    At::Address(_) => "address",
                    At::Property(_) => "property",
                };
                format!("{at}.{e}")
            })
            .collect(),
    }
}

fn good_endpoint() -> Json {
    json!({ "tcp": "10.0.0.7:502", "unit": 1 })
}

#[test]
fn every_mistake_of_an_endpoint_is_told_with_what_is_accepted() {
    let serial = |settings: Json| json!({ "serial": settings, "unit": 3 });
    for (endpoint, told) in [
        (json!({ "unit": 1 }), "endpoint.: one of tcp or serial"),
        (json!({ "tcp": "h", "serial": { "path": "/dev/x", "baud": 9600 }, "unit": 1 }), "both given"),
        (json!({ "tcp": "h", "unit": 0 }), "endpoint.unit: 0 is the broadcast"),
        (json!({ "tcp": "h", "unit": 248 }), "248 is not in 1..247, or 255"),
        (json!({ "serial": { "path": "/dev/x", "baud": 9600 }, "unit": 255 }), "255 is not in 1..247"),
        (json!({ "tcp": "h:70000", "unit": 1 }), "\"70000\" is no port in 1..65535"),
        (json!({ "tcp": ":502", "unit": 1 }), "names no host"),
        (json!({ "tcp": "10.0.0.7:502:1", "unit": 1 }), "\"10.0.0.7:502:1\" is no IPv6 address; write host:port"),
        (json!({ "tcp": "plc::502", "unit": 1 }), "\"plc::502\" is no IPv6 address"),
        (json!({ "tcp": "[10.0.0.7]:502", "unit": 1 }), "\"10.0.0.7\" is no IPv6 address"),
        (json!({ "tcp": "[]:502", "unit": 1 }), "\"\" is no IPv6 address"),
        (json!({ "tcp": "[fe80::1%]", "unit": 1 }), "\"fe80::1%\" is no IPv6 address"),
        (json!({ "tcp": "[fe80::1]502", "unit": 1 }), "after the ] only :port"),
        (json!({ "tcp": "[fe80::1]:", "unit": 1 }), "\"\" is no port"),
        (json!({ "tcp": "[fe80::1:502", "unit": 1 }), "lacks a ]"),
        (json!({ "tcp": "h", "framing": "rtu", "unit": 1 }), "has no port"),
        (json!({ "tcp": "h", "unit": 1, "timeout": "0s" }), "endpoint.timeout: must be longer"),
        (json!({ "tcp": "h", "unit": 1, "timeout": "1" }), "endpoint.timeout: \"1\" is no duration"),
        (json!({ "tcp": "h", "unit": 1, "quiet": "5ms" }), "endpoint.quiet: belongs to framing rtu"),
        (json!({ "tcp": "h", "unit": 1, "maxGap": 125 }), "endpoint.maxGap: 125 is not in 0..124"),
        (json!({ "tcp": "h", "unit": 1, "maxRegisters": 126 }), "endpoint.maxRegisters: 126 is not in 1..125"),
        (json!({ "tcp": "h", "unit": 1, "maxBits": 0 }), "endpoint.maxBits: 0 is not in 1..2000"),
        (json!({ "tcp": "h", "unit": 1, "maxgap": 1 }), "maxGap"),
        (serial(json!({ "path": "/dev/x", "baud": 9 })), "endpoint.serial.baud: 9 is not in"),
        (serial(json!({ "path": "/dev/x", "baud": 9600, "stopBits": 3 })), "endpoint.serial.stopBits: must be 1 or 2"),
        (serial(json!({ "path": "", "baud": 9600 })), "endpoint.serial.path: is empty"),
        (serial(json!({ "path": "/dev/x", "baud": 9600, "parity": "mark" })), "endpoint.serial.parity"),
    ] {
        let found = errors(&endpoint, &json!({ "table": "coil", "register": 0 }), DataType::Bool, Access::Read, None);
        assert!(found.iter().any(|e| e.contains(told)), "{endpoint}: {found:?}, not {told}");
    }
}

#[test]
fn every_mistake_of_a_property_is_told_with_what_is_accepted() {
    use Access::{Read, ReadWrite};
    use DataType::{Bcd, Bool, DateTime, Float32, Int8, String, Uint16};
    let bits = |bits: &str| json!({ "table": "holdingRegister", "register": 0, "bits": bits });
    let holding = |register: i64| json!({ "table": "holdingRegister", "register": register });
    for (address, data_type, access, size, told) in [
        (holding(70_000), Uint16, Read, None, "address.register: 70000 is not in 0..65535"),
        (holding(-1), Uint16, Read, None, "address.register: -1 is not in 0..65535"),
        (holding(65_535), Float32, Read, None, "address.register: 2 registers from 65535 reach past 65535"),
        (holding(0), Int8, Read, None, "property.type: modbus cannot have type int8"),
        (holding(0), Bool, Read, None, "property.type: holdingRegister holds numbers; give bits: \"0\""),
        (holding(0), String, Read, None, "property.size: a string needs its length in bytes, 1 to 250"),
        (holding(0), String, ReadWrite, Some(247), "property.size: a string needs its length in bytes, 1 to 246"),
        (json!({ "table": "coil", "register": 1 }), Uint16, Read, None, "property.type: coil holds bits"),
        (json!({ "table": "inputRegister", "register": 1 }), Uint16, ReadWrite, None, "property.access: inputRegister"),
        (json!({ "table": "register", "register": 1 }), Uint16, Read, None, "expected one of"),
        (json!({ "register": 1 }), Uint16, Read, None, "address.table: is missing; one of coil"),
        (json!({ "table": "holdingRegister" }), Uint16, Read, None, "address.register: is missing"),
        (json!({ "register": 1, "reference": "40001" }), Uint16, Read, None, "address.reference: register and"),
        (json!({ "table": "coil", "reference": "40001" }), Bool, Read, None, "address.table: coil disagrees"),
        (json!({ "reference": "4001" }), Uint16, Read, None, "address.reference: \"4001\" is no reference"),
        (json!({ "reference": "40000" }), Uint16, Read, None, "runs from 1 to 65536"),
        (json!({ "reference": "465537" }), Uint16, Read, None, "runs from 1 to 65536"),
        (json!({ "reference": "20001" }), Uint16, Read, None, "0, 1, 3 or 4 name a table"),
        (json!({ "reference": 40001 }), Uint16, Read, None, "expected a string"),
        (bits("0"), Bool, ReadWrite, None, "address.bits: can only be read, as a register is written whole"),
        (bits("16"), Bool, Read, None, "address.bits: 16 reach past bool; its last bit is 15"),
        (bits("0..15"), Float32, Read, None, "address.bits: are of a whole number or a bool; float32 has none"),
        (bits("3..1"), Uint16, Read, None, "address.bits: \"3..1\" names no bits"),
        (json!({ "reference": "00001", "bits": "0" }), Bool, Read, None, "address.bits: coil holds single bits"),
        (holding(0), Bcd, Read, Some(3), "property.size: a bcd in registers has 2, 4, 6 or 8 bytes; got 3"),
        (holding(0), Bcd, Read, None, "property.size: a bcd in registers has 2, 4, 6 or 8 bytes; got 0"),
        (holding(0), DateTime, Read, Some(5), "property.size: a dateTime in registers has 4, 6, 7 or 8 bytes; got 5"),
        (holding(65_533), DateTime, Read, Some(7), "address.register: 4 registers from 65533 reach past 65535"),
    ] {
        let found = errors(&good_endpoint(), &address, data_type, access, size);
        assert!(found.iter().any(|e| e.contains(told)), "{address} {data_type}: {found:?}, not {told}");
    }
}

#[test]
fn one_mistake_never_hides_another() {
    let endpoint = json!({ "tcp": "h:0", "unit": 300, "maxGap": 500, "timeout": "2m" });
    let address = json!({ "table": "inputRegister", "register": 65_536 });
    assert_eq!(errors(&endpoint, &address, DataType::Uint16, Access::Read, None).len(), 5);
    let address = json!({ "table": "discreteInput", "register": 1 });
    assert_eq!(errors(&good_endpoint(), &address, DataType::Uint16, Access::Write, None).len(), 2);
}

#[test]
fn references_are_registers_counted_from_one() {
    for (text, table, register) in [
        ("40001", Table::HoldingRegister, 0),
        ("400001", Table::HoldingRegister, 0),
        ("465536", Table::HoldingRegister, 65_535),
        ("30010", Table::InputRegister, 9),
        ("00001", Table::Coil, 0),
        ("10008", Table::DiscreteInput, 7),
    ] {
        assert_eq!(super::reference(text), Ok((table, register)));
    }
}

#[test]
fn the_bus_is_named_by_what_cannot_be_shared() {
    for (endpoint, resource, settings) in [
        (json!({ "tcp": "PLC.local", "unit": 1 }), "tcp:plc.local:502", "tcp"),
        (json!({ "tcp": "10.0.0.8:4001", "framing": "rtu", "unit": 1 }), "tcp:10.0.0.8:4001", "rtu"),
        (json!({ "tcp": "[fe80::1]:503", "unit": 1 }), "tcp:[fe80::1]:503", "tcp"),
        (json!({ "tcp": "fe80::1", "unit": 1 }), "tcp:[fe80::1]:502", "tcp"),
        (json!({ "tcp": "[FE80:0::0:1]", "unit": 1 }), "tcp:[fe80::1]:502", "tcp"),
        (json!({ "tcp": "[fe80::1%Eth0]:503", "unit": 1 }), "tcp:[fe80::1%Eth0]:503", "tcp"),
        (json!({ "serial": { "path": "/dev/a", "baud": 9600 }, "unit": 1 }), "serial:/dev/a", "9600 8E1 rtu"),
        (
            json!({ "serial": { "path": "/dev/a", "baud": 19200, "parity": "none", "stopBits": 2 }, "unit": 1 }),
            "serial:/dev/a",
            "19200 8N2 rtu",
        ),
    ] {
        let key = Modbus.bus_key(&serde_json::from_value(endpoint).unwrap());
        assert_eq!((key.resource.as_str(), key.settings.as_str()), (resource, settings));
    }
}
