//! SwitchBot: service data of 0xFD3D (0x0D00 on older devices), whose first byte names the model, and manufacturer data
//! of company 0x0969. Without the service data the model is unknown, and nothing is read.
//!
//! Sources: <https://github.com/OpenWonderLabs/SwitchBotAPI-BLE> (bot, meter, contact sensor, motion sensor, curtain,
//! plug); for the newer meters, of which the maker publishes nothing, Home Assistant's pySwitchbot 3.1.0 and Theengs
//! Decoder 2.5.0, which agree.

use super::{
    Format, Heard, Key, Message, Trouble,
    measures::Measures,
    names,
    record::{Record, malformed},
};
use crate::advert::{Advert, short};

/// Woan Technology's company identifier.
const COMPANY: u16 = 0x0969;
const SERVICES: [u16; 2] = [0xfd3d, 0x0d00];
/// The most that a meter's sensor for carbon dioxide can measure, in ppm: more is an artefact.
const MOST_CO2: u16 = 9999;

/// What a SwitchBot device says.
pub fn decode(advert: &Advert, _key: Option<&Key>) -> Heard {
    let service = SERVICES.iter().find_map(|id| advert.service_data(short(*id))).filter(|data| !data.is_empty())?;
    // The manufacturer data starts with the address.
    let manufacturer = advert.manufacturer(COMPANY).and_then(|data| data.get(6..));
    Some(read(service, manufacturer))
}

fn read(service: &[u8], manufacturer: Option<&[u8]>) -> Result<Message, Trouble> {
    let mut out = Measures::default();
    // The highest bit says that commands are encrypted; capitals and small letters, whether it is to be added to an app.
    let (model, whole) = match service[0] & 0x7f {
        b'H' => ("Bot", bot(service, &mut out)),
        b'T' | b't' => ("Meter", meter(service, manufacturer, &mut out)),
        b'I' | b'i' => ("Meter Plus", meter(service, manufacturer, &mut out)),
        b'W' | b'w' => ("Indoor/Outdoor Meter", meter(service, manufacturer, &mut out)),
        b'4' | 0x14 => ("Meter Pro", meter(service, manufacturer, &mut out)),
        b'5' | 0x15 => ("Meter Pro CO2", meter_with_co2(service, manufacturer, &mut out)),
        b'D' | b'd' => ("Contact Sensor", contact(service, &mut out)),
        b'S' | b's' => ("Motion Sensor", motion(service, &mut out)),
        b'C' | b'c' => ("Curtain", curtain(service, manufacturer, &mut out)),
        b'[' | b'{' => ("Curtain 3", curtain(service, manufacturer, &mut out)),
        b'G' | b'g' | b'J' | b'j' => ("Plug Mini", plug(manufacturer, &mut out)),
        other => return Err(malformed(format!("SwitchBot's model {other:#04x} is not known"))),
    };
    let lengths = (service.len(), manufacturer.map_or(0, <[u8]>::len));
    whole.ok_or_else(|| {
        malformed(format!(
            "SwitchBot {model}: {} bytes of service data and {} of manufacturer data are too few",
            lengths.0, lengths.1
        ))
    })?;
    Ok(Message { model: Some(model.into()), ..out.message(Format::SwitchBot) })
}

fn battery(service: &[u8], out: &mut Measures) -> Option<()> {
    out.add(names::BATTERY_LEVEL, f64::from(service.get(2)? & 0x7f));
    Some(())
}

/// On or off only in the mode that has both.
fn bot(service: &[u8], out: &mut Measures) -> Option<()> {
    let status = *service.get(1)?;
    if status & 0x80 != 0 {
        out.add(names::POWER_ON, status & 0x40 == 0);
    }
    battery(service, out)
}

/// The manufacturer data is sent more often than the service data; some meters have the values there alone.
fn meter(service: &[u8], manufacturer: Option<&[u8]>, out: &mut Measures) -> Option<()> {
    let climate = manufacturer.and_then(|data| data.get(2..)).unwrap_or_default();
    let [tenths, whole, humidity] = Record(climate).next().or_else(|| Record(service.get(3..)?).next())?;
    let (tenths, degrees, humidity) = (tenths & 0x0f, whole & 0x7f, humidity & 0x7f);
    // All zero: nothing was measured yet.
    if tenths < 10 && humidity <= 100 && (tenths, degrees, humidity) != (0, 0, 0) {
        let temperature = f64::from(u16::from(degrees) * 10 + u16::from(tenths)) / 10.0;
        let above = whole & 0x80 != 0 || temperature == 0.0;
        out.add(names::TEMPERATURE, if above { temperature } else { -temperature });
        out.add(names::HUMIDITY, f64::from(humidity));
    }
    battery(service, out)
}

fn meter_with_co2(service: &[u8], manufacturer: Option<&[u8]>, out: &mut Measures) -> Option<()> {
    meter(service, manufacturer, out)?;
    let co2 = u16::from_be_bytes(Record(manufacturer?.get(7..)?).next()?);
    out.add_some(names::CO2, (co2 <= MOST_CO2).then(|| f64::from(co2)));
    Some(())
}

fn contact(service: &[u8], out: &mut Measures) -> Option<()> {
    let [_, status, _, sensors, _, _, _, _, counts] = Record(service).next()?;
    let door = sensors >> 1 & 3;
    out.add(names::OPENING, door != 0);
    out.add(names::LEFT_OPEN, door == 2);
    out.add(names::MOTION, status & 0x40 != 0);
    out.add(names::LIGHT, sensors & 1 != 0);
    out.add(names::PRESSES, counts & 0x0f);
    battery(service, out)
}

fn motion(service: &[u8], out: &mut Measures) -> Option<()> {
    let [_, status, _, _, _, sensors] = Record(service).next()?;
    out.add(names::MOTION, status & 0x40 != 0);
    out.add_some(
        names::LIGHT,
        match sensors & 3 {
            1 => Some(false),
            2 => Some(true),
            _ => None,
        },
    );
    battery(service, out)
}

/// The position is the device's own: 0 % is open, 100 % closed.
fn curtain(service: &[u8], manufacturer: Option<&[u8]>, out: &mut Measures) -> Option<()> {
    let state = manufacturer.and_then(|data| data.get(2..)).unwrap_or_default();
    let [position, light] = Record(state).next().or_else(|| Record(service.get(3..)?).next())?;
    out.add(names::POSITION, f64::from((position & 0x7f).min(100)));
    out.add(names::MOVING, position & 0x80 != 0);
    out.add(names::LIGHT_LEVEL, light >> 4);
    battery(service, out)
}

fn plug(manufacturer: Option<&[u8]>, out: &mut Measures) -> Option<()> {
    let [_, state, _, _, high, low] = Record(manufacturer?).next()?;
    out.add(names::POWER_ON, state & 0x80 != 0);
    let power = u16::from_be_bytes([high, low]);
    out.add(names::POWER, f64::from(power & 0x7fff) / 10.0);
    out.add(names::PROBLEM, power & 0x8000 != 0);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{bytes, service, told, truncation_invents_nothing};
    use super::{COMPANY, decode};
    use crate::advert::Advert;

    fn advert(id: u16, service_data: &str, manufacturer: &str) -> Advert {
        let mut advert = service(id, service_data);
        if !manufacturer.is_empty() {
            advert.manufacturer.push((COMPANY, bytes(manufacturer)));
        }
        advert
    }

    /// Cases of pySwitchbot (tests/test_adv_parser.py) and Theengs Decoder (tests/BLE/test_ble.cpp); what they say was
    /// compared with pySwitchbot 3.1.0 and Theengs Decoder 2.5.0 (2026-11-24).
    const VECTORS: &[(u16, &str, &str, &str)] = &[
        (
            0xfd3d,
            "5400e4069835",
            "d7c17d5deb43de03069835",
            "Meter: temperature 24.6 °C, humidity 53 %, batteryLevel 100 %",
        ),
        (0xfd3d, "5400e4069835", "", "Meter: temperature 24.6 °C, humidity 53 %, batteryLevel 100 %"),
        (0x0d00, "5410e40002bd", "", "Meter: temperature -2 °C, humidity 61 %, batteryLevel 100 %"),
        (0xfd3d, "540064000000", "", "Meter: batteryLevel 100 %"),
        (0xfd3d, "540064008000", "", "Meter: batteryLevel 100 %"),
        (0xfd3d, "54006400000a", "", "Meter: temperature 0 °C, humidity 10 %, batteryLevel 100 %"),
        (
            0xfd3d,
            "69003e",
            "d8b6733dd4f10e03049837",
            "Meter Plus: temperature 24.4 °C, humidity 55 %, batteryLevel 62 %",
        ),
        (
            0xfd3d,
            "770064",
            "d0c84200000000010196bc00",
            "Indoor/Outdoor Meter: temperature 22.1 °C, humidity 60 %, batteryLevel 100 %",
        ),
        (
            0xfd3d,
            "340064",
            "b0e9fe55045c0f64059a2d",
            "Meter Pro: temperature 26.5 °C, humidity 45 %, batteryLevel 100 %",
        ),
        (
            0xfd3d,
            "350064",
            "b0e9fe543215b7e4079ba4003702d500",
            "Meter Pro CO2: temperature 27.7 °C, humidity 36 %, batteryLevel 100 %, co2 725 ppm",
        ),
        (
            0xfd3d,
            "64406405007500f812",
            "e7ab46ac8f927c0f001104",
            "Contact Sensor: opening true, leftOpen true, motion true, light true, presses 2, batteryLevel 100 %",
        ),
        (
            0xfd3d,
            "64006402007500f812",
            "",
            "Contact Sensor: opening true, leftOpen false, motion false, light false, presses 2, batteryLevel 100 %",
        ),
        (0xfd3d, "7300e2006601", "c0219ae8bc496a1c0066", "Motion Sensor: motion false, light false, batteryLevel 98 %"),
        (0xfd3d, "73c05800110a", "", "Motion Sensor: motion true, light true, batteryLevel 88 %"),
        (
            0xfd3d,
            "63c058001104",
            "e7ab46ac8f927c0f001104",
            "Curtain: position 0 %, moving false, lightLevel 1, batteryLevel 88 %",
        ),
        (0x0d00, "63d0ce641104", "", "Curtain: position 100 %, moving false, lightLevel 1, batteryLevel 78 %"),
        (
            0xfd3d,
            "7bc049001104",
            "aabbccddeefff7070011040049",
            "Curtain 3: position 0 %, moving false, lightLevel 1, batteryLevel 73 %",
        ),
        (0x0d00, "4810e1", "", "Bot: batteryLevel 97 %"),
        (0x0d00, "48d0e1", "", "Bot: powerOn false, batteryLevel 97 %"),
        (0x0d00, "4890e1", "", "Bot: powerOn true, batteryLevel 97 %"),
        (0xfd3d, "670000", "606bbd12345605801d3300c2", "Plug Mini: powerOn true, power 19.4 W, problem false"),
    ];

    #[test]
    fn devices() {
        for (id, service_data, manufacturer, expected) in VECTORS {
            let advert = advert(*id, service_data, manufacturer);
            let heard = decode(&advert, None);
            let model = heard.clone().unwrap().unwrap().model.unwrap();
            assert_eq!(format!("{model}: {}", told(heard)), *expected, "{service_data}");
            truncation_invents_nothing(&advert);
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_reason() {
        for (service_data, manufacturer, part) in [
            ("770064", "", "Indoor/Outdoor Meter: 3 bytes of service data and 0 of manufacturer data are too few"),
            ("5400", "", "Meter: 2 bytes"),
            ("7e0064", "", "model 0x7e is not known"),
            ("670000", "606bbd1234560580", "Plug Mini: 3 bytes of service data and 2 of"),
        ] {
            let told = told(decode(&advert(0xfd3d, service_data, manufacturer), None));
            assert!(told.contains(part), "{told}");
        }
        assert_eq!(told(decode(&advert(0xfd3d, "", "d7c17d5deb43de03069835"), None)), "nothing");
    }
}
