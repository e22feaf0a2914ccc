//! Fieldgate's custom resources: [`Device`] and [`DeviceModel`], group `fieldgate.dev`, version `v1alpha1`.
//!
//! Types only. This crate has no client and no runtime, and knows no protocol: what stands under a protocol's key
//! is opaque here, and its schema is composed in from the registered mappers. A generated schema carries no
//! `default` (the API server would store it, and a Device would silently override its model).

#![forbid(unsafe_code)]

mod compose;
mod device;
mod model;
mod status;

pub use compose::{Crds, Fragment, RESERVED, SCHEMA, compose, structural_schema};
pub use device::{Device, DeviceSpec, OnDrift, Property, Publish};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
pub use mapper_values::Duration;
pub use model::{DeviceModel, DeviceModelSpec, Sample};
pub use status::{DeviceStatus, Reported, condition};

/// The API group.
pub const GROUP: &str = "fieldgate.dev";
/// The API version.
pub const VERSION: &str = "v1alpha1";
/// The label that repeats a Device's `spec.nodeName`, for whoever can select by labels only.
pub const NODE_LABEL: &str = "fieldgate.dev/node";
/// The most properties that a device may have. A list without a bound would make validation rules too costly for
/// the API server.
pub const MAX_PROPERTIES: usize = 512;
