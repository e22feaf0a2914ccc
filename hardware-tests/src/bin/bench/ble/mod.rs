//! The figures of Bluetooth LE: on a scripted org.bluez where the radio must not be the limit, on a real BlueZ in a virtual
//! machine where its own behaviour counts. The judges are a subscriber, the kernel's accounts of the gateway's process, and
//! the bus's count of match rules.

mod advertised;
mod churn;
mod reconnect;

use anyhow::{Context, Result};

use crate::{Options, size, stage::Stage};

/// The parts.
pub const PARTS: [&str; 4] = ["ble-latency", "ble-load", "ble-reconnect", "ble-churn"];

/// Measures these parts. Without a program, one is built with Bluetooth alone.
pub fn measure(parts: &[&str], options: &Options) -> Result<()> {
    let program = match &options.gateway {
        Some(program) => program.clone(),
        None => size::build(&["--no-default-features", "--features", "ble"], "bluetooth")?,
    };
    for part in parts {
        let stage = Stage::new(&program)?;
        match *part {
            "ble-latency" => advertised::latency(&stage, options),
            "ble-load" => advertised::load(&stage, options),
            "ble-reconnect" => reconnect::measure(&stage, options),
            _ => churn::measure(&stage, options),
        }
        .with_context(|| format!("{part} could not be measured; the gateway's log ends:\n{}", stage.log()))?;
    }
    Ok(())
}
