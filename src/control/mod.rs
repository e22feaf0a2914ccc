//! The control path: source -> resolve -> validate -> diff -> apply, and status back. It runs without a broker.

pub mod apply;
pub mod carry;
pub mod catalog;
pub mod check;
pub mod conflicts;
pub mod crd;
pub mod desired;
pub mod diff;
pub mod document;
pub mod files;
pub mod fix;
pub mod flap;
pub mod heads;
pub mod held;
pub mod issue;
pub mod judge;
pub mod keeper;
pub mod label;
pub mod leave;
pub mod pace;
pub mod report;
pub mod resolve;
pub mod schema;
pub mod shared;
pub mod sink;
pub mod source;
pub mod status;
#[cfg(test)]
mod testing;
pub mod touched;
pub mod validate;
pub mod watch;
pub mod words;
pub mod yaml;
mod yaml11;
