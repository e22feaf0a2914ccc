//! Which names a format has, so that a property which can never come is refused before anybody waits for it. The decoders
//! are held to it by their tests.

#[allow(clippy::wildcard_imports)] // a table of nearly all of them
use super::{
    Format,
    names::{self, *},
};

/// Whether a message of this format may have a measure of this name.
pub(crate) fn gives(format: Format, name: &str) -> bool {
    all(format).iter().any(|known| known.name == name)
}

/// The formats that have it, as YAML writes them.
pub(crate) fn of(name: &str) -> impl Iterator<Item = Format> {
    super::DECODERS.iter().map(|(format, _)| *format).filter(move |format| gives(*format, name))
}

const fn all(format: Format) -> &'static [names::Name] {
    match format {
        Format::Bthome => &[
            ACCELERATION,
            BATTERY_CHARGING,
            BATTERY_LEVEL,
            BATTERY_LOW,
            BUTTON,
            CARBON_MONOXIDE,
            CHANNEL,
            CO2,
            COLD,
            COMMAND,
            COMMAND_ARGUMENTS,
            CONDUCTIVITY,
            CONNECTED,
            COUNT,
            CURRENT,
            DEVICE_TYPE,
            DEW_POINT,
            DIMMER,
            DIMMER_STEPS,
            DIRECTION,
            DISTANCE,
            DOOR,
            DURATION,
            ENERGY,
            FIRMWARE_VERSION,
            GARAGE_DOOR,
            GAS,
            GAS_DETECTED,
            GYROSCOPE,
            HEAT,
            HUMIDITY,
            ILLUMINANCE,
            LIGHT,
            LIGHT_LEVEL,
            MASS,
            MASS_POUNDS,
            MOISTURE,
            MOTION,
            MOVING,
            OCCUPANCY,
            OPENING,
            PLUGGED_IN,
            PM10,
            PM25,
            POWER,
            POWER_ON,
            PRECIPITATION,
            PRESENCE,
            PRESSURE,
            PROBLEM,
            RAW,
            ROTATION,
            ROTATIONAL_SPEED,
            RUNNING,
            SAFE,
            SETTINGS_REVISION,
            SMOKE,
            SOUND,
            SPEED,
            STATE,
            TAMPER,
            TEMPERATURE,
            TEXT,
            TIMESTAMP,
            TVOC,
            UNLOCKED,
            UV_INDEX,
            VIBRATION,
            VOLTAGE,
            VOLUME,
            VOLUME_FLOW_RATE,
            VOLUME_STORAGE,
            WATER,
            WET,
            WINDOW,
        ],
        Format::MiBeacon => &[
            ANTI_LOCK,
            ARMED,
            ASLEEP,
            BATTERY_CHARGING,
            BATTERY_LEVEL,
            BATTERY_LOW,
            BUTTON,
            CHILD_LOCK,
            CONDUCTIVITY,
            CONSUMABLE,
            COUNT,
            CUBE,
            DIMMER,
            DIMMER_STEPS,
            DOOR,
            DOOR_EVENT,
            DURATION,
            FINGERPRINT,
            FORMALDEHYDE,
            HEART_RATE,
            HUMIDITY,
            IDLE_TIME,
            ILLUMINANCE,
            IMPEDANCE,
            KEY_ID,
            LEFT_OPEN,
            LIGHT,
            LOCK_EVENT,
            LOCK_METHOD,
            MASS,
            MOISTURE,
            MOTION,
            OCCUPANCY,
            OPENING,
            POWER_ON,
            PRESSES,
            PROBLEM,
            PROFILE,
            RUNNING,
            SCORE,
            SMOKE,
            TAMPER,
            TEMPERATURE,
            UNLOCKED,
            WET,
            WORN,
        ],
        Format::Atc => &[BATTERY_LEVEL, BATTERY_VOLTAGE, HUMIDITY, INPUT, OUTPUT, TEMPERATURE],
        Format::Ruuvi => &[
            ACCELERATION_X,
            ACCELERATION_Y,
            ACCELERATION_Z,
            BATTERY_VOLTAGE,
            CALIBRATING,
            CO2,
            HUMIDITY,
            ILLUMINANCE,
            MEASUREMENT_SEQUENCE,
            MOVEMENT_COUNTER,
            NOX_INDEX,
            PM1,
            PM10,
            PM25,
            PM4,
            PRESSURE,
            TEMPERATURE,
            TX_POWER,
            VOC_INDEX,
        ],
        Format::Govee => &[BATTERY_LEVEL, CO2, HUMIDITY, PM25, TEMPERATURE, TEMPERATURE_ALARM, TEMPERATURE_ALARM_LOW],
        Format::SwitchBot => &[
            BATTERY_LEVEL,
            CO2,
            HUMIDITY,
            LEFT_OPEN,
            LIGHT,
            LIGHT_LEVEL,
            MOTION,
            MOVING,
            OPENING,
            POSITION,
            POWER,
            POWER_ON,
            PRESSES,
            PROBLEM,
            TEMPERATURE,
        ],
        Format::IBeacon => &[MAJOR, MEASURED_POWER, MINOR, UUID],
        Format::Eddystone => {
            &[ADVERTISING_COUNT, BATTERY_VOLTAGE, EPHEMERAL_ID, INSTANCE, NAMESPACE, TEMPERATURE, TX_POWER, UPTIME, URL]
        }
        Format::AltBeacon => &[BEACON_ID, MANUFACTURER_RESERVED, MEASURED_POWER],
        Format::Sig => &[BATTERY_LEVEL, DEW_POINT, HUMIDITY, ILLUMINANCE, POWER, PRESSURE, TEMPERATURE, VOLTAGE],
    }
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::formats::names::ALL;

    #[test]
    fn some_format_or_characteristic_has_every_name() {
        let in_a_format: Vec<_> = ALL.iter().filter(|name| of(name.name).next().is_some()).collect();
        assert!(in_a_format.len() > 100, "{}", in_a_format.len());
        assert_eq!(of("major").count(), 1);
    }
}
