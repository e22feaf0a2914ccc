//! Devices that want a proof before they are paired, and devices that change their address, on a real BlueZ.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::time::Duration;

use common::{
    ble::{Site, device, near, reading},
    bridge::condition,
    until_at_most,
};
use hardware_tests::bluez::Vm;
use tokio::time::{Instant, sleep};

/// Readable over an encrypted link alone.
const SECRET: &str = "type: string, size: 13, ble: { characteristic: { \
    service: \"12345678-1234-5678-1234-56789abcdef0\", uuid: \"12345678-1234-5678-1234-56789abcdef2\" } }";
const POLLED: &str = "type: uint8, ble: { characteristic: { service: \"180f\", uuid: \"2a19\", mode: read } }";
const PATIENCE: Duration = Duration::from_secs(240);

fn address(number: usize, more: &str) -> String {
    format!("{{ address: \"{}\", {more} }}", Vm::peripheral(number))
}

/// What is said of the device's reachability, when it has all these parts.
async fn told(site: &Site, name: &str, parts: &[&str]) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = site.bridge.shows(&format!("default/{name}"), "anything", |_| true).await;
        let message = condition(&shown, "Reachable")["message"].as_str().unwrap_or_default();
        if parts.iter().all(|part| message.contains(part)) {
            return message.to_owned();
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {name} to say {parts:?}; it says: {message}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// The link is ended by the device, and a new one needs the bond: the device knows its key, and is not paired anew.
async fn bond_is_kept(vm: &Vm, site: &Site, name: &str, number: usize) {
    vm.air(&format!("drop {number}")).unwrap();
    until_at_most(PATIENCE, "no link", async || (vm.air("links").unwrap() == "0").then_some(())).await;
    let count = site.count(name);
    site.reads_after(count + 1, name, "secret", |v| *v == "needs-pairing").await;
}

#[tokio::test]
async fn a_passkey_pairs_and_a_wrong_one_is_told_until_the_file_is_put_right() {
    let vm = Vm::start(1, 1).unwrap();
    vm.air("passkey 0 42").unwrap();
    let endpoint = address(0, "pair: passkey, passkey: { secretRef: { name: valve, key: pin } }");
    let devices = [("valve", device("valve", &endpoint, &[("secret", SECRET)]))];
    let site = Site::start(&vm.address(), &devices, &[("valve/pin", "424242")]).await;
    let message = told(&site, "valve", &["cannot be paired", "passkey"]).await;
    assert!(!message.contains("424242"), "{message}");
    assert_eq!(site.offline("valve").await, "unreachable");
    site.secret("valve/pin", "000042\n");
    site.reads("valve", "secret", |v| *v == "needs-pairing").await;
    site.online("valve").await;
    // It would refuse this one.
    vm.air("passkey 0 7").unwrap();
    bond_is_kept(&vm, &site, "valve", 0).await;
    assert!(
        !site.bridge.log().contains("424242") && !site.bridge.log().contains("000042"),
        "the passkey is in the log"
    );
}

#[tokio::test]
async fn numbers_are_compared_at_the_device_with_the_one_in_the_log() {
    let vm = Vm::start(1, 1).unwrap();
    vm.air("compare 0").unwrap();
    let devices = [("lock", device("lock", &address(0, "pair: numeric"), &[("secret", SECRET)]))];
    let site = Site::start(&vm.address(), &devices, &[]).await;
    let compared = async |answer: &str| {
        let shown = async || Some(vm.air("shown 0").unwrap()).filter(|shown| !shown.is_empty());
        let shown = until_at_most(PATIENCE, "a number", shown).await;
        let logged = format!("the device must show {shown}");
        until_at_most(PATIENCE, &logged, async || site.bridge.log().contains(&logged).then_some(())).await;
        vm.air(&format!("{answer} 0")).unwrap();
    };
    compared("differs").await;
    told(&site, "lock", &["cannot be paired", "number", "log"]).await;
    vm.air("compare 0").unwrap();
    compared("same").await;
    site.reads("lock", "secret", |v| *v == "needs-pairing").await;
    site.online("lock").await;
    bond_is_kept(&vm, &site, "lock", 0).await;
}

#[tokio::test]
async fn where_a_proof_is_configured_a_device_that_asks_for_none_is_not_paired() {
    let vm = Vm::start(3, 1).unwrap();
    vm.air("passkey 2 42").unwrap();
    let passkey = address(0, "pair: passkey, passkey: { secretRef: { name: valve, key: pin } }");
    let devices = [
        ("keyed", device("keyed", &passkey, &[("secret", SECRET)])),
        ("compared", device("compared", &address(1, "pair: numeric"), &[("secret", SECRET)])),
        // The other way round the device refuses.
        ("bare", device("bare", &address(2, "pair: justWorks"), &[("secret", SECRET)])),
    ];
    let site = Site::start(&vm.address(), &devices, &[("valve/pin", "000042")]).await;
    for (name, part) in [("keyed", "justWorks"), ("compared", "justWorks"), ("bare", "passkey or numeric")] {
        told(&site, name, &["cannot be paired", part]).await;
        assert!(site.values(name, "secret", 0).is_empty());
    }
}

#[tokio::test]
async fn a_device_that_changes_its_address_is_followed_by_its_key() {
    let vm = Vm::start(3, 1).unwrap();
    let keys: Vec<_> = (0..3).map(|n| vm.air(&format!("irk {n}")).unwrap()).collect();
    (0..3).for_each(|n| drop(vm.air(&format!("rotate {n}")).unwrap()));
    let endpoint = |name: &str, more: &str| format!("{{ irk: {{ secretRef: {{ name: {name}, key: irk }} }}{more} }}");
    let measured = reading("temperature");
    let devices = [
        ("heard", device("heard", &endpoint("heard", ""), &[("temperature", &measured)])),
        ("linked", device("linked", &endpoint("linked", ""), &[("battery", POLLED)])),
        ("bonded", device("bonded", &endpoint("bonded", ", pair: justWorks"), &[("secret", SECRET)])),
    ];
    let secrets = [("heard/irk", &*keys[0]), ("linked/irk", &*keys[1]), ("bonded/irk", &*keys[2])];
    let site = Site::start(&vm.address(), &devices, &secrets).await;
    let all = [("heard", "temperature"), ("linked", "battery"), ("bonded", "secret")];
    let fits = |name: &str, v: &serde_json::Value| match name {
        "heard" => near(v, 21.5),
        "linked" => *v == 90,
        _ => *v == "needs-pairing",
    };
    for (name, property) in all {
        site.reads(name, property, |v| fits(name, v)).await;
    }
    for _ in 0..2 {
        let before: Vec<_> = all.iter().map(|(name, _)| site.count(name)).collect();
        for number in 0..3 {
            vm.air(&format!("rotate {number}")).unwrap();
            vm.air(&format!("drop {number}")).unwrap();
        }
        for ((name, property), before) in all.into_iter().zip(before) {
            // Not one that was on its way.
            site.reads_after(before + 3, name, property, |v| fits(name, v)).await;
        }
    }
}
