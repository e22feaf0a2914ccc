//! Recorded and constructed streams, as they are and as a wrong rate garbles them (simulated, see `wave`).

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Content, Guess, LIKELY, SURE, WRONG, guess};
use crate::{
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

fn drafted(guess: &Guess, heard: &Heard) -> Json {
    guess.draft(heard, Endpoint { path: Some("/dev/ttyUSB0".into()), ..Endpoint::default() }, None).unwrap()
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
