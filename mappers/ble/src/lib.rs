//! Bluetooth LE behind the mapper contract: sensors that advertise, devices that connect.

#![forbid(unsafe_code)]

pub mod advert;
pub mod formats;
pub mod radio;
