//! Gives the crate the date of its build, the least date that a running clock can show. `SOURCE_DATE_EPOCH` fixes it for
//! builds that must come out the same twice.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()).to_string();
    let built = std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| now());
    println!("cargo::rustc-env=FIELDGATE_BUILT={built}");
}
