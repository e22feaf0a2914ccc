//! The radio: what is in the air, and links to devices, from `BlueZ` over D-Bus.
//!
//! One [`Radio`] serves every device; it starts at its first use and needs a tokio runtime. Nothing here knows what an
//! advertisement means.
//!
//! Two connections to D-Bus, both by libdbus. **btleplug** (`session`) connects, finds services, reads, writes and
//! subscribes. Its panics and left match rules (12 of 24 connects on a shared runtime) are rare on a runtime of its own: two
//! in 2000 links, 20 at a time, on the scripted BlueZ, none in 72 on a real one; what is left goes when the session is
//! replaced. **The radio's own** connection (`bus`) does what btleplug cannot: advertisements without a
//! call for each and of Bluetooth LE alone, what devices send by themselves, pairing, the end of a link, adapters and bluetoothd that come, go and hang.
//!
//! Scanning is active. `BlueZ`'s passive scanning (`AdvertisementMonitor1`) wants a pattern of bytes for each kind of
//! device and reports that one came or left: it cannot hear everyone, and is not used.
//!
//! **Links are BlueZ's and outlive this process**, and so does a connect that is pending: BlueZ watches no client for
//! them. What is dropped while the runtime lives is ended; what is not, the next start takes over if that device is still
//! to be connected to. A link to any other device is left alone: it cannot be told from another program's. It counts where
//! room is short, and while it stands its adapter is not switched off. `bluetoothctl disconnect` ends it.

mod adapter;
mod agent;
mod best;
mod bus;
mod connect;
mod core;
mod counts;
mod ear;
mod error;
mod facts;
mod hub;
mod link;
pub mod privacy;
mod recycle;
mod refusal;
mod seen;
mod session;
mod sessions;
mod settings;
mod slots;
mod supervise;
mod taps;
mod watchdog;
mod who;

use std::sync::Arc;

pub use counts::Counts;
pub use ear::{Heard, QUEUE};
pub use error::{RadioError, RadioErrorKind};
pub use link::{Connection, Notified};
pub use recycle::LINKS;
pub use seen::{IN_THE_AIR, SEEN};
pub use settings::Settings;
pub use who::{Characteristic, Connect, Limits, Pairing, Passkey, Phase, Spot, Who, WriteKind};

use self::core::{Core, User};
use crate::advert::Mac;
use ear::Ear;

/// A handle to the radio. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Radio(Arc<Core>);

impl Radio {
    /// The radio of this machine: BlueZ on the bus of `DBUS_SYSTEM_BUS_ADDRESS`, else on the system bus. Costs nothing
    /// until it is used.
    pub fn system() -> Self {
        Self::with(Settings::default())
    }

    /// The same with other times and numbers.
    pub fn with(settings: Settings) -> Self {
        Self(Core::new(settings))
    }

    /// Hears advertisements of `who`: from the adapter of that address alone, or from all. Adapters discover as long as
    /// a listener lives.
    pub fn listen(&self, who: Who, adapter: Option<Mac>) -> Listener {
        Listener::new(&self.0, who, adapter)
    }

    /// Connects, after waiting for the device to be heard and for a slot. May be dropped at any time: what was begun is
    /// then taken back.
    pub async fn connect(&self, who: &Who, adapter: Option<Mac>, how: Connect) -> Result<Connection, RadioError> {
        connect::connect(&self.0, who, adapter, how).await
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        Counts { forgotten: self.0.forgotten(), panics: session::panics(), ..self.0.counters.now() }
    }
}

/// Someone who hears advertisements.
#[derive(Debug)]
pub struct Listener {
    ear: Arc<Ear>,
    user: User,
}

impl Listener {
    fn new(core: &Arc<Core>, who: Who, adapter: Option<Mac>) -> Self {
        let (ear, user) = (Ear::new(who, adapter), core.user());
        core.add_ear(&ear);
        Self { ear, user }
    }

    /// Why nothing can be heard at the moment, if that is so; said once, as by [`Listener::next`].
    pub fn trouble(&self) -> Option<RadioError> {
        self.ear.trouble()
    }

    /// The next advertisement. An error comes once when the radio is lost; afterwards this goes on by itself when it is
    /// back. Cancel-safe.
    pub async fn next(&mut self) -> Result<Heard, RadioError> {
        self.ear.next().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.user.0.remove_ear(&self.ear);
    }
}
