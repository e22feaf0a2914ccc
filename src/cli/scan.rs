//! `fieldgate scan`: what a protocol finds by looking, with nothing configured. A live table on a terminal, a line for
//! each device elsewhere; as JSON, or as YAML to start from.

use std::{
    collections::HashSet,
    io::{self, IsTerminal as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use mapper_api::{Discovery, Error, Found, Json, Mapper};
use tokio::time::{Instant, sleep_until};

use super::{
    found::{Output, everything, json_text, line, table, yaml},
    told::{Deed, told},
};

const EXAMPLES: &str = "\
Examples:
  fieldgate scan ble                                    what is near, until Ctrl-C
  fieldgate scan ble adapter=00:1A:7D:DA:71:13          with this adapter only
  fieldgate scan serial                                 the serial ports, and who has them open
  fieldgate scan ble --seconds 30 --output yaml > devices.yaml    Devices to start from; then fieldgate check";

/// So long where nobody is there to end it.
const USUAL: u64 = 10;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The protocol: fieldgate mappers lists them.
    protocol: String,
    /// What the protocol may be told, such as adapter=00:1A:7D:DA:71:13.
    #[arg(value_name = "KEY=VALUE")]
    told: Vec<String>,
    /// How long to look. Without it until Ctrl-C on a terminal, and for 10 seconds elsewhere.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// The form of what is found: text, json (everything), yaml (Devices).
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn run(args: &Args, mappers: &[Arc<dyn Mapper>]) -> anyhow::Result<ExitCode> {
    let deed = Deed { done: "scanned", schema: |mapper| mapper.scan_schema() };
    let (mapper, told) = told(&deed, &args.protocol, &args.told, mappers)?;
    let live = args.output == Output::Text && io::stdout().is_terminal();
    let seconds = args.seconds.or((!live).then_some(USUAL));
    super::block_on(async {
        let mut search = mapper.discover(&told)?;
        let (found, error) = watch(&mut *search, seconds, args.output, live).await?;
        // What was found before it went wrong is worth having.
        if error.is_none() || !found.is_empty() {
            let text = match args.output {
                Output::Text if live => String::new(),
                Output::Text => summary(&found, &args.protocol),
                Output::Json => json_text(&found.iter().map(everything).collect::<Json>()) + "\n",
                Output::Yaml => yaml(&found, &args.protocol)?,
            };
            super::print(&text)?;
        }
        error.map_or(Ok(ExitCode::SUCCESS), |error| Err(error.into()))
    })
}

/// Looks until it is time, Ctrl-C or an error, and shows what is to be shown on the way. What was found last.
async fn watch(
    search: &mut dyn Discovery,
    seconds: Option<u64>,
    output: Output,
    live: bool,
) -> anyhow::Result<(Vec<Found>, Option<Error>)> {
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let end = async {
        match end {
            Some(end) => sleep_until(end).await,
            None => std::future::pending().await,
        }
    };
    let (mut end, mut ctrl_c) = (Box::pin(end), Box::pin(tokio::signal::ctrl_c()));
    let (mut last, mut shown) = (Vec::new(), HashSet::new());
    if live {
        super::print("Listening; Ctrl-C ends.\n")?;
    }
    loop {
        let found = tokio::select! {
            () = &mut end => return Ok((last, None)),
            _ = &mut ctrl_c => return Ok((last, None)),
            found = search.next() => match found {
                Ok(found) => found,
                Err(error) => return Ok((last, Some(error))),
            },
        };
        if live {
            // From the top left corner on, and nothing below.
            super::print(&format!("\x1b[H\x1b[2J{}", table(&found)))?;
        } else if output == Output::Text {
            for one in found.iter().filter(|one| !shown.contains(&one.id)) {
                super::print(&line(one))?;
            }
            // Of what is no more in the set nothing is kept: the set is bounded by its mapper.
            shown = found.iter().map(|one| one.id.clone()).collect();
        }
        last = found;
    }
}

fn summary(found: &[Found], protocol: &str) -> String {
    match found {
        [] => "nothing was found\n".to_owned(),
        found => format!(
            "\n{}\n{} found; fieldgate scan {protocol} --output yaml writes Devices to start from\n",
            table(found),
            found.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use mapper_api::{Discovery, Error, Found};

    use super::{Output, summary};

    #[test]
    fn nothing_is_no_table() {
        assert_eq!(summary(&[], "ble"), "nothing was found\n");
    }

    /// What was found, then an error.
    struct Search(Vec<Result<Vec<Found>, Error>>);

    impl Discovery for Search {
        fn next(&mut self) -> mapper_api::BoxFuture<'_, Result<Vec<Found>, Error>> {
            Box::pin(async { self.0.remove(0) })
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_was_found_before_an_error_is_not_lost() {
        let error = Error::new(mapper_api::ErrorKind::Unreachable, "the adapter is gone");
        let one = Found { id: "1".into(), about: vec![("name", "a".into())], draft: Err("it hides".into()) };
        let mut search = Search(vec![Ok(vec![one]), Err(error)]);
        let (found, error) = super::watch(&mut search, None, Output::Json, false).await.unwrap();
        assert_eq!((found.len(), &*error.unwrap().message), (1, "the adapter is gone"));
    }
}
