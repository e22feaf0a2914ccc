//! The command line: what can be typed, and which room does it. No logic of its own.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use mapper_api::Mapper;

mod check;
mod crd;
#[cfg(feature = "demo")]
mod demo;
mod found;
mod health;
mod mappers;
mod probe;
mod run;
mod scan;
mod told;

/// The device-protocol bridge for Kubernetes at the edge.
///
/// Fieldgate polls Modbus and other field devices that are described in YAML, and publishes their readings over MQTT
/// with the time and the quality of each value.
#[derive(Parser)]
#[command(name = "fieldgate", version, after_help = EXAMPLES, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  fieldgate demo                                              see it work, with nothing else installed
  fieldgate check devices/                                    find every mistake in your YAML
  fieldgate run --devices devices/ --broker mqtt://localhost  poll and publish";

#[derive(Subcommand)]
enum Command {
    /// Poll the devices described in a folder and publish their readings.
    Run(run::Args),
    /// Check Devices, DeviceModels and settings; tell all mistakes at once.
    Check(check::Args),
    /// Look for devices that nothing describes yet.
    Scan(scan::Args),
    /// Listen to a device that nothing describes yet, until it is understood.
    Probe(probe::Args),
    /// Show it all at work: a broker, simulated devices, readings, a write, a dead device.
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Ask a running bridge whether it is well.
    Health(health::Args),
    /// Print the custom resource definitions for Kubernetes.
    Crd(crd::Args),
    /// List the protocols that this binary speaks.
    Mappers(mappers::Args),
}

/// The form of what is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Parses the command line and does what it says, with these mappers. A binary with mappers of its own calls this with
/// [`crate::registry::mappers`] and its own.
pub fn main_with(mappers: Vec<Arc<dyn Mapper>>) -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(args, mappers),
        Command::Check(args) => check::run(&args, mappers),
        Command::Scan(args) => scan::run(&args, &mappers),
        Command::Probe(args) => probe::run(&args, &mappers),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(&args, mappers),
        Command::Health(args) => health::run(&args),
        Command::Crd(args) => crd::run(&args, &mappers),
        Command::Mappers(args) => mappers::run(&args, &mappers).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("fieldgate: {error:#}");
        ExitCode::FAILURE
    })
}

/// Prints to standard output. A reader that has seen enough, such as `head`, is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// One thread: devices and broker are waited for, not computed with. Blocking work (opening a serial line, looking up
/// a name) gets a thread of its own for as long as it takes; at the end nobody waits for it, since a lookup may take
/// longer than an orderly stop.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}
