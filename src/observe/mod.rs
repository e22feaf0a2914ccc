//! What people and machines see of the running bridge: pages over HTTP, metrics, the log. It changes nothing.

pub mod api;
pub mod health;
pub mod http;
pub mod log;
pub mod metrics;
pub mod pages;
