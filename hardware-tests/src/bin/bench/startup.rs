//! From exec to readings at the subscriber.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hardware_tests::figure::{Figure, median};

use crate::{
    Options,
    rig::{Load, Rig, Who},
};

const LOAD: Load = Load { devices: 100, registers: 20, period_ms: 1000, qos: 1, state: true, stamped: false };

/// Prints both figures, of settings as by default.
pub fn measure(rig: &Rig, options: &Options) -> Result<()> {
    let devices = Rig::devices(&LOAD)?;
    let mut times = [(Who::Gateway, Vec::new()), (Who::Reference, Vec::new())];
    for _ in 0..options.rounds {
        for (who, seen) in times.iter_mut().filter(|(who, _)| rig.contestants().contains(who)) {
            let subscriber = rig.subscriber(false)?;
            let start = Instant::now();
            let running = rig.start(*who, &LOAD, &devices)?;
            subscriber
                .wait("a reading of each device", Duration::from_secs(20), |tally| tally.devices.len() == LOAD.devices)
                .with_context(|| format!("{who:?}; the gateway's log ends:\n{}", rig.log()))?;
            let tally = subscriber.tally()?;
            running.stop()?;
            let since = || tally.devices.values().map(|device| (device.first - start).as_secs_f64());
            seen.push((since().fold(f64::INFINITY, f64::min), since().fold(0.0, f64::max)));
        }
    }
    let [(_, gateway), (_, reference)] = times;
    Figure::new("startup.first", "s from exec to the first reading", "< 0.3")
        .with("gateway", median(gateway.iter().map(|(first, _)| *first)))
        .with("reference", median(reference.iter().map(|(first, _)| *first)))
        .print();
    Figure::new("startup.all", "s from exec to one reading of each of 100 devices", "< 0.5")
        .with("gateway", median(gateway.iter().map(|(_, all)| *all)))
        .with("reference", median(reference.iter().map(|(_, all)| *all)))
        .print();
    Ok(())
}
