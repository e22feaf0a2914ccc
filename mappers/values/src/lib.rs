//! What every protocol decodes with.
//!
//! [`codec`] turns bytes into raw [`mapper_api::Value`]s and back, by type and order; [`Shape`] turns raw values into
//! the values people see and back, by scale, offset and labels. Both are pure; neither knows a protocol.

#![forbid(unsafe_code)]

pub mod codec;
mod shape;

pub use shape::{Shape, ShapeError};
