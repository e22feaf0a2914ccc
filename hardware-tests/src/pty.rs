//! A pseudo terminal in raw mode, as the two ends of a serial line.

use std::{fs::File, io, os::fd::OwnedFd, path::PathBuf};

use anyhow::{Context, Result};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};

/// The two ends. The far one is held open, so that the near one does not see a hang-up between two users.
pub struct Pty {
    /// The near end: the devices' side.
    pub near: File,
    /// The far end, held open.
    pub far: OwnedFd,
    /// The far end's path, for who opens it as a serial port.
    pub path: PathBuf,
}

/// Opens a pair. No child process inherits it: one that did would keep the line from hanging up. Parity and speed mean nothing on it: who needs a baud rate paces the bytes.
pub fn open() -> Result<Pty> {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
        .map_err(io::Error::from)
        .context("cannot open a pty")?;
    grantpt(&near).map_err(io::Error::from)?;
    unlockpt(&near).map_err(io::Error::from)?;
    let path = PathBuf::from(ptsname(&near, Vec::new()).map_err(io::Error::from)?.into_string()?);
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let far = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).map_err(io::Error::from)?;
    let mut settings = tcgetattr(&far).map_err(io::Error::from)?;
    settings.make_raw();
    tcsetattr(&far, OptionalActions::Now, &settings).map_err(io::Error::from)?;
    Ok(Pty { near: File::from(near), far, path })
}
