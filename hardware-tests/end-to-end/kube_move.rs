//! A Device that moves from one node to another: polled by one.

#![allow(clippy::unwrap_used)] // a test

mod common;

use common::{
    bridge::LEVEL,
    kube::{Stage, shared},
    subscriber::Subscriber,
    until,
};
use fieldgate::data::Version;
use hardware_tests::cluster::{Proxy, proxy::Line};
use serde_json::{Value as Json, json};

impl Stage {
    fn move_to(&self, device: &str, node: &str) {
        let change = json!({"spec": {"nodeName": self.node(node)}}).to_string();
        let arguments = ["patch", "device", device, "-n", &self.namespace, "--type=merge", "-p", &change];
        self.kubectl.ok(&arguments).unwrap();
    }

    /// Waits until the newest reading of a Device comes from this node.
    async fn read_by(&self, device: &str, node: &str) {
        let node = self.node(node);
        self.heard.last(&format!("/{}/{device}/readings", self.namespace), |r| r["node"] == node.as_str()).await;
    }

    /// Who has read a Device since the last look.
    fn readers(&self, device: &str) -> Vec<String> {
        let heard = self.heard.on(&format!("/{}/{device}/readings", self.namespace));
        let mut nodes: Vec<_> = heard.iter().map(|h| h.json()["node"].as_str().unwrap().to_owned()).collect();
        nodes.sort();
        nodes.dedup();
        nodes
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_device_is_polled_by_one_as_soon_as_both_nodes_see_the_api() {
    let stage = Stage::new(shared(), "move", [1, 2], &[]).await;
    let (left, right) = (stage.gateway(shared(), "left"), stage.gateway(shared(), "right"));
    let proxy = Proxy::start(shared()).unwrap();
    let first = stage.bridge(&left, proxy.endpoint(), None).await;
    let second = stage.bridge(&right, shared().endpoint(), None).await;
    stage.apply(&stage.device("wanderer", "left", 1, &[("level", LEVEL)]));
    stage.apply(&stage.device("settled", "left", 2, &[("level", LEVEL)]));
    stage.read_by("wanderer", "left").await;
    let id = stage.id("wanderer");

    // Both see it.
    stage.move_to("wanderer", "right");
    second.shows(&id, "taken on", |d| d["status"].is_object()).await;
    first.shows(&id, "given up", Json::is_null).await;
    stage.read_by("wanderer", "right").await;
    stage.heard.clear();
    stage.polled(1, 10).await;
    stage.read_by("wanderer", "right").await;
    assert_eq!(stage.readers("wanderer"), [stage.node("right")]);
    assert_eq!(stage.readers("settled"), [stage.node("left")]);
    // What the new node keeps at the broker is not swept by the old one.
    let late = Subscriber::new(Version::V5, stage.broker.port, "fieldgate/#").await;
    late.last(&format!("/{}/wanderer/state", stage.namespace), Json::is_object).await;
    stage.is("wanderer", "Ready", "True").await;

    // Back, while the node that is to take it cannot see the API: nobody polls it but who still has to, and then one.
    proxy.line(Line::Refused).unwrap();
    stage.move_to("wanderer", "left");
    second.shows(&id, "given up", Json::is_null).await;
    let reads = stage.bank.reads(1);
    stage.polled(2, 10).await;
    assert_eq!(stage.bank.reads(1), reads, "somebody polls it");
    proxy.heal().unwrap();
    stage.read_by("wanderer", "left").await;

    // And away from a node that cannot see the API: it goes on until it does.
    proxy.line(Line::Refused).unwrap();
    stage.move_to("wanderer", "right");
    stage.read_by("wanderer", "right").await;
    stage.polled(1, 10).await;
    proxy.heal().unwrap();
    first.shows(&id, "given up", Json::is_null).await;
    stage.heard.clear();
    stage.polled(1, 10).await;
    until("only the new node", async || (stage.readers("wanderer") == [stage.node("right")]).then_some(())).await;
    stage.is("wanderer", "Ready", "True").await;
}
