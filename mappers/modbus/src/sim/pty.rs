//! A pseudo-terminal: the server holds one end, a serial line's device file is the other.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustix::{
    fs::{Mode, OFlags},
    io::{ioctl_fionbio, read, write},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, unix::AsyncFd};

/// The server's end of a pty.
#[derive(Debug)]
pub struct Pty {
    master: AsyncFd<OwnedFd>,
    path: PathBuf,
    /// While the other end is open nowhere, reads would fail instead of waiting.
    _other: File,
}

impl Pty {
    /// A new pty, raw. No child process inherits it: one that did would keep the line from hanging up.
    ///
    /// # Errors
    /// The system's.
    pub fn open() -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?.into_string().map_err(io::Error::other)?;
        let other = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut settings = tcgetattr(&other)?;
        settings.make_raw();
        tcsetattr(&other, OptionalActions::Now, &settings)?;
        ioctl_fionbio(&master, true)?;
        // Deprecated since a type may hand out another descriptor each time; an `OwnedFd` cannot, and what is to
        // replace this is unsafe.
        #[allow(deprecated)]
        let master = AsyncFd::new(master)?;
        Ok(Self { master, path: name.into(), _other: other.into() })
    }

    /// The device file of the other end.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsyncRead for Pty {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.master.poll_read_ready(cx))?;
            let space = buf.initialize_unfilled();
            if let Ok(result) = guard.try_io(|fd| Ok(read(fd.get_ref(), space)?)) {
                return Poll::Ready(result.map(|n| buf.advance(n)));
            }
        }
    }
}

impl AsyncWrite for Pty {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.master.poll_write_ready(cx))?;
            if let Ok(result) = guard.try_io(|fd| Ok(write(fd.get_ref(), bytes)?)) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
