use std::collections::BTreeMap;

use mapper_api::{DataType, Value};

use super::Place;
use crate::{
    config::{Address, Base, Decimal, Language, Sentence, Write},
    language::{Content, Datum, Name, Number, Telegram},
};

fn obis(code: &str) -> Address {
    Address { obis: Some(code.into()), ..Address::default() }
}

fn nmea(sentence: &str, field: &str) -> Address {
    Address { nmea: Some(Sentence { sentence: sentence.into(), field: field.into() }), ..Address::default() }
}

fn text(code: &str, index: usize, text: &str, unit: &str) -> Datum {
    Datum {
        name: Name::Obis(code.parse().unwrap()),
        index,
        content: Content::Text(text.into()),
        unit: (!unit.is_empty()).then(|| unit.to_owned().into()),
    }
}

fn telegram() -> Telegram {
    let number = |code: &str, digits: i64, exponent, unit: &'static str| Datum {
        content: Content::Number(Number { digits: digits.into(), exponent }),
        unit: Some(unit.into()),
        ..text(code, 0, "", "")
    };
    let data = vec![
        text("1-0:1.8.0", 0, "000123.456", "kWh"),
        text("1-0:1.8.0*1", 0, "000100.000", "kWh"),
        text("1-1:1.8.0", 0, "7", "kWh"),
        text("0-1:24.2.1", 0, "101209112500W", ""),
        text("0-1:24.2.1", 1, "12785.123", "m3"),
        number("1-0:2.8.0", 104_329, -1, "Wh"),
        number("1-0:16.7.0", -10_550, -2, "W"),
        Datum { content: Content::Bytes(b"\x0a\x01EMH\x00\x00\x4f\x6d\xab".to_vec()), ..text("1-0:96.1.0", 0, "", "") },
        Datum { content: Content::Bytes(b"EMH".to_vec()), ..text("1-0:96.50.1", 0, "", "") },
        text("0-0:96.7.21", 0, "0000001F", ""),
        text("0-0:96.3.10", 0, "1", ""),
    ];
    Telegram { sender: "ISk5".into(), data, whole: true }
}

/// The value as text, or what is wrong with it.
fn read(address: &Address, data_type: DataType) -> String {
    let place = Place::bind(Language::P1, address, data_type).unwrap();
    match place.read(&telegram()).unwrap() {
        Ok(value) => value.to_string(),
        Err(refusal) => refusal.detail.into_owned(),
    }
}

#[test]
fn a_property_has_the_value_of_its_code() {
    let with_index = |code, index| Address { index: Some(index), ..obis(code) };
    let hex = Address { base: Some(Base::Hex), ..obis("0-0:96.7.21") };
    for (address, data_type, value) in [
        (obis("1-0:1.8.0"), DataType::Float64, "123.456"),
        (obis("1.8.0"), DataType::Float64, "123.456"),
        (obis("1-1:1.8.0"), DataType::Uint32, "7"),
        (obis("1-0:1.8.0*1"), DataType::Uint32, "100"),
        (obis("1-0:1.8.0"), DataType::String, "000123.456"),
        (obis("0-1:24.2.1"), DataType::String, "101209112500W"),
        (obis("0-1:24.2.1"), DataType::DateTime, "2010-12-09T10:25:00Z"),
        (with_index("0-1:24.2.1", 1), DataType::Float64, "12785.123"),
        (with_index("24.2.1", -1), DataType::Float64, "12785.123"),
        (obis("1-0:2.8.0"), DataType::Float64, "10432.9"),
        (obis("1-0:16.7.0"), DataType::Float32, "-105.5"),
        (obis("1-0:96.1.0"), DataType::String, "1 EMH00 05205419"),
        (obis("1-0:96.1.0"), DataType::Bytes, "0a01454d4800004f6dab"),
        (obis("1-0:96.50.1"), DataType::String, "EMH"),
        (hex, DataType::Uint8, "31"),
        (obis("0-0:96.3.10"), DataType::Bool, "true"),
        // What is refused says why.
        (obis("1-0:1.8.0"), DataType::Int32, "123.456 is no whole number; float64 has decimals"),
        (obis("0-1:24.2.1"), DataType::Float64, "\"101209112500W\" is no float64"),
        (
            obis("1-0:1.8.0"),
            DataType::DateTime,
            "\"000123.456\" is no date and time of a known zone; string has it as it is",
        ),
        (
            with_index("0-1:24.2.1", 2),
            DataType::Float64,
            "the telegram has 2 values of 0-1:24.2.1, and none with index 2",
        ),
        (obis("1-0:1.8.1"), DataType::Float64, "the telegram has no 1-0:1.8.1, but 1-0:1.8.0, 1-0:1.8.0*1, 1-1:1.8.0"),
        (obis("1-0:99.9.9"), DataType::Float64, "the telegram has no 1-0:99.9.9"),
        (obis("1-0:96.1.0"), DataType::Float64, "10 bytes are no float64"),
    ] {
        assert_eq!(read(&address, data_type), value, "{address:?}");
    }
}

#[test]
fn another_unit_is_bad_or_converted() {
    let expect = |code, unit: &str, units: &[(&str, f64)]| Address {
        expect: BTreeMap::from([("unit".to_owned(), unit.to_owned())]),
        units: units.iter().map(|(unit, factor)| ((*unit).to_owned(), *factor)).collect(),
        ..obis(code)
    };
    for (address, value) in [
        (expect("1-0:1.8.0", "kWh", &[]), "123.456"),
        (expect("1-0:1.8.0", "kWh", &[("Wh", 0.001)]), "123.456"),
        (expect("1-0:2.8.0", "kWh", &[("Wh", 0.001)]), "10.4329"),
        (expect("1-0:1.8.0", "Wh", &[("kWh", 1000.0)]), "123456"),
        (expect("1-0:1.8.0", "Wh", &[]), "the unit is kWh; Wh is expected"),
        (expect("0-0:96.3.10", "kWh", &[]), "no unit; kWh is expected"),
    ] {
        assert_eq!(read(&address, DataType::Float64), value, "{address:?}");
    }
}

#[test]
fn a_telegram_that_is_not_all_says_nothing_of_what_it_lacks() {
    let place = Place::bind(Language::Dlms, &obis("1-0:99.9.9"), DataType::Float64).unwrap();
    assert_eq!(place.read(&Telegram { whole: false, ..telegram() }), None);
}

#[test]
fn a_sentence_says_nothing_of_another_and_what_it_does_not_know_is_bad() {
    let place = Place::bind(Language::Nmea, &nmea("GGA", "altitude"), DataType::Float64).unwrap();
    let read = |line: &str| place.read(&crate::language::nmea::read(line.as_bytes()).unwrap());
    let with = "$GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,*76";
    assert_eq!(read(with), Some(Ok(Value::Float64(61.7))));
    assert_eq!(read("$GPHDT,274.07,T*03"), None);
    let without = "$GPGGA,133605.0,5521.75946,N,03731.93769,E,0,00,,,M,,M,,*4F";
    assert_eq!(read(without).unwrap().unwrap_err().detail, "notAvailable");
    let place = Place::bind(Language::Nmea, &nmea("RMC", "time"), DataType::DateTime).unwrap();
    let line = b"$GPRMC,092751.000,A,5321.6802,N,00630.3371,W,0.06,31.66,280511,,,A*45";
    assert_eq!(place.read(&crate::language::nmea::read(line).unwrap()), Some(Ok("2011-05-28T09:27:51Z".into())));
}

#[test]
fn mistakes_are_named_with_what_would_be_accepted() {
    let expect = |field: &str| BTreeMap::from([(field.to_owned(), "x".to_owned())]);
    for (language, address, data_type, path, says) in [
        (Language::P1, Address::default(), DataType::Float64, "obis", "is missing"),
        (Language::Nmea, Address::default(), DataType::Float64, "nmea", "is missing"),
        (Language::Sml, obis("power"), DataType::Float64, "obis", "write one as 1-0:1.8.0"),
        (Language::Sml, nmea("GGA", "altitude"), DataType::Float64, "nmea", "by `obis`"),
        (Language::Nmea, obis("1.8.0"), DataType::Float64, "obis", "by `nmea`"),
        (
            Language::P1,
            Address { decimal: Some(Decimal::Comma), ..obis("1.8.0") },
            DataType::Float64,
            "decimal",
            "have a point",
        ),
        (Language::Nmea, nmea("GGA", "speed"), DataType::Float64, "nmea.field", "altitude"),
        (Language::Nmea, nmea("ABC", "speed"), DataType::Float64, "nmea.sentence", "RMC"),
        (
            Language::P1,
            Address { expect: expect("state"), ..obis("1.8.0") },
            DataType::Float64,
            "expect.state",
            "`unit`",
        ),
        (
            Language::P1,
            Address { units: BTreeMap::from([("Wh".into(), 0.001)]), ..obis("1.8.0") },
            DataType::Float64,
            "units",
            "expect",
        ),
        (
            Language::P1,
            Address { units: BTreeMap::from([("Wh".into(), 0.0)]), expect: expect("unit"), ..obis("1.8.0") },
            DataType::Float64,
            "units.Wh",
            "not 0",
        ),
        (
            Language::P1,
            Address { units: BTreeMap::from([("Wh".into(), 1.0)]), expect: expect("unit"), ..obis("1.8.0") },
            DataType::String,
            "units",
            "converts numbers",
        ),
        (
            Language::P1,
            Address { write: Some(Write::default()), ..obis("1.8.0") },
            DataType::Float64,
            "write",
            "`obis`",
        ),
        (Language::P1, Address { raw: Some(true), ..obis("1.8.0") }, DataType::Float64, "raw", "`obis`"),
        (Language::P1, obis("1.8.0"), DataType::Bcd, "obis", "uint64"),
    ] {
        let mistakes = Place::bind(language, &address, data_type).unwrap_err();
        assert!(mistakes.iter().any(|(at, why)| at == path && why.contains(says)), "{path}: {mistakes:?}");
    }
}
