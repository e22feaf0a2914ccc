//! From YAML to a checked device. Pure; all mistakes at once.

use std::{sync::Arc, time::Duration};

use mapper_api::{At, BindError, ByteOrder, DataType, Point, PointId, Value};
use mapper_values::{Shape, codec};
use serde_json::Value as Json;

use crate::{
    config::{Address, Endpoint, Wave},
    signal::Signal,
};

/// A checked device; its requests share it.
#[derive(Debug, PartialEq)]
pub struct Spec {
    /// Its name on the bus.
    pub device: String,
    /// How long an exchange takes.
    pub latency: Duration,
    /// It never answers.
    pub silent: bool,
    /// Its points; the index is the [`PointId`].
    pub points: Vec<Signalled>,
}

/// A checked point.
#[derive(Debug, PartialEq)]
pub struct Signalled {
    /// What it shows.
    pub signal: Signal,
    /// Of which type.
    pub data_type: DataType,
    /// The most bytes of a text or of bytes.
    pub size: Option<u16>,
    /// How often it is sent unasked.
    pub push_every: Option<Duration>,
    /// Whether it can be read.
    pub readable: bool,
}

/// The bus of an endpoint.
pub fn bus_name(endpoint: &Endpoint) -> &str {
    endpoint.bus.as_deref().unwrap_or("virtual")
}

/// Checks a device.
///
/// # Errors
/// All mistakes.
pub fn bind(endpoint: Endpoint, points: Vec<Point<Address>>) -> Result<Arc<Spec>, Vec<BindError>> {
    let mut errors = Vec::new();
    for (key, name) in [("bus", &endpoint.bus), ("device", &endpoint.device)] {
        if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > 63) {
            errors.push(BindError::config(At::Endpoint, key, "must have 1 to 63 characters"));
        }
    }
    let points = (0..).zip(points).map(|(id, point)| bind_point(id, point, &mut errors)).collect::<Vec<_>>();
    let points = points.into_iter().collect::<Option<Vec<_>>>();
    match points {
        Some(points) if errors.is_empty() => Ok(Arc::new(Spec {
            device: endpoint.device.unwrap_or_else(|| "device".to_owned()),
            latency: endpoint.latency.map_or(Duration::ZERO, |latency| latency.0),
            silent: endpoint.silent.unwrap_or(false),
            points,
        })),
        _ => Err(errors),
    }
}

fn bind_point(id: PointId, point: Point<Address>, errors: &mut Vec<BindError>) -> Option<Signalled> {
    let before = errors.len();
    let mut refuse = |path: &str, message: String| errors.push(BindError::config(At::Address(id), path, message));
    let Point { address, data_type, size, access, .. } = point;
    let push_every = address.push_every.map(|every| every.0);
    if push_every == Some(Duration::ZERO) {
        refuse("pushEvery", "must be longer than nothing".into());
    }
    let constant = |json: &Json| value(json, data_type, size);
    let mut signals: Vec<(&str, Result<Signal, String>)> = Vec::new();
    if let Some(json) = &address.constant {
        signals.push(("constant", constant(json).map(Signal::Constant)));
    }
    if let Some(wave) = address.sine {
        signals.push(("sine", number(data_type).and_then(|()| checked(wave)).map(Signal::Sine)));
    }
    if let Some(wave) = address.square {
        let fits = if data_type == DataType::Bool { Ok(()) } else { number(data_type) };
        signals.push(("square", fits.and_then(|()| checked(wave)).map(Signal::Square)));
    }
    if let Some(counter) = address.counter {
        signals.push(("counter", number(data_type).map(|()| Signal::Counter(counter))));
    }
    if let Some(json) = &address.memory {
        signals.push(("memory", constant(json).map(Signal::Memory)));
    }
    if let Some(word) = address.refused {
        signals.push(("refused", Ok(Signal::Refused(word))));
    }
    if signals.len() != 1 {
        let given = signals.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(" and ");
        let given = if given.is_empty() { "none is given".to_owned() } else { format!("{given} are given") };
        refuse("", format!("give one of constant, sine, square, counter, memory, refused; {given}"));
    }
    for (key, signal) in &signals {
        match signal {
            Err(message) => refuse(key, message.clone()),
            Ok(signal) if access.can_write() && !matches!(signal, Signal::Memory(_)) => {
                let message = format!("{key} cannot be written; only memory can, or access must be read");
                errors.push(BindError::config(At::Property(id), "access", message));
                break;
            }
            Ok(_) => {}
        }
    }
    let signal = signals.pop()?.1.ok()?;
    (errors.len() == before).then(|| Signalled { signal, data_type, size, push_every, readable: access.can_read() })
}

fn number(data_type: DataType) -> Result<(), String> {
    if data_type.is_number() { Ok(()) } else { Err(format!("is a number; the property's type is {data_type}")) }
}

fn checked(wave: Wave) -> Result<Wave, String> {
    if wave.min.is_nan() || wave.max.is_nan() || wave.min >= wave.max {
        return Err(format!("min ({}) must be less than max ({})", wave.min, wave.max));
    }
    if wave.period.0.is_zero() {
        return Err("period must be longer than nothing".into());
    }
    Ok(wave)
}

/// A raw value of the point's type, as YAML writes it.
fn value(json: &Json, data_type: DataType, size: Option<u16>) -> Result<Value, String> {
    let value = Value::from_json(json).ok_or("must be a number, true, false or a text")?;
    let value = Shape::default().raw(&value, data_type).map_err(|error| error.to_string())?;
    fits(&value, data_type, size)?;
    Ok(value)
}

/// Whether a raw value has a form of that type and size.
///
/// # Errors
/// What is wrong with it.
pub fn fits(value: &Value, data_type: DataType, size: Option<u16>) -> Result<(), String> {
    let size = size.or(Some(u16::MAX));
    codec::encode(value, data_type, ByteOrder::Abcd, size).map(|_| ()).map_err(|refusal| refusal.to_string())
}
