//! Signals as BlueZ 5.66 sends them, made with the same library.

use dbus::{
    Message, Path,
    arg::{PropMap, RefArg, Variant},
};

use super::*;
use crate::advert::short;

const DEV: &str = "/org/bluez/hci1/dev_A4_C1_38_12_34_56";

fn variant(value: impl RefArg + 'static) -> Variant<Box<dyn RefArg>> {
    Variant(Box::new(value))
}

fn map(entries: Vec<(&str, Variant<Box<dyn RefArg>>)>) -> PropMap {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn changed(path: &str, interface: &str, entries: Vec<(&str, Variant<Box<dyn RefArg>>)>) -> Message {
    let message = Message::signal(&path.into(), &PROPERTIES.into(), &"PropertiesChanged".into());
    message.append3(interface, map(entries), Vec::<String>::new())
}

fn place() -> Place {
    Place { hci: Hci(1), mac: Mac([0xA4, 0xC1, 0x38, 0x12, 0x34, 0x56]) }
}

#[test]
fn paths() {
    assert_eq!(Place::parse(DEV), Some(place()));
    assert_eq!(place().path(), DEV);
    for wrong in [
        "/",
        "/org/bluez/hci1",
        "/org/bluez/hci1/dev_A4_C1_38_12_34",
        "/org/bluez/hci1/dev_A4_C1_38_12_34_56/service0001",
        "/org/bluez/hci1/dev_A4_C1_38_12_34_56_78",
        "/org/bluez/hcix/dev_A4_C1_38_12_34_56",
        "/org/bluez/hci1/dev_é_C1_38_12_34_56",
    ] {
        assert_eq!(Place::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn an_advertisement() {
    let manufacturer: std::collections::HashMap<u16, Variant<Box<dyn RefArg>>> =
        [(0x0499, variant(vec![5_u8, 0x12]))].into();
    let services = map(vec![("0000fcd2-0000-1000-8000-00805f9b34fb", variant(vec![0x40_u8]))]);
    let message = changed(
        DEV,
        DEVICE,
        vec![
            ("RSSI", variant(-61_i16)),
            ("ManufacturerData", variant(manufacturer)),
            ("ServiceData", variant(services)),
            ("Class", variant(7_u32)),
        ],
    );
    let facts = DeviceFacts {
        rssi: Some(-61),
        manufacturer: Some(vec![(0x0499, vec![5, 0x12])]),
        service_data: Some(vec![(short(0xfcd2), vec![0x40])]),
        ..DeviceFacts::default()
    };
    assert_eq!(read_signal(&message), Some(Signal::Device { place: place(), facts, added: false }));
}

#[test]
fn what_comes_and_goes() {
    let device = map(vec![
        ("Address", variant("A4:C1:38:12:34:56".to_owned())),
        ("AddressType", variant("random".to_owned())),
        ("Name", variant("bt-0".to_owned())),
        ("UUIDs", variant(vec!["0000181a-0000-1000-8000-00805f9b34fb".to_owned(), "x".to_owned()])),
        ("Paired", variant(false)),
        ("Connected", variant(true)),
        ("ServicesResolved", variant(true)),
    ]);
    let interfaces = |name: &str, properties| {
        let introspect = ("org.freedesktop.DBus.Introspectable".to_owned(), PropMap::new());
        std::collections::HashMap::from([introspect, (name.to_owned(), properties)])
    };
    let added = |path: &'static str, interfaces: std::collections::HashMap<String, PropMap>| {
        let message = Message::signal(&"/".into(), &OBJECTS.into(), &"InterfacesAdded".into());
        read_signal(&message.append2(Path::from(path), interfaces))
    };
    let facts = DeviceFacts {
        address: Some(place().mac),
        random: Some(true),
        name: Some("bt-0".into()),
        services: Some(vec![short(0x181a)]),
        connected: Some(true),
        resolved: Some(true),
        paired: Some(false),
        ..DeviceFacts::default()
    };
    let found = Signal::Device { place: place(), facts, added: true };
    assert_eq!(added(DEV, interfaces(DEVICE, device)), Some(found));
    let adapter = map(vec![("Address", variant("00:1A:7D:DA:71:13".to_owned())), ("Powered", variant(false))]);
    let facts =
        AdapterFacts { address: "00:1A:7D:DA:71:13".parse().ok(), powered: Some(false), ..AdapterFacts::default() };
    let found = Signal::Adapter { hci: Hci(0), facts, added: true };
    assert_eq!(added("/org/bluez/hci0", interfaces(ADAPTER, adapter)), Some(found));
    assert_eq!(added("/org/bluez/hci0", interfaces("org.bluez.Media1", PropMap::new())), None);

    let removed = |path: &'static str, interface: &str| {
        let message = Message::signal(&"/".into(), &OBJECTS.into(), &"InterfacesRemoved".into());
        read_signal(&message.append2(Path::from(path), vec![interface]))
    };
    assert_eq!(removed(DEV, DEVICE), Some(Signal::DeviceGone(place())));
    assert_eq!(removed("/org/bluez/hci0", ADAPTER), Some(Signal::AdapterGone(Hci(0))));
    assert_eq!(removed(DEV, "org.bluez.Battery1"), None);
}

#[test]
fn bluez_itself() {
    let owner = |name: &str, new: &str| {
        let message = Message::signal(&"/org/freedesktop/DBus".into(), &BUS.into(), &"NameOwnerChanged".into());
        read_signal(&message.append3(name, "", new))
    };
    assert_eq!(owner(BLUEZ, ":1.7"), Some(Signal::Owner(Some(":1.7".into()))));
    assert_eq!(owner(BLUEZ, ""), Some(Signal::Owner(None)));
    assert_eq!(owner("org.example", ""), None);
}

#[test]
fn other_types_than_expected_are_passed_over() {
    let message = changed(DEV, DEVICE, vec![("RSSI", variant("loud".to_owned())), ("Connected", variant(true))]);
    let facts = DeviceFacts { connected: Some(true), ..DeviceFacts::default() };
    assert_eq!(read_signal(&message), Some(Signal::Device { place: place(), facts, added: false }));
    let odd = Message::signal(&DEV.into(), &PROPERTIES.into(), &"PropertiesChanged".into());
    assert_eq!(read_signal(&odd.append1(5_u8)), None);
}
