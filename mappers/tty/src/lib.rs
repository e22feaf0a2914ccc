#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod appears;
mod echo;
mod holder;
mod open;
mod port;
mod rfc2217;
mod settings;
mod sysfs;
mod system;
mod target;
mod trouble;
mod tty;

pub use appears::{Watch, appears};
pub use holder::Holder;
pub use open::open;
pub use port::Port;
pub use settings::{Flow, Parity, Rs485, Settings};
pub use sysfs::{Listed, Usb};
pub use system::System;
pub use target::{Target, UsbId, host_port};

/// The serial ports of this machine: [`System::list`].
pub fn list() -> Vec<Listed> {
    System::default().list()
}
