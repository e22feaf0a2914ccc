//! Kubernetes: Devices and DeviceModels from an API server, and their status back. It computes no status and polls
//! nothing; the API server may be away for as long as it likes.

pub mod kept;
