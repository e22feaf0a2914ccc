//! The contract between Fieldgate's core and a protocol mapper.
//!
//! A mapper author implements two traits: [`Protocol`] (pure: what YAML may say, which requests a poll needs, what
//! an answer means) and [`Bus`] (the only I/O: one request and its answer). The core holds the object-safe face
//! ([`Mapper`], [`BoundDevice`], [`DynBus`]), which a blanket implementation gives to every `Protocol`.
//!
//! What a mapper must *not* do: timing, retry, back-off, filtering, buffering, status, telemetry, scaling, range
//! checks. Those belong to the core, so that no author can forget them. This crate knows no protocol, no
//! Kubernetes, no MQTT and no async runtime.
//!
//! The words: a *bus* is what cannot be shared (a serial line, a connection to a gateway, a radio); an *exchange*
//! is one request and its answer; a *sequence* is several exchanges that nobody may interrupt; a *point* is one
//! property as the mapper sees it.

#![forbid(unsafe_code)]

mod bus;
mod erased;
mod error;
mod point;
mod probe;
mod protocol;
mod scan;
mod schema;
mod secret;
mod value;

pub use bus::{Bus, BusKey, Cost, Sequence};
pub use erased::{BoundDevice, BoxFuture, DynAnswer, DynBus, DynFrame, DynLearnt, DynRequest, Mapper};
pub use error::{At, BindError, Error, ErrorKind, Refusal, Result};
pub use point::{Access, ByteOrder, DataType, Point, PointId};
pub use probe::{Probing, Step};
pub use protocol::{Capability, Decoded, Host, Protocol};
pub use scan::{Discovery, Found};
pub use schema::schema_of;
pub use secret::{Secret, SecretRef};
pub use serde_json::Value as Json;
pub use value::Value;
