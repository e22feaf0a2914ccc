//! The figures of serial lines. The lines are ptys, whose far end sends whole frames at the pace of a baud rate: a USB adapter
//! hands over other pieces than that, at other times, and costs the kernel more; that is not in these figures.

mod full;

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use hardware_tests::{
    broker::free_port,
    figure::{Figure, percentile},
    gateway::serial_yaml,
    serial::{Content, Sender},
};

use crate::{
    Options, size,
    stage::{PATIENCE, Stage, load_average, wait},
};

/// The parts.
pub const PARTS: [&str; 4] = ["serial-saturated", "serial-ports", "serial-latency", "serial-unplug"];

/// Measures these parts. Without a program, one is built with serial lines alone.
pub fn measure(parts: &[&str], options: &Options) -> Result<()> {
    let program = match &options.gateway {
        Some(program) => program.clone(),
        None => size::build(&["--no-default-features", "--features", "serial"], "serial")?,
    };
    for part in parts {
        let stage = Stage::new(&program)?;
        match *part {
            "serial-saturated" => full::saturated(&stage, options),
            "serial-ports" => full::ports(&stage, options),
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
