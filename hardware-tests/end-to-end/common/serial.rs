//! Serial devices of the test's own: each a task behind a pty that can be unplugged and plugged in again, and the YAML of what
//! the bridge is to know of them. A pty has no baud rate: what is sent is there at once, unless the task paces it.

use std::{fmt::Write as _, future::Future, os::unix::fs::symlink, path::PathBuf, time::Duration};

use mapper_modbus::sim::Pty;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
    time::sleep,
};

use super::{
    bridge::{Folder, fieldgate},
    site::Site,
};

/// A serial Device: its endpoint (in flow style, without the braces) and properties, each `name: rest of it`.
pub fn device(name: &str, endpoint: &str, properties: &[(&str, &str)]) -> String {
    let mut text = format!(
        "apiVersion: fieldgate.dev/v1alpha1\nkind: Device\nmetadata: {{ name: {name} }}\nspec:\n  \
         protocol:\n    serial: {{ {endpoint} }}\n  pollEvery: 200ms\n  properties:\n"
    );
    for (name, rest) in properties {
        let _ = writeln!(text, "    - {{ name: {name}, {rest} }}");
    }
    text
}

/// Starts the bridge with these devices (name and YAML).
pub async fn site(devices: &[(&str, String)]) -> Site {
    Site::with(fieldgate(), devices, &[], "info,mapper_serial=debug,mapper_tty=debug,fieldgate::bus=debug").await
}

/// A place where a serial device is plugged in: a name that stays, as those below `/dev/serial/by-id` do.
pub struct Socket {
    folder: Folder,
    device: Option<JoinHandle<()>>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.device.iter().for_each(JoinHandle::abort);
    }
}

impl Socket {
    /// An empty one.
    pub fn new() -> Self {
        Self { folder: Folder::new(), device: None }
    }

    /// One with this device in it.
    pub fn with<F: Future<Output = ()> + Send + 'static>(device: impl FnOnce(Pty) -> F) -> Self {
        let mut socket = Self::new();
        socket.plug(device);
        socket
    }

    /// The name of the line.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("line")
    }

    /// `path: ...` of an endpoint.
    pub fn line(&self) -> String {
        format!("path: {}", self.path().display())
    }

    /// Plugs a device in.
    pub fn plug<F: Future<Output = ()> + Send + 'static>(&mut self, device: impl FnOnce(Pty) -> F) {
        assert!(self.device.is_none(), "something is plugged in");
        let pty = Pty::open().unwrap();
        symlink(pty.path(), self.path()).unwrap();
        self.device = Some(tokio::spawn(device(pty)));
    }

    /// Pulls it out: the line hangs up, and its name is gone.
    pub async fn unplug(&mut self) {
        let device = self.device.take().expect("something is plugged in");
        device.abort();
        // It is gone once its task is dropped.
        let _ = device.await;
        std::fs::remove_file(self.path()).unwrap();
    }
}

/// Says something again and again, until it is pulled out.
pub async fn speak(mut pty: Pty, every: Duration, mut next: impl FnMut(u64) -> Vec<u8>) {
    for n in 0.. {
        // Whoever does not read loses it; a device cannot know.
        let _ = tokio::time::timeout(Duration::from_millis(100), pty.write_all(&next(n))).await;
        sleep(every).await;
    }
}

/// Answers lines that end with this byte, each by what is given back, if anything.
pub async fn answer(mut pty: Pty, end: u8, mut reply: impl FnMut(&str) -> Option<Vec<u8>>) {
    let (mut asked, mut buffer) = (Vec::new(), [0; 256]);
    while let Ok(count @ 1..) = pty.read(&mut buffer).await {
        asked.extend_from_slice(&buffer[..count]);
        while let Some(at) = asked.iter().position(|byte| *byte == end) {
            let line: Vec<u8> = asked.drain(..=at).collect();
            if let Some(reply) = reply(&String::from_utf8_lossy(&line)) {
                let _ = pty.write_all(&reply).await;
            }
        }
    }
}

/// A value as a whole number.
pub fn number(value: &serde_json::Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number"))
}
