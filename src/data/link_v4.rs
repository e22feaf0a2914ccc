//! MQTT 3.1.1 by rumqttc.

use rumqttc::{
    AsyncClient, ConnectionError, Event as Raw, EventLoop, LastWill, MqttOptions, NetworkOptions, Outgoing, Packet,
    QoS, StateError,
};

use super::link::{Client, Ending, Event, INCOMING, LinkError, LinkOptions, Loop, Message, REQUESTS, WINDOW};

pub fn open(options: &LinkOptions) -> (Client, Loop) {
    let mut raw = MqttOptions::new(&options.client_id, &options.address.host, options.address.port);
    raw.set_keep_alive(options.keep_alive)
        .set_clean_session(true)
        .set_inflight(WINDOW)
        .set_max_packet_size(INCOMING as usize, options.largest as usize);
    if let Some((topic, payload)) = &options.will {
        raw.set_last_will(LastWill::new(topic, payload.clone(), QoS::AtLeastOnce, true));
    }
    if let Some((user, password)) = &options.credentials {
        raw.set_credentials(user, password);
    }
    let (client, mut eventloop) = AsyncClient::new(raw, REQUESTS);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    eventloop.set_network_options(network);
    (Client::V4(client), Loop::V4(Box::new(eventloop)))
}

pub fn publish(client: &AsyncClient, message: &Message) -> bool {
    let qos = if message.acknowledged { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    client.try_publish(&message.topic, qos, message.retain, message.payload.clone()).is_ok()
}

pub async fn poll(eventloop: &mut EventLoop) -> Result<Event, LinkError> {
    let event = eventloop.poll().await.map_err(|error| error_of(&error))?;
    Ok(match event {
        Raw::Incoming(Packet::ConnAck(_)) => {
            Event::Connected { receive_max: None, largest: None, keep_alive: eventloop.mqtt_options.keep_alive() }
        }
        Raw::Incoming(Packet::PubAck(ack)) => Event::Acked(ack.pkid),
        Raw::Incoming(Packet::Publish(publish)) => Event::Message { topic: publish.topic, payload: publish.payload },
        Raw::Incoming(_) => Event::Heard,
        Raw::Outgoing(Outgoing::Publish(id)) => Event::Sent(id),
        Raw::Outgoing(Outgoing::AwaitAck(_)) => Event::Blocked,
        Raw::Outgoing(Outgoing::Disconnect) => Event::Closed,
        Raw::Outgoing(_) => Event::Spoke,
    })
}

fn error_of(error: &ConnectionError) -> LinkError {
    let ending = match error {
        ConnectionError::MqttState(
            StateError::ConnectionAborted | StateError::Io(_) | StateError::Deserialization(_),
        )
        | ConnectionError::Io(_) => Ending::Peer,
        _ => Ending::Other,
    };
    LinkError { message: error.to_string(), ending }
}
