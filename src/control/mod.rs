//! The control path: source -> resolve -> validate -> diff -> apply, and status back. It runs without a broker.

pub mod desired;
pub mod diff;
pub mod keeper;
pub mod status;
