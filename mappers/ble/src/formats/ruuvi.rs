//! Ruuvi's data formats 3, 5, 6 and E1: manufacturer data of company 0x0499. What the device marks as not available
//! gives no measure. Format 8 is encrypted in a way of its own and said to be unknown.
//!
//! Source: <https://docs.ruuvi.com/communication/bluetooth-advertisements>, the page of each format.

use super::{
    Format, Heard, Key, Message,
    measures::Measures,
    names,
    record::{Record, malformed, wrong_length},
};
use crate::advert::Advert;

/// Ruuvi Innovations' company identifier.
const COMPANY: u16 = 0x0499;

/// What Ruuvi's manufacturer data says.
pub fn decode(advert: &Advert, _key: Option<&Key>) -> Heard {
    let data = advert.manufacturer(COMPANY)?;
    let (decode, length): (fn(Record) -> Option<Message>, _) = match data.first()? {
        0x03 => (format_3, "14 or more"),
        0x05 => (format_5, "24 or more"),
        0x06 => (format_6, "20 or more"),
        0xe1 => (format_e1, "40 or more"),
        other => {
            return Some(Err(malformed(format!("Ruuvi's data format {other:02X} is not known; 3, 5, 6 and E1 are"))));
        }
    };
    Some(decode(Record(&data[1..])).ok_or_else(|| wrong_length("Ruuvi data", data, length)))
}

fn format_3(mut data: Record) -> Option<Message> {
    let mut out = Measures::default();
    let [humidity, whole, hundredths] = data.next()?;
    // Sign and magnitude. The specification gives no value for "not available"; a fraction of 100 is none.
    let temperature = f64::from(u16::from(whole & 0x7f) * 100 + u16::from(hundredths)) / 100.0;
    let temperature = if whole & 0x80 == 0 || temperature == 0.0 { temperature } else { -temperature };
    out.add_some(names::TEMPERATURE, (hundredths < 100).then_some(temperature));
    out.add(names::HUMIDITY, f64::from(humidity) / 2.0);
    out.add(names::PRESSURE, pascals(u16::from_be_bytes(data.next()?)));
    acceleration(&mut data, &mut out)?;
    out.add(names::BATTERY_VOLTAGE, f64::from(u16::from_be_bytes(data.next()?)) / 1000.0);
    Some(out.message(Format::Ruuvi))
}

fn format_5(mut data: Record) -> Option<Message> {
    let mut out = Measures::default();
    climate(&mut data, &mut out)?;
    acceleration(&mut data, &mut out)?;
    let power = u16::from_be_bytes(data.next()?);
    let (battery, tx) = (power >> 5, power & 0x1f);
    out.add_some(names::BATTERY_VOLTAGE, (battery != 0x7ff).then(|| f64::from(battery + 1600) / 1000.0));
    out.add_some(names::TX_POWER, (tx != 0x1f).then(|| i64::from(tx) * 2 - 40).map(mapper_api::Value::Int));
    out.add_some(names::MOVEMENT_COUNTER, Some(data.byte()?).filter(|n| *n != u8::MAX));
    let sequence = known(u16::from_be_bytes(data.next()?));
    out.add_some(names::MEASUREMENT_SEQUENCE, sequence);
    data.next::<6>()?; // its own address once more
    let [_, low] = sequence.unwrap_or_default().to_be_bytes();
    Some(Message { packet: sequence.map(|_| low), ..out.message(Format::Ruuvi) })
}

fn format_6(mut data: Record) -> Option<Message> {
    let mut out = Measures::default();
    climate(&mut data, &mut out)?;
    out.add_some(names::PM25, particles(data.next()?));
    out.add_some(names::CO2, known(u16::from_be_bytes(data.next()?)).map(f64::from));
    let [voc, nox, light, _reserved, sequence, flags] = data.next()?;
    gases(voc, nox, flags, &mut out);
    out.add_some(names::ILLUMINANCE, (light != u8::MAX).then(|| logarithmic(light)));
    out.add(names::MEASUREMENT_SEQUENCE, sequence);
    out.add(names::CALIBRATING, flags & 1 != 0);
    data.next::<3>()?; // the end of its own address once more
    Some(Message { packet: Some(sequence), ..out.message(Format::Ruuvi) })
}

fn format_e1(mut data: Record) -> Option<Message> {
    let mut out = Measures::default();
    climate(&mut data, &mut out)?;
    for name in [names::PM1, names::PM25, names::PM4, names::PM10] {
        out.add_some(name, particles(data.next()?));
    }
    out.add_some(names::CO2, known(u16::from_be_bytes(data.next()?)).map(f64::from));
    let [voc, nox] = data.next()?;
    let light = three(data.next()?);
    data.next::<3>()?; // reserved
    let sequence = three(data.next()?);
    let flags = data.byte()?;
    gases(voc, nox, flags, &mut out);
    out.add_some(names::ILLUMINANCE, light.map(|n| f64::from(n) / 100.0));
    out.add_some(names::MEASUREMENT_SEQUENCE, sequence);
    out.add(names::CALIBRATING, flags & 1 != 0);
    data.next::<11>()?; // reserved, and its own address once more
    let [.., low] = sequence.unwrap_or_default().to_be_bytes();
    Some(Message { packet: sequence.map(|_| low), ..out.message(Format::Ruuvi) })
}

/// Temperature, humidity and pressure, as formats 5, 6 and E1 begin.
fn climate(data: &mut Record, out: &mut Measures) -> Option<()> {
    let temperature = i16::from_be_bytes(data.next()?);
    out.add_some(names::TEMPERATURE, (temperature != i16::MIN).then(|| f64::from(temperature) / 200.0));
    out.add_some(names::HUMIDITY, known(u16::from_be_bytes(data.next()?)).map(|n| f64::from(n) / 400.0));
    out.add_some(names::PRESSURE, known(u16::from_be_bytes(data.next()?)).map(pascals));
    Some(())
}

/// Three axes in thousandths of the standard gravity, 9.80665 m/s².
fn acceleration(data: &mut Record, out: &mut Measures) -> Option<()> {
    for name in [names::ACCELERATION_X, names::ACCELERATION_Y, names::ACCELERATION_Z] {
        let raw = i16::from_be_bytes(data.next()?);
        out.add_some(name, (raw != i16::MIN).then(|| f64::from(raw) * 980_665.0 / 1e8));
    }
    Some(())
}

/// Two indices of nine bits; the lowest one of each stands in the flags.
fn gases(voc: u8, nox: u8, flags: u8, out: &mut Measures) {
    for (name, high, low) in [(names::VOC_INDEX, voc, flags >> 6 & 1), (names::NOX_INDEX, nox, flags >> 7)] {
        let index = u16::from(high) << 1 | u16::from(low);
        out.add_some(name, (index != 0x1ff).then_some(index));
    }
}

/// In tenths of µg/m³.
fn particles(bytes: [u8; 2]) -> Option<f64> {
    known(u16::from_be_bytes(bytes)).map(|n| f64::from(n) / 10.0)
}

/// In hectopascals, from pascals above 50000.
fn pascals(raw: u16) -> f64 {
    f64::from(u32::from(raw) + 50_000) / 100.0
}

/// In lux, rounded to hundredths as the specification asks: 254 steps up to 65535.
fn logarithmic(code: u8) -> f64 {
    let lux = (f64::from(code) * 65_536_f64.ln() / 254.0).exp_m1();
    (lux * 100.0).round() / 100.0
}

fn known(raw: u16) -> Option<u16> {
    (raw != u16::MAX).then_some(raw)
}

fn three([a, b, c]: [u8; 3]) -> Option<u32> {
    let raw = u32::from_be_bytes([0, a, b, c]);
    (raw != 0xff_ffff).then_some(raw)
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{manufacturer, told, truncation_invents_nothing};
    use super::{COMPANY, decode};

    /// The test vectors of the specifications of formats 3, 5, 6 and E1 (valid, greatest, least, not available), and two
    /// cases of Home Assistant's ruuvitag-ble 0.4.0 (tests/test_v3.py, test_v5.py).
    const VECTORS: &[(&str, &str)] = &[
        (
            "03291A1ECE1EFC18F94202CA0B53",
            "temperature 26.3 °C, humidity 20.5 %, pressure 1027.66 hPa, accelerationX -9.80665 m/s², accelerationY \
             -16.9262779 m/s², accelerationZ 7.0019481 m/s², batteryVoltage 2.899 V",
        ),
        (
            "03FF7F63FFFF7FFF7FFF7FFFFFFF",
            "temperature 127.99 °C, humidity 127.5 %, pressure 1155.35 hPa, accelerationX 321.33450055 m/s², \
             accelerationY 321.33450055 m/s², accelerationZ 321.33450055 m/s², batteryVoltage 65.535 V",
        ),
        (
            "0300FF6300008001800180010000",
            "temperature -127.99 °C, humidity 0 %, pressure 500 hPa, accelerationX -321.33450055 m/s², accelerationY \
             -321.33450055 m/s², accelerationZ -321.33450055 m/s², batteryVoltage 0 V",
        ),
        (
            "03b28145ca20007a002603d0088f",
            "temperature -1.69 °C, humidity 89 %, pressure 1017.44 hPa, accelerationX 1.1964113 m/s², accelerationY \
             0.3726527 m/s², accelerationZ 9.5712904 m/s², batteryVoltage 2.191 V",
        ),
        (
            "0512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F",
            "temperature 24.3 °C, humidity 53.49 %, pressure 1000.44 hPa, accelerationX 0.0392266 m/s², accelerationY \
             -0.0392266 m/s², accelerationZ 10.1596894 m/s², batteryVoltage 2.977 V, txPower 4 dBm, movementCounter \
             66, measurementSequence 205",
        ),
        (
            "057FFFFFFEFFFE7FFF7FFF7FFFFFDEFEFFFECBB8334C884F",
            "temperature 163.835 °C, humidity 163.835 %, pressure 1155.34 hPa, accelerationX 321.33450055 m/s², \
             accelerationY 321.33450055 m/s², accelerationZ 321.33450055 m/s², batteryVoltage 3.646 V, txPower 20 dBm, \
             movementCounter 254, measurementSequence 65534",
        ),
        (
            "058001000000008001800180010000000000CBB8334C884F",
            "temperature -163.835 °C, humidity 0 %, pressure 500 hPa, accelerationX -321.33450055 m/s², accelerationY \
             -321.33450055 m/s², accelerationZ -321.33450055 m/s², batteryVoltage 1.6 V, txPower -40 dBm, \
             movementCounter 0, measurementSequence 0",
        ),
        ("058000FFFFFFFF800080008000FFFFFFFFFFFFFFFFFFFFFF", ""),
        (
            "0505a060a0c89a8000028cff006376726976dead7b3fefaf",
            "temperature 7.2 °C, humidity 61.84 %, pressure 1013.54 hPa, accelerationY 6.3939358 m/s², accelerationZ \
             -2.5105024 m/s², batteryVoltage 2.395 V, txPower 4 dBm, movementCounter 114, measurementSequence 26998",
        ),
        (
            "06170C5668C79E007000C90501D9FFCD004C884F",
            "temperature 29.5 °C, humidity 55.3 %, pressure 1011.02 hPa, pm25 11.2 µg/m³, co2 201 ppm, vocIndex 10, \
             noxIndex 2, illuminance 13026.67 lx, measurementSequence 205, calibrating false",
        ),
        (
            "067FFF9C40FFFE27109C40FAFAFEFFFF074C8F4F",
            "temperature 163.835 °C, humidity 100 %, pressure 1155.34 hPa, pm25 1000 µg/m³, co2 40000 ppm, vocIndex \
             500, noxIndex 500, illuminance 65535 lx, measurementSequence 255, calibrating true",
        ),
        (
            "0680010000000000000000000000FF00004C884F",
            "temperature -163.835 °C, humidity 0 %, pressure 500 hPa, pm25 0 µg/m³, co2 0 ppm, vocIndex 0, noxIndex \
             0, illuminance 0 lx, measurementSequence 0, calibrating false",
        ),
        ("068000FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", "measurementSequence 255, calibrating true"),
        (
            "E1170C5668C79E0065007004BD11CA00C90A0213E0ACFFFFFFDECDEE11FFFFFFFFFFCBB8334C884F",
            "temperature 29.5 °C, humidity 55.3 %, pressure 1011.02 hPa, pm1 10.1 µg/m³, pm25 11.2 µg/m³, pm4 121.3 \
             µg/m³, pm10 455.4 µg/m³, co2 201 ppm, vocIndex 20, noxIndex 4, illuminance 13027 lx, measurementSequence \
             14601710, calibrating true",
        ),
        (
            "E17FFF9C40FFFE27102710271027109C40FAFADC28F0FFFFFFFFFFFE3FFFFFFFFFFFCBB8334C884F",
            "temperature 163.835 °C, humidity 100 %, pressure 1155.34 hPa, pm1 1000 µg/m³, pm25 1000 µg/m³, pm4 1000 \
             µg/m³, pm10 1000 µg/m³, co2 40000 ppm, vocIndex 500, noxIndex 500, illuminance 144284 lx, \
             measurementSequence 16777214, calibrating true",
        ),
        ("E18000FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFFFFFFFFFFFFFFFF", "calibrating false"),
    ];

    #[test]
    fn the_specifications_vectors() {
        for (hex, expected) in VECTORS {
            let advert = manufacturer(COMPANY, hex);
            assert_eq!(told(decode(&advert, None)), *expected, "{hex}");
            truncation_invents_nothing(&advert);
        }
    }

    #[test]
    fn the_sequence_tells_repetitions_apart() {
        for (hex, packet) in [
            ("0512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F", Some(0xcd)),
            ("058000FFFFFFFF800080008000FFFFFFFFFFFFFFFFFFFFFF", None),
            ("06170C5668C79E007000C90501D9FFCD004C884F", Some(0xcd)),
            ("E1170C5668C79E0065007004BD11CA00C90A0213E0ACFFFFFFDECDEE11FFFFFFFFFFCBB8334C884F", Some(0xee)),
            ("03291A1ECE1EFC18F94202CA0B53", None),
        ] {
            assert_eq!(decode(&manufacturer(COMPANY, hex), None).unwrap().unwrap().packet, packet, "{hex}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_what_can() {
        for (hex, part) in [
            ("0512FC", "Ruuvi data of 3 bytes; 24 or more would be accepted"),
            ("08FFFF", "data format 08 is not known; 3, 5, 6 and E1 are"),
        ] {
            assert!(told(decode(&manufacturer(COMPANY, hex), None)).contains(part), "{hex}");
        }
        assert_eq!(told(decode(&manufacturer(COMPANY, ""), None)), "nothing");
        assert_eq!(told(decode(&manufacturer(0x0498, "0512FC"), None)), "nothing");
    }
}
