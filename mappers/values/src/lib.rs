//! What every protocol decodes with.
//!
//! [`codec`] turns bytes into raw [`mapper_api::Value`]s and back, by type and order; [`Shape`] turns raw values into
//! the values people see and back, by scale, offset, labels and the raw values that mean "none". [`Place`] and [`Bits`] say
//! where a value stands in a record. All are pure; none knows a protocol. [`Duration`] is a length of time as YAML writes it.

#![forbid(unsafe_code)]

mod bits;
pub mod codec;
mod date_time;
mod duration;
mod place;
mod sentinel;
mod shape;

pub use bits::{BITS, Bits};
pub use date_time::SIZES as DATE_TIME_SIZES;
pub use duration::Duration;
pub use place::Place;
pub use sentinel::MOST_SENTINELS;
pub use shape::{Shape, ShapeError};
