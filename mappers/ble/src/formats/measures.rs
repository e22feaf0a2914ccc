//! The names of what the formats of this folder say, each with its unit, and a message put together from them.

use mapper_api::Value;

use super::{Format, Measure, Message};

/// A name and its unit.
pub(crate) type Name = (&'static str, &'static str);

pub(crate) const TEMPERATURE: Name = ("temperature", "°C");
pub(crate) const HUMIDITY: Name = ("humidity", "%");
pub(crate) const PRESSURE: Name = ("pressure", "hPa");
pub(crate) const BATTERY_LEVEL: Name = ("batteryLevel", "%");
pub(crate) const TEMPERATURE_ALARM: Name = ("temperatureAlarm", "°C");
pub(crate) const TEMPERATURE_ALARM_LOW: Name = ("temperatureAlarmLow", "°C");
pub(crate) const POWER_ON: Name = ("powerOn", "");
pub(crate) const POWER: Name = ("power", "W");
pub(crate) const PROBLEM: Name = ("problem", "");
pub(crate) const OPENING: Name = ("opening", "");
pub(crate) const LEFT_OPEN: Name = ("leftOpen", "");
pub(crate) const MOTION: Name = ("motion", "");
pub(crate) const MOVING: Name = ("moving", "");
pub(crate) const LIGHT: Name = ("light", "");
pub(crate) const LIGHT_LEVEL: Name = ("lightLevel", "");
pub(crate) const PRESSES: Name = ("presses", "");
pub(crate) const POSITION: Name = ("position", "%");
pub(crate) const BATTERY_VOLTAGE: Name = ("batteryVoltage", "V");
pub(crate) const TX_POWER: Name = ("txPower", "dBm");
pub(crate) const ACCELERATION_X: Name = ("accelerationX", "m/s²");
pub(crate) const ACCELERATION_Y: Name = ("accelerationY", "m/s²");
pub(crate) const ACCELERATION_Z: Name = ("accelerationZ", "m/s²");
pub(crate) const MOVEMENT_COUNTER: Name = ("movementCounter", "");
pub(crate) const SEQUENCE: Name = ("measurementSequence", "");
pub(crate) const PM1: Name = ("pm1", "µg/m³");
pub(crate) const PM25: Name = ("pm25", "µg/m³");
pub(crate) const PM4: Name = ("pm4", "µg/m³");
pub(crate) const PM10: Name = ("pm10", "µg/m³");
pub(crate) const CO2: Name = ("co2", "ppm");
pub(crate) const VOC_INDEX: Name = ("vocIndex", "");
pub(crate) const NOX_INDEX: Name = ("noxIndex", "");
pub(crate) const ILLUMINANCE: Name = ("illuminance", "lx");
pub(crate) const CALIBRATING: Name = ("calibrating", "");
pub(crate) const UUID: Name = ("uuid", "");
pub(crate) const MAJOR: Name = ("major", "");
pub(crate) const MINOR: Name = ("minor", "");
pub(crate) const MEASURED_POWER: Name = ("measuredPower", "dBm");
pub(crate) const BEACON_ID: Name = ("beaconId", "");
pub(crate) const MANUFACTURER_RESERVED: Name = ("manufacturerReserved", "");
pub(crate) const NAMESPACE: Name = ("namespace", "");
pub(crate) const INSTANCE: Name = ("instance", "");
pub(crate) const URL: Name = ("url", "");
pub(crate) const EPHEMERAL_ID: Name = ("ephemeralId", "");
pub(crate) const ADVERTISING_COUNT: Name = ("advertisingCount", "");
pub(crate) const UPTIME: Name = ("uptime", "s");

/// The values of one message, in its order; each is counted among those of its name.
#[derive(Debug, Default)]
pub(crate) struct Measures(pub Vec<Measure>);

impl Measures {
    /// Adds a value of this name and unit.
    pub fn add(&mut self, name: Name, value: impl Into<Value>) {
        let before = self.0.iter().filter(|measure| measure.name == name.0).count();
        self.add_at(name, u8::try_from(before + 1).unwrap_or(u8::MAX), value);
    }

    /// Adds a value that has a place of its own among those of its name, such as the number of a probe.
    pub fn add_at(&mut self, (name, unit): Name, index: u8, value: impl Into<Value>) {
        self.0.push(Measure { name, index, value: value.into(), unit });
    }

    /// Adds a value, unless the device says that it has none.
    pub fn add_some(&mut self, what: Name, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(what, value);
        }
    }

    /// A message in clear of these values.
    pub fn message(self, format: Format) -> Message {
        Message { format, model: None, measures: self.0, sleepy: false, encrypted: false, counter: None, packet: None }
    }
}
