use mapper_api::{ErrorKind, Value};
use proptest::prelude::*;

use super::{decode, encode, fields, find, is_writable, table::ALL};
use crate::{
    advert::short,
    formats::{
        measures::fits,
        samples::{bytes, measures},
    },
};

fn told(id: u16, hex: &str) -> String {
    decode(short(id), &bytes(hex)).map_or_else(|refusal| format!("refused: {}", refusal.detail), |told| measures(&told))
}

/// Values worked out by hand from the GATT Specification Supplement. The package bluetooth-sig 0.6.0 says the same of the
/// same bytes (2026-11-24), but for the decimal numbers of IEEE 11073, whose exponents it misreads (36.4 becomes
/// 3.64e129); their own examples stand in `medfloat.rs`.
#[test]
fn standard_characteristics() {
    for (id, hex, expected) in [
        (0x2a00, "5265616c", "deviceName Real"),
        (0x2a01, "4103", "appearance 833"),
        (0x2a06, "02", "alertLevel 2"),
        (0x2a07, "f4", "txPower -12 dBm"),
        (0x2a08, "ea070b180c1e05", "dateTime 2026-11-24T12:30:05"),
        (0x2a19, "64", "batteryLevel 100 %"),
        // The address 12:34:56:9A:BC:DE, as an EUI-64.
        (0x2a23, "debc9afeff563412", "systemId 123456fffe9abcde"),
        (0x2a24, "4d6f64656c2031", "modelNumber Model 1"),
        (0x2a29, "41636d6520c3a90000", "manufacturerName Acme é"),
        (0x2a2b, "ea070b180c1e05028001", "currentTime 2026-11-24T12:30:05, dayOfWeek 2, adjustReason 1"),
        (0x2a2b, "0000000000000000000a", "adjustReason 10"),
        (0x2a50, "014c00010203 01", "vendorIdSource 1, vendorId 76, productId 513, productVersion 259"),
        (0x2a6c, "0f2700", "elevation 99.99 m"),
        (0x2a6c, "ffffff", "elevation -0.01 m"),
        (0x2a6d, "cd770f00", "pressure 1013.709 hPa"),
        (0x2a6e, "ca09", "temperature 25.06 °C"),
        (0x2a6e, "18fc", "temperature -10 °C"),
        (0x2a6e, "0080", ""),
        (0x2a6f, "8813", "humidity 50 %"),
        (0x2a6f, "ffff", ""),
        (0x2a74, "0f", "gustFactor 1.5"),
        (0x2a76, "03", "uvIndex 3"),
        (0x2a7b, "f6", "dewPoint -10 °C"),
        (0x2aa1, "0a00f6ff6400", "magneticFluxX 1 µT, magneticFluxY -1 µT, magneticFluxZ 10 µT"),
        (0x2ae2, "01", "state true"),
        (0x2afb, "102700", "illuminance 100 lx"),
        (0x2afb, "ffffff", ""),
        (0x2b18, "4001", "voltage 5 V"),
        (0x2b8c, "9001", "co2 400 ppm"),
        (0x2b8c, "feff", ""),
        (0x2bd6, "0c90", "pm25 1200 µg/m³"),
        (0x2bd6, "0b80", "pm25 110 µg/m³"),
        (0x2bd6, "ff07", ""),
        (0x2a1c, "00 6c0100ff", "temperature 36.4 °C"),
        (0x2a1c, "01 da0300ff", "temperature 37 °C"),
        (
            0x2a1c,
            "06 6c0100ff ea070b180c1e05 02",
            "temperature 36.4 °C, measuredAt 2026-11-24T12:30:05, temperatureType 2",
        ),
        (0x2a1c, "00 ffff7f00", ""),
        (0x2a37, "0048", "heartRate 72 1/min"),
        (0x2a37, "06 48", "heartRate 72 1/min, sensorContact true"),
        (0x2a37, "04 48", "heartRate 72 1/min, sensorContact false"),
        (0x2a37, "01 2c01", "heartRate 300 1/min"),
        (
            0x2a37,
            "1e 48 6400 0004 0002",
            "heartRate 72 1/min, sensorContact true, energyExpended 100 kJ, rrInterval 1 s, rrInterval[2] 0.5 s",
        ),
        (0x2a9d, "00 103b", "mass 75.6 kg"),
        (0x2a9d, "01 1027", "mass 45.359237 kg"),
        (
            0x2a9d,
            "0e 103b ea070b180c1e05 01 f300 d606",
            "mass 75.6 kg, measuredAt 2026-11-24T12:30:05, user 1, bodyMassIndex 24.3 kg/m², height 1.75 m",
        ),
        (0x2a9d, "00 ffff", ""),
        (
            0x2a35,
            "04 7800 5000 5d00 4800",
            "systolic 120 mmHg, diastolic 80 mmHg, meanArterialPressure 93 mmHg, pulseRate 72 1/min",
        ),
        (0x2a36, "00 7800 ff07 ff07", "systolic 120 mmHg"),
        (0x2a5f, "00 6100 4800", "oxygenSaturation 97 %, pulseRate 72 1/min"),
        (
            0x2a5b,
            "03 e8030000 0008 f401 0004",
            "wheelRevolutions 1000, wheelEventTime 2 s, crankRevolutions 500, crankEventTime 1 s",
        ),
        (
            0x2a53,
            "07 0003 b4 7800 e8030000",
            "speed 3 m/s, cadence 180 1/min, strideLength 1.2 m, totalDistance 100 m, running true",
        ),
        (
            0x2a63,
            "3500 fa00 64 4000 e8030000 0008 f401 0004",
            "power 250 W, pedalPowerBalance 50 %, accumulatedTorque 2 N·m, wheelRevolutions 1000, wheelEventTime 1 s, \
             crankRevolutions 500, crankEventTime 1 s",
        ),
        (0x2a63, "0008 9cff 1000", "power -100 W"),
        (
            0x2bed,
            "02 2301 57",
            "batteryPresent true, pluggedIn true, batteryCharging true, batteryLow true, batteryLevel 87 %",
        ),
        (0x2bed, "00 0500", "batteryPresent true"),
    ] {
        assert_eq!(told(id, hex), expected, "{id:#x} {hex}");
    }
}

#[test]
fn what_is_no_value_is_refused_with_what_would_be() {
    for (id, hex, part) in [
        (0x2a19, "", "batteryLevel takes 1 bytes, got 0"),
        (0x2a19, "6400", "takes 1 bytes, got 2"),
        (0x2a19, "ff", "255 is reserved; 0 to 100 would be accepted"),
        (0x2a6e, "ca", "temperature takes 2 bytes, got 1"),
        (0x2a6f, "1127", "10001 is reserved; 0 to 10000"),
        (0x2ae2, "02", "0 or 1 would be accepted"),
        (0x2a29, "ff", "manufacturerName is not UTF-8"),
        (0x2a37, "", "heartRate: the value ends too early, after 0 bytes"),
        (0x2a37, "10 48 00", "ends too early, after 3 bytes"),
        (0x2a2b, "ea070b18", "currentTime takes 10 bytes, got 4"),
        (0xffff, "00", "no standard type that is known here"),
    ] {
        let refusal = decode(short(id), &bytes(hex)).unwrap_err();
        assert_eq!(refusal.kind, ErrorKind::BadData);
        assert!(refusal.detail.contains(part), "{}", refusal.detail);
    }
}

#[test]
fn values_are_written_as_they_are_read() {
    for (id, value, hex) in [
        (0x2a06, Value::Uint(1), "01"),
        (0x2a19, Value::Float64(55.0), "37"),
        (0x2a6e, Value::Float64(-10.0), "18fc"),
        (0x2a21, Value::Uint(60), "3c00"),
        (0x2a00, Value::Text("Real".into()), "5265616c"),
        (0x2ae2, Value::Bool(true), "01"),
        (0x2a2b, Value::Text("2026-11-24T12:30:05".into()), "ea070b180c1e05020000"),
        (0x2a08, Value::Text("2026-11-24T12:30:05".into()), "ea070b180c1e05"),
    ] {
        assert!(is_writable(short(id)));
        assert_eq!(encode(short(id), &value).unwrap(), bytes(hex), "{id:#x}");
    }
    for (id, value, part) in [
        (0x2a06, Value::Uint(3), "alertLevel: 3 has no form; 0 to 2 would be accepted"),
        (0x2a6e, Value::Float64(400.0), "-273.15 to 327.67 would be accepted"),
        (0x2a6e, Value::Float64(f64::NAN), "has no form"),
        (0x2a19, Value::Text("full".into()), "has no form"),
        (0x2ae2, Value::Uint(1), "true or false would be accepted"),
        (0x2a00, Value::Uint(1), "a text would be accepted"),
        (0x2a2b, Value::Text("now".into()), "a time such as"),
        (0x2a37, Value::Uint(72), "cannot be written"),
        (0xffff, Value::Uint(1), "no standard type"),
    ] {
        let refusal = encode(short(id), &value).unwrap_err();
        assert_eq!(refusal.kind, ErrorKind::Rejected);
        assert!(refusal.detail.contains(part), "{}", refusal.detail);
    }
}

#[test]
fn each_stands_once_and_has_fields() {
    for (i, known) in ALL.iter().enumerate() {
        assert!(ALL[..i].iter().all(|other| other.id != known.id), "{:#x} stands twice", known.id);
        assert!(!fields(short(known.id)).unwrap().is_empty(), "{:#x}", known.id);
    }
    assert_eq!(fields(short(0xfcd2)), None);
    assert!(find(uuid::Uuid::nil()).is_none());
}

proptest! {
    /// Any bytes in any characteristic: no panic, only its own fields, each of its kind, numbers that are numbers; and
    /// a value that is cut off says nothing that the whole one does not.
    #[test]
    fn no_input_panics_or_invents(which in 0..ALL.len(), value in prop::collection::vec(any::<u8>(), 0..32)) {
        let known = &ALL[which];
        let uuid = short(known.id);
        let whole = decode(uuid, &value).unwrap_or_default();
        for measure in &whole {
            let field = known.fields.iter().find(|field| field.name == measure.name);
            prop_assert!(field.is_some_and(|field| field.unit == measure.unit && fits(field.kind, &measure.value)), "{measure:?}");
            prop_assert!(measure.value.as_f64().is_none_or(f64::is_finite), "{measure:?}");
        }
        for length in 0..value.len() {
            let cut = decode(uuid, &value[..length]).unwrap_or_default();
            // A text has no length of its own: any beginning of one is one.
            let texts = cut.iter().any(|measure| matches!(measure.value, Value::Text(_)) && known.fields.len() == 1);
            prop_assert!(texts || whole.is_empty() || cut.iter().all(|measure| whole.contains(measure)), "{cut:?} {whole:?}");
        }
    }

    /// What is read can be written, and is the same then.
    #[test]
    fn what_was_read_is_written_the_same(which in 0..ALL.len(), value in prop::collection::vec(any::<u8>(), 1..5)) {
        let uuid = short(ALL[which].id);
        if let (true, Ok(measures)) = (is_writable(uuid), decode(uuid, &value))
            && let [measure] = &measures[..]
        {
            let written = encode(uuid, &measure.value).unwrap();
            prop_assert_eq!(decode(uuid, &written).unwrap(), measures);
        }
    }
}
