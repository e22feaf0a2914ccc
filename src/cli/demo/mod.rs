//! `fieldgate demo`: the daemon as `run` starts it, fed by simulated devices over real sockets and a real pty, with a
//! broker in the same process. What is printed comes from a subscriber; nothing is scripted but the one edit of a file.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use mapper_api::Mapper;
use tokio::time::Instant;

use crate::{daemon::Daemon, observe::log, settings::Settings};

mod broker;
mod plant;
mod screen;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fieldgate demo                 until Ctrl-C
  fieldgate demo --seconds 30    half a minute
  fieldgate demo --port 1884     with the broker on this port")]
pub struct Args {
    /// End after so many seconds; Ctrl-C ends it any time.
    #[arg(long)]
    seconds: Option<u64>,
    /// The broker's port on loopback; a free one if left out.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Log level; the demo's own lines go to standard output.
    #[arg(long, env = "FIELDGATE_LOG", default_value = "error,rumqttd=off")]
    log: String,
}

/// A folder that is gone when the demo ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("fieldgate-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn run(args: &Args, mappers: Vec<Arc<dyn Mapper>>) -> anyhow::Result<ExitCode> {
    log::start(&args.log, log::Format::Text)?;
    super::block_on(async {
        let folder = Folder::new()?;
        let port = broker::start(args.port).await?;
        let plant = plant::start().await?;
        plant::write_devices(&folder.0, &plant)?;
        let settings = settings(&folder.0, port);
        let daemon = Daemon::start(settings, mappers).await?;
        let screen = screen::Screen::new(port);
        let intro = introduction(&folder.0, port, &plant);
        let end = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let shown = tokio::select! {
            shown = show(screen, &folder.0, end, &intro) => shown,
            signal = super::run::stop_signal() => signal.map(drop),
        };
        let told = say("\nStopping: the last readings are handed over, then the bridge says that it is offline.");
        daemon.stop(super::run::STOP).await;
        match shown.and(told) {
            // A reader that has seen enough, such as `head`, ends the demo.
            Err(error) if is_closed(&error) => Ok(ExitCode::SUCCESS),
            shown => shown.map(|()| ExitCode::SUCCESS),
        }
    })
}

fn settings(folder: &Path, broker: u16) -> Settings {
    let mut settings = Settings { devices: Some(folder.to_owned()), ..Settings::default() };
    settings.mqtt.broker = format!("mqtt://127.0.0.1:{broker}");
    settings.http.listen = "off".into();
    settings
}

/// Prints a line.
fn say(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write to standard output")
}

fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn introduction(folder: &Path, port: u16, plant: &plant::Plant) -> String {
    format!(
        "\
Fieldgate demo. Everything below is what a subscriber receives.

  devices   {folder}/*.yaml (edit them, and see)
            meter      Modbus TCP on 127.0.0.1:{meter}
            boiler-1, boiler-2, {dead}   Modbus RTU on {line}; nobody answers as {dead}
  broker    127.0.0.1:{port} (MQTT 5)
  listen    mosquitto_sub -V 5 -p {port} -t 'fieldgate/#' -v
",
        folder = folder.display(),
        meter = plant.meter,
        dead = plant::DEAD,
        line = plant.line.display(),
    )
}

async fn show(mut screen: screen::Screen, folder: &Path, end: Option<Instant>, intro: &str) -> anyhow::Result<()> {
    say(intro)?;
    let end = end.unwrap_or_else(|| Instant::now() + Duration::from_secs(365 * 86_400));
    let within = |seconds| end.min(Instant::now() + Duration::from_secs(seconds));
    let (file, wanted) = (folder.join("boiler-1.yaml"), 21.5);

    screen.show(within(6), |_, _| false).await?;
    say(&format!(
        "\nNow boiler-1.yaml is edited: desired {} -> {wanted}. Nothing else is told to the bridge.",
        plant::FIRST
    ))?;
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, text.replace(&format!("desired: {}", plant::FIRST), &format!("desired: {wanted}")))?;
    let start = Instant::now();
    let confirmed = screen
        .show(within(10), |device, state| {
            let setpoint = &state["properties"]["setpoint"];
            device == "boiler-1"
                && setpoint["quality"] == "good"
                && setpoint["value"] == wanted
                && setpoint["desired"] == wanted
        })
        .await?;
    if confirmed {
        say(&format!(
            "boiler-1 holds {wanted}: written, read back and published {} ms after the edit.\n",
            start.elapsed().as_millis()
        ))?;
    } else {
        say(&format!("boiler-1 did not confirm {wanted} within {} ms.\n", start.elapsed().as_millis()))?;
    }
    loop {
        let before = Instant::now();
        screen.show(within(10), |_, _| false).await?;
        say(&format!("\nThe last {:.0} s:", before.elapsed().as_secs_f64()))?;
        screen.sum_up()?;
        say("")?;
        if Instant::now() >= end {
            return Ok(());
        }
    }
}
