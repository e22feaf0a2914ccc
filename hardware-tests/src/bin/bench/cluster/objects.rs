//! The Devices and DeviceModels of the figures, as the API server takes them.

use hardware_tests::bank::HELD;
use serde_json::{Value, json};

/// The namespace of all of them.
pub const NAMESPACE: &str = "default";

/// A Device to be made.
#[derive(Debug, Clone, Copy)]
pub struct Device<'a> {
    /// Its name.
    pub name: &'a str,
    /// The gateway that serves it.
    pub node: &'a str,
    /// The port of its Modbus TCP server on 127.0.0.1.
    pub port: u16,
    /// How many uint16 properties are new with each read.
    pub changing: u16,
    /// How many writable ones hold what was written.
    pub held: u16,
    /// What the first of the writable ones is to hold.
    pub desired: Option<u16>,
}

impl Device<'_> {
    /// The object.
    pub fn json(&self) -> Value {
        let properties = (0..self.changing).map(read_only).chain((0..self.held).map(|n| {
            let mut property = writable(n);
            if let (0, Some(desired)) = (n, self.desired) {
                property["desired"] = desired.into();
            }
            property
        }));
        self.object(json!({"properties": properties.collect::<Vec<_>>()}))
    }

    /// The object of a Device that takes its properties from the model.
    pub fn of_model(&self) -> Value {
        let desired = self.desired.map(|desired| json!([{"name": "w0", "desired": desired}]));
        self.object(json!({"model": MODEL, "properties": desired.unwrap_or_else(|| json!([]))}))
    }

    fn object(&self, mut spec: Value) -> Value {
        spec["nodeName"] = self.node.into();
        spec["pollEvery"] = "1s".into();
        spec["protocol"] = json!({"modbus": {"tcp": format!("127.0.0.1:{}", self.port), "unit": 1}});
        json!({
            "apiVersion": "fieldgate.dev/v1alpha1", "kind": "Device",
            "metadata": {
                "name": self.name, "namespace": NAMESPACE, "labels": {"fieldgate.dev/node": self.node},
            },
            "spec": spec,
        })
    }
}

/// The name of the model.
pub const MODEL: &str = "meter";

/// A model of these properties.
pub fn model(changing: u16, held: u16) -> Value {
    let properties = (0..changing).map(read_only).chain((0..held).map(writable));
    json!({
        "apiVersion": "fieldgate.dev/v1alpha1", "kind": "DeviceModel",
        "metadata": {"name": MODEL, "namespace": NAMESPACE},
        "spec": {"properties": properties.collect::<Vec<_>>()},
    })
}

fn read_only(register: u16) -> Value {
    json!({
        "name": format!("r{register}"), "type": "uint16",
        "modbus": {"table": "holdingRegister", "register": register},
    })
}

fn writable(n: u16) -> Value {
    json!({
        "name": format!("w{n}"), "type": "uint16", "access": "readWrite",
        "modbus": {"table": "holdingRegister", "register": HELD + n},
    })
}
