use std::sync::Arc;

use mapper_api::{Access, At, BindError, BoundDevice, ByteOrder, DataType, ErrorKind, Mapper, Point};
use serde_json::{Value as Json, json};

use super::{identity, settings, uuid};
use crate::{Ble, config::Endpoint};

pub(crate) fn point(address: &Json, data_type: DataType) -> Point<&Json> {
    let size = data_type.width().is_none().then_some(8);
    Point { address, data_type, order: ByteOrder::Abcd, size, access: Access::Read }
}

fn bind(endpoint: &Json, points: Vec<Point<&Json>>) -> Result<Arc<dyn BoundDevice>, Vec<BindError>> {
    Arc::new(Ble::default()).bind(endpoint, points)
}

fn mac() -> Json {
    json!({ "address": "A4:C1:38:12:34:56" })
}

#[test]
fn every_mistake_of_an_endpoint_is_named_with_what_is_accepted() {
    let secret = json!({ "secretRef": { "name": "a", "key": "b" } });
    let one = json!({ "reading": "temperature" });
    for (endpoint, path, part) in [
        (json!({}), "", "one of address, name or irk"),
        (json!({ "address": "A4:C1:38:12:34:56", "name": "x" }), "", "only one of"),
        (json!({ "address": "A4-C1" }), "address", "six bytes"),
        (json!({ "address": "A4:C1:38:12:34:56", "adapter": "hci0" }), "adapter", "six bytes"),
        (json!({ "name": "" }), "name", "1 to 248"),
        (json!({ "name": "x".repeat(249) }), "name", "249 bytes"),
        (json!({ "irk": { "secretRef": { "name": "..", "key": "b" } } }), "irk.secretRef.name", "letters, digits"),
        (json!({ "irk": { "secretRef": { "name": "a", "key": "b/c" } } }), "irk.secretRef.key", "letters, digits"),
        (json!({ "irk": { "secretRef": { "name": "a" } } }), "irk.secretRef", "missing field `key`"),
        (json!({ "irk": "00" }), "irk", "invalid type"),
        (json!({ "name": "x", "passkey": secret }), "passkey", "pair: passkey"),
        (json!({ "name": "x", "connect": true, "pair": "passkey" }), "passkey", "is missing"),
        (json!({ "name": "x", "connect": true, "pair": "justWorks", "passkey": secret }), "passkey", "leave it out"),
        (json!({ "name": "x", "pair": "justWorks" }), "pair", "connect: true"),
        (json!({ "name": "x", "pair": "always" }), "pair", "justWorks"),
        (json!({ "nmae": "x" }), "nmae", "unknown field `nmae`"),
    ] {
        let errors = bind(&endpoint, vec![point(&one, DataType::Float32)]).err().unwrap_or_default();
        let found = errors.iter().find(|e| e.at == At::Endpoint && e.path == path && e.message.contains(part));
        assert!(found.is_some_and(|e| e.kind == ErrorKind::Config), "{endpoint}: {errors:?}");
    }
    let characteristic = json!({ "characteristic": { "service": "180f", "uuid": "2a19" } });
    let endpoint = json!({ "name": "x", "connect": false });
    let errors = bind(&endpoint, vec![point(&characteristic, DataType::Uint8)]).err().unwrap();
    assert!(errors.iter().any(|e| e.path == "connect"), "{errors:?}");
}

#[test]
fn every_mistake_of_an_address_is_named_with_what_is_accepted() {
    use DataType::{Bool, Float32, Int8, String, Uint16, Uint64};
    let at = |more: Json| {
        let mut at = json!({ "service": "180f", "uuid": "2a19" });
        at.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "characteristic": at })
    };
    for (address, data_type, access, path, part) in [
        (json!({}), Int8, Access::Read, "", "one of reading, radio"),
        (json!({ "reading": "humidity", "radio": "rssi" }), Int8, Access::Read, "", "reading and radio are given"),
        (json!({ "reading": "temprature" }), Float32, Access::Read, "reading", "did you mean temperature?"),
        (json!({ "reading": "Temp!" }), Float32, Access::Read, "reading", "fieldgate scan ble"),
        (json!({ "reading": "temperature" }), Int8, Access::Read, "type", "float32 would be"),
        (json!({ "reading": "temperature" }), Bool, Access::Read, "type", "float32 would be"),
        (json!({ "reading": "motion" }), Float32, Access::Read, "type", "bool would be"),
        (json!({ "reading": "count" }), String, Access::Read, "type", "an integer type"),
        (json!({ "reading": "text" }), Float32, Access::Read, "type", "string would be"),
        (json!({ "reading": "raw" }), String, Access::Read, "type", "bytes would be"),
        (json!({ "reading": "humidity", "index": 0 }), Int8, Access::Read, "index", "1..127"),
        (json!({ "reading": "humidity", "index": 128 }), Int8, Access::Read, "index", "1..127"),
        (
            json!({ "reading": "humidity", "format": "iBeacon" }),
            Int8,
            Access::Read,
            "format",
            "iBeacon never has humidity; accepted: bthome, miBeacon, atc, ruuvi, govee, switchBot, sig",
        ),
        (json!({ "reading": "humidity", "format": "btHome" }), Int8, Access::Read, "format", "bthome"),
        (json!({ "radio": "rssi", "index": 2 }), Int8, Access::Read, "index", "belongs to reading"),
        (json!({ "radio": "rssi", "format": "atc" }), Int8, Access::Read, "format", "belongs to reading"),
        (json!({ "radio": "lqi" }), Int8, Access::Read, "radio", "txPower"),
        (json!({ "radio": "rssi" }), String, Access::Read, "type", "int8"),
        (json!({ "radio": "rssi" }), Bool, Access::Read, "type", "int8"),
        (json!({ "reading": "humidity" }), Int8, Access::ReadWrite, "access", "only be read"),
        (json!({ "manufacturer": { "company": 65536 } }), Int8, Access::Read, "manufacturer.company", "0..65535"),
        (
            json!({ "manufacturer": { "company": 1, "offset": 253 } }),
            Uint16,
            Access::Read,
            "manufacturer.offset",
            "0..252",
        ),
        (
            json!({ "manufacturer": { "company": 1, "prefix": "5" } }),
            Int8,
            Access::Read,
            "manufacturer.prefix",
            "1 to 32",
        ),
        (
            json!({ "manufacturer": { "company": 1, "prefix": "" } }),
            Int8,
            Access::Read,
            "manufacturer.prefix",
            "1 to 32",
        ),
        (json!({ "manufacturer": {} }), Int8, Access::Read, "manufacturer", "missing field `company`"),
        (json!({ "serviceData": { "uuid": "18g0" } }), Int8, Access::Read, "serviceData.uuid", "four hexadecimal"),
        (
            json!({ "serviceData": { "uuid": "181a", "offset": -1 } }),
            Int8,
            Access::Read,
            "serviceData.offset",
            "0..253",
        ),
        (at(json!({ "service": "1" })), Int8, Access::Read, "characteristic.service", "four hexadecimal"),
        (at(json!({ "uuid": "+123" })), Int8, Access::Read, "characteristic.uuid", "four hexadecimal"),
        (at(json!({ "offset": 505 })), Uint64, Access::Read, "characteristic.offset", "0..504"),
        (at(json!({ "offset": 1 })), Int8, Access::ReadWrite, "characteristic.offset", "written whole"),
        (at(json!({ "bits": "0..3" })), Uint16, Access::ReadWrite, "characteristic.bits", "written whole"),
        (at(json!({ "bits": "3..0" })), Uint16, Access::Read, "characteristic.bits", "4..11"),
        (at(json!({ "field": "level" })), Int8, Access::Read, "characteristic.field", "batteryLevel"),
        (at(json!({ "uuid": "fff1", "field": "level" })), Int8, Access::Read, "characteristic.field", "offset would"),
        (at(json!({})), String, Access::Read, "type", "float32 would be"),
        (at(json!({ "uuid": "2a37" })), Uint16, Access::ReadWrite, "access", "offset: 0"),
        (
            json!({ "manufacturer": { "company": 1, "length": 1 } }),
            Uint16,
            Access::Read,
            "manufacturer.length",
            "byte 2",
        ),
        (json!({ "manufacturer": { "company": 1, "length": 0 } }), Int8, Access::Read, "manufacturer.length", "1..254"),
        (
            json!({ "manufacturer": { "company": 1, "bits": "8" } }),
            Int8,
            Access::Read,
            "manufacturer.bits",
            "last bit is 7",
        ),
        (
            json!({ "serviceData": { "uuid": "181a", "bits": "1" } }),
            Float32,
            Access::Read,
            "serviceData.bits",
            "whole number",
        ),
        (at(json!({ "offset": 0, "field": "a" })), Int8, Access::Read, "characteristic.field", "keep it, or"),
        (at(json!({ "write": "command" })), Int8, Access::Read, "characteristic.write", "leave it out"),
        (at(json!({ "mode": "notify" })), Int8, Access::Write, "characteristic.mode", "leave it out"),
        (at(json!({ "mode": "poll" })), Int8, Access::Read, "characteristic.mode", "indicate"),
        (json!({ "readin": "a" }), Float32, Access::Read, "readin", "unknown field `readin`"),
    ] {
        let errors = bind(&mac(), vec![Point { access, ..point(&address, data_type) }]).err().unwrap_or_default();
        let found = errors.iter().find(|e| e.at != At::Endpoint && e.path == path && e.message.contains(part));
        assert!(found.is_some(), "{address}: {errors:?}");
    }
    let address = json!({ "reading": "humidity" });
    let swapped = Point { order: ByteOrder::Dcba, ..point(&address, Uint16) };
    assert_eq!(bind(&mac(), vec![swapped]).err().unwrap()[0].path, "order");
}

#[test]
fn one_mistake_hides_no_other() {
    let (a, b) =
        (json!({ "reading": "A" }), json!({ "manufacturer": { "company": -1, "offset": 400, "prefix": "x" } }));
    let endpoint = json!({ "address": "x", "adapter": "y", "pair": "passkey" });
    let errors = bind(&endpoint, vec![point(&a, DataType::Int8), point(&b, DataType::Int8)]).err().unwrap();
    let mut found: Vec<_> = errors.iter().map(|e| (e.at, e.path.as_str())).collect();
    found.sort_unstable_by_key(|(at, path)| (format!("{at:?}"), *path));
    assert_eq!(
        found,
        [
            (At::Address(0), "reading"),
            (At::Address(1), "manufacturer.company"),
            (At::Address(1), "manufacturer.offset"),
            (At::Address(1), "manufacturer.prefix"),
            (At::Endpoint, "adapter"),
            (At::Endpoint, "address"),
            (At::Endpoint, "pair"),
            (At::Endpoint, "passkey"),
        ]
    );
}

#[test]
fn what_may_be_meant_otherwise_is_remarked_on() {
    let reading = json!({ "reading": "temperature" });
    let characteristic = json!({ "characteristic": { "service": "fff0", "uuid": "fff1" } });
    let key = json!({ "secretRef": { "name": "a", "key": "b" } });
    for (endpoint, address, data_type, path) in [
        (json!({ "name": "x" }), &reading, DataType::Float32, Some("name")),
        (json!({ "address": "51:00:00:00:00:01" }), &reading, DataType::Float32, Some("address")),
        (json!({ "address": "54:EF:44:00:00:01" }), &reading, DataType::Float32, None),
        (json!({ "address": "E1:00:00:00:00:01" }), &reading, DataType::Float32, None),
        (json!({ "address": "A4:C1:38:12:34:56", "connect": true }), &reading, DataType::Float32, Some("")),
        (json!({ "address": "A4:C1:38:12:34:56", "bindKey": key }), &characteristic, DataType::Uint8, Some("bindKey")),
        (mac(), &characteristic, DataType::Uint16, Some("order")),
        (mac(), &characteristic, DataType::Uint8, None),
    ] {
        let bound = bind(&endpoint, vec![point(address, data_type)]).unwrap_or_else(|e| panic!("{endpoint}: {e:?}"));
        let notes = bound.notes();
        assert_eq!(notes.iter().map(|note| note.path.as_str()).next(), path, "{endpoint}: {notes:?}");
        assert!(notes.len() <= 1, "{endpoint}: {notes:?}");
    }
}

#[test]
fn equal_devices_have_equal_names_and_settings() {
    let parse = |json: Json| serde_json::from_value::<Endpoint>(json).unwrap();
    let secret = json!({ "secretRef": { "name": "a", "key": "b" } });
    let lower = parse(json!({ "address": "a4:c1:38:12:34:56", "adapter": "00:1a:7d:da:71:13", "pair": "justWorks" }));
    let upper = parse(json!({ "address": "A4:C1:38:12:34:56", "adapter": "00:1A:7D:DA:71:13", "pair": "justWorks" }));
    assert_eq!((identity(&lower), settings(&lower)), (identity(&upper), settings(&upper)));
    assert_eq!(settings(&upper), "adapter 00:1A:7D:DA:71:13 pair justWorks");
    assert_eq!(identity(&parse(json!({ "irk": secret, "bindKey": secret }))), "irk:a/b");
    assert_eq!(settings(&parse(json!({ "irk": secret, "bindKey": secret }))), "bindKey a/b");
    assert_eq!(identity(&parse(json!({ "name": "A b" }))), "name:A b");
}

#[test]
fn identifiers_of_three_lengths() {
    let whole = "0000fcd2-0000-1000-8000-00805f9b34fb";
    for text in ["fcd2", "FCD2", "0000fcd2", whole] {
        assert_eq!(uuid(text).map(|id| id.to_string()).as_deref(), Some(whole), "{text}");
    }
    for text in ["", "fcd", "+cd2", "fcd2x", "{0000fcd2-0000-1000-8000-00805f9b34f}", "é00"] {
        assert_eq!(uuid(text), None, "{text}");
    }
}
