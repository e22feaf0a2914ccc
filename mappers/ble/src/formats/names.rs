//! Every name that a measure may have, with its unit and its kind: one word for one thing in all formats. A decoder
//! makes measures of these and no others.

/// What a measure is called, and what its value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// In camelCase, as in `reading: temperature`.
    pub name: &'static str,
    /// The unit; empty if it has none.
    pub unit: &'static str,
    /// What its value is.
    pub kind: Kind,
}

/// What the value of a measure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Value::Bool`](mapper_api::Value::Bool).
    Bool,
    /// A whole number: [`Value::Int`](mapper_api::Value::Int) or [`Value::Uint`](mapper_api::Value::Uint).
    Whole,
    /// [`Value::Float64`](mapper_api::Value::Float64), also when it happens to be whole.
    Number,
    /// [`Value::Text`](mapper_api::Value::Text).
    Text,
    /// [`Value::Bytes`](mapper_api::Value::Bytes).
    Bytes,
}

/// The name as a property writes it.
pub fn find(name: &str) -> Option<&'static Name> {
    ALL.iter().find(|known| known.name == name)
}

macro_rules! names {
    ($($(#[$about:meta])* $id:ident $name:literal $unit:literal $kind:ident;)*) => {
        $($(#[$about])* pub const $id: Name = Name { name: $name, unit: $unit, kind: Kind::$kind };)*

        /// All of them.
        pub const ALL: &[Name] = &[$($id),*];
    };
}

names! {
    // Air, weather, soil.
    /// Of the air, the water, or whatever the device measures.
    TEMPERATURE "temperature" "°C" Number;
    /// From which temperature on the device gives an alarm.
    TEMPERATURE_ALARM "temperatureAlarm" "°C" Number;
    /// Below which temperature the device gives an alarm.
    TEMPERATURE_ALARM_LOW "temperatureAlarmLow" "°C" Number;
    /// Relative humidity of the air.
    HUMIDITY "humidity" "%" Number;
    /// The temperature at which water condenses.
    DEW_POINT "dewPoint" "°C" Number;
    /// Of the air.
    PRESSURE "pressure" "hPa" Number;
    /// Light falling on the device.
    ILLUMINANCE "illuminance" "lx" Number;
    /// A step of brightness that the device defines.
    LIGHT_LEVEL "lightLevel" "" Whole;
    /// Index of ultraviolet radiation.
    UV_INDEX "uvIndex" "" Number;
    /// Rain since a moment that the device defines.
    PRECIPITATION "precipitation" "mm" Number;
    /// Water in soil or another material.
    MOISTURE "moisture" "%" Number;
    /// Electrical conductivity of soil: its fertility.
    CONDUCTIVITY "conductivity" "µS/cm" Number;
    /// Carbon dioxide.
    CO2 "co2" "ppm" Number;
    /// Volatile organic compounds.
    TVOC "tvoc" "µg/m³" Number;
    /// Particles up to 2.5 µm.
    PM25 "pm25" "µg/m³" Number;
    /// Particles up to 1 µm.
    PM1 "pm1" "µg/m³" Number;
    /// Particles up to 4 µm.
    PM4 "pm4" "µg/m³" Number;
    /// Particles up to 10 µm.
    PM10 "pm10" "µg/m³" Number;
    /// Volatile organic compounds against their average of 100.
    VOC_INDEX "vocIndex" "" Whole;
    /// Nitrogen oxides against their usual 1.
    NOX_INDEX "noxIndex" "" Whole;
    /// Formaldehyde.
    FORMALDEHYDE "formaldehyde" "mg/m³" Number;

    // Electricity, water, gas.
    /// Power drawn or given.
    POWER "power" "W" Number;
    /// Energy counted.
    ENERGY "energy" "kWh" Number;
    /// Of whatever the device measures; a battery's own is [`BATTERY_VOLTAGE`] where the format tells them apart.
    VOLTAGE "voltage" "V" Number;
    /// Electric current.
    CURRENT "current" "A" Number;
    /// A volume measured.
    VOLUME "volume" "L" Number;
    /// A volume in store.
    VOLUME_STORAGE "volumeStorage" "L" Number;
    /// A volume in a time.
    VOLUME_FLOW_RATE "volumeFlowRate" "m³/h" Number;
    /// Water counted.
    WATER "water" "L" Number;
    /// Gas counted.
    GAS "gas" "m³" Number;

    // Mechanics.
    /// A mass that has settled.
    MASS "mass" "kg" Number;
    /// A mass from a device that is set to pounds.
    MASS_POUNDS "massPounds" "lb" Number;
    /// Distance to or between things.
    DISTANCE "distance" "m" Number;
    /// How long something took or takes.
    DURATION "duration" "s" Number;
    /// Speed.
    SPEED "speed" "m/s" Number;
    /// Acceleration.
    ACCELERATION "acceleration" "m/s²" Number;
    /// Acceleration along the device's first axis.
    ACCELERATION_X "accelerationX" "m/s²" Number;
    /// Acceleration along the second.
    ACCELERATION_Y "accelerationY" "m/s²" Number;
    /// Acceleration along the third.
    ACCELERATION_Z "accelerationZ" "m/s²" Number;
    /// How far a curtain or a blind is moved; which end is 0 the device defines.
    POSITION "position" "%" Number;
    /// Speed of turning.
    GYROSCOPE "gyroscope" "°/s" Number;
    /// Speed of turning of a machine.
    ROTATIONAL_SPEED "rotationalSpeed" "rpm" Number;
    /// How far something is turned.
    ROTATION "rotation" "°" Number;
    /// A direction of the compass, clockwise from north.
    DIRECTION "direction" "°" Number;

    // What is so, or is not.
    /// A yes or no whose meaning the device defines.
    STATE "state" "" Bool;
    /// Something has power, is switched on.
    POWER_ON "powerOn" "" Bool;
    /// Something is open.
    OPENING "opening" "" Bool;
    /// A door is open.
    DOOR "door" "" Bool;
    /// The door of a garage is open.
    GARAGE_DOOR "garageDoor" "" Bool;
    /// A window is open.
    WINDOW "window" "" Bool;
    /// It has been open for too long.
    LEFT_OPEN "leftOpen" "" Bool;
    /// A lock is not locked.
    UNLOCKED "unlocked" "" Bool;
    /// The lock against children is locked.
    CHILD_LOCK "childLock" "" Bool;
    /// The lock against opening from outside is locked.
    ANTI_LOCK "antiLock" "" Bool;
    /// An alarm system watches.
    ARMED "armed" "" Bool;
    /// Water where none should be.
    WET "wet" "" Bool;
    /// Something moved before the device.
    MOTION "motion" "" Bool;
    /// How long nothing has moved.
    IDLE_TIME "idleTime" "s" Number;
    /// The device itself is moved.
    MOVING "moving" "" Bool;
    /// Somebody is there.
    OCCUPANCY "occupancy" "" Bool;
    /// Somebody or something is at home.
    PRESENCE "presence" "" Bool;
    /// There is light.
    LIGHT "light" "" Bool;
    /// There is a sound.
    SOUND "sound" "" Bool;
    /// The device shakes.
    VIBRATION "vibration" "" Bool;
    /// Somebody tampers with the device.
    TAMPER "tamper" "" Bool;
    /// There is smoke.
    SMOKE "smoke" "" Bool;
    /// There is carbon monoxide.
    CARBON_MONOXIDE "carbonMonoxide" "" Bool;
    /// There is gas.
    GAS_DETECTED "gasDetected" "" Bool;
    /// It is too cold.
    COLD "cold" "" Bool;
    /// It is too hot.
    HEAT "heat" "" Bool;
    /// It is connected to what it belongs to.
    CONNECTED "connected" "" Bool;
    /// It is plugged in.
    PLUGGED_IN "pluggedIn" "" Bool;
    /// Something is wrong.
    PROBLEM "problem" "" Bool;
    /// It runs.
    RUNNING "running" "" Bool;
    /// It is safe.
    SAFE "safe" "" Bool;
    /// An input of the device is on.
    INPUT "input" "" Bool;
    /// An output of the device is on.
    OUTPUT "output" "" Bool;

    // What happens.
    /// What was done to a button: `press`, `doublePress`, `triplePress`, `longPress`, `longDoublePress`,
    /// `longTriplePress`, `holdPress`, `holdRelease`. The index is the button's number.
    BUTTON "button" "" Text;
    /// What was done to a dimmer: `rotateLeft`, `rotateRight`, and with the knob pressed `rotateLeftPressed`,
    /// `rotateRightPressed`; `press`, `longPress`.
    DIMMER "dimmer" "" Text;
    /// By how many steps it was turned.
    DIMMER_STEPS "dimmerSteps" "" Whole;
    /// How often it was pressed.
    PRESSES "presses" "" Whole;
    /// How a cube was turned: `rotateLeft`, `rotateRight`.
    CUBE "cube" "" Text;
    /// What a remote control asks for: `off`, `on`, `toggle`, `stepUp`, `stepDown`.
    COMMAND "command" "" Text;
    /// What comes with a command; its maker defines it.
    COMMAND_ARGUMENTS "commandArguments" "" Bytes;
    /// What happened at a door: `opened`, `closed`, `leftOpen`, `knock`, `pried`, `stuck`.
    DOOR_EVENT "doorEvent" "" Text;
    /// What happened to a lock.
    LOCK_EVENT "lockEvent" "" Text;
    /// By what means: `bluetooth`, `password`, `biometrics` and so on.
    LOCK_METHOD "lockMethod" "" Text;
    /// By which key.
    KEY_ID "keyId" "" Whole;
    /// What a reader of fingerprints says: `matched`, or why not.
    FINGERPRINT "fingerprint" "" Text;

    // Beacons.
    /// The identity of a group of beacons.
    UUID "uuid" "" Text;
    /// The first number below it.
    MAJOR "major" "" Whole;
    /// The second.
    MINOR "minor" "" Whole;
    /// An identity in hexadecimal digits.
    BEACON_ID "beaconId" "" Text;
    /// The first part of an identity, in hexadecimal digits.
    NAMESPACE "namespace" "" Text;
    /// The second.
    INSTANCE "instance" "" Text;
    /// An identity that changes, in hexadecimal digits.
    EPHEMERAL_ID "ephemeralId" "" Text;
    /// An address of the web.
    URL "url" "" Text;
    /// How strong the beacon is at one metre, as it states itself.
    MEASURED_POWER "measuredPower" "dBm" Whole;
    /// What its maker may use.
    MANUFACTURER_RESERVED "manufacturerReserved" "" Whole;

    // Bodies.
    /// Beats of a heart.
    HEART_RATE "heartRate" "1/min" Number;
    /// Electrical resistance of a body.
    IMPEDANCE "impedance" "Ω" Number;
    /// Which of a device's users it is about.
    PROFILE "profile" "" Whole;
    /// Somebody sleeps.
    ASLEEP "asleep" "" Bool;
    /// Somebody wears it.
    WORN "worn" "" Bool;
    /// How well it went.
    SCORE "score" "" Whole;

    // The device itself.
    /// How full the battery is.
    BATTERY_LEVEL "batteryLevel" "%" Number;
    /// Voltage of the device's own battery.
    BATTERY_VOLTAGE "batteryVoltage" "V" Number;
    /// The battery should be changed.
    BATTERY_LOW "batteryLow" "" Bool;
    /// The battery is being charged.
    BATTERY_CHARGING "batteryCharging" "" Bool;
    /// How strong it sends, as it states itself.
    TX_POWER "txPower" "dBm" Whole;
    /// How long it has been on.
    UPTIME "uptime" "s" Number;
    /// How often it has sent since then.
    ADVERTISING_COUNT "advertisingCount" "" Whole;
    /// Number of a measurement: the same one means the same measurement.
    MEASUREMENT_SEQUENCE "measurementSequence" "" Whole;
    /// How often it was moved, modulo a number that the device defines.
    MOVEMENT_COUNTER "movementCounter" "" Whole;
    /// It is not calibrated yet, and so not accurate.
    CALIBRATING "calibrating" "" Bool;
    /// How much is left of what the device uses up.
    CONSUMABLE "consumable" "%" Number;
    /// What the device counts.
    COUNT "count" "" Whole;
    /// A channel that the device defines.
    CHANNEL "channel" "" Whole;
    /// Seconds since 1970, as the device states them.
    TIMESTAMP "timestamp" "s" Whole;
    /// A text that the device defines.
    TEXT "text" "" Text;
    /// Bytes that the device defines.
    RAW "raw" "" Bytes;
    /// Number of its model, which its maker defines.
    DEVICE_TYPE "deviceType" "" Whole;
    /// Version of its firmware.
    FIRMWARE_VERSION "firmwareVersion" "" Text;
    /// Grows with each change of its settings.
    SETTINGS_REVISION "settingsRevision" "" Whole;
}

#[cfg(test)]
mod tests {
    use super::{ALL, find};

    #[test]
    fn each_name_stands_once_and_is_in_camel_case() {
        for (i, name) in ALL.iter().enumerate() {
            assert!(ALL[..i].iter().all(|other| other.name != name.name), "{} stands twice", name.name);
            assert!(name.name.starts_with(|c: char| c.is_ascii_lowercase()), "{}", name.name);
            assert!(name.name.bytes().all(|c| c.is_ascii_alphanumeric()), "{}", name.name);
            assert_eq!(find(name.name), Some(name));
        }
        assert_eq!(find("Temperature"), None);
    }
}
