//! The payloads: each example under `docs/mqtt/examples` fits its schema, and is what a gateway really publishes.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use common::{
    broker::Broker,
    device::{Gateway, device, property},
    schema::mistakes,
    subscriber::{Heard, Subscriber},
};
use fieldgate::{
    bus::{Failure, Observer},
    clock::Stamp,
    data::{
        BusHealth, Options, Readiness, Stats, Version,
        payload::{self, Health, Tail},
    },
    model::{Desired, Device, DeviceId},
};
use fieldgate_crds::OnDrift;
use mapper_api::{Access, DataType, Decoded, ErrorKind, Refusal};
use mapper_values::Shape;
use serde_json::{Value as Json, json};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/mqtt")
}

fn load(path: &Path) -> Json {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

fn example(name: &str) -> Json {
    load(&folder().join("examples").join(format!("{name}.json")))
}

fn fits(schema: &str, value: &Json) {
    let schema = load(&folder().join(format!("{schema}.schema.json")));
    assert_eq!(mistakes(&schema, value, "$"), Vec::<String>::new(), "{value}");
}

/// An example's schema has the longest name that its own begins with.
#[test]
fn every_example_fits_its_schema_and_every_schema_has_one() {
    let names = |path: PathBuf, end: &str| -> Vec<String> {
        let files = std::fs::read_dir(path).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
        files.filter_map(|f| f.strip_suffix(end).map(str::to_owned)).collect()
    };
    let mut used = Vec::new();
    let schemas = names(folder(), ".schema.json");
    for name in names(folder().join("examples"), ".json") {
        let schema = schemas.iter().filter(|s| name.starts_with(*s)).max_by_key(|s| s.len()).unwrap();
        fits(schema, &example(&name));
        used.push(schema.clone());
    }
    assert!(schemas.iter().all(|s| used.contains(s)), "{schemas:?} {used:?}");
}

#[test]
fn the_schemas_refuse() {
    let schema = load(&folder().join("readings.schema.json"));
    for (key, wrong) in
        [("seq", json!("1")), ("time", json!("yesterday")), ("historical", json!(false)), ("values", json!([]))]
    {
        let mut value = example("readings");
        value[key] = wrong;
        assert_eq!(mistakes(&schema, &value, "$").len(), 1, "{value}");
    }
    assert_eq!(mistakes(&schema, &json!({}), "$").len(), 5);
}

/// The device of the examples.
fn boiler() -> Device {
    let labels = BTreeMap::from([("0".into(), "off".into()), ("1".into(), "on".into())]);
    let unit = |name: &str, data_type, unit: &str| {
        let mut p = property(name, data_type);
        p.unit = Some(unit.into());
        p
    };
    let mut energy = unit("energy", DataType::Uint64, "Wh");
    energy.poll_every = Duration::from_secs(10);
    let mut fan = property("fan", DataType::Uint16);
    fan.shape = Shape::new(1.0, 0.0, &labels).unwrap();
    let mut setpoint = unit("setpoint", DataType::Float32, "°C");
    setpoint.access = Access::ReadWrite;
    (setpoint.min, setpoint.max) = (Some(5.0), Some(30.0));
    let value = 21.5_f64.into();
    setpoint.desired = Some(Desired { value, raw: 21.5_f32.into(), tolerance: None, on_drift: OnDrift::Repair });
    let voltage = unit("voltage", DataType::Float32, "V");
    let power = unit("power", DataType::Float64, "W");
    device("boiler-7", vec![voltage, power, energy, fan, setpoint])
}

/// A moment of the examples: `at` past 21:11:00.
fn moment(at: &str) -> Stamp {
    let time: jiff::Timestamp = format!("2026-11-23T21:11:{at}Z").parse().unwrap();
    Stamp { wall: Duration::from_millis(u64::try_from(time.as_millisecond()).unwrap()), ..Stamp::now() }
}

fn good(point: u16, value: impl Into<mapper_api::Value>) -> Decoded {
    Decoded { point, result: Ok(value.into()) }
}

/// An example as this gateway would say it: with its own boot, and its own time where the test cannot choose it.
fn as_said(name: &str, said: &Json, own: &[&str]) -> Json {
    let mut expected = example(name);
    for key in own {
        expected[*key] = said[*key].clone();
    }
    expected
}

#[tokio::test]
async fn a_gateway_publishes_the_examples() {
    for version in [Version::V5, Version::V4] {
        let broker = Broker::start("");
        let subscriber = Subscriber::new(version, broker.port, "fieldgate/#").await;
        let options = Options { broker: broker.url(), version, ..Options::default() };
        let gateway = Gateway::start(options);
        gateway.known.devices.lock().unwrap().insert(
            DeviceId::new("plant-a", "meter-3"),
            Readiness::NotReady {
                reason: "config".into(),
                message: "spec.properties[2].modbus.register: 70000 is not in 0..65535".into(),
            },
        );
        let lane = gateway.put(Arc::new(boiler()));
        gateway.path.devices_changed();
        gateway.connected(1).await;
        lane.answered(moment("04.512"), &[good(0, 231.4_f32), good(1, 1204.5), good(2, u64::MAX)]);
        subscriber.last("boiler-7/availability", |j| j["state"] == "online").await;
        let refused = Decoded { point: 1, result: Err(Refusal::rejected("illegalDataAddress")) };
        lane.answered(moment("05.512"), &[good(0, 231.2_f32), refused]);
        let timeout = Failure { kind: ErrorKind::Timeout, message: "no answer".into() };
        lane.failed(moment("06.512"), &[0, 1], &timeout, 3);

        let last = subscriber.last("/readings", |j| j["seq"] == 3).await;
        assert_eq!(last.topic, "fieldgate/device/plant-a/boiler-7/readings");
        for (heard, name) in
            subscriber.on("/readings").iter().zip(["readings", "readings-refused", "readings-no-answer"])
        {
            assert!(!heard.retain);
            assert_eq!(heard.json(), as_said(name, &heard.json(), &["boot"]));
        }
        let check = |heard: &Heard, name: &str, own: &[&str]| {
            let said = heard.json();
            assert_eq!(said, as_said(name, &said, own), "{name}");
        };
        check(
            &subscriber.on("boiler-7/availability").into_iter().find(|h| h.json()["state"] == "online").unwrap(),
            "availability",
            &[],
        );
        check(
            &subscriber.last("boiler-7/availability", |j| j["reason"] == "timeout").await,
            "availability-offline",
            &[],
        );
        check(&subscriber.last("boiler-7/info", |_| true).await, "info", &[]);
        check(&subscriber.last("bridge/gw-1/state", |_| true).await, "bridge-state", &["boot", "since"]);
        check(&subscriber.last("bridge/gw-1/info", |_| true).await, "bridge-info", &["boot", "started", "version"]);
        check(&subscriber.last("bridge/gw-1/devices", |_| true).await, "bridge-devices", &[]);
        let health = subscriber.last("bridge/gw-1/health", |_| true).await.json();
        fits("bridge-health", &health);
        assert_eq!(health["buses"], example("bridge-health")["buses"]);
        assert!(health["rssBytes"].as_u64().unwrap() > 1 << 20);
        lane.answered(moment("04.512"), &[good(4, 21.5_f32)]);
        lane.synced(4, true);
        let whole = |j: &Json| j["seq"] == 4 && j["properties"]["setpoint"]["synced"] == true;
        let state = subscriber.last("boiler-7/state", whole).await.json();
        fits("state", &state);
        // A refusal and then no answer made `power` stale; the example shows the moment between.
        for name in ["voltage", "energy", "setpoint"] {
            assert_eq!(state["properties"][name], example("state")["properties"][name], "{name}");
        }
    }
}

/// A raw value that means that there is none, a text instead of a number that does, and one that does not.
#[tokio::test]
async fn a_value_that_means_none_is_not_available() {
    let shape = |invalid: &[mapper_api::Value], data_type| Shape::default().with_invalid(invalid, data_type).unwrap();
    let mut probe = property("probe", DataType::Int16);
    probe.shape = shape(&["0x8000".into()], DataType::Int16);
    let mut weight = property("weight", DataType::Float64);
    weight.shape = shape(&["----".into()], DataType::Float64);
    let broker = Broker::start("");
    let subscriber = Subscriber::new(Version::V5, broker.port, "fieldgate/#").await;
    let gateway = Gateway::start(Options { broker: broker.url(), ..Options::default() });
    let lane = gateway.put(Arc::new(device("boiler-7", vec![probe, weight])));
    gateway.connected(1).await;
    let instead = |text: &str| Decoded { point: 1, result: Err(Refusal::bad_data("no number").with_raw(text)) };
    lane.answered(moment("04.512"), &[good(0, i16::MIN), instead("----")]);
    lane.answered(moment("05.512"), &[good(0, 215_i16), instead("E-01")]);
    let bad = |reason: &str, detail: &str| json!({ "reason": reason, "detail": detail });
    subscriber.last("/readings", |j| j["seq"] == 2).await;
    let expected = [
        json!({
            "values": { "probe": null, "weight": null },
            "bad": { "probe": bad("notAvailable", "-32768"), "weight": bad("notAvailable", "----") },
        }),
        json!({ "values": { "probe": 215, "weight": null }, "bad": { "weight": bad("badData", "no number") } }),
    ];
    let heard = subscriber.on("/readings");
    assert_eq!(heard.len(), expected.len());
    for (heard, expected) in heard.iter().zip(expected) {
        let said = heard.json();
        fits("readings", &said);
        assert_eq!((&said["values"], &said["bad"]), (&expected["values"], &expected["bad"]));
    }
    let state = subscriber.last("boiler-7/state", |j| j["properties"]["probe"]["quality"] == "good").await.json();
    fits("state", &state);
}

#[test]
fn the_functions_give_the_examples() {
    let boot = "01K9ZQ6T3M";
    let parse = |bytes: Vec<u8>| serde_json::from_slice::<Json>(&bytes).unwrap();
    let wall = |text: &str| {
        let time: jiff::Timestamp = text.parse().unwrap();
        Duration::from_millis(u64::try_from(time.as_millisecond()).unwrap())
    };
    let mut origin = Vec::new();
    payload::write_origin(&mut origin, "gw-1", boot);
    let tail = Tail { historical: true, dropped: 118, clock_unset: true };
    let body = br#""values":{"voltage":231.4}"#;
    let historical = payload::readings(&origin, 122, wall("2026-11-23T21:13:04.512Z"), body, tail);
    assert_eq!(parse(historical), example("readings-historical"));
    assert_eq!(parse(payload::bridge_will(boot)), example("bridge-state-will"));
    assert_eq!(parse(payload::bridge_stopped(boot)), example("bridge-state-stopped"));
    let online = payload::bridge_online(boot, wall("2026-11-23T21:11:03Z"));
    assert_eq!(parse(online), example("bridge-state"));
    let health = Health {
        time: wall("2026-11-23T22:22:02Z"),
        uptime: Duration::from_secs(4259),
        rss_bytes: 9_437_184,
        outbox: Stats::default(),
        oldest: Duration::ZERO,
        published: 88_213,
        exchanges_ok: 91_000,
        exchanges_failed: 12,
        periods_missed: 0,
        buses: BTreeMap::from([(
            "modbus:tcp:10.0.0.7:502".into(),
            BusHealth { state: "up".into(), utilisation: 0.42 },
        )]),
    };
    assert_eq!(parse(payload::bridge_health(&health)), example("bridge-health"));
}

#[test]
fn a_type_never_changes_with_its_value() {
    let write = |value: mapper_api::Value, wide| {
        let mut out = Vec::new();
        payload::write_value(&mut out, &value, wide);
        String::from_utf8(out).unwrap()
    };
    for (value, wide, text) in [
        (237.73_f32.into(), false, "237.73"),
        (21.0_f32.into(), false, "21.0"),
        (f32::NAN.into(), false, "null"),
        (f64::INFINITY.into(), false, "null"),
        (5_u64.into(), true, "\"5\""),
        (i64::MIN.into(), true, "\"-9223372036854775808\""),
        (5_u16.into(), false, "5"),
        (true.into(), false, "true"),
        ("a \"b\"\n".into(), false, r#""a \"b\"\n""#),
        (vec![0_u8, 255].into(), false, "\"00ff\""),
    ] {
        assert_eq!(write(value, wide), text);
    }
}

#[test]
fn the_list_of_devices_stays_below_its_limit() {
    let devices = |ready: usize, not: usize| -> BTreeMap<DeviceId, Readiness> {
        let id = |i: usize| DeviceId::new("plant-a", &format!("device-{i:06}"));
        let wrong = Readiness::NotReady { reason: "timeout".into(), message: "no answer from unit 7".into() };
        (0..ready)
            .map(|i| (id(i), Readiness::Ready))
            .chain((ready..ready + not).map(|i| (id(i), wrong.clone())))
            .collect()
    };
    for (ready, not, listed) in [(10, 1, Some(11)), (5000, 3, Some(3)), (1, 5000, None)] {
        let bytes = payload::bridge_devices(&devices(ready, not));
        assert!(bytes.len() <= payload::DEVICES_LIMIT);
        let json: Json = serde_json::from_slice(&bytes).unwrap();
        fits("bridge-devices", &json);
        let found = json["devices"].as_object().unwrap().len();
        assert_eq!(json["notListed"], ready + not - found);
        assert!(found > 0 && listed.is_none_or(|n| n == found), "{found}");
    }
}
