//! bluetoothd dies, and the whole machine with its D-Bus dies: devices go offline, and come back with it.

#![allow(clippy::unwrap_used)] // a test

mod common;

use common::ble::{Site, device, reading};
use hardware_tests::bluez::Vm;
use serde_json::Value as Json;

const NOTIFIED: &str = "type: float32, ble: { characteristic: { service: \"181a\", uuid: \"2a6e\", mode: notify } }";

/// A sensor that advertises, and a device that is connected to.
async fn site(vm: &Vm) -> Site {
    let address = |number| format!("{{ address: \"{}\" }}", Vm::peripheral(number));
    let devices = [
        ("sensor", device("sensor", &address(0), &[("temperature", &reading("temperature"))])),
        ("linked", device("linked", &address(1), &[("temperature", NOTIFIED)])),
    ];
    let site = Site::start(&vm.address(), &devices, &[]).await;
    both(&site).await;
    site
}

/// Both are read from now on.
async fn both(site: &Site) {
    for name in ["sensor", "linked"] {
        let count = site.count(name);
        site.reads_after(count, name, "temperature", Json::is_number).await;
        site.online(name).await;
    }
}

#[tokio::test]
async fn bluetoothd_is_killed_and_started_again() {
    let vm = Vm::start(2, 1).unwrap();
    let site = site(&vm).await;
    for _ in 0..2 {
        vm.kill_bluetoothd().unwrap();
        for name in ["sensor", "linked"] {
            let reason = site.offline(name).await;
            assert!(["bus", "unreachable", "timeout"].contains(&reason.as_str()), "{name}: {reason}");
        }
        vm.start_bluetoothd().unwrap();
        both(&site).await;
    }
}

#[tokio::test]
async fn the_machine_is_gone_with_its_d_bus_and_comes_back() {
    let mut vm = Vm::start(2, 1).unwrap();
    let site = site(&vm).await;
    vm.kill();
    for name in ["sensor", "linked"] {
        let reason = site.offline(name).await;
        assert!(["bus", "unreachable", "timeout"].contains(&reason.as_str()), "{name}: {reason}");
    }
    vm.boot().unwrap();
    both(&site).await;
}
