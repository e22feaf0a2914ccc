//! `fieldgate run`: settings in, the daemon until a signal.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use mapper_api::Mapper;

use crate::{daemon::Daemon, observe::log, settings::Settings};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fieldgate run --devices devices/ --broker mqtt://localhost
  fieldgate run --config fieldgate.yaml --node gw-1
  fieldgate run --kubeconfig ~/.kube/config --node gw-1 --state /var/lib/fieldgate --broker mqtt://localhost
  FIELDGATE_BROKER=mqtt://10.0.0.2 fieldgate run --devices devices/ --log debug

A flag overrides its FIELDGATE_ variable, which overrides the file. Edited device files take effect by themselves.")]
pub struct Args {
    /// The folder with the devices' YAML.
    #[arg(long, env = "FIELDGATE_DEVICES", value_name = "DIR")]
    devices: Option<PathBuf>,
    /// Take the devices from the Kubernetes API server of the kubeconfig or, in a pod, of its own cluster.
    #[arg(long, env = "FIELDGATE_KUBERNETES", value_parser = clap::builder::BoolishValueParser::new())]
    kubernetes: bool,
    /// A kubeconfig file that leads to the API server with the devices. (Implies --kubernetes.)
    #[arg(long, env = "FIELDGATE_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Serve only Devices of this namespace; may be given several times. All namespaces if left out.
    #[arg(long, env = "FIELDGATE_NAMESPACE", value_name = "NS", value_delimiter = ',')]
    namespace: Vec<String>,
    /// A folder of the bridge's own, such as /var/lib/fieldgate: with it a restart needs no API server, and its lock
    /// refuses a second bridge.
    #[arg(long, env = "FIELDGATE_STATE", value_name = "DIR")]
    state: Option<PathBuf>,
    /// The folder in which secrets are mounted: secretRef {name: plc, key: pin} is its file plc/pin.
    #[arg(long, env = "FIELDGATE_SECRETS", value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// The MQTT broker, such as mqtt://host or mqtt://host:1883.
    #[arg(long, env = "FIELDGATE_BROKER", value_name = "URL")]
    broker: Option<String>,
    /// The settings file.
    #[arg(long, env = "FIELDGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// This node's name; with files, only Devices without nodeName or with this one are served then.
    #[arg(long, env = "FIELDGATE_NODE", value_name = "NAME")]
    node: Option<String>,
    /// Where to listen for HTTP: address and port, or off. 127.0.0.1:9464 if left out.
    #[arg(long, env = "FIELDGATE_HTTP", value_name = "ADDRESS")]
    http: Option<String>,
    /// error, warn, info, debug or trace, also by room: info,fieldgate::bus=debug.
    #[arg(long, env = "FIELDGATE_LOG", value_name = "LEVEL")]
    log: Option<String>,
    /// The form of the log.
    #[arg(long, env = "FIELDGATE_LOG_FORMAT", value_enum)]
    log_format: Option<log::Format>,
}

/// How long an orderly stop may take: the exchange in flight, and what the broker has not acknowledged.
pub const STOP: Duration = Duration::from_secs(5);

impl Args {
    fn settings(self) -> anyhow::Result<Settings> {
        let mut settings = self.config.as_deref().map(Settings::read).transpose()?.unwrap_or_default();
        settings.devices = self.devices.or(settings.devices);
        settings.state = self.state.or(settings.state);
        settings.secrets = self.secrets.or(settings.secrets);
        if self.kubernetes || self.kubeconfig.is_some() || !self.namespace.is_empty() {
            let kubernetes = settings.kubernetes.get_or_insert_default();
            kubernetes.kubeconfig = self.kubeconfig.or(kubernetes.kubeconfig.take());
            if !self.namespace.is_empty() {
                kubernetes.namespaces = self.namespace;
            }
        }
        settings.node = self.node.or(settings.node);
        settings.mqtt.broker = self.broker.unwrap_or(settings.mqtt.broker);
        settings.http.listen = self.http.unwrap_or(settings.http.listen);
        settings.log.level = self.log.unwrap_or(settings.log.level);
        settings.log.format = self.log_format.unwrap_or(settings.log.format);
        Ok(settings)
    }
}

pub fn run(args: Args, mappers: Vec<Arc<dyn Mapper>>) -> anyhow::Result<ExitCode> {
    let settings = args.settings()?;
    log::start(&settings.log.level, settings.log.format)?;
    super::block_on(async {
        let mut daemon = Daemon::start(settings, mappers).await?;
        let ended = tokio::select! {
            signal = stop_signal() => {
                tracing::info!(signal = signal?, "Stopping.");
                ExitCode::SUCCESS
            }
            part = daemon.broken() => {
                tracing::error!(part, "A part of the bridge broke down; stopping, so that it is started anew.");
                ExitCode::FAILURE
            }
        };
        daemon.stop(STOP).await;
        Ok(ended)
    })
}

/// Waits for SIGINT or SIGTERM.
pub async fn stop_signal() -> anyhow::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let watch = |kind| signal(kind).context("cannot watch for signals");
    let (mut int, mut term) = (watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?);
    Ok(tokio::select! { _ = int.recv() => "SIGINT", _ = term.recv() => "SIGTERM" })
}
