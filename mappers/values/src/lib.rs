//! What every protocol decodes with.
//!
//! [`codec`] turns bytes into raw [`mapper_api::Value`]s and back, by type and order; [`Shape`] turns raw values into
//! the values people see and back, by scale, offset and labels. Both are pure; neither knows a protocol. [`Duration`] is a length of time as
//! YAML writes it.

#![forbid(unsafe_code)]

pub mod codec;
mod duration;
mod shape;

pub use duration::Duration;
pub use shape::{Shape, ShapeError};
