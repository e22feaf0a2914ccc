//! A subscriber of either protocol version that keeps all it hears, and connects again when the broker comes back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use fieldgate::data::Version;
use serde_json::Value as Json;
use tokio::task::JoinHandle;

use super::until;

#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    pub topic: String,
    pub retain: bool,
    pub payload: Vec<u8>,
    pub expiry: Option<u32>,
}

impl Heard {
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.payload).unwrap_or(Json::Null)
    }
}

pub struct Subscriber {
    heard: Arc<Mutex<Vec<Heard>>>,
    subscribed: Arc<Mutex<u32>>,
    task: JoinHandle<()>,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscriber {
    /// Subscribes with QoS 1, and returns when the broker has said so.
    pub async fn new(version: Version, port: u16, filter: &str) -> Self {
        Self::with(version, port, filter, 1).await
    }

    /// Subscribes with this QoS. With 0 mosquitto writes a message to the subscriber before it acknowledges it to the
    /// publisher, and queues nothing that its death could lose.
    pub async fn with(version: Version, port: u16, filter: &str, qos: u8) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let subscribed = Arc::new(Mutex::new(0));
        let id = format!("subscriber-{}", fastrand::u64(..));
        let (h, s, filter) = (heard.clone(), subscribed.clone(), filter.to_owned());
        let task = match version {
            Version::V5 => tokio::spawn(run_v5(id, port, filter, qos, h, s)),
            Version::V4 => tokio::spawn(run_v4(id, port, filter, qos, h, s)),
        };
        let this = Self { heard, subscribed, task };
        this.subscribed(1).await;
        this
    }

    /// Waits until it has subscribed this often: once more after every restart of the broker.
    pub async fn subscribed(&self, times: u32) {
        until("a subscription", async || (*self.subscribed.lock().unwrap() >= times).then_some(())).await;
    }

    pub fn all(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    pub fn clear(&self) {
        self.heard.lock().unwrap().clear();
    }

    /// What was heard on topics that end so.
    pub fn on(&self, end: &str) -> Vec<Heard> {
        self.all().into_iter().filter(|h| h.topic.ends_with(end)).collect()
    }

    /// The last on this topic that fits.
    pub async fn last(&self, end: &str, fits: impl Fn(&Json) -> bool) -> Heard {
        until(&format!("a message on {end}"), async || self.on(end).last().filter(|h| fits(&h.json())).cloned()).await
    }

    /// Waits for this many readings of different (boot, device, seq); gives how often each came.
    pub async fn distinct(&self, count: usize) -> BTreeMap<(String, String, u64), usize> {
        until(&format!("{count} readings"), async || Some(self.readings()).filter(|r| r.len() >= count)).await
    }

    /// How often each reading came.
    pub fn readings(&self) -> BTreeMap<(String, String, u64), usize> {
        let mut counts = BTreeMap::new();
        for heard in self.on("/readings") {
            let json = heard.json();
            let key = (json["boot"].as_str().unwrap().into(), heard.topic, json["seq"].as_u64().unwrap());
            *counts.entry(key).or_default() += 1;
        }
        counts
    }
}

async fn run_v5(
    id: String,
    port: u16,
    filter: String,
    qos: u8,
    heard: Arc<Mutex<Vec<Heard>>>,
    subscribed: Arc<Mutex<u32>>,
) {
    use rumqttc::v5::{
        AsyncClient, Event, MqttOptions,
        mqttbytes::{QoS, v5::Packet},
    };
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_clean_start(true).set_max_packet_size(Some(1 << 20));
    let (client, mut eventloop) = AsyncClient::new(options, 10);
    loop {
        match eventloop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                client.try_subscribe(&filter, if qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce }).unwrap();
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => *subscribed.lock().unwrap() += 1,
            Ok(Event::Incoming(Packet::Publish(p))) => heard.lock().unwrap().push(Heard {
                topic: String::from_utf8(p.topic.to_vec()).unwrap(),
                retain: p.retain,
                payload: p.payload.to_vec(),
                expiry: p.properties.and_then(|p| p.message_expiry_interval),
            }),
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn run_v4(
    id: String,
    port: u16,
    filter: String,
    qos: u8,
    heard: Arc<Mutex<Vec<Heard>>>,
    subscribed: Arc<Mutex<u32>>,
) {
    use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_clean_session(true).set_max_packet_size(1 << 20, 1 << 20);
    let (client, mut eventloop) = AsyncClient::new(options, 10);
    loop {
        match eventloop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                client.try_subscribe(&filter, if qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce }).unwrap();
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => *subscribed.lock().unwrap() += 1,
            Ok(Event::Incoming(Packet::Publish(p))) => heard.lock().unwrap().push(Heard {
                topic: p.topic,
                retain: p.retain,
                payload: p.payload.to_vec(),
                expiry: None,
            }),
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
