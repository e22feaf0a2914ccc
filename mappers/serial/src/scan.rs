//! Which serial ports there are: what their USB adapters say of themselves, who has them open, and a Device's spec to start
//! from. It opens no port: opening one moves its DTR wire, which resets many a device.

use std::{path::Path, time::Duration};

use mapper_api::{BoxFuture, Discovery, Error, ErrorKind, Found, Json, Result};
use mapper_tty::{Listed, System, Usb, Watch};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::{task::spawn_blocking, time::sleep};

/// What a scan may be told: nothing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Args {}

/// So many ports are shown.
const MOST: usize = 256;
/// udev makes the names of a port that was plugged in within this.
const TOGETHER: Duration = Duration::from_millis(250);
/// The longest line that the draft takes.
const LONGEST: u32 = 128;

/// A scan that is under way.
#[derive(Debug)]
pub(crate) struct Scan {
    system: System,
    watch: Watch,
    /// Something has changed that was not looked at yet.
    due: bool,
    last: Option<Vec<Found>>,
}

/// Begins one.
///
/// # Errors
/// The arguments are wrong, or the system lets nobody watch.
pub(crate) fn begin(args: &Json) -> Result<Scan> {
    Args::deserialize(args).map_err(|error| Error::new(ErrorKind::Config, error.to_string()))?;
    Scan::on(System::default())
}

impl Scan {
    fn on(system: System) -> Result<Self> {
        if !system.sys.join("class/tty").is_dir() {
            let message =
                format!("{} tells nothing of serial ports; a container needs the host's", system.sys.display());
            return Err(Error::new(ErrorKind::Unreachable, message));
        }
        Ok(Self { system, watch: Watch::new().map_err(|error| unwatched(&error))?, due: true, last: None })
    }
}

fn unwatched(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Unreachable, format!("cannot watch for ports: {error}"))
}

impl Discovery for Scan {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Found>>> {
        Box::pin(async {
            loop {
                if !self.due {
                    self.watch.changed().await.map_err(|error| unwatched(&error))?;
                    self.due = true;
                }
                if self.last.is_some() {
                    sleep(TOGETHER).await;
                }
                // Watched first, then looked at: what changes in between is seen the next time.
                for folder in ["", "serial/by-id", "serial/by-path"] {
                    self.watch.folder(&self.system.dev.join(folder)).map_err(|error| unwatched(&error))?;
                }
                let system = self.system.clone();
                let ports = spawn_blocking(move || system.list()).await;
                let ports = ports.map_err(|error| Error::new(ErrorKind::Unreachable, error.to_string()))?;
                self.due = false;
                let found: Vec<_> = ports.iter().take(MOST).map(found).collect();
                if self.last.as_ref() != Some(&found) {
                    self.last = Some(found.clone());
                    return Ok(found);
                }
            }
        })
    }
}

fn found(port: &Listed) -> Found {
    let usb = port.usb.as_ref();
    let text = |of: fn(&Usb) -> Option<&String>| usb.and_then(of).cloned().unwrap_or_default();
    let name = port.path.file_name().unwrap_or(port.path.as_os_str()).to_string_lossy().into_owned();
    let lasting = lasting(port).map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    Found {
        id: name,
        about: vec![
            ("port", port.path.to_string_lossy().into_owned()),
            ("usb", usb.map(|usb| format!("{:04x}:{:04x}", usb.vendor, usb.product)).unwrap_or_default()),
            ("maker", text(|usb| usb.manufacturer.as_ref())),
            ("product", text(|usb| usb.product_name.as_ref())),
            ("serial number", text(|usb| usb.serial_number.as_ref())),
            ("driver", port.driver.clone().unwrap_or_default()),
            ("held by", port.holder.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("path", lasting),
        ],
        draft: Ok(draft(port)),
    }
}

/// The name that is still this port's after it was plugged in again: by the adapter's serial number where it has one, else by
/// its place, since two adapters without a number have one and the same name by id.
fn lasting(port: &Listed) -> Option<&Path> {
    let numbered = port.usb.as_ref().is_some_and(|usb| usb.serial_number.is_some());
    let (first, second) = if numbered { (&port.by_id, &port.by_path) } else { (&port.by_path, &port.by_id) };
    first.first().or_else(|| second.first()).map(std::path::PathBuf::as_path)
}

/// A Device that shows each line of text that comes, at the rate that most devices are set to.
fn draft(port: &Listed) -> Json {
    let mut endpoint =
        json!({ "baud": 9600, "frame": { "end": r"\n", "max": LONGEST }, "messages": [{ "name": "line" }] });
    match (lasting(port), &port.usb) {
        (Some(path), _) => endpoint["path"] = json!(path.to_string_lossy()),
        (None, None) => endpoint["path"] = json!(port.path.to_string_lossy()),
        // A container without the names that udev makes.
        (None, Some(usb)) => endpoint["usb"] = identity(usb),
    }
    let line = json!({ "name": "line", "type": "string", "size": LONGEST, "serial": { "raw": true } });
    json!({ "protocol": { "serial": endpoint }, "properties": [line] })
}

/// What tells an adapter apart, as YAML says it.
fn identity(usb: &Usb) -> Json {
    let mut identity = json!({ "vendor": format!("{:04x}", usb.vendor), "product": format!("{:04x}", usb.product) });
    if let Some(serial) = &usb.serial_number {
        identity["serialNumber"] = json!(serial);
    }
    if let Some(interface) = usb.interface {
        identity["interface"] = json!(interface);
    }
    identity
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
