//! The contract, on the scripted org.bluez and on the real BlueZ of a virtual machine: a device that advertises, and one
//! that is connected to. With `BENCH` (the path of a JSON file, see `mapper_testkit`) on whatever BlueZ and devices that
//! names.

#![allow(clippy::unwrap_used)] // a test

use std::{
    env, fs,
    os::unix::fs::symlink,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use hardware_tests::{
    bluez::{Advert, Characteristic, Peripheral, Scripted, Vm},
    child::Scratch,
};
use mapper_api::{Access, ByteOrder, DataType};
use mapper_ble::{
    Ble,
    radio::{Radio, Settings},
};
use mapper_testkit::{Bench, Device, Expect, Property};
use serde_json::{Value as Json, json};

mod advertiser {
    mapper_testkit::contract!(super::bench(super::advertiser), super::alone);
}

mod connected {
    mapper_testkit::contract!(super::bench(super::connected), super::alone);
}

const SENSOR: &str = "A4:C1:38:00:00:01";
const VALVE: &str = "C0:DE:00:00:00:01";
const MUTE: &str = "C0:DE:00:00:00:02";

/// Set in the process that runs one test, to a folder of its own.
const INSIDE: &str = "BLE_CONTRACT";

/// Runs a test in a process of its own: which D-Bus is spoken to is told by the environment alone.
fn alone(path: &str, test: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() || env::var_os("BENCH").is_some() {
        return test();
    }
    let scratch = Scratch::new().unwrap();
    let (_, name) = path.split_once("::").unwrap();
    let ran = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", scratch.path().join("bus").display()))
        .env(INSIDE, scratch.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    print!("{said}");
}

fn bench(on: fn(Scripted) -> Bench) -> Bench {
    let blue = Scripted::start().unwrap();
    if let Some(folder) = env::var_os(INSIDE) {
        let socket = blue.address().strip_prefix("unix:path=").unwrap();
        symlink(socket, std::path::Path::new(&folder).join("bus")).unwrap();
    }
    on(blue)
}

fn mapper() -> Arc<Ble> {
    // The scripted one answers at once or never.
    let call = if env::var_os("BENCH").is_none() { Duration::from_secs(2) } else { Settings::default().call };
    Arc::new(Ble::with(Radio::with(Settings { call, ..Settings::default() })))
}

/// Two of the machine's peripherals (`hardware-tests/bluez/peripheral.py`). No case counts: the machine may lose
/// advertisements under load, and BlueZ tells several notifications as one. None is silent: a peripheral that falls mute
/// before its services are known does not come to be read at all; `ble_links` lets one fall mute later.
#[test]
fn the_contract_holds_on_a_real_bluez() {
    let sensor = json!({ "endpoint": { "address": Vm::peripheral(0) }, "properties": [
        { "address": { "reading": "temperature" }, "type": "float32", "unasked": true, "expect": { "value": 21.5 } },
        { "address": { "reading": "batteryLevel" }, "type": "uint8", "unasked": true, "expect": { "value": 90 } },
        { "address": { "radio": "rssi" }, "type": "int8", "unasked": true },
    ] });
    let own = |number| format!("12345678-1234-5678-1234-56789abcdef{number}");
    let linked = json!({ "endpoint": { "address": Vm::peripheral(1) }, "properties": [
        { "address": at("180f", "2a19", &json!({})), "type": "uint8", "expect": { "value": 90 } },
        { "address": at(&own(0), &own(1), &json!({ "write": "request" })), "type": "uint8", "access": "readWrite",
          "expect": { "value": 7 } },
        { "address": at(&own(0), &own(9), &json!({})), "type": "uint8", "expect": "refused" },
        { "address": at("181a", "2a6e", &json!({ "mode": "notify" })), "type": "float32", "unasked": true },
    ] });
    let vm = Vm::start(2, 1).unwrap();
    let scratch = Scratch::new().unwrap();
    for (name, live) in [("advertiser::", sensor), ("connected::", linked)] {
        let file = scratch.path().join("bench.json");
        fs::write(&file, json!({ "ble": { "live": live } }).to_string()).unwrap();
        let ran = Command::new(env::current_exe().unwrap())
            .args([name, "--nocapture", "--test-threads", "1"])
            .env("BENCH", file)
            .env("DBUS_SYSTEM_BUS_ADDRESS", vm.address())
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success() && said.contains("12 passed"), "{said}");
        print!("{said}");
    }
}

/// Does something again and again, each time with the next number, until it is dropped.
struct Again(Arc<AtomicBool>, Option<thread::JoinHandle<()>>);

impl Again {
    fn every(period: Duration, mut step: impl FnMut(u32) + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let run = move || {
            let mut number = 0;
            while !ended.load(Ordering::Relaxed) {
                step(number);
                number += 1;
                thread::sleep(period);
            }
        };
        Self(over, Some(thread::spawn(run)))
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.take().into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// BTHome v2 in the clear: a temperature of 21.5 degrees, and a number (object 3E) that grows with each message.
fn bthome(number: u32) -> Advert {
    let mut data = vec![0x40, 0x02, 0x66, 0x08, 0x3e];
    data.extend(number.to_le_bytes());
    Advert::of(SENSOR).rssi(-60).service("fcd2", &data).manufacturer(0x0499, &[5, 0x34, 0x12])
}

fn advertiser(blue: Scripted) -> Bench {
    let cut = json!({ "manufacturer": { "company": 0x0499, "offset": 1, "prefix": "05" } });
    let live = Device::new(json!({ "address": SENSOR }))
        .unasked(json!({ "reading": "temperature" }), DataType::Float32, Expect::value(21.5))
        .unasked(json!({ "reading": "count" }), DataType::Uint32, Expect::Counts)
        .unasked(json!({ "radio": "rssi" }), DataType::Int8, Expect::value(-60))
        .unasked(cut, DataType::Uint16, Expect::value(0x3412));
    let blue = Arc::new(blue);
    let air = blue.clone();
    let air = Again::every(Duration::from_millis(5), move |number| air.advert(&bthome(number)));
    Bench::new(mapper(), live).keep(air).keep(blue)
}

fn at(service: &str, uuid: &str, more: &Json) -> Json {
    let mut at = json!({ "service": service, "uuid": uuid });
    at.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "characteristic": at })
}

fn connected(blue: Scripted) -> Bench {
    let plain = |uuid| Characteristic::new(uuid, &[0x34, 0x12, 0xfe]).read();
    let valve = |address| {
        Peripheral::new(address)
            .service("180f", [Characteristic::new("2a19", &[90]).read()])
            .service("fff0", [plain("fff1"), plain("fff2").write(), Characteristic::new("fff3", &[0; 4]).notify()])
    };
    for address in [VALVE, MUTE] {
        blue.put(valve(address));
    }
    blue.mute(MUTE);
    let setpoint = Property {
        address: at("fff0", "fff2", &json!({})),
        data_type: DataType::Int16,
        order: ByteOrder::Dcba,
        size: None,
        access: Access::ReadWrite,
        expect: Expect::value(2150),
        unasked: false,
    };
    let live = Device::new(json!({ "address": VALVE }))
        .property(at("180f", "2a19", &json!({})), DataType::Uint8, Expect::value(90))
        .property(at("fff0", "fff1", &json!({ "offset": 2 })), DataType::Int8, Expect::value(-2))
        .property(at("fff0", "fff1", &json!({})), DataType::Uint16, Expect::value(0x3412))
        .property(at("fff0", "fff9", &json!({})), DataType::Uint8, Expect::Refused)
        .unasked(at("fff0", "fff3", &json!({ "mode": "notify" })), DataType::Uint32, Expect::Counts)
        .with(setpoint);
    let silent =
        Device::new(json!({ "address": MUTE })).property(at("180f", "2a19", &json!({})), DataType::Uint8, Expect::Any);
    let blue = Arc::new(blue);
    let air = blue.clone();
    let count = Again::every(Duration::from_millis(5), move |number| {
        air.set(VALVE, "fff3", &number.to_be_bytes());
        if number % 20 == 0 {
            for address in [VALVE, MUTE] {
                air.advert(&Advert::of(address));
            }
        }
    });
    Bench::new(mapper(), live).silent(silent).keep(count).keep(blue)
}
