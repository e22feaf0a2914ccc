//! The formats of the firmware ATC_MiThermometer for Xiaomi's thermometers, in service data of 0x181A: `atc1441` and
//! the finer `custom` of pvvx, each clear and encrypted. From the README of pvvx/ATC_MiThermometer ("Bluetooth
//! Advertising Formats") and its src/mi_beacon.c; the encrypted ones as ble_monitor (ble_parser/atc.py) reads them too.
//!
//! 0x181A belongs to the Bluetooth SIG, and these formats have no mark of their own. The clear ones carry the sender's
//! address: with another one, or of another length, the data is not taken for theirs. The encrypted ones have only their
//! length, and the key's word.

use mapper_api::Value;

use super::{
    Format, Heard, Key, Message, Trouble,
    measures::{Measures, decimal, signed, unsigned},
    names, seal,
};
use crate::advert::{Advert, Mac, short};

/// The header that is authenticated beside the content, as in MiBeacon.
const HEADER: [u8; 1] = [0x11];

/// The bits of the last byte of the custom format.
mod flags {
    /// The input, a reed contact for instance.
    pub const INPUT: u8 = 1;
    /// The output, which follows the thresholds set in the device.
    pub const OUTPUT: u8 = 1 << 1;
}

/// What an advertisement says in one of the formats of ATC_MiThermometer.
pub fn decode(advert: &Advert, key: Option<&Key>) -> Heard {
    let data = advert.service_data(short(0x181a))?;
    let Mac(mac) = advert.mac;
    let clear = match *data {
        [ref address @ .., _, _, _, _, _, _, _] if data.len() == 13 && *address == mac => atc1441(data),
        [ref address @ .., _, _, _, _, _, _, _, _, _] if data.len() == 15 && address.iter().rev().eq(&mac) => {
            custom(data)
        }
        _ if data.len() == 8 || data.len() == 11 => return Some(encrypted(mac, data, key)),
        _ => return None,
    };
    Some(if key.is_some() { Err(Trouble::NotEncrypted) } else { Ok(clear) })
}

/// Address, then the most significant byte first: tenths of a degree, percent, percent, millivolts, a counter.
fn atc1441(data: &[u8]) -> Message {
    let mut measures = Measures::default();
    measures.add(names::TEMPERATURE, decimal(signed(&[data[7], data[6]]), 10));
    measures.add(names::HUMIDITY, decimal(data[8].into(), 1));
    measures.add(names::BATTERY_LEVEL, decimal(data[9].into(), 1));
    measures.add(names::BATTERY_VOLTAGE, decimal(unsigned(&[data[11], data[10]]).cast_signed(), 1000));
    message(measures, data[12])
}

/// Address, then the least significant byte first: hundredths of a degree and of a percent, millivolts, percent, a
/// counter, flags.
fn custom(data: &[u8]) -> Message {
    let mut measures = Measures::default();
    measures.add(names::TEMPERATURE, decimal(signed(&data[6..8]), 100));
    measures.add(names::HUMIDITY, decimal(unsigned(&data[8..10]).cast_signed(), 100));
    measures.add(names::BATTERY_LEVEL, decimal(data[12].into(), 1));
    measures.add(names::BATTERY_VOLTAGE, decimal(unsigned(&data[10..12]).cast_signed(), 1000));
    measures.add(names::INPUT, Value::Bool(data[14] & flags::INPUT != 0));
    measures.add(names::OUTPUT, Value::Bool(data[14] & flags::OUTPUT != 0));
    message(measures, data[13])
}

/// A counter, content, a check. The counter has one byte only, so it tells repetitions apart and no replays.
fn encrypted(mut mac: [u8; 6], data: &[u8], key: Option<&Key>) -> Result<Message, Trouble> {
    let malformed = || Trouble::Malformed("the ATC data is cut off".into());
    let key = key.ok_or(Trouble::KeyNeeded)?;
    let (rest, check) = data.split_last_chunk::<{ seal::CHECK }>().ok_or_else(malformed)?;
    let (&counter, content) = rest.split_first().ok_or_else(malformed)?;
    mac.reverse();
    // The start of the element as it goes on air, which BlueZ does not pass on: length, type, UUID.
    let length = u8::try_from(data.len() + 3).map_err(|_| malformed())?;
    let nonce = [&mac[..], &[length, 0x16, 0x1a, 0x18, counter]].concat();
    let content = seal::open(key, &nonce, &HEADER, content, *check).ok_or(Trouble::WrongKey)?;
    let mut measures = Measures::default();
    match *content {
        // Half degrees above -40, half percents, percent with the output in the highest bit.
        [temperature, humidity, battery] => {
            measures.add(names::TEMPERATURE, decimal(i64::from(temperature) - 80, 2));
            measures.add(names::HUMIDITY, decimal(humidity.into(), 2));
            measures.add(names::BATTERY_LEVEL, decimal((battery & 0x7f).into(), 1));
            measures.add(names::OUTPUT, Value::Bool(battery & 0x80 != 0));
        }
        [a, b, c, d, battery, flags] => {
            measures.add(names::TEMPERATURE, decimal(signed(&[a, b]), 100));
            measures.add(names::HUMIDITY, decimal(unsigned(&[c, d]).cast_signed(), 100));
            measures.add(names::BATTERY_LEVEL, decimal(battery.into(), 1));
            measures.add(names::INPUT, Value::Bool(flags & flags::INPUT != 0));
            measures.add(names::OUTPUT, Value::Bool(flags & flags::OUTPUT != 0));
        }
        _ => return Err(malformed()),
    }
    Ok(Message { encrypted: true, ..message(measures, counter) })
}

fn message(measures: Measures, packet: u8) -> Message {
    Message { measures: measures.into_vec(), packet: Some(packet), ..Message::new(Format::Atc) }
}

#[cfg(test)]
mod tests {
    use super::decode;
    use crate::formats::{
        Key, Trouble,
        samples::{bytes, key, line, message, service, trouble},
    };

    /// Address, data, measures, counter.
    const CLEAR: &[(&str, &str, &str, u8)] = &[
        // ble_monitor (test/test_atc_parser.py): test_atc_atc1441, _ext, custom, _v2_9, _ext.
        (
            "A4:C1:38:02:83:F4",
            "a4c1380283f4 00a2 2f 5f 0bf8 19",
            "temperature 16.2 °C, humidity 47 %, batteryLevel 95 %, batteryVoltage 3.064 V",
            25,
        ),
        (
            "A4:C1:38:BC:7C:4E",
            "a4c138bc7c4e 0102 28 4f 0b67 20",
            "temperature 25.8 °C, humidity 40 %, batteryLevel 79 %, batteryVoltage 2.919 V",
            32,
        ),
        (
            "A4:C1:38:02:83:F4",
            "f4830238c1a4 a906 6911 b60b 58 f7 0d",
            "temperature 17.05 °C, humidity 44.57 %, batteryLevel 88 %, batteryVoltage 2.998 V, input true, output false",
            247,
        ),
        (
            "A4:C1:38:8D:18:B2",
            "b2188d38c1a4 2b08 9011 f70a 43 20 0f",
            "temperature 20.91 °C, humidity 44.96 %, batteryLevel 67 %, batteryVoltage 2.807 V, input true, output true",
            32,
        ),
        (
            "A4:C1:38:63:37:8B",
            "8b376338c1a4 ce09 1310 7f0b 52 12 04",
            "temperature 25.1 °C, humidity 41.15 %, batteryLevel 82 %, batteryVoltage 2.943 V, input false, output false",
            18,
        ),
        // ATC_MiThermometer (python-interface/README.md).
        (
            "A4:C1:38:EE:C8:5C",
            "5cc8ee38c1a4 b008 c314 ca0a 50 14 05",
            "temperature 22.24 °C, humidity 53.15 %, batteryLevel 80 %, batteryVoltage 2.762 V, input true, output false",
            20,
        ),
        (
            "A4:C1:38:AA:BB:CC",
            "ccbbaa38c1a4 7707 8813 ca0a 50 01 07",
            "temperature 19.11 °C, humidity 50 %, batteryLevel 80 %, batteryVoltage 2.762 V, input true, output true",
            1,
        ),
        // Below zero.
        (
            "A4:C1:38:02:83:F4",
            "a4c1380283f4 ff9c 2f 5f 0bf8 19",
            "temperature -10 °C, humidity 47 %, batteryLevel 95 %, batteryVoltage 3.064 V",
            25,
        ),
    ];

    /// Address, data, key, measures, counter.
    const ENCRYPTED: &[(&str, &str, &str, &str, u8)] = &[
        // ble_monitor (test_atc_custom_encrypted).
        (
            "A4:C1:38:8D:18:B2",
            "11 d603fbfa7b6d fb1e26fd",
            "b9ea895fac7eea6d30532432a516f3a3",
            "temperature 23.45 °C, humidity 41.73 %, batteryLevel 61 %, input false, output false",
            17,
        ),
        // ATC_MiThermometer (python-interface/README.md and atc_mi_format_test.py).
        (
            "A4:C1:38:AA:BB:CC",
            "bd 9dc54efab500 0e8bb807",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "temperature 19.11 °C, humidity 50 %, batteryLevel 93 %, input true, output true",
            0xbd,
        ),
        (
            "A4:C1:38:AA:BB:CC",
            "bd e9b75d b856f303",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "temperature 19 °C, humidity 25 %, batteryLevel 86 %, output true",
            0xbd,
        ),
    ];

    #[test]
    fn clear() {
        for (mac, data, expected, packet) in CLEAR {
            let advert = service(mac, 0x181a, data);
            let told = message(decode(&advert, None));
            assert_eq!(
                (line(&told).as_str(), told.packet, told.encrypted),
                (*expected, Some(*packet), false),
                "{data}"
            );
            assert_eq!(trouble(decode(&advert, Some(&Key([7; 16])))), Trouble::NotEncrypted);
            // Another device's address, another length: it is something else of the SIG's service.
            assert_eq!(decode(&service("A4:C1:38:00:00:00", 0x181a, data), None), None);
            for length in 0..bytes(data).len() {
                let mut cut = advert.clone();
                cut.service_data[0].1.truncate(length);
                let heard = decode(&cut, None);
                assert!(heard.is_none() || heard == Some(Err(Trouble::KeyNeeded)), "{data} at {length}: {heard:?}");
            }
        }
        assert_eq!(decode(&service("A4:C1:38:02:83:F4", 0xfcd2, CLEAR[0].1), None), None);
    }

    #[test]
    fn encrypted() {
        for (mac, data, hex, expected, packet) in ENCRYPTED {
            let advert = service(mac, 0x181a, data);
            let told = message(decode(&advert, Some(&key(hex))));
            assert_eq!((line(&told).as_str(), told.packet), (*expected, Some(*packet)), "{data}");
            assert_eq!((told.encrypted, told.counter), (true, None));
            assert_eq!(trouble(decode(&advert, None)), Trouble::KeyNeeded);
            assert_eq!(trouble(decode(&advert, Some(&Key([7; 16])))), Trouble::WrongKey);
            for length in 0..bytes(data).len() {
                let mut cut = advert.clone();
                cut.service_data[0].1.truncate(length);
                let heard = decode(&cut, Some(&key(hex)));
                assert!(heard.is_none() || heard == Some(Err(Trouble::WrongKey)), "{data} at {length}: {heard:?}");
            }
        }
    }
}
