//! The gateway from outside: its command line, its settings file, its devices as YAML.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::child::Running;

/// What a run of the gateway is set to.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// QoS of `readings`.
    pub qos: u8,
    /// Whether `state` is published.
    pub state: bool,
}

impl Settings {
    /// The bridge's settings file. The one place that knows its keys.
    fn yaml(self) -> String {
        let Self { qos, state } = self;
        format!("mqtt:\n  qos: {qos}\n  state: {state}\nhttp:\n  listen: \"off\"\n")
    }
}

/// How the device of a YAML is reached.
pub enum Endpoint<'a> {
    /// Modbus TCP on this port of 127.0.0.1.
    Tcp(u16),
    /// Modbus RTU at 9600 8E1, time-out 300 ms.
    Rtu(&'a Path, u8),
}

/// A Device of `registers` uint16 holding registers named r0, r1 and so on.
pub fn device_yaml(name: &str, endpoint: &Endpoint, registers: u16, period_ms: u64) -> String {
    let endpoint = match endpoint {
        Endpoint::Tcp(port) => format!("{{ tcp: \"127.0.0.1:{port}\", unit: 1 }}"),
        Endpoint::Rtu(path, unit) => format!(
            "{{ serial: {{ path: {}, baud: 9600, parity: even, stopBits: 1 }}, framing: rtu, unit: {unit}, timeout: 300ms }}",
            path.display()
        ),
    };
    let mut yaml = format!(
        "apiVersion: fieldgate.dev/v1alpha1\nkind: Device\nmetadata: {{ name: {name} }}\nspec:\n  protocol:\n    \
         modbus: {endpoint}\n  pollEvery: {period_ms}ms\n  properties:\n"
    );
    for register in 0..registers {
        let _ = writeln!(
            yaml,
            "    - {{ name: r{register}, type: uint16, modbus: {{ table: holdingRegister, register: {register} }} }}"
        );
    }
    yaml
}

/// Writes one file per device below `folder`, which is emptied first. Returns the folder.
pub fn write_devices(folder: &Path, devices: impl IntoIterator<Item = (String, String)>) -> Result<PathBuf> {
    let folder = folder.join("devices");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir(&folder)?;
    for (name, yaml) in devices {
        fs::write(folder.join(format!("{name}.yaml")), yaml)?;
    }
    Ok(folder)
}

/// A gateway that is fed by an API server.
pub struct Fed<'a> {
    /// The node's name.
    pub node: &'a str,
    /// How it reaches the API server.
    pub kubeconfig: &'a Path,
    /// Where it keeps what it must know after a restart.
    pub state: &'a Path,
}

/// Starts `fieldgate run` fed by an API server, with the defaults of everything else; its log goes to `gateway.log` in
/// the scratch folder.
pub fn start_fed(program: &Path, scratch: &Path, broker: u16, fed: &Fed) -> Result<Running> {
    let config = scratch.join("fieldgate.yaml");
    let yaml = format!(
        "node: {}\nkubernetes: {{ kubeconfig: {} }}\nstate: {}\nhttp:\n  listen: \"off\"\n",
        fed.node,
        fed.kubeconfig.display(),
        fed.state.display()
    );
    fs::write(&config, yaml)?;
    spawn(program, scratch, broker, &["--config".as_ref(), config.as_os_str()])
}

/// Starts `fieldgate run`; its log goes to `gateway.log` in the scratch folder.
pub fn start(program: &Path, scratch: &Path, devices: &Path, broker: u16, settings: Settings) -> Result<Running> {
    let config = scratch.join("fieldgate.yaml");
    fs::write(&config, settings.yaml())?;
    let arguments = ["--devices".as_ref(), devices.as_os_str(), "--config".as_ref(), config.as_os_str()];
    spawn(program, scratch, broker, &arguments)
}

fn spawn(program: &Path, scratch: &Path, broker: u16, arguments: &[&OsStr]) -> Result<Running> {
    let log = fs::File::create(scratch.join("gateway.log"))?;
    Running::spawn(
        Command::new(program)
            .args(["run", "--broker", &format!("mqtt://127.0.0.1:{broker}")])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log),
    )
}
