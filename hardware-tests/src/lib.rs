//! What end-to-end tests and the benchmark share: a broker, simulated devices, a subscriber that counts, and what the
//! kernel knows about a process. Nothing here knows the gateway's code: it is a program among others.

#![forbid(unsafe_code)]

pub mod bank;
pub mod bluez;
pub mod broker;
pub mod child;
pub mod cluster;
pub mod figure;
pub mod gateway;
pub mod proc;
pub mod pty;
pub mod rtu;
pub mod serial;
pub mod sim;
pub mod subscriber;
