//! BlueZ for tests on machines without Bluetooth: a real one in a virtual machine, and a scripted one that fails on demand.

pub mod bus;
pub mod scripted;
pub mod vm;

pub use self::scripted::{Advert, Characteristic, Heals, Pairing, Peripheral, Scripted};
pub use self::vm::Vm;
