//! BlueZ for tests on machines without Bluetooth: a private D-Bus, and on it a scripted org.bluez that fails on demand.

pub mod bus;
pub mod scripted;

pub use scripted::{Advert, Characteristic, Heals, Pairing, Peripheral, Scripted};
