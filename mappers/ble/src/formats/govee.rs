//! Govee's thermometers and hygrometers H5xxx: manufacturer data under identifiers that Govee was never given, told
//! apart by identifier, length, name and service. A value that the device marks as an error, or that is beyond what it
//! can measure, gives no measure. Buttons and motion sensors (H512x) are encrypted and not read.
//!
//! Govee publishes nothing. These are the layouts on which independent parsers agree: Home Assistant's govee-ble 1.5.2 and
//! Theengs Decoder 2.5.0 (both were asked about every vector below), GoveeBTTempLogger (H5181 to H5183), tasmota-blerry
//! (H5182). For H5051, H5052, H5071, H5103, H5110, H5178, H5184 and H5185 there is govee-ble alone and bleparser, from which
//! it comes.

use super::{
    Format, Heard, Key, Message,
    measures::Measures,
    names,
    record::{Record, malformed},
};
use crate::advert::{Advert, short};

/// Apple's: a beacon of no use beside the measured values.
const IBEACON: u16 = 0x004c;
/// The service of H507x and H505x, used as company identifier as well.
const EC88: u16 = 0xec88;
/// H5179.
const H8801: u16 = 0x8801;
/// Nokia's, used by H51xx. Without the name of a model it is not taken for Govee's.
const H0001: u16 = 0x0001;
/// What sometimes follows a record without being of it: the iBeacon's record with its identifier.
const GLUED: &[u8] = b"INTELLI_ROCKS";
const GLUED_LENGTH: usize = 25;

/// How a record of a model is laid out; the number is the place of its first byte of use.
#[derive(Clone, Copy)]
enum Layout {
    /// Temperature and humidity in 24 bits, then the battery.
    Packed(usize),
    /// The same, of a base (0) or a remote sensor (1): a byte before tells which.
    Remote(usize),
    /// Temperature and humidity in 24 bits, then carbon dioxide and an error.
    Carbon(usize),
    /// Temperature, humidity and particles in 32 bits.
    Particles(usize),
    /// Temperature, humidity and battery in bytes of their own.
    Plain(usize),
    /// Probes, each with an alarm; so many, and so many bytes between two.
    Probes { count: u8, between: usize },
    /// Two of four probes; a byte tells which two.
    FourProbes,
    /// Two of six probes, each with two alarms; a byte tells which two and whether they are plugged in.
    SixProbes,
}

/// What a Govee sensor says.
pub fn decode(advert: &Advert, _key: Option<&Key>) -> Heard {
    let records = advert.manufacturer.iter().filter(|(company, _)| *company != IBEACON);
    let mut unknown = None;
    for (company, data) in records {
        let glued = data.len() > GLUED_LENGTH && data.windows(GLUED.len()).any(|part| part == GLUED);
        let data = if glued { &data[..data.len() - GLUED_LENGTH] } else { data };
        if let Some((model, layout)) = model(advert, *company, data.len()) {
            let message = read(layout, data).map(|out| Message { model: Some(model.into()), ..out });
            return Some(
                message.ok_or_else(|| malformed(format!("{model}: its {} bytes are not understood", data.len()))),
            );
        }
        if matches!(*company, EC88 | H8801) {
            unknown = Some(Err(malformed(format!("Govee data of {} bytes is of no known model", data.len()))));
        }
    }
    unknown
}

fn model(advert: &Advert, company: u16, length: usize) -> Option<(&'static str, Layout)> {
    use Layout::{Carbon, FourProbes, Packed, Particles, Plain, Probes, Remote, SixProbes};
    let named = advert.name.as_deref().and_then(number);
    let serves = |id| advert.services.contains(&short(id));
    Some(match (company, length, named) {
        (EC88, 6, None) => ("H5072/H5075", Packed(1)),
        (EC88, 6, Some("5072")) => ("H5072", Packed(1)),
        (EC88, 6, Some("5075")) => ("H5075", Packed(1)),
        (EC88, 7, None | Some("5074")) => ("H5074", Plain(1)),
        (EC88, 9, None | Some("5051")) => ("H5051", Plain(1)),
        (EC88, 9, Some("5052")) => ("H5052", Plain(1)),
        (EC88, 9, Some("5071")) => ("H5071", Plain(1)),
        (H8801, 9, None | Some("5179")) => ("H5179", Plain(4)),
        (H0001, 9, Some("5178")) => ("H5178", Remote(2)),
        (H0001, 6, Some("5106")) => ("H5106", Particles(2)),
        (H0001, 8, Some("5140")) => ("H5140", Carbon(2)),
        (H0001, 6 | 8, Some(number)) => {
            const MODELS: [&str; 10] =
                ["H5100", "H5101", "H5102", "H5103", "H5104", "H5105", "H5108", "H5110", "H5174", "H5177"];
            (MODELS.into_iter().find(|model| model[1..] == *number)?, Packed(2))
        }
        (_, 14, _) if serves(0x8151) => ("H5181", Probes { count: 1, between: 0 }),
        (_, 14, _) if serves(0x8351) => ("H5183", Probes { count: 1, between: 0 }),
        (_, 17, _) if serves(0x8251) => ("H5182", Probes { count: 2, between: 1 }),
        (_, 17, _) if serves(0x8451) => ("H5184", FourProbes),
        (_, 20, _) if serves(0x8551) => ("H5185", Probes { count: 2, between: 2 }),
        (_, 20, _) if serves(0x5550) => ("H5055", SixProbes),
        _ => return None,
    })
}

/// The four digits of the model in a name such as `GVH5075_2762`, `Govee_H5074_5FF4`, `GV51085242`, `B5178D5E5`.
fn number(name: &str) -> Option<&str> {
    let rest = ["GVH", "Govee_H", "GV", "B", "H"].iter().find_map(|start| name.strip_prefix(start))?;
    rest.get(..4).filter(|digits| digits.starts_with('5') && digits.bytes().all(|c| c.is_ascii_digit()))
}

fn read(layout: Layout, data: &[u8]) -> Option<Message> {
    let mut out = Measures::default();
    let from = |place: usize| data.get(place..).map(Record);
    match layout {
        Layout::Packed(place) => packed(from(place)?, 1, &mut out)?,
        Layout::Remote(place) => match data.get(place)? {
            sensor @ 0..=1 => packed(from(place + 1)?, sensor + 1, &mut out)?,
            _ => return None,
        },
        Layout::Carbon(place) => {
            let mut data = from(place)?;
            let [a, b, c] = data.next()?;
            let co2 = f64::from(u16::from_be_bytes(data.next()?));
            if data.byte()? == 0 {
                climate(u32::from_be_bytes([0, a, b, c]), 23, &mut out, 1);
                out.add(names::CO2, co2);
            }
        }
        Layout::Particles(place) => {
            let raw = u32::from_be_bytes(from(place)?.next()?);
            // A thousandth part more than the 24 bits of the others: the particles.
            let magnitude = raw & 0x7fff_ffff;
            let raw = (magnitude / 1000) | ((raw >> 31) << 23);
            climate(raw, 23, &mut out, 1);
            out.add(names::PM25, f64::from(magnitude % 1000));
        }
        Layout::Plain(place) => {
            let mut data = from(place)?;
            let temperature = f64::from(i16::from_le_bytes(data.next()?)) / 100.0;
            let humidity = f64::from(u16::from_le_bytes(data.next()?)) / 100.0;
            measured(temperature, humidity, &mut out, 1);
            out.add(names::BATTERY_LEVEL, f64::from(data.byte()?));
        }
        Layout::Probes { count, between } => {
            let mut data = from(8)?;
            for probe in 1..=count {
                if probe > 1 {
                    data.0 = data.0.get(between..)?;
                }
                alarmed(&mut data, probe, &mut out)?;
            }
        }
        Layout::FourProbes => {
            let first = match data.get(6)? & 0x3f {
                1 => 1,
                2 => 3,
                _ => return None,
            };
            let mut data = from(8)?;
            alarmed(&mut data, first, &mut out)?;
            data.byte()?;
            alarmed(&mut data, first + 1, &mut out)?;
        }
        Layout::SixProbes => six(data, &mut out)?,
    }
    Some(out.message(Format::Govee))
}

/// 24 bits and a battery whose highest bit says that the values are none.
fn packed(mut data: Record, index: u8, out: &mut Measures) -> Option<()> {
    let [a, b, c, battery] = data.next()?;
    if battery & 0x80 == 0 {
        climate(u32::from_be_bytes([0, a, b, c]), 23, out, index);
    }
    out.add_at(names::BATTERY_LEVEL, index, f64::from(battery & 0x7f));
    Some(())
}

/// A sign; below it tenths of a degree times 1000 plus tenths of a percent.
fn climate(raw: u32, sign: u32, out: &mut Measures, index: u8) {
    let magnitude = raw & !(1 << sign);
    let temperature = f64::from(magnitude / 1000) / 10.0;
    let temperature = if raw >> sign & 1 == 0 || temperature == 0.0 { temperature } else { -temperature };
    measured(temperature, f64::from(magnitude % 1000) / 10.0, out, index);
}

/// What is beyond every sensor's range was not measured.
fn measured(temperature: f64, humidity: f64, out: &mut Measures, index: u8) {
    if (-40.0..=100.0).contains(&temperature) && humidity <= 100.0 {
        out.add_at(names::TEMPERATURE, index, temperature);
        out.add_at(names::HUMIDITY, index, humidity);
    }
}

/// A probe and its alarm in hundredths of a degree; a negative one is not plugged in, or not set.
fn alarmed(data: &mut Record, probe: u8, out: &mut Measures) -> Option<()> {
    for name in [names::TEMPERATURE, names::TEMPERATURE_ALARM] {
        let raw = i16::from_be_bytes(data.next()?);
        if raw >= 0 {
            out.add_at(name, probe, f64::from(raw) / 100.0);
        }
    }
    Some(())
}

/// Whole degrees; the lowest six bits of the selecting byte tell which probes are plugged in.
fn six(data: &[u8], out: &mut Measures) -> Option<()> {
    let [_, _, battery, select, _] = Record(data).next()?;
    let first = match select >> 6 {
        0 => 1,
        1 => 3,
        2 => 5,
        _ => return None,
    };
    let mut data = Record(data.get(5..)?);
    for probe in [first, first + 1] {
        let plugged = select >> (probe - 1) & 1 == 1;
        for name in [names::TEMPERATURE, names::TEMPERATURE_ALARM_LOW, names::TEMPERATURE_ALARM] {
            let raw = i16::from_le_bytes(data.next()?);
            if plugged && raw >= 0 {
                out.add_at(name, probe, f64::from(raw));
            }
        }
        data.byte()?;
    }
    out.add(names::BATTERY_LEVEL, f64::from(battery & 0x7f));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{bytes, manufacturer, told, truncation_invents_nothing};
    use super::decode;
    use crate::advert::{Advert, short};

    fn named(name: &str, company: u16, hex: &str) -> Advert {
        let name = (!name.is_empty()).then(|| name.to_owned());
        Advert { name, ..manufacturer(company, hex) }
    }

    /// Cases of govee-ble (tests/test_parser.py) and ble_monitor (test/test_govee_parser.py); what they say was compared
    /// with govee-ble 1.5.2 and Theengs Decoder 2.5.0 (2026-11-24).
    const VECTORS: &[(&str, u16, &str, &str)] = &[
        ("", 0xec88, "00ba0af90f63020101", "H5051: temperature 27.46 °C, humidity 40.89 %, batteryLevel 99 %"),
        (
            "Govee_H5052_E81B",
            0xec88,
            "001c01a7143b000002",
            "H5052: temperature 2.84 °C, humidity 52.87 %, batteryLevel 59 %",
        ),
        (
            "Govee_H5071_FD12",
            0xec88,
            "00210ab61218c80001",
            "H5071: temperature 25.93 °C, humidity 47.9 %, batteryLevel 24 %",
        ),
        (
            "Govee_H5074_5FF4",
            0xec88,
            "00e609bc126402",
            "H5074: temperature 25.34 °C, humidity 47.96 %, batteryLevel 100 %",
        ),
        ("", 0xec88, "0088078c116402", "H5074: temperature 19.28 °C, humidity 44.92 %, batteryLevel 100 %"),
        (
            "GVH5075_2762",
            0xec88,
            "000341c264004c000215494e54454c4c495f524f434b535f48575075f2ff0c",
            "H5075: temperature 21.3 °C, humidity 44.2 %, batteryLevel 100 %",
        ),
        ("GVH5072_ABCD", 0xec88, "00034db26400", "H5072: temperature 21.6 °C, humidity 49.8 %, batteryLevel 100 %"),
        ("", 0xec88, "0003215d6400", "H5072/H5075: temperature 20.5 °C, humidity 14.9 %, batteryLevel 100 %"),
        // Both were seen on sensors that measured nothing.
        ("GVH5075_2762", 0xec88, "00bc00043e27", "H5075: batteryLevel 62 %"),
        ("GVH5075_2762", 0xec88, "004a00283b00", "H5075: batteryLevel 59 %"),
        ("GVH5100_7738", 0x0001, "010103465464", "H5100: temperature 21.4 °C, humidity 61.2 %, batteryLevel 100 %"),
        ("GVH5102_CB9B", 0x0001, "010103cb0164", "H5102: temperature 24.8 °C, humidity 57.7 %, batteryLevel 100 %"),
        ("GVH5104_311C", 0x0001, "010103fc2662", "H5104: temperature 26.1 °C, humidity 15.8 %, batteryLevel 98 %"),
        ("GVH5174_1", 0x0001, "010180271264", "H5174: temperature -1 °C, humidity 0.2 %, batteryLevel 100 %"),
        ("GVH5174_1", 0x0001, "0101800037 64", "H5174: temperature 0 °C, humidity 5.5 %, batteryLevel 100 %"),
        ("GV51085242", 0x0001, "010103c730640000", "H5108: temperature 24.7 °C, humidity 60 %, batteryLevel 100 %"),
        ("GV51085242", 0x0001, "010103c730e40000", "H5108: batteryLevel 100 %"),
        ("B5178D5E5", 0x0001, "01010003a00f640000", "H5178: temperature 23.7 °C, humidity 58.3 %, batteryLevel 100 %"),
        (
            "B5178D5E5",
            0x0001,
            "01010102fc87640002",
            "H5178: temperature[2] 19.5 °C, humidity[2] 71.9 %, batteryLevel[2] 100 %",
        ),
        ("", 0x8801, "ec000101a00aa2175b", "H5179: temperature 27.2 °C, humidity 60.5 %, batteryLevel 91 %"),
        ("GVH5106_4E05", 0x0001, "01010ed13298", "H5106: temperature 24.8 °C, humidity 59.1 %, pm25 0 µg/m³"),
        ("GVH5106_4E05", 0x0001, "010181867cd8", "H5106: temperature -2.5 °C, humidity 59.1 %, pm25 0 µg/m³"),
        ("GV5140303A", 0x0001, "0101033dee023e00", "H5140: temperature 21.2 °C, humidity 46.2 %, co2 574 ppm"),
        ("GV5140303A", 0x0001, "0101031abc025801", "H5140: "),
    ];

    fn with_model(advert: &Advert) -> String {
        let heard = decode(advert, None);
        let model = heard.clone().unwrap().unwrap().model.unwrap();
        format!("{model}: {}", told(heard))
    }

    #[test]
    fn hygrometers() {
        for (name, company, hex, expected) in VECTORS {
            let advert = named(name, *company, hex);
            assert_eq!(with_model(&advert), *expected, "{name} {hex}");
            truncation_invents_nothing(&advert);
        }
    }

    /// Cases of ble_monitor (H5182, H5183, H5185) and govee-ble (H5055).
    #[test]
    fn probes() {
        for (service, hex, expected) in [
            (0x8251, "4401000101e401860834ffff860960ffff", "H5182: temperature 21 °C, temperature[2] 24 °C"),
            (
                0x8251,
                "4401000101e4018608341cdc8609602249",
                "H5182: temperature 21 °C, temperatureAlarm 73.88 °C, temperature[2] 24 °C, temperatureAlarm[2] 87.77 °C",
            ),
            (0x8351, "B401000101E400800A2813240000", "H5183: temperature 26 °C, temperatureAlarm 49 °C"),
            (0x8551, "0a01000101e4c1ff0960ffffffff0a28ffffffff", "H5185: temperature 24 °C, temperature[2] 26 °C"),
            (
                0x8551,
                "0a01000101e4c19609c41bbcffff0a282474ffff",
                "H5185: temperature 25 °C, temperatureAlarm 71 °C, temperature[2] 26 °C, temperatureAlarm[2] 93.32 °C",
            ),
            (0x5550, "55006401201a00ffffffff201900ffffffff0000", "H5055: temperature 26 °C, batteryLevel 100 %"),
            (
                0x5550,
                "5500644c201a00ffffffff2019001400b1000000",
                "H5055: temperature[3] 26 °C, temperature[4] 25 °C, temperatureAlarmLow[4] 20 °C, temperatureAlarm[4] 177 \
                 °C, batteryLevel 100 %",
            ),
            (
                0x5550,
                "550064bf201a00ffffb100201900ffffffff0000",
                "H5055: temperature[5] 26 °C, temperatureAlarm[5] 177 °C, temperature[6] 25 °C, batteryLevel 100 %",
            ),
        ] {
            let mut advert = manufacturer(0x4932, hex);
            advert.services.push(short(service));
            assert_eq!(with_model(&advert), expected, "{hex}");
            truncation_invents_nothing(&advert);
        }
    }

    #[test]
    fn the_beacon_beside_the_values_is_passed_over() {
        let mut advert = named("GVH5075_DBF8", 0x004c, "0215494e54454c4c495f524f434b535f48575075f2ffc2");
        assert_eq!(decode(&advert, None), None);
        advert.manufacturer.push((0xec88, bytes("00034db26400")));
        assert!(with_model(&advert).starts_with("H5075: temperature 21.6"));
    }

    #[test]
    fn anothers_data_is_not_taken_for_a_sensors() {
        // A case of govee-ble: a lamp under the same identifier.
        assert_eq!(decode(&named("RZSS", 0x0001, "01010b005864"), None), None);
        assert_eq!(decode(&named("", 0x0001, "010103465464"), None), None);
        assert_eq!(decode(&named("GVH5127_1234", 0x0001, "010103465464"), None), None);
        assert!(told(decode(&named("", 0xec88, "0003"), None)).contains("of 2 bytes is of no known model"));
    }
}
