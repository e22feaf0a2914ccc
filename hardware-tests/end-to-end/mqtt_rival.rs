//! Two bridges of one node at a real mosquitto: the one that started later stays, the other stands back and says so, and
//! comes back when it is alone again. They never take turns.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    process::Command,
    time::{Duration, SystemTime},
};

use common::{
    bridge::{self, Bridge, Folder},
    broker::Broker,
    device::{Gateway, answer, good, meter},
    gate::Gate,
    kube::SETPOINT,
    plant::{Plant, Probe},
    subscriber::Subscriber,
    until, within,
};
use fieldgate::{
    data::{Options, Version},
    observe::health,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const BOTH: [Version; 2] = [Version::V5, Version::V4];

fn options(broker: &str, version: Version) -> Options {
    Options { broker: broker.into(), version, state: false, ..Options::default() }
}

/// Identities of starts have a resolution of seconds.
async fn next_second() {
    let second = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let began = second();
    until("the next second", async || (second() > began).then_some(())).await;
}

/// The last `state` of the bridge.
fn state(subscriber: &Subscriber) -> serde_json::Value {
    subscriber.on("/bridge/gw-1/state").last().unwrap().json()
}

async fn told(older: &Gateway) -> String {
    until("the older one stands back", async || older.path.rival()).await
}

async fn one_stands_back_and_comes_back(version: Version) {
    let broker = Broker::start("");
    let gate = Gate::to(broker.port).await;
    let subscriber = Subscriber::new(version, broker.port, "fieldgate/#").await;
    let older = Gateway::start(options(&gate.url(), version));
    let lane = older.put(meter("meter-3"));
    older.connected(1).await;
    until("its state", async || subscriber.on("/bridge/gw-1/state").last().map(|_| ())).await;
    assert_eq!(older.path.rival(), None);

    next_second().await;
    let newer = Gateway::start(options(&broker.url(), version));
    let reason = told(&older).await;
    // Neither 3.1.1 nor mosquitto 2.0.11 says why the broker hangs up: the older one must come back once to see.
    assert_eq!(older.path.counters().connections, 2);
    assert!(reason.contains("client fieldgate-gw-1") && reason.contains("127.0.0.1:"), "{reason}");
    assert!(reason.contains("another bridge of this node"), "{reason}");
    until("the newer one is online", async || {
        let s = state(&subscriber);
        (newer.path.counters().connected && s["state"] == "online" && s["boot"] == newer.path.boot()).then_some(())
    })
    .await;

    // What is read waits.
    answer(&lane, &[good(0, 231.4_f32), good(1, 1.0)]);
    assert_eq!(older.path.counters().outbox.messages, 1);
    let (looks, connections) = (gate.passed(), newer.path.counters().connections);
    until("a look", async || (gate.passed() > looks).then_some(())).await;
    // The look found the newer one, and took nothing from it.
    answer(&lane, &[good(0, 231.4_f32), good(1, 2.0)]);
    assert!(older.path.rival().is_some());
    assert!(!older.path.counters().connected);
    assert_eq!(newer.path.counters().connections, connections);
    assert_eq!(newer.path.rival(), None);
    assert_eq!(state(&subscriber)["boot"], newer.path.boot());

    older.stop(Duration::from_secs(5)).await;
    newer.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_one_that_started_later_stays_mqtt_5() {
    one_stands_back_and_comes_back(Version::V5).await;
}

#[tokio::test]
async fn the_one_that_started_later_stays_mqtt_3() {
    one_stands_back_and_comes_back(Version::V4).await;
}

/// The other one is gone before the first look, in order or not; what it left behind is no sign of life.
#[tokio::test]
async fn the_older_one_comes_back_with_its_readings_when_the_other_is_gone() {
    for (version, in_order) in BOTH.into_iter().zip([false, true]) {
        let broker = Broker::start("");
        let subscriber = Subscriber::new(version, broker.port, "fieldgate/#").await;
        let older = Gateway::start(options(&broker.url(), version));
        let lane = older.put(meter("meter-3"));
        older.connected(1).await;
        until("its state", async || subscriber.on("/bridge/gw-1/state").last().map(|_| ())).await;
        next_second().await;
        let newer = Gateway::start(options(&broker.url(), version));
        told(&older).await;
        let times = older.path.counters().connections;
        answer(&lane, &[good(0, 231.4_f32), good(1, 1.0)]);
        if in_order {
            newer.connected(1).await;
            newer.stop(Duration::from_secs(5)).await;
        } else {
            newer.die();
        }
        older.connected(times + 1).await;
        older.drained().await;
        assert_eq!(older.path.rival(), None);
        subscriber.distinct(1).await;
        until("its state", async || {
            let s = state(&subscriber);
            (s["state"] == "online" && s["boot"] == older.path.boot()).then_some(())
        })
        .await;
        older.stop(Duration::from_secs(5)).await;
    }
}

/// With client names of their own the broker lets both in; they see each other all the same.
#[tokio::test]
async fn two_of_one_node_under_two_names_are_noticed_too() {
    for version in BOTH {
        let broker = Broker::start("");
        let subscriber = Subscriber::new(version, broker.port, "fieldgate/#").await;
        let older = Gateway::start(Options { client_id: Some("a".into()), ..options(&broker.url(), version) });
        older.connected(1).await;
        until("its state", async || subscriber.on("/bridge/gw-1/state").last().map(|_| ())).await;
        next_second().await;
        let newer = Gateway::start(Options { client_id: Some("b".into()), ..options(&broker.url(), version) });
        told(&older).await;
        until("the newer one is online", async || {
            let s = state(&subscriber);
            (newer.path.counters().connected && s["state"] == "online" && s["boot"] == newer.path.boot()).then_some(())
        })
        .await;
        assert_eq!((newer.path.counters().connections, newer.path.rival()), (1, None));
        older.stop(Duration::from_secs(5)).await;
        newer.stop(Duration::from_secs(5)).await;
    }
}

/// A bridge that died together with its broker left no last will: what is retained says that it is online.
#[tokio::test]
async fn what_only_a_dead_bridge_left_keeps_nobody_away() {
    let broker = Broker::start("");
    let subscriber = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let bridge = Gateway::start(options(&broker.url(), Version::V5));
    bridge.connected(1).await;
    until("its state", async || subscriber.on("/bridge/gw-1/state").last().map(|_| ())).await;
    let port = broker.port.to_string();
    // As the broker would restore it, of a start that the clock of then puts later.
    for (leaf, text) in [("health", "{}"), ("state", r#"{"state":"online","boot":"zzzzzzzzzz"}"#)] {
        let topic = format!("fieldgate/bridge/gw-1/{leaf}");
        let publish = ["-p", &port, "-r", "-q", "1", "-t", &topic, "-m", text];
        assert!(Command::new("mosquitto_pub").args(publish).status().unwrap().success());
    }
    told(&bridge).await;
    bridge.connected(2).await;
    assert_eq!(bridge.path.rival(), None);
    bridge.stop(Duration::from_secs(5)).await;
}

/// Neither what an earlier start left, nor a connection that broke, is another bridge.
#[tokio::test]
async fn a_bridge_that_was_only_restarted_stands_back_for_nobody() {
    for version in BOTH {
        let broker = Broker::persistent();
        let gate = Gate::to(broker.port).await;
        let subscriber = Subscriber::new(version, broker.port, "fieldgate/#").await;
        for _ in 0..3 {
            let gateway = Gateway::start(options(&gate.url(), version));
            for times in 1..=2 {
                gateway.connected(times).await;
                until("its own state", async || {
                    let online = subscriber.on("/bridge/gw-1/state").into_iter().map(|heard| heard.json());
                    let own = online.filter(|s| s["state"] == "online" && s["boot"] == gateway.path.boot());
                    (own.count() as u64 >= times).then_some(())
                })
                .await;
                gate.close();
                until("the end", async || (!gateway.path.counters().connected).then_some(())).await;
                gate.open();
            }
            gateway.connected(3).await;
            assert_eq!(gateway.path.rival(), None);
            gateway.die();
        }
    }
}

/// A broker of MQTT 5 that takes a connection, and its bytes.
async fn accept(listener: &TcpListener) -> (TcpStream, Vec<u8>) {
    let (mut stream, _) = within("a connection", listener.accept()).await.unwrap();
    let mut connect = vec![0; 1024];
    let read = within("CONNECT", stream.read(&mut connect)).await.unwrap();
    connect.truncate(read);
    stream.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
    (stream, connect)
}

/// Not every broker is as silent as mosquitto: DISCONNECT with 0x8E is enough, and what comes next is a look under another
/// name, without a last will.
#[tokio::test]
async fn a_session_that_is_said_to_be_taken_over_is_not_fought_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtt://{}", listener.local_addr().unwrap());
    let bridge = Gateway::start(options(&url, Version::V5));
    let names = |connect: &[u8], text: &str| connect.windows(text.len()).any(|part| part == text.as_bytes());
    let (mut stream, connect) = accept(&listener).await;
    assert!(names(&connect, "\x0efieldgate-gw-1") && names(&connect, "offline"));
    bridge.connected(1).await;
    assert_eq!(bridge.path.rival(), None);
    stream.write_all(&[0xe0, 2, 0x8e, 0]).await.unwrap();
    told(&bridge).await;
    let (_stream, connect) = accept(&listener).await;
    assert!(names(&connect, &format!("fieldgate-gw-1-{}", bridge.path.boot())) && !names(&connect, "offline"));
    assert_eq!(bridge.path.counters().connections, 1);
    bridge.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_pages_say_so() {
    let (broker, devices) = (Broker::start(""), Folder::new());
    let older = Bridge::start(devices.path(), &broker.url()).await;
    until("a broker", async || older.page("/metrics").await.contains("fieldgate_broker_connected 1").then_some(()))
        .await;
    older.page("/readyz").await;
    next_second().await;
    let newer = Bridge::start(devices.path(), &broker.url()).await;
    let ready = async |bridge: &Bridge| health::get(bridge.http, "/readyz", Duration::from_secs(20)).await;
    let reason = until("not ready", async || ready(&older).await.err()).await.to_string();
    assert!(reason.contains("another bridge of this node is connected") && reason.contains("--node"), "{reason}");
    until("ready", async || ready(&newer).await.ok()).await;
    older.page("/healthz").await;
    assert!(older.log().contains("another bridge of this node"), "{}", older.log());
}

/// Both are given the same device, and other values for it: only one of them writes.
#[tokio::test]
async fn the_one_that_stands_back_writes_no_desired_value() {
    let broker = Broker::start("");
    let bank = Probe::new([1], &[]);
    let plant = Plant::start(bank.clone()).await;
    let write = |folder: &Folder, desired: u16| {
        let setpoint = format!("{SETPOINT}, desired: {desired}");
        folder.write("boiler.yaml", &bridge::device("boiler", &plant.endpoint(1), &[("setpoint", &setpoint)]));
    };
    let written = async |value: u16| {
        let last = async || bank.writes(1).last().filter(|(.., values)| *values == [value]).map(drop);
        until(&format!("{value} in the device"), last).await;
    };
    let [theirs, ours] = [Folder::new(), Folder::new()];
    write(&ours, 5);
    let older = Bridge::start(ours.path(), &broker.url()).await;
    written(5).await;
    until("a broker", async || older.page("/metrics").await.contains("fieldgate_broker_connected 1").then_some(()))
        .await;
    next_second().await;
    write(&theirs, 7);
    let newer = Bridge::start(theirs.path(), &broker.url()).await;
    let ready = async || health::get(older.http, "/readyz", Duration::from_secs(20)).await;
    until("the older one stands back", async || ready().await.err()).await;
    // An edit would be written at once.
    write(&ours, 6);
    older.shows("default/boiler", "edited", |d| d["status"]["reported"]["setpoint"]["desired"] == 6).await;
    bank.read(1, bank.reads(1) + 30).await;
    assert!(bank.writes(1).iter().all(|(.., values)| *values != [6]), "{:?}", bank.writes(1));
    drop(newer);
    written(6).await;
    until("ready", async || ready().await.ok()).await;
}
