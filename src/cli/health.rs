//! `fieldgate health`: for probes and people.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;

use crate::{observe::health, settings};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  fieldgate health             is it alive?\n  fieldgate health --ready     does it do its work?\n  fieldgate health --devices   what does each device say?"
)]
pub struct Args {
    /// Where the bridge listens for HTTP.
    #[arg(long, env = "FIELDGATE_HTTP", default_value_t = settings::HTTP.to_string())]
    http: String,
    /// Ask for readiness: the devices are loaded, the data path is running.
    #[arg(long, conflicts_with = "devices")]
    ready: bool,
    /// Print the live devices as JSON.
    #[arg(long)]
    devices: bool,
    /// How many seconds to wait for the answer.
    #[arg(long, default_value_t = 5)]
    timeout: u64,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let http = settings::Http { listen: args.http.clone() };
    let address =
        http.address()?.context("HTTP is switched off here (off); give the address of a bridge with --http")?;
    let path = match (args.ready, args.devices) {
        (true, _) => "/readyz",
        (_, true) => "/devices",
        _ => "/healthz",
    };
    let answer = super::block_on(health::get(address, path, Duration::from_secs(args.timeout)))?;
    super::print(&answer)?;
    Ok(ExitCode::SUCCESS)
}
