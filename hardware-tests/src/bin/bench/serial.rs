//! The figures of serial lines. The lines are ptys, whose far end sends whole frames at the pace of a baud rate: a USB adapter
//! hands over other pieces than that, at other times, and costs the kernel more; that is not in these figures.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use hardware_tests::{
    broker::free_port,
    figure::{Figure, median, percentile},
    gateway::serial_yaml,
    proc,
    serial::{Content, FRAME, Sender},
    subscriber::Subscriber,
};

use crate::{
    Options, size,
    stage::{PATIENCE, Stage, load_average, mib, wait},
};

/// The parts.
pub const PARTS: [&str; 4] = ["serial-saturated", "serial-ports", "serial-latency", "serial-unplug"];

/// Lines at once.
const PORTS: usize = 16;

/// Measures these parts. Without a program, one is built with serial lines alone.
pub fn measure(parts: &[&str], options: &Options) -> Result<()> {
    let program = match &options.gateway {
        Some(program) => program.clone(),
        None => size::build(&["--no-default-features", "--features", "serial"], "serial")?,
    };
    for part in parts {
        let stage = Stage::new(&program)?;
        match *part {
            "serial-saturated" => full(&stage, options, 1, 115_200),
            "serial-ports" => full(&stage, options, PORTS, 9600),
            "serial-latency" => latency(&stage, options),
            _ => unplug(&stage, options),
        }
        .with_context(|| format!("{part} could not be measured; the gateway's log ends:\n{}", stage.log()))?;
    }
    Ok(())
}

fn line(stage: &Stage, number: usize) -> PathBuf {
    stage.scratch.path().join(format!("line-{number:02}"))
}

fn devices(stage: &Stage, count: usize, baud: u32) -> Vec<(String, String)> {
    let one = |number| {
        let name = format!("line-{number:02}");
        let yaml = serial_yaml(&name, &line(stage, number), baud);
        (name, yaml)
    };
    (0..count).map(one).collect()
}

/// The time that a frame takes: ten bits a character.
fn frame_time(baud: u32) -> Duration {
    Duration::from_secs(10 * FRAME as u64) / baud
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

/// Lines that are full of frames: each must come out as one message.
fn full(stage: &Stage, options: &Options, ports: usize, baud: u32) -> Result<()> {
    let subscriber = stage.subscriber(false)?;
    let gateway = stage.gateway(devices(stage, ports, baud), None)?;
    let senders: Vec<Sender> =
        (0..ports).map(|n| Sender::plug(&line(stage, n), frame_time(baud), Content::Number)).collect::<Result<_>>()?;
    subscriber.wait("a reading of each line", PATIENCE, |tally| tally.devices.len() == ports)?;
    let counted = || senders.iter().map(Sender::sent).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    let quiet = |quiet| senders.iter().for_each(|sender| sender.quiet(quiet));
    let (mut shares, mut sent, mut refused, mut messages, mut missing) = (Vec::new(), 0, 0, 0, 0);
    let before = load_average();
    for _ in 0..options.rounds {
        quiet(true);
        settled(&subscriber)?;
        subscriber.mark();
        let (start, used, at) = (Instant::now(), proc::usage(gateway.pid())?, counted());
        quiet(false);
        std::thread::sleep(Duration::from_secs(options.seconds));
        quiet(true);
        let (took, used) = (start.elapsed(), proc::usage(gateway.pid())?.cpu.saturating_sub(used.cpu));
        shares.push(100.0 * used.as_secs_f64() / took.as_secs_f64());
        settled(&subscriber)?;
        let (end, tally) = (counted(), subscriber.tally()?);
        sent += end.0 - at.0;
        refused += end.1 - at.1;
        messages += tally.messages;
        missing += tally.missing;
    }
    let memory = proc::memory(gateway.pid())?;
    gateway.stop()?;
    let (name, unit, reach) = if ports == 1 {
        ("serial.saturated", "percent of one core, a line of 115,200 baud full of 20-byte frames", "< 2, none lost")
    } else {
        ("serial.ports", "MiB (VmHWM), 16 lines of 9600 baud full of 20-byte frames", "< 12, none lost")
    };
    Figure::new(name, unit, reach)
        .with("cpuPercent", median(shares.iter().copied()))
        .with("windows", shares)
        .with("peakMiB", mib(memory.peak_kib))
        .with("ownMiB", mib(memory.anon_kib))
        .with("frames", sent)
        .with("messages", messages)
        .with("lost", i64::try_from(sent)? - i64::try_from(messages)?)
        .with("notTaken", refused)
        .with("missing", missing)
        .with("loadBefore", before)
        .with("loadAfter", load_average())
        .print();
    Ok(())
}

/// From the stamp, taken right before a frame is written as a whole, to the subscriber.
fn latency(stage: &Stage, options: &Options) -> Result<()> {
    let subscriber = stage.subscriber(true)?;
    let gateway = stage.gateway(devices(stage, 1, 115_200), None)?;
    let sender = Sender::plug(&line(stage, 0), Duration::from_millis(20), Content::Stamp)?;
    subscriber.wait("a reading", PATIENCE, |tally| tally.readings > 0)?;
    let (mut all, before) = (Vec::new(), load_average());
    for _ in 0..options.rounds {
        subscriber.mark();
        std::thread::sleep(Duration::from_secs(options.seconds));
        all.extend(subscriber.tally()?.latencies);
    }
    sender.pull();
    gateway.stop()?;
    #[allow(clippy::cast_precision_loss)]
    let millis = |all: &mut [u64], share| percentile(all, share) as f64 / 1e3;
    Figure::new("serial.latency", "ms from the last byte on the line to the subscriber", "p99 < 5")
        .with("samples", all.len())
        .with("p50", millis(&mut all, 0.5))
        .with("p99", millis(&mut all, 0.99))
        .with("worst", millis(&mut all, 1.0))
        .with("loadBefore", before)
        .with("loadAfter", load_average())
        .print();
    Ok(())
}

/// A line that hangs up and whose name goes, as when a USB adapter is pulled out; then it is there again. Each time with a
/// gateway of its own: one whose device comes and goes more than twice in ten minutes says that it flaps.
fn unplug(stage: &Stage, options: &Options) -> Result<()> {
    let (mut gone, mut back, before) = (Vec::new(), Vec::new(), load_average());
    let plug = || Sender::plug(&line(stage, 0), Duration::from_millis(100), Content::Number);
    for _ in 0..options.rounds.max(5) {
        let subscriber = stage.subscriber(false)?;
        let http = free_port()?;
        let sender = plug()?;
        let gateway = stage.gateway(devices(stage, 1, 9600), Some(http))?;
        subscriber.wait("a reading", PATIENCE, |tally| tally.readings > 0)?;
        wait("Reachable=True", || reachable(http, "True"))?;
        let start = Instant::now();
        sender.pull();
        wait("Reachable=False", || reachable(http, "False"))?;
        gone.push(start.elapsed().as_secs_f64());
        subscriber.mark();
        let start = Instant::now();
        let sender = plug()?;
        subscriber.wait("a reading again", PATIENCE, |tally| tally.readings > 0)?;
        back.push(start.elapsed().as_secs_f64());
        sender.pull();
        gateway.stop()?;
    }
    let worst = |all: &[f64]| all.iter().copied().fold(0.0, f64::max);
    Figure::new(
        "serial.unplug",
        "s from pulling out to Reachable=False, from putting in to the first value",
        "< 2, < 3",
    )
    .with("goneWorst", worst(&gone))
    .with("backWorst", worst(&back))
    .with("gone", gone)
    .with("back", back)
    .with("loadBefore", before)
    .with("loadAfter", load_average())
    .print();
    Ok(())
}

/// Whether the only device's condition Reachable is this, by the gateway's own page.
fn reachable(http: u16, status: &str) -> Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, http))?;
    stream.write_all(b"GET /devices HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    let body = page.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let page: serde_json::Value = serde_json::from_str(body).with_context(|| format!("no JSON: {page}"))?;
    let conditions = page["devices"]["default/line-00"]["status"]["conditions"].as_array();
    Ok(conditions.into_iter().flatten().any(|c| c["type"] == "Reachable" && c["status"] == status))
}
