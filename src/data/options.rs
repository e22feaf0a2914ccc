//! The settings of the data path, as the bridge's settings file holds them.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The broker, and how readings go to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Options {
    /// The broker's address: `mqtt://host` or `mqtt://host:port`; port 1883 if left out.
    pub broker: String,
    /// The protocol version: `5` or `3.1.1`.
    pub version: Version,
    /// Quality of service of everything published: 0 or 1. With 1 a reading is released only when the broker has it.
    #[schemars(range(min = 0, max = 1))]
    pub qos: u8,
    /// The first level of every topic; it may itself have several levels.
    pub root: String,
    /// The client identifier; `fieldgate-<node>` if left out. It must be unique at the broker, and stay the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A file that holds the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// After how long a silent connection is tested, such as `30s`; at least `5s`.
    #[schemars(with = "fieldgate_crds::Duration")]
    pub keep_alive: fieldgate_crds::Duration,
    /// How many bytes of readings may wait for the broker; past it the oldest are dropped and counted.
    pub outbox_bytes: usize,
    /// The largest message, in bytes; larger ones are dropped and counted. The broker's own limit counts too.
    pub max_message_bytes: u32,
    /// Whether the retained `state` of each device is kept.
    pub state: bool,
    /// After how many unanswered exchanges in a row a device counts as offline.
    #[schemars(range(min = 1, max = 100))]
    pub offline_after: u32,
    /// When the clock may be trusted: `afterBuild`, `always`, or the whole path of a file that must exist, such as
    /// `/run/systemd/timesync/synchronized`.
    #[schemars(with = "String")]
    pub clock: ClockRule,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            broker: "mqtt://localhost".into(),
            version: Version::default(),
            qos: 1,
            root: "fieldgate".into(),
            client_id: None,
            username: None,
            password_file: None,
            keep_alive: fieldgate_crds::Duration(Duration::from_secs(30)),
            outbox_bytes: 4 << 20,
            max_message_bytes: 256 << 10,
            state: true,
            offline_after: 3,
            clock: ClockRule::default(),
        }
    }
}

/// A protocol version of MQTT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Version {
    /// MQTT 5.
    #[default]
    #[serde(rename = "5")]
    V5,
    /// MQTT 3.1.1.
    #[serde(rename = "3.1.1")]
    V4,
}

/// When the clock may be trusted. Before that messages wait up to 30 s after the start for the right time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClockRule {
    /// `afterBuild`: when it shows a date after this program's build.
    #[default]
    AfterBuild,
    /// The path of a file: as `afterBuild`, and not before this file exists.
    File(PathBuf),
    /// `always`.
    Always,
}

impl TryFrom<String> for ClockRule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "afterBuild" => Ok(Self::AfterBuild),
            "always" => Ok(Self::Always),
            path if path.starts_with('/') => Ok(Self::File(path.into())),
            other => Err(format!("clock {other:?}: write afterBuild, always, or the whole path of a file")),
        }
    }
}

impl From<ClockRule> for String {
    fn from(rule: ClockRule) -> Self {
        match rule {
            ClockRule::AfterBuild => "afterBuild".into(),
            ClockRule::Always => "always".into(),
            ClockRule::File(path) => path.to_string_lossy().into_owned(),
        }
    }
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mqtt.{path}: {message}")]
pub struct OptionsError {
    /// The key.
    pub path: &'static str,
    /// What is wrong and what would be accepted.
    pub message: String,
}

/// The broker's host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address; an IPv6 address in brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Options {
    /// The broker's address.
    ///
    /// # Errors
    /// Schemes that this version does not speak, and what is no address.
    pub fn address(&self) -> Result<Address, OptionsError> {
        let refuse = |message: String| Err(OptionsError { path: "broker", message });
        let accepted = "write mqtt://host or mqtt://host:port";
        if self.broker.contains('@') {
            // Not quoted: it may hold a password.
            return refuse(format!(
                "user and password do not stand in the address; use username and passwordFile; {accepted}"
            ));
        }
        let Some((scheme, rest)) = self.broker.split_once("://") else {
            return refuse(format!("{:?} is no broker address; {accepted}", self.broker));
        };
        if scheme != "mqtt" {
            // The rest is left out: it may carry a password.
            return refuse(format!("{scheme}:// is not supported (no TLS and no WebSocket yet); {accepted}"));
        }
        if rest.contains('@') {
            return refuse(format!(
                "user and password do not belong in the address; use username and passwordFile; {accepted}"
            ));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => match port.parse() {
                Ok(port) if port != 0 => (host, port),
                _ => return refuse(format!("{port:?} is no port; 1 to 65535 are accepted")),
            },
            _ => (rest, 1883),
        };
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        if host.is_empty() || host.contains(['/', ' ', '?']) || (bare.is_none() && host.contains(':')) {
            return refuse(format!("{:?} is no broker address; {accepted}", self.broker));
        }
        Ok(Address { host: host.into(), port })
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// Every mistake, each with its key and what would be accepted.
    pub fn check(&self) -> Result<(), Vec<OptionsError>> {
        let mut errors = Vec::new();
        let mut refuse = |path, message: String| errors.push(OptionsError { path, message });
        if let Err(error) = self.address() {
            refuse(error.path, error.message);
        }
        if self.qos > 1 {
            refuse("qos", format!("{} is not supported; 0 and 1 are", self.qos));
        }
        if self.root.is_empty()
            || self.root.contains(['+', '#', '\0'])
            || self.root.starts_with(['/', '$'])
            || self.root.ends_with('/')
        {
            refuse("root", format!("{:?} is no topic root; write levels such as plant-a/fieldgate", self.root));
        }
        if self.keep_alive.0 < Duration::from_secs(5) || self.keep_alive.0 > Duration::from_secs(65_535) {
            refuse("keepAlive", format!("{} is not in 5s..65535s", self.keep_alive));
        }
        if self.client_id.as_deref() == Some("") {
            refuse("clientId", "it must not be empty".into());
        }
        if self.password_file.is_some() && self.username.is_none() {
            refuse("passwordFile", "a password needs a username".into());
        }
        if self.outbox_bytes < 4096 {
            refuse("outboxBytes", format!("{} is less than 4096", self.outbox_bytes));
        }
        if self.max_message_bytes < 1024 {
            refuse("maxMessageBytes", format!("{} is less than 1024", self.max_message_bytes));
        }
        if self.offline_after == 0 {
            refuse("offlineAfter", "0 is not in 1..100".into());
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn addresses() {
        let parse = |broker: &str| Options { broker: broker.into(), ..Options::default() }.address();
        for (text, host, port) in [
            ("mqtt://gw", "gw", 1883),
            ("mqtt://10.0.0.1:1884/", "10.0.0.1", 1884),
            ("mqtt://[::1]:1884", "[::1]", 1884),
            ("mqtt://[::1]", "[::1]", 1883),
        ] {
            let address = parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port));
        }
        for text in
            ["gw:1883", "mqtts://gw", "ws://gw", "mqtt://", "mqtt://gw:0", "mqtt://gw:x", "mqtt://a b", "mqtt://::1"]
        {
            assert!(!parse(text).unwrap_err().message.is_empty(), "{text}");
        }
        for text in ["mqtt://me:secret@gw", "me:secret@gw"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("passwordFile") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let wrong = Options {
            broker: "x".into(),
            qos: 2,
            root: "a/#".into(),
            keep_alive: "1s".parse().unwrap(),
            offline_after: 0,
            ..Options::default()
        };
        assert_eq!(wrong.check().unwrap_err().len(), 5);
        assert_eq!(Options::default().check(), Ok(()));
    }
}
