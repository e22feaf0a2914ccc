//! Fieldgate: the device-protocol bridge for Kubernetes at the edge.
//!
//! Two paths run through this crate, and each step of them is a file.
//!
//! ```text
//! data      bus -> Reading -> filter -> outbox -> encode -> publish
//! control   source -> resolve -> validate -> diff -> apply -> bus
//!              ^                                              |
//!              +------------------ status <-------------------+
//! ```
//!
//! The data path runs without a cluster; the control path runs without a broker. Protocols are named in
//! [`registry`] alone.

#![forbid(unsafe_code)]

pub mod bus;
pub mod cli;
pub mod clock;
pub mod control;
pub mod daemon;
pub mod data;
pub mod keepsakes;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod model;
pub mod observe;
pub mod origin;
pub mod registry;
pub mod settings;
pub mod state;
