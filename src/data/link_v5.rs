//! MQTT 5 by rumqttc.

use rumqttc::{
    Outgoing,
    v5::{
        AsyncClient, ConnectionError, Event as Raw, EventLoop, MqttOptions, StateError,
        mqttbytes::{
            QoS,
            v5::{DisconnectReasonCode, LastWill, Packet, PubAckReason, PublishProperties},
        },
    },
};

use super::link::{Client, Ending, Event, INCOMING, LinkError, LinkOptions, Loop, Message, REQUESTS, WINDOW};

pub fn open(options: &LinkOptions) -> (Client, Loop) {
    let mut raw = MqttOptions::new(&options.client_id, &options.address.host, options.address.port);
    raw.set_keep_alive(options.keep_alive)
        .set_clean_start(true)
        .set_session_expiry_interval(Some(0))
        .set_max_packet_size(Some(INCOMING));
    if let Some((topic, payload)) = &options.will {
        raw.set_last_will(LastWill::new(topic, payload.clone(), QoS::AtLeastOnce, true, None));
    }
    // Without it rumqttc keeps 65,536 slots, 13.9 MB.
    raw.set_outgoing_inflight_upper_limit(WINDOW);
    let mut network = rumqttc::NetworkOptions::new();
    network.set_tcp_nodelay(true);
    raw.set_network_options(network);
    if let Some((user, password)) = &options.credentials {
        raw.set_credentials(user, password);
    }
    let (client, eventloop) = AsyncClient::new(raw, REQUESTS);
    (Client::V5(client), Loop::V5(Box::new(eventloop)))
}

pub fn publish(client: &AsyncClient, message: &Message) -> bool {
    let qos = if message.acknowledged { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    let payload = message.payload.clone();
    let sent = match message.expiry {
        None => client.try_publish(&message.topic, qos, message.retain, payload),
        expiry => {
            let properties = PublishProperties { message_expiry_interval: expiry, ..PublishProperties::default() };
            client.try_publish_with_properties(&message.topic, qos, message.retain, payload, properties)
        }
    };
    sent.is_ok()
}

pub async fn poll(eventloop: &mut EventLoop) -> Result<Event, LinkError> {
    let event = eventloop.poll().await.map_err(|error| error_of(&error))?;
    Ok(match event {
        Raw::Incoming(Packet::ConnAck(ack)) => {
            let properties = ack.properties.as_ref();
            Event::Connected {
                receive_max: properties.and_then(|p| p.receive_max),
                largest: properties.and_then(|p| p.max_packet_size),
                keep_alive: eventloop.options.keep_alive(),
            }
        }
        Raw::Incoming(Packet::PubAck(ack)) => match ack.reason {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Event::Acked(ack.pkid),
            reason => {
                let for_good = matches!(
                    reason,
                    PubAckReason::NotAuthorized | PubAckReason::TopicNameInvalid | PubAckReason::PayloadFormatInvalid
                );
                Event::Refused { id: ack.pkid, reason: format!("{reason:?}"), for_good }
            }
        },
        Raw::Incoming(Packet::Publish(publish)) => {
            Event::Message { topic: String::from_utf8_lossy(&publish.topic).into_owned(), payload: publish.payload }
        }
        Raw::Incoming(_) => Event::Heard,
        Raw::Outgoing(Outgoing::Publish(id)) => Event::Sent(id),
        Raw::Outgoing(Outgoing::AwaitAck(_)) => Event::Blocked,
        Raw::Outgoing(Outgoing::Disconnect) => Event::Closed,
        Raw::Outgoing(_) => Event::Spoke,
    })
}

fn error_of(error: &ConnectionError) -> LinkError {
    let ending = match error {
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        }) => Ending::Rival,
        ConnectionError::MqttState(
            StateError::ConnectionAborted
            | StateError::Io(_)
            | StateError::ServerDisconnect { .. }
            | StateError::Deserialization(_),
        )
        | ConnectionError::Io(_) => Ending::Peer,
        _ => Ending::Other,
    };
    LinkError { message: error.to_string(), ending }
}
