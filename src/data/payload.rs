//! Every payload of this stage, written straight into bytes. Pure: no clock, no I/O. The examples under
//! `docs/mqtt/examples` are what these functions give.

use std::{collections::BTreeMap, time::Duration};

use mapper_api::{DataType, Value};
use serde_json::{Value as Json, json};

use super::{moment::write_rfc3339, snapshot::Quality};
use crate::model::{Device, DeviceId, Property};

/// The largest `bridge/<node>/devices`, in bytes.
pub const DEVICES_LIMIT: usize = 64 << 10;

/// Appends a text as JSON.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(&mut *out, text).expect("a Vec takes every byte");
}

/// Appends a whole number.
pub fn write_whole(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a value. `wide` integers become texts; what is no number becomes null.
pub fn write_value(out: &mut Vec<u8>, value: &Value, wide: bool) {
    let quote = |out: &mut Vec<u8>, digits: &[u8]| {
        if wide {
            out.push(b'"');
        }
        out.extend_from_slice(digits);
        if wide {
            out.push(b'"');
        }
    };
    match value {
        Value::Bool(v) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
        Value::Int(v) => quote(out, itoa::Buffer::new().format(*v).as_bytes()),
        Value::Uint(v) => quote(out, itoa::Buffer::new().format(*v).as_bytes()),
        // serde_json writes the shortest form that reads back the same, in either precision, and null for NaN.
        Value::Float32(v) => serde_json::to_writer(out, v).expect("a Vec takes every byte"),
        Value::Float64(v) => serde_json::to_writer(out, v).expect("a Vec takes every byte"),
        Value::Text(v) => write_text(out, v),
        Value::Bytes(_) => write_text(out, &value.to_string()),
    }
}

/// Appends `{"reason":...,"detail":...}`.
pub fn write_bad(out: &mut Vec<u8>, reason: &str, detail: &str) {
    out.extend_from_slice(b"{\"reason\":");
    write_text(out, reason);
    if !detail.is_empty() {
        out.extend_from_slice(b",\"detail\":");
        write_text(out, detail);
    }
    out.push(b'}');
}

/// Appends `{"node":...,"boot":...,` : what does not change within a boot.
pub fn write_origin(out: &mut Vec<u8>, node: &str, boot: &str) {
    out.extend_from_slice(b"{\"node\":");
    write_text(out, node);
    out.extend_from_slice(b",\"boot\":");
    write_text(out, boot);
    out.push(b',');
}

/// Appends `"seq":...,"time":"...",`.
pub fn write_place(out: &mut Vec<u8>, seq: u64, wall: Duration) {
    out.extend_from_slice(b"\"seq\":");
    write_whole(out, seq);
    out.push(b',');
    write_time(out, "time", wall);
    out.push(b',');
}

fn write_time(out: &mut Vec<u8>, key: &str, wall: Duration) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":\"");
    write_rfc3339(out, wall);
    out.push(b'"');
}

/// What may stand at the end of a `readings` message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tail {
    /// It was taken before the present connection to the broker.
    pub historical: bool,
    /// How many messages of this device were dropped just before it.
    pub dropped: u64,
    /// Its time is not to be trusted.
    pub clock_unset: bool,
}

/// A `readings` message. `origin` is from [`write_origin`], `body` from the lane: `"values":{...}` and perhaps `,"bad":{...}`.
pub fn readings(origin: &[u8], seq: u64, wall: Duration, body: &[u8], tail: Tail) -> Vec<u8> {
    let mut out = Vec::with_capacity(origin.len() + body.len() + 128);
    out.extend_from_slice(origin);
    write_place(&mut out, seq, wall);
    out.extend_from_slice(body);
    if tail.historical {
        out.extend_from_slice(b",\"historical\":true");
    }
    if tail.dropped > 0 {
        out.extend_from_slice(b",\"dropped\":");
        write_whole(&mut out, tail.dropped);
    }
    if tail.clock_unset {
        out.extend_from_slice(b",\"clock\":\"unset\"");
    }
    out.push(b'}');
    out
}

/// One property in `state`.
pub struct StateProperty<'a> {
    /// The property.
    pub property: &'a Property,
    /// The last good value and its wall time; none while bad.
    pub value: Option<(&'a Value, Duration)>,
    /// Its quality.
    pub quality: Quality,
    /// Why it is not good.
    pub reason: &'a str,
    /// More about that.
    pub detail: &'a str,
    /// Whether the device holds the desired value; none while that is unknown.
    pub synced: Option<bool>,
    /// How old its value may be before it counts as stale.
    pub max_age: Duration,
}

/// The `state` message.
pub fn state<'a>(
    origin: &[u8],
    seq: u64,
    wall: Duration,
    properties: impl Iterator<Item = StateProperty<'a>>,
    size: usize,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(origin);
    write_place(&mut out, seq, wall);
    out.extend_from_slice(b"\"properties\":{");
    for (i, p) in properties.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_text(&mut out, &p.property.name);
        out.extend_from_slice(b":{\"value\":");
        match p.value {
            Some((value, at)) => {
                write_value(&mut out, value, p.property.is_string_encoded());
                out.push(b',');
                write_time(&mut out, "time", at);
            }
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"quality\":\"");
        out.extend_from_slice(p.quality.name().as_bytes());
        out.push(b'"');
        if !p.reason.is_empty() {
            out.extend_from_slice(b",\"reason\":");
            write_text(&mut out, p.reason);
        }
        if !p.detail.is_empty() {
            out.extend_from_slice(b",\"detail\":");
            write_text(&mut out, p.detail);
        }
        out.extend_from_slice(b",\"maxAgeMs\":");
        write_whole(&mut out, millis(p.max_age.min(FOR_EVER)));
        if let Some(desired) = &p.property.desired {
            out.extend_from_slice(b",\"desired\":");
            write_value(&mut out, &desired.value, p.property.is_string_encoded());
            if let Some(synced) = p.synced {
                out.extend_from_slice(if synced { b",\"synced\":true" } else { b",\"synced\":false" });
            }
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"}}");
    out
}

/// The `availability` message; a reason makes it offline.
pub fn availability(node: &str, since: Duration, reason: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(if reason.is_some() {
        b"{\"state\":\"offline\",\"node\":"
    } else {
        b"{\"state\":\"online\",\"node\":"
    });
    write_text(&mut out, node);
    out.push(b',');
    write_time(&mut out, "since", since);
    if let Some(reason) = reason {
        out.extend_from_slice(b",\"reason\":");
        write_text(&mut out, reason);
    }
    out.push(b'}');
    out
}

/// The name of the payloads' form.
pub const SCHEMA: &str = "fieldgate/1";

/// The `info` message.
pub fn info(node: &str, device: &Device) -> Vec<u8> {
    let mut properties = serde_json::Map::new();
    for p in &device.properties {
        let mut entry = serde_json::Map::new();
        let mut put = |key: &str, value: Json| entry.insert(key.into(), value);
        put("type", p.data_type.name().into());
        if p.is_string_encoded() {
            put("encoding", "string".into());
        } else if p.data_type == DataType::Bytes {
            put("encoding", "hex".into());
        }
        if let Some(unit) = &p.unit {
            put("unit", unit.as_str().into());
        }
        put("access", json!(p.access));
        if p.poll_every != device.poll_every && p.access.can_read() {
            put("pollEveryMs", millis(p.poll_every).into());
        }
        if let Some(min) = p.min {
            put("min", number(min));
        }
        if let Some(max) = p.max {
            put("max", number(max));
        }
        if let Some(labels) = p.shape.labels() {
            let labels = labels.iter().map(|(raw, name)| (raw.to_string(), name.as_str().into())).collect();
            put("labels", Json::Object(labels));
        }
        if p.desired.is_some() {
            put("ownedBy", "desired".into());
        }
        properties.insert(p.name.to_string(), Json::Object(entry));
    }
    let mut message = json!({"schema": SCHEMA, "node": node});
    if let Some(model) = &device.model {
        message["model"] = model.as_str().into();
    }
    message["protocol"] = device.bound.protocol().into();
    message["pollEveryMs"] = millis(device.poll_every).into();
    message["properties"] = properties.into();
    message.to_string().into_bytes()
}

/// A limit as people write it: 30, not 30.0.
fn number(limit: f64) -> Json {
    #[allow(clippy::cast_possible_truncation)] // checked: it is whole and small
    if limit.fract() == 0.0 && limit.abs() < 1e15 { Json::from(limit as i64) } else { limit.into() }
}

/// What never grows old is told as a number that every reader of JSON can hold: a hundred years.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn time(wall: Duration) -> Json {
    let mut out = Vec::with_capacity(24);
    write_rfc3339(&mut out, wall);
    String::from_utf8_lossy(&out).into()
}

/// The bridge's `state`: online since, offline by the last will, or stopped.
pub fn bridge_online(boot: &str, since: Duration) -> Vec<u8> {
    json!({"state": "online", "boot": boot, "since": time(since)}).to_string().into_bytes()
}

/// The last will.
pub fn bridge_will(boot: &str) -> Vec<u8> {
    json!({"state": "offline", "boot": boot}).to_string().into_bytes()
}

/// The orderly end.
pub fn bridge_stopped(boot: &str) -> Vec<u8> {
    json!({"state": "offline", "boot": boot, "reason": "stopped"}).to_string().into_bytes()
}

/// The bridge's `info`.
pub fn bridge_info(node: &super::Node, boot: &str, started: Duration) -> Vec<u8> {
    json!({
        "schema": SCHEMA,
        "node": node.name,
        "boot": boot,
        "started": time(started),
        "version": env!("CARGO_PKG_VERSION"),
        "source": node.source,
        "protocols": node.protocols,
    })
    .to_string()
    .into_bytes()
}

/// Whether a device is served, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It is.
    Ready,
    /// It is not.
    NotReady {
        /// One word, such as `config` or `timeout`.
        reason: String,
        /// One line for people.
        message: String,
    },
}

/// The bridge's `devices`: above [`DEVICES_LIMIT`] only those not ready, and of those as many as there is room for.
pub fn bridge_devices(devices: &BTreeMap<DeviceId, Readiness>) -> Vec<u8> {
    let render = |entries: &[(&DeviceId, &Readiness)]| {
        let listed: serde_json::Map<String, Json> = entries
            .iter()
            .map(|(id, readiness)| {
                let entry = match readiness {
                    Readiness::Ready => json!({"ready": true}),
                    Readiness::NotReady { reason, message } => {
                        json!({"ready": false, "reason": reason, "message": message})
                    }
                };
                (id.to_string(), entry)
            })
            .collect();
        json!({"count": devices.len(), "notListed": devices.len() - listed.len(), "devices": listed})
            .to_string()
            .into_bytes()
    };
    let mut entries: Vec<_> = devices.iter().collect();
    let mut out = render(&entries);
    if out.len() > DEVICES_LIMIT {
        entries.retain(|(_, readiness)| **readiness != Readiness::Ready);
        out = render(&entries);
    }
    while out.len() > DEVICES_LIMIT {
        let keep = entries.len() * DEVICES_LIMIT / out.len();
        entries.truncate(keep.min(entries.len() - 1));
        out = render(&entries);
    }
    out
}

/// What `bridge/<node>/health` tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// Wall time.
    pub time: Duration,
    /// Since the start.
    pub uptime: Duration,
    /// Resident memory.
    pub rss_bytes: u64,
    /// What waits.
    pub outbox: super::outbox::Stats,
    /// How long the oldest message has been waiting.
    pub oldest: Duration,
    /// `readings` messages that the broker took.
    pub published: u64,
    /// Exchanges that were answered.
    pub exchanges_ok: u64,
    /// Exchanges that were not.
    pub exchanges_failed: u64,
    /// Polls that were skipped.
    pub periods_missed: u64,
    /// The buses, by protocol and resource: `modbus:tcp:10.0.0.7:502`.
    pub buses: BTreeMap<String, BusHealth>,
}

/// How a bus does.
#[derive(Debug, Clone, PartialEq)]
pub struct BusHealth {
    /// One word: `up`, `down`, `opening`.
    pub state: String,
    /// The share of time that it was busy lately, 0 to 1.
    pub utilisation: f64,
}

/// The bridge's `health`.
pub fn bridge_health(health: &Health) -> Vec<u8> {
    let buses: serde_json::Map<String, Json> = health
        .buses
        .iter()
        .map(|(key, bus)| {
            let share = (bus.utilisation * 1000.0).round() / 1000.0;
            (key.clone(), json!({"state": bus.state, "utilisation": share}))
        })
        .collect();
    json!({
        "time": time(health.time),
        "uptimeMs": millis(health.uptime),
        "rssBytes": health.rss_bytes,
        "outbox": {
            "messages": health.outbox.messages,
            "bytes": health.outbox.bytes,
            "oldestMs": millis(health.oldest),
            "dropped": health.outbox.dropped,
        },
        "published": health.published,
        "exchangesOk": health.exchanges_ok,
        "exchangesFailed": health.exchanges_failed,
        "periodsMissed": health.periods_missed,
        "buses": buses,
    })
    .to_string()
    .into_bytes()
}
