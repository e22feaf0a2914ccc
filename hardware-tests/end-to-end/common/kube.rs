//! A bridge that is fed from an API server: what stands there, what the bridge says of it, and devices behind it.

use std::{
    path::Path,
    process::Command,
    sync::{Arc, OnceLock},
    time::Duration,
};

use fieldgate::data::Version;
use hardware_tests::cluster::{Asks, Endpoint, Gateway, Kubectl, Options, Server, crds, rights};
use serde_json::{Value as Json, json};

use super::{
    bridge::{Bridge, fieldgate},
    broker::Broker,
    plant::{Plant, Probe},
    subscriber::Subscriber,
    until,
};

/// One server for all tests of a file: each has a namespace and nodes of its own.
pub fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(own)
}

/// A server that can be killed.
pub fn own() -> Server {
    let server = Server::start(&Options { own: true, ..Options::default() }).unwrap();
    server.kubectl().define(&crds()).unwrap();
    server
}

/// A namespace, a broker with a listener, and a plant with these units.
pub struct Stage {
    pub kubectl: Kubectl,
    pub asks: Asks,
    pub namespace: String,
    pub broker: Broker,
    pub heard: Subscriber,
    pub bank: Arc<Probe>,
    pub plant: Plant,
}

impl Stage {
    pub async fn new(server: &Server, name: &str, units: impl IntoIterator<Item = u8>, refuses: &[u8]) -> Self {
        let namespace = server.namespace(name).unwrap();
        let kubectl = server.kubectl().clone();
        kubectl.apply(&namespace, &rights(&namespace).to_string()).unwrap();
        let asks = server.asks().unwrap();
        let broker = Broker::start("");
        let heard = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
        let bank = Probe::new(units, refuses);
        let plant = Plant::start(bank.clone()).await;
        Self { kubectl, asks, namespace, broker, heard, bank, plant }
    }

    /// The name of a node that no other test has.
    pub fn node(&self, name: &str) -> String {
        format!("{name}-{}", self.namespace)
    }

    /// A gateway on that node.
    pub fn gateway(&self, server: &Server, name: &str) -> Gateway {
        Gateway::new(server, &self.namespace, &self.node(name)).unwrap()
    }

    /// A running bridge of that gateway.
    pub async fn bridge(&self, gateway: &Gateway, endpoint: &Endpoint, state: Option<&Path>) -> Bridge {
        self.bridge_from(fieldgate(), gateway, endpoint, state).await
    }

    /// The same with an environment of its own.
    pub async fn bridge_from(
        &self,
        program: Command,
        gateway: &Gateway,
        endpoint: &Endpoint,
        state: Option<&Path>,
    ) -> Bridge {
        let config = gateway.kubeconfig(endpoint).unwrap();
        let url = self.broker.url();
        let mut flags = vec!["--node", &gateway.node, "--kubeconfig", config.to_str().unwrap(), "--broker", &url];
        if let Some(state) = state {
            flags.extend(["--state", state.to_str().unwrap()]);
        }
        Bridge::from(program, &flags).await
    }

    /// A Device of that node with these properties, each `name: rest of it`, polled every 100 ms.
    pub fn device(&self, name: &str, node: &str, unit: u8, properties: &[(&str, &str)]) -> String {
        let text = super::bridge::device(name, &self.plant.endpoint(unit), properties);
        text.replace("spec:\n", &format!("spec:\n  nodeName: {}\n", self.node(node)))
    }

    pub fn apply(&self, text: &str) {
        self.kubectl.apply(&self.namespace, text).unwrap();
    }

    /// Changes one property's desired value, the first one's.
    pub fn desire(&self, device: &str, value: &Json) {
        let change = json!([{"op": "add", "path": "/spec/properties/0/desired", "value": value}]).to_string();
        let arguments = ["patch", "device", device, "-n", &self.namespace, "--type=json", "-p", &change];
        self.kubectl.ok(&arguments).unwrap();
    }

    /// As `/devices` and the log name it.
    pub fn id(&self, device: &str) -> String {
        format!("{}/{device}", self.namespace)
    }

    /// A Device as it stands in the cluster, once it fits.
    pub async fn stored(&self, device: &str, what: &str, fits: impl Fn(&Json) -> bool) -> Json {
        let path = format!("/apis/fieldgate.dev/v1alpha1/namespaces/{}/devices/{device}", self.namespace);
        let mut last = Json::Null;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(object) = self.asks.get(&path).await {
                if fits(&object) {
                    return object;
                }
                last = object;
            }
            assert!(tokio::time::Instant::now() < deadline, "{device} is not {what}: {:#}", last["status"]);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a condition of a Device has this status and is of its present generation.
    pub async fn is(&self, device: &str, condition: &str, status: &str) -> Json {
        self.stored(device, &format!("{condition}={status}"), |object| {
            let found = super::bridge::condition(object, condition);
            found["status"] == status && found["observedGeneration"] == object["metadata"]["generation"]
        })
        .await
    }

    /// Waits until the unit has been read this often again: it is polled now.
    pub async fn polled(&self, unit: u8, times: usize) {
        self.bank.read(unit, self.bank.reads(unit) + times).await;
    }

    /// Waits until the unit's last write was this.
    pub async fn written(&self, unit: u8, value: u16) {
        let last = async || self.bank.writes(unit).last().filter(|(.., values)| *values == [value]).map(drop);
        until(&format!("{value} in unit {unit}"), last).await;
    }
}

/// A holding register that is written.
pub const SETPOINT: &str = "type: uint16, access: readWrite, modbus: { table: holdingRegister, register: 4 }";
