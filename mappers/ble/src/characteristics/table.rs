//! Which standard characteristics are known, by the 16-bit identifiers of Assigned Numbers, with what each of them says.

use super::{Characteristic, Form, number::Number, records};
use crate::formats::names::{self, BATTERY_LEVEL, HEART_RATE, HUMIDITY, Kind, MASS, Name, POWER, TEMPERATURE};

const fn name(name: &'static str, unit: &'static str, kind: Kind) -> Name {
    Name { name, unit, kind }
}

const fn number(id: u16, fields: &'static [Name], number: Number) -> Characteristic {
    Characteristic { id, fields, form: Form::Number(number) }
}

const fn text(id: u16, fields: &'static [Name]) -> Characteristic {
    Characteristic { id, fields, form: Form::Text }
}

/// In kilograms in a cubic metre on the wire, in micrograms here.
const fn concentration(id: u16, fields: &'static [Name]) -> Characteristic {
    Characteristic { id, fields, form: Form::Medfloat16(9) }
}

const fn of(id: u16, fields: &'static [Name], form: Form) -> Characteristic {
    Characteristic { id, fields, form }
}

/// No value of two, three or four bytes: "value is not known".
const NONE_16: &[i64] = &[0xffff];
const NONE_24: &[i64] = &[0xff_ffff];
const NONE_S32: &[i64] = &[0x7fff_ffff];
/// The same, and "value is not valid" or "... or greater".
const NONE_16_OR_MORE: &[i64] = &[0xfffe, 0xffff];
const NONE_24_OR_INVALID: &[i64] = &[0xff_fffe, 0xff_ffff];

pub(super) const CURRENT_TIME: Name = name("currentTime", "", Kind::Text);
pub(super) const DAY_OF_WEEK: Name = name("dayOfWeek", "", Kind::Whole);
pub(super) const ADJUST_REASON: Name = name("adjustReason", "", Kind::Whole);
/// When something was measured, by the device's clock.
pub(super) const MEASURED_AT: Name = name("measuredAt", "", Kind::Text);
pub(super) const TEMPERATURE_TYPE: Name = name("temperatureType", "", Kind::Whole);
pub(super) const SENSOR_CONTACT: Name = name("sensorContact", "", Kind::Bool);
pub(super) const ENERGY_EXPENDED: Name = name("energyExpended", "kJ", Kind::Number);
pub(super) const RR_INTERVAL: Name = name("rrInterval", "s", Kind::Number);
pub(super) const USER: Name = name("user", "", Kind::Whole);
pub(super) const BODY_MASS_INDEX: Name = name("bodyMassIndex", "kg/m²", Kind::Number);
pub(super) const HEIGHT: Name = name("height", "m", Kind::Number);
pub(super) const SYSTOLIC: Name = name("systolic", "mmHg", Kind::Number);
pub(super) const DIASTOLIC: Name = name("diastolic", "mmHg", Kind::Number);
pub(super) const MEAN_ARTERIAL: Name = name("meanArterialPressure", "mmHg", Kind::Number);
pub(super) const PULSE_RATE: Name = name("pulseRate", "1/min", Kind::Number);
pub(super) const OXYGEN_SATURATION: Name = name("oxygenSaturation", "%", Kind::Number);
pub(super) const WHEEL_REVOLUTIONS: Name = name("wheelRevolutions", "", Kind::Whole);
pub(super) const WHEEL_EVENT_TIME: Name = name("wheelEventTime", "s", Kind::Number);
pub(super) const CRANK_REVOLUTIONS: Name = name("crankRevolutions", "", Kind::Whole);
pub(super) const CRANK_EVENT_TIME: Name = name("crankEventTime", "s", Kind::Number);
pub(super) const PEDAL_BALANCE: Name = name("pedalPowerBalance", "%", Kind::Number);
pub(super) const TORQUE: Name = name("accumulatedTorque", "N·m", Kind::Number);
pub(super) const CADENCE: Name = name("cadence", "1/min", Kind::Number);
pub(super) const STRIDE_LENGTH: Name = name("strideLength", "m", Kind::Number);
pub(super) const TOTAL_DISTANCE: Name = name("totalDistance", "m", Kind::Number);
pub(super) const BATTERY_PRESENT: Name = name("batteryPresent", "", Kind::Bool);
pub(super) const FLUX_X: Name = name("magneticFluxX", "µT", Kind::Number);
pub(super) const FLUX_Y: Name = name("magneticFluxY", "µT", Kind::Number);
pub(super) const FLUX_Z: Name = name("magneticFluxZ", "µT", Kind::Number);
pub(super) const VENDOR_SOURCE: Name = name("vendorIdSource", "", Kind::Whole);
pub(super) const VENDOR: Name = name("vendorId", "", Kind::Whole);
pub(super) const PRODUCT: Name = name("productId", "", Kind::Whole);
pub(super) const PRODUCT_VERSION: Name = name("productVersion", "", Kind::Whole);

const BLOOD_PRESSURE: &[Name] = &[SYSTOLIC, DIASTOLIC, MEAN_ARTERIAL, PULSE_RATE, USER, MEASURED_AT];
const THERMOMETER: &[Name] = &[TEMPERATURE, TEMPERATURE_TYPE, MEASURED_AT];

/// All of them. Numbers are given as their width in bytes and how many of them are one unit.
pub(super) const ALL: &[Characteristic] = &[
    // The device and its battery.
    text(0x2a00, &[name("deviceName", "", Kind::Text)]),
    number(0x2a01, &[name("appearance", "", Kind::Whole)], Number::unsigned(2, 1)),
    number(0x2a06, &[name("alertLevel", "", Kind::Whole)], Number::unsigned(1, 1).within(0, 2)),
    number(0x2a07, &[names::TX_POWER], Number::signed(1, 1).within(-100, 20)),
    of(0x2a08, &[name("dateTime", "", Kind::Text)], Form::DateTime),
    number(0x2a19, &[BATTERY_LEVEL], Number::unsigned(1, 1).within(0, 100)),
    of(0x2a23, &[name("systemId", "", Kind::Text)], Form::Digits),
    text(0x2a24, &[name("modelNumber", "", Kind::Text)]),
    text(0x2a25, &[name("serialNumber", "", Kind::Text)]),
    text(0x2a26, &[name("firmwareRevision", "", Kind::Text)]),
    text(0x2a27, &[name("hardwareRevision", "", Kind::Text)]),
    text(0x2a28, &[name("softwareRevision", "", Kind::Text)]),
    text(0x2a29, &[name("manufacturerName", "", Kind::Text)]),
    of(0x2a2b, &[CURRENT_TIME, DAY_OF_WEEK, ADJUST_REASON], Form::CurrentTime),
    of(0x2a50, &[VENDOR, VENDOR_SOURCE, PRODUCT, PRODUCT_VERSION], Form::Record(records::pnp)),
    of(
        0x2bed,
        &[BATTERY_PRESENT, names::PLUGGED_IN, names::BATTERY_CHARGING, names::BATTERY_LOW, BATTERY_LEVEL],
        Form::Record(records::battery_status),
    ),
    // Weather and air.
    number(0x2a2c, &[name("magneticDeclination", "°", Kind::Number)], Number::unsigned(2, 100)),
    number(0x2a6c, &[name("elevation", "m", Kind::Number)], Number::signed(3, 100)),
    number(0x2a6d, &[names::PRESSURE], Number::unsigned(4, 1000)),
    number(0x2a6e, &[TEMPERATURE], Number::signed(2, 100).within(-27_315, 32_767).except(&[-32_768])),
    number(0x2a6f, &[HUMIDITY], Number::unsigned(2, 100).within(0, 10_000).except(NONE_16)),
    number(0x2a70, &[name("trueWindSpeed", "m/s", Kind::Number)], Number::unsigned(2, 100)),
    number(0x2a71, &[name("trueWindDirection", "°", Kind::Number)], Number::unsigned(2, 100)),
    number(0x2a72, &[name("apparentWindSpeed", "m/s", Kind::Number)], Number::unsigned(2, 100)),
    number(0x2a73, &[name("apparentWindDirection", "°", Kind::Number)], Number::unsigned(2, 100)),
    number(0x2a74, &[name("gustFactor", "", Kind::Number)], Number::unsigned(1, 10)),
    number(0x2a75, &[name("pollenConcentration", "1/m³", Kind::Number)], Number::unsigned(3, 1)),
    number(0x2a76, &[names::UV_INDEX], Number::unsigned(1, 1)),
    number(0x2a77, &[name("irradiance", "W/m²", Kind::Number)], Number::unsigned(2, 10)),
    number(0x2a78, &[name("rainfall", "mm", Kind::Number)], Number::unsigned(2, 1)),
    number(0x2a79, &[name("windChill", "°C", Kind::Number)], Number::signed(1, 1)),
    number(0x2a7a, &[name("heatIndex", "°C", Kind::Number)], Number::signed(1, 1)),
    number(0x2a7b, &[names::DEW_POINT], Number::signed(1, 1)),
    of(0x2aa0, &[FLUX_X, FLUX_Y], Form::Record(records::flux_2d)),
    of(0x2aa1, &[FLUX_X, FLUX_Y, FLUX_Z], Form::Record(records::flux_3d)),
    number(0x2aa3, &[name("pressureTrend", "", Kind::Whole)], Number::unsigned(1, 1).within(0, 9)),
    number(0x2afb, &[names::ILLUMINANCE], Number::unsigned(3, 100).except(NONE_24)),
    number(0x2b8c, &[names::CO2], Number::unsigned(2, 1).except(NONE_16_OR_MORE)),
    concentration(0x2bcf, &[name("ammoniaConcentration", "µg/m³", Kind::Number)]),
    concentration(0x2bd0, &[name("carbonMonoxideConcentration", "µg/m³", Kind::Number)]),
    of(0x2bd1, &[name("methaneConcentration", "ppb", Kind::Number)], Form::Medfloat16(0)),
    concentration(0x2bd2, &[name("nitrogenDioxideConcentration", "µg/m³", Kind::Number)]),
    concentration(0x2bd4, &[name("ozoneConcentration", "µg/m³", Kind::Number)]),
    concentration(0x2bd5, &[names::PM1]),
    concentration(0x2bd6, &[names::PM25]),
    concentration(0x2bd7, &[names::PM10]),
    concentration(0x2bd8, &[name("sulfurDioxideConcentration", "µg/m³", Kind::Number)]),
    number(0x2be4, &[name("noise", "dB", Kind::Number)], Number::unsigned(1, 1).except(&[0xfe, 0xff])),
    number(0x2be7, &[name("vocConcentration", "ppb", Kind::Number)], Number::unsigned(2, 1).except(NONE_16_OR_MORE)),
    number(0x2c1b, &[HUMIDITY], Number::unsigned(1, 2).within(0, 200).except(&[0xff])),
    // Quantities of many uses.
    of(0x2ae2, &[names::STATE], Form::Bool),
    number(0x2aea, &[names::COUNT], Number::unsigned(2, 1).except(NONE_16)),
    number(0x2aeb, &[names::COUNT], Number::unsigned(3, 1).except(NONE_24)),
    number(0x2aee, &[names::CURRENT], Number::unsigned(2, 100).except(NONE_16)),
    number(0x2af2, &[names::ENERGY], Number::unsigned(3, 1).except(NONE_24)),
    number(0x2af9, &[name("level", "", Kind::Whole)], Number::unsigned(2, 1)),
    number(0x2b04, &[name("percentage", "%", Kind::Number)], Number::unsigned(1, 2).within(0, 200).except(&[0xff])),
    number(0x2b05, &[POWER], Number::unsigned(3, 10).except(NONE_24_OR_INVALID)),
    number(0x2b0d, &[TEMPERATURE], Number::signed(1, 2).within(-128, 126).except(&[127])),
    number(0x2b18, &[names::VOLTAGE], Number::unsigned(2, 64).except(NONE_16)),
    number(0x2b1b, &[name("volumeFlow", "L/s", Kind::Number)], Number::unsigned(2, 1000).except(NONE_16)),
    number(0x2ba8, &[names::ENERGY], Number::unsigned(4, 1000).except(&[0xffff_fffe, 0xffff_ffff])),
    number(0x2bdf, &[TEMPERATURE], Number::signed(2, 2).except(&[-32_768, -32_767])),
    number(0x2be8, &[name("frequency", "Hz", Kind::Number)], Number::unsigned(2, 1).except(NONE_16_OR_MORE)),
    number(0x2c06, &[names::ACCELERATION], Number::signed(4, 1000).except(NONE_S32)),
    number(0x2c09, &[names::ROTATIONAL_SPEED], Number::signed(4, 1).except(NONE_S32)),
    number(0x2c2e, &[TEMPERATURE], Number::signed(2, 10).within(-1000, 10_000).except(&[-32_768])),
    // Bodies and sports.
    of(0x2a1c, THERMOMETER, Form::Record(records::thermometer)),
    number(0x2a1d, &[TEMPERATURE_TYPE], Number::unsigned(1, 1)),
    of(0x2a1e, THERMOMETER, Form::Record(records::thermometer)),
    number(0x2a21, &[name("measurementInterval", "s", Kind::Number)], Number::unsigned(2, 1)),
    of(0x2a35, BLOOD_PRESSURE, Form::Record(records::blood_pressure)),
    of(0x2a36, BLOOD_PRESSURE, Form::Record(records::blood_pressure)),
    of(0x2a37, &[HEART_RATE, SENSOR_CONTACT, ENERGY_EXPENDED, RR_INTERVAL], Form::Record(records::heart_rate)),
    number(0x2a38, &[name("bodySensorLocation", "", Kind::Whole)], Number::unsigned(1, 1)),
    number(0x2a39, &[name("heartRateControlPoint", "", Kind::Whole)], Number::unsigned(1, 1)),
    of(0x2a53, &[names::SPEED, CADENCE, STRIDE_LENGTH, TOTAL_DISTANCE, names::RUNNING], Form::Record(records::running)),
    of(
        0x2a5b,
        &[WHEEL_REVOLUTIONS, WHEEL_EVENT_TIME, CRANK_REVOLUTIONS, CRANK_EVENT_TIME],
        Form::Record(records::cycling),
    ),
    of(0x2a5e, &[OXYGEN_SATURATION, PULSE_RATE], Form::Record(records::oximeter)),
    of(0x2a5f, &[OXYGEN_SATURATION, PULSE_RATE], Form::Record(records::oximeter)),
    of(
        0x2a63,
        &[POWER, PEDAL_BALANCE, TORQUE, WHEEL_REVOLUTIONS, WHEEL_EVENT_TIME, CRANK_REVOLUTIONS, CRANK_EVENT_TIME],
        Form::Record(records::cycling_power),
    ),
    number(0x2a8e, &[HEIGHT], Number::unsigned(2, 100)),
    number(0x2a98, &[MASS], Number::unsigned(2, 200)),
    of(0x2a9d, &[MASS, USER, BODY_MASS_INDEX, HEIGHT, MEASURED_AT], Form::Record(records::weight)),
];
