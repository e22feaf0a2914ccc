use mapper_api::{Access, ByteOrder, DataType, Decoded, Point, PointId, Refusal, Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{advertised, answer, notified, to_bytes, typed};
use crate::{
    advert::{Advert, Mac, short},
    bind::{Bound, Datum, Source, bind},
    config::Figure,
    formats::{Format, Measure, Message, Trouble},
    plan,
    radio::{Spot, WriteKind},
    request::{Answer, What},
};

fn bound(points: &[(Json, DataType, ByteOrder, Option<u16>, Access)]) -> Bound {
    let endpoint = serde_json::from_value(json!({ "address": "A4:C1:38:12:34:56" })).unwrap();
    let point = |(address, data_type, order, size, access): &(Json, _, _, _, _)| Point {
        address: serde_json::from_value(address.clone()).unwrap(),
        data_type: *data_type,
        order: *order,
        size: *size,
        access: *access,
    };
    bind(&endpoint, &points.iter().map(point).collect::<Vec<_>>()).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn one(address: Json, data_type: DataType, order: ByteOrder) -> Bound {
    bound(&[(address, data_type, order, data_type.width().is_none().then_some(4), Access::Read)])
}

fn advert() -> Advert {
    let mut advert = Advert::new(Mac([1, 2, 3, 4, 5, 6]));
    (advert.rssi, advert.tx_power) = (Some(-61), Some(4));
    advert.manufacturer = vec![(0x0499, vec![3, 0x29]), (0x0499, vec![5, 0x12, 0xfc, 0x53, 0x94]), (0x004c, vec![2])];
    advert.service_data = vec![(short(0x181a), vec![0xe7, 0x00, b'o', b'k', 0])];
    advert
}

fn said(bound: &Bound, advert: &Advert) -> Option<Result<Value, Refusal>> {
    let mut out = Vec::new();
    advertised(bound, advert, &[], &mut out);
    assert!(out.len() <= 1, "{out:?}");
    out.pop().map(|decoded| decoded.result)
}

#[test]
fn bytes_of_an_advertisement_are_cut_out_by_rule() {
    use ByteOrder::{Abcd, Dcba};
    use DataType::{Bytes, Int16, String, Uint8, Uint32};
    let manufacturer =
        |offset: u8, prefix: &str| json!({ "manufacturer": { "company": 0x0499, "offset": offset, "prefix": prefix } });
    for (address, data_type, order, expected) in [
        (manufacturer(1, "05"), Int16, Abcd, Some(Ok(Value::Int(0x12fc)))),
        (manufacturer(1, "05"), Int16, Dcba, Some(Ok(Value::Int(-0x3ee)))),
        (manufacturer(1, "03"), Uint8, Abcd, Some(Ok(Value::Uint(0x29)))),
        (manufacturer(1, "03"), Int16, Abcd, Some(Err("has 2 bytes; the value takes 2 from byte 1 on"))),
        (manufacturer(200, "03"), Uint8, Abcd, Some(Err("has 2 bytes; the value takes 1 from byte 200 on"))),
        (manufacturer(1, "07"), Uint8, Abcd, None),
        (json!({ "manufacturer": { "company": 7 } }), Uint8, Abcd, None),
        (json!({ "serviceData": { "uuid": "181a" } }), Int16, Dcba, Some(Ok(Value::Int(231)))),
        (json!({ "serviceData": { "uuid": "181a", "offset": 1 } }), String, Abcd, Some(Ok("".into()))),
        (
            json!({ "serviceData": { "uuid": "181a", "offset": 1 } }),
            Bytes,
            Abcd,
            Some(Ok(Value::Bytes(b"\0ok\0".into()))),
        ),
        (json!({ "serviceData": { "uuid": "181a", "offset": 3 } }), Uint32, Abcd, Some(Err("has 5 bytes"))),
        (json!({ "serviceData": { "uuid": "181b" } }), Uint8, Abcd, None),
        (json!({ "radio": "rssi" }), DataType::Int8, Abcd, Some(Ok(Value::Int(-61)))),
        (json!({ "radio": "rssi" }), DataType::Float32, Abcd, Some(Ok(Value::Float32(-61.0)))),
        (json!({ "radio": "rssi" }), Uint8, Abcd, Some(Err("0 to 255"))),
        (json!({ "radio": "txPower" }), DataType::Int16, Abcd, Some(Ok(Value::Int(4)))),
    ] {
        let found = said(&one(address.clone(), data_type, order), &advert());
        match (found, expected) {
            (Some(Err(refusal)), Some(Err(part))) => assert!(refusal.detail.contains(part), "{address}: {refusal}"),
            (found, Some(Ok(value))) => assert_eq!(found, Some(Ok(value)), "{address}"),
            (found, expected) => assert!(found.is_none() && expected.is_none(), "{address}: {found:?}"),
        }
    }
    let silent = Advert::new(Mac([0; 6]));
    assert_eq!(said(&one(json!({ "radio": "rssi" }), DataType::Int8, Abcd), &silent), None);
}

fn message(format: Format, measures: &[(&'static str, u8, Value)]) -> (Format, Result<Message, Trouble>) {
    let measures = measures.iter().cloned();
    let measures = measures.map(|(name, index, value)| Measure { name, index, value, unit: "" }).collect();
    (format, Ok(Message { measures, ..Message::new(format) }))
}

#[test]
fn a_reading_is_found_by_name_number_and_format() {
    let temperature = Value::Float64;
    let messages = [
        message(Format::Bthome, &[("temperature", 1, temperature(21.5)), ("temperature", 2, temperature(4.25))]),
        message(Format::Atc, &[("temperature", 1, temperature(20.0)), ("humidity", 1, temperature(50.0))]),
        (Format::MiBeacon, Err(Trouble::KeyNeeded)),
    ];
    for (address, expected) in [
        (json!({ "reading": "temperature" }), Some(Ok(Value::Float32(21.5)))),
        (json!({ "reading": "temperature", "index": 2 }), Some(Ok(Value::Float32(4.25)))),
        (json!({ "reading": "temperature", "format": "atc" }), Some(Ok(Value::Float32(20.0)))),
        (json!({ "reading": "humidity" }), Some(Ok(Value::Float32(50.0)))),
        (json!({ "reading": "temperature", "index": 3 }), None),
        (json!({ "reading": "humidity", "format": "bthome" }), None),
        (json!({ "reading": "humidity", "format": "ruuvi" }), None),
        (
            json!({ "reading": "humidity", "format": "miBeacon" }),
            Some(Err(Refusal::bad_data("it is encrypted and the device has no bindKey"))),
        ),
    ] {
        let mut out = Vec::new();
        advertised(&one(address.clone(), DataType::Float32, ByteOrder::Abcd), &advert(), &messages, &mut out);
        assert_eq!(out.pop().map(|decoded| decoded.result), expected, "{address}");
    }
}

#[test]
fn a_value_that_the_type_does_not_hold_is_refused_never_bent() {
    let datum = |data_type, size| Datum {
        source: Source::Radio(Figure::Rssi),
        data_type,
        order: ByteOrder::Abcd,
        size,
        readable: true,
    };
    for (value, data_type, size, expected) in [
        (Value::Float64(21.5), DataType::Float32, None, Ok(Value::Float32(21.5))),
        (Value::Float64(21.0), DataType::Int8, None, Ok(Value::Int(21))),
        (Value::Float64(21.5), DataType::Int8, None, Err("no whole number")),
        (Value::Uint(300), DataType::Uint8, None, Err("0 to 255")),
        (Value::Bool(true), DataType::Bool, None, Ok(Value::Bool(true))),
        (Value::Bool(true), DataType::Uint8, None, Ok(Value::Uint(1))),
        (Value::Text("press".into()), DataType::String, Some(8), Ok("press".into())),
        (Value::Text("press".into()), DataType::String, Some(4), Err("size is 4")),
        (Value::Text("00ff".into()), DataType::Bytes, Some(8), Err("type string")),
        (Value::Bytes(vec![1]), DataType::Bytes, Some(8), Ok(Value::Bytes(vec![1]))),
    ] {
        match (typed(&value, &datum(data_type, size)), expected) {
            (Err(refusal), Err(part)) => assert!(refusal.detail.contains(part), "{value:?}: {refusal}"),
            (found, expected) => assert_eq!(found.ok(), expected.ok(), "{value:?} as {data_type}"),
        }
    }
}

fn characteristic(uuid: &str, mode: &str, offset: u8) -> Json {
    json!({ "characteristic": { "service": "fff0", "uuid": uuid, "mode": mode, "offset": offset } })
}

#[test]
fn properties_of_one_characteristic_share_a_request() {
    use ByteOrder::Dcba;
    let bound = bound(&[
        (characteristic("fff1", "read", 0), DataType::Uint16, Dcba, None, Access::Read),
        (json!({ "radio": "rssi" }), DataType::Int8, ByteOrder::Abcd, None, Access::Read),
        (characteristic("fff2", "notify", 0), DataType::Uint8, Dcba, None, Access::Read),
        (characteristic("fff1", "read", 2), DataType::Uint8, Dcba, None, Access::Read),
        (characteristic("fff3", "read", 0), DataType::Uint16, Dcba, None, Access::ReadWrite),
        (characteristic("fff2", "notify", 1), DataType::Uint16, Dcba, None, Access::Read),
        (
            json!({ "characteristic": { "service": "fff0", "uuid": "fff4" } }),
            DataType::Uint8,
            Dcba,
            None,
            Access::Write,
        ),
    ]);
    let asked = |sequences: Vec<mapper_api::Sequence<crate::Request>>| {
        let requests = sequences.into_iter().flat_map(|sequence| sequence.0);
        requests.map(|request| (request.to_string(), request.points.to_vec())).collect::<Vec<_>>()
    };
    let read =
        |uuid: &str, points: &[PointId]| (format!("read characteristic {uuid} of service fff0"), points.to_vec());
    assert_eq!(asked(plan::plan(&bound, &[0, 1, 2, 3, 4, 5, 6])), [read("fff1", &[0, 3]), read("fff3", &[4])]);
    assert_eq!(asked(plan::plan(&bound, &[3])), [read("fff1", &[3])]);
    assert_eq!(asked(plan::plan(&bound, &[1, 2])), []);
    assert_eq!(
        asked(plan::prepare(&bound)),
        [
            ("listen to A4:C1:38:12:34:56".to_owned(), vec![]),
            ("subscribe to characteristic fff2 of service fff0".to_owned(), vec![2, 5]),
        ]
    );
    let write = plan::plan_write(&bound, &[(4, Value::Uint(0x1234))]).unwrap().remove(0).0.remove(0);
    let spot = Spot { service: short(0xfff0), characteristic: short(0xfff3) };
    assert_eq!(write.what, What::Write(spot, vec![0x34, 0x12], WriteKind::Request));
    assert_eq!(plan::plan_write(&bound, &[(1, Value::Int(1))]).unwrap_err().0, 1);
    let mut out = Vec::new();
    notified(&bound, Spot { service: short(0xfff0), characteristic: short(0xfff2) }, &[7, 1, 2], &mut out);
    let values: Vec<_> = out.into_iter().map(|decoded| (decoded.point, decoded.result)).collect();
    assert_eq!(values, [(2, Ok(Value::Uint(7))), (5, Ok(Value::Uint(0x0201)))]);
}

#[test]
fn what_the_device_refuses_is_refused_for_each_point_of_the_request() {
    let bound = bound(&[
        (characteristic("fff1", "read", 0), DataType::Uint8, ByteOrder::Abcd, None, Access::ReadWrite),
        (characteristic("fff1", "read", 1), DataType::Uint8, ByteOrder::Abcd, None, Access::Read),
    ]);
    let said = |request: &crate::Request, what: Answer| {
        let mut out = Vec::new();
        answer(&bound, request, &what, &mut out);
        out
    };
    let read = plan::plan(&bound, &[0, 1]).remove(0).0.remove(0);
    let refusal = |point| Decoded { point, result: Err(Refusal::rejected("not permitted")) };
    assert_eq!(said(&read, Answer::Refused("not permitted".into())), [refusal(0), refusal(1)]);
    let short = said(&read, Answer::Value(vec![9]));
    assert_eq!(short[0].result, Ok(Value::Uint(9)));
    assert!(short[1].result.as_ref().is_err_and(|refusal| refusal.detail.contains("has 1 bytes")), "{short:?}");
    let write = plan::plan_write(&bound, &[(0, Value::Uint(1))]).unwrap().remove(0).0.remove(0);
    assert_eq!(said(&write, Answer::Refused("not permitted".into())), [refusal(0)]);
    assert_eq!(said(&write, Answer::Done), []);
}

#[test]
fn digits_and_times_are_whole_or_refused() {
    let at = characteristic("fff1", "read", 0);
    let (digits, time) = (DataType::Bcd, DataType::DateTime);
    let points = [
        (at.clone(), digits, ByteOrder::Dcba, Some(3), Access::Read),
        (at, time, ByteOrder::Dcba, Some(4), Access::Read),
    ];
    let bound = bound(&points);
    let spot = Spot { service: short(0xfff0), characteristic: short(0xfff1) };
    let said = |bytes: &[u8]| {
        let mut out = Vec::new();
        notified(&bound, spot, bytes, &mut out);
        out.into_iter().map(|d| d.result.map_or_else(|e| e.to_string(), |v| v.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(said(&[0x56, 0x34, 0x12, 0x65]), ["123456", "2023-09-26T01:31:02Z"]);
    let short = said(&[0x56, 0x34]);
    assert!(short.iter().zip([3, 4]).all(|(told, width)| told.contains(&format!("takes {width} from"))), "{short:?}");
    assert!(said(&[0x5a, 0x34, 0x12, 0x65])[0].contains("a digit is above 9"));
}

proptest! {
    #[test]
    fn no_bytes_break_the_rules(
        data in prop::collection::vec(any::<u8>(), 0..64),
        offset in 0_u8..70,
        which in 0_usize..16,
        order in prop::sample::select(&[ByteOrder::Abcd, ByteOrder::Cdab, ByteOrder::Badc, ByteOrder::Dcba][..]),
    ) {
        let data_type = DataType::ALL[which];
        let bound = one(json!({ "manufacturer": { "company": 1, "offset": offset } }), data_type, order);
        let mut advert = advert();
        advert.manufacturer = vec![(1, data.clone())];
        let found = said(&bound, &advert).unwrap();
        let needed = usize::from(offset) + usize::from(data_type.width().unwrap_or(1));
        if data_type.width().is_some() {
            prop_assert_eq!(found.is_ok(), data.len() >= needed);
        } else {
            prop_assert!(found.is_err() || data.len() >= needed);
        }
    }

    #[test]
    fn what_is_written_reads_back(value in any::<u32>()) {
        let points = [(characteristic("fff1", "read", 0), DataType::Uint32, ByteOrder::Dcba, None, Access::ReadWrite)];
        let bound = bound(&points);
        let bytes = to_bytes(&bound.points[0], &Value::Uint(value.into())).unwrap();
        let mut out = Vec::new();
        notified(&bound, Spot { service: short(0xfff0), characteristic: short(0xfff1) }, &bytes, &mut out);
        prop_assert_eq!(&out[0].result, &Ok(Value::Uint(value.into())));
    }
}
