//! The log: to standard error, as text for people or JSON for machines.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Deserialize;
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};

/// The form of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `filter` is a level (`info`) or a list such as `info,fieldgate::bus=debug`.
///
/// # Errors
/// The filter does not parse.
pub fn start(filter: &str, format: Format) -> anyhow::Result<()> {
    // Targets and levels only: nobody needs regular expressions and spans here.
    let filter: Targets = filter
        .parse()
        .map_err(|e| anyhow::anyhow!("log level {filter:?}: {e}; write error, warn, info, debug or trace"))?;
    // Colours are for a screen; a collector of logs would keep their codes.
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = match format {
        Format::Text => lines.with_target(false).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    registry().with(lines).with(filter).init();
    Ok(())
}
