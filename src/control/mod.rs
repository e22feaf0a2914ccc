//! The control path: source -> resolve -> validate -> diff -> apply, and status back. It runs without a broker.

pub mod yaml;
mod yaml11;
