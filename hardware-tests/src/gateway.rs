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

/// A Device that is a Bluetooth sensor with four uint16, most significant byte first, in the manufacturer data of company
/// 0xFFFF: r0 to r3.
pub fn sensor_yaml(name: &str, address: &str) -> String {
    let properties = (0..4).map(|n| {
        let offset = 2 * n;
        format!("{{ name: r{n}, type: uint16, ble: {{ manufacturer: {{ company: 0xFFFF, offset: {offset} }} }} }}")
    });
    bluetooth_yaml(name, address, properties)
}

/// A Device that is connected to for one int16 that it notifies, least significant byte first: r0.
pub fn linked_yaml(name: &str, address: &str, service: &str, characteristic: &str) -> String {
    let at = format!("service: \"{service}\", uuid: \"{characteristic}\", mode: notify, offset: 0");
    let property = format!("{{ name: r0, type: int16, order: DCBA, ble: {{ characteristic: {{ {at} }} }} }}");
    bluetooth_yaml(name, address, [property])
}

fn bluetooth_yaml(name: &str, address: &str, properties: impl IntoIterator<Item = String>) -> String {
    let mut yaml = format!(
        "apiVersion: fieldgate.dev/v1alpha1\nkind: Device\nmetadata: {{ name: {name} }}\nspec:\n  protocol:\n    \
         ble: {{ address: \"{address}\" }}\n  properties:\n"
    );
    for property in properties {
        let _ = writeln!(yaml, "    - {property}");
    }
    yaml
}

/// A Device that sends frames of [`crate::serial`] on this line: r0 to r3.
pub fn serial_yaml(name: &str, line: &Path, baud: u32) -> String {
    let mut yaml = format!(
        "apiVersion: fieldgate.dev/v1alpha1\nkind: Device\nmetadata: {{ name: {name} }}\nspec:\n  protocol:\n    \
         serial: {{ path: {}, baud: {baud}, {} }}\n  properties:\n",
        line.display(),
        crate::serial::YAML
    );
    for n in 0..4 {
        let _ = writeln!(yaml, "    - {{ name: r{n}, type: uint16, serial: {{ offset: {} }} }}", 2 + 2 * n);
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
    spawn(Command::new(program), scratch, broker, &["--config".as_ref(), config.as_os_str()])
}

/// Starts `fieldgate run`; its log goes to `gateway.log` in the scratch folder.
pub fn start(program: &Path, scratch: &Path, devices: &Path, broker: u16, settings: Settings) -> Result<Running> {
    run(Command::new(program), scratch, devices, broker, settings)
}

/// The same with the BlueZ at this D-Bus address.
pub fn start_on(
    program: &Path,
    scratch: &Path,
    devices: &Path,
    broker: u16,
    settings: Settings,
    bus: &str,
) -> Result<Running> {
    let mut program = Command::new(program);
    program.env("DBUS_SYSTEM_BUS_ADDRESS", bus);
    run(program, scratch, devices, broker, settings)
}

/// The same as [`start`], with its pages on this port of 127.0.0.1.
pub fn start_watched(
    program: &Path,
    scratch: &Path,
    devices: &Path,
    broker: u16,
    settings: Settings,
    http: u16,
) -> Result<Running> {
    let mut program = Command::new(program);
    program.env("FIELDGATE_HTTP", format!("127.0.0.1:{http}"));
    run(program, scratch, devices, broker, settings)
}

fn run(program: Command, scratch: &Path, devices: &Path, broker: u16, settings: Settings) -> Result<Running> {
    let config = scratch.join("fieldgate.yaml");
    fs::write(&config, settings.yaml())?;
    let arguments = ["--devices".as_ref(), devices.as_os_str(), "--config".as_ref(), config.as_os_str()];
    spawn(program, scratch, broker, &arguments)
}

fn spawn(mut program: Command, scratch: &Path, broker: u16, arguments: &[&OsStr]) -> Result<Running> {
    let log = fs::File::create(scratch.join("gateway.log"))?;
    Running::spawn(
        program
            .args(["run", "--broker", &format!("mqtt://127.0.0.1:{broker}")])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log),
    )
}
