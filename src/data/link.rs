//! One connection to the broker, whatever the protocol version. It is never used again once it failed: rumqttc 0.25
//! throws away what it was given when a session is not resumed, keeps collisions across connections, and connects again
//! at once; so every connection gets a client and an event loop of its own, and the outbox is the truth.

use std::time::Duration;

use bytes::Bytes;

use super::{
    link_v4, link_v5,
    options::{Address, Version},
};

/// What a connection needs.
#[derive(Clone)]
pub struct LinkOptions {
    pub version: Version,
    pub address: Address,
    pub client_id: String,
    pub credentials: Option<(String, String)>,
    pub keep_alive: Duration,
    /// The last will: topic and payload.
    pub will: Option<(String, Vec<u8>)>,
    pub largest: u32,
}

/// The most messages on their way at once.
pub const WINDOW: u16 = 100;
/// Requests that the event loop takes at once: a full window, and some room for subscriptions and the end.
pub const REQUESTS: usize = WINDOW as usize + 28;
/// The largest message that is accepted from the broker: the bridge's own retained topics.
pub const INCOMING: u32 = 256 << 10;

/// A message to publish.
#[derive(Clone)]
pub struct Message {
    pub topic: String,
    pub payload: Bytes,
    pub retain: bool,
    pub acknowledged: bool,
    /// Seconds; MQTT 5 only.
    pub expiry: Option<u32>,
}

/// What happened on a connection.
pub enum Event {
    /// The broker accepted; how many it takes at once, and the largest packet that it takes.
    Connected { receive_max: Option<u16>, largest: Option<u32>, keep_alive: Duration },
    /// The next message in the order of [`Client::publish`] went out under this id; 0 without acknowledgement.
    Sent(u16),
    /// An id is used by an older message; nothing goes out until that one is acknowledged.
    Blocked,
    /// The broker has it.
    Acked(u16),
    /// The broker refused it.
    Refused { id: u16, reason: String, for_good: bool },
    /// A message came.
    Message { topic: String, payload: Bytes },
    /// DISCONNECT went out.
    Closed,
    /// Something came that needs no answer.
    Heard,
    /// Something went out that is no message.
    Spoke,
}

/// A connection that failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct LinkError {
    pub message: String,
    pub ending: Ending,
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The peer, as a broker does with a message that it will not take.
    Peer,
    /// Another bridge by our name is there.
    Rival,
    /// We, or nobody knows.
    Other,
}

/// Hands requests to a connection.
pub enum Client {
    V5(rumqttc::v5::AsyncClient),
    V4(rumqttc::AsyncClient),
}

/// Runs a connection.
pub enum Loop {
    V5(Box<rumqttc::v5::EventLoop>),
    V4(Box<rumqttc::EventLoop>),
}

/// Makes a connection; it opens when it is polled.
pub fn open(options: &LinkOptions) -> (Client, Loop) {
    match options.version {
        Version::V5 => link_v5::open(options),
        Version::V4 => link_v4::open(options),
    }
}

impl Client {
    /// Hands a message over. Never waits: waiting on the task that polls would be for ever. False if there is no room.
    pub fn publish(&self, message: &Message) -> bool {
        match self {
            Self::V5(client) => link_v5::publish(client, message),
            Self::V4(client) => link_v4::publish(client, message),
        }
    }

    /// Subscribes with QoS 1.
    pub fn subscribe(&self, topic: &str) -> bool {
        match self {
            Self::V5(client) => client.try_subscribe(topic, rumqttc::v5::mqttbytes::QoS::AtLeastOnce).is_ok(),
            Self::V4(client) => client.try_subscribe(topic, rumqttc::QoS::AtLeastOnce).is_ok(),
        }
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, topic: &str) -> bool {
        match self {
            Self::V5(client) => client.try_unsubscribe(topic).is_ok(),
            Self::V4(client) => client.try_unsubscribe(topic).is_ok(),
        }
    }

    /// Ends the connection in order: no last will.
    pub fn disconnect(&self) -> bool {
        match self {
            Self::V5(client) => client.try_disconnect().is_ok(),
            Self::V4(client) => client.try_disconnect().is_ok(),
        }
    }
}

impl Loop {
    /// Waits for the next event. Not to be cancelled but to end the connection.
    ///
    /// # Errors
    /// Any error ends the connection.
    pub async fn poll(&mut self) -> Result<Event, LinkError> {
        match self {
            Self::V5(eventloop) => link_v5::poll(eventloop).await,
            Self::V4(eventloop) => link_v4::poll(eventloop).await,
        }
    }
}
