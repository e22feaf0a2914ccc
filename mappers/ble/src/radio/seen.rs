//! The table of devices that BlueZ knows, and what of a signal is an advertisement. Pure; time is an argument.
//!
//! An advertisement carries what was received with it: RSSI, manufacturer data and service data of that signal alone.
//! BlueZ asked for every advertisement (`DuplicateData`) clears what the one before said and sends all of the new one in
//! one signal. From the table come only the device's name, services, kind of address and stated power, which BlueZ
//! sends when they change. BlueZ's stored readings are never taken for new ones.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Who, best,
    facts::{DeviceFacts, Hci, Place},
    privacy,
};
use crate::advert::{Advert, Mac};

/// How many devices are remembered. `BlueZ` forgets after 30 s what it no longer hears.
pub const SEEN: usize = 4096;

/// Within this time the same content from another adapter is the same advertisement.
const ECHO: Duration = Duration::from_millis(500);

/// Who was heard within this time is in the air.
pub const IN_THE_AIR: Duration = Duration::from_secs(30);

/// How long a bonded device that is not heard is left alone after it was called: some advertise only to those whom they
/// know, which is not told, but while one is called that is away the adapter hears nothing.
pub const UNHEARD: Duration = Duration::from_secs(600);

/// The devices.
#[derive(Debug, Default)]
pub struct Seen {
    devices: HashMap<Place, Device>,
    forgotten: u64,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // BlueZ's own properties
struct Device {
    mac: Mac,
    random: bool,
    name: Option<String>,
    services: Vec<Uuid>,
    tx_power: Option<i16>,
    rssi: Option<i16>,
    connected: bool,
    resolved: bool,
    paired: bool,
    heard: Option<Instant>,
    /// When it was last called, if it was neither heard nor linked since.
    called: Option<Instant>,
    touched: Instant,
    /// When the last one that was no echo came, and what it held.
    told: Option<(Instant, u64)>,
}

/// An advertisement, and whether another adapter heard the same one just before.
#[derive(Debug, PartialEq, Eq)]
pub struct Merged {
    pub advert: Advert,
    pub echo: bool,
}

/// What is known of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub mac: Mac,
    pub rssi: Option<i16>,
    pub connected: bool,
    pub resolved: bool,
    pub paired: bool,
}

impl Seen {
    /// Takes what a signal says. `added`: it introduces the device, and then only RSSI proves that it was heard.
    pub fn take(&mut self, place: Place, facts: DeviceFacts, added: bool, now: Instant) -> Option<Merged> {
        if !self.devices.contains_key(&place) && self.devices.len() >= SEEN {
            self.forget_a_quarter();
        }
        let device = self.devices.entry(place).or_insert_with(|| Device::new(place.mac, now));
        device.learn(&facts, now);
        let heard = facts.rssi.is_some() || !added && (facts.manufacturer.is_some() || facts.service_data.is_some());
        if !heard {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (&facts.manufacturer, &facts.service_data).hash(&mut hasher);
        let content = hasher.finish();
        (device.heard, device.called) = (Some(now), None);
        let advert = Advert {
            mac: device.mac,
            random: device.random,
            rssi: facts.rssi,
            tx_power: device.tx_power,
            name: device.name.clone(),
            services: device.services.clone(),
            manufacturer: facts.manufacturer.unwrap_or_default(),
            service_data: facts.service_data.unwrap_or_default(),
        };
        let echo = self.is_echo(place, content, now);
        if let Some(device) = self.devices.get_mut(&place).filter(|_| !echo) {
            device.told = Some((now, content));
        }
        Some(Merged { advert, echo })
    }

    /// BlueZ forgot it.
    pub fn remove(&mut self, place: Place) {
        self.devices.remove(&place);
    }

    /// An adapter is gone, and all that it knew.
    pub fn remove_adapter(&mut self, hci: Hci) {
        self.devices.retain(|place, _| place.hci != hci);
    }

    /// BlueZ is gone.
    pub fn clear(&mut self) {
        self.devices = HashMap::new();
    }

    /// The devices that have a link on this adapter.
    pub fn connected(&self, hci: Hci) -> impl Iterator<Item = Place> {
        self.devices.iter().filter(move |(place, device)| place.hci == hci && device.connected).map(|(place, _)| *place)
    }

    /// Where devices are known.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.devices.keys().copied()
    }

    /// What is known of it.
    pub fn known(&self, place: Place) -> Option<Known> {
        let device = self.devices.get(&place)?;
        let Device { mac, rssi, connected, resolved, paired, .. } = *device;
        Some(Known { mac, rssi, connected, resolved, paired })
    }

    /// Those of this device that are in the air, connected or bonded; of several on one adapter, as after a change of a
    /// private address, the one that is connected, else the one heard last.
    pub fn candidates(&self, who: &Who, now: Instant) -> Vec<best::Candidate> {
        let mut found = HashMap::new();
        for (place, device) in &self.devices {
            if !device.is_reachable(now) || !device.is(who, place.mac) {
                continue;
            }
            let its = (device.connected, device.heard, *place);
            let one = found.entry(place.hci).or_insert((its, device));
            if its > one.0 {
                *one = (its, device);
            }
        }
        let candidate = |((_, _, place), device): ((bool, Option<Instant>, Place), &Device)| best::Candidate {
            place,
            rssi: device.rssi.filter(|_| device.is_in_the_air(now)),
            bonded: device.paired,
            free: true,
        };
        found.into_values().map(candidate).collect()
    }

    /// It is called. Unheard, a bonded device is not called again for a while.
    pub fn call(&mut self, place: Place, now: Instant) {
        if let Some(device) = self.devices.get_mut(&place) {
            device.called = Some(now);
        }
    }

    /// How many were forgotten because the table was full.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn is_echo(&self, place: Place, content: u64, now: Instant) -> bool {
        // Adapters are numbered from 0 and few.
        (0..MOST_ADAPTERS).map(Hci).filter(|hci| *hci != place.hci).any(|hci| {
            let other = self.devices.get(&Place { hci, ..place });
            let told = other.and_then(|other| other.told);
            told.is_some_and(|(at, told)| told == content && now.duration_since(at) < ECHO)
        })
    }

    fn forget_a_quarter(&mut self) {
        let mut times: Vec<Instant> = self.devices.values().map(|device| device.touched).collect();
        let (_, limit, _) = times.select_nth_unstable(SEEN / 4);
        let limit = *limit;
        let before = self.devices.len();
        self.devices.retain(|_, device| device.touched > limit || device.connected);
        self.forgotten += u64::try_from(before - self.devices.len()).unwrap_or_default();
    }
}

/// Adapters beyond this number have no echoes.
const MOST_ADAPTERS: u16 = 4;

impl Device {
    fn new(mac: Mac, now: Instant) -> Self {
        Self {
            mac,
            random: false,
            name: None,
            services: Vec::new(),
            tx_power: None,
            rssi: None,
            connected: false,
            resolved: false,
            paired: false,
            heard: None,
            called: None,
            touched: now,
            told: None,
        }
    }

    fn learn(&mut self, facts: &DeviceFacts, now: Instant) {
        self.touched = now;
        self.mac = facts.address.unwrap_or(self.mac);
        self.random = facts.random.unwrap_or(self.random);
        self.name = facts.name.clone().or(self.name.take());
        if let Some(services) = &facts.services {
            self.services.clone_from(services);
        }
        self.tx_power = facts.tx_power.or(self.tx_power);
        self.rssi = facts.rssi.or(self.rssi);
        self.connected = facts.connected.unwrap_or(self.connected);
        self.called = self.called.filter(|_| !self.connected);
        self.resolved = facts.resolved.unwrap_or(self.resolved);
        self.paired = facts.paired.unwrap_or(self.paired);
    }

    fn is_in_the_air(&self, now: Instant) -> bool {
        self.heard.is_some_and(|at| now.duration_since(at) <= IN_THE_AIR)
    }

    fn is_reachable(&self, now: Instant) -> bool {
        let unheard = self.paired && self.called.is_none_or(|at| now.duration_since(at) >= UNHEARD);
        self.is_in_the_air(now) || self.connected || unheard
    }

    fn is(&self, who: &Who, first: Mac) -> bool {
        match who {
            Who::Mac(mac) => *mac == self.mac,
            Who::Name(name) => self.name.as_ref() == Some(name),
            Who::Irk(key) => (self.random || self.mac != first) && privacy::resolves(key, first),
            Who::Everyone => false,
        }
    }
}

#[cfg(test)]
#[path = "seen_tests.rs"]
mod tests;
