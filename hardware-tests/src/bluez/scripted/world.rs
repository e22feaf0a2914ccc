//! The state of the scripted BlueZ and of the air around it, and what it says of changes. Calls are answered in `calls`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use dbus::{
    Message, Path,
    arg::{AppendAll, PropMap, RefArg},
    channel::Sender,
    nonblock::SyncConnection,
};

use super::{
    air::{Advert, Characteristic, Manner, Peripheral},
    objects::{self, ADAPTER, Adapter, CHARACTERISTIC, DEVICE, Device, Interfaces, boxed, device_path, properties},
};

/// What a method does instead of its work.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing: no answer comes.
    Hang,
    /// Answers this error, with this text.
    Refuse(String, String),
}

/// An agent: whom to call, and where.
pub type Agent = (String, String);

/// See the head. Addresses are upper case, adapters go by the number in `hciN`.
#[derive(Default)]
pub struct World {
    pub me: Weak<Mutex<World>>,
    pub connection: Option<Arc<SyncConnection>>,
    pub adapters: BTreeMap<usize, Adapter>,
    pub devices: BTreeMap<(usize, String), Device>,
    pub peripherals: HashMap<String, Peripheral>,
    /// By the unique name of who registered it.
    pub agents: HashMap<String, Agent>,
    pub default_agent: Option<Agent>,
    /// By interface and method, without `org.bluez.`: `Device1.Connect`.
    pub faults: HashMap<String, Fault>,
    pub calls: BTreeMap<String, usize>,
    /// `Connect` calls whose peripheral is out of range.
    pub pending: Vec<((usize, String), Message)>,
    /// Advertisements told to clients.
    pub told: u64,
}

/// The lock, also after a test that failed while it held it.
pub fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Sends, unless bluetoothd is dead or the bus is gone.
    pub fn send(&self, message: Message) {
        if let Some(connection) = &self.connection {
            let _ = connection.send(message);
        }
    }

    fn signal<A: AppendAll>(&self, path: &str, interface: &str, member: &str, arguments: A) {
        let mut message =
            Message::signal(&Path::from(path.to_owned()), &interface.to_owned().into(), &member.to_owned().into());
        message.append_all(arguments);
        self.send(message);
    }

    pub fn changed(&self, path: &str, interface: &str, changed: &PropMap, invalid: &[&str]) {
        if !(changed.is_empty() && invalid.is_empty()) {
            let about = (interface, changed, invalid.to_vec());
            self.signal(path, "org.freedesktop.DBus.Properties", "PropertiesChanged", about);
        }
    }

    pub fn changes<const N: usize>(&self, path: &str, interface: &str, all: [(&str, Box<dyn RefArg>); N]) {
        self.changed(path, interface, &properties(all), &[]);
    }

    fn added(&self, path: &str, of: &Interfaces) {
        let path = Path::from(path.to_owned());
        self.signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", (path, of));
    }

    fn removed(&self, path: &str, interfaces: Vec<String>) {
        let path = Path::from(path.to_owned());
        self.signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", (path, interfaces));
    }

    /// An advertisement arrives. Heard only while the adapter is on, discovering, and not deaf.
    pub fn advert(&mut self, advert: &Advert) {
        let Some(adapter) = self.adapters.get(&advert.adapter) else { return };
        if !adapter.powered || !adapter.discovering || adapter.deaf.is_some() || self.connection.is_none() {
            return;
        }
        let duplicates = adapter.sessions.values().any(|&wanted| wanted);
        let key = (advert.adapter, advert.address.clone());
        let path = device_path(key.0, &key.1);
        if !self.devices.contains_key(&key) {
            self.add_device(key.clone(), Device::new(&advert.address, advert.random));
        }
        let Some(device) = self.devices.get_mut(&key) else { return };
        let changed = device.hear(advert, duplicates);
        self.told += u64::from(!changed.is_empty());
        self.changed(&path, DEVICE, &changed, &[]);
    }

    /// A device's object appears: without signal strength and data, which follow.
    pub fn add_device(&mut self, key: (usize, String), device: Device) {
        let path = device_path(key.0, &key.1);
        self.added(&path, &HashMap::from([(DEVICE.to_owned(), device.properties(key.0))]));
        self.devices.insert(key, device);
    }

    /// A device's object goes, and all below it.
    pub fn remove_device(&mut self, key: &(usize, String)) {
        self.unlink(key);
        let path = device_path(key.0, &key.1);
        if let Some(device) = self.devices.remove(key) {
            for (path, of) in objects::below(self, &path, &device) {
                self.removed(&path, of.into_keys().collect());
            }
            self.removed(&path, vec![DEVICE.to_owned()]);
        }
    }

    /// A link comes up, and then its services.
    pub fn link(&mut self, key: &(usize, String)) {
        let path = device_path(key.0, &key.1);
        if let Some(device) = self.devices.get_mut(key) {
            device.connected = true;
            self.changes(&path, DEVICE, [("Connected", boxed(true))]);
        }
    }

    /// Services are known. Not while `Device1.ServicesResolved` is to hang.
    pub fn resolve(&mut self, key: &(usize, String)) {
        if self.faults.contains_key("Device1.ServicesResolved") {
            return;
        }
        let path = device_path(key.0, &key.1);
        let Some(peripheral) = self.peripherals.get(&key.1).cloned() else { return };
        let Some(device) = self.devices.get_mut(key) else { return };
        device.resolved = true;
        device.uuids.extend(peripheral.services.iter().map(|(uuid, _)| uuid.clone()));
        let uuids: Vec<String> = device.uuids.iter().cloned().collect();
        if !std::mem::replace(&mut device.known, true) {
            for (path, of) in objects::gatt(&path, &peripheral) {
                self.added(&path, &of);
            }
        }
        self.changes(&path, DEVICE, [("UUIDs", boxed(uuids)), ("ServicesResolved", boxed(true))]);
    }

    /// A link goes down. Notifications stay asked for, as with BlueZ, and come again with the next link.
    pub fn unlink(&mut self, key: &(usize, String)) {
        let path = device_path(key.0, &key.1);
        if let Some(device) = self.devices.get_mut(key).filter(|d| d.connected) {
            (device.connected, device.resolved) = (false, false);
            self.changes(&path, DEVICE, [("ServicesResolved", boxed(false)), ("Connected", boxed(false))]);
        }
    }

    /// A peripheral has a new value; who is subscribed hears of it.
    pub fn set(&mut self, address: &str, uuid: &str, value: &[u8]) -> bool {
        let Some(peripheral) = self.peripherals.get_mut(address) else { return false };
        let silent = peripheral.manner == Manner::Mute || !peripheral.in_range;
        let Some(characteristic) = peripheral.find(uuid) else { return false };
        characteristic.value = value.to_vec();
        if !(silent || characteristic.sessions.is_empty()) {
            self.tell_value(address, uuid, value);
        }
        true
    }

    /// The value's property changes, as after a notification or a read.
    pub fn tell_value(&self, address: &str, uuid: &str, value: &[u8]) {
        let Some(peripheral) = self.peripherals.get(address) else { return };
        let linked = self.devices.iter().find(|((_, a), device)| a == address && device.connected);
        let Some(((adapter, _), _)) = linked else { return };
        let device = device_path(*adapter, address);
        if let Some(path) = objects::path_of(&device, peripheral, uuid) {
            self.changes(&path, CHARACTERISTIC, [("Value", boxed(value.to_vec()))]);
        }
    }

    /// Discovery is as the sessions want it.
    pub fn discover(&mut self, number: usize) {
        let Some(adapter) = self.adapters.get_mut(&number) else { return };
        let wanted = adapter.powered && !adapter.sessions.is_empty();
        if adapter.discovering == wanted {
            return;
        }
        adapter.discovering = wanted;
        self.changes(&objects::adapter_path(number), ADAPTER, [("Discovering", boxed(wanted))]);
        if wanted {
            return;
        }
        // What was heard is old now: BlueZ takes the signal strength back.
        let heard = self.devices.range_mut((number, String::new())..(number + 1, String::new()));
        let old: Vec<String> = heard.filter_map(|((n, a), d)| d.rssi.take().map(|_| device_path(*n, a))).collect();
        for path in old {
            self.changed(&path, DEVICE, &PropMap::new(), &["RSSI"]);
        }
    }

    /// An adapter is there.
    pub fn plug(&mut self, number: usize, address: &str) {
        let adapter = Adapter::new(address);
        let of = HashMap::from([(ADAPTER.to_owned(), adapter.properties())]);
        self.added(&objects::adapter_path(number), &of);
        self.adapters.insert(number, adapter);
    }

    /// An adapter goes, and its devices with it. Gives its address.
    pub fn unplug(&mut self, number: usize) -> Option<String> {
        let keys: Vec<_> = self.devices.keys().filter(|(n, _)| *n == number).cloned().collect();
        for key in keys {
            self.remove_device(&key);
        }
        let adapter = self.adapters.remove(&number)?;
        self.removed(&objects::adapter_path(number), vec![ADAPTER.to_owned()]);
        Some(adapter.address)
    }

    /// A client has left the bus: what it asked for is over, but for links and connects that are pending, which BlueZ
    /// keeps (src/device.c watches no client for them).
    pub fn client_left(&mut self, name: &str) {
        let numbers: Vec<usize> = self.adapters.keys().copied().collect();
        for number in numbers {
            if let Some(adapter) = self.adapters.get_mut(&number) {
                adapter.filters.remove(name);
                adapter.sessions.remove(name);
            }
            self.discover(number);
        }
        self.agents.remove(name);
        self.default_agent.take_if(|(who, _)| who == name);
        for characteristic in self.characteristics() {
            characteristic.sessions.remove(name);
        }
    }

    fn characteristics(&mut self) -> impl Iterator<Item = &mut Characteristic> {
        self.peripherals.values_mut().flat_map(|p| &mut p.services).flat_map(|(_, all)| all)
    }

    /// bluetoothd has died: what it held in memory is gone. Bonds and the air stay.
    pub fn die(&mut self) {
        self.connection = None;
        for adapter in self.adapters.values_mut() {
            *adapter = Adapter::new(&adapter.address);
        }
        self.devices.retain(|_, device| device.paired);
        for device in self.devices.values_mut() {
            (device.connected, device.resolved, device.known, device.rssi) = (false, false, false, None);
            device.manufacturer.clear();
            device.services.clear();
        }
        for characteristic in self.characteristics() {
            characteristic.sessions.clear();
        }
        self.agents.clear();
        self.default_agent = None;
        self.pending.clear();
    }
}
