//! Kubernetes: Devices and DeviceModels from an API server, and their status back. It computes no status and polls
//! nothing; the API server may be away for as long as it likes.

pub mod backoff;
pub mod client;
mod confirm;
pub mod counts;
pub mod failure;
pub mod kept;
pub mod list;
pub mod mirror;
pub mod object;
mod reflect;
pub mod source;
pub mod store;
pub mod trouble;
pub mod trust;
