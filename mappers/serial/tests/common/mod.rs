//! What the tests share: a pty whose far end is played by a thread, and one call that binds a device.
#![allow(dead_code)] // each test file uses its part

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use mapper_api::{Access, BoundDevice, ByteOrder, DataType, Mapper, Point};
use mapper_serial::Serial;
use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use serde_json::Value as Json;

/// A serial line. Its far end can be unplugged.
pub struct Line {
    pub far: File,
    pub path: PathBuf,
    /// While nobody has the near end open, reads at the far end would fail instead of waiting.
    near: OwnedFd,
}

impl Line {
    pub fn new() -> Self {
        let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&far).unwrap();
        unlockpt(&far).unwrap();
        let path = PathBuf::from(ptsname(&far, Vec::new()).unwrap().into_string().unwrap());
        let near = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let mut settings = tcgetattr(&near).unwrap();
        settings.make_raw();
        tcsetattr(&near, OptionalActions::Now, &settings).unwrap();
        Self { far: far.into(), path, near }
    }

    /// Sends by itself.
    pub fn say(&self, bytes: &[u8]) {
        (&self.far).write_all(bytes).unwrap();
    }

    /// How many bytes it has said that nobody has read.
    pub fn waiting(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.near).unwrap()
    }

    /// Answers each request by what `device` says, until the line is given up. Requests end with a carriage return.
    pub fn serve(&self, mut device: impl FnMut(&str) -> Vec<u8> + Send + 'static) {
        let mut far = self.far.try_clone().unwrap();
        thread::spawn(move || {
            let mut request = Vec::new();
            let mut bytes = [0; 256];
            while let Ok(n @ 1..) = far.read(&mut bytes) {
                for byte in &bytes[..n] {
                    request.push(*byte);
                    if *byte == b'\r' {
                        let answer = device(&String::from_utf8_lossy(&std::mem::take(&mut request)));
                        if far.write_all(&answer).is_err() {
                            return;
                        }
                    }
                }
            }
        });
    }

    /// Says the next thing again and again, as fast as it is read.
    pub fn talk(&self, mut next: impl FnMut() -> Vec<u8> + Send + 'static) {
        let mut far = self.far.try_clone().unwrap();
        thread::spawn(move || while far.write_all(&next()).is_ok() {});
    }
}

/// A link to a line, that can be plugged out and in.
pub struct Plug(PathBuf);

impl Plug {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mapper-serial-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> PathBuf {
        self.0.join("tty")
    }

    pub fn plug(&self, line: &Line) {
        std::os::unix::fs::symlink(&line.path, self.path()).unwrap();
    }

    pub fn unplug(&self) {
        fs::remove_file(self.path()).unwrap();
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An endpoint on this line.
pub fn on(path: &Path, mut endpoint: Json) -> Json {
    endpoint["path"] = path.to_str().unwrap().into();
    endpoint
}

/// A device with these addresses and types, all of them writable where they say how.
pub fn bind(serial: &Arc<Serial>, endpoint: &Json, points: &[(Json, DataType)]) -> Arc<dyn BoundDevice> {
    let points = points.iter().map(|(address, data_type)| Point {
        address,
        data_type: *data_type,
        order: ByteOrder::Abcd,
        size: None,
        access: if address.get("write").is_some() { Access::ReadWrite } else { Access::Read },
    });
    serial.clone().bind(endpoint, points.collect()).unwrap_or_else(|errors| panic!("{errors:?}"))
}
