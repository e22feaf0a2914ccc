//! Lines that are full of frames: each must come out as one message. On one of them the gateway takes turns with a C program
//! that does the least that does the same.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Result;
use hardware_tests::{
    child::Running,
    figure::{Figure, median},
    proc::{self, Memory},
    serial::{Content, FRAME, Sender},
    subscriber::Subscriber,
};

use super::{devices, line};
use crate::{
    Options,
    stage::{PATIENCE, Stage, load_average, mib, wait},
    yardstick,
};

/// Lines at once.
const PORTS: usize = 16;

/// What one program did in all its windows.
#[derive(Default)]
struct Tally {
    /// Percent of one core in each window.
    shares: Vec<f64>,
    /// Frames that were sent.
    frames: u64,
    /// Frames that found the line's buffer full.
    refused: u64,
    messages: u64,
    /// Sequence numbers that never came.
    missing: u64,
    memory: Option<Memory>,
}

/// One line at the pace of 115,200 baud.
pub fn saturated(stage: &Stage, options: &Options) -> Result<()> {
    let program = yardstick::build(stage.scratch.path(), "reference-serial", &["-lmosquitto"])?;
    let senders = plug(stage, 1, 115_200)?;
    let (mut gateway, mut reference, before) = (Tally::default(), Tally::default(), load_average());
    for _ in 0..options.rounds {
        let running = stage.gateway(devices(stage, 1, 115_200), None)?;
        window(stage, options, &senders, running, &mut gateway)?;
        let mut command = Command::new(&program);
        command.arg(stage.port().to_string()).arg(line(stage, 0)).stdin(Stdio::null());
        window(stage, options, &senders, Running::spawn(&mut command)?, &mut reference)?;
    }
    let share = median(gateway.shares.iter().copied());
    let of_reference = median(reference.shares.iter().copied());
    let unit = "percent of one core, a line of 115,200 baud full of 20-byte frames";
    figure(Figure::new("serial.saturated", unit, "< 2, none lost"), &gateway)?
        .with("gateway", share)
        .with("reference", of_reference)
        .with("ratio", share / of_reference)
        .with("referenceWindows", reference.shares)
        .with("loadBefore", before)
        .with("loadAfter", load_average())
        .print();
    Ok(())
}

/// As many lines as a large gateway has, at the same pace each as a line alone, and at 9600 baud.
pub fn ports(stage: &Stage, options: &Options) -> Result<()> {
    for (name, baud) in [("serial.ports", 9600), ("serial.ports.fast", 115_200)] {
        let senders = plug(stage, PORTS, baud)?;
        let (mut tally, before) = (Tally::default(), load_average());
        for _ in 0..options.rounds {
            let running = stage.gateway(devices(stage, PORTS, baud), None)?;
            window(stage, options, &senders, running, &mut tally)?;
        }
        let unit = format!("MiB (VmHWM), {PORTS} lines of {baud} baud full of 20-byte frames");
        figure(Figure::new(name, &unit, "< 12, none lost"), &tally)?
            .with("cpuPercent", median(tally.shares.iter().copied()))
            .with("loadBefore", before)
            .with("loadAfter", load_average())
            .print();
    }
    Ok(())
}

/// Devices that are quiet still: a frame takes ten bits a character.
fn plug(stage: &Stage, ports: usize, baud: u32) -> Result<Vec<Sender>> {
    let frame = Duration::from_secs(10 * FRAME as u64) / baud;
    (0..ports).map(|n| Sender::plug(&line(stage, n), frame, Content::Number)).collect()
}

/// One window of a program that was just started, which is stopped then.
fn window(stage: &Stage, options: &Options, senders: &[Sender], running: Running, tally: &mut Tally) -> Result<()> {
    let counted = || senders.iter().map(Sender::sent).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    let quiet = |quiet| senders.iter().for_each(|sender| sender.quiet(quiet));
    let subscriber = stage.subscriber(false)?;
    quiet(false);
    subscriber.wait("a reading of each line", PATIENCE, |tally| tally.devices.len() == senders.len())?;
    quiet(true);
    settled(&subscriber)?;
    subscriber.mark();
    let (start, used, at) = (Instant::now(), proc::usage(running.pid())?, counted());
    quiet(false);
    std::thread::sleep(Duration::from_secs(options.seconds));
    quiet(true);
    let (took, used) = (start.elapsed(), proc::usage(running.pid())?.cpu.saturating_sub(used.cpu));
    tally.shares.push(100.0 * used.as_secs_f64() / took.as_secs_f64());
    settled(&subscriber)?;
    let (end, seen) = (counted(), subscriber.tally()?);
    tally.frames += end.0 - at.0;
    tally.refused += end.1 - at.1;
    tally.messages += seen.messages;
    tally.missing += seen.missing;
    tally.memory = Some(proc::memory(running.pid())?);
    running.stop()
}

/// Waits until no message comes any more.
fn settled(subscriber: &Subscriber) -> Result<()> {
    let mut last = (0, Instant::now());
    wait("the last messages", || {
        let now = subscriber.tally()?.messages;
        if now != last.0 {
            last = (now, Instant::now());
        }
        Ok(last.1.elapsed() > Duration::from_secs(1))
    })
}

fn figure(figure: Figure, tally: &Tally) -> Result<Figure> {
    let memory = tally.memory.as_ref();
    Ok(figure
        .with("windows", tally.shares.clone())
        .with("peakMiB", memory.map(|memory| mib(memory.peak_kib)))
        .with("ownMiB", memory.map(|memory| mib(memory.anon_kib)))
        .with("frames", tally.frames)
        .with("messages", tally.messages)
        .with("lost", i64::try_from(tally.frames)? - i64::try_from(tally.messages)?)
        .with("notTaken", tally.refused)
        .with("missing", tally.missing))
}
