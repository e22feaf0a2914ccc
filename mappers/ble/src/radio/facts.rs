//! What BlueZ's signals say, in our words. Pure: a D-Bus message goes in. Reads the names that it needs and passes over
//! the rest without a copy.
//!
//! Source: BlueZ's `doc/device-api.txt` and `doc/adapter-api.txt` (5.66).

use std::fmt;

use dbus::{
    Message,
    arg::{ArgType, Iter},
};
use uuid::Uuid;

use super::taps::read_value;
use crate::advert::Mac;

/// BlueZ's name on the bus.
pub const BLUEZ: &str = "org.bluez";
pub const ADAPTER: &str = "org.bluez.Adapter1";
pub const CHARACTERISTIC: &str = "org.bluez.GattCharacteristic1";
pub const DEVICE: &str = "org.bluez.Device1";
pub const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
pub const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";
pub const BUS: &str = "org.freedesktop.DBus";

/// An adapter by the number in its path: `/org/bluez/hci0`. It may change when adapters come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hci(pub u16);

/// A device by its path: `/org/bluez/hci0/dev_A4_C1_38_12_34_56`. The address in the path is the one under which
/// BlueZ first met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub hci: Hci,
    pub mac: Mac,
}

/// What a signal says.
#[derive(Debug, PartialEq, Eq)]
pub enum Signal {
    /// A device came (`added`) or changed.
    Device { place: Place, facts: DeviceFacts, added: bool },
    /// A device was forgotten.
    DeviceGone(Place),
    /// An adapter came (`added`) or changed.
    Adapter { hci: Hci, facts: AdapterFacts, added: bool },
    /// An adapter is gone.
    AdapterGone(Hci),
    /// A characteristic of a device has this value, at this path.
    Value { place: Place, path: String, value: Vec<u8> },
    /// BlueZ came, under this unique name, or went.
    Owner(Option<String>),
}

/// The properties of a device that were named; none where a property was not.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DeviceFacts {
    pub address: Option<Mac>,
    pub random: Option<bool>,
    pub name: Option<String>,
    pub services: Option<Vec<Uuid>>,
    pub rssi: Option<i16>,
    pub tx_power: Option<i16>,
    pub manufacturer: Option<Vec<(u16, Vec<u8>)>>,
    pub service_data: Option<Vec<(Uuid, Vec<u8>)>>,
    pub connected: Option<bool>,
    pub resolved: Option<bool>,
    pub paired: Option<bool>,
}

/// The same for an adapter.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AdapterFacts {
    pub address: Option<Mac>,
    pub powered: Option<bool>,
    pub discovering: Option<bool>,
}

impl fmt::Display for Hci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hci{}", self.0)
    }
}

impl Hci {
    /// Its object path.
    pub fn path(self) -> String {
        format!("/org/bluez/{self}")
    }
}

impl Place {
    /// Its object path.
    pub fn path(self) -> String {
        format!("/org/bluez/{}", self.id())
    }

    /// Its object path without BlueZ's own prefix.
    pub fn id(self) -> String {
        format!("{}/dev_{}", self.hci, self.mac.to_string().replace(':', "_"))
    }

    /// Reads an object path of a device; none of what lies below one.
    pub fn parse(path: &str) -> Option<Self> {
        let (hci, device) = path.strip_prefix("/org/bluez/hci")?.split_once('/')?;
        let mut parts = device.strip_prefix("dev_")?.split('_');
        let mut mac = [0; 6];
        for byte in &mut mac {
            let part = parts.next().filter(|part| part.len() == 2)?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Self { hci: Hci(hci.parse().ok()?), mac: Mac(mac) })
    }
}

fn parse_hci(path: &str) -> Option<Hci> {
    path.strip_prefix("/org/bluez/hci")?.parse().ok().map(Hci)
}

/// Reads a signal; most of one message say one thing. Nothing for what does not matter here.
pub fn read_signal(message: &Message) -> Option<Signal> {
    let (interface, member, path) = (message.interface()?, message.member()?, message.path()?);
    let mut args = message.iter_init();
    match (&*interface, &*member) {
        (PROPERTIES, "PropertiesChanged") => {
            let (device, hci) = (Place::parse(&path), parse_hci(&path));
            let of = args.get::<&str>()?;
            args.next();
            match (of, device, hci) {
                (DEVICE, Some(place), _) => {
                    Some(Signal::Device { place, facts: device_facts(&mut args), added: false })
                }
                (ADAPTER, _, Some(hci)) => Some(Signal::Adapter { hci, facts: adapter_facts(&mut args), added: false }),
                (CHARACTERISTIC, None, None) => {
                    // /org/bluez/hci0/dev_A4_C1_38_12_34_56/service0010/char0011
                    let (device, _) = path.rsplit_once('/')?.0.rsplit_once('/')?;
                    let (place, value) = (Place::parse(device)?, read_value(&mut args)?);
                    Some(Signal::Value { place, path: path.to_string(), value })
                }
                _ => None,
            }
        }
        (OBJECTS, "InterfacesAdded") => {
            let path = args.get::<dbus::Path>()?;
            args.next();
            read_object(&path, &mut args)
        }
        (OBJECTS, "InterfacesRemoved") => {
            let path = args.get::<dbus::Path>()?;
            args.next();
            let gone = args.get::<Vec<&str>>()?;
            let of = |interface| gone.contains(&interface);
            if of(DEVICE) {
                Place::parse(&path).map(Signal::DeviceGone)
            } else if of(ADAPTER) {
                parse_hci(&path).map(Signal::AdapterGone)
            } else {
                None
            }
        }
        (BUS, "NameOwnerChanged") => {
            let (name, _, new) = message.get3::<&str, &str, &str>();
            (name? == BLUEZ).then(|| Signal::Owner(new.filter(|new| !new.is_empty()).map(str::to_owned)))
        }
        _ => None,
    }
}

/// Reads the answer to `GetManagedObjects`. What BlueZ remembers was heard at some time, perhaps for another program and
/// half a minute ago: no signal strength is taken from it, which is what proves that a device was heard just now.
pub fn read_objects(message: &Message) -> Vec<Signal> {
    let mut found = Vec::new();
    let mut args = message.iter_init();
    for_each_entry(&mut args, |entry| {
        let path = entry.get::<dbus::Path>()?;
        entry.next();
        let mut object = read_object(&path, entry);
        if let Some(Signal::Device { facts, .. }) = &mut object {
            facts.rssi = None;
        }
        found.extend(object);
        Some(())
    });
    found
}

fn read_object(path: &str, interfaces: &mut Iter) -> Option<Signal> {
    let (device, hci) = (Place::parse(path), parse_hci(path));
    if device.is_none() && hci.is_none() {
        return None;
    }
    let mut found = None;
    for_each_entry(interfaces, |entry| {
        let interface = entry.get::<&str>()?;
        entry.next();
        match (interface, device, hci) {
            (DEVICE, Some(place), _) => {
                found = Some(Signal::Device { place, facts: device_facts(entry), added: true });
            }
            (ADAPTER, _, Some(hci)) => {
                found = Some(Signal::Adapter { hci, facts: adapter_facts(entry), added: true });
            }
            _ => {}
        }
        Some(())
    });
    found
}

fn device_facts(properties: &mut Iter) -> DeviceFacts {
    let mut facts = DeviceFacts::default();
    for_each_property(properties, |name, value| match name {
        "Address" => facts.address = value.get::<&str>().and_then(|text| text.parse().ok()),
        "AddressType" => facts.random = value.get::<&str>().map(|kind| kind == "random"),
        "Name" => facts.name = value.get::<&str>().map(str::to_owned),
        "UUIDs" => {
            let texts = value.get::<Vec<&str>>().unwrap_or_default();
            facts.services = Some(texts.into_iter().filter_map(|text| text.parse().ok()).collect());
        }
        "RSSI" => facts.rssi = value.get(),
        "TxPower" => facts.tx_power = value.get(),
        "ManufacturerData" => facts.manufacturer = Some(data(value, Iter::get::<u16>)),
        "ServiceData" => facts.service_data = Some(data(value, |key| key.get::<&str>()?.parse::<Uuid>().ok())),
        "Connected" => facts.connected = value.get(),
        "ServicesResolved" => facts.resolved = value.get(),
        "Paired" => facts.paired = value.get(),
        _ => {}
    });
    facts
}

fn adapter_facts(properties: &mut Iter) -> AdapterFacts {
    let mut facts = AdapterFacts::default();
    for_each_property(properties, |name, value| match name {
        "Address" => facts.address = value.get::<&str>().and_then(|text| text.parse().ok()),
        "Powered" => facts.powered = value.get(),
        "Discovering" => facts.discovering = value.get(),
        _ => {}
    });
    facts
}

fn data<'a, K>(records: &mut Iter<'a>, key: impl Fn(&mut Iter<'a>) -> Option<K>) -> Vec<(K, Vec<u8>)> {
    let mut found = Vec::new();
    for_each_entry(records, |entry| {
        let key = key(entry)?;
        entry.next();
        let bytes = entry.recurse(ArgType::Variant)?.get::<&[u8]>()?.to_vec();
        found.push((key, bytes));
        Some(())
    });
    found
}

pub(super) fn for_each_property(properties: &mut Iter, mut take: impl FnMut(&str, &mut Iter)) {
    for_each_entry(properties, |entry| {
        let name = entry.get::<&str>()?;
        entry.next();
        take(name, &mut entry.recurse(ArgType::Variant)?);
        Some(())
    });
}

/// Goes over the entries of a dictionary. An entry of another type than expected is passed over.
pub(super) fn for_each_entry<'a>(dictionary: &mut Iter<'a>, mut take: impl FnMut(&mut Iter<'a>) -> Option<()>) {
    let Some(mut entries) = dictionary.recurse(ArgType::Array) else { return };
    while let Some(mut entry) = entries.recurse(ArgType::DictEntry) {
        take(&mut entry);
        if !entries.next() {
            return;
        }
    }
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
