//! A serial line with two dead units: what the others lose by it.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use hardware_tests::{
    figure::Figure,
    gateway::{self, Endpoint, Settings},
    rtu::Line,
    subscriber::Tally,
};

use crate::{Options, rig::Rig};

const UNITS: u8 = 10;
const SILENT: [u8; 2] = [4, 8];
const REGISTERS: u16 = 20;
/// From the first unit that falls silent to the second. Two in one round would cost that round a time-out each, whoever
/// schedules it: the next reading of the others then waits for two, not one.
const APART: Duration = Duration::from_secs(10);
/// How long a returning unit is waited for.
const RETURN: Duration = Duration::from_secs(120);

/// Two runs of the same length: ten live units; then one of them falls silent at its start and another a little later,
/// and both come back at its end.
pub fn measure(rig: &Rig, options: &Options) -> Result<()> {
    let Some(program) = rig.gateway() else { return Ok(()) };
    let length = Duration::from_secs(if options.full { 300 } else { 60 });
    let line = Line::open(UNITS, 9600)?;
    let files = (1..=UNITS).map(|unit| {
        let name = format!("unit-{unit:02}");
        let yaml = gateway::device_yaml(&name, &Endpoint::Rtu(&line.path, unit), REGISTERS, 1000);
        (name, yaml)
    });
    let folder = gateway::write_devices(rig.scratch.path(), files)?;
    let subscriber = rig.subscriber(false)?;
    let settings = Settings { qos: 1, state: true };
    let running = gateway::start(program, rig.scratch.path(), &folder, rig.broker.port, settings)?;
    subscriber
        .wait("a reading of each unit", Duration::from_secs(30), |tally| tally.devices.len() == usize::from(UNITS))
        .with_context(|| format!("the gateway's log ends:\n{}", rig.log()))?;
    thread::sleep(Duration::from_secs(5));

    let run = |silent: &[u8]| {
        subscriber.mark();
        let start = Instant::now();
        for unit in silent {
            line.silence(*unit, true);
            thread::sleep(APART);
        }
        thread::sleep(length.saturating_sub(start.elapsed()));
        subscriber.tally()
    };
    let all_live = run(&[])?;
    let hurt = run(&SILENT)?;
    let returned = Instant::now();
    for unit in SILENT {
        line.silence(unit, false);
    }
    subscriber.mark();
    subscriber.wait("the two units again", RETURN, |tally| SILENT.iter().all(|unit| readings(tally, *unit) > 0))?;
    let back = returned.elapsed();
    running.stop()?;

    let healthy = |tally: &Tally| (1..=UNITS).filter(|u| !SILENT.contains(u)).map(|u| readings(tally, u)).sum::<u64>();
    let gap = |tally: &Tally| {
        let healthy = |topic: &[u8]| !SILENT.iter().any(|unit| topic == topic_of(*unit));
        tally.devices.iter().filter(|(topic, _)| healthy(topic)).map(|(_, seen)| seen.longest_gap).max()
    };
    ensure!(healthy(&all_live) > 0, "no reading in the run of ten live units");
    #[allow(clippy::cast_precision_loss)]
    let share = |tally: &Tally, of: u64| healthy(tally) as f64 / of as f64;
    let ideal = (u64::from(UNITS) - 2) * u64::from(REGISTERS) * length.as_secs();
    Figure::new("rtu.healthy", "readings of the eight healthy units / the same with ten live units", ">= 0.95")
        .with("gateway", share(&hurt, healthy(&all_live)))
        .with("ofAllPeriods", share(&hurt, ideal))
        .with("ofAllPeriodsTenLive", share(&all_live, ideal))
        .with("seconds", length.as_secs())
        .print();
    Figure::new("rtu.gap", "s, the longest without a reading of a healthy unit", "<= 1.3")
        .with("gateway", gap(&hurt).unwrap_or_default().as_secs_f64())
        .with("gatewayTenLive", gap(&all_live).unwrap_or_default().as_secs_f64())
        .print();
    Figure::new("rtu.return", "s until both returned units are read", "<= 60")
        .with("gateway", back.as_secs_f64())
        .print();
    Ok(())
}

fn topic_of(unit: u8) -> Vec<u8> {
    format!("fieldgate/device/default/unit-{unit:02}/readings").into_bytes()
}

fn readings(tally: &Tally, unit: u8) -> u64 {
    tally.devices.get(&topic_of(unit)).map_or(0, |seen| seen.readings)
}
