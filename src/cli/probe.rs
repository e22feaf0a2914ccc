//! `fieldgate probe`: one device that nothing describes yet, listened to until it is understood. What is heard is shown on
//! the way, as text and as numbers side by side; at the end stands a Device to start from.

use std::{fmt::Write as _, io::Write as _, process::ExitCode, sync::Arc, time::Duration};

use mapper_api::{Error, Found, Mapper, Probing, Step};

use super::{
    found::{Output, everything, json_text, plain, yaml},
    told::{Deed, told},
};

const EXAMPLES: &str = "\
Examples:
  fieldgate probe serial path=/dev/ttyUSB0                    try the usual baud rates and listen
  fieldgate probe serial path=/dev/ttyUSB0 baud=9600 seconds=60     a device that seldom speaks
  fieldgate probe serial path=/dev/ttyUSB0 send='SI\\r\\n'      one that speaks when it is asked
  fieldgate probe serial path=/dev/ttyUSB0 baud=300 format=7E1 send='/?!\\r\\n'    a meter with an optical head
  fieldgate probe serial path=/dev/ttyUSB0 --output yaml > device.yaml    then: fieldgate check .";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The protocol: fieldgate mappers lists them.
    protocol: String,
    /// What the protocol may be told, such as path=/dev/ttyUSB0.
    #[arg(value_name = "KEY=VALUE")]
    told: Vec<String>,
    /// The form of what is found: text, json (everything), yaml (a Device). What is heard then stands on standard error.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn run(args: &Args, mappers: &[Arc<dyn Mapper>]) -> anyhow::Result<ExitCode> {
    let deed = Deed { done: "probed", schema: |mapper| mapper.probe_schema() };
    let (mapper, told) = told(&deed, &args.protocol, &args.told, mappers)?;
    super::block_on(async {
        let mut probe = mapper.probe(&told)?;
        let show = |text: &str| match args.output {
            Output::Text => super::print(text),
            // A reader that is gone is no reason to lose what is found.
            Output::Json | Output::Yaml => {
                let _ = std::io::stderr().write_all(text.as_bytes());
                Ok(())
            }
        };
        let error = listen(&mut *probe, show).await?;
        let found = probe.found();
        // Without a draft the error says more than what was found.
        if error.is_none() || found.draft.is_ok() {
            super::print(&match args.output {
                Output::Text => conclusion(&found, &args.protocol)?,
                Output::Json => json_text(&everything(&found)) + "\n",
                Output::Yaml => yaml(&[found], &args.protocol)?,
            })?;
        }
        error.map_or(Ok(ExitCode::SUCCESS), |error| Err(error.into()))
    })
}

/// Until it is over, Ctrl-C or an error, which is given back.
async fn listen(probe: &mut dyn Probing, show: impl Fn(&str) -> anyhow::Result<()>) -> anyhow::Result<Option<Error>> {
    let mut ctrl_c = Box::pin(tokio::signal::ctrl_c());
    loop {
        let step = tokio::select! {
            _ = &mut ctrl_c => return Ok(None),
            step = probe.next() => step,
        };
        match step {
            Ok(Some(Step::Note(text))) => show(&format!("{}\n", plain(&text)))?,
            Ok(Some(Step::Heard { after, bytes })) => show(&side_by_side(after, &bytes))?,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(error)),
        }
    }
}

/// So many bytes stand in a line.
const WIDTH: usize = 16;

/// Bytes as numbers and as text, in lines of 16; a line feed ends one too, so that the lines of a text stand below each
/// other. Before the first stands the time.
fn side_by_side(after: Duration, bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut time = format!("{:.3}", after.as_secs_f64());
    for row in bytes.split_inclusive(|byte| *byte == b'\n').flat_map(|line| line.chunks(WIDTH)) {
        let hex = row.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        let shown: String =
            row.iter().map(|byte| if (0x20..0x7f).contains(byte) { *byte as char } else { '.' }).collect();
        let _ = writeln!(text, "{time:>9}  {hex:47}  {shown}");
        time.clear();
    }
    text
}

/// What is known, then the Device.
fn conclusion(found: &Found, protocol: &str) -> anyhow::Result<String> {
    let mut text = String::from("\n");
    for (title, what) in found.about.iter().filter(|(_, what)| !what.is_empty()) {
        let _ = writeln!(text, "{title:10} {}", plain(what));
    }
    match &found.draft {
        Ok(_) => {
            let _ = write!(text, "\nA Device to start from; fieldgate check tells what is wrong with it.\n\n");
            text += &yaml(std::slice::from_ref(found), protocol)?;
        }
        Err(why) => {
            let _ = writeln!(text, "\nNo Device can be written for it: {}", plain(why));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mapper_api::{BoxFuture, Error, ErrorKind, Found, Probing, Result, Step};
    use serde_json::json;

    use super::{conclusion, listen, side_by_side};

    #[test]
    fn numbers_and_text_stand_side_by_side() {
        let text = side_by_side(Duration::from_millis(1204), b"S S  12.34 kg\r\n\x02\xff0123456789abcdef");
        let expected = "    1.204  53 20 53 20 20 31 32 2e 33 34 20 6b 67 0d 0a     S S  12.34 kg..
           02 ff 30 31 32 33 34 35 36 37 38 39 61 62 63 64  ..0123456789abcd
           65 66                                            ef
";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_known_stands_before_the_device() {
        let mut found = Found {
            id: "1".into(),
            about: vec![("line", "9600 8N1".into()), ("check", String::new()), ("heard", "\u{1b}[2J".into())],
            draft: Ok(json!({ "protocol": { "virtual": {} }, "properties": [] })),
        };
        let text = conclusion(&found, "virtual").unwrap();
        assert!(text.starts_with("\nline       9600 8N1\nheard      \\u{1b}[2J\n\nA Device to start from"), "{text}");
        assert!(text.contains("kind: Device\n"), "{text}");
        found.draft = Err("it\nhides".into());
        let text = conclusion(&found, "virtual").unwrap();
        assert!(text.ends_with("\nNo Device can be written for it: it\\nhides\n"), "{text}");
    }

    /// Steps, then an error.
    struct Script(Vec<Result<Option<Step>>>);

    impl Probing for Script {
        fn next(&mut self) -> BoxFuture<'_, Result<Option<Step>>> {
            Box::pin(async { self.0.remove(0) })
        }

        fn found(&self) -> Found {
            unreachable!("not asked for here")
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_heard_is_shown_and_an_error_is_given_back() {
        let heard = Step::Heard { after: Duration::ZERO, bytes: b"\x1b[2J".to_vec() };
        let error = Error::new(ErrorKind::Bus, "unplugged");
        let mut script = Script(vec![Ok(Some(Step::Note("a\u{1b}b".into()))), Ok(Some(heard)), Err(error)]);
        let shown = std::cell::RefCell::new(String::new());
        let end = listen(&mut script, |text| {
            shown.borrow_mut().push_str(text);
            Ok(())
        });
        assert_eq!(end.await.unwrap().unwrap().message, "unplugged");
        let shown = shown.into_inner();
        assert!(shown.starts_with("a\\u{1b}b\n    0.000  1b 5b 32 4a  ") && shown.ends_with("  .[2J\n"), "{shown:?}");
    }
}
