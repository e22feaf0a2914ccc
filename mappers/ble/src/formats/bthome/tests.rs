//! BTHome against the examples of its specification and the published cases of other decoders.

use super::{decode, objects::object};
use crate::formats::{
    Trouble, names,
    samples::{bytes, key, line, message, service, trouble},
};

const MAC: &str = "54:48:E6:8F:80:A5";
/// The key of all published examples.
const KEY: &str = "231d39c1d7cc1ab1aee224cd096db932";

/// The examples of <https://bthome.io/format/>, one a line of its tables; those of ids that were added later from the
/// tests of bthome-ble (tests/test_parser_v2.py), or, where it says "own", from the table's type and factor.
const OBJECTS: &[(&str, &str)] = &[
    ("0161", "batteryLevel 97 %"),
    ("02CA09", "temperature 25.06 °C"),
    ("03BF13", "humidity 50.55 %"),
    ("04138A01", "pressure 1008.83 hPa"),
    ("05138A14", "illuminance 13460.67 lx"),
    ("065E1F", "mass 80.3 kg"),
    ("073E1D", "massPounds 74.86 lb"),
    ("08CA06", "dewPoint 17.38 °C"),
    ("0960", "count 96"),
    ("0A138A14", "energy 1346.067 kWh"),
    ("0B021B00", "power 69.14 W"),
    ("0C020C", "voltage 3.074 V"),
    ("0D120C", "pm25 3090 µg/m³"),
    ("0E021C", "pm10 7170 µg/m³"),
    ("0F01", "state true"),
    ("1001", "powerOn true"),
    ("1100", "opening false"),
    ("12E204", "co2 1250 ppm"),
    ("133301", "tvoc 307 µg/m³"),
    ("14020C", "moisture 30.74 %"),
    ("1501", "batteryLow true"),
    ("1601", "batteryCharging true"),
    ("1700", "carbonMonoxide false"),
    ("1801", "cold true"),
    ("1900", "connected false"),
    ("1A00", "door false"),
    ("1B01", "garageDoor true"),
    ("1C01", "gasDetected true"),
    ("1D00", "heat false"),
    ("1E01", "light true"),
    ("1F01", "unlocked true"),
    ("2001", "wet true"),
    ("2100", "motion false"),
    ("2201", "moving true"),
    ("2301", "occupancy true"),
    ("2400", "pluggedIn false"),
    ("2500", "presence false"),
    ("2601", "problem true"),
    ("2701", "running true"),
    ("2800", "safe false"),
    ("2901", "smoke true"),
    ("2A00", "sound false"),
    ("2B00", "tamper false"),
    ("2C01", "vibration true"),
    ("2D01", "window true"),
    ("2E23", "humidity 35 %"),
    ("2F23", "moisture 35 %"),
    ("3A00", ""),
    ("3A01", "button press"),
    ("3A02", "button doublePress"),
    ("3A03", "button triplePress"),
    ("3A04", "button longPress"),
    ("3A05", "button longDoublePress"),
    ("3A06", "button longTriplePress"),
    ("3A80", "button holdPress"),
    ("3A81", "button holdRelease"),
    ("3B0002", "command toggle"),                                // own
    ("3B020301FF", "command stepUp, commandArguments [01, ff]"), // own
    ("3C0103", "dimmer rotateLeft, dimmerSteps 3"),
    ("3C020A", "dimmer rotateRight, dimmerSteps 10"),
    ("3D0960", "count 24585"),
    ("3E2A2C0960", "count 1611213866"),
    ("3F020C", "rotation 307.4 °"),
    ("400C00", "distance 0.012 m"),
    ("414E00", "distance 7.8 m"),
    ("424E3400", "duration 13.39 s"),
    ("434E34", "current 13.39 A"),
    ("444E34", "speed 133.9 m/s"),
    ("451101", "temperature 27.3 °C"),
    ("4632", "uvIndex 5"),
    ("478756", "volume 2215.1 L"),
    ("48DC87", "volume 34.78 L"),
    ("49DC87", "volumeFlowRate 34.78 m³/h"),
    ("4A020C", "voltage 307.4 V"),
    ("4B138A14", "gas 1346.067 m³"),
    ("4C41018A01", "gas 25821.505 m³"),
    ("4D12138A14", "energy 344593.17 kWh"),
    ("4E87562A01", "volume 19551.879 L"),
    ("4F87562A01", "water 19551.879 L"),
    ("505D396164", "timestamp 1684093277 s"),
    ("518756", "acceleration 22.151 m/s²"),
    ("528756", "gyroscope 22.151 °/s"),
    ("530C48656C6C6F20576F726C6421", "text Hello World!"),
    ("540C48656C6C6F20576F726C6421", "raw [48, 65, 6c, 6c, 6f, 20, 57, 6f, 72, 6c, 64, 21]"),
    ("5587562A01", "volumeStorage 19551.879 L"),
    ("56E803", "conductivity 1000 µS/cm"),
    ("57EA", "temperature -22 °C"),
    ("58EA", "temperature -7.7 °C"),
    ("59EA", "count -22"),
    ("5AEAEA", "count -5398"),
    ("5BEA0234EA", "count -365690134"),
    ("5C02FBFFFF", "power -12.78 W"),
    ("5D02EA", "current -5.63 A"),
    ("5E9F8C", "direction 359.99 °"),
    ("5F0100", "precipitation 0.1 mm"),
    ("6001", "channel 1"),
    ("61AC0D", "rotationalSpeed 3500 rpm"),
    ("6240E20100", "speed 0.123456 m/s"),          // own
    ("63C01DFEFF", "acceleration -0.123456 m/s²"), // own
    ("6402", "lightLevel 2"),                      // own
    ("6507", "settingsRevision 7"),                // own
    ("F00100", "deviceType 1"),
    ("F100010204", "firmwareVersion 4.2.1.0"),
    ("F2000106", "firmwareVersion 6.1.0"),
];

fn said(data: &str) -> String {
    line(&message(decode(&service(MAC, 0xfcd2, data), None)))
}

#[test]
fn every_object_of_the_specification() {
    for (data, expected) in OBJECTS {
        let message = message(decode(&service(MAC, 0xfcd2, &format!("400001{data}")), None));
        assert_eq!(line(&message), *expected, "{data}");
        assert_eq!((message.remark, message.packet), (None, Some(1)), "{data}");
        for measure in &message.measures {
            assert_eq!(names::find(measure.name).map(|name| name.unit), Some(measure.unit), "{data}");
        }
    }
    let tried: Vec<_> = OBJECTS.iter().map(|(data, _)| bytes(data)[0]).collect();
    for id in 1..=u8::MAX {
        assert_eq!(
            object(id).is_some(),
            tried.contains(&id),
            "object 0x{id:02x} has an example, and only if it is known"
        );
    }
}

#[test]
fn whole_messages() {
    for (data, expected) in [
        // The example of <https://bthome.io/format/>.
        ("40 02C409 03BF13", "temperature 25 °C, humidity 50.55 %"),
        // Shelly BLU H&T Display ZB, bthome-ble (test_shelly_blu_ht_display_zb).
        ("40 002e 0164 1e01 2e34 451601", "batteryLevel 100 %, light true, humidity 52 %, temperature 27.8 °C"),
        // Several of one object (specification, "Multiple measurements of the same type").
        (
            "40 02ca09 02cf09 2e23 451101",
            "temperature 25.06 °C, temperature[2] 25.11 °C, humidity 35 %, temperature[3] 27.3 °C",
        ),
        // The second of two buttons (specification, "Multiple events of the same type").
        ("44 3a00 3a01", "button[2] press"),
        ("44 3a02 3a00 3a04", "button doublePress, button[3] longPress"),
        ("44 3c0000 3c0105", "dimmer[2] rotateLeft, dimmerSteps[2] 5"),
        // "None" of a dimmer, as the specification's table writes it.
        ("44 3c00", ""),
        ("40", ""),
    ] {
        assert_eq!(said(data), expected, "{data}");
    }
    let advert = service(MAC, 0xfcd2, "44 002e 0164");
    let told = message(decode(&crate::advert::Advert { name: Some("SBBT-002C".into()), ..advert }, None));
    assert_eq!((told.sleepy, told.packet, told.encrypted, told.counter), (true, Some(0x2e), false, None));
    assert_eq!(told.model.as_deref(), Some("Shelly BLU Button1"));
}

#[test]
fn the_senders_address_may_stand_in_the_message() {
    assert_eq!(said("42 a5808fe64854 02ca09"), "temperature 25.06 °C");
}

#[test]
fn what_is_not_understood_is_said() {
    for (data, expected, remark) in [
        ("40 0161 7f01 02ca09", "batteryLevel 97 %", "object id 0x7f is not known"),
        ("40 02ca09 03bf", "temperature 25.06 °C", "cut off"),
        ("40 02ca09 530548656c", "temperature 25.06 °C", "cut off"),
        ("40 02ca09 53", "temperature 25.06 °C", "cut off"),
        ("40 03bf13 02ca09", "humidity 50.55 %, temperature 25.06 °C", "ascending"),
        ("40 02ca09 3a07", "temperature 25.06 °C", "event 0x07 of a button"),
        ("40 02ca09 3c0901", "temperature 25.06 °C", "event 0x09 of a dimmer"),
        ("40 02ca09 3b0009", "temperature 25.06 °C", "command 0x09"),
        ("40 02ca09 5301ff", "temperature 25.06 °C", "UTF-8"),
        // Read as two bytes, "none" of a dimmer would swallow an id here, and a battery of 3 % would come out.
        ("40 02ca09 3c00 3c0103", "temperature 25.06 °C", "ascending"),
    ] {
        let message = message(decode(&service(MAC, 0xfcd2, data), None));
        assert_eq!(line(&message), expected, "{data}");
        assert!(message.remark.as_ref().is_some_and(|said| said.contains(remark)), "{data}: {:?}", message.remark);
    }
    for data in ["", "20 0161", "e1 02000c04", "40 7f01", "40 02ca", "41 0102", "42 a5808f"] {
        assert!(matches!(
            trouble(decode(&service(MAC, 0xfcd2, data), None)),
            Trouble::Malformed(_) | Trouble::KeyNeeded
        ));
    }
    assert_eq!(decode(&service(MAC, 0xfe95, "400161"), None), None);
}

/// The example of <https://bthome.io/encryption/>, whose counter was the other way round until 2025, and a captured
/// message of bthome-ble (test_parser_v2.py, test_bindkey_correct).
const ENCRYPTED: [(&str, u32); 2] =
    [("41 e445f3c9962b 33221100 6c7c4519", 0x0011_2233), ("41 a47266c95f73 00112233 78237214", 0x3322_1100)];

#[test]
fn encrypted_messages() {
    for (data, counter) in ENCRYPTED {
        let advert = service(MAC, 0xfcd2, data);
        let told = message(decode(&advert, Some(&key(KEY))));
        assert_eq!(line(&told), "temperature 25.06 °C, humidity 50.55 %");
        assert_eq!((told.encrypted, told.counter), (true, Some(counter)));

        assert_eq!(trouble(decode(&advert, None)), Trouble::KeyNeeded);
        assert_eq!(trouble(decode(&advert, Some(&key("814aac74c4f17b6c1581e1ab87816b99")))), Trouble::WrongKey);
        // The address is part of the nonce: another device's message is not this one's.
        let other = service("54:48:E6:8F:80:A6", 0xfcd2, data);
        assert_eq!(trouble(decode(&other, Some(&key(KEY)))), Trouble::WrongKey);
    }
    // Clear although a key is given (bthome-ble, test_encryption_downgrade_fails).
    for (uuid, data) in [(0xfcd2, "40 04138a01"), (0x181c, "2302c409")] {
        assert_eq!(trouble(decode(&service(MAC, uuid, data), Some(&key(KEY)))), Trouble::NotEncrypted);
    }
}

#[test]
fn a_cut_off_encrypted_message_gives_nothing() {
    for (data, _) in ENCRYPTED {
        let whole = bytes(data);
        for length in 0..whole.len() {
            let mut advert = service(MAC, 0xfcd2, data);
            advert.service_data[0].1.truncate(length);
            assert!(decode(&advert, Some(&key(KEY))).unwrap().is_err(), "{length} bytes");
        }
    }
}

/// The example and rows of <https://bthome.io/v1/>.
#[test]
fn version_1() {
    for (data, expected) in [
        ("2302C409 0303BF13", "temperature 25 °C, humidity 50.55 %"),
        ("020161", "batteryLevel 97 %"),
        ("2302CA09", "temperature 25.06 °C"),
        ("022E23", "humidity 35 %"),
        ("0404138A01", "pressure 1008.83 hPa"),
        ("03065E1F", "mass 80.3 kg"),
        ("020960", "count 96"),
        ("021100", "opening false"),
        ("020009 020161", "batteryLevel 97 %"),
        ("023A01", "button press"),
        ("033C0103", "dimmer rotateLeft, dimmerSteps 3"),
        // A floating number, divided as a whole one would be: 2506 in single precision.
        ("450200A01C45", "temperature 25.06 °C"),
        // An id that is not known is passed over: its length is.
        ("02DF01 020161", "batteryLevel 97 %"),
        // The sender's address.
        ("87 00A5808FE64854", ""),
    ] {
        assert_eq!(line(&message(decode(&service(MAC, 0x181c, data), None))), expected, "{data}");
    }
    assert_eq!(message(decode(&service(MAC, 0x181c, "020009 020161"), None)).packet, Some(9));
    for data in ["0B0960", "04", "00"] {
        assert!(matches!(trouble(decode(&service(MAC, 0x181c, data), None)), Trouble::Malformed(_)), "{data}");
    }
    // An object of no length would never end.
    let told = message(decode(&service(MAC, 0x181c, "020161 00 2302CA09"), None));
    assert_eq!(line(&told), "batteryLevel 97 %");
    assert!(told.remark.is_some());
}

/// Frames of the documentation of ATC_MiThermometer (python-interface/README.md), with the key it gives.
#[test]
fn version_1_encrypted() {
    let (mac, key) = ("A4:C1:38:AA:BB:CC", key("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    for (data, expected, counter) in [
        ("ec12cfe500003af3953ca05a7d03002aeaf8ea", "temperature 20 °C, humidity 50 %, batteryLevel 100 %", 228_698),
        ("231b90117ccde04ba173265c7d0300688c9b84", "temperature 19.11 °C, humidity 50 %, batteryLevel 80 %", 228_700),
    ] {
        let advert = service(mac, 0x181e, data);
        let told = message(decode(&advert, Some(&key)));
        assert_eq!((line(&told).as_str(), told.counter), (expected, Some(counter)));
        assert_eq!(trouble(decode(&advert, None)), Trouble::KeyNeeded);
        assert_eq!(trouble(decode(&advert, Some(&super::Key([0; 16])))), Trouble::WrongKey);
    }
}
