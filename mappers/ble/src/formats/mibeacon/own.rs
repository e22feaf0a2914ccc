//! The objects that each maker defines: types from 0x4000 on. One type can mean different things in different devices,
//! so they are read for models that are known, as xiaomi-ble 1.21 and ble_monitor read them.

use mapper_api::Value;

use super::{
    models::Model,
    objects::{flag, idle, whole},
};
use crate::formats::{
    measures::{Measures, decimal, float, text, unsigned},
    names::{self, Name},
};

/// The water sensor with two feelers: 1 below, 2 above.
const TWO_FEELERS: &str = "SJWS02LM";

/// Reads one object; none as in [`super::objects::read`].
pub fn read(kind: u16, content: &[u8], model: Model, to: &mut Measures) -> Option<()> {
    let is = |names: &[&str]| names.contains(&model.name);
    match (kind, content) {
        (0x4801 | 0x4c01, _) => number(names::TEMPERATURE, Some(100.0), content, to)?,
        (0x4808 | 0x4c08, _) => number(names::HUMIDITY, Some(100.0), content, to)?,
        (0x4805, _) => number(names::ILLUMINANCE, None, content, to)?,
        (0x4802 | 0x4c02, [humidity]) => to.add(names::HUMIDITY, whole((*humidity).into())),
        (0x4803 | 0x4c03 | 0x5003, [level]) => to.add(names::BATTERY_LEVEL, whole((*level).into())),
        (0x4804 | 0x4a12, [state @ (1 | 2)]) => to.add(names::OPENING, Value::Bool(*state == 1)),
        (0x4806, [wet]) if is(&[TWO_FEELERS]) => to.add_at(names::WET, 1, Value::Bool(*wet != 0)),
        (0x487b, [wet]) if is(&[TWO_FEELERS]) => to.add_at(names::WET, 2, Value::Bool(*wet != 0)),
        // Below: 0 wet, 1 dry; above: 2 wet, 3 dry.
        (0x4a68, [event @ 0..=3]) if is(&[TWO_FEELERS]) => {
            to.add_at(names::WET, 1 + event / 2, Value::Bool(event % 2 == 0));
        }
        (0x4806, _) => flag(names::WET, content, to)?,
        (0x480c, [state @ (0 | 1)]) if is(&["MC-COMM"]) => to.add(names::OPENING, Value::Bool(*state == 0)),
        (0x4818, [_, _]) => idle(unsigned(content), to),
        // A seat: how long somebody has sat on it, or nobody.
        (0x483d, [_, _, _, _]) => to.add(names::DURATION, whole(unsigned(content))),
        (0x483e, [_, _, _, _]) => to.add(names::IDLE_TIME, whole(unsigned(content))),
        // This one says 2 when somebody has left.
        (0x484e, [state]) if is(&["XMOSB01XS"]) => to.add(names::OCCUPANCY, Value::Bool(*state == 1)),
        (0x483c | 0x484e, _) => flag(names::OCCUPANCY, content, to)?,
        // In minutes.
        (0x4851, [minutes]) => to.add(names::DURATION, whole(60 * u64::from(*minutes))),
        (0x4852, [minutes]) => to.add(names::IDLE_TIME, whole(60 * u64::from(*minutes))),
        (0x4a01 | 0x4e01, _) => flag(names::BATTERY_LOW, content, to)?,
        (0x4a08, _) => {
            number(names::ILLUMINANCE, None, content, to)?;
            to.add(names::MOTION, Value::Bool(true));
        }
        (0x4a0c..=0x4a0e, [button @ (0 | 1)]) if is(&["XMWS01XS"]) => press(1 + button, kind, to),
        (0x4a0c..=0x4a0e, _) if !is(&["XMWS01XS"]) => press(1, kind, to),
        (0x4a0f, [1]) => to.add(names::TAMPER, Value::Bool(true)),
        (0x4a13, [1]) => press(1, 0x4e0c, to),
        (0x4a1a, [1]) => {
            to.add(names::OPENING, Value::Bool(true));
            to.add(names::LEFT_OPEN, Value::Bool(true));
        }
        (0x4e0c..=0x4e0e, [buttons @ 1..=3]) if is(&["XMWXKG01YL"]) => {
            (1..=2).filter(|button| buttons & button != 0).for_each(|button| press(button, kind, to));
        }
        (0x4e0c..=0x4e0e, _) if is(&["XMWXKG01LM"]) => press(1, kind, to),
        (0x4e0c, [1]) if is(&["K9BB-1BTN"]) => press(1, 0x4e0c, to),
        (0x4e0c, [8]) if is(&["K9BB-1BTN"]) => press(1, 0x4e0e, to),
        (0x4e0c, [15]) if is(&["K9BB-1BTN"]) => press(1, 0x4e0d, to),
        (0x560c..=0x560e, [button @ 1..=4, ..]) if is(&["KS1", "KS1BP"]) => press(*button, kind, to),
        (0x560c..=0x560e, _) if is(&["KS2BB", "AFWXKG220000"]) => press(1, kind, to),
        // 0 charging, 1 not, 2 full.
        (0x5422, [state @ 0..=2]) => to.add(names::BATTERY_CHARGING, Value::Bool(*state == 0)),
        (0x5810, [state @ (0 | 1)]) => to.add(names::ASLEEP, Value::Bool(*state == 0)),
        (0x6461, [state @ (0 | 1)]) => to.add(names::WORN, Value::Bool(*state == 0)),
        (0x4e16, [profile, mass @ .., _, _, _, _]) if mass.len() == 4 && is(&["MJTZC02YM"]) => {
            // Nothing lies on it when it says 0.
            if unsigned(mass) != 0 {
                to.add(names::MASS, decimal(unsigned(mass).cast_signed(), 100));
                to.add(names::PROFILE, Value::Uint((*profile).into()));
            }
        }
        (0x6e16, [profile, bits @ .., _, _, _, _]) if bits.len() == 4 => body(*profile, unsigned(bits), to),
        _ => return None,
    }
    Some(())
}

/// A floating number of four bytes, rounded to this part of one if the device computes it.
fn number(name: Name, round: Option<f64>, content: &[u8], to: &mut Measures) -> Option<()> {
    let value = float(content).filter(|_| content.len() == 4)?;
    let value = round.map_or(value, |parts| (value * parts).round() / parts);
    to.add(name, Value::Float64(value));
    Some(())
}

/// The last digit of these types tells how a button was pressed: c once, d twice, e for long.
fn press(button: u8, kind: u16, to: &mut Measures) {
    let event = match kind & 0xf {
        0xc => "press",
        0xd => "doublePress",
        _ => "longPress",
    };
    to.add_at(names::BUTTON, button, text(event));
}

/// A scale that measures bodies: mass in tenths of a kilogram (11 bits), heart beats above 50 (7 bits) and resistance in
/// tenths of an ohm (14 bits), each 0 when it is not there. Without mass and heart beats the resistance is that at
/// 250 kHz, the second; with them, at 50 kHz.
fn body(profile: u8, bits: u64, to: &mut Measures) {
    let [mass, heart, impedance] = [bits & 0x7ff, bits >> 11 & 0x7f, bits >> 18].map(u64::cast_signed);
    // All bits set says as much as 0.
    let mass = if mass == 0x7ff { 0 } else { mass };
    if mass != 0 {
        to.add(names::MASS, decimal(mass, 10));
    }
    if (1..127).contains(&heart) {
        to.add(names::HEART_RATE, decimal(heart + 50, 1));
    }
    if impedance != 0 {
        let index = if mass == 0 && heart == 0 { 2 } else { 1 };
        to.add_at(names::IMPEDANCE, index, decimal(impedance, 10));
    }
    to.add(names::PROFILE, Value::Uint(profile.into()));
}
