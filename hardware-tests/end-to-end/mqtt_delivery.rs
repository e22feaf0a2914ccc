//! At least once, in order, with no loss that is not told: against a real mosquitto that is killed, frozen and away.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{
    broker::Broker,
    device::{Gateway, answer, device, good, meter, property},
    gate::Gate,
    subscriber::Subscriber,
    until,
};
use fieldgate::data::{Lane, Options, Version};
use mapper_api::DataType;

const BOTH: [Version; 2] = [Version::V5, Version::V4];

fn options(broker: &Broker, version: Version) -> Options {
    Options { broker: broker.url(), version, keep_alive: "5s".parse().unwrap(), state: false, ..Options::default() }
}

fn read(lane: &Lane, value: f64) {
    answer(lane, &[good(0, 231.4_f32), good(1, value)]);
}

/// The `seq`s of one device, first come first.
fn order(subscriber: &Subscriber) -> Vec<u64> {
    let mut seen = Vec::new();
    for heard in subscriber.on("/readings") {
        let seq = heard.json()["seq"].as_u64().unwrap();
        if !seen.contains(&seq) {
            seen.push(seq);
        }
    }
    seen
}

/// The gateway comes through a gate, so that it cannot be back before the subscriber is.
async fn killed_mid_stream(mut broker: Broker, version: Version) {
    let gate = Gate::to(broker.port).await;
    let subscriber = Subscriber::with(version, broker.port, "fieldgate/#", 0).await;
    let gateway = Gateway::start(Options { broker: gate.url(), ..options(&broker, version) });
    let lane = gateway.put(meter("meter-3"));
    gateway.connected(1).await;
    for i in 0..500 {
        read(&lane, f64::from(i));
    }
    until("some of them", async || (subscriber.readings().len() > 100).then_some(())).await;
    for i in 500..1000 {
        read(&lane, f64::from(i));
    }
    gate.close();
    broker.kill();
    assert!(gateway.path.counters().outbox.messages > 0, "the broker was killed too late to show anything");
    for i in 1000..1200 {
        read(&lane, f64::from(i));
    }
    broker.restart();
    subscriber.subscribed(2).await;
    gate.open();
    gateway.drained().await;
    let heard = subscriber.distinct(1200).await;
    assert_eq!(heard.len(), 1200);
    let counters = gateway.path.counters();
    assert_eq!((counters.published, counters.outbox.dropped, counters.outbox.bytes), (1200, 0, 0));
    assert_eq!(order(&subscriber), (1..=1200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_killed_broker_costs_no_reading() {
    for version in BOTH {
        killed_mid_stream(Broker::start(""), version).await;
        killed_mid_stream(Broker::persistent(), version).await;
    }
}

#[tokio::test]
async fn what_waits_while_the_broker_is_away_comes_in_order_and_says_so() {
    for version in BOTH {
        let broker = Broker::start("");
        let gate = Gate::to(broker.port).await;
        let subscriber = Subscriber::new(version, broker.port, "fieldgate/#").await;
        let gateway = Gateway::start(Options { broker: gate.url(), ..options(&broker, version) });
        let lane = gateway.put(meter("meter-3"));
        gateway.connected(1).await;
        read(&lane, 0.0);
        gateway.drained().await;
        gate.close();
        until("the loss", async || (!gateway.path.counters().connected).then_some(())).await;
        for i in 1..100 {
            read(&lane, f64::from(i));
        }
        gate.open();
        gateway.connected(2).await;
        read(&lane, 100.0);
        subscriber.last("/readings", |json| json["seq"] == 101).await;
        assert_eq!(order(&subscriber), (1..=101).collect::<Vec<_>>());
        for heard in subscriber.on("/readings") {
            let json = heard.json();
            let away = (2..=100).contains(&json["seq"].as_u64().unwrap());
            assert_eq!(json.get("historical").is_some(), away, "{json}");
        }
    }
}

#[tokio::test]
async fn a_full_outbox_drops_the_oldest_and_the_next_message_tells() {
    let broker = Broker::start("");
    let gate = Gate::to(broker.port).await;
    gate.close();
    let subscriber = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let limited = Options { broker: gate.url(), outbox_bytes: 8192, ..options(&broker, Version::V5) };
    let gateway = Gateway::start(limited);
    let (meter, other) = (gateway.put(meter("meter-3")), gateway.put(meter("meter-4")));
    read(&other, 0.0);
    for i in 0..500 {
        read(&meter, f64::from(i));
    }
    let counters = gateway.path.counters();
    assert!(counters.outbox.bytes <= 8192 && counters.outbox.dropped > 400, "{counters:?}");
    gate.open();
    // Not before there is room again, or one more would be dropped.
    gateway.drained().await;
    read(&other, 1.0);
    subscriber.last("meter-4/readings", |json| json["seq"] == 2).await;
    let first = subscriber.on("meter-3/readings")[0].json();
    let dropped = counters.outbox.dropped - 1;
    assert_eq!((&first["dropped"], &first["seq"]), (&dropped.into(), &(dropped + 1).into()));
    assert!(subscriber.on("meter-3/readings")[1..].iter().all(|h| h.json().get("dropped").is_none()));
    assert_eq!(subscriber.on("meter-4/readings")[0].json()["dropped"], 1);
    assert_eq!(subscriber.readings().len() as u64 + counters.outbox.dropped, 502);
}

#[tokio::test]
async fn a_frozen_broker_is_left_and_nothing_is_lost() {
    for version in BOTH {
        let broker = Broker::start("");
        let gateway = Gateway::start(options(&broker, version));
        let subscriber = Subscriber::new(version, broker.port, "fieldgate/#").await;
        let lane = gateway.put(meter("meter-3"));
        read(&lane, 0.0);
        gateway.drained().await;
        broker.freeze();
        for i in 1..300 {
            read(&lane, f64::from(i));
        }
        until("the watchdog", async || (!gateway.path.counters().connected).then_some(())).await;
        broker.thaw();
        gateway.drained().await;
        let heard = subscriber.distinct(300).await;
        assert_eq!(heard.len(), 300);
        assert_eq!(gateway.path.counters().outbox.dropped, 0);
    }
}

#[tokio::test]
async fn a_message_that_the_broker_will_not_take_does_not_block_the_others() {
    for version in BOTH {
        let broker = Broker::start("max_packet_size 2000");
        let gateway = Gateway::start(options(&broker, version));
        let subscriber = Subscriber::new(version, broker.port, "fieldgate/#").await;
        let text = gateway.put(std::sync::Arc::new(device("text", vec![property("note", DataType::String)])));
        let lane = gateway.put(meter("meter-3"));
        gateway.connected(1).await;
        read(&lane, 1.0);
        answer(&text, &[good(0, "x".repeat(3000))]);
        for i in 0..50 {
            read(&lane, f64::from(i));
        }
        gateway.drained().await;
        answer(&text, &[good(0, "short")]);
        let next = subscriber.last("text/readings", |json| json["values"]["note"] == "short").await;
        assert_eq!(subscriber.distinct(52).await.len(), 52, "{version:?}");
        assert_eq!(gateway.path.counters().refused, 1);
        if version == Version::V5 {
            assert_eq!(next.json()["dropped"], 1);
        }
    }
}

#[tokio::test]
async fn without_acknowledgement_they_are_released_when_sent() {
    for version in BOTH {
        let broker = Broker::start("");
        let gateway = Gateway::start(Options { qos: 0, ..options(&broker, version) });
        let subscriber = Subscriber::new(version, broker.port, "fieldgate/#").await;
        let lane = gateway.put(meter("meter-3"));
        for i in 0..1000 {
            read(&lane, f64::from(i));
        }
        gateway.drained().await;
        subscriber.distinct(1000).await;
        assert_eq!(order(&subscriber), (1..=1000).collect::<Vec<_>>());
        gateway.stop(Duration::from_secs(3)).await;
    }
}
