//! The life of the retained topics, and the rule by which a subscriber judges a value: against a real mosquitto.

#![allow(clippy::unwrap_used)]

mod common;

use std::{sync::Arc, time::Duration};

use common::{
    broker::Broker,
    device::{Gateway, answer, device, fail, good, meter, property},
    gate::Gate,
    subscriber::Subscriber,
    until,
};
use fieldgate::{
    data::{Leaving, Options, Version},
    model::DeviceId,
};
use mapper_api::{DataType, ErrorKind};
use serde_json::{Value as Json, json};

const BOTH: [Version; 2] = [Version::V5, Version::V4];

fn options(broker: &Broker, version: Version) -> Options {
    Options { broker: broker.url(), version, keep_alive: "5s".parse().unwrap(), ..Options::default() }
}

/// What a subscriber finds that comes now: the retained messages of these topics.
async fn found(version: Version, broker: &Broker, filter: &str) -> Vec<(String, Json)> {
    let subscriber = Subscriber::new(version, broker.port, filter).await;
    // A broker sends what it retained at once; a message of our own comes after it.
    let mark = format!("{}/mark/{}", filter.trim_end_matches("/#"), fastrand::u64(..));
    publish(broker, &mark, "1", false).await;
    subscriber.last(&mark, |_| true).await;
    let retained = subscriber.all().into_iter().filter(|h| h.retain);
    retained.map(|h| (h.topic.clone(), h.json())).collect()
}

async fn publish(broker: &Broker, topic: &str, payload: &str, retain: bool) {
    use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
    let options = MqttOptions::new(format!("other-{}", fastrand::u64(..)), "127.0.0.1", broker.port);
    let (client, mut eventloop) = AsyncClient::new(options, 10);
    client.try_publish(topic, QoS::AtLeastOnce, retain, payload).unwrap();
    while !matches!(eventloop.poll().await.unwrap(), Event::Incoming(Packet::PubAck(_))) {}
}

#[tokio::test]
async fn a_new_device_is_shown_then_its_first_answer() {
    for version in BOTH {
        let broker = Broker::start("");
        let subscriber = Subscriber::new(version, broker.port, "fieldgate/#").await;
        let gateway = Gateway::start(options(&broker, version));
        gateway.path.devices_changed();
        gateway.connected(1).await;
        let lane = gateway.put(meter("meter-3"));
        let first = subscriber.last("meter-3/availability", |_| true).await.json();
        assert_eq!((&first["state"], &first["reason"]), (&json!("offline"), &json!("notRead")));
        assert_eq!(subscriber.on("meter-3/info").len(), 1);
        let state = subscriber.last("meter-3/state", |_| true).await;
        assert_eq!(
            state.json()["properties"]["voltage"],
            json!({"value": null, "quality": "bad", "reason": "notRead", "maxAgeMs": 3000})
        );
        answer(&lane, &[good(0, 231.4_f32), good(1, 1204.5)]);
        subscriber.last("meter-3/availability", |json| json["state"] == "online" && json.get("reason").is_none()).await;
        subscriber
            .last("meter-3/state", |json| json["properties"]["voltage"]["quality"] == "good" && json["seq"] == 1)
            .await;
        if version == Version::V5 {
            let expiry = subscriber.on("meter-3/state")[0].expiry;
            assert_eq!(expiry, Some(180));
            assert_eq!(subscriber.on("meter-3/info")[0].expiry, None);
        }
    }
}

#[tokio::test]
async fn offline_after_n_misses_and_back_after_a_good_read() {
    let broker = Broker::start("");
    let subscriber = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let gateway = Gateway::start(options(&broker, Version::V5));
    let lane = gateway.put(meter("meter-3"));
    answer(&lane, &[good(0, 231.4_f32), good(1, 1204.5)]);
    subscriber.last("meter-3/availability", |json| json["state"] == "online").await;
    fail(&lane, ErrorKind::Timeout, &[0, 1], 1);
    fail(&lane, ErrorKind::Timeout, &[0, 1], 2);
    assert_eq!(lane.view().availability.offline, None);
    fail(&lane, ErrorKind::Timeout, &[0, 1], 3);
    subscriber.last("meter-3/availability", |json| json["state"] == "offline" && json["reason"] == "timeout").await;
    let state =
        subscriber.last("meter-3/state", |json| json["properties"]["voltage"]["quality"] == "stale").await.json();
    assert_eq!(state["properties"]["voltage"]["value"], 231.4);
    assert_eq!(state["properties"]["voltage"]["reason"], "timeout");
    // The three failures are one message with null values.
    let failure = subscriber.last("meter-3/readings", |json| json["seq"] == 2).await.json();
    assert_eq!(failure["values"], json!({"voltage": null, "power": null}));
    assert_eq!(failure["bad"], json!({"voltage": {"reason": "timeout"}, "power": {"reason": "timeout"}}));
    answer(&lane, &[good(0, 231.4_f32), good(1, 1204.5)]);
    subscriber.last("meter-3/availability", |json| json["state"] == "online").await;
    subscriber.last("meter-3/readings", |json| json["seq"] == 3 && json.get("bad").is_none()).await;
}

#[tokio::test]
async fn a_value_that_nobody_renews_grows_stale_by_itself() {
    let broker = Broker::start("");
    let subscriber = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let gateway = Gateway::start(options(&broker, Version::V5));
    let mut short = property("voltage", DataType::Float32);
    short.max_age = Duration::from_millis(300);
    let lane = gateway.put(Arc::new(device("meter-3", vec![short])));
    answer(&lane, &[good(0, 231.4_f32)]);
    subscriber.last("meter-3/state", |json| json["properties"]["voltage"]["reason"] == "age").await;
}

#[tokio::test]
async fn state_comes_at_most_once_a_second_and_is_the_newest() {
    let broker = Broker::start("");
    let subscriber = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let gateway = Gateway::start(options(&broker, Version::V5));
    let lane = gateway.put(meter("meter-3"));
    let begun = std::time::Instant::now();
    for i in 1..=250 {
        answer(&lane, &[good(1, f64::from(i))]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    subscriber.last("meter-3/state", |json| json["properties"]["power"]["value"] == 250.0 && json["seq"] == 250).await;
    let most = begun.elapsed().as_secs() + 2;
    assert!(subscriber.on("meter-3/state").len() as u64 <= most);
}

#[tokio::test]
async fn a_renamed_property_replaces_state_and_info_and_seq_goes_on() {
    let broker = Broker::start("");
    let gateway = Gateway::start(options(&broker, Version::V5));
    let lane = gateway.put(meter("meter-3"));
    answer(&lane, &[good(0, 231.4_f32), good(1, 1204.5)]);
    let subscriber = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    subscriber.last("meter-3/state", |json| json["properties"]["power"]["quality"] == "good").await;
    let renamed = vec![property("voltage", DataType::Float32), property("activePower", DataType::Float64)];
    let lane = gateway.put(Arc::new(device("meter-3", renamed)));
    let has =
        |json: &Json| json["properties"].get("activePower").is_some() && json["properties"].get("power").is_none();
    subscriber.last("meter-3/state", has).await;
    subscriber.last("meter-3/info", has).await;
    answer(&lane, &[good(1, 1.0)]);
    subscriber.last("meter-3/readings", |json| json["seq"] == 2 && json["values"]["activePower"] == 1.0).await;
    // Also across delete and make anew.
    let id = lane.device().id.clone();
    gateway.remove(&id, Leaving::Deleted);
    let lane = gateway.put(meter("meter-3"));
    answer(&lane, &[good(1, 1.0)]);
    subscriber.last("meter-3/readings", |json| json["seq"] == 3).await;
    subscriber.last("meter-3/info", |json| json["properties"].get("power").is_some()).await;
}

#[tokio::test]
async fn a_deleted_device_leaves_nothing_and_a_moved_one_all() {
    for version in BOTH {
        let broker = Broker::start("");
        let gateway = Gateway::start(options(&broker, version));
        for name in ["meter-3", "meter-4"] {
            answer(&gateway.put(meter(name)), &[good(0, 231.4_f32)]);
        }
        gateway.path.devices_changed();
        let subscriber = Subscriber::new(version, broker.port, "fieldgate/#").await;
        for name in ["meter-3", "meter-4"] {
            for leaf in ["state", "info", "availability"] {
                subscriber.last(&format!("{name}/{leaf}"), Json::is_object).await;
            }
        }
        gateway.remove(&DeviceId::new("plant-a", "meter-3"), Leaving::Deleted);
        gateway.remove(&DeviceId::new("plant-a", "meter-4"), Leaving::Moved);
        for leaf in ["state", "info", "availability"] {
            subscriber.last(&format!("meter-3/{leaf}"), Json::is_null).await;
        }
        subscriber.last("bridge/gw-1/devices", |json| json["count"] == 0).await;
        let left = found(version, &broker, "fieldgate/device/#").await;
        let mut topics: Vec<_> = left.iter().map(|(topic, _)| topic.as_str()).collect();
        topics.sort_unstable();
        let moved = |leaf| format!("fieldgate/device/plant-a/meter-4/{leaf}");
        assert_eq!(topics, [moved("availability"), moved("info"), moved("state")]);
    }
}

#[tokio::test]
async fn what_was_deleted_while_the_bridge_was_away_is_cleared_at_start() {
    for version in BOTH {
        let broker = Broker::start("");
        let gateway = Gateway::start(options(&broker, version));
        for name in ["stays", "goes", "moves"] {
            answer(&gateway.put(meter(name)), &[good(0, 231.4_f32)]);
        }
        gateway.path.devices_changed();
        let subscriber = Subscriber::new(version, broker.port, "fieldgate/#").await;
        subscriber.last("bridge/gw-1/devices", |json| json["count"] == 3).await;
        for name in ["stays", "goes", "moves"] {
            subscriber.last(&format!("{name}/info"), Json::is_object).await;
        }
        gateway.stop(Duration::from_secs(3)).await;
        // Another gateway took one of them over meanwhile.
        for leaf in ["state", "info", "availability"] {
            publish(&broker, &format!("fieldgate/device/plant-a/moves/{leaf}"), r#"{"node":"gw-2"}"#, true).await;
        }
        let gateway = Gateway::start(options(&broker, version));
        gateway.put(meter("stays"));
        gateway.path.devices_changed();
        subscriber.last("bridge/gw-1/devices", |json| json["count"] == 1).await;
        for leaf in ["state", "info", "availability"] {
            subscriber.last(&format!("goes/{leaf}"), Json::is_null).await;
        }
        let left = found(version, &broker, "fieldgate/device/#").await;
        assert_eq!(left.iter().filter(|(topic, _)| topic.contains("/goes/")).count(), 0, "{left:?}");
        assert_eq!(left.iter().filter(|(topic, json)| topic.contains("/moves/") && json["node"] == "gw-2").count(), 3);
        assert_eq!(left.iter().filter(|(topic, json)| topic.contains("/stays/") && json["node"] == "gw-1").count(), 3);
    }
}

#[tokio::test]
async fn deleted_while_the_broker_was_away_is_cleared_when_it_is_back() {
    let broker = Broker::start("");
    let gate = Gate::to(broker.port).await;
    let gateway = Gateway::start(Options { broker: gate.url(), ..options(&broker, Version::V5) });
    answer(&gateway.put(meter("meter-3")), &[good(0, 231.4_f32)]);
    gateway.path.devices_changed();
    let subscriber = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    subscriber.last("bridge/gw-1/devices", |json| json["count"] == 1).await;
    gate.close();
    until("the loss", async || (!gateway.path.counters().connected).then_some(())).await;
    gateway.remove(&DeviceId::new("plant-a", "meter-3"), Leaving::Deleted);
    gate.open();
    subscriber.last("meter-3/info", Json::is_null).await;
    subscriber.last("meter-3/state", Json::is_null).await;
    subscriber.last("meter-3/availability", Json::is_null).await;
    assert_eq!(found(Version::V5, &broker, "fieldgate/device/#").await, []);
}

#[tokio::test]
async fn a_broker_that_forgot_everything_is_told_everything() {
    for version in BOTH {
        let mut broker = Broker::start("");
        let gateway = Gateway::start(options(&broker, version));
        for i in 0..40 {
            gateway.put(meter(&format!("meter-{i}")));
        }
        gateway.path.devices_changed();
        gateway.connected(1).await;
        broker.kill();
        broker.restart();
        until("all retained topics", async || {
            let found = found(version, &broker, "fieldgate/#").await;
            let of = |leaf: &str| {
                found.iter().filter(|(t, _)| t.starts_with("fieldgate/device/") && t.ends_with(leaf)).count()
            };
            let bridge = found.iter().filter(|(t, _)| t.starts_with("fieldgate/bridge/gw-1/")).count();
            ((of("/state"), of("/info"), of("/availability"), bridge) == (40, 40, 40, 4)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn the_last_will_tells_of_a_dead_bridge_and_an_orderly_stop_says_so() {
    for version in BOTH {
        let broker = Broker::start("");
        let subscriber = Subscriber::new(version, broker.port, "fieldgate/bridge/#").await;
        let gateway = Gateway::start(options(&broker, version));
        let boot = gateway.path.boot().to_owned();
        subscriber.last("gw-1/state", |json| json["state"] == "online" && json["boot"] == boot).await;
        gateway.die();
        let will = subscriber.last("gw-1/state", |json| json["state"] == "offline").await.json();
        assert_eq!(will, json!({"state": "offline", "boot": boot}));
        assert_eq!(found(version, &broker, "fieldgate/bridge/#").await.iter().filter(|(_, j)| *j == will).count(), 1);

        let gateway = Gateway::start(options(&broker, version));
        let lane = gateway.put(meter("meter-3"));
        gateway.connected(1).await;
        let readings = Subscriber::new(version, broker.port, "fieldgate/device/+/+/readings").await;
        for i in 0..300 {
            answer(&lane, &[good(1, f64::from(i))]);
        }
        let boot = gateway.path.boot().to_owned();
        gateway.stop(Duration::from_secs(5)).await;
        let last =
            subscriber.last("gw-1/state", |json| json["boot"] == boot && json["state"] == "offline").await.json();
        assert_eq!(last["reason"], "stopped");
        assert_eq!(readings.distinct(300).await.len(), 300);
    }
}

#[tokio::test]
async fn it_stops_in_time_without_a_broker() {
    let mut broker = Broker::start("");
    broker.kill();
    let gateway = Gateway::start(options(&broker, Version::V5));
    answer(&gateway.put(meter("meter-3")), &[good(0, 231.4_f32)]);
    gateway.stop(Duration::from_secs(2)).await;
}

/// The rule of docs/mqtt.md.
fn usable(subscriber: &Subscriber, device: &str, property: &str, now: jiff::Timestamp) -> bool {
    let newest = |end: &str| subscriber.on(end).last().map(common::subscriber::Heard::json).unwrap_or_default();
    let (state, availability) = (newest(&format!("{device}/state")), newest(&format!("{device}/availability")));
    let bridge = newest(&format!("bridge/{}/state", state["node"].as_str().unwrap_or_default()));
    let cell = &state["properties"][property];
    let Some(time) = cell["time"].as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok()) else { return false };
    let age = now.as_millisecond() - time.as_millisecond();
    cell["quality"] == "good"
        && age <= cell["maxAgeMs"].as_i64().unwrap()
        && availability["state"] == "online"
        && bridge["state"] == "online"
}

#[tokio::test]
async fn the_rule_for_subscribers_holds() {
    for version in BOTH {
        let broker = Broker::start("");
        let subscriber = Subscriber::new(version, broker.port, "fieldgate/#").await;
        let gateway = Gateway::start(options(&broker, version));
        let lane = gateway.put(meter("meter-3"));
        let now = jiff::Timestamp::now;
        let is = |property: &'static str| usable(&subscriber, "meter-3", property, now());
        subscriber.last("meter-3/state", Json::is_object).await;
        assert!(!is("voltage"), "never read");
        answer(&lane, &[good(0, 231.4_f32), good(1, 1204.5)]);
        until("both usable", async || (is("voltage") && is("power")).then_some(())).await;
        let later = now() + jiff::SignedDuration::from_secs(4);
        assert!(!usable(&subscriber, "meter-3", "voltage", later), "older than maxAge");
        fail(&lane, ErrorKind::Timeout, &[0], 1);
        until("one stale", async || (!is("voltage")).then_some(())).await;
        until("the other renewed", async || {
            answer(&lane, &[good(1, fastrand::f64())]);
            is("power").then_some(())
        })
        .await;
        answer(&lane, &[good(0, 231.4_f32), good(1, 1204.5)]);
        until("both usable again", async || (is("voltage") && is("power")).then_some(())).await;
        fail(&lane, ErrorKind::Timeout, &[0, 1], 3);
        until("offline", async || (!is("voltage") && !is("power")).then_some(())).await;
        answer(&lane, &[good(0, 231.4_f32), good(1, 1204.5)]);
        until("both usable once more", async || (is("voltage") && is("power")).then_some(())).await;
        gateway.die();
        until("the bridge's death", async || (!is("voltage") && !is("power")).then_some(())).await;
    }
}
