//! What the demo prints: nothing but what a subscriber receives. It knows topics and payloads, as any edge app would.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use rumqttc::v5::{
    AsyncClient, Event, EventLoop, MqttOptions,
    mqttbytes::{QoS, v5::Packet},
};
use serde_json::Value;
use tokio::time::Instant;

use super::say;

/// The least time between two lines of a device.
const LINE: Duration = Duration::from_millis(950);

/// A subscriber to everything, and what it has seen.
pub struct Screen {
    events: EventLoop,
    client: AsyncClient,
    units: HashMap<(String, String), String>,
    seen: BTreeMap<String, Seen>,
    availability: HashMap<String, String>,
}

#[derive(Default)]
struct Seen {
    shown: Option<Instant>,
    /// What each property was said to be last, since the device was shown last.
    values: BTreeMap<String, String>,
    last_good: Option<Instant>,
    good: u32,
    bad: u32,
    longest_gap: Duration,
}

impl Screen {
    /// Connects to the broker on this port of loopback (MQTT 5).
    pub fn new(port: u16) -> Self {
        let mut options = MqttOptions::new("fieldgate-demo-screen", "127.0.0.1", port);
        options.set_max_packet_size(Some(1 << 20));
        let (client, events) = AsyncClient::new(options, 16);
        Self { events, client, units: HashMap::new(), seen: BTreeMap::new(), availability: HashMap::new() }
    }

    /// Prints what arrives, until `enough` says so of a `state` message: device and payload. Returns false if `until`
    /// came first.
    pub async fn show(&mut self, until: Instant, mut enough: impl FnMut(&str, &Value) -> bool) -> anyhow::Result<bool> {
        loop {
            let event = match tokio::time::timeout_at(until, self.events.poll()).await {
                Ok(event) => event?,
                Err(_) => return Ok(false),
            };
            match event {
                Event::Incoming(Packet::ConnAck(_)) => self.client.try_subscribe("fieldgate/#", QoS::AtMostOnce)?,
                Event::Incoming(Packet::Publish(message)) => {
                    let payload = serde_json::from_slice(&message.payload).unwrap_or(Value::Null);
                    if self.print(&String::from_utf8_lossy(&message.topic), &payload, &mut enough)? {
                        return Ok(true);
                    }
                }
                _ => {}
            }
        }
    }

    /// Prints how often each device was read since the last call, and the longest gap between two good readings.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub fn sum_up(&mut self) -> anyhow::Result<()> {
        for (device, seen) in &mut self.seen {
            let gap =
                if seen.good > 1 { format!("longest gap {} ms", seen.longest_gap.as_millis()) } else { String::new() };
            say(&format!("  {device:10} {:3} good, {:2} without an answer   {gap}", seen.good, seen.bad))?;
            (seen.good, seen.bad, seen.longest_gap) = (0, 0, Duration::ZERO);
        }
        Ok(())
    }

    fn print(
        &mut self,
        topic: &str,
        payload: &Value,
        enough: &mut impl FnMut(&str, &Value) -> bool,
    ) -> anyhow::Result<bool> {
        let parts: Vec<_> = topic.split('/').collect();
        let [_, "device", _, device, kind] = parts[..] else {
            return Ok(false);
        };
        match kind {
            "info" => {
                for (name, property) in payload["properties"].as_object().into_iter().flatten() {
                    let unit = property["unit"].as_str().unwrap_or_default().to_owned();
                    self.units.insert((device.to_owned(), name.clone()), unit);
                }
            }
            "availability" => {
                let state = payload["state"].as_str().unwrap_or("gone").to_owned();
                let text =
                    payload["reason"].as_str().map_or_else(|| state.clone(), |reason| format!("{state} ({reason})"));
                if self.availability.insert(device.to_owned(), text.clone()).as_ref() != Some(&text) {
                    say(&format!("{:12}  {device:10} is {text} since {}", "", clock(&payload["since"])))?;
                }
            }
            "readings" => self.readings(device, payload)?,
            "state" => return Ok(enough(device, payload)),
            _ => {}
        }
        Ok(false)
    }

    fn readings(&mut self, device: &str, payload: &Value) -> anyhow::Result<()> {
        let seen = self.seen.entry(device.to_owned()).or_default();
        let now = Instant::now();
        if payload.get("bad").is_some() {
            seen.bad += 1;
        } else {
            seen.good += 1;
            let gap = seen.last_good.map_or(Duration::ZERO, |last| now - last);
            seen.longest_gap = seen.longest_gap.max(gap);
            seen.last_good = Some(now);
        }
        for (name, value) in payload["values"].as_object().into_iter().flatten() {
            let text = match payload["bad"][name]["reason"].as_str() {
                Some(reason) => format!("{name}: no value, {reason}"),
                None => format!(
                    "{name} {value} {}",
                    self.units.get(&(device.to_owned(), name.clone())).map_or("", String::as_str)
                ),
            };
            seen.values.insert(name.clone(), text);
        }
        // A line a second and device is enough for people; the counts tell of every message.
        let shown = seen.shown.get_or_insert(now);
        if now - *shown < LINE {
            return Ok(());
        }
        *shown = now;
        let line = std::mem::take(&mut seen.values).into_values().collect::<Vec<_>>().join("   ");
        say(&format!("{:12}  {device:10} {line}", clock(&payload["time"])))
    }
}

/// The time of day of an RFC 3339 text, with milliseconds.
fn clock(time: &Value) -> &str {
    time.as_str().and_then(|text| text.get(11..23)).unwrap_or("")
}
