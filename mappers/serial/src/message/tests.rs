//! Messages of every kind, types, conditions and mistakes, as tables.

use std::collections::BTreeMap;

use mapper_api::{Access, ByteOrder, DataType, ErrorKind, Point};
use proptest::prelude::*;

use super::{Fit, Message, Place};
use crate::{config::Address, frame::Framing, octets};

const SICS: &str = r#"{"name": "weight", "regex": "^(?<state>[SD]) +(?<weight>[-+]?[ 0-9.]+[0-9]) *(?<unit>\\w+)(?<error> E\\d)?",
    "stable": {"state": "S"}, "refused": "^(ES|EL|S [I+-])"}"#;
const GGA: &str = r#"{"name": "gga", "columns": {"separator": ",", "names": ["type", "time", "lat", "ns", "-", "", "fix", "used"]},
    "when": {"type": "{talker}GGA"}}"#;
const BLANKS: &str = r#"{"name": "b", "columns": {"names": ["a", "b", "c"]}}"#;
const FIXED: &str = r#"{"name": "f", "fixed": {"sign": "0", "weight": "1..8", "unit": "9..11"}}"#;
const JSON: &str = r#"{"name": "j", "json": {}, "when": {"id": "7"}, "stable": {"ok": "true"}}"#;
const BINARY: &str = r#"{"name": "bin", "binary": {}, "when": {"1": "\\x03"}, "stable": {"2": "hex:00 01"}}"#;
const WHOLE: &str = r#"{"name": "code"}"#;

fn message(yaml: &str) -> Message {
    let yaml = serde_json::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
    let parameters = BTreeMap::from([("talker".to_owned(), "GP".to_owned())]);
    Message::new(&yaml, &parameters).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn data_type(name: &str) -> DataType {
    *DataType::ALL.iter().find(|known| known.name() == name).unwrap()
}

fn point(address: &str, data_type: DataType) -> Point<Address> {
    let address = serde_json::from_str(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    Point { address, data_type, order: ByteOrder::Abcd, size: None, access: Access::Read }
}

/// What a property says of a frame, as a text: the value, `-` for nothing, `no message`, or the refusal.
fn said(of: &str, point: &Point<Address>, frame: &[u8]) -> String {
    let message = message(of);
    let place = Place::new(point, &message).unwrap_or_else(|mistakes| panic!("{point:?}: {mistakes:?}"));
    // Binary frames have a start of one byte and a check of one.
    let content = if of == BINARY { &frame[1..frame.len() - 1] } else { frame };
    match message.read(frame, content) {
        Fit::NotThis => "no message".to_owned(),
        Fit::Refused(text) => format!("refused: {text}"),
        Fit::Fields(fields) => match place.read(&fields) {
            None => "-".to_owned(),
            Some(Ok(value)) => value.to_string(),
            Some(Err(refusal)) => format!("{}: {}", refusal.kind.reason(), refusal.detail),
        },
    }
}

/// SICS lines as in the manual of Mettler-Toledo (Standard Interface Command Set, command SI); the sentence is gpsd's example.
#[test]
fn values_of_messages_of_every_kind() {
    const SENTENCE: &str = "GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,";
    for (of, address, type_name, frame, expected) in [
        (SICS, r#"{"field": "weight"}"#, "float32", "S S     100.00 g", "no message"),
        (SICS, r#"{"field": "weight"}"#, "float32", "S     100.00 g", "100"),
        (SICS, r#"{"field": "weight"}"#, "float64", "D     -12.5 kg", "-12.5"),
        (SICS, r#"{"field": "weight"}"#, "float32", "D    -  12.5 kg", "-12.5"),
        (SICS, r#"{"field": "weight", "stable": true}"#, "float32", "D     12.5 kg", "-"),
        (SICS, r#"{"field": "weight", "stable": true}"#, "float32", "S     12.5 kg", "12.5"),
        (SICS, r#"{"field": "unit"}"#, "string", "S     12.5 kg", "kg"),
        (SICS, r#"{"field": "error"}"#, "string", "S     12.5 kg", "-"),
        (SICS, r#"{"field": "error"}"#, "string", "S     12.5 kg E3", " E3"),
        (SICS, r#"{"field": "weight"}"#, "float32", " ES ", "no message"),
        (SICS, r#"{"field": "weight"}"#, "float32", "ES", "refused: ES"),
        (SICS, r#"{"field": "weight"}"#, "float32", "S I", "refused: S I"),
        (GGA, r#"{"field": "fix"}"#, "uint8", SENTENCE, "1"),
        (GGA, r#"{"field": "used"}"#, "uint8", SENTENCE, "8"),
        (GGA, r#"{"field": "lat"}"#, "float64", SENTENCE, "5321.6802"),
        (GGA, r#"{"field": "lat"}"#, "float64", "GPGGA,092750.000,,,,,0,", "notAvailable: nothing stands in the field"),
        (GGA, r#"{"field": "used"}"#, "uint8", "GPGGA,092750.000,5321.6802,N", "no message"),
        (GGA, r#"{"field": "used"}"#, "uint8", "GLGGA,1,2,3,4,5,6,7", "no message"),
        (BLANKS, r#"{"field": "c"}"#, "int16", "  1  \t2 -3 4", "-3"),
        (BLANKS, r#"{"field": "c"}"#, "int16", "1 2", "no message"),
        (FIXED, r#"{"field": "weight"}"#, "float32", "+  12.345 kg", "12.345"),
        (FIXED, r#"{"field": "unit"}"#, "string", "+  12.345 kg", "kg"),
        (FIXED, r#"{"field": "unit"}"#, "string", "+  12.345 k", "no message"),
        (FIXED, r#"{"field": "unit"}"#, "string", "\u{e9}\u{e9} 12.345 kg", "kg"),
        (JSON, r#"{"pointer": "/a/1/b"}"#, "float32", r#"{"id": 7, "a": [0, {"b": 21.5}]}"#, "21.5"),
        (JSON, r#"{"pointer": "/a/1/b"}"#, "int8", r#"{"id": "7", "a": [0, {"b": 21.0}]}"#, "21"),
        (JSON, r#"{"pointer": "/a/2"}"#, "int8", r#"{"id": 7, "a": [0]}"#, "-"),
        (JSON, r#"{"field": "t"}"#, "float64", r#"{"id": 7, "t": "2,5"}"#, "2.5"),
        (JSON, r#"{"field": "t"}"#, "float64", r#"{"id": 7, "t": 1.5e-3}"#, "0.0015"),
        (JSON, r#"{"field": "t"}"#, "float64", r#"{"id": 7, "t": null}"#, "notAvailable: the JSON says null"),
        (JSON, r#"{"field": "t"}"#, "float64", r#"{"id": 7, "t": {}}"#, "badData: {} is no float64"),
        (JSON, r#"{"field": "t"}"#, "bool", r#"{"id": 7, "t": true}"#, "true"),
        (JSON, r#"{"field": "t"}"#, "bool", r#"{"id": 7, "t": 0}"#, "false"),
        (JSON, r#"{"field": "t"}"#, "uint64", r#"{"id": 7, "t": 18446744073709551615}"#, "18446744073709551615"),
        (JSON, r#"{"field": "t"}"#, "string", r#"{"id": 7, "t": [1, "a"]}"#, r#"[1,"a"]"#),
        (JSON, r#"{"field": "t", "stable": true}"#, "int8", r#"{"id": 7, "t": 1, "ok": true}"#, "1"),
        (JSON, r#"{"field": "t", "stable": true}"#, "int8", r#"{"id": 7, "t": 1, "ok": false}"#, "-"),
        (JSON, r#"{"field": "t"}"#, "int8", r#"{"id": 8, "t": 1}"#, "no message"),
        (JSON, r#"{"field": "t"}"#, "int8", "boot ok", "no message"),
        (BINARY, r#"{"offset": 2}"#, "uint16", "\u{1}\u{3}\u{1}\u{2}\u{ff}", "258"),
        (BINARY, r#"{"offset": 2, "bits": "8..9"}"#, "uint16", "\u{1}\u{3}\u{1}\u{2}\u{ff}", "1"),
        (BINARY, r#"{"offset": 2, "stable": true}"#, "int8", "\u{1}\u{3}\u{0}\u{1}\u{ff}", "0"),
        (BINARY, r#"{"offset": 2, "stable": true}"#, "int8", "\u{1}\u{3}\u{0}\u{2}\u{ff}", "-"),
        (BINARY, r#"{"offset": 2}"#, "bytes", "\u{1}\u{3}\u{1}\u{2}\u{ff}", "0102"),
        (BINARY, r#"{"offset": 2}"#, "uint16", "\u{1}\u{4}\u{1}\u{2}\u{ff}", "no message"),
        (
            BINARY,
            r#"{"offset": 4}"#,
            "uint16",
            "\u{1}\u{3}\u{1}\u{2}\u{ff}",
            "badData: the record has 5 bytes; the value takes 2 from byte 4 on",
        ),
        (WHOLE, r#"{"raw": true}"#, "string", "4006381333931", "4006381333931"),
        (WHOLE, r#"{"raw": true}"#, "bytes", "A\u{1}", "4101"),
        (SICS, r#"{"raw": true}"#, "string", "S     12.5 kg", "S     12.5 kg"),
    ] {
        let bytes: Vec<u8> = frame.chars().map(|c| u8::try_from(c).unwrap()).collect();
        assert_eq!(said(of, &point(address, data_type(type_name)), &bytes), expected, "{address} {frame:?}");
    }
}

#[test]
fn texts_are_values_of_every_type() {
    const LINE: &str = r#"{"name": "l", "regex": "^(?<v>.*)$"}"#;
    for (type_name, base, text, expected) in [
        ("float32", "decimal", "12,5", "12.5"),
        ("float32", "decimal", "-  12.5", "-12.5"),
        ("float32", "decimal", "+0012.50", "12.5"),
        ("float64", "decimal", "1.5E3", "1500"),
        ("float64", "decimal", ".5", "0.5"),
        ("float32", "decimal", "237.73", "237.73"),
        ("float64", "decimal", "1.234,5", "badData: '1.234,5' is no decimal number"),
        ("float32", "decimal", "- -1", "badData: '- -1' is no decimal number"),
        ("float32", "decimal", "1e999", "badData: '1e999' is no decimal number"),
        ("float32", "decimal", "1e39", "badData: 1e39 is more than a float holds"),
        ("float32", "decimal", "nan", "badData: 'nan' is no decimal number"),
        ("float32", "decimal", "12.5kg", "badData: '12.5kg' is no decimal number"),
        ("float32", "decimal", "   ", "notAvailable: nothing stands in the field"),
        ("float32", "decimal", "-----", "badData: '-----' is no decimal number"),
        ("int16", "decimal", " -007 ", "-7"),
        ("int16", "decimal", "12.00", "12"),
        ("int16", "decimal", "12.5", "badData: 12.5 is no whole number; float64 has decimals"),
        ("uint8", "decimal", "256", "badData: 256 is out of the range of uint8, 0 to 255"),
        ("uint8", "decimal", "-1", "badData: -1 is out of the range of uint8, 0 to 255"),
        ("uint64", "decimal", "18446744073709551615", "18446744073709551615"),
        ("bcd", "decimal", "123456", "123456"),
        ("bcd", "decimal", "-1", "badData: -1 is out of the range of uint64, 0 to 18446744073709551615"),
        ("bool", "decimal", "ON", "true"),
        ("bool", "decimal", "0", "false"),
        (
            "bool",
            "decimal",
            "2",
            "badData: '2' is no bool; 1, true, on and yes, or 0, false, off and no would be accepted",
        ),
        ("string", "decimal", " a ", " a "),
        ("bytes", "decimal", "AB", "4142"),
        ("dateTime", "decimal", "2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00Z"),
        ("dateTime", "decimal", "noon", "badData: 'noon' is no time; 2024-05-01T12:00:00Z would be accepted"),
        ("uint16", "hex", "1f", "31"),
        ("uint16", "hex", "0x00001F", "31"),
        ("int16", "hex", "FFFE", "-2"),
        ("int16", "hex", "FE", "254"),
        ("uint8", "hex", "100", "badData: '100' has 3 hexadecimal digits; uint8 has 2"),
        ("uint8", "hex", "xy", "badData: 'xy' is no hexadecimal number"),
        ("uint8", "hex", "+1", "badData: '+1' is no hexadecimal number"),
        ("float32", "hex", "41C80000", "25"),
        ("float32", "hex", "41C8", "badData: '41C8' has 4 hexadecimal digits; float32 has 8"),
        ("bool", "hex", "80", "true"),
        ("bytes", "hex", "0102ff", "0102ff"),
        ("bytes", "hex", "010", "badData: '010' is no hexadecimal number"),
        ("bcd", "hex", "0123", "123"),
    ] {
        let address = format!(r#"{{"field": "v", "base": "{base}"}}"#);
        assert_eq!(
            said(LINE, &point(&address, data_type(type_name)), text.as_bytes()),
            expected,
            "{type_name} {text:?}"
        );
    }
    // Digits in an order of their own; texts in both encodings; a number of as many digits as the size says.
    let little = Point { order: ByteOrder::Dcba, ..point(r#"{"field": "v", "base": "hex"}"#, DataType::Uint16) };
    assert_eq!(said(LINE, &little, b"3412"), "4660");
    assert!(said(LINE, &little, b"34").contains("uint16 has 4"));
    let text = point(r#"{"field": "v"}"#, DataType::String);
    assert_eq!(said(LINE, &text, "21 °C".as_bytes()), "21 °C");
    assert_eq!(said(LINE, &text, b"21 \xb0C"), "21 °C");
    let short = Point { size: Some(1), ..point(r#"{"field": "v"}"#, DataType::Bcd) };
    assert_eq!(said(LINE, &short, b"100"), "badData: 100 has more than 2 digits");
}

#[test]
fn a_comma_is_read_where_it_cannot_be_misread_or_as_the_address_says() {
    const LINE: &str = r#"{"name": "l", "regex": "^(?<v>.*)$"}"#;
    const WHICH: &str = "has a comma, of decimals or of thousands; `decimal: comma` or `decimal: point` says which";
    for (decimal, text, expected) in [
        ("", "12,5", "12.5"),
        ("", "0,123", "0.123"),
        ("", "-0012,500", "-12.5"),
        ("", "1.234", "1.234"),
        ("", "1,234", WHICH),
        ("", "- 12,500", WHICH),
        ("", "001,234", WHICH),
        ("", "1,234.5", "is no decimal number"),
        ("", "1,234,567", "is no decimal number"),
        ("comma", "1,234", "1.234"),
        ("comma", "12", "12"),
        ("comma", "-1.234.567,5", "-1234567.5"),
        ("comma", "1.234", "1234"),
        ("comma", "12.5", "is no decimal number by `decimal: comma`"),
        ("comma", "1,234.5", "is no decimal number by `decimal: comma`"),
        ("point", "1,234", "1234"),
        ("point", "1,234.5", "1234.5"),
        ("point", "+1,234e1", "12340"),
        ("point", "12,5", "is no decimal number by `decimal: point`"),
        ("point", "1234,567", "is no decimal number by `decimal: point`"),
        ("point", ",123", "is no decimal number by `decimal: point`"),
        ("point", "1.2.3", "is no decimal number by `decimal: point`"),
    ] {
        let address = match decimal {
            "" => r#"{"field": "v"}"#.to_owned(),
            decimal => format!(r#"{{"field": "v", "decimal": "{decimal}"}}"#),
        };
        let found = said(LINE, &point(&address, DataType::Float64), text.as_bytes());
        let expected =
            if expected.contains(' ') { format!("badData: '{text}' {expected}") } else { expected.to_owned() };
        assert_eq!(found, expected, "{decimal} {text:?}");
    }
    // JSON's own numbers have a point; its texts are as the address says.
    let json = point(r#"{"pointer": "/v", "decimal": "comma"}"#, DataType::Float64);
    assert_eq!(said(JSON, &json, br#"{"id": 7, "v": 1.234}"#), "1.234");
    assert_eq!(said(JSON, &json, br#"{"id": 7, "v": "1,234"}"#), "1.234");
}

#[test]
fn what_is_no_number_is_kept_for_sentinels() {
    let message = message(r#"{"name": "l", "regex": "^(?<v>.*)$"}"#);
    let place = Place::new(&point(r#"{"field": "v"}"#, DataType::Float32), &message).unwrap();
    for (text, kind) in [("----", ErrorKind::BadData), ("OL", ErrorKind::BadData), ("", ErrorKind::NotAvailable)] {
        let Fit::Fields(fields) = message.read(text.as_bytes(), text.as_bytes()) else { panic!("{text}") };
        let refusal = place.read(&fields).unwrap().unwrap_err();
        assert_eq!((refusal.kind, refusal.raw.as_deref()), (kind, Some(text)));
    }
}

#[test]
fn another_unit_is_bad_unless_it_is_converted() {
    let weight = |more: &str| format!(r#"{{"field": "weight", "expect": {{"unit": "kg"}}{more}}}"#);
    let units = weight(r#", "units": {"g": 0.001, "t": 1000, "lb": 0.45359237}"#);
    for (address, type_name, frame, expected) in [
        (&weight(""), "float32", "S 12.5 kg", "12.5"),
        (&weight(""), "float32", "S 12.5 lb", "badData: unit is lb; kg is expected"),
        (&units, "float64", "S 1234.5 g", "1.2345"),
        (&units, "float32", "S 0.3 t", "300"),
        (&units, "float64", "S 10 lb", "4.5359237"),
        (&units, "float64", "S 12.5 kg", "12.5"),
        (&units, "float64", "S 12.5 oz", "badData: unit is oz; kg is expected"),
        (&units, "int32", "S 1.5 t", "1500"),
        (&units, "int32", "S 11 g", "badData: 0.011 is no whole number; float64 has decimals"),
    ] {
        assert_eq!(said(SICS, &point(address, data_type(type_name)), frame.as_bytes()), expected, "{address} {frame}");
    }
    // The field of the unit is not there; bytes that are not the expected ones; a member of JSON.
    let by_error = point(r#"{"field": "weight", "expect": {"error": " E0"}}"#, DataType::Float32);
    assert_eq!(said(SICS, &by_error, b"S 12.5 kg"), "badData: error is missing;  E0 is expected");
    let bytes = point(r#"{"offset": 2, "expect": {"3": "\\x02"}}"#, DataType::Uint8);
    assert_eq!(said(BINARY, &bytes, &[1, 3, 9, 2, 0]), "9");
    assert_eq!(said(BINARY, &bytes, &[1, 3, 9, 4, 0]), "badData: 3 is hex:04; hex:02 is expected");
    let json = point(r#"{"pointer": "/t", "expect": {"u": "°C"}, "units": {"mK": 0.001}}"#, DataType::Float32);
    assert_eq!(said(JSON, &json, r#"{"id":7,"t":1,"u":"°C"}"#.as_bytes()), "1");
    assert_eq!(said(JSON, &json, br#"{"id":7,"t":1,"u":"mK"}"#), "0.001");
    // A device that sends its units in ISO 8859-1, or in UTF-8.
    let degrees = r#"{"name": "d", "columns": {"names": ["t", "u"]}}"#;
    let celsius = point(r#"{"field": "t", "expect": {"u": "°C"}}"#, DataType::Float32);
    assert_eq!(said(degrees, &celsius, "7 °C".as_bytes()), "7");
    assert_eq!(said(degrees, &celsius, b"7 \xb0C"), "7");
}

#[test]
fn all_mistakes_of_a_message_are_told_at_once() {
    for (yaml, expected) in [
        (
            r#"{"name": "m", "regex": "a", "json": {}, "binary": {}}"#,
            &[("json", "beside `regex`"), ("binary", "beside")][..],
        ),
        (
            r#"{"name": "m", "regex": "(", "refused": "["}"#,
            &[("regex", "no regular expression"), ("refused", "no regular expression")],
        ),
        (r#"{"name": "m", "regex": "(?:(?:[a-z]{99}){99}){99}"}"#, &[("regex", "no regular expression")]),
        (
            r#"{"name": "m", "columns": {"separator": "\\q", "names": ["a", "a"]}, "when": {"aa": "1"}, "stable": {"a": "{b}"}}"#,
            &[
                ("columns.separator", "means nothing"),
                ("columns.names", "a twice"),
                ("when.aa", "did you mean a?"),
                ("stable.a", "{b} stands for nothing"),
            ],
        ),
        (
            r#"{"name": "m", "columns": {"separator": "", "names": []}}"#,
            &[("columns.separator", "leave it out"), ("columns.names", "1 to 128")],
        ),
        (
            r#"{"name": "m", "fixed": {"a": "9..2", "b": "x", "c": "+1"}}"#,
            &[("fixed.a", "\"2..9\""), ("fixed.b", "\"2..9\""), ("fixed.c", "\"2..9\"")],
        ),
        (
            r#"{"name": "m", "binary": {}, "when": {"type": "1", "99999": "1", "1": "\\q"}}"#,
            &[("when.1", "means nothing"), ("when.99999", "0 to 16383"), ("when.type", "0 to 16383")],
        ),
        (r#"{"name": "m", "when": {"a": "1"}}"#, &[("when.a", "has no fields")]),
        (r#"{"name": "m", "regex": "a", "when": {"a": "1"}}"#, &[("when.a", "it has none")]),
    ] {
        let yaml = serde_json::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
        let told = Message::new(&yaml, &BTreeMap::new()).unwrap_err();
        compare(&told, expected);
    }
}

#[test]
fn all_mistakes_of_an_address_are_told_at_once() {
    for (of, address, type_name, expected) in [
        (
            SICS,
            r#"{"field": "wieght"}"#,
            "float32",
            &[("field", "did you mean weight? it has state, weight, unit, error")][..],
        ),
        (SICS, r#"{"field": "x"}"#, "float32", &[("field", "message weight; it has")]),
        (BINARY, r#"{"field": "x", "stable": true}"#, "float32", &[("field", "`offset`")]),
        (WHOLE, r#"{"field": "x", "stable": true}"#, "float32", &[("field", "no fields"), ("stable", "message code")]),
        (SICS, r#"{"offset": 1}"#, "uint8", &[("offset", "`binary: {}`")]),
        (SICS, r#"{"pointer": "/a"}"#, "uint8", &[("pointer", "`json: {}`")]),
        (JSON, r#"{"pointer": "a"}"#, "uint8", &[("pointer", "/a/0/b")]),
        (BINARY, r#"{"offset": 16384}"#, "uint8", &[("offset", "0 to 16383")]),
        (BINARY, r#"{"offset": 1, "bits": "9"}"#, "uint8", &[("bits", "last bit is 7")]),
        (BINARY, r#"{"offset": 1, "bits": "x"}"#, "uint8", &[("bits", "\"4..11\"")]),
        (BINARY, r#"{"offset": 1, "base": "hex"}"#, "uint8", &[("base", "in a text")]),
        (BINARY, r#"{"offset": 1, "decimal": "comma"}"#, "uint8", &[("decimal", "in a text")]),
        (SICS, r#"{"field": "unit", "decimal": "comma"}"#, "string", &[("decimal", "in a text")]),
        (SICS, r#"{"field": "weight", "bits": "1"}"#, "uint8", &[("bits", "`offset`")]),
        (WHOLE, r#"{"raw": true}"#, "uint8", &[("raw", "a text or bytes; the property is a uint8")]),
        (SICS, r#"{"field": "unit", "base": "hex"}"#, "string", &[("base", "is a string")]),
        (
            SICS,
            r#"{"field": "unit", "expect": {"uint": "kg"}, "units": {"g": 0}}"#,
            "string",
            &[("expect.uint", "did you mean unit?"), ("units", "is a string"), ("units.g", "0 is no factor")],
        ),
        (SICS, r#"{"field": "weight", "units": {"g": 0.001}}"#, "float32", &[("units", "`expect: {unit: ...}`")]),
        (
            SICS,
            r#"{"field": "weight", "base": "hex", "expect": {"unit": "g"}, "units": {"g": 0.001}}"#,
            "float32",
            &[("units", "decimal numbers")],
        ),
    ] {
        let told = Place::new(&point(address, data_type(type_name)), &message(of)).unwrap_err();
        compare(&told, expected);
    }
}

fn compare(told: &[(String, String)], expected: &[(&str, &str)]) {
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for ((key, message), (wanted, part)) in told.iter().zip(expected) {
        assert!(key == wanted && message.contains(part), "{key}: {message}");
    }
}

/// From the stream to the value, as a device would be: a frame with a check between the text and its end.
#[test]
fn the_check_is_no_part_of_the_content() {
    let frame =
        r#"{"start": "$", "end": "\r\n", "check": {"kind": "xor", "form": "hex", "skipStart": 1, "skipEnd": 1}}"#;
    let framing = Framing::new(&serde_json::from_str(frame).unwrap()).unwrap();
    let sentence = octets::parse("$GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8*6E\\r\\n").unwrap();
    let content = framing.content(&sentence);
    assert_eq!(said(GGA, &point(r#"{"field": "used"}"#, DataType::Uint8), content), "8");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// No frame panics, whatever is read of it, and every refusal says something.
    #[test]
    fn no_frame_panics(frame in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[SD] {1,3}[-+0-9., ]{0,9}[a-z°]{0,3}".prop_map(String::into_bytes),
        "GPGGA(,[0-9.A-Z]{0,4}){0,9}".prop_map(String::into_bytes),
        r#"\{"id": ?7, ?"t": ?[0-9"a-z.\[\]-]{0,9}\}"#.prop_map(String::into_bytes),
    ], which in 0..DataType::ALL.len(), size in prop::option::of(0..12_u16), cut in 0..40_usize) {
        let data_type = DataType::ALL[which];
        for (of, address) in [
            (SICS, r#"{"field": "weight"}"#),
            (SICS, r#"{"field": "unit", "expect": {"unit": "kg"}}"#),
            (GGA, r#"{"field": "used"}"#),
            (BLANKS, r#"{"field": "c", "base": "hex"}"#),
            (FIXED, r#"{"field": "weight"}"#),
            (JSON, r#"{"field": "t"}"#),
            (JSON, r#"{"pointer": "/t/0"}"#),
            (BINARY, r#"{"offset": 2}"#),
            (BINARY, r#"{"offset": 0, "bits": "1..3"}"#),
            (WHOLE, r#"{"raw": true}"#),
        ] {
            let message = message(of);
            let point = Point { size, ..point(address, data_type) };
            let Ok(place) = Place::new(&point, &message) else { continue };
            let content = &frame[frame.len().min(1)..frame.len() - frame.len().saturating_sub(1).min(cut)];
            if let Fit::Fields(fields) = message.read(&frame, content)
                && let Some(Err(refusal)) = place.read(&fields)
            {
                prop_assert!(!refusal.detail.is_empty());
            }
        }
    }
}
