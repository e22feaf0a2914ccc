//! Characteristics of several fields. Most begin with flags that tell which fields follow; bytes after the fields that are
//! known here belong to later ones and are not read. None: the value ends before a field that its flags promise.
//!
//! Sources beside the GATT Specification Supplement: Heart Rate Service 1.0 (energy in kJ), Weight Scale Service 1.0
//! (0xFFFF: measurement unsuccessful), Pulse Oximeter Service 1.0 (both measurements begin alike).

use super::{
    medfloat::{medfloat16, medfloat32},
    table::{
        BATTERY_PRESENT, BODY_MASS_INDEX, CADENCE, CRANK_EVENT_TIME, CRANK_REVOLUTIONS, DIASTOLIC, ENERGY_EXPENDED,
        FLUX_X, FLUX_Y, FLUX_Z, HEIGHT, MEAN_ARTERIAL, MEASURED_AT, OXYGEN_SATURATION, PEDAL_BALANCE, PRODUCT,
        PRODUCT_VERSION, PULSE_RATE, RR_INTERVAL, SENSOR_CONTACT, STRIDE_LENGTH, SYSTOLIC, TEMPERATURE_TYPE, TORQUE,
        TOTAL_DISTANCE, USER, VENDOR, VENDOR_SOURCE, WHEEL_EVENT_TIME, WHEEL_REVOLUTIONS,
    },
    time::date_time,
};
use crate::formats::{
    measures::Measures,
    names::{self, HEART_RATE, MASS, Name, POWER, TEMPERATURE},
    record::Record,
};

/// Millimetres of mercury in a kilopascal: 1 mmHg is 133.322387415 Pa.
const MMHG_IN_KPA: f64 = 1000.0 / 133.322_387_415;

pub(super) fn heart_rate(data: &mut Record, out: &mut Measures) -> Option<()> {
    let flags = data.byte()?;
    let rate = if flags & 1 == 0 { data.byte()?.into() } else { u16::from_le_bytes(data.next()?) };
    out.add(HEART_RATE, f64::from(rate));
    if flags & 4 != 0 {
        out.add(SENSOR_CONTACT, flags & 2 != 0);
    }
    if flags & 8 != 0 {
        out.add(ENERGY_EXPENDED, f64::from(u16::from_le_bytes(data.next()?)));
    }
    while flags & 16 != 0 && !data.0.is_empty() {
        out.add(RR_INTERVAL, f64::from(u16::from_le_bytes(data.next()?)) / 1024.0);
    }
    Some(())
}

pub(super) fn thermometer(data: &mut Record, out: &mut Measures) -> Option<()> {
    let flags = data.byte()?;
    let value = medfloat32(data.next()?);
    let celsius = value.map(|value| if flags & 1 == 0 { value } else { (value - 32.0) * 5.0 / 9.0 });
    out.add_some(TEMPERATURE, celsius);
    measured_at(flags & 2 != 0, data, out)?;
    if flags & 4 != 0 {
        out.add(TEMPERATURE_TYPE, data.byte()?);
    }
    Some(())
}

pub(super) fn weight(data: &mut Record, out: &mut Measures) -> Option<()> {
    let flags = data.byte()?;
    let imperial = flags & 1 != 0;
    let raw = u16::from_le_bytes(data.next()?);
    // Hundredths of a pound of 0.45359237 kg, or two hundredths of a kilogram's tenth.
    let mass = if imperial { f64::from(raw) * 45_359_237.0 / 1e10 } else { f64::from(raw) / 200.0 };
    out.add_some(MASS, (raw != u16::MAX).then_some(mass));
    measured_at(flags & 2 != 0, data, out)?;
    user(flags & 4 != 0, data, out)?;
    if flags & 8 != 0 {
        out.add(BODY_MASS_INDEX, f64::from(u16::from_le_bytes(data.next()?)) / 10.0);
        let raw = f64::from(u16::from_le_bytes(data.next()?));
        // Tenths of an inch of 0.0254 m, or millimetres.
        out.add(HEIGHT, if imperial { raw * 254.0 / 1e5 } else { raw / 1000.0 });
    }
    Some(())
}

pub(super) fn blood_pressure(data: &mut Record, out: &mut Measures) -> Option<()> {
    let flags = data.byte()?;
    for name in [SYSTOLIC, DIASTOLIC, MEAN_ARTERIAL] {
        let value = medfloat16(data.next()?, 0);
        out.add_some(name, value.map(|value| if flags & 1 == 0 { value } else { value * MMHG_IN_KPA }));
    }
    measured_at(flags & 2 != 0, data, out)?;
    if flags & 4 != 0 {
        out.add_some(PULSE_RATE, medfloat16(data.next()?, 0));
    }
    user(flags & 8 != 0, data, out)
}

pub(super) fn oximeter(data: &mut Record, out: &mut Measures) -> Option<()> {
    data.byte()?; // flags of fields that are not read
    out.add_some(OXYGEN_SATURATION, medfloat16(data.next()?, 0));
    out.add_some(PULSE_RATE, medfloat16(data.next()?, 0));
    Some(())
}

pub(super) fn running(data: &mut Record, out: &mut Measures) -> Option<()> {
    let flags = data.byte()?;
    out.add(names::SPEED, f64::from(u16::from_le_bytes(data.next()?)) / 256.0);
    out.add(CADENCE, f64::from(data.byte()?));
    if flags & 1 != 0 {
        out.add(STRIDE_LENGTH, f64::from(u16::from_le_bytes(data.next()?)) / 100.0);
    }
    if flags & 2 != 0 {
        out.add(TOTAL_DISTANCE, f64::from(u32::from_le_bytes(data.next()?)) / 10.0);
    }
    out.add(names::RUNNING, flags & 4 != 0);
    Some(())
}

pub(super) fn cycling(data: &mut Record, out: &mut Measures) -> Option<()> {
    let flags = data.byte()?;
    wheel(flags & 1 != 0, 1024.0, data, out)?;
    crank(flags & 2 != 0, data, out)
}

/// Extreme forces and angles, and the energy, come after these and are not read.
pub(super) fn cycling_power(data: &mut Record, out: &mut Measures) -> Option<()> {
    let flags = u16::from_le_bytes(data.next()?);
    out.add(POWER, f64::from(i16::from_le_bytes(data.next()?)));
    if flags & 1 != 0 {
        out.add(PEDAL_BALANCE, f64::from(data.byte()?) / 2.0);
    }
    if flags & 4 != 0 {
        out.add(TORQUE, f64::from(u16::from_le_bytes(data.next()?)) / 32.0);
    }
    wheel(flags & 0x10 != 0, 2048.0, data, out)?;
    crank(flags & 0x20 != 0, data, out)
}

pub(super) fn flux_2d(data: &mut Record, out: &mut Measures) -> Option<()> {
    flux(&[FLUX_X, FLUX_Y], data, out)
}

pub(super) fn flux_3d(data: &mut Record, out: &mut Measures) -> Option<()> {
    flux(&[FLUX_X, FLUX_Y, FLUX_Z], data, out)
}

pub(super) fn pnp(data: &mut Record, out: &mut Measures) -> Option<()> {
    out.add(VENDOR_SOURCE, data.byte()?);
    for name in [VENDOR, PRODUCT, PRODUCT_VERSION] {
        out.add(name, u16::from_le_bytes(data.next()?));
    }
    Some(())
}

/// What the device does not know of its battery gives no measure.
pub(super) fn battery_status(data: &mut Record, out: &mut Measures) -> Option<()> {
    let flags = data.byte()?;
    let state = u16::from_le_bytes(data.next()?);
    out.add(BATTERY_PRESENT, state & 1 != 0);
    let yes_no = |raw: u16| match raw & 3 {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    };
    let plugged = match (yes_no(state >> 1), yes_no(state >> 3)) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    };
    out.add_some(names::PLUGGED_IN, plugged);
    let (charge, level) = (state >> 5 & 3, state >> 7 & 3);
    out.add_some(names::BATTERY_CHARGING, (charge != 0).then_some(charge == 1));
    out.add_some(names::BATTERY_LOW, (level != 0).then_some(level >= 2));
    if flags & 1 != 0 {
        data.next::<2>()?; // which battery
    }
    if flags & 2 != 0 {
        let level = data.byte()?;
        out.add_some(names::BATTERY_LEVEL, (level <= 100).then(|| f64::from(level)));
    }
    Some(())
}

fn measured_at(there: bool, data: &mut Record, out: &mut Measures) -> Option<()> {
    if there {
        out.add_some(MEASURED_AT, date_time(data.next()?));
    }
    Some(())
}

/// 255 is an unknown user.
fn user(there: bool, data: &mut Record, out: &mut Measures) -> Option<()> {
    if there {
        out.add_some(USER, Some(data.byte()?).filter(|user| *user != u8::MAX));
    }
    Some(())
}

fn wheel(there: bool, ticks: f64, data: &mut Record, out: &mut Measures) -> Option<()> {
    if there {
        out.add(WHEEL_REVOLUTIONS, u32::from_le_bytes(data.next()?));
        out.add(WHEEL_EVENT_TIME, f64::from(u16::from_le_bytes(data.next()?)) / ticks);
    }
    Some(())
}

fn crank(there: bool, data: &mut Record, out: &mut Measures) -> Option<()> {
    if there {
        out.add(CRANK_REVOLUTIONS, u16::from_le_bytes(data.next()?));
        out.add(CRANK_EVENT_TIME, f64::from(u16::from_le_bytes(data.next()?)) / 1024.0);
    }
    Some(())
}

/// In tenths of a microtesla.
fn flux(axes: &[Name], data: &mut Record, out: &mut Measures) -> Option<()> {
    for axis in axes {
        out.add(*axis, f64::from(i16::from_le_bytes(data.next()?)) / 10.0);
    }
    Some(())
}
