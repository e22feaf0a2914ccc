//! The oldest Kubernetes that the base is for takes it as the newest does: definitions, policies, rights, a status.

#![allow(clippy::unwrap_used)] // all of it is a test

use hardware_tests::cluster::{
    Options, Server, Version,
    install::{Bridge, install},
};
use serde_json::{Value as Json, json};

#[test]
fn the_base_holds_on_the_oldest_kubernetes() {
    let server = Server::start(&Options { version: Version::Oldest, own: true, ..Options::default() }).unwrap();
    let version: Json = serde_json::from_str(&server.kubectl().raw("/version").unwrap()).unwrap();
    assert_eq!((&version["major"], &version["minor"]), (&json!("1"), &json!("32")), "{version}");
    // It waits until the policies judge, in their own words.
    install(&server, "base").unwrap();
    let device = json!({
        "apiVersion": "fieldgate.dev/v1alpha1", "kind": "Device", "metadata": {"name": "one"},
        "spec": {"nodeName": "gw-1", "protocol": {"virtual": {}}},
    });
    server.kubectl().apply("default", &device.to_string()).unwrap();
    let chosen = ["get", "devices", "--field-selector", "spec.nodeName=gw-1", "-o", "name"];
    assert!(server.kubectl().ok(&chosen).unwrap().contains("device.fieldgate.dev/one"));
    // Of one's own node and of nobody else's: the token's claim is there.
    let status = json!({"status": {"observedGeneration": 1}}).to_string();
    let [own, other] = ["gw-1", "gw-2"].map(|node| Bridge::new(&server, node).unwrap());
    assert_eq!(own.report("default", "one", &status).unwrap().0, 200);
    let (code, words) = other.report("default", "one", &status).unwrap();
    assert!(code == 403 && words.contains("gw-1"), "{code}: {words}");
    assert!(server.kubectl().ok(&["explain", "device.spec.protocol.modbus"]).unwrap().contains("unit"));
}
