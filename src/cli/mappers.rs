//! `fieldgate mappers`: what is built in.

use std::{fmt::Write as _, sync::Arc};

use mapper_api::Mapper;
use serde_json::json;

use super::Output;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  fieldgate mappers\n  fieldgate mappers --output json | jq '.[].types'")]
pub struct Args {
    /// The form of the list.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn run(args: &Args, mappers: &[Arc<dyn Mapper>]) -> anyhow::Result<()> {
    let mut text = String::new();
    match args.output {
        Output::Json => {
            let list: Vec<_> = mappers
                .iter()
                .map(|m| {
                    let can = m.capability();
                    json!({
                        "name": m.name(),
                        "read": can.read,
                        "write": can.write,
                        "unsolicited": can.unsolicited,
                        "types": can.types.iter().map(|t| t.name()).collect::<Vec<_>>(),
                        "endpoint": m.endpoint_schema(),
                        "address": m.address_schema(),
                    })
                })
                .collect();
            let _ = writeln!(text, "{:#}", serde_json::Value::from(list));
        }
        Output::Text => {
            for mapper in mappers {
                let can = mapper.capability();
                let ways: Vec<_> = [(can.read, "read"), (can.write, "write"), (can.unsolicited, "listen")]
                    .into_iter()
                    .filter_map(|(can, word)| can.then_some(word))
                    .collect();
                let types: Vec<_> = can.types.iter().map(|t| t.name()).collect();
                let _ = writeln!(text, "{:10} {}; types {}", mapper.name(), ways.join(", "), types.join(" "));
            }
            if mappers.is_empty() {
                text += "none: this binary was built without mappers; build it with the feature of a protocol\n";
            }
        }
    }
    super::print(&text)
}
