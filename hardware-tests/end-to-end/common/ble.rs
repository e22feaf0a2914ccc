//! Bluetooth devices of the running bridge: their YAML, and a bridge on a BlueZ.

use std::fmt::Write as _;

use super::bridge::fieldgate;
pub use super::site::{Site, near};

/// A Bluetooth Device with these properties, each `name: rest of it`, polled every 500 ms.
pub fn device(name: &str, endpoint: &str, properties: &[(&str, &str)]) -> String {
    let mut text = format!(
        "apiVersion: fieldgate.dev/v1alpha1\nkind: Device\nmetadata: {{ name: {name} }}\nspec:\n  \
         protocol:\n    ble: {endpoint}\n  pollEvery: 500ms\n  properties:\n"
    );
    for (name, rest) in properties {
        let _ = writeln!(text, "    - {{ name: {name}, {rest} }}");
    }
    text
}

/// The rest of a property that is a measure of advertisements.
pub fn reading(name: &str) -> String {
    format!("type: float32, ble: {{ reading: {name} }}")
}

impl Site {
    /// Starts the bridge on the BlueZ at this D-Bus address, with these devices (name and YAML) and secrets (`name/key` and
    /// content).
    pub async fn start(dbus: &str, devices: &[(&str, String)], secrets: &[(&str, &str)]) -> Self {
        let mut program = fieldgate();
        program.env("DBUS_SYSTEM_BUS_ADDRESS", dbus);
        Self::with(program, devices, secrets, "info,mapper_ble=debug,fieldgate::bus=debug").await
    }
}
