//! `fieldgate scan`: what a protocol finds by looking, with nothing configured. A live table on a terminal, a line for
//! each device elsewhere; as JSON, or as YAML to start from.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt::Write as _,
    io::{self, IsTerminal as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use fieldgate_crds::{GROUP, VERSION};
use mapper_api::{Discovery, Error, Found, Json, Mapper};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

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

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: everything that is known.
    Json,
    /// Devices to start from.
    Yaml,
}

pub fn run(args: &Args, mappers: &[Arc<dyn Mapper>]) -> anyhow::Result<ExitCode> {
    let mapper = chosen(&args.protocol, mappers)?;
    let told = told(&args.told, mapper)?;
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

fn chosen<'a>(protocol: &str, mappers: &'a [Arc<dyn Mapper>]) -> anyhow::Result<&'a dyn Mapper> {
    let can: Vec<_> = mappers.iter().filter(|m| m.scan_schema().is_some()).collect();
    let names = || match &can[..] {
        [] => "this binary has none that can be".to_owned(),
        can => format!("these can be: {}", can.iter().map(|m| m.name()).collect::<Vec<_>>().join(", ")),
    };
    match mappers.iter().find(|m| m.name() == protocol) {
        None => bail!("there is no protocol {protocol} to be scanned; {}", names()),
        Some(mapper) if mapper.scan_schema().is_none() => bail!("{protocol} cannot be scanned; {}", names()),
        Some(mapper) => Ok(&**mapper),
    }
}

/// `key=value` words as the mapper's arguments; a value that its schema does not take as a text is read as JSON.
fn told(words: &[String], mapper: &dyn Mapper) -> anyhow::Result<Json> {
    let schema = mapper.scan_schema().unwrap_or_default();
    let mut told = serde_json::Map::new();
    for word in words {
        let (key, value) = word.split_once('=').with_context(|| format!("{word:?} is no argument; write key=value"))?;
        let value = match schema["properties"][key]["type"].as_str() {
            Some("string") | None => json!(value),
            Some(kind) => serde_json::from_str(value).with_context(|| format!("{word:?}: {value:?} is no {kind}"))?,
        };
        if told.insert(key.to_owned(), value).is_some() {
            bail!("{key} is given twice");
        }
    }
    Ok(told.into())
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

/// Columns as wide as what stands in them; the last one as long as it is.
fn table(found: &[Found]) -> String {
    let Some(first) = found.first() else { return String::new() };
    let titles: Vec<String> = first.about.iter().map(|(title, _)| title.to_uppercase()).collect();
    let rows = found.iter().map(|one| one.about.iter().map(|(_, text)| plain(text).into_owned()).collect());
    let rows: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<_> = (0..first.about.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn line(one: &Found) -> String {
    let known = one.about.iter().filter(|(_, text)| !text.is_empty());
    format!("{}\n", known.map(|(title, text)| format!("{title}={}", plain(text))).collect::<Vec<_>>().join("  "))
}

/// What came out of the air, as it can be printed: anybody within reach chooses it, and could steer the terminal or leave
/// a comment of YAML with it.
fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if steers(c) { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain.into()
}

/// Control characters, what ends a line, and what turns the direction of writing.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Pretty JSON with every such character escaped: within its texts, for outside of them stands none but the line's end.
fn json_text(json: &Json) -> String {
    let mut text = String::new();
    for c in format!("{json:#}").chars() {
        if steers(c) && c != '\n' {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
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

fn everything(one: &Found) -> Json {
    let about: serde_json::Map<_, _> =
        one.about.iter().map(|(title, text)| ((*title).to_owned(), json!(text))).collect();
    json!({ "id": one.id, "about": about, "draft": one.draft })
}

/// A Device for each draft, headed by what is known of it.
fn yaml(found: &[Found], protocol: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut names: HashMap<String, u32> = HashMap::new();
    for one in found {
        let _ = write!(text, "# {}", line(one));
        let spec = match &one.draft {
            Ok(spec) => spec,
            Err(why) => {
                let _ = writeln!(text, "# no Device can be written for it: {}", plain(why));
                continue;
            }
        };
        let name = name(protocol, &one.id);
        let times = names.entry(name.clone()).and_modify(|times| *times += 1).or_insert(1);
        let name = if *times > 1 { format!("{name}-{times}") } else { name };
        let device = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Device", "metadata": { "name": name }, "spec": spec,
        });
        let device = match serde_saphyr::to_string(&device)? {
            // JSON is YAML, and has an escape for all that must not be printed.
            steering if steering.contains(|c| steers(c) && c != '\n') => json_text(&device) + "\n",
            yaml => yaml,
        };
        text += &device;
        text += "---\n";
    }
    Ok(text.strip_suffix("---\n").map(str::to_owned).unwrap_or(text))
}

/// A name that a resource may have: `ble-a4c138123456`.
fn name(protocol: &str, id: &str) -> String {
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).take(48).collect();
    if id.is_empty() { protocol.to_owned() } else { format!("{protocol}-{id}") }
}

#[cfg(test)]
mod tests {
    use mapper_api::{Discovery, Error, Found, Json};
    use serde_json::json;

    use super::{Output, line, name, summary, table, yaml};

    fn found(id: &str, name: &str, draft: bool) -> Found {
        let spec = json!({ "protocol": { "virtual": {} }, "properties": [] });
        let draft = if draft { Ok(spec) } else { Err("it hides".to_owned()) };
        Found {
            id: id.into(),
            about: vec![("address", id.into()), ("name", name.into()), ("rssi", "-60".into())],
            draft,
        }
    }

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let text = table(&[found("A4:C1", "küche", true), found("1", "", false)]);
        assert_eq!(text, "ADDRESS  NAME   RSSI\nA4:C1    küche  -60\n1               -60\n");
        assert_eq!(table(&[]), "");
        assert_eq!(line(&found("1", "", false)), "address=1  rssi=-60\n");
        assert_eq!(summary(&[], "ble"), "nothing was found\n");
    }

    #[test]
    fn drafts_become_devices() {
        let text =
            yaml(&[found("A4:C1", "a", true), found("2", "b", false), found("a4c1", "c", true)], "virtual").unwrap();
        let expected = "\
# address=A4:C1  name=a  rssi=-60
apiVersion: fieldgate.dev/v1alpha1
kind: Device
metadata:
  name: virtual-a4c1
spec:
  properties: []
  protocol:
    virtual: {}
---
# address=2  name=b  rssi=-60
# no Device can be written for it: it hides
# address=a4c1  name=c  rssi=-60
apiVersion: fieldgate.dev/v1alpha1
kind: Device
metadata:
  name: virtual-a4c1-2
spec:
  properties: []
  protocol:
    virtual: {}
";
        assert_eq!(text, expected);
        assert_eq!(name("ble", "é"), "ble");
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
        let mut search = Search(vec![Ok(vec![found("1", "a", true)]), Err(error)]);
        let (found, error) = super::watch(&mut search, None, Output::Json, false).await.unwrap();
        assert_eq!((found.len(), &*error.unwrap().message), (1, "the adapter is gone"));
    }

    #[test]
    fn what_comes_out_of_the_air_steers_no_terminal_and_leaves_no_comment() {
        let nasty = "a\n\u{1b}[2Jkind: Pod\u{9b}\u{2028}\u{202e}\u{7f}é";
        let mut one = found("1", nasty, true);
        one.draft = Ok(json!({ "protocol": { "virtual": { "name": nasty } }, "properties": [] }));
        let mut hidden = found("2", nasty, false);
        hidden.draft = Err(nasty.to_owned());
        let found = [hidden, one];
        let json = super::json_text(&found.iter().map(super::everything).collect());
        let yaml = yaml(&found, "virtual").unwrap();
        for text in [table(&found), line(&found[1]), yaml.clone(), json.clone()] {
            assert!(!text.contains(|c| super::steers(c) && c != '\n'), "{text:?}");
        }
        assert_eq!(line(&found[1]).matches('\n').count(), 1);
        assert_eq!(table(&found).lines().count(), 3);
        assert!(line(&found[1]).contains("name=a\\n\\u{1b}[2Jkind: Pod\\u{9b}\\u{2028}\\u{202e}\\u{7f}é"));
        assert!(!yaml.lines().any(|line| line.starts_with("kind: Pod")), "{yaml}");
        // Programs get it as it was.
        let read: Json = serde_json::from_str(&json).unwrap();
        assert_eq!(read[1]["about"]["name"], nasty);
        let document = yaml.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
        let read: Json = serde_saphyr::from_str(&document).unwrap();
        assert_eq!(read["spec"]["protocol"]["virtual"]["name"], nasty);
    }

    #[test]
    #[cfg(feature = "ble")]
    fn words_that_are_no_arguments_are_refused() {
        let mapper = mapper_ble::Ble::default();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(super::told(&words(&["adapter=a=b"]), &mapper).unwrap(), json!({ "adapter": "a=b" }));
        for (given, part) in [(&["adapter"][..], "write key=value"), (&["a=1", "a=2"], "a is given twice")] {
            let error = super::told(&words(given), &mapper).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
