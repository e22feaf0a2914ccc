//! Steady work over TCP: CPU, delivery, wake-ups, memory, latency.

use std::time::Duration;

use anyhow::Result;
use hardware_tests::figure::{Figure, median, percentile};

use crate::{
    Options,
    rig::{Load, Rig, Who, Window},
};

const W1: Load = Load { devices: 100, registers: 20, period_ms: 1000, qos: 0, state: false, stamped: false };
const W2X: Load = Load { registers: 100, period_ms: 100, ..W1 };
/// The shortest period: no program here keeps up with a million readings a second, so none of them sleeps.
const UNPACED: Load = Load { period_ms: 10, ..W2X };
const LATENCY: Load = Load { devices: 1, period_ms: 100, stamped: true, ..W1 };

/// W1 at QoS 0, at QoS 1, and with `state`.
pub fn w1(rig: &Rig, options: &Options) -> Result<()> {
    let (gateway, reference) = turns(rig, options, &W1)?;
    cpu("w1.qos0.cpu", "<= 1.5", &gateway, &reference).print();
    memory("w1.qos0.memory", "VmHWM <= 12", &gateway, &reference).print();
    let (gateway, reference) = turns(rig, options, &Load { qos: 1, ..W1 })?;
    cpu("w1.qos1.cpu", "<= 1.6 x reference", &gateway, &reference).print();
    memory("w1.qos1.memory", "VmHWM <= 12", &gateway, &reference).print();
    // The reference publishes no state: it stands beside as it was.
    let gateway = alone(rig, options, &Load { qos: 1, state: true, ..W1 })?;
    cpu("w1.qos1.state.cpu", "<= 3", &gateway, &reference).print();
    memory("w1.qos1.state.memory", "VmHWM <= 12", &gateway, &reference).print();
    Ok(())
}

/// W2x without and with `state`.
pub fn w2x(rig: &Rig, options: &Options) -> Result<()> {
    let (gateway, reference) = turns(rig, options, &W2X)?;
    cpu("w2x.cpu", "<= 0.5, all delivered", &gateway, &reference).print();
    memory("w2x.memory", "VmHWM < 32", &gateway, &reference).print();
    let gateway = alone(rig, options, &Load { state: true, ..W2X })?;
    cpu("w2x.state.cpu", "beside w2x.cpu", &gateway, &reference).print();
    memory("w2x.state.memory", "VmHWM < 32", &gateway, &reference).print();
    Ok(())
}

/// As fast as it goes.
pub fn unpaced(rig: &Rig, options: &Options) -> Result<()> {
    let (gateway, reference) = turns(rig, options, &UNPACED)?;
    let per_second = |windows: &[Window]| median(windows.iter().map(|window| 1e6 / window.cpu));
    #[allow(clippy::cast_precision_loss)]
    let counted = |windows: &[Window]| median(windows.iter().map(|w| w.readings as f64 / options.seconds as f64));
    Figure::new("unpaced", "readings per CPU second", ">= 2000000")
        .with("gateway", per_second(&gateway))
        .with("reference", per_second(&reference))
        .with("ratio", per_second(&gateway) / per_second(&reference))
        .with("gatewayCountedPerSecond", counted(&gateway))
        .with("referenceCountedPerSecond", counted(&reference))
        .with("gatewayMissing", gateway.iter().map(|window| window.missing).sum::<u64>())
        .print();
    Ok(())
}

/// From the answer on the wire to the subscriber.
pub fn latency(rig: &Rig, options: &Options) -> Result<()> {
    let (gateway, reference) = turns(rig, options, &LATENCY)?;
    let mut figure = Figure::new("latency", "ms from the answer on the wire to the subscriber", "p99 < 1");
    for (name, windows) in [("gateway", gateway), ("reference", reference)] {
        let mut all: Vec<u64> = windows.into_iter().flat_map(|window| window.latencies).collect();
        figure = figure.with(&format!("{name}Samples"), all.len());
        for (quantile, share) in [("P50", 0.5), ("P99", 0.99)] {
            #[allow(clippy::cast_precision_loss)]
            let millis = percentile(&mut all, share) as f64 / 1000.0;
            figure = figure.with(&format!("{name}{quantile}"), millis);
        }
    }
    figure.print();
    Ok(())
}

/// The windows of both programs, taken in turn.
fn turns(rig: &Rig, options: &Options, load: &Load) -> Result<(Vec<Window>, Vec<Window>)> {
    let devices = Rig::devices(load)?;
    let length = Duration::from_secs(options.seconds);
    let (mut gateway, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        for who in rig.contestants() {
            let window = rig.window(*who, load, &devices, length)?;
            if *who == Who::Gateway { gateway.push(window) } else { reference.push(window) }
        }
    }
    Ok((gateway, reference))
}

/// The windows of the gateway on a load that the reference does not do.
fn alone(rig: &Rig, options: &Options, load: &Load) -> Result<Vec<Window>> {
    if rig.gateway().is_none() {
        return Ok(Vec::new());
    }
    let devices = Rig::devices(load)?;
    let length = Duration::from_secs(options.seconds);
    (0..options.rounds).map(|_| rig.window(Who::Gateway, load, &devices, length)).collect()
}

fn cpu(name: &str, reach: &str, gateway: &[Window], reference: &[Window]) -> Figure {
    let of = |windows: &[Window], what: fn(&Window) -> f64| median(windows.iter().map(what));
    Figure::new(name, "CPU seconds per million readings", reach)
        .with("gateway", of(gateway, |w| w.cpu))
        .with("reference", of(reference, |w| w.cpu))
        .with("ratio", of(gateway, |w| w.cpu) / of(reference, |w| w.cpu))
        .with("gatewayWindows", gateway.iter().map(|w| w.cpu).collect::<Vec<_>>())
        .with("referenceWindows", reference.iter().map(|w| w.cpu).collect::<Vec<_>>())
        .with("gatewayDelivered", of(gateway, |w| w.delivered))
        .with("referenceDelivered", of(reference, |w| w.delivered))
        .with("gatewayMissing", gateway.iter().map(|w| w.missing).sum::<u64>())
        .with("gatewaySleeps", of(gateway, |w| w.sleeps))
        .with("referenceSleeps", of(reference, |w| w.sleeps))
}

fn memory(name: &str, reach: &str, gateway: &[Window], reference: &[Window]) -> Figure {
    #[allow(clippy::cast_precision_loss)]
    let mib = |windows: &[Window], what: fn(&Window) -> u64| median(windows.iter().map(|w| what(w) as f64 / 1024.0));
    Figure::new(name, "MiB", reach)
        .with("gatewayVmHwm", mib(gateway, |w| w.memory.peak_kib))
        .with("gatewayRssAnon", mib(gateway, |w| w.memory.anon_kib))
        .with("referenceVmHwm", mib(reference, |w| w.memory.peak_kib))
        .with("referenceRssAnon", mib(reference, |w| w.memory.anon_kib))
}
