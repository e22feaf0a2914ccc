//! The bridge's own settings: one file, `fieldgate.yaml`, overridden by the environment, overridden by flags.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use mapper_api::schema_of;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::{
    control::{
        check::check_document,
        issue::{Finding, Issue, Places, Severity},
        yaml,
    },
    data,
    observe::log,
};

/// Where the bridge listens for HTTP unless told otherwise: loopback only.
pub const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// The bridge's own settings.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// The name of this node. `NODE_NAME`, then the host's name if left out.
    #[schemars(length(min = 1, max = 253))]
    pub node: Option<String>,
    /// The folder with the devices' YAML. Devices come from there or from Kubernetes, not from both.
    pub devices: Option<PathBuf>,
    /// Devices come from a Kubernetes API server. It may be left out in a pod: without `devices` its own cluster is meant.
    pub kubernetes: Option<Kubernetes>,
    /// A folder of the bridge's own, such as `/var/lib/fieldgate`: what it must know after a restart with no network.
    pub state: Option<PathBuf>,
    /// The folder in which secrets are mounted, a folder each: `secretRef: {name: plc, key: pin}` is its file `plc/pin`.
    pub secrets: Option<PathBuf>,
    /// The broker, and what is published how.
    pub mqtt: data::Options,
    /// The HTTP listener.
    pub http: Http,
    /// The log.
    pub log: Log,
}

/// Devices from a Kubernetes API server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Kubernetes {
    /// A kubeconfig file. Inside a pod its service account is used if this is left out.
    pub kubeconfig: Option<PathBuf>,
    /// The namespaces whose Devices are served; all of them if left out. With names, a Role in each is enough.
    #[schemars(length(max = 64))]
    pub namespaces: Vec<String>,
    /// How the own Devices are asked for.
    pub select: Select,
}

/// How the own Devices are asked for. Whatever the answer holds, only those of the own node are served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Select {
    /// By `spec.nodeName`.
    #[default]
    Field,
    /// By the label `fieldgate.dev/node`, for proxies that know labels only.
    Label,
}

/// The HTTP listener: /healthz, /readyz, /devices, /metrics.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Http {
    /// Address and port, such as `127.0.0.1:9464`, or `off`.
    #[schemars(length(max = 64))]
    pub listen: String,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: HTTP.to_string() }
    }
}

impl Http {
    /// The address, or none if switched off.
    ///
    /// # Errors
    /// It is no address.
    pub fn address(&self) -> anyhow::Result<Option<SocketAddr>> {
        if self.listen == "off" {
            return Ok(None);
        }
        let parsed = self.listen.parse();
        parsed
            .map(Some)
            .with_context(|| format!("http.listen {:?}: write address and port, such as {HTTP}, or off", self.listen))
    }
}

/// The log, which goes to standard error.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Log {
    /// error, warn, info, debug or trace, also by room: `info,fieldgate::bus=debug`.
    #[schemars(length(max = 256))]
    pub level: String,
    /// Lines for people or JSON for machines.
    pub format: log::Format,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: log::Format::default() }
    }
}

impl Settings {
    /// Reads a settings file.
    ///
    /// # Errors
    /// It cannot be read, or is not right: all mistakes, each with its line.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.display().to_string();
        let issues = Self::issues(&name, &text);
        let errors: Vec<_> = issues.iter().filter(|i| i.severity == Severity::Error).map(ToString::to_string).collect();
        if !errors.is_empty() {
            bail!("{}", errors.join("\n"));
        }
        Self::parse(&text).map_err(|error| anyhow!("{name}: {error}"))
    }

    /// Everything there is to say of a settings file, each with its line.
    pub fn issues(name: &str, text: &str) -> Vec<Issue> {
        let issues = check_document(name, text, &schema_of::<Self>());
        if issues.iter().any(|issue| issue.severity == Severity::Error) {
            return issues;
        }
        let Ok(documents) = yaml::parse(text, 0) else { return issues };
        let Some(root) = documents.roots.first() else { return issues };
        let mut found = Vec::new();
        match Self::parse(text) {
            Ok(settings) => {
                for error in settings.mqtt.check().err().into_iter().flatten() {
                    found.push(Finding::inside(root, &format!("mqtt.{}", error.path), error.message));
                }
                found.extend(
                    settings.http.address().err().map(|e| Finding::inside(root, "http.listen", format!("{e:#}"))),
                );
                found.extend(settings.node().err().map(|error| Finding::inside(root, "node", error.to_string())));
            }
            Err(error) => found.push(Finding::at(root, error)),
        }
        let mut places = Places::default();
        places.add(0, name.into(), &documents.roots);
        issues.into_iter().chain(found.into_iter().map(|finding| places.issue(finding))).collect()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let documents = yaml::parse(text, 0).map_err(|error| error.message)?;
        let json = documents.roots.first().map_or_else(|| json!({}), yaml::Node::to_json);
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    /// This node's name: as set, else `NODE_NAME`, else the host's name.
    ///
    /// # Errors
    /// None of them gives a name that fits into a topic.
    pub fn node(&self) -> anyhow::Result<String> {
        let named = self.node.clone().or_else(|| std::env::var("NODE_NAME").ok().filter(|name| !name.is_empty()));
        let name = named.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned());
        if name.is_empty() || name.contains(['/', '+', '#', '\0']) {
            bail!("node name {name:?}: it stands in topics and must not be empty nor hold / + #; set --node");
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::Settings;
    use crate::data::ClockRule;

    fn read(name: &str, text: &str) -> anyhow::Result<Settings> {
        let path = std::env::temp_dir().join(format!("fieldgate-settings-{}-{name}.yaml", std::process::id()));
        std::fs::write(&path, text)?;
        let settings = Settings::read(&path);
        std::fs::remove_file(&path)?;
        settings
    }

    #[test]
    fn a_file_is_read() {
        let text = "mqtt: { qos: 0, state: false, clock: /run/set, keepAlive: 10s, version: 3.1.1 }\nhttp: { listen: \"off\" }\n";
        let settings = read("whole", text).unwrap();
        assert_eq!((settings.mqtt.qos, settings.mqtt.state), (0, false));
        assert_eq!(settings.mqtt.clock, ClockRule::File(PathBuf::from("/run/set")));
        assert_eq!(settings.http.address().unwrap(), None);
        assert_eq!(read("empty", "").unwrap().mqtt.qos, 1);
        assert_eq!(read("clock", "mqtt: { clock: always }\n").unwrap().mqtt.clock, ClockRule::Always);
    }

    #[test]
    fn mistakes_are_told_with_what_is_accepted() {
        for (name, text, says) in [
            ("key", "mqtt: { qso: 1 }\n", "qos"),
            ("range", "mqtt: { qos: 7 }\n", "qos"),
            ("when", "mqtt: { clock: sometimes }\n", "afterBuild"),
        ] {
            let error = format!("{:#}", read(name, text).unwrap_err());
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(Settings::read(Path::new("/no/such/file")).is_err());
    }
}
