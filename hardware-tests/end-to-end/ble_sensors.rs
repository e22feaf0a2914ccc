//! Sensors that advertise, on a real BlueZ: in the clear, encrypted, by name, by rule; with the wrong key, replayed, gone.
//! And on the scripted org.bluez, a mock: an adapter gone deaf, which takes the 90 s until the silence is taken for that.

#![allow(clippy::unwrap_used)] // a test

mod common;

use common::{
    ble::{Site, device, near, reading},
    bridge::condition,
    until_at_most,
};
use hardware_tests::bluez::{Advert, Heals, Scripted, Vm};
use std::time::Duration;

/// The key of the example on bthome.io/encryption; what it seals here is sealed by Python's `cryptography`.
const KEY: &str = "231d39c1d7cc1ab1aee224cd096db932";
const OTHER_KEY: &str = "00112233445566778899aabbccddeeff";

fn address(number: usize) -> String {
    format!("{{ address: \"{}\" }}", Vm::peripheral(number))
}

fn with_key(number: usize) -> String {
    format!("{{ address: \"{}\", bindKey: {{ secretRef: {{ name: sensors, key: k }} }} }}", Vm::peripheral(number))
}

/// BTHome's temperature in 0.01 degrees.
fn temperature(hundredths: i16) -> String {
    let [low, high] = hundredths.to_le_bytes();
    format!("02{low:02x}{high:02x}")
}

#[tokio::test]
async fn what_sensors_advertise_is_read_goes_stale_and_comes_back() {
    let vm = Vm::start(3, 1).unwrap();
    vm.air("say 2 181a 01fe0a").unwrap();
    let measures = [("temperature", reading("temperature")), ("humidity", reading("humidity"))];
    let mut clear: Vec<(&str, &str)> = measures.iter().map(|(name, rest)| (*name, rest.as_str())).collect();
    clear.push(("battery", "type: uint8, ble: { reading: batteryLevel }"));
    clear.push(("rssi", "type: int8, ble: { radio: rssi }"));
    let rule =
        "type: int16, order: DCBA, scale: 0.1, ble: { serviceData: { uuid: \"181a\", offset: 1, prefix: \"01\" } }";
    let devices = [
        ("clear", device("clear", &address(0), &clear)),
        ("named", device("named", "{ name: fg-1 }", &[("temperature", &reading("temperature"))])),
        ("rule", device("rule", &address(2), &[("level", rule)])),
    ];
    let site = Site::start(&vm.address(), &devices, &[]).await;
    site.reads("clear", "temperature", |v| near(v, 21.5)).await;
    site.reads("clear", "humidity", |v| near(v, 50.05)).await;
    site.reads("clear", "battery", |v| *v == 90).await;
    site.reads("clear", "rssi", |v| v.as_i64().is_some_and(|dbm| dbm < 0)).await;
    site.reads("named", "temperature", |v| near(v, 21.51)).await;
    site.reads("rule", "level", |v| near(v, 281.4)).await;
    for name in ["clear", "named", "rule"] {
        site.online(name).await;
    }

    // Enough to learn its interval: before, it may be silent for minutes.
    until_at_most(Duration::from_secs(120), "readings", async || (site.count("clear") > 40).then_some(())).await;
    vm.air("vanish 0").unwrap();
    assert_eq!(site.offline("clear").await, "timeout");
    let state = site.last("clear", "state", |s| s["properties"]["temperature"]["quality"] == "stale").await;
    assert!(near(&state["properties"]["temperature"]["value"], 21.5), "the last good value stays: {state}");
    let silent = site.count("clear");
    vm.air("return 0").unwrap();
    site.online("clear").await;
    site.reads_after(silent, "clear", "temperature", |v| near(v, 21.5)).await;
}

#[tokio::test]
async fn an_encrypted_sensor_is_read_with_its_key_and_a_replayed_packet_is_not() {
    let vm = Vm::start(1, 1).unwrap();
    let seal = |counter: u32, celsius: i16| {
        vm.air(&format!("seal 0 {KEY} {counter} {}", temperature(celsius))).unwrap();
    };
    seal(100, 2506);
    let devices = [("sealed", device("sealed", &with_key(0), &[("temperature", &reading("temperature"))]))];
    let site = Site::start(&vm.address(), &devices, &[("sensors/k", KEY)]).await;
    site.reads("sealed", "temperature", |v| near(v, 25.06)).await;
    seal(101, 2600);
    let later = site.reads("sealed", "temperature", |v| near(v, 26.0)).await;
    // Recorded and sent again: the same bytes as before, often.
    seal(100, 2506);
    let before: u64 = vm.air("sent").unwrap().parse().unwrap();
    until_at_most(Duration::from_secs(60), "replayed advertisements", async || {
        (vm.air("sent").unwrap().parse::<u64>().unwrap() > before + 20).then_some(())
    })
    .await;
    seal(102, 2700);
    site.reads("sealed", "temperature", |v| near(v, 27.0)).await;
    let values = site.values("sealed", "temperature", later);
    assert!(!values.iter().any(|v| near(v, 25.06)), "a replayed packet was believed: {values:?}");
    assert!(!site.bridge.log().to_lowercase().contains(KEY), "the key is in the log");
}

#[tokio::test]
async fn with_the_wrong_key_nothing_is_believed_and_the_user_is_told() {
    let vm = Vm::start(1, 1).unwrap();
    vm.air(&format!("seal 0 {KEY} 7 {}", temperature(2506))).unwrap();
    let devices = [("sealed", device("sealed", &with_key(0), &[("temperature", &reading("temperature"))]))];
    let site = Site::start(&vm.address(), &devices, &[("sensors/k", OTHER_KEY)]).await;
    let state = site.last("sealed", "state", |s| s["properties"]["temperature"]["reason"] == "badData").await;
    let property = &state["properties"]["temperature"];
    assert!(property["quality"] == "bad" && property["value"].is_null(), "{state}");
    let shown = site.bridge.shows("default/sealed", "not ready", |d| condition(d, "Ready")["status"] == "False").await;
    assert!(shown.to_string().contains("bindKey"), "{shown}");
    assert_eq!(site.values("sealed", "temperature", 0), [0; 0]);
    assert!(!site.bridge.log().to_lowercase().contains(OTHER_KEY), "the key is in the log");
}

#[tokio::test]
async fn an_adapter_gone_deaf_is_made_to_hear() {
    let blue = Scripted::start().unwrap();
    let sensor = Vm::peripheral(0);
    // BTHome in the clear: packet id, and 25.06 degrees.
    let _air = blue.every(Duration::from_millis(100), move |round| {
        let data = [0x40, 0x00, round.to_le_bytes()[0], 0x02, 0xCA, 0x09];
        vec![Advert::of(&sensor).service("fcd2", &data)]
    });
    let devices = [("sensor", device("sensor", &address(0), &[("temperature", &reading("temperature"))]))];
    let site = Site::start(blue.address(), &devices, &[]).await;
    site.reads("sensor", "temperature", |v| near(v, 25.06)).await;
    let starts = blue.calls("Adapter1.StartDiscovery");
    blue.deafen(0, Heals::Restart);
    // What was told before it went deaf may still be on its way: what counts came after discovery had begun again.
    until_at_most(Duration::from_secs(240), "discovery again", async || {
        (blue.calls("Adapter1.StartDiscovery") > starts).then_some(())
    })
    .await;
    let count = site.count("sensor");
    site.reads_after(count, "sensor", "temperature", |v| near(v, 25.06)).await;
    site.online("sensor").await;
}
