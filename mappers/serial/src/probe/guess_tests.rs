//! Recorded and constructed streams, as they are and as a wrong rate garbles them (simulated, see `wave`).

use std::{fmt::Write as _, sync::Arc, time::Duration};

use mapper_api::{Access, ByteOrder, DataType, Decoded, Mapper, Point};
use serde_json::{Value as Json, json};

use super::{Content, Guess, LIKELY, SURE, WRONG, guess};
use crate::{
    Serial,
    config::{Endpoint, Language, Parity},
    probe::{RATES, heard::Heard, wave},
};

const CHARACTER: Duration = Duration::from_millis(1);

fn at_once(bytes: &[u8]) -> Heard {
    let mut heard = Heard::default();
    heard.take(Duration::ZERO, bytes);
    heard
}

/// Each piece a tenth of a second after the other.
fn paced(pieces: &[Vec<u8>]) -> Heard {
    let mut heard = Heard::default();
    for (n, piece) in (0..).zip(pieces) {
        heard.take(Duration::from_millis(n * 100), piece);
    }
    heard
}

/// The draft, which the mapper accepts.
fn drafted(guess: &Guess, heard: &Heard) -> Json {
    let endpoint = Endpoint { path: Some("/dev/ttyUSB0".into()), ..Endpoint::default() };
    let draft = guess.draft(heard, endpoint, None).unwrap();
    bound(&draft);
    draft
}

fn bound(draft: &Json) -> Arc<dyn mapper_api::BoundDevice> {
    let typed = |property: &Json, key: &str| property.get(key).cloned().unwrap_or_default();
    let points = draft["properties"].as_array().unwrap().iter().map(|property| Point {
        address: &property["serial"],
        data_type: serde_json::from_value::<DataType>(typed(property, "type")).unwrap(),
        order: serde_json::from_value(typed(property, "order")).unwrap_or(ByteOrder::Abcd),
        size: typed(property, "size").as_u64().and_then(|size| u16::try_from(size).ok()),
        access: Access::Read,
    });
    let bound = Arc::new(Serial::default()).bind(&draft["protocol"]["serial"], points.collect());
    bound.unwrap_or_else(|errors| panic!("{errors:?}\n{draft:#}"))
}

/// What the draft reads in what was heard, by the mapper's own decoding.
fn read(draft: &Json, heard: &Heard) -> Vec<Decoded> {
    let mut received = String::from("hex:");
    for byte in heard.bytes() {
        let _ = write!(received, " {byte:02x}");
    }
    bound(draft).replay(&json!({ "received": received })).unwrap_or_else(|why| panic!("{why}\n{draft:#}"))
}

/// A dust sensor's frames as its manual has them (Plantower PMS5003, appendix I): 42 4d, length 28, 13 words, sum.
fn dust() -> Vec<Vec<u8>> {
    (0_u16..8)
        .map(|n| {
            let mut frame = vec![0x42, 0x4d, 0, 28];
            let words = [12 + n, 17, 18 + n * 3, 12 + n, 17, 18, 2400 + n * 70, 700 - n * 9, 121, 13 + n, 2, 0, 0x9700];
            frame.extend(words.iter().flat_map(|word| word.to_be_bytes()));
            let sum: u16 = frame.iter().map(|byte| u16::from(*byte)).sum();
            frame.extend(sum.to_be_bytes());
            frame
        })
        .collect()
}

/// A scale that sends continuously (constructed after the A&D format: header, sign, value, unit).
fn scale() -> Vec<u8> {
    (0..12).flat_map(|n| format!("ST,+{:08.2}  kg\r\n", 12.34 + f64::from(n) * 1.11).into_bytes()).collect()
}

const GPS: &[u8] = b"$GPGGA,123519,4807.038,N,01131.324,E,1,08,0.9,545.4,M,46.9,M, , *42\r\n";

#[test]
fn a_text() {
    let heard = at_once(&scale());
    let guess = guess(&heard, CHARACTER);
    assert!(guess.points >= SURE && guess.parity.is_none() && guess.frames() == 11, "{guess:?}");
    let draft = drafted(&guess, &heard);
    assert_eq!(draft["protocol"]["serial"]["frame"], json!({ "end": "\\r\\n" }));
    assert_eq!(draft["properties"].as_array().unwrap().len(), 1, "{draft:#}");
}

#[test]
fn frames_with_a_check() {
    let heard = paced(&dust());
    let guess = guess(&heard, CHARACTER);
    assert!(guess.points >= SURE, "{guess:?}");
    let draft = drafted(&guess, &heard);
    let frame = &draft["protocol"]["serial"]["frame"];
    assert_eq!(frame, &json!({ "start": "BM", "length": 32, "check": { "kind": "sum16" } }), "{draft:#}");
    let offsets: Vec<_> =
        draft["properties"].as_array().unwrap().iter().map(|p| p["serial"]["offset"].as_u64().unwrap()).collect();
    assert_eq!(offsets, [4, 8, 10, 16, 18, 22], "{draft:#}");
    assert!(draft["properties"].as_array().unwrap().iter().all(|p| p["type"] == "uint16"), "{draft:#}");
    // The same without any silence between the frames.
    let glued = super::guess(&at_once(&dust().concat()), CHARACTER);
    assert!(glued.points >= SURE, "{glued:?}");
}

#[test]
fn a_parity_bit_is_seen_in_eight_bits() {
    for (even, parity) in [(true, Parity::Even), (false, Parity::Odd)] {
        let bytes = wave::heard(&scale(), 9600.0, 9600.0, Some(even));
        let heard = at_once(&bytes);
        let guess = guess(&heard, CHARACTER);
        assert!(guess.points >= SURE && guess.parity == Some(parity), "{guess:?}");
        assert_eq!(drafted(&guess, &heard)["protocol"]["serial"]["dataBits"], 7);
    }
}

#[test]
fn languages_and_nothing() {
    let heard = at_once(&GPS.repeat(3));
    let gps = guess(&heard, CHARACTER);
    assert_eq!((gps.points, &gps.content), (100, &Content::Language(Language::Nmea)));
    assert_eq!(
        drafted(&gps, &heard)["properties"][0]["serial"]["nmea"],
        json!({ "sentence": "GGA", "field": "latitude" })
    );
    let nothing = guess(&Heard::default(), CHARACTER);
    assert_eq!((nothing.points, &nothing.content), (0, &Content::Nothing));
    assert!(nothing.draft(&Heard::default(), Endpoint::default(), None).unwrap_err().contains("nothing was heard"));
    // A text that never ends has no frames.
    let heard = at_once(b"abcdefghijklmnopqrstuvwxyz");
    let endless = guess(&heard, CHARACTER);
    assert!(endless.points >= LIKELY && endless.draft(&heard, Endpoint::default(), None).is_err());
}

/// Senders of four rates, heard at every rate: the right one wins, and wins clearly.
#[test]
fn the_right_rate_wins() {
    let dust = dust().concat();
    for (name, bytes) in [("scale", scale()), ("gps", GPS.repeat(4)), ("dust", dust)] {
        for sender in [9600, 115_200, 2400, 38_400] {
            for receiver in RATES {
                let heard = at_once(&wave::heard(&bytes, f64::from(sender), f64::from(receiver), None));
                let guess = guess(&heard, CHARACTER);
                if sender == receiver {
                    assert!(guess.points >= SURE, "{name} {sender}: {guess:?}");
                } else {
                    assert!(guess.points < LIKELY, "{name} sent at {sender}, heard at {receiver}: {guess:?}");
                }
            }
        }
    }
    // Text at half and at twice the rate is not even near.
    for receiver in [4800.0, 19_200.0] {
        let guess = guess(&at_once(&wave::heard(&scale(), 9600.0, receiver, None)), CHARACTER);
        assert!(guess.points < WRONG, "{receiver}: {guess:?}");
    }
}

/// What is drafted from a recording reads that recording: every property has a value in it.
#[test]
fn a_draft_reads_what_it_was_drafted_from() {
    let lines = |lines: &[&str]| lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect::<Vec<u8>>();
    let p1 = "/KFM5KAIFA-METER\r\n\r\n1-0:1.8.1(000671.578*kWh)\r\n1-0:1.7.0(00.333*kW)\r\n!";
    // CRC-16/ARC over all up to the exclamation mark (DSMR 5.0.2, 6.2).
    let sum = crc::Crc::<u16>::new(&crc::CRC_16_ARC).checksum(p1.as_bytes());
    for (what, bytes, count) in [
        (
            "a scale",
            lines(&["", "ST,GS,+   12.34kg", "ST,GS,+  112.30kg", "US,GS,-    0.05kg", "ST,GS,+    9.99kg"]),
            1,
        ),
        ("names", lines(&["", "T=21.3 H=44", "T=-1.3 H=45", "T=2.5 H=46", "T=2.7 H=47"]), 2),
        ("columns", lines(&["", "WX,1,2.5,N", "ID,x,5", "WX,1.5,3,N", "ID,y,6", "WX,2,4,S", "ID,z,7"]), 3),
        ("decimal commas", lines(&["", "12,5 bar", "2,75 bar", "3,00 bar", "2,50 bar"]), 1),
        ("json", lines(&["", r#"{"t":1.5,"a":[1,2]}"#, r#"{"t":2.5,"a":[3,4]}"#, r#"{"t":3,"a":[5,6]}"#]), 3),
        ("a barcode", lines(&["", "4006381333931", "4006381333948", "9780201379624"]), 1),
        ("a receiver", GPS.repeat(3), 4),
        ("a P1 meter", format!("{p1}{sum:04X}\r\n").into_bytes(), 2),
        ("a dust sensor", dust().concat(), 6),
    ] {
        let heard = at_once(&bytes);
        let guess = guess(&heard, CHARACTER);
        assert!(guess.points >= LIKELY, "{what}: {guess:?}");
        let draft = drafted(&guess, &heard);
        assert_eq!(draft["properties"].as_array().unwrap().len(), count, "{what}: {draft:#}");
        let decoded = read(&draft, &heard);
        for point in 0..u16::try_from(count).unwrap() {
            let values: Vec<_> = decoded.iter().filter(|one| one.point == point).collect();
            let good = values.iter().any(|one| one.result.is_ok());
            assert!(good, "{what}: nothing of property {point}: {values:?}\n{draft:#}");
        }
    }
}
