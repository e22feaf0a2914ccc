//! The demo's MQTT broker, in this process, on loopback. It serves MQTT 5 alone: it cannot hand a message with MQTT 5
//! properties to a client of 3.1.1.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::{Context, bail};
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

/// Starts the broker on a thread of its own; it lives as long as the process. Port 0 takes a free one; the port is
/// returned.
pub async fn start(port: u16) -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("port {port} is taken; choose another with --port"))?;
    let listen = listener.local_addr()?;
    // The broker opens it itself.
    drop(listener);
    let settings = ServerSettings {
        name: "mqtt5".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 5_000,
            max_payload_size: 1 << 20,
            max_inflight_count: 100,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    let config = Config {
        router: RouterConfig {
            max_connections: 64,
            max_outgoing_packet_count: 200,
            max_segment_size: 1 << 20,
            max_segment_count: 4,
            ..RouterConfig::default()
        },
        v5: Some(HashMap::from([("5".to_owned(), settings)])),
        ..Config::default()
    };
    std::thread::Builder::new().name("broker".into()).spawn(move || {
        if let Err(error) = Broker::new(config).start() {
            tracing::error!(%error, "The demo's broker has ended.");
        }
    })?;
    listening(listen).await?;
    Ok(listen.port())
}

async fn listening(address: SocketAddr) -> anyhow::Result<()> {
    let patience = Duration::from_secs(10);
    let up = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(patience, up).await.is_err() {
        bail!("the demo's broker does not listen on {address} after {patience:?}");
    }
    Ok(())
}
