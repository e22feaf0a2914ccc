//! Faults that no machine shows on demand, on the scripted org.bluez (a mock): adapters pulled out, calls that hang or are
//! refused, the bus gone; and what is found by `scan`. That an adapter goes deaf takes as long as all of these: `ble_sensors`.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use common::{
    ble::{Site, device, near, reading},
    bridge::{Folder, condition, fieldgate},
    subscriber::Heard,
    until_at_most,
};
use hardware_tests::bluez::{Advert, Characteristic, Peripheral, Scripted, scripted::Stream};
use serde_json::Value as Json;

const SENSOR: &str = "A4:C1:38:00:00:01";
const LINKED: &str = "A4:C1:38:00:00:02";
const HELD: &str = "A4:C1:38:00:00:03";
const FIRST: &str = "00:AA:01:00:00:42";
const SECOND: &str = "00:AA:01:00:00:43";
const BATTERY: &str = "type: uint8, ble: { characteristic: { service: \"180f\", uuid: \"2a19\", mode: notify } }";

/// BTHome in the clear: packet id and 25.06 degrees.
fn bthome(round: u64) -> [u8; 6] {
    [0x40, 0x00, u8::try_from(round % 256).unwrap(), 0x02, 0xCA, 0x09]
}

/// All three are heard ten times a second, by each of so many adapters.
fn air(blue: &Scripted, adapters: usize) -> Stream {
    blue.every(Duration::from_millis(100), move |round| {
        let heard = |address: &str, adapter| Advert::of(address).on(adapter).rssi(-60);
        let all = (0..adapters).flat_map(|adapter| {
            [heard(SENSOR, adapter).service("fcd2", &bthome(round)), heard(LINKED, adapter), heard(HELD, adapter)]
        });
        all.collect()
    })
}

fn battery(address: &str) -> Peripheral {
    Peripheral::new(address).service("180f", [Characteristic::new("2a19", &[90]).read().notify()])
}

fn devices() -> [(&'static str, String); 2] {
    let address = |address: &str| format!("{{ address: \"{address}\" }}");
    [
        ("sensor", device("sensor", &address(SENSOR), &[("temperature", &reading("temperature"))])),
        ("linked", device("linked", &address(LINKED), &[("battery", BATTERY)])),
    ]
}

/// Both are read from now on.
async fn both(site: &Site, blue: &Scripted, value: u8) {
    let count = site.count("sensor");
    site.reads_after(count, "sensor", "temperature", |v| near(v, 25.06)).await;
    let count = site.count("linked");
    until_at_most(Duration::from_secs(120), "a subscription", async || blue.subscribed(LINKED, "2a19").then_some(()))
        .await;
    blue.set(LINKED, "2a19", &[value]);
    site.reads_after(count.saturating_sub(1), "linked", "battery", |v| *v == value).await;
    for name in ["sensor", "linked"] {
        site.online(name).await;
    }
}

async fn both_offline(site: &Site) {
    for name in ["sensor", "linked"] {
        let reason = site.offline(name).await;
        assert!(["bus", "unreachable", "timeout"].contains(&reason.as_str()), "{name}: {reason}");
    }
}

#[tokio::test]
async fn an_adapter_that_is_pulled_out_takes_its_devices_with_it_and_brings_them_back() {
    let blue = Scripted::start().unwrap();
    blue.put(battery(LINKED));
    let _air = air(&blue, 1);
    let site = Site::start(blue.address(), &devices(), &[]).await;
    both(&site, &blue, 80).await;
    blue.unplug(0);
    both_offline(&site).await;
    blue.plug(0, FIRST);
    both(&site, &blue, 79).await;
    // Back as another one, as the kernel numbers them.
    blue.unplug(0);
    both_offline(&site).await;
    blue.plug(1, FIRST);
    let _air = air(&blue, 2);
    both(&site, &blue, 78).await;
}

#[tokio::test]
async fn the_other_adapter_takes_over() {
    let blue = Scripted::with_adapters(&[FIRST, SECOND]).unwrap();
    blue.put(battery(LINKED));
    let _air = air(&blue, 2);
    let site = Site::start(blue.address(), &devices(), &[]).await;
    both(&site, &blue, 80).await;
    blue.unplug(blue.connected(LINKED).unwrap());
    both(&site, &blue, 79).await;
}

#[tokio::test]
async fn discovery_that_ends_and_an_adapter_switched_off_are_put_right() {
    let blue = Scripted::start().unwrap();
    blue.put(battery(LINKED));
    let _air = air(&blue, 1);
    let site = Site::start(blue.address(), &devices(), &[]).await;
    both(&site, &blue, 80).await;
    blue.end_discovery(0);
    both(&site, &blue, 79).await;
    blue.power(0, false);
    both(&site, &blue, 78).await;
}

#[tokio::test]
async fn a_connect_that_hangs_holds_up_nobody() {
    let blue = Scripted::start().unwrap();
    blue.put(battery(LINKED));
    blue.put(battery(HELD));
    blue.hang("Device1.ServicesResolved");
    let _air = air(&blue, 1);
    let mut all = devices().to_vec();
    all.push(("held", device("held", &format!("{{ address: \"{HELD}\" }}"), &[("battery", BATTERY)])));
    let site = Site::start(blue.address(), &all, &[]).await;
    until_at_most(Duration::from_secs(60), "a connect", async || (blue.calls("Device1.Connect") > 0).then_some(()))
        .await;
    site.reads("sensor", "temperature", |v| near(v, 25.06)).await;
    blue.heal("Device1.ServicesResolved");
    site.online("held").await;
    both(&site, &blue, 79).await;
}

#[tokio::test]
async fn a_refused_connect_is_told_with_bluez_s_words_and_tried_again() {
    let blue = Scripted::start().unwrap();
    blue.put(battery(LINKED));
    blue.refuse("Device1.Connect", "org.bluez.Error.Failed", "le-connection-abort-by-local");
    let _air = air(&blue, 1);
    let site = Site::start(blue.address(), &devices(), &[]).await;
    let told = |d: &Json| condition(d, "Reachable")["message"].to_string().contains("le-connection-abort-by-local");
    site.bridge.shows("default/linked", "refused", told).await;
    site.reads("sensor", "temperature", |v| near(v, 25.06)).await;
    blue.heal("Device1.Connect");
    both(&site, &blue, 79).await;
}

/// On the mock alone: bluetoothd 5.66 itself was seen to die of such a peripheral.
#[tokio::test]
async fn a_device_that_hangs_up_as_soon_as_it_is_connected_is_tried_again_and_holds_up_nobody() {
    let blue = Scripted::start().unwrap();
    blue.put(battery(LINKED));
    let _air = air(&blue, 1);
    let site = Site::start(blue.address(), &devices(), &[]).await;
    both(&site, &blue, 80).await;
    blue.hang_up(LINKED, true);
    let connects = blue.calls("Device1.Connect");
    blue.drop_link(LINKED);
    let reason = site.offline("linked").await;
    assert!(["bus", "unreachable", "timeout"].contains(&reason.as_str()), "{reason}");
    until_at_most(Duration::from_secs(120), "three more connects", async || {
        (blue.calls("Device1.Connect") >= connects + 3).then_some(())
    })
    .await;
    let count = site.count("sensor");
    site.reads_after(count, "sensor", "temperature", |v| near(v, 25.06)).await;
    blue.hang_up(LINKED, false);
    both(&site, &blue, 79).await;
}

#[tokio::test]
async fn bluetoothd_and_the_bus_die_and_come_back() {
    let mut blue = Scripted::start().unwrap();
    blue.put(battery(LINKED));
    let _air = air(&blue, 1);
    let site = Site::start(blue.address(), &devices(), &[]).await;
    both(&site, &blue, 80).await;
    let rules = blue.match_rules().unwrap().len();
    for value in [79, 78] {
        blue.kill().unwrap();
        both_offline(&site).await;
        blue.revive().unwrap();
        both(&site, &blue, value).await;
    }
    let now = blue.match_rules().unwrap();
    assert!(now.len() <= rules + 8, "match rules grow: {rules}, now {now:#?}");
    blue.stop_bus();
    both_offline(&site).await;
    blue.start_bus().unwrap();
    both(&site, &blue, 77).await;
}

#[tokio::test]
async fn what_sensors_said_while_the_broker_was_gone_comes_later_and_says_so() {
    let blue = Scripted::start().unwrap();
    // A count that grows by one with each advertisement.
    let counted = Arc::new(AtomicU32::new(0));
    let now = counted.clone();
    let _air = blue.every(Duration::from_millis(100), move |_| {
        let count = (now.fetch_add(1, Ordering::Relaxed) + 1).to_le_bytes();
        vec![Advert::of(SENSOR).service("fcd2", &[&[0x40, 0x3E][..], &count].concat())]
    });
    let count = ("count", "type: uint32, ble: { reading: count }");
    let devices = [("sensor", device("sensor", &format!("{{ address: \"{SENSOR}\" }}"), &[count]))];
    let mut site = Site::start(blue.address(), &devices, &[]).await;
    site.online("sensor").await;
    site.reads("sensor", "count", Json::is_u64).await;
    let advertised = async |more: u32| {
        let least = counted.load(Ordering::Relaxed) + more;
        let told = async || Some(counted.load(Ordering::Relaxed)).filter(|now| *now >= least);
        until_at_most(Duration::from_secs(60), "advertisements", told).await
    };
    site.gate.close();
    site.broker.kill();
    // By then what was on its way is through, and the bridge knows.
    let from = advertised(20).await;
    let heard = site.count("sensor");
    let to = advertised(30).await;
    assert_eq!(site.count("sensor"), heard, "the broker is not gone");
    site.broker.restart();
    site.heard.subscribed(2).await;
    // The bridge cannot be back before the subscriber is.
    site.gate.open();
    let end = u64::from(advertised(1).await);
    site.reads_after(heard, "sensor", "count", |v| v.as_u64().is_some_and(|now| now > end)).await;
    for json in site.heard.on("/sensor/readings").iter().map(Heard::json) {
        let count = json["values"]["count"].as_u64().unwrap();
        let away = (u64::from(from)..u64::from(to)).contains(&count);
        assert!(!away || json.get("historical").is_some(), "{json}");
    }
    // Each came, in order; the first after the loss may come twice.
    let mut values: Vec<u64> = site.values("sensor", "count", 0).iter().filter_map(Json::as_u64).collect();
    values.dedup();
    assert!(values.windows(2).all(|pair| pair[1] == pair[0] + 1), "lost or out of order: {values:?}");
}

/// What `fieldgate scan` prints, and how it ends.
async fn scan(bus: &str, args: &[&str]) -> (bool, String, String) {
    let mut command = fieldgate();
    command.args(["scan", "ble"]).args(args).env("DBUS_SYSTEM_BUS_ADDRESS", bus);
    command.stderr(Stdio::piped()).stdout(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn scan_shows_what_is_near_with_a_draft_that_passes_check() {
    let blue = Scripted::start().unwrap();
    let _air = air(&blue, 1);
    let (well, shown, trouble) = scan(blue.address(), &["--seconds", "3"]).await;
    assert!(well, "{trouble}");
    for part in [SENSOR, LINKED, "temperature 25.06 °C", "format=bthome", "ADDRESS"] {
        assert!(shown.contains(part), "no {part} in:\n{shown}");
    }
    let (well, json, trouble) = scan(blue.address(), &["--seconds", "3", "--output", "json"]).await;
    assert!(well, "{trouble}");
    let found: Vec<Json> = serde_json::from_str(&json).unwrap();
    let sensor = found.iter().find(|one| one["id"] == SENSOR).unwrap();
    assert_eq!(sensor["about"]["rssi"], "-60", "{json}");
    let folder = Folder::new();
    let (well, yaml, trouble) = scan(blue.address(), &["--seconds", "3", "--output", "yaml"]).await;
    assert!(well, "{trouble}");
    folder.write("devices.yaml", &yaml);
    let checked = fieldgate().arg("check").arg(folder.path()).output().unwrap();
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success() && said.contains("3 devices") && said.contains("0 notes"), "{said}{yaml}");
}

#[tokio::test]
async fn scan_says_what_to_do_where_there_is_no_bluetooth() {
    let blue = Scripted::with_adapters(&[]).unwrap();
    for (bus, part) in [("unix:path=/no/such/bus", "/no/such/bus"), (blue.address(), "no Bluetooth adapter")] {
        let (well, shown, trouble) = scan(bus, &["--seconds", "30"]).await;
        assert!(!well, "{shown}");
        for part in [part, "apt install bluez", "in a pod mount the folder /run/dbus,"] {
            assert!(trouble.contains(part), "no {part} in: {trouble}");
        }
    }
    let (well, _, trouble) = scan(blue.address(), &["adapter=hci0"]).await;
    assert!(!well && trouble.contains("adapter: \"hci0\" is no address"), "{trouble}");
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_named_and_found_when_it_comes() {
    let blue = Scripted::start().unwrap();
    // The example of the BTHome v2 specification.
    let sealed = [0x41, 0xa4, 0x72, 0x66, 0xc9, 0x5f, 0x73, 0x00, 0x11, 0x22, 0x33, 0x78, 0x23, 0x72, 0x14];
    let _air = blue.every(Duration::from_millis(100), move |_| {
        vec![Advert::of("54:48:E6:8F:80:A5").rssi(-60).service("fcd2", &sealed)]
    });
    let endpoint = "{ address: \"54:48:E6:8F:80:A5\", bindKey: { secretRef: { name: sensors, key: cellar } } }";
    let devices = [("sealed", device("sealed", endpoint, &[("temperature", &reading("temperature"))]))];
    let site = Site::start(blue.address(), &devices, &[("sensors/other", "")]).await;
    assert_eq!(site.offline("sealed").await, "unreachable");
    site.secret("sensors/cellar", "231d39c1d7cc1ab1aee224cd096db932");
    site.reads("sealed", "temperature", |value| near(value, 25.06)).await;
    site.online("sealed").await;
}
