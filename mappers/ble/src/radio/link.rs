//! A link to one device.

use tokio::time::Instant;

use super::{Characteristic, RadioError, RadioErrorKind, Spot, WriteKind};
use crate::advert::Mac;

/// A value that a device sent by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notified {
    /// Of this characteristic.
    pub spot: Spot,
    /// Its value.
    pub value: Vec<u8>,
    /// When it came.
    pub at: Instant,
}

/// A link to one device. Dropping it ends the link.
#[derive(Debug)]
pub struct Connection {
    mac: Mac,
    adapter: Mac,
    characteristics: Vec<Characteristic>,
}

#[allow(clippy::unused_async)]
impl Connection {
    /// The address of the device, as it is at the moment.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// The adapter that holds the link.
    pub fn adapter(&self) -> Mac {
        self.adapter
    }

    /// What the device has.
    pub fn characteristics(&self) -> &[Characteristic] {
        &self.characteristics
    }

    /// Reads the whole value.
    pub async fn read(&self, spot: &Spot) -> Result<Vec<u8>, RadioError> {
        Err(RadioError::new(RadioErrorKind::Lost, spot.to_string()))
    }

    /// Writes.
    pub async fn write(&self, spot: &Spot, _value: &[u8], _kind: WriteKind) -> Result<(), RadioError> {
        Err(RadioError::new(RadioErrorKind::Lost, spot.to_string()))
    }

    /// Asks the device to notify, or to indicate where it cannot notify. Values come from [`Connection::next`].
    pub async fn subscribe(&self, spot: &Spot) -> Result<(), RadioError> {
        Err(RadioError::new(RadioErrorKind::Lost, spot.to_string()))
    }

    /// The next value that the device sends; an error when the link is lost, then always. Cancel-safe.
    pub async fn next(&mut self) -> Result<Notified, RadioError> {
        Err(RadioError::new(RadioErrorKind::Lost, self.mac.to_string()))
    }

    /// How many bytes one packet carries (ATT MTU).
    pub fn mtu(&self) -> u16 {
        23
    }

    /// The strength at which the device was last heard advertising, in dBm.
    pub fn rssi(&self) -> Option<i16> {
        None
    }
}
