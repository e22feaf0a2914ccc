use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mapper_api::{Decoded, ErrorKind, Refusal, Value};
use serde_json::json;

use super::{Fan, Fleet};
use crate::{
    bus::{Buses, Failure, Observer, Options},
    clock::Stamp,
    control::{
        catalog::{Catalog, Judge, Serve},
        report::{Account, Subjects},
        source::{Objects, SourceText},
        testing,
    },
    data::{self, BusHealth, Node, Readiness},
    model::DeviceId,
};

/// Of the data path, nothing is looked at here.
struct Nobody;

impl data::Facts for Nobody {
    fn devices(&self) -> BTreeMap<DeviceId, Readiness> {
        BTreeMap::new()
    }

    fn buses(&self) -> BTreeMap<String, BusHealth> {
        BTreeMap::new()
    }
}

/// A device of twenty read-only and five writable properties, and one that is reported once a minute.
struct Rig {
    fleet: Arc<Fleet>,
    id: DeviceId,
    catalog: Catalog,
}

const TEMPERATURE: u16 = 25;

fn text(setpoint: &str) -> String {
    let read = (0..20).map(|n| format!("    - {{ name: r{n}, type: int16, wire: {{ register: {n} }} }}\n"));
    let write = (0..5).map(|n| {
        let desired = if n == 0 { setpoint } else { "" };
        format!("    - {{ name: w{n}, type: int16, access: readWrite, {desired} wire: {{ register: {} }} }}\n", 100 + n)
    });
    let timed = "    - { name: temperature, type: int16, reportEvery: 60s, wire: { register: 200 } }\n";
    format!(
        "apiVersion: fieldgate.dev/v1alpha1\nkind: Device\nmetadata: {{ name: boiler }}\nspec:\n  protocol: {{ wire: {{ \
         tcp: h, unit: 1 }} }}\n  properties:\n{}{}{timed}",
        read.collect::<String>(),
        write.collect::<String>()
    )
}

impl Rig {
    fn new() -> Self {
        let node = Node { name: "gw".into(), source: "files".into(), protocols: Vec::new() };
        // Nobody listens there: the readings wait in the outbox.
        let options = data::Options { broker: "mqtt://127.0.0.1:1".into(), ..data::Options::default() };
        let Ok((data, _)) = data::start(options, node, Arc::new(Nobody)) else { panic!("the options are right") };
        let fleet = Fleet::new(Buses::new(Options::of_node("gw")), data);
        Self { fleet, id: DeviceId::new("default", "boiler"), catalog: Catalog::default() }
    }

    fn apply(&mut self, texts: &[String]) {
        let texts =
            texts.iter().map(|text| SourceText { name: "a.yaml".into(), text: text.as_str().into(), error: None });
        let objects = Objects { texts: texts.collect(), ..Objects::default() };
        self.catalog = Catalog::build(&objects, &Judge::new(testing::mappers(), Serve::All), &self.catalog);
        self.fleet.apply(&self.catalog);
    }

    fn fan(&self) -> Fan {
        let entries = self.fleet.entries();
        let running = entries[&self.id].running.as_ref().unwrap();
        Fan { lane: running.lane.clone(), watch: running.watch.clone(), keeper: running.keeper.clone() }
    }

    /// Whether it was touched since the last call.
    async fn touched(&self) -> bool {
        let touched = tokio::time::timeout(Duration::from_nanos(1), self.fleet.touched()).await;
        touched.is_ok_and(|devices| devices == [self.id.clone()])
    }

    fn account(&self) -> Account {
        self.fleet.account(&self.id).unwrap()
    }

    fn reasons(&self) -> Vec<String> {
        self.account().status.conditions.iter().map(|c| format!("{}={}/{}", c.type_, c.status, c.reason)).collect()
    }
}

/// An answer in which the read-only properties hold one value and the writable ones another.
fn answer(read: i64, write: i64, timed: i64) -> Vec<Decoded> {
    let values = [read; 20].into_iter().chain([write; 5]).chain([timed]);
    (0..).zip(values).map(|(point, value)| Decoded { point, result: Ok(Value::Int(value)) }).collect()
}

#[tokio::test(start_paused = true)]
async fn only_what_a_status_tells_touches_a_device() {
    let mut rig = Rig::new();
    rig.apply(&[text("")]);
    assert!(rig.touched().await && !rig.touched().await, "all of them the first time");
    assert_eq!(
        rig.reasons(),
        ["Accepted=True/Accepted", "Reachable=Unknown/NotRead", "Synced=True/NothingDesired", "Ready=Unknown/NotRead"]
    );
    assert_eq!(rig.account().unread.len(), 26);
    let fan = rig.fan();
    fan.answered(Stamp::now(), &answer(0, 7, 1));
    assert!(rig.touched().await);
    assert!(rig.account().unread.is_empty());
    for reading in 1..600 {
        fan.answered(Stamp::now(), &answer(reading, 7, 1));
        assert!(!rig.touched().await, "reading {reading}");
    }
    fan.answered(Stamp::now(), &answer(600, 8, 1));
    assert!(rig.touched().await && !rig.touched().await);
    assert_eq!(rig.account().status.reported["w4"].value, Some(json!(8)));
    // An unchanged set touches nothing.
    rig.apply(&[text("")]);
    assert!(!rig.touched().await);
}

#[tokio::test(start_paused = true)]
async fn silence_names_the_bus_and_the_first_words_and_is_told_once() {
    let mut rig = Rig::new();
    rig.apply(&[text("")]);
    let fan = rig.fan();
    fan.answered(Stamp::now(), &answer(0, 7, 1));
    assert!(rig.touched().await);
    let points: Vec<_> = (0..26).collect();
    let mut told = Vec::new();
    for misses in 1..100 {
        let failure = Failure { kind: ErrorKind::Timeout, message: format!("unit 1: no answer within {misses} ms") };
        fan.failed(Stamp::now(), &points, &failure, misses);
        if rig.touched().await {
            told.push(misses);
        }
    }
    assert_eq!(told, [3], "offlineAfter");
    let account = rig.account();
    assert!(account.status.conditions[1].message.starts_with("wire:h: unit 1: no answer within 3 ms; check"));
    assert_eq!(account.status.reported["w0"].value, Some(json!(7)), "the last that was known");
    // An edit elsewhere in the spec leaves that as it is.
    rig.apply(&[text("desired: 7,")]);
    assert!(rig.touched().await);
    assert!(rig.account().status.conditions[1].message.contains("within 3 ms"));
    rig.fan().answered(Stamp::now(), &answer(0, 7, 1));
    assert!(rig.touched().await);
    assert_eq!(rig.reasons()[1..], ["Reachable=True/Answering", "Synced=True/Synced", "Ready=True/Ready"]);
}

#[tokio::test(start_paused = true)]
async fn a_value_with_report_every_touches_once_an_interval() {
    let mut rig = Rig::new();
    rig.apply(&[text("")]);
    let fan = rig.fan();
    let (mut looks, mut again) = (Vec::new(), None);
    let start = tokio::time::Instant::now();
    for second in 0..181_u64 {
        fan.answered(Stamp::now(), &answer(0, 7, i64::try_from(second).unwrap()));
        let due = again.is_some_and(|at| at <= tokio::time::Instant::now());
        if rig.touched().await || due {
            let account = rig.account();
            again = account.again;
            looks.push((second, account.status.reported["temperature"].value.clone().unwrap()));
        }
        tokio::time::sleep_until(start + Duration::from_secs(second + 1)).await;
    }
    assert!(looks.len() <= 7, "a look for the news, and one when its time has come: {looks:?}");
    let mut told = looks;
    told.dedup_by_key(|(_, value)| value.clone());
    assert!(told.len() >= 3 && told.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 60), "{told:?}");
    assert_eq!(
        rig.catalog.devices[&rig.id].as_ref().unwrap().property(TEMPERATURE).report_every,
        Some(Duration::from_secs(60))
    );
}

#[tokio::test(start_paused = true)]
async fn the_reason_says_whether_a_spec_is_wrong_or_only_not_supported() {
    let mut rig = Rig::new();
    let unsupported = blind("").replace("bool", "bytes, size: 4");
    for (text, reason) in [
        (unsupported.clone(), "Unsupported"),
        (blind("desired: maybe,"), "Config"),
        (unsupported.replace("register: 1", "register: none"), "Config"),
    ] {
        rig.apply(&[text]);
        assert_eq!(rig.reasons()[0], format!("Accepted=False/{reason}"), "{:?}", rig.account().status.conditions[0]);
        assert_eq!(rig.reasons()[3], format!("Ready=False/{reason}"));
    }
}

/// An answer in which every property is refused.
fn refusals() -> Vec<Decoded> {
    (0..26).map(|point| Decoded { point, result: Err(Refusal::rejected("illegalDataAddress")) }).collect()
}

#[tokio::test(start_paused = true)]
async fn one_miss_of_a_device_that_refuses_everything_is_no_silence() {
    let mut rig = Rig::new();
    rig.apply(&[text("")]);
    let (fan, points) = (rig.fan(), (0..26).collect::<Vec<_>>());
    let misses = |count: u32| {
        for misses in 1..=count {
            let failure = Failure { kind: ErrorKind::Timeout, message: "no answer".into() };
            fan.failed(Stamp::now(), &points, &failure, misses);
        }
    };
    misses(3);
    assert_eq!(rig.reasons()[1], "Reachable=False/Timeout");
    // It comes back, and refuses everything: its values are offline still, but it answers.
    for (missed, reachable) in [(0, "True/Rejected"), (1, "True/Rejected"), (2, "True/Rejected"), (3, "False/Timeout")]
    {
        fan.answered(Stamp::now(), &refusals());
        misses(missed);
        assert_eq!(rig.reasons()[1], format!("Reachable={reachable}"), "after {missed} misses");
    }
    fan.answered(Stamp::now(), &refusals());
    assert_eq!(rig.reasons()[1], "Reachable=True/Rejected");
}

/// A device that can only be written, with this or nothing desired.
fn blind(desired: &str) -> String {
    format!(
        "apiVersion: fieldgate.dev/v1alpha1\nkind: Device\nmetadata: {{ name: boiler }}\nspec:\n  protocol: {{ wire: {{ \
         tcp: h, unit: 1 }} }}\n  properties:\n    - {{ name: pump, type: bool, access: write, {desired} wire: {{ register: 1 \
         }} }}\n"
    )
}

#[tokio::test(start_paused = true)]
async fn a_device_of_which_nothing_is_asked_is_ready() {
    let mut rig = Rig::new();
    rig.apply(&[blind("")]);
    assert_eq!(
        rig.reasons()[1..],
        ["Reachable=Unknown/NothingAsked", "Synced=True/NothingDesired", "Ready=True/Ready"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_device_that_can_only_be_written_is_not_reachable() {
    let mut rig = Rig::new();
    // No write can be sent.
    rig.fleet.stop().await;
    rig.apply(&[blind("desired: true,")]);
    let failed = async {
        while rig.reasons()[2] != "Synced=False/WriteFailed" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), failed).await.unwrap();
    assert_eq!(rig.reasons()[1], "Reachable=False/Unreachable");
    assert_eq!(rig.reasons()[3], "Ready=False/Unreachable");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_refused_or_leaves_is_told() {
    let mut rig = Rig::new();
    rig.apply(&[text("")]);
    assert!(rig.touched().await);
    rig.apply(&[text("desired: maybe,")]);
    assert!(rig.touched().await);
    assert!(rig.reasons()[0].starts_with("Accepted=False/"), "{:?}", rig.reasons());
    assert!(rig.account().uid.is_some(), "the last accepted spec is at work");
    rig.apply(&[]);
    assert!(rig.touched().await);
    assert!(rig.fleet.account(&rig.id).is_none());
    // One that was never accepted goes the same way.
    rig.apply(&[text("desired: maybe,")]);
    assert!(rig.touched().await);
    assert_eq!(rig.reasons()[1..], ["Reachable=Unknown/NotPolled", "Synced=Unknown/NotPolled", "Ready=False/Config"]);
    rig.apply(&[]);
    assert!(rig.touched().await);
}
