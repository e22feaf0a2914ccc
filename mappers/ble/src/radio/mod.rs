//! The radio: what is in the air, and links to devices, from `BlueZ` over D-Bus.
//!
//! One [`Radio`] serves every device; it starts at its first use and needs a tokio runtime. Nothing here knows what an
//! advertisement means.

mod counts;
mod ear;
mod error;
mod link;
pub mod privacy;
mod who;

use std::sync::Arc;

pub use counts::Counts;
pub use ear::{Heard, QUEUE};
pub use error::{RadioError, RadioErrorKind};
pub use link::{Connection, Notified};
pub use who::{Characteristic, Connect, Pairing, Passkey, Spot, Who, WriteKind};

use crate::advert::Mac;
use ear::Ear;

/// A handle to the radio. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Radio(Arc<Core>);

#[derive(Debug, Default)]
struct Core {
    counters: counts::Counters,
}

impl Radio {
    /// The radio of this machine: `BlueZ` on the bus of `DBUS_SYSTEM_BUS_ADDRESS`, else on the system bus. Costs nothing
    /// until it is used.
    pub fn system() -> Self {
        Self(Arc::default())
    }

    /// Hears advertisements of `who`: from the adapter of that address alone, or from all. Adapters discover as long as
    /// a listener lives.
    pub fn listen(&self, who: Who, adapter: Option<Mac>) -> Listener {
        Listener { ear: Ear::new(who, adapter), _radio: self.clone() }
    }

    /// Connects, after waiting for the device to be heard and for a slot. May be dropped at any time: what was begun is
    /// then taken back.
    #[allow(clippy::unused_async)]
    pub async fn connect(&self, who: &Who, adapter: Option<Mac>, how: Connect) -> Result<Connection, RadioError> {
        let _ = (who, adapter, how);
        Err(RadioError::new(RadioErrorKind::NoRadio, "there is no radio yet"))
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.0.counters.now()
    }
}

/// Someone who hears advertisements.
#[derive(Debug)]
pub struct Listener {
    ear: Arc<Ear>,
    _radio: Radio,
}

impl Listener {
    /// The next advertisement. An error comes once when the radio is lost; afterwards this goes on by itself when it is
    /// back. Cancel-safe.
    pub async fn next(&mut self) -> Result<Heard, RadioError> {
        self.ear.next().await
    }
}
