//! The real binary: `fieldgate run` on a folder of the test's own.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use fieldgate::observe::health;
use serde_json::Value as Json;

use super::until;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The binary, deaf to the settings of whoever runs the tests.
pub fn fieldgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    for (name, _) in std::env::vars_os() {
        if name == "NODE_NAME" || name.to_string_lossy().starts_with("FIELDGATE_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// A folder that goes with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fieldgate-run-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in place, as a shell would.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A Device with these properties, each `name: rest of it`, polled every 100 ms.
pub fn device(name: &str, endpoint: &str, properties: &[(&str, &str)]) -> String {
    let mut text = format!(
        "apiVersion: fieldgate.dev/v1alpha1\nkind: Device\nmetadata: {{ name: {name} }}\nspec:\n  \
         protocol:\n    modbus: {endpoint}\n  pollEvery: 100ms\n  properties:\n"
    );
    for (name, rest) in properties {
        let _ = writeln!(text, "    - {{ name: {name}, {rest} }}");
    }
    text
}

/// The rest of a property that reads one input register.
pub const LEVEL: &str = "type: uint16, modbus: { table: inputRegister, register: 0 }";

/// A running bridge.
pub struct Bridge {
    child: Child,
    files: Folder,
    pub http: SocketAddr,
}

impl Bridge {
    /// Starts it on a folder of devices, and waits until it listens for HTTP.
    pub async fn start(devices: &Path, broker: &str) -> Self {
        Self::start_with(devices, broker, &[]).await
    }

    /// The same with further flags.
    pub async fn start_with(devices: &Path, broker: &str, more: &[&str]) -> Self {
        let flags = ["--node", "gw-1", "--devices", devices.to_str().unwrap(), "--broker", broker];
        Self::with(&[&flags, more].concat()).await
    }

    /// Starts it with these flags, and waits until it listens for HTTP.
    pub async fn with(flags: &[&str]) -> Self {
        Self::from(fieldgate(), flags).await
    }

    /// The same with an environment of its own.
    pub async fn from(mut program: Command, flags: &[&str]) -> Self {
        let files = Folder::new();
        let child = program
            .args(["run", "--http", "127.0.0.1:0", "--log-format", "json"])
            .args(flags)
            .stdout(Stdio::null())
            .stderr(File::create(files.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut bridge = Self { child, files, http: SocketAddr::from(([127, 0, 0, 1], 0)) };
        bridge.http = until("the HTTP listener", async || {
            assert!(bridge.child.try_wait().unwrap().is_none(), "it ended: {}", bridge.log());
            let log = bridge.log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
            lines
                .filter(|line| line["message"] == "Listening for HTTP.")
                .find_map(|l| l["address"].as_str()?.parse().ok())
        })
        .await;
        bridge
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.files.path().join("log")).unwrap_or_default()
    }

    /// How often it began to serve this device, or to serve it anew.
    pub fn taken_on(&self, device: &str) -> usize {
        let log = self.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
        lines.filter(|line| line["message"] == "Device taken on." && line["device"] == device).count()
    }

    /// A page that answers 200.
    pub async fn page(&self, path: &str) -> String {
        health::get(self.http, path, Duration::from_secs(20)).await.unwrap()
    }

    /// What `/devices` says of a device, when it fits.
    pub async fn shows(&self, device: &str, what: &str, fits: impl Fn(&Json) -> bool) -> Json {
        until(&format!("/devices: {device}: {what}"), async || {
            let all: Json = serde_json::from_str(&self.page("/devices").await).unwrap();
            Some(all["devices"][device].clone()).filter(&fits)
        })
        .await
    }

    /// Sends a signal: TERM, KILL.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(format!("-{name}")).arg(id).status().unwrap().success());
    }

    /// How it ended.
    pub async fn ended(&mut self) -> ExitStatus {
        until("the bridge's end", async || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the bridge's log:\n{}", self.log());
        }
    }
}

/// The condition of this type in a device of `/devices`.
pub fn condition<'a>(device: &'a Json, type_: &str) -> &'a Json {
    let all = device["status"]["conditions"].as_array();
    all.into_iter().flatten().find(|c| c["type"] == type_).unwrap_or(&Json::Null)
}
