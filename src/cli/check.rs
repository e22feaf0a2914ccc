//! `fieldgate check`: every mistake in a folder at once.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use mapper_api::Mapper;

use super::Output;
use crate::{
    control::{check::check, fix::fix},
    settings::Settings,
};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fieldgate check devices/
  fieldgate check devices/ --output json | jq '.issues[]'
  fieldgate check devices/ --fix

Checks Devices, DeviceModels and their samples, and fieldgate.yaml if it is there. Exits with 1 if anything must be mended;
notes do not count.")]
pub struct Args {
    /// The folder that is searched for *.yaml, *.yml and *.json.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// First write what can be mended without a doubt into the files: the label fieldgate.dev/node, from spec.nodeName.
    /// Comments, order and form stay.
    #[arg(long)]
    fix: bool,
    /// The form of the report.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn run(args: &Args, mappers: Vec<Arc<dyn Mapper>>) -> anyhow::Result<ExitCode> {
    let fixes = if args.fix { fix(&args.folder)? } else { Vec::new() };
    let mut report = check(&args.folder, mappers, Settings::issues)?;
    report.fixes = fixes;
    match args.output {
        Output::Text => super::print(&report.text())?,
        Output::Json => super::print(&(serde_json::to_string_pretty(&report)? + "\n"))?,
    }
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
