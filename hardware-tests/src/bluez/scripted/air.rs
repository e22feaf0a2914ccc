//! What is in the air around the scripted BlueZ: advertisements, and peripherals with their GATT. Data alone.

use std::collections::{BTreeMap, BTreeSet};

/// One advertisement, as one adapter hears it.
#[derive(Debug, Clone)]
pub struct Advert {
    pub(super) address: String,
    pub(super) random: bool,
    pub(super) adapter: usize,
    pub(super) rssi: i16,
    pub(super) tx_power: Option<i16>,
    pub(super) name: Option<String>,
    pub(super) manufacturer: BTreeMap<u16, Vec<u8>>,
    pub(super) services: BTreeMap<String, Vec<u8>>,
    pub(super) uuids: BTreeSet<String>,
}

impl Advert {
    /// From this address (`A4:C1:38:12:34:56`, public), heard by adapter 0 at -60 dBm, empty.
    pub fn of(address: &str) -> Self {
        Self {
            address: address.to_uppercase(),
            random: false,
            adapter: 0,
            rssi: -60,
            tx_power: None,
            name: None,
            manufacturer: BTreeMap::new(),
            services: BTreeMap::new(),
            uuids: BTreeSet::new(),
        }
    }

    /// The address is a random one.
    #[must_use]
    pub fn random(self) -> Self {
        Self { random: true, ..self }
    }

    /// Heard by the adapter of this number.
    #[must_use]
    pub fn on(self, adapter: usize) -> Self {
        Self { adapter, ..self }
    }

    /// Heard at this many dBm.
    #[must_use]
    pub fn rssi(self, rssi: i16) -> Self {
        Self { rssi, ..self }
    }

    /// Says that it was sent with this many dBm.
    #[must_use]
    pub fn tx_power(self, power: i16) -> Self {
        Self { tx_power: Some(power), ..self }
    }

    /// Says this local name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Carries this manufacturer data (company, without its two bytes).
    #[must_use]
    pub fn manufacturer(mut self, company: u16, data: &[u8]) -> Self {
        self.manufacturer.insert(company, data.to_vec());
        self
    }

    /// Carries this service data. The UUID is short (`fcd2`) or whole.
    #[must_use]
    pub fn service(mut self, uuid: &str, data: &[u8]) -> Self {
        self.services.insert(full(uuid), data.to_vec());
        self
    }

    /// Says that it offers this service.
    #[must_use]
    pub fn offers(mut self, uuid: &str) -> Self {
        self.uuids.insert(full(uuid));
        self
    }
}

/// What makes an adapter hear again that has gone deaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heals {
    /// Discovery stopped and started again, or a power cycle.
    Restart,
    /// Powered off and on again.
    PowerCycle,
    /// Nothing but [`Scripted::hear`](super::Scripted::hear).
    Never,
}

/// How a peripheral pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pairing {
    /// Not at all: `Pair` fails with `AuthenticationFailed`.
    Never,
    /// Without a question. No agent is needed.
    #[default]
    JustWorks,
    /// The agent must enter this passkey (`RequestPasskey`).
    Passkey(u32),
    /// The agent must confirm this number (`RequestConfirmation`).
    Numeric(u32),
}

/// What a peripheral does that is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Answers,
    /// Says nothing.
    Mute,
    /// Ends each link as soon as that is up.
    HangsUp,
}

/// A peripheral that can be connected.
#[derive(Debug, Clone)]
pub struct Peripheral {
    pub(super) address: String,
    pub(super) random: bool,
    pub(super) pairing: Pairing,
    pub(super) mtu: u16,
    /// By the UUID of their service, in the order given.
    pub(super) services: Vec<(String, Vec<Characteristic>)>,
    pub(super) in_range: bool,
    pub(super) manner: Manner,
}

impl Peripheral {
    /// In range under this public address, without a service; pairs by just works; MTU 247.
    pub fn new(address: &str) -> Self {
        let address = address.to_uppercase();
        let pairing = Pairing::JustWorks;
        let services = Vec::new();
        Self { address, random: false, pairing, mtu: 247, services, in_range: true, manner: Manner::Answers }
    }

    /// The address is a random one.
    #[must_use]
    pub fn random(self) -> Self {
        Self { random: true, ..self }
    }

    /// Pairs so.
    #[must_use]
    pub fn pairing(self, pairing: Pairing) -> Self {
        Self { pairing, ..self }
    }

    /// Agrees to this ATT MTU.
    #[must_use]
    pub fn mtu(self, mtu: u16) -> Self {
        Self { mtu, ..self }
    }

    /// Has this service. UUIDs are short (`180f`) or whole.
    #[must_use]
    pub fn service(mut self, uuid: &str, characteristics: impl IntoIterator<Item = Characteristic>) -> Self {
        self.services.push((full(uuid), characteristics.into_iter().collect()));
        self
    }

    /// The characteristic with this (whole) UUID; the first if several have it.
    pub(super) fn find(&mut self, uuid: &str) -> Option<&mut Characteristic> {
        self.services.iter_mut().flat_map(|(_, all)| all).find(|c| c.uuid == uuid)
    }
}

/// A characteristic of a peripheral.
#[derive(Debug, Clone)]
pub struct Characteristic {
    pub(super) uuid: String,
    pub(super) flags: Vec<&'static str>,
    pub(super) value: Vec<u8>,
    pub(super) secure: bool,
    /// What was written, oldest first, with the `type` that the client gave.
    pub(super) written: Vec<(Vec<u8>, String)>,
    /// The unique names of those who have notifications on.
    pub(super) sessions: BTreeSet<String>,
}

impl Characteristic {
    /// With this value, and no right to anything.
    pub fn new(uuid: &str, value: &[u8]) -> Self {
        let (flags, value) = (Vec::new(), value.to_vec());
        Self { uuid: full(uuid), flags, value, secure: false, written: Vec::new(), sessions: BTreeSet::new() }
    }

    /// May be read.
    #[must_use]
    pub fn read(self) -> Self {
        self.flag("read")
    }

    /// May be written with response.
    #[must_use]
    pub fn write(self) -> Self {
        self.flag("write")
    }

    /// May be written without response.
    #[must_use]
    pub fn command(self) -> Self {
        self.flag("write-without-response")
    }

    /// Notifies.
    #[must_use]
    pub fn notify(self) -> Self {
        self.flag("notify")
    }

    /// Indicates.
    #[must_use]
    pub fn indicate(self) -> Self {
        self.flag("indicate")
    }

    /// Only after pairing: anything else is answered `NotPermitted`, "Not paired".
    #[must_use]
    pub fn secure(self) -> Self {
        Self { secure: true, ..self }
    }

    fn flag(mut self, flag: &'static str) -> Self {
        self.flags.push(flag);
        self
    }

    pub(super) fn may(&self, flags: &[&str]) -> bool {
        self.flags.iter().any(|f| flags.contains(f))
    }
}

/// A UUID in full, lower case, as BlueZ writes it.
pub fn full(uuid: &str) -> String {
    let uuid = uuid.to_lowercase();
    match uuid.len() {
        4 => format!("0000{uuid}-0000-1000-8000-00805f9b34fb"),
        8 => format!("{uuid}-0000-1000-8000-00805f9b34fb"),
        _ => uuid,
    }
}
