//! Service data of the Bluetooth SIG's own numbers: the battery (0x180F), the thermometer (0x1809), and characteristics
//! under their own numbers, each with a value of its standard type. No specification says so; it is what devices and the
//! tools to make them do. Where a number is used otherwise as well (0x181A, 0x181D, 0x2AF2, 0x2BD6), it is not read here.
//!
//! Sources: Theengs Decoder 2.5.0 (battery); Nordic's nRF5 SDK (thermometer: a medfloat32); ble_monitor's DIY sensors,
//! <https://custom-components.github.io/ble_monitor/ble_diy> (characteristics).

use super::{Format, Heard, Key, Message, measures::Measures, names, record::malformed};
use crate::{
    advert::{Advert, short},
    characteristics::{self, thermometer_value},
};

/// A battery's level, and the characteristic that is the same.
const BATTERY: (u16, u16) = (0x180f, 0x2a19);
const THERMOMETER: u16 = 0x1809;
/// Battery level, pressure, temperature, humidity, dew point, illuminance, power, voltage.
const CHARACTERISTICS: [u16; 8] = [0x2a19, 0x2a6d, 0x2a6e, 0x2a6f, 0x2a7b, 0x2afb, 0x2b05, 0x2b18];
/// Number of a packet, of the same DIY sensors.
const PACKET: u16 = 0x2a4d;

/// What all service data of standard numbers says together.
pub fn decode(advert: &Advert, _key: Option<&Key>) -> Heard {
    let mut out = Measures::default();
    let (mut any, mut packet, mut trouble) = (false, None, None);
    for (uuid, data) in &advert.service_data {
        let is = |id| *uuid == short(id);
        if is(THERMOMETER) {
            any = true;
            if let Ok(bytes) = <[u8; 4]>::try_from(&data[..]) {
                out.add_some(names::TEMPERATURE, thermometer_value(bytes));
            } else {
                let length = data.len();
                trouble = Some(format!("the thermometer's service data has {length} bytes; 4 would be accepted"));
            }
        } else if is(PACKET) {
            packet = data.first().copied();
        } else if let Some(id) = [BATTERY].into_iter().chain(CHARACTERISTICS.map(|id| (id, id))).find(|id| is(id.0)) {
            any = true;
            match characteristics::decode(short(id.1), data) {
                Ok(measures) => out.extend(measures),
                Err(refusal) => trouble = Some(refusal.detail.into_owned()),
            }
        }
    }
    match trouble {
        _ if !any => None,
        Some(trouble) if out.is_empty() => Some(Err(malformed(trouble))),
        remark => Some(Ok(Message { packet, remark: remark.map(Into::into), ..out.message(Format::Sig) })),
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{bytes, service, told, truncation_invents_nothing};
    use super::decode;
    use crate::advert::short;

    #[test]
    fn values_under_the_numbers_of_the_standard() {
        for (id, hex, expected) in [
            // ble_monitor (test/test_ha_ble.py).
            (0x2a19, "59", "batteryLevel 89 %"),
            (0x2a6d, "78091000", "pressure 1051 hPa"),
            (0x2a6e, "3409", "temperature 23.56 °C"),
            (0x2a6f, "5419", "humidity 64.84 %"),
            (0x2a7b, "18", "dewPoint 24 °C"),
            (0x2afb, "34AA00", "illuminance 435.72 lx"),
            (0x2b05, "510A00", "power 264.1 W"),
            (0x2b18, "B400", "voltage 2.8125 V"),
            // The battery as Theengs Decoder reads it, the thermometer as Nordic's SDK sends it.
            (0x180f, "64", "batteryLevel 100 %"),
            (0x1809, "6c0100ff", "temperature 36.4 °C"),
            (0x1809, "ea000000", "temperature 234 °C"),
            (0x1809, "ffff7f00", ""),
            (0x2a6e, "0080", ""),
        ] {
            let advert = service(id, hex);
            assert_eq!(told(decode(&advert, None)), expected, "{id:#x} {hex}");
            truncation_invents_nothing(&advert);
        }
    }

    #[test]
    fn several_make_one_message() {
        // ble_monitor (test/test_ha_ble.py): a packet's number and a temperature; voltage and power.
        let mut advert = service(0x2a4d, "06");
        advert.service_data.push((short(0x2a6e), bytes("3409")));
        assert_eq!(decode(&advert, None).unwrap().unwrap().packet, Some(6));
        advert.service_data.push((short(0x2a6f), bytes("54")));
        let message = decode(&advert, None).unwrap().unwrap();
        assert_eq!(message.remark.as_deref(), Some("humidity takes 2 bytes, got 1"));
        assert_eq!(told(Some(Ok(message))), "temperature 23.56 °C");
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_what_others_use_is_left_alone() {
        for (id, hex, part) in [
            (0x180f, "ff", "255 is reserved; 0 to 100 would be accepted"),
            (0x2a6e, "340900", "temperature takes 2 bytes, got 3"),
            (0x1809, "ea00", "has 2 bytes; 4 would be accepted"),
        ] {
            assert!(told(decode(&service(id, hex), None)).contains(part), "{id:#x}");
        }
        for (id, hex) in [(0x181a, "a4c138000000"), (0x2af2, "81121000"), (0x2bd6, "AA00"), (0x2a4d, "06")] {
            assert_eq!(told(decode(&service(id, hex), None)), "nothing", "{id:#x}");
        }
    }
}
