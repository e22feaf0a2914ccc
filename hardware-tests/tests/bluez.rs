//! The virtual machine is what its users take it for: a BlueZ that hears its peripherals, and that breaks on demand.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use dbus::{
    Message, Path,
    arg::{PropMap, RefArg},
};
use hardware_tests::bluez::{Vm, bus};

const PATIENCE: Duration = Duration::from_secs(120);

/// Every object of BlueZ, asked over a connection of its own.
fn objects(vm: &Vm) -> Result<HashMap<Path<'static>, HashMap<String, PropMap>>, dbus::Error> {
    let manager = "org.freedesktop.DBus.ObjectManager";
    let call = Message::call_with_args("org.bluez", "/", manager, "GetManagedObjects", ());
    let mut answer = bus::connect(&vm.address())?.send_with_reply_and_block(call, PATIENCE)?;
    Ok(answer.as_result()?.get1().expect("objects"))
}

fn addresses(vm: &Vm, interface: &str) -> Vec<String> {
    let all = objects(vm).expect("BlueZ answers");
    let found = all.values().filter_map(|object| object.get(interface)?.get("Address")?.0.as_str().map(str::to_owned));
    let mut found: Vec<String> = found.collect();
    found.sort();
    found
}

#[test]
fn bluez_hears_the_peripherals_and_dies_and_comes_back() {
    let mut vm = Vm::start(2, 2).expect("a machine");
    assert_eq!(addresses(&vm, "org.bluez.Adapter1"), [Vm::controller(0), Vm::controller(1)]);
    // Discovery ends with the connection that asked for it.
    let client = bus::connect(&vm.address()).expect("its D-Bus");
    let start = Message::call_with_args("org.bluez", "/org/bluez/hci0", "org.bluez.Adapter1", "StartDiscovery", ());
    client.send_with_reply_and_block(start, PATIENCE).expect("discovery");
    let deadline = Instant::now() + PATIENCE;
    while addresses(&vm, "org.bluez.Device1") != [Vm::peripheral(0), Vm::peripheral(1)] {
        assert!(Instant::now() < deadline, "heard: {:?}", addresses(&vm, "org.bluez.Device1"));
        thread::sleep(Duration::from_millis(100));
    }
    assert!(vm.air("sent").expect("numbers").split(' ').all(|sent| sent != "0"));
    assert_eq!(vm.air("links").expect("a number"), "0");
    assert!(vm.air("leap 1").is_err());
    vm.kill_bluetoothd().expect("dead");
    assert!(objects(&vm).is_err());
    vm.start_bluetoothd().expect("alive");
    assert_eq!(addresses(&vm, "org.bluez.Adapter1").len(), 2);
    vm.kill();
    assert!(objects(&vm).is_err());
    vm.boot().expect("a machine");
    assert_eq!(addresses(&vm, "org.bluez.Adapter1").len(), 2);
}
