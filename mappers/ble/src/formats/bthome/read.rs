//! The objects of a message, one after the other. Reading ends where the rest can no longer be told apart: at an id that
//! is not known (version 2 gives no lengths) and where the message is cut off. What was read until then stays.

use std::borrow::Cow;

use mapper_api::Value;

use super::objects::{self, Object, object};
use crate::formats::{
    measures::{Measures, decimal, float, signed, text, unsigned},
    names::{self, Kind, Name},
};

/// What a message says.
#[derive(Debug, Default)]
pub struct Said {
    pub measures: Measures,
    pub packet: Option<u8>,
    /// Why not all of it was read, or what is against the rules.
    pub remark: Option<Cow<'static, str>>,
}

const CUT_OFF: Cow<'static, str> = Cow::Borrowed("its last object is cut off");

/// The objects of version 2: an id, and the bytes that belong to it.
pub fn version_2(mut data: &[u8]) -> Said {
    let mut said = Said::default();
    let mut places = Places::default();
    let mut last = 0;
    // An event "none" of a dimmer is one byte in the specification's table and two bytes in the decoders: what follows
    // it counts only as long as the ids go on in order.
    let mut doubtful = false;
    while let [id, rest @ ..] = data {
        let Some(object) = object(*id) else {
            said.remark(format!("object id 0x{id:02x} is not known: it and what follows it were not read"));
            break;
        };
        if *id < last {
            said.remark("its object ids are not in ascending order");
            if doubtful {
                break;
            }
        }
        last = *id;
        let Some((content, rest)) = content(object, rest) else {
            said.remark(CUT_OFF);
            break;
        };
        doubtful |= object == Object::Dimmer && content.first() == Some(&0);
        said.object(object, content, &mut places);
        data = rest;
    }
    said
}

/// The bytes that belong to an object, and those after it. None if it is cut off.
fn content(object: Object, data: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = match object {
        Object::Packet | Object::Flag(_) | Object::Button => 1,
        Object::Number { length, .. } | Object::Firmware(length) => length,
        // "None" at the end of a message may be without its steps.
        Object::Dimmer if data == [0] => 1,
        Object::Dimmer => 2,
        Object::Text | Object::Raw | Object::Command => {
            let (&length, rest) = data.split_first()?;
            let length = if object == Object::Command { 1 + (length & 0x1f) } else { length };
            return rest.split_at_checked(length.into());
        }
    };
    data.split_at_checked(length)
}

/// How many buttons and dimmers went by, those that nobody touched included: they hold the places of the others.
#[derive(Debug, Default)]
struct Places {
    buttons: u8,
    dimmers: u8,
}

impl Said {
    /// Notes what is wrong; the first remark stays.
    fn remark(&mut self, remark: impl Into<Cow<'static, str>>) {
        self.remark.get_or_insert(remark.into());
    }

    fn object(&mut self, object: Object, content: &[u8], places: &mut Places) {
        let first = content.first().copied().unwrap_or_default();
        match object {
            Object::Packet => self.packet = self.packet.or(Some(first)),
            Object::Flag(name) => self.measures.add(name, Value::Bool(first != 0)),
            Object::Number { name, signed: true, times, per, .. } => {
                self.measures.add(name, whole_or_decimal(name, signed(content) * times, per));
            }
            Object::Number { name, times, per, .. } => {
                let value = unsigned(content).cast_signed() * times;
                self.measures.add(name, whole_or_decimal(name, value, per));
            }
            Object::Button => {
                places.buttons = places.buttons.saturating_add(1);
                match objects::button(first) {
                    Some(event) => self.measures.add_at(names::BUTTON, places.buttons, text(event)),
                    None if first == 0 => {}
                    None => self.remark(format!("event 0x{first:02x} of a button is not known")),
                }
            }
            Object::Dimmer => {
                places.dimmers = places.dimmers.saturating_add(1);
                match (objects::dimmer(first), content.get(1)) {
                    (Some(event), Some(steps)) => {
                        self.measures.add_at(names::DIMMER, places.dimmers, text(event));
                        self.measures.add_at(names::DIMMER_STEPS, places.dimmers, Value::Uint((*steps).into()));
                    }
                    _ if first == 0 => {}
                    _ => self.remark(format!("event 0x{first:02x} of a dimmer is not known")),
                }
            }
            Object::Command => match objects::command(first) {
                Some(command) => {
                    let index = self.measures.next_index(names::COMMAND);
                    self.measures.add_at(names::COMMAND, index, text(command));
                    if content.len() > 1 {
                        self.measures.add_at(names::COMMAND_ARGUMENTS, index, Value::Bytes(content[1..].to_vec()));
                    }
                }
                None => self.remark(format!("command 0x{first:02x} is not known")),
            },
            Object::Text => match str::from_utf8(content) {
                Ok(content) => self.measures.add(names::TEXT, text(content)),
                Err(_) => self.remark("its text is not UTF-8"),
            },
            Object::Raw => self.measures.add(names::RAW, Value::Bytes(content.to_vec())),
            Object::Firmware(_) => {
                let parts: Vec<_> = content.iter().rev().map(u8::to_string).collect();
                self.measures.add(names::FIRMWARE_VERSION, text(parts.join(".")));
            }
        }
    }
}

fn whole_or_decimal(name: Name, value: i64, per: u32) -> Value {
    match (name.kind, u64::try_from(value)) {
        (Kind::Whole, Ok(value)) => Value::Uint(value),
        (Kind::Whole, Err(_)) => Value::Int(value),
        _ => decimal(value, per),
    }
}

/// The objects of version 1: a byte with the length and how the bytes are to be taken, the id, and the bytes. An id that
/// is not known is passed over, for its length is.
pub fn version_1(mut data: &[u8]) -> Said {
    let mut said = Said::default();
    let mut places = Places::default();
    while let [control, rest @ ..] = data {
        let length = usize::from(control & 0x1f);
        if length == 0 {
            said.remark("one of its objects has no length: it and what follows it were not read");
            break;
        }
        let Some(([id, content @ ..], rest)) = rest.split_at_checked(length) else {
            said.remark(CUT_OFF);
            break;
        };
        data = rest;
        let known = object(*id).filter(|_| !content.is_empty());
        match (known, control >> 5) {
            (Some(Object::Packet), 0) if content.len() == 1 => said.packet = said.packet.or(Some(content[0])),
            (Some(Object::Flag(name)), 0 | 1) => said.measures.add(name, Value::Bool(unsigned(content) != 0)),
            // Whole numbers may be of any length, floating ones of three; more than 32 bits no decoder gives exactly.
            (Some(Object::Number { name, times, per, .. }), 0) if content.len() <= 4 => {
                let value = unsigned(content).cast_signed() * times;
                said.measures.add(name, whole_or_decimal(name, value, per));
            }
            (Some(Object::Number { name, times, per, .. }), 1) if content.len() <= 4 => {
                said.measures.add(name, whole_or_decimal(name, signed(content) * times, per));
            }
            (Some(Object::Number { name, per, times: 1, .. }), 2) if name.kind == Kind::Number => {
                match float(content) {
                    Some(value) => said.measures.add(name, Value::Float64(value / f64::from(per))),
                    None => said.remark(format!("object 0x{id:02x} is no number")),
                }
            }
            (Some(object @ Object::Button), 0) if content.len() == 1 => said.object(object, content, &mut places),
            (Some(object @ Object::Dimmer), 0) if content.len() == 2 => said.object(object, content, &mut places),
            // The address of the sender, again.
            (_, 4) => {}
            (None, _) => said.remark(format!("object id 0x{id:02x} is not known")),
            (Some(_), _) => said.remark(format!("object 0x{id:02x} is not in a form that its id can have")),
        }
    }
    said
}
