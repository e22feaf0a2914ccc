//! The control plane goes away, comes back, lies, forgets; the bridge dies. What is polled stays polled.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use common::{
    bridge::{Bridge, Folder, LEVEL, condition, fieldgate},
    kube::{SETPOINT, Stage, own, shared},
    until,
};
use hardware_tests::cluster::{
    Gateway, Proxy, Server,
    proxy::{Answer, Fault, Line, Matches, Verb},
};
use mapper_modbus::Table::HoldingRegister;
use serde_json::{Value as Json, json};

const LIST: Matches = Matches::all(Verb::List);
const WATCH: Matches = Matches::all(Verb::Watch);
const REPORT: Matches = Matches::of(Verb::Patch, "devices/status");

/// One gateway behind a proxy, with one Device that is ready.
struct Behind {
    stage: Stage,
    proxy: Proxy,
    gateway: Gateway,
    bridge: Bridge,
}

impl Behind {
    async fn new(server: &Server, name: &str, folder: Option<&Folder>) -> Self {
        let stage = Stage::new(server, name, [1], &[]).await;
        let gateway = stage.gateway(server, "gw");
        let proxy = Proxy::start(server).unwrap();
        stage.apply(&stage.device("pump", "gw", 1, &[("setpoint", SETPOINT), ("level", LEVEL)]));
        let bridge = stage.bridge(&gateway, proxy.endpoint(), folder.map(Folder::path)).await;
        stage.is("pump", "Ready", "True").await;
        Self { stage, proxy, gateway, bridge }
    }

    /// Waits until so many more of these requests have come since then.
    async fn asked(&self, since: Instant, times: usize, matches: Matches) {
        let asked = async || (self.proxy.since(since, matches) >= times).then_some(());
        until(&format!("{times} of {matches:?}"), asked).await;
    }

    /// An edit comes through: to the device and, as done, back.
    async fn works(&self, value: u16) {
        self.stage.desire("pump", &json!(value));
        self.stage.written(1, value).await;
        self.reports(value).await;
    }

    /// The cluster knows what the device holds.
    async fn reports(&self, value: u16) {
        let fits = |object: &Json| {
            let (status, generation) = (&object["status"], &object["metadata"]["generation"]);
            status["reported"]["setpoint"]["value"] == value
                && condition(object, "Ready")["status"] == "True"
                && status["observedGeneration"] == *generation
        };
        self.stage.stored("pump", &format!("reported as {value}"), fits).await;
    }

    fn served_once(&self) {
        assert_eq!(self.bridge.taken_on(&self.stage.id("pump")), 1, "{}", self.bridge.log());
    }
}

/// A Device of another node, as a cache without a selector would mix it in.
fn foreign(stage: &Stage) -> Json {
    let mut object = stage.kubectl.get(&stage.namespace, "device", "pump").unwrap();
    object["metadata"]["name"] = json!("foreign");
    object["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    object["spec"]["nodeName"] = json!("elsewhere");
    object
}

/// The line breaks, and whatever is listed afterwards is not the truth.
async fn lied_to(name: &str, lie: impl Fn(&Stage) -> Fault) {
    let behind = Behind::new(shared(), name, None).await;
    let since = Instant::now();
    behind.proxy.set(LIST, lie(&behind.stage));
    behind.proxy.set(WATCH, Fault::Gone);
    behind.proxy.cut();
    behind.asked(since, 1, Matches::of(Verb::List, "devices")).await;
    behind.stage.polled(1, 20).await;
    behind.served_once();
    let topic = format!("/{}/pump/state", behind.stage.namespace);
    assert!(behind.stage.heard.on(&topic).iter().all(|heard| !heard.payload.is_empty()), "{name}: it was swept");
    behind.proxy.heal().unwrap();
    behind.works(31).await;
    assert_eq!(behind.stage.bank.writes(1).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_list_of_a_suspect_link_takes_a_device_away() {
    tokio::join!(
        lied_to("empty", |_| Fault::empty_list()),
        lied_to("bare", |_| Fault::bare_list()),
        lied_to("versionless", |_| Fault::list_without_version()),
        lied_to("foreign", |stage| Fault::foreign_items(vec![foreign(stage)])),
        lied_to("endless", |_| Fault::endless_pages()),
        lied_to("notfound", |_| Fault::Answer(Answer::text(
            404,
            "dial tcp 10.0.0.1:6443: connect: connection refused"
        ))),
    );
}

/// Lists and watches fail in some way; no more requests than a person would find polite.
async fn fails(name: &str, matches: Matches, fault: Fault, most: usize) {
    let behind = Behind::new(shared(), name, None).await;
    let since = Instant::now();
    behind.proxy.set(matches, fault);
    behind.proxy.cut();
    behind.asked(since, 3, matches).await;
    let took = since.elapsed();
    tokio::time::sleep(Duration::from_secs(8).saturating_sub(took)).await;
    let asked = behind.proxy.since(since, Matches::ANY);
    assert!(asked <= most, "{name}: {asked} requests in 8 s: {:#?}", behind.proxy.seen());
    behind.stage.polled(1, 5).await;
    behind.served_once();
    behind.proxy.heal().unwrap();
    behind.works(32).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_at_once_is_asked_for_ever_more_slowly() {
    let text = || Answer::text(503, "http2: client connection lost");
    tokio::join!(
        fails("ends", WATCH, Fault::Empty, 40),
        fails("gone", WATCH, Fault::Gone, 40),
        fails("text", Matches::ANY, Fault::Answer(text()), 40),
        fails("internal", Matches::ANY, Fault::Answer(Answer::status(500, "InternalError", "etcd is away")), 40),
        fails("gateway", Matches::ANY, Fault::Answer(Answer::empty(502)), 40),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_to_come_later_comes_later() {
    let behind = Behind::new(shared(), "later", None).await;
    let since = Instant::now();
    behind.proxy.set(WATCH, Fault::Answer(Answer::too_many(3)));
    behind.proxy.cut();
    let watch = Matches::of(Verb::Watch, "devices");
    behind.asked(since, 3, watch).await;
    let seen = behind.proxy.seen();
    let times: Vec<_> = seen.iter().filter(|seen| seen.at >= since && watch.fits(&seen.call)).map(|s| s.at).collect();
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_secs(3), "{times:?}");
    }
    behind.proxy.heal().unwrap();
    behind.works(33).await;
}

/// A report meets a proxy that does not do, or does not say, what it should.
async fn reported_through(name: &str, fault: Fault, applied: bool) {
    let behind = Behind::new(shared(), name, None).await;
    behind.reports(0).await;
    behind.proxy.set(REPORT, fault);
    let since = Instant::now();
    // Somebody turns the knob.
    behind.stage.bank.set(1, HoldingRegister, 4, &[9]);
    behind.asked(since, 1, REPORT).await;
    // It was not confirmed: it is asserted again, but not by a loop of its own. (What was done all the same is seen by
    // the watch, and content with.)
    if applied {
        behind.reports(9).await;
    } else {
        behind.asked(since, 2, REPORT).await;
    }
    let first = behind.proxy.seen().into_iter().find(|s| s.at >= since && REPORT.fits(&s.call)).unwrap().at;
    tokio::time::sleep(Duration::from_secs(6).saturating_sub(first.elapsed())).await;
    let count = behind.proxy.since(first, REPORT);
    assert!((1..=8).contains(&count), "{name}: {count} PATCHes in 6 s");
    behind.stage.polled(1, 5).await;
    behind.proxy.heal().unwrap();
    behind.reports(9).await;
    behind.works(34).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_counts_only_when_the_answer_echoes_it() {
    let text = || Answer::text(503, "http2: client connection lost");
    tokio::join!(
        reported_through("refused", Fault::Answer(text()), false),
        reported_through("old", Fault::OldObject, false),
        reported_through("done", Fault::DoneBut(text()), true),
        reported_through("limited", Fault::Answer(Answer::too_many(1)), false),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_answers_and_broken_watches_slow_nothing_down() {
    let behind = Behind::new(shared(), "slow", None).await;
    behind.proxy.set(Matches::ANY, Fault::Delay(Duration::from_secs(2)));
    behind.proxy.cut();
    behind.works(35).await;
    behind.proxy.heal().unwrap();
    // The event that tells of the edit breaks off in its middle.
    behind.proxy.next(2, WATCH, Fault::CutMidChunk);
    behind.proxy.cut();
    behind.works(36).await;
    // The line takes requests and answers nothing.
    behind.proxy.line(Line::Hung).unwrap();
    behind.stage.desire("pump", &json!(37));
    behind.stage.polled(1, 20).await;
    behind.proxy.heal().unwrap();
    behind.stage.written(1, 37).await;
    behind.reports(37).await;
    assert_eq!(behind.stage.bank.writes(1).len(), 3, "each edit once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_on_both_sides_of_an_outage_meets_afterwards() {
    let behind = Behind::new(shared(), "sides", None).await;
    behind.works(40).await;
    behind.proxy.line(Line::Refused).unwrap();
    // Here: it is turned down, the newest of three values counts. There: a further Device, and one less.
    for value in [41, 42, 43] {
        behind.stage.bank.set(1, HoldingRegister, 4, &[value]);
        behind.stage.polled(1, 3).await;
    }
    behind.stage.apply(&behind.stage.device("second", "gw", 1, &[("level", LEVEL)]));
    behind.proxy.heal().unwrap();
    behind.stage.is("second", "Ready", "True").await;
    behind.stage.stored("pump", "43", |o| o["status"]["reported"]["setpoint"]["value"] == 43).await;

    behind.proxy.line(Line::Refused).unwrap();
    behind.stage.kubectl.ok(&["delete", "device", "second", "-n", &behind.stage.namespace]).unwrap();
    behind.stage.desire("pump", &json!(44));
    behind.proxy.heal().unwrap();
    behind.stage.written(1, 44).await;
    behind.reports(44).await;
    behind.bridge.shows(&behind.stage.id("second"), "gone", Json::is_null).await;

    // Its token is exchanged, and the connections of the old one are cut.
    behind.gateway.renew().unwrap();
    behind.proxy.cut();
    behind.works(45).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_dies_forgets_and_comes_back() {
    let mut server = own();
    let behind = Behind::new(&server, "killed", None).await;
    server.kill().unwrap();
    behind.stage.polled(1, 20).await;
    behind.served_once();
    server.restart().unwrap();
    behind.works(50).await;

    // While the line is silent everything that a watch could go on from is forgotten: 410, and a new list.
    behind.proxy.line(Line::Hung).unwrap();
    for value in [51, 52] {
        behind.stage.desire("pump", &json!(value));
    }
    server.compact().unwrap();
    server.kill().unwrap();
    server.restart().unwrap();
    behind.stage.polled(1, 5).await;
    let since = Instant::now();
    behind.proxy.heal().unwrap();
    behind.stage.written(1, 52).await;
    behind.reports(52).await;
    assert!(behind.proxy.since(since, Matches::of(Verb::List, "devices")) >= 1, "nothing was listed anew");
    // (What was on its way when the line fell silent may still come first.)
    let values = behind.stage.bank.writes(1).into_iter().map(|(.., values)| values[0]);
    assert!(values.is_sorted(), "it went back to an older value");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_bridge_starts_from_what_it_kept_with_no_network() {
    let state = Folder::new();
    let Behind { stage, proxy, gateway, mut bridge } = Behind::new(shared(), "dies", Some(&state)).await;
    let kept = async || {
        let entries = std::fs::read_dir(state.path().join("kept")).ok()?;
        (entries.count() > 0).then_some(())
    };
    until("something kept", kept).await;
    let mut dice = fastrand::Rng::with_seed(7);
    for round in 0..5 {
        let value = 60 + round;
        stage.desire("pump", &json!(value));
        tokio::time::sleep(Duration::from_millis(dice.u64(..1500))).await;
        bridge.signal("KILL");
        bridge.ended().await;
        proxy.line(Line::Refused).unwrap();
        drop(bridge);
        bridge = stage.bridge(&gateway, proxy.endpoint(), Some(state.path())).await;
        stage.polled(1, 5).await;
        bridge.shows(&stage.id("pump"), "served", |d| condition(d, "Reachable")["status"] == "True").await;
        proxy.heal().unwrap();
        // What was kept is seconds old: the bridge may have gone back to the value before until it saw the API.
        bridge.shows(&stage.id("pump"), "newest", |d| d["status"]["reported"]["setpoint"]["desired"] == value).await;
        stage.written(1, value).await;
        stage.stored("pump", "written", |o| o["status"]["reported"]["setpoint"]["value"] == value).await;
    }
    let values = stage.bank.writes(1).into_iter().map(|(.., values)| values[0]);
    assert!(values.clone().all(|value| (60..65).contains(&value)), "nobody wanted {:?}", values.collect::<Vec<_>>());
}

/// An API server that was restored from a backup counts from an earlier version on, so that a watch from a later one
/// hears nothing; its objects are older than those that the bridge knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_restored_from_a_backup_is_taken_up() {
    let mut server = own();
    let stage = Stage::new(&server, "backup", [1], &[]).await;
    let gateway = stage.gateway(&server, "gw");
    let desired = format!("{SETPOINT}, desired: 51");
    stage.apply(&stage.device("pump", "gw", 1, &[("setpoint", &desired), ("level", LEVEL)]));
    let bridge = stage.bridge(&gateway, server.endpoint(), None).await;
    stage.written(1, 51).await;
    stage.is("pump", "Ready", "True").await;
    server.kill().unwrap();
    server.back_up().unwrap();
    server.restart().unwrap();
    for value in 52..=55 {
        stage.desire("pump", &json!(value));
        stage.written(1, value).await;
    }
    let known = stage.is("pump", "Ready", "True").await;
    // What a server writes at its start must not pass what is lost.
    let lost =
        (0..300).map(|n| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c{n}")}}));
    let lost = json!({"apiVersion": "v1", "kind": "List", "items": lost.collect::<Vec<_>>()});
    stage.apply(&lost.to_string());
    // The watch goes on from here.
    stage.desire("pump", &json!(56));
    stage.written(1, 56).await;
    server.kill().unwrap();
    server.restore().unwrap();
    server.restart().unwrap();
    let path = format!("/apis/fieldgate.dev/v1alpha1/namespaces/{}/devices/pump", stage.namespace);
    let back = stage.asks.get(&path).await.unwrap();
    let generation = |object: &Json| object["metadata"]["generation"].as_i64().unwrap();
    assert!(generation(&back) < generation(&known), "{back:#}");
    stage.written(1, 51).await;
    stage.is("pump", "Ready", "True").await;
    stage.desire("pump", &json!(57));
    stage.written(1, 57).await;
    stage.is("pump", "Ready", "True").await;
    assert!(bridge.log().contains("as after a restore"), "{}", bridge.log());
}

/// A gateway whose wall clock is set by hand while it runs, by libfaketime. The monotonic clock is left alone.
struct WrongClock(Folder);

impl WrongClock {
    fn new(seconds: i64) -> Self {
        let this = Self(Folder::new());
        this.set(seconds);
        this
    }

    fn set(&self, seconds: i64) {
        // As a whole: it is read at each look at the clock.
        self.0.write("new", &format!("{seconds:+}\n"));
        std::fs::rename(self.0.path().join("new"), self.0.path().join("clock")).unwrap();
    }

    fn program(&self) -> Command {
        let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
        assert!(Path::new(&library).exists(), "there is no {library}: run hardware-tests/install");
        let mut program = fieldgate();
        program.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", self.0.path().join("clock"));
        program.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        program
    }
}

/// By how many seconds a time in the API is off.
fn off(time: &Json) -> i64 {
    let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
    time.as_second() - jiff::Timestamp::now().as_second()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_whose_clock_is_wrong_and_steps_reports_as_any_other() {
    const HOUR: i64 = 3600;
    // A test that takes ten minutes is broken anyway.
    let is_off = |time: &Json, by: i64| (off(time) - by).abs() < 600;
    let mut stage = Stage::new(shared(), "skewed", [1], &[]).await;
    let gateway = stage.gateway(shared(), "gw");
    let clock = WrongClock::new(HOUR);
    stage.apply(&stage.device("pump", "gw", 1, &[("setpoint", SETPOINT), ("level", LEVEL)]));
    let bridge = stage.bridge_from(clock.program(), &gateway, shared().endpoint(), None).await;
    let ahead = stage.is("pump", "Ready", "True").await;
    let since = |object: &Json, type_: &str| condition(object, type_)["lastTransitionTime"].clone();
    assert!(is_off(&since(&ahead, "Ready"), HOUR), "the clock is not wrong: {ahead:#}");
    stage.desire("pump", &json!(215));
    stage.written(1, 215).await;
    let reported = |value: u16| move |o: &Json| o["status"]["reported"]["setpoint"]["value"] == value;
    stage.stored("pump", "215", reported(215)).await;
    stage.is("pump", "Synced", "True").await;

    // A step alone is no news, there or back.
    let writes = || {
        let audit = shared().audit().unwrap().into_iter();
        let own = audit.filter(|e| e.user == gateway.user() && !["get", "list", "watch"].contains(&e.verb.as_str()));
        own.map(|e| (e.verb, e.resource)).collect::<Vec<_>>()
    };
    let mut settled = (0, Instant::now());
    until("no more writes", async || {
        let now = writes().len();
        if now != settled.0 {
            settled = (now, Instant::now());
        }
        (settled.1.elapsed() > Duration::from_secs(2)).then_some(())
    })
    .await;
    let before = writes();
    for by in [-HOUR / 2, HOUR, -HOUR / 2] {
        clock.set(by);
        stage.polled(1, 10).await;
    }
    assert_eq!(writes(), before);

    // What happens now is told, with the time that the clock shows now, though an earlier one was later.
    stage.plant.down().await;
    let silent = stage.is("pump", "Reachable", "False").await;
    assert!(is_off(&since(&silent, "Reachable"), -HOUR / 2), "{silent:#}");
    assert!(is_off(&since(&silent, "Accepted"), HOUR), "it did not change: {silent:#}");
    stage.plant.up().await;
    stage.is("pump", "Ready", "True").await;
    stage.desire("pump", &json!(220));
    stage.written(1, 220).await;
    stage.stored("pump", "220", reported(220)).await;
    stage.is("pump", "Synced", "True").await;
    assert_eq!(stage.bank.writes(1).len(), 2, "each value once");
    assert_eq!(bridge.taken_on(&stage.id("pump")), 3, "the device and two edits: {}", bridge.log());
    let reasons = async || {
        let events = stage.kubectl.ok(&["get", "events", "-n", &stage.namespace, "-o", "json"]).unwrap();
        let events: Json = serde_json::from_str(&events).unwrap();
        let all = events["items"].as_array().unwrap().clone();
        let has = |reason: &str| all.iter().any(|event| event["reason"] == reason);
        (has("Ready") && (has("Unreachable") || has("Bus") || has("Timeout"))).then_some(())
    };
    until("events of both", reasons).await;
}
