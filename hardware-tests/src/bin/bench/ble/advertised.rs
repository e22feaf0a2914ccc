//! Sensors that advertise, on the scripted org.bluez: latency of one at a time, and the cost of two hundred.

use std::time::{Duration, Instant};

use anyhow::Result;
use hardware_tests::{
    bluez::{Advert, Scripted},
    figure::{Figure, median, percentile},
    gateway::sensor_yaml,
    proc,
    sim::micros,
};

use crate::{
    Options,
    stage::{PATIENCE, Stage, load_average, mib, wait},
};

/// Sensors of the latency's figure; they take turns, one advertisement every 20 ms.
const STAMPED: usize = 20;
/// Sensors of the load's figure, spread over the second as real ones are.
const SENSORS: usize = 200;

fn address(number: usize) -> String {
    format!("A4:C1:38:00:{:02X}:{:02X}", number >> 8, number & 255)
}

fn devices(count: usize) -> impl Iterator<Item = (String, String)> {
    (0..count).map(|number| {
        let name = format!("sensor-{number:03}");
        let yaml = sensor_yaml(&name, &address(number));
        (name, yaml)
    })
}

/// From the stamp, taken right before the scripted org.bluez sends PropertiesChanged, to the subscriber.
pub fn latency(stage: &Stage, options: &Options) -> Result<()> {
    let blue = Scripted::start()?;
    let subscriber = stage.subscriber(true)?;
    let gateway = stage.gateway_on(blue.address(), devices(STAMPED))?;
    let stream = blue.every(Duration::from_millis(20), |round| {
        let sensor = usize::try_from(round).unwrap_or_default() % STAMPED;
        vec![Advert::of(&address(sensor)).manufacturer(0xFFFF, &micros().to_be_bytes())]
    });
    subscriber.wait("a reading of each sensor", PATIENCE, |tally| tally.devices.len() == STAMPED)?;
    let mut all = Vec::new();
    let before = load_average();
    for _ in 0..options.rounds {
        subscriber.mark();
        std::thread::sleep(Duration::from_secs(options.seconds));
        all.extend(subscriber.tally()?.latencies);
    }
    drop(stream);
    gateway.stop()?;
    #[allow(clippy::cast_precision_loss)]
    let millis = |all: &mut [u64], share| percentile(all, share) as f64 / 1e3;
    Figure::new("ble.latency", "ms from PropertiesChanged of the scripted org.bluez to the subscriber", "p99 < 5")
        .with("samples", all.len())
        .with("p50", millis(&mut all, 0.5))
        .with("p99", millis(&mut all, 0.99))
        .with("worst", millis(&mut all, 1.0))
        .with("loadBefore", before)
        .with("loadAfter", load_average())
        .print();
    Ok(())
}

/// 200 sensors at 1 Hz: every advertisement has new values, so each must come out as one message.
pub fn load(stage: &Stage, options: &Options) -> Result<()> {
    let blue = Scripted::start()?;
    let subscriber = stage.subscriber(false)?;
    let gateway = stage.gateway_on(blue.address(), devices(SENSORS))?;
    // One every 5 ms: each sensor once a second.
    let make = |round: u64| {
        let sensor = usize::try_from(round).unwrap_or_default() % SENSORS;
        vec![Advert::of(&address(sensor)).manufacturer(0xFFFF, &round.to_be_bytes())]
    };
    let stream = blue.every(Duration::from_millis(5), make);
    subscriber.wait("a reading of each sensor", PATIENCE, |tally| tally.devices.len() == SENSORS)?;
    drop(stream);
    let settled = || -> Result<()> {
        let mut last = (0, Instant::now());
        wait("the last messages", || {
            let now = subscriber.tally()?.messages;
            if now != last.0 {
                last = (now, Instant::now());
            }
            Ok(last.1.elapsed() > Duration::from_secs(1))
        })
    };
    settled()?;
    let (mut shares, mut told, mut messages, mut missing) = (Vec::new(), 0, 0, 0);
    let before = load_average();
    for _ in 0..options.rounds {
        subscriber.mark();
        let (start, used, heard) = (Instant::now(), proc::usage(gateway.pid())?, blue.told());
        let stream = blue.every(Duration::from_millis(5), make);
        std::thread::sleep(Duration::from_secs(options.seconds));
        drop(stream);
        let (took, used) = (start.elapsed(), proc::usage(gateway.pid())?.cpu.saturating_sub(used.cpu));
        settled()?;
        let tally = subscriber.tally()?;
        shares.push(100.0 * used.as_secs_f64() / took.as_secs_f64());
        told += blue.told() - heard;
        messages += tally.messages;
        missing += tally.missing;
    }
    let memory = proc::memory(gateway.pid())?;
    gateway.stop()?;
    Figure::new("ble.load", "percent of one core, 200 sensors at 1 Hz", "< 3, none lost")
        .with("gateway", median(shares.iter().copied()))
        .with("windows", shares)
        .with("advertisements", told)
        .with("messages", messages)
        .with("lost", i64::try_from(told)? - i64::try_from(messages)?)
        .with("missing", missing)
        .with("peakMiB", mib(memory.peak_kib))
        .with("ownMiB", mib(memory.anon_kib))
        .with("loadBefore", before)
        .with("loadAfter", load_average())
        .print();
    Ok(())
}
