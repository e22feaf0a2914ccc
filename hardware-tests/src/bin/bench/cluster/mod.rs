//! The figures of a gateway that is fed by a Kubernetes API server. The judges are the server's audit log, its metrics, the
//! kernel's accounts of the processes, the simulated devices and a subscriber.

mod api;
mod apply;
mod audit;
mod desired;
mod fleet;
mod node;
mod objects;
mod observer;
mod offline;
mod simulated;
mod stage;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use hardware_tests::figure::{Figure, percentile};

use crate::{Options, size};

/// The parts.
pub const PARTS: [&str; 6] = ["kube-apply", "kube-desired", "kube-node", "kube-fleet", "kube-offline", "kube-size"];

/// Measures these parts. Without a program, one is built as it is shipped: every mapper and Kubernetes, no demo.
pub fn measure(parts: &[&str], options: &Options) -> Result<()> {
    let program = match &options.gateway {
        Some(program) => program.clone(),
        None => {
            size::build(&["--no-default-features", "--features", "ble,modbus,serial,virtual,kubernetes"], "kubernetes")?
        }
    };
    if parts.contains(&"kube-size") {
        size(&program)?;
    }
    let parts: Vec<&&str> = parts.iter().filter(|part| **part != "kube-size").collect();
    if parts.is_empty() {
        return Ok(());
    }
    let mut stage = stage::Stage::start(&program)?;
    for part in parts {
        match *part {
            "kube-apply" => apply::measure(&stage, options),
            "kube-desired" => desired::measure(&stage, options),
            "kube-node" => node::measure(&stage, options),
            "kube-fleet" => fleet::measure(&mut stage, options),
            _ => offline::measure(&stage, options),
        }
        .with_context(|| format!("{part} could not be measured"))?;
    }
    Ok(())
}

fn size(program: &Path) -> Result<()> {
    #[allow(clippy::cast_precision_loss)]
    let megabytes = std::fs::metadata(program)?.len() as f64 / 1e6;
    Figure::new("kube.size", "MB of the program: every mapper and Kubernetes, no demo, if built here", "<= 9")
        .with("gateway", megabytes)
        .print();
    Ok(())
}

/// A percentile in milliseconds.
fn millis(times: &mut [Duration], share: f64) -> f64 {
    let mut micros: Vec<u64> = times.iter().map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)).collect();
    #[allow(clippy::cast_precision_loss)]
    let millis = percentile(&mut micros, share) as f64 / 1e3;
    millis
}

#[allow(clippy::cast_precision_loss)]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
