//! Serial devices behind the mapper contract: one grammar of frames, checks and fields, said in YAML, and the languages of
//! meters and GPS receivers.

#![forbid(unsafe_code)]

pub mod check;
pub mod config;
pub mod frame;
pub mod language;
pub mod message;
pub mod octets;
mod template;
