//! The objects that mean the same in every device: types below 0x4000, of Xiaomi's own list
//! (<https://iot.mi.com/new/doc/accesses/direct-access/embedded-development/ble/object-definition>), as xiaomi-ble,
//! ble_monitor, ESPHome and Theengs read them. Types from 0x4000 on are each maker's own: see [`super::own`].

use mapper_api::Value;

use super::{buttons, locks, models::Model, own};
use crate::formats::{
    measures::{Measures, decimal, signed, unsigned},
    names::{self, Name},
};

/// Longest time without motion, in seconds, that still counts as motion: so says Xiaomi's app, according to xiaomi-ble.
const STILL_MOTION: u64 = 30;

/// Reads one object. None if its type is not known, or if it is not of a form that its type can have; then nothing was
/// added.
pub fn read(kind: u16, content: &[u8], model: Option<Model>, to: &mut Measures) -> Option<()> {
    let is = |names: &[&str]| model.is_some_and(|model| names.contains(&model.name));
    match (kind, content) {
        // Sent by MUE4094RT alone, and only when something moves.
        (0x0003, [_, ..]) => to.add(names::MOTION, Value::Bool(true)),
        (0x0006..=0x0008 | 0x000b | 0x100e, _) => return locks::read(kind, content, to),
        (0x000a, [_, _]) => to.add(names::TEMPERATURE, decimal(signed(content), 100)),
        (0x000f, [_, _, _]) => {
            let light = unsigned(content);
            to.add(names::MOTION, Value::Bool(true));
            if is(&["MJYD02YL", "RTCGQ02LM"]) {
                to.add(names::LIGHT, Value::Bool(light >= 100));
            } else if is(&["CGPR1"]) {
                to.add(names::ILLUMINANCE, whole(light));
            }
        }
        // A toothbrush: 0 and a number when it starts, 1 and a score when it ends.
        (0x0010, [running @ (0 | 1), rest @ ..]) if rest.len() <= 1 => {
            to.add(names::RUNNING, Value::Bool(*running == 0));
            if let [number] = rest {
                let name = if *running == 0 { names::COUNT } else { names::SCORE };
                to.add(name, Value::Uint((*number).into()));
            }
        }
        (0x1001, [button, value, press]) => return buttons::read(*button, *value, *press, model?, to),
        (0x1004, [_, _]) => to.add(names::TEMPERATURE, decimal(signed(content), 10)),
        // A kettle.
        (0x1005, [power, temperature]) => {
            to.add(names::POWER_ON, Value::Bool(*power != 0));
            to.add(names::TEMPERATURE, whole((*temperature).into()));
        }
        (0x1006, [_, _]) => to.add(names::HUMIDITY, decimal(signed(content), 10)),
        (0x1007, [_, _, _]) if is(&["MJYD02YL", "MCCGQ02HL"]) => {
            to.add(names::LIGHT, Value::Bool(unsigned(content) == 100));
        }
        (0x1007, [_, _, _]) => to.add(names::ILLUMINANCE, whole(unsigned(content))),
        (0x1008, [moisture]) => to.add(names::MOISTURE, whole((*moisture).into())),
        (0x1009, [_, _]) => to.add(names::CONDUCTIVITY, whole(unsigned(content))),
        (0x100a, [level]) => to.add(names::BATTERY_LEVEL, whole((*level).into())),
        (0x100d, [a, b, c, d]) => {
            to.add(names::TEMPERATURE, decimal(signed(&[*a, *b]), 10));
            to.add(names::HUMIDITY, decimal(signed(&[*c, *d]), 10));
        }
        (0x1010, [_, _]) => to.add(names::FORMALDEHYDE, decimal(unsigned(content).cast_signed(), 100)),
        (0x1012, [on]) => to.add(names::POWER_ON, Value::Bool(*on != 0)),
        (0x1013, [left]) => to.add(names::CONSUMABLE, whole((*left).into())),
        (0x1014, [wet]) => to.add(names::WET, Value::Bool(*wet != 0)),
        (0x1015, [smoke @ (0 | 1)]) => to.add(names::SMOKE, Value::Bool(*smoke == 1)),
        // The third state: the detector has failed. Whether there is smoke it cannot tell.
        (0x1015, [2]) => to.add(names::PROBLEM, Value::Bool(true)),
        (0x1017, [_, _, _, _]) => idle(unsigned(content), to),
        (0x1018, [light]) => to.add(names::LIGHT, Value::Bool(*light != 0)),
        // 3 says that the device was reset.
        (0x1019, [state @ 0..=2]) => {
            to.add(names::OPENING, Value::Bool(*state != 1));
            to.add(names::LEFT_OPEN, Value::Bool(*state == 2));
        }
        (0x101b, [_, ..]) => to.add(names::MOTION, Value::Bool(false)),
        // A toothbrush: 0 when it starts, 1 when it ends, the time, and then a score.
        (0x3003, [running @ (0 | 1), _, _, _, _, score @ ..]) if score.len() <= 1 => {
            to.add(names::RUNNING, Value::Bool(*running == 0));
            if let [score] = score {
                to.add(names::SCORE, Value::Uint((*score).into()));
            }
        }
        (0x4000.., _) => return own::read(kind, content, model?, to),
        _ => return None,
    }
    Some(())
}

/// How long nothing has moved, and what follows from that.
pub fn idle(seconds: u64, to: &mut Measures) {
    to.add(names::MOTION, Value::Bool(seconds <= STILL_MOTION));
    to.add(names::IDLE_TIME, whole(seconds));
}

/// A number that is sent whole, at most four bytes.
pub fn whole(number: u64) -> Value {
    decimal(number.cast_signed(), 1)
}

/// A yes or no of one byte.
pub fn flag(name: Name, content: &[u8], to: &mut Measures) -> Option<()> {
    let [value] = content else { return None };
    to.add(name, Value::Bool(*value != 0));
    Some(())
}
