//! Object 0x1001: buttons, dimmers and a cube, whose three bytes mean something else in each model. As xiaomi-ble 1.21
//! (parser.py) and ble_monitor read them.

use mapper_api::Value;

use super::{models::Model, objects::whole};
use crate::formats::{
    measures::{Measures, text},
    names,
};

/// Reads one; none if the model has no buttons that are known, or not this one.
pub fn read(button: u8, value: u8, press: u8, model: Model, to: &mut Measures) -> Option<()> {
    match model.name {
        "RTCGQ02LM" | "YLAI003" | "JTYJGD03MI" | "SJWS01LM" => to.add(names::BUTTON, text(pressed(press)?)),
        "XMMF01JQD" => to.add(names::CUBE, text(*["rotateRight", "rotateLeft"].get(usize::from(button))?)),
        // Their buttons in the order of their numbers: on, off, brightness, plus, M, minus;
        "YLYK01YL"
        // fan, light, wind speed, colour temperature, wind mode, brightness;
        | "YLYK01YL-FANCL"
        // swing, power, 60 minutes, faster, 30 minutes, slower;
        | "YLYK01YL-VENFAN" if button < 6 => to.add_at(names::BUTTON, button + 1, text(pressed(press)?)),
        // stop, air exchange, fan, faster, slower, dry, light, swing, heat.
        "YLYB01YL-BHFRC" if button < 9 => to.add_at(names::BUTTON, button + 1, text(pressed(press)?)),
        "YLKG07YL/YLKG08YL" => return dimmer(button, value, press, to),
        "K9B-1BTN" => return switches(&[&[1]], button, press, to),
        "K9B-2BTN" => return switches(&[&[1], &[2], &[1, 2]], button, press, to),
        "K9B-3BTN" => {
            let switched: [&[u8]; 7] = [&[1], &[2], &[3], &[1, 2], &[2, 3], &[1, 3], &[1, 2, 3]];
            return switches(&switched, button, press, to);
        }
        _ => return None,
    }
    Some(())
}

fn pressed(press: u8) -> Option<&'static str> {
    Some(match press {
        0 | 5 => "press",
        1 => "doublePress",
        2 | 6 => "longPress",
        _ => return None,
    })
}

/// Wall switches: several of their buttons can be pressed at once, and long and double are the other way round.
fn switches(switched: &[&[u8]], button: u8, press: u8, to: &mut Measures) -> Option<()> {
    let buttons = switched.get(usize::from(button))?;
    let press = ["press", "longPress", "doublePress"].get(usize::from(press))?;
    buttons.iter().for_each(|button| to.add_at(names::BUTTON, *button, text(*press)));
    Some(())
}

/// A knob. Turned alone it says how far in `value`; turned while pressed, in `button`. To the left counts down from 256.
fn dimmer(button: u8, value: u8, press: u8, to: &mut Measures) -> Option<()> {
    match (press, button) {
        (3, 0) => {
            to.add(names::DIMMER, text("press"));
            to.add(names::PRESSES, Value::Uint(value.into()));
        }
        (3, 1) => {
            to.add(names::DIMMER, text("longPress"));
            to.add(names::DURATION, whole(value.into()));
        }
        (4, 0) => turned(value, ["rotateRight", "rotateLeft"], to),
        (4, _) => turned(button, ["rotateRightPressed", "rotateLeftPressed"], to),
        _ => return None,
    }
    Some(())
}

fn turned(steps: u8, [right, left]: [&str; 2], to: &mut Measures) {
    let (event, steps) = if steps < 0x80 { (right, steps) } else { (left, steps.wrapping_neg()) };
    to.add(names::DIMMER, text(event));
    to.add(names::DIMMER_STEPS, Value::Uint(steps.into()));
}
