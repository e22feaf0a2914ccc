//! The objects that the scripted BlueZ shows on the bus, and their properties, as BlueZ 5.66 has them
//! (doc/adapter-api.txt, device-api.txt and gatt-api.txt of its sources).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dbus::{
    Path,
    arg::{PropMap, RefArg, Variant},
};

use super::{
    air::{Advert, Characteristic, Heals, Peripheral},
    world::World,
};

/// Interfaces of an object with their properties.
pub type Interfaces = HashMap<String, PropMap>;

pub const ADAPTER: &str = "org.bluez.Adapter1";
pub const DEVICE: &str = "org.bluez.Device1";
pub const SERVICE: &str = "org.bluez.GattService1";
pub const CHARACTERISTIC: &str = "org.bluez.GattCharacteristic1";
pub const AGENTS: &str = "org.bluez.AgentManager1";

/// An adapter that is plugged in.
pub struct Adapter {
    pub address: String,
    pub powered: bool,
    pub discovering: bool,
    /// The unique names of those who want discovery, and whether they want duplicates.
    pub sessions: BTreeMap<String, bool>,
    pub filters: BTreeMap<String, bool>,
    pub deaf: Option<Heals>,
}

impl Adapter {
    pub fn new(address: &str) -> Self {
        Self {
            address: address.to_uppercase(),
            powered: true,
            discovering: false,
            sessions: BTreeMap::new(),
            filters: BTreeMap::new(),
            deaf: None,
        }
    }

    pub fn properties(&self) -> PropMap {
        properties([
            ("Address", boxed(self.address.clone())),
            ("AddressType", boxed("public".to_owned())),
            ("Name", boxed("scripted".to_owned())),
            ("Alias", boxed("scripted".to_owned())),
            ("Class", boxed(0_u32)),
            ("Powered", boxed(self.powered)),
            ("Discoverable", boxed(false)),
            ("DiscoverableTimeout", boxed(180_u32)),
            ("Pairable", boxed(true)),
            ("PairableTimeout", boxed(0_u32)),
            ("Discovering", boxed(self.discovering)),
            ("UUIDs", boxed(Vec::<String>::new())),
            ("Modalias", boxed("usb:v1D6Bp0246d0542".to_owned())),
            ("Roles", boxed(vec!["central".to_owned()])),
        ])
    }
}

/// What one adapter knows of a device.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // BlueZ's own properties
pub struct Device {
    pub address: String,
    pub random: bool,
    pub name: Option<String>,
    pub rssi: Option<i16>,
    pub tx_power: Option<i16>,
    pub manufacturer: BTreeMap<u16, Vec<u8>>,
    pub services: BTreeMap<String, Vec<u8>>,
    pub uuids: BTreeSet<String>,
    pub connected: bool,
    pub resolved: bool,
    pub paired: bool,
    pub trusted: bool,
    /// The GATT objects are on the bus: from the first time that services were resolved.
    pub known: bool,
}

impl Device {
    pub fn new(address: &str, random: bool) -> Self {
        Self { address: address.into(), random, ..Self::default() }
    }

    pub fn properties(&self, adapter: usize) -> PropMap {
        let alias = self.name.clone().unwrap_or_else(|| self.address.replace(':', "-"));
        let mut all = properties([
            ("Address", boxed(self.address.clone())),
            ("AddressType", boxed(if self.random { "random" } else { "public" }.to_owned())),
            ("Alias", boxed(alias)),
            ("Adapter", boxed(Path::from(adapter_path(adapter)))),
            ("Paired", boxed(self.paired)),
            ("Bonded", boxed(self.paired)),
            ("Trusted", boxed(self.trusted)),
            ("Blocked", boxed(false)),
            ("LegacyPairing", boxed(false)),
            ("Connected", boxed(self.connected)),
            ("ServicesResolved", boxed(self.resolved)),
            ("UUIDs", boxed(self.uuids.iter().cloned().collect::<Vec<_>>())),
        ]);
        all.extend(self.heard());
        all
    }

    /// What it last said.
    fn heard(&self) -> PropMap {
        let mut all = PropMap::new();
        let mut put = |name: &str, value| all.insert(name.to_owned(), Variant(value));
        if let Some(name) = &self.name {
            put("Name", boxed(name.clone()));
        }
        if let Some(rssi) = self.rssi {
            put("RSSI", boxed(rssi));
        }
        if let Some(power) = self.tx_power {
            put("TxPower", boxed(power));
        }
        if !self.manufacturer.is_empty() {
            put("ManufacturerData", boxed(variants(&self.manufacturer)));
        }
        if !self.services.is_empty() {
            put("ServiceData", boxed(variants(&self.services)));
        }
        all
    }

    /// Takes an advertisement in, and gives what BlueZ says of it. To who wants duplicates: everything, each time, and of
    /// data only what this advertisement had. Else: data when it is new, beside what was known, and the signal strength
    /// when it differs by 8 dB (`device_set_rssi_with_delta`, `device_set_manufacturer_data` in src/device.c).
    pub fn hear(&mut self, advert: &Advert, duplicates: bool) -> PropMap {
        let mut changed = PropMap::new();
        let mut put = |name: &str, value| changed.insert(name.to_owned(), Variant(value));
        if duplicates || self.rssi.is_none_or(|old| old.abs_diff(advert.rssi) >= 8) {
            self.rssi = Some(advert.rssi);
            put("RSSI", boxed(advert.rssi));
        }
        if advert.name.is_some() && advert.name != self.name {
            self.name.clone_from(&advert.name);
            put("Name", boxed(self.name.clone().unwrap_or_default()));
            put("Alias", boxed(self.name.clone().unwrap_or_default()));
        }
        if let Some(power) = advert.tx_power.filter(|_| advert.tx_power != self.tx_power) {
            self.tx_power = Some(power);
            put("TxPower", boxed(power));
        }
        if !advert.uuids.is_subset(&self.uuids) {
            self.uuids.extend(advert.uuids.iter().cloned());
            put("UUIDs", boxed(self.uuids.iter().cloned().collect::<Vec<_>>()));
        }
        if merge(&mut self.manufacturer, &advert.manufacturer, duplicates) {
            put("ManufacturerData", boxed(variants(&self.manufacturer)));
        }
        if merge(&mut self.services, &advert.services, duplicates) {
            put("ServiceData", boxed(variants(&self.services)));
        }
        changed
    }
}

/// Whether there is something to tell.
fn merge<K: Ord + Clone>(old: &mut BTreeMap<K, Vec<u8>>, new: &BTreeMap<K, Vec<u8>>, duplicates: bool) -> bool {
    if duplicates && !new.is_empty() {
        old.clone_from(new);
        return true;
    }
    let mut changed = false;
    for (key, data) in new {
        changed |= old.insert(key.clone(), data.clone()).as_ref() != Some(data);
    }
    changed
}

/// What stands in a characteristic's object.
pub fn characteristic(service: &str, of: &Characteristic, mtu: u16) -> PropMap {
    properties([
        ("UUID", boxed(of.uuid.clone())),
        ("Service", boxed(Path::from(service.to_owned()))),
        ("Value", boxed(of.value.clone())),
        ("Notifying", boxed(!of.sessions.is_empty())),
        ("Flags", boxed(of.flags.iter().map(|&f| f.to_owned()).collect::<Vec<String>>())),
        ("MTU", boxed(mtu)),
    ])
}

/// The GATT objects of a peripheral below a device's path: services first, each followed by its characteristics.
pub fn gatt(device: &str, peripheral: &Peripheral) -> Vec<(String, Interfaces)> {
    let mut all = Vec::new();
    let mut handle = 1;
    for (uuid, characteristics) in &peripheral.services {
        let path = format!("{device}/service{handle:04x}");
        let of = properties([
            ("UUID", boxed(uuid.clone())),
            ("Primary", boxed(true)),
            ("Device", boxed(Path::from(device.to_owned()))),
            ("Includes", boxed(Vec::<Path>::new())),
        ]);
        all.push((path.clone(), HashMap::from([(SERVICE.to_owned(), of)])));
        for one in characteristics {
            handle += 1;
            let of = HashMap::from([(CHARACTERISTIC.to_owned(), characteristic(&path, one, peripheral.mtu))]);
            all.push((format!("{path}/char{handle:04x}"), of));
            // Its value and its descriptor.
            handle += 2;
        }
        handle += 1;
    }
    all
}

/// The UUID of the characteristic at this path below the device's.
pub fn uuid_at(device: &str, peripheral: &Peripheral, path: &str) -> Option<String> {
    let (_, of) = gatt(device, peripheral).into_iter().find(|(p, _)| p == path)?;
    uuid_of(&of)
}

/// The path of the characteristic with this UUID below the device's; the first if several have it.
pub fn path_of(device: &str, peripheral: &Peripheral, uuid: &str) -> Option<String> {
    gatt(device, peripheral).into_iter().find(|(_, of)| uuid_of(of).as_deref() == Some(uuid)).map(|(path, _)| path)
}

fn uuid_of(object: &Interfaces) -> Option<String> {
    Some(object.get(CHARACTERISTIC)?.get("UUID")?.0.as_str()?.to_owned())
}

/// Every object on the bus.
pub fn all(world: &World) -> HashMap<Path<'static>, Interfaces> {
    let mut all = HashMap::new();
    let agents = HashMap::from([(AGENTS.to_owned(), PropMap::new())]);
    all.insert(Path::from("/org/bluez"), agents);
    for (&number, adapter) in &world.adapters {
        let of = HashMap::from([(ADAPTER.to_owned(), adapter.properties())]);
        all.insert(Path::from(adapter_path(number)), of);
    }
    for ((number, address), device) in &world.devices {
        let path = device_path(*number, address);
        for (path, of) in below(world, &path, device) {
            all.insert(Path::from(path), of);
        }
        all.insert(Path::from(path), HashMap::from([(DEVICE.to_owned(), device.properties(*number))]));
    }
    all
}

/// The GATT objects of a device that are on the bus.
pub fn below(world: &World, path: &str, device: &Device) -> Vec<(String, Interfaces)> {
    let peripheral = world.peripherals.get(&device.address).filter(|_| device.known);
    peripheral.map(|p| gatt(path, p)).unwrap_or_default()
}

/// Properties, from names and values.
pub fn properties<const N: usize>(all: [(&str, Box<dyn RefArg>); N]) -> PropMap {
    all.into_iter().map(|(name, value)| (name.to_owned(), Variant(value))).collect()
}

/// A value of a property.
pub fn boxed<T: RefArg + 'static>(value: T) -> Box<dyn RefArg> {
    Box::new(value)
}

fn variants<K: Ord + Clone>(data: &BTreeMap<K, Vec<u8>>) -> BTreeMap<K, Variant<Box<dyn RefArg>>> {
    data.iter().map(|(key, data)| (key.clone(), Variant(boxed(data.clone())))).collect()
}

/// The path of an adapter.
pub fn adapter_path(number: usize) -> String {
    format!("/org/bluez/hci{number}")
}

/// The path of a device.
pub fn device_path(adapter: usize, address: &str) -> String {
    format!("/org/bluez/hci{adapter}/dev_{}", address.replace(':', "_"))
}

/// The adapter's number, the device's address, and whether there is more below it.
pub fn parse(path: &str) -> Option<(usize, Option<String>)> {
    let mut parts = path.strip_prefix("/org/bluez/hci")?.split('/');
    let adapter = parts.next()?.parse().ok()?;
    let device = match parts.next() {
        Some(device) => Some(device.strip_prefix("dev_")?.replace('_', ":")),
        None => None,
    };
    Some((adapter, device))
}
