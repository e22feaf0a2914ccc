//! A scripted org.bluez on a private D-Bus: a **mock**, for what no machine shows on demand (an adapter that is unplugged,
//! a bluetoothd that hangs, an adapter that has gone deaf, thousands of devices). What a real BlueZ does is tested on the
//! virtual machine; where the two differ, this one is wrong. It speaks as BlueZ 5.66 as far as a central needs it: no
//! classic Bluetooth, no advertising, no advertisement monitors, no descriptors, no AcquireNotify.
//!
//! Everything is told by the test, from any thread, and takes effect at once:
//!
//! ```text
//! let blue = Scripted::start()?;                       // adapter 0, 00:AA:01:00:00:42; DBUS_SYSTEM_BUS_ADDRESS = blue.address()
//! blue.advert(&Advert::of("A4:C1:38:12:34:56").service("fcd2", &[0x40, 0x02, 0xC4, 0x09]));
//! blue.put(Peripheral::new("A4:C1:38:00:00:01").service("180f", [Characteristic::new("2a19", &[90]).read().notify()]));
//! blue.set("A4:C1:38:00:00:01", "2a19", &[89]);        // notifies
//! blue.hang("Device1.Connect");                        // and so on
//! ```
//!
//! Methods are named by interface and method without `org.bluez.`: `Adapter1.StartDiscovery`. Waiting for a condition is
//! the test's business; nothing here sleeps.

mod air;
mod calls;
mod objects;
#[cfg(test)]
mod tests;
mod world;

use std::{
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use dbus::{
    Message,
    channel::{MatchingReceiver, Sender},
    message::{MatchRule, MessageType},
    nonblock::SyncConnection,
};
use tokio::{runtime::Handle, sync::oneshot, task::AbortHandle};

pub use self::air::{Advert, Characteristic, Heals, Pairing, Peripheral, full};
use self::{
    air::Manner,
    objects::Device,
    world::{Fault, World, lock},
};
use super::bus::{self, Bus};

/// How long a name may take to appear on the bus or to leave it.
const PATIENCE: Duration = Duration::from_secs(20);

/// See the head. Everything ends with this value.
pub struct Scripted {
    world: Arc<Mutex<World>>,
    bus: Bus,
    runtime: Handle,
    link: Option<AbortHandle>,
    thread: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// Ends what [`Scripted::every`] began, when dropped.
pub struct Stream(AbortHandle);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Scripted {
    /// With one adapter, 00:AA:01:00:00:42, powered.
    pub fn start() -> Result<Self> {
        Self::with_adapters(&["00:AA:01:00:00:42"])
    }

    /// With adapters of these addresses, as `hci0`, `hci1` and so on.
    pub fn with_adapters(addresses: &[&str]) -> Result<Self> {
        let world = Arc::new(Mutex::new(World::default()));
        lock(&world).me = Arc::downgrade(&world);
        for (number, address) in addresses.iter().enumerate() {
            lock(&world).plug(number, address);
        }
        let bus = Bus::start()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("scripted org.bluez".into()).spawn(move || {
            let _ = runtime.block_on(ended);
        })?;
        let mut this = Self { world, bus, runtime: handle, link: None, thread: Some((end, thread)) };
        this.revive()?;
        Ok(this)
    }

    /// The bus's address, for `DBUS_SYSTEM_BUS_ADDRESS`. It stays the same when the bus is started again.
    pub fn address(&self) -> &str {
        self.bus.address()
    }

    // What is in the air.

    /// An advertisement is heard: by the adapter that it names, if that is discovering.
    pub fn advert(&self, advert: &Advert) {
        lock(&self.world).advert(advert);
    }

    /// Calls `make` with 0, 1, 2 ... at this period, as punctual as the machine is, and lets its advertisements be heard.
    /// Data is stamped in `make`: it is sent right after.
    pub fn every(&self, period: Duration, mut make: impl FnMut(u64) -> Vec<Advert> + Send + 'static) -> Stream {
        let world = self.world.clone();
        let task = self.runtime.spawn(async move {
            let mut ticks = tokio::time::interval(period);
            for round in 0.. {
                ticks.tick().await;
                for advert in make(round) {
                    lock(&world).advert(&advert);
                }
            }
        });
        Stream(task.abort_handle())
    }

    /// How many advertisements were told to clients.
    pub fn told(&self) -> u64 {
        lock(&self.world).told
    }

    /// A peripheral that can be connected; BlueZ knows of it once it was heard, or after [`Scripted::know`].
    pub fn put(&self, peripheral: Peripheral) {
        lock(&self.world).peripherals.insert(peripheral.address.clone(), peripheral);
    }

    /// Adapter 0 knows this device from before, as BlueZ remembers devices: no advertisement is told.
    pub fn know(&self, address: &str) {
        let mut world = lock(&self.world);
        let address = address.to_uppercase();
        let random = world.peripherals.get(&address).is_some_and(|p| p.random);
        world.add_device((0, address.clone()), Device::new(&address, random));
    }

    /// BlueZ forgets this device, as it does with those that it has not heard for 30 s.
    pub fn forget(&self, address: &str) {
        self.each(address, World::remove_device);
    }

    /// A characteristic has a new value; who is subscribed hears of it, unless the peripheral is mute or away.
    /// Panics if there is none.
    pub fn set(&self, address: &str, uuid: &str, value: &[u8]) {
        let done = lock(&self.world).set(&address.to_uppercase(), &full(uuid), value);
        assert!(done, "{address} has no characteristic {uuid}");
    }

    /// A characteristic's value. Panics if there is none.
    pub fn value(&self, address: &str, uuid: &str) -> Vec<u8> {
        self.look(address, uuid, |c| c.value.clone())
    }

    /// What was written to a characteristic, oldest first, with the option `type` ("request", "command" or nothing).
    pub fn written(&self, address: &str, uuid: &str) -> Vec<(Vec<u8>, String)> {
        self.look(address, uuid, |c| c.written.clone())
    }

    /// Whether anybody has notifications of this characteristic on.
    pub fn subscribed(&self, address: &str, uuid: &str) -> bool {
        self.look(address, uuid, |c| !c.sessions.is_empty())
    }

    /// The link breaks, as by the supervision time-out. The peripheral can be connected again.
    pub fn drop_link(&self, address: &str) {
        self.each(address, World::unlink);
    }

    /// Out of range: its link breaks, and connects to it wait until [`Scripted::come_back`].
    pub fn vanish(&self, address: &str) {
        self.peripheral(address, |p| p.in_range = false);
        self.drop_link(address);
    }

    /// In range again; connects that wait are done.
    pub fn come_back(&self, address: &str) {
        self.peripheral(address, |p| p.in_range = true);
        let mut world = lock(&self.world);
        let address = address.to_uppercase();
        let (ours, rest) = std::mem::take(&mut world.pending).into_iter().partition(|((_, a), _)| *a == address);
        world.pending = rest;
        for (key, call) in ours {
            world.connect(&call, &key);
        }
    }

    /// Connected, and silent: no notifications come, and reads and writes hang.
    pub fn mute(&self, address: &str) {
        self.peripheral(address, |p| p.manner = Manner::Mute);
    }

    /// No longer mute. What hung stays unanswered.
    pub fn unmute(&self, address: &str) {
        self.peripheral(address, |p| p.manner = Manner::Answers);
    }

    /// From now on it ends each link as soon as that is up, before its services are known; or it no longer does.
    pub fn hang_up(&self, address: &str, always: bool) {
        self.peripheral(address, |p| p.manner = if always { Manner::HangsUp } else { Manner::Answers });
    }

    // What goes wrong in BlueZ.

    /// Calls of this method are never answered; `Device1.ServicesResolved` (a property) never comes true,
    /// and changes of `Adapter1.Powered` (one as well) are not told.
    pub fn hang(&self, method: &str) {
        lock(&self.world).faults.insert(method.into(), Fault::Hang);
    }

    /// Calls of this method are refused with this error (`org.bluez.Error.Failed`) and text
    /// (`le-connection-abort-by-local`).
    pub fn refuse(&self, method: &str, error: &str, text: &str) {
        lock(&self.world).faults.insert(method.into(), Fault::Refuse(error.into(), text.into()));
    }

    /// The method works again. What hung stays unanswered.
    pub fn heal(&self, method: &str) {
        lock(&self.world).faults.remove(method);
    }

    /// Discovery ends by itself: `Discovering` is false, and no client has a session any more.
    pub fn end_discovery(&self, adapter: usize) {
        let mut world = lock(&self.world);
        if let Some(adapter) = world.adapters.get_mut(&adapter) {
            adapter.sessions.clear();
        }
        world.discover(adapter);
    }

    /// Another program has asked for discovery: bluetoothctl, a desktop's settings. It does not want duplicates.
    pub fn discover_for_another(&self, adapter: usize) {
        let mut world = lock(&self.world);
        if let Some(adapter) = world.adapters.get_mut(&adapter) {
            adapter.sessions.insert("another program".into(), false);
        }
        world.discover(adapter);
    }

    /// Another program has connected adapter 0 to this device, which BlueZ knows.
    pub fn connect_for_another(&self, address: &str) {
        lock(&self.world).link(&(0, address.to_uppercase()));
    }

    /// The adapter hears nothing any more, while `Discovering` stays true.
    pub fn deafen(&self, adapter: usize, heals: Heals) {
        if let Some(adapter) = lock(&self.world).adapters.get_mut(&adapter) {
            adapter.deaf = Some(heals);
        }
    }

    /// It hears again.
    pub fn hear(&self, adapter: usize) {
        if let Some(adapter) = lock(&self.world).adapters.get_mut(&adapter) {
            adapter.deaf = None;
        }
    }

    /// The adapter of this number is pulled out, with its devices.
    pub fn unplug(&self, adapter: usize) {
        lock(&self.world).unplug(adapter);
    }

    /// An adapter is plugged in, powered.
    pub fn plug(&self, number: usize, address: &str) {
        lock(&self.world).plug(number, address);
    }

    /// Somebody switches the adapter off or on: `bluetoothctl power off`, rfkill.
    pub fn power(&self, adapter: usize, on: bool) {
        lock(&self.world).power(adapter, on);
    }

    /// bluetoothd dies; returns when its name is gone from the bus. Links break, sessions and unpaired devices are gone.
    pub fn kill(&mut self) -> Result<()> {
        self.let_go();
        self.until(false)
    }

    /// bluetoothd runs (again); returns when its name is on the bus.
    pub fn revive(&mut self) -> Result<()> {
        let (resource, connection) =
            dbus_tokio::connection::from_channel::<SyncConnection>(bus::connect(self.address())?)?;
        let calls = self.world.clone();
        connection.start_receive(
            MatchRule::new().with_type(MessageType::MethodCall),
            Box::new(move |call, _| {
                lock(&calls).call(&call);
                true
            }),
        );
        let leaving = self.world.clone();
        let rule = MatchRule::new_signal("org.freedesktop.DBus", "NameOwnerChanged");
        let daemon = |method, argument: String| {
            Message::call_with_args(
                "org.freedesktop.DBus",
                "/org/freedesktop/DBus",
                "org.freedesktop.DBus",
                method,
                (argument,),
            )
        };
        let _ = connection.send(daemon("AddMatch", rule.match_str()));
        connection.start_receive(
            rule,
            Box::new(move |signal, _| {
                if let (Some(name), _, Some("")) = signal.get3::<&str, &str, &str>() {
                    lock(&leaving).client_left(name);
                }
                true
            }),
        );
        lock(&self.world).connection = Some(connection.clone());
        self.link = Some(self.runtime.spawn(resource).abort_handle());
        let name = Message::call_with_args(
            "org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus",
            "RequestName",
            ("org.bluez", 4_u32),
        );
        let _ = connection.send(name);
        drop(connection);
        self.until(true)
    }

    /// The bus itself dies, and bluetoothd with it.
    pub fn stop_bus(&mut self) {
        self.let_go();
        self.bus.down();
    }

    /// The bus and bluetoothd run again, at the same address.
    pub fn start_bus(&mut self) -> Result<()> {
        self.bus.up()?;
        self.revive()
    }

    // What the program under test did.

    /// How often this method was called, whatever came of it.
    pub fn calls(&self, method: &str) -> usize {
        lock(&self.world).calls.get(method).copied().unwrap_or(0)
    }

    /// The match rules of all connections but our own, as the bus counts them.
    pub fn match_rules(&self) -> Result<Vec<String>> {
        let ours = lock(&self.world).connection.as_ref().map(|c| c.unique_name().to_string());
        let all = self.bus.match_rules()?;
        Ok(all.into_iter().filter(|(name, _)| Some(name) != ours.as_ref()).flat_map(|(_, rules)| rules).collect())
    }

    /// Whether the adapter is discovering.
    pub fn discovering(&self, adapter: usize) -> bool {
        lock(&self.world).adapters.get(&adapter).is_some_and(|a| a.discovering)
    }

    /// Which adapter has a link to this device.
    pub fn connected(&self, address: &str) -> Option<usize> {
        self.adapter_where(address, |device| device.connected)
    }

    /// Which adapter has a bond with this device.
    pub fn paired(&self, address: &str) -> Option<usize> {
        self.adapter_where(address, |device| device.paired)
    }

    /// How many links there are.
    pub fn links(&self) -> usize {
        lock(&self.world).devices.values().filter(|device| device.connected).count()
    }

    fn adapter_where(&self, address: &str, fits: impl Fn(&Device) -> bool) -> Option<usize> {
        let (world, address) = (lock(&self.world), address.to_uppercase());
        world.devices.iter().find(|((_, a), device)| *a == address && fits(device)).map(|((number, _), _)| *number)
    }

    fn look<T>(&self, address: &str, uuid: &str, see: impl Fn(&Characteristic) -> T) -> T {
        let mut world = lock(&self.world);
        let found =
            world.peripherals.get_mut(&address.to_uppercase()).and_then(|p| p.find(&full(uuid)).map(|c| see(c)));
        found.unwrap_or_else(|| panic!("{address} has no characteristic {uuid}"))
    }

    fn peripheral(&self, address: &str, change: impl Fn(&mut Peripheral)) {
        if let Some(peripheral) = lock(&self.world).peripherals.get_mut(&address.to_uppercase()) {
            change(peripheral);
        }
    }

    fn each(&self, address: &str, act: impl Fn(&mut World, &(usize, String))) {
        let (mut world, address) = (lock(&self.world), address.to_uppercase());
        let keys: Vec<_> = world.devices.keys().filter(|(_, a)| *a == address).cloned().collect();
        for key in &keys {
            act(&mut world, key);
        }
    }

    /// Leaves the bus.
    fn let_go(&mut self) {
        lock(&self.world).die();
        self.link.take().iter().for_each(AbortHandle::abort);
    }

    /// Waits until the name is on the bus, or gone.
    fn until(&self, owned: bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.bus.owned("org.bluez").context("the private bus")? != owned {
            ensure!(Instant::now() < deadline, "org.bluez on the private bus is not {owned} after {PATIENCE:?}");
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.let_go();
        if let Some((end, thread)) = self.thread.take() {
            let _ = end.send(());
            let _ = thread.join();
        }
    }
}
