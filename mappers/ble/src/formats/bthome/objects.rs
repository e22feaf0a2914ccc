//! The objects of BTHome: what each id means, how long it is and in what it is counted. From the table of
//! <https://bthome.io/format/>, and for the ids that were added since (0x3B, 0x60 to 0x65) bthome-ble 3.25 (const.py).

use crate::formats::names::{self, Name};

/// What the bytes of an object are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// The number of the message.
    Packet,
    /// One byte: 1 is yes, 0 is no.
    Flag(Name),
    /// A whole number, which times and per make one in the unit of its name.
    Number { name: Name, length: usize, signed: bool, times: i64, per: u32 },
    /// One byte: what was done to a button.
    Button,
    /// Two bytes: how a dimmer was turned, and by how many steps.
    Dimmer,
    /// Its length in the low five bits of a byte, a command, and as many bytes of arguments.
    Command,
    /// Its length in a byte, and as many bytes of UTF-8.
    Text,
    /// Its length in a byte, and as many bytes.
    Raw,
    /// A version of this many bytes, the last part first.
    Firmware(usize),
}

const fn uint(name: Name, length: usize, per: u32) -> Object {
    Object::Number { name, length, signed: false, times: 1, per }
}

const fn sint(name: Name, length: usize, per: u32) -> Object {
    Object::Number { name, length, signed: true, times: 1, per }
}

/// The object of this id.
pub const fn object(id: u8) -> Option<Object> {
    use Object::Flag;
    Some(match id {
        0x00 => Object::Packet,
        0x01 => uint(names::BATTERY_LEVEL, 1, 1),
        0x02 => sint(names::TEMPERATURE, 2, 100),
        0x03 => uint(names::HUMIDITY, 2, 100),
        0x04 => uint(names::PRESSURE, 3, 100),
        0x05 => uint(names::ILLUMINANCE, 3, 100),
        0x06 => uint(names::MASS, 2, 100),
        0x07 => uint(names::MASS_POUNDS, 2, 100),
        0x08 => sint(names::DEW_POINT, 2, 100),
        0x09 => uint(names::COUNT, 1, 1),
        0x0a => uint(names::ENERGY, 3, 1000),
        0x0b => uint(names::POWER, 3, 100),
        0x0c => uint(names::VOLTAGE, 2, 1000),
        0x0d => uint(names::PM25, 2, 1),
        0x0e => uint(names::PM10, 2, 1),
        0x0f => Flag(names::STATE),
        0x10 => Flag(names::POWER_ON),
        0x11 => Flag(names::OPENING),
        0x12 => uint(names::CO2, 2, 1),
        0x13 => uint(names::TVOC, 2, 1),
        0x14 => uint(names::MOISTURE, 2, 100),
        0x15 => Flag(names::BATTERY_LOW),
        0x16 => Flag(names::BATTERY_CHARGING),
        0x17 => Flag(names::CARBON_MONOXIDE),
        0x18 => Flag(names::COLD),
        0x19 => Flag(names::CONNECTED),
        0x1a => Flag(names::DOOR),
        0x1b => Flag(names::GARAGE_DOOR),
        0x1c => Flag(names::GAS_DETECTED),
        0x1d => Flag(names::HEAT),
        0x1e => Flag(names::LIGHT),
        0x1f => Flag(names::UNLOCKED),
        0x20 => Flag(names::WET),
        0x21 => Flag(names::MOTION),
        0x22 => Flag(names::MOVING),
        0x23 => Flag(names::OCCUPANCY),
        0x24 => Flag(names::PLUGGED_IN),
        0x25 => Flag(names::PRESENCE),
        0x26 => Flag(names::PROBLEM),
        0x27 => Flag(names::RUNNING),
        0x28 => Flag(names::SAFE),
        0x29 => Flag(names::SMOKE),
        0x2a => Flag(names::SOUND),
        0x2b => Flag(names::TAMPER),
        0x2c => Flag(names::VIBRATION),
        0x2d => Flag(names::WINDOW),
        0x2e => uint(names::HUMIDITY, 1, 1),
        0x2f => uint(names::MOISTURE, 1, 1),
        0x3a => Object::Button,
        0x3b => Object::Command,
        0x3c => Object::Dimmer,
        0x3d => uint(names::COUNT, 2, 1),
        0x3e => uint(names::COUNT, 4, 1),
        0x3f => sint(names::ROTATION, 2, 10),
        // In millimetres.
        0x40 => uint(names::DISTANCE, 2, 1000),
        0x41 => uint(names::DISTANCE, 2, 10),
        0x42 => uint(names::DURATION, 3, 1000),
        0x43 => uint(names::CURRENT, 2, 1000),
        0x44 => uint(names::SPEED, 2, 100),
        0x45 => sint(names::TEMPERATURE, 2, 10),
        0x46 => uint(names::UV_INDEX, 1, 10),
        0x47 => uint(names::VOLUME, 2, 10),
        // In millilitres.
        0x48 => uint(names::VOLUME, 2, 1000),
        0x49 => uint(names::VOLUME_FLOW_RATE, 2, 1000),
        0x4a => uint(names::VOLTAGE, 2, 10),
        0x4b => uint(names::GAS, 3, 1000),
        0x4c => uint(names::GAS, 4, 1000),
        0x4d => uint(names::ENERGY, 4, 1000),
        0x4e => uint(names::VOLUME, 4, 1000),
        0x4f => uint(names::WATER, 4, 1000),
        0x50 => uint(names::TIMESTAMP, 4, 1),
        0x51 => uint(names::ACCELERATION, 2, 1000),
        0x52 => uint(names::GYROSCOPE, 2, 1000),
        0x53 => Object::Text,
        0x54 => Object::Raw,
        0x55 => uint(names::VOLUME_STORAGE, 4, 1000),
        0x56 => uint(names::CONDUCTIVITY, 2, 1),
        0x57 => sint(names::TEMPERATURE, 1, 1),
        // In steps of 0.35 °C.
        0x58 => Object::Number { name: names::TEMPERATURE, length: 1, signed: true, times: 35, per: 100 },
        0x59 => sint(names::COUNT, 1, 1),
        0x5a => sint(names::COUNT, 2, 1),
        0x5b => sint(names::COUNT, 4, 1),
        0x5c => sint(names::POWER, 4, 100),
        0x5d => sint(names::CURRENT, 2, 1000),
        0x5e => uint(names::DIRECTION, 2, 100),
        0x5f => uint(names::PRECIPITATION, 2, 10),
        0x60 => uint(names::CHANNEL, 1, 1),
        0x61 => uint(names::ROTATIONAL_SPEED, 2, 1),
        0x62 => sint(names::SPEED, 4, 1_000_000),
        0x63 => sint(names::ACCELERATION, 4, 1_000_000),
        0x64 => uint(names::LIGHT_LEVEL, 1, 1),
        0x65 => uint(names::SETTINGS_REVISION, 1, 1),
        0xf0 => uint(names::DEVICE_TYPE, 2, 1),
        0xf1 => Object::Firmware(4),
        0xf2 => Object::Firmware(3),
        _ => return None,
    })
}

/// What was done to a button. None for 0, which holds the place of a button that nobody touched.
pub fn button(event: u8) -> Option<&'static str> {
    Some(match event {
        0x01 => "press",
        0x02 => "doublePress",
        0x03 => "triplePress",
        0x04 => "longPress",
        0x05 => "longDoublePress",
        0x06 => "longTriplePress",
        0x80 => "holdPress",
        0x81 => "holdRelease",
        _ => return None,
    })
}

/// How a dimmer was turned; none as with buttons.
pub fn dimmer(event: u8) -> Option<&'static str> {
    Some(match event {
        0x01 => "rotateLeft",
        0x02 => "rotateRight",
        _ => return None,
    })
}

/// What a remote control asks for.
pub fn command(code: u8) -> Option<&'static str> {
    Some(match code {
        0x00 => "off",
        0x01 => "on",
        0x02 => "toggle",
        0x03 => "stepUp",
        0x04 => "stepDown",
        _ => return None,
    })
}
