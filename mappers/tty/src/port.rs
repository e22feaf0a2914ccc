//! An open line, whatever carries it. It never gives an empty read: a line that is gone is an error, once and for all.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::io::Errno;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, sleep, sleep_until},
};
use tokio_serial::{ClearBuffer, SerialPort as _, SerialStream};

use crate::{echo::Echo, rfc2217::Remote, settings::Settings, tty};

/// An open serial line.
pub struct Port {
    way: Way,
    /// Zero where the wire is not ours.
    character: Duration,
    settings: Settings,
    /// When the last bit that was written will have left.
    busy: Option<Instant>,
    echo: Option<Box<Echo>>,
}

pub(crate) enum Way {
    Tty(SerialStream),
    Tcp(TcpStream),
    Remote(Box<Remote>),
}

/// A USB adapter gets its bytes up to two of USB's frames later than they were written.
const USB: Duration = Duration::from_millis(2);

/// What is said of a connection that ended.
const CLOSED: &str = "the other side closed the connection";

impl Port {
    pub(crate) fn new(way: Way, settings: &Settings) -> Self {
        let mut port = Self { way, character: Duration::ZERO, settings: *settings, busy: None, echo: None };
        port.echo = settings.echo.then(Box::default);
        port.pace();
        port
    }

    fn pace(&mut self) {
        self.character = match self.way {
            Way::Tcp(_) => Duration::ZERO,
            Way::Tty(_) | Way::Remote(_) => self.settings.character(),
        };
    }

    /// Waits until what was written has left: by the driver's queue, and by the time that its bits take, since chips have
    /// queues of their own. Over raw TCP nothing is known of that, and it does not wait. A line that is held up by flow
    /// control is waited for without end. May be dropped.
    ///
    /// # Errors
    /// The line is gone.
    pub async fn drained(&mut self) -> io::Result<()> {
        loop {
            std::future::poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await?;
            if let Some(busy) = self.busy {
                sleep_until(busy).await;
            }
            let queued = match &self.way {
                Way::Tty(line) => line.bytes_to_write().map_err(|error| tty::failed(&error))?,
                Way::Tcp(_) | Way::Remote(_) => 0,
            };
            if queued == 0 {
                self.busy = None;
                return Ok(());
            }
            sleep((self.character * queued).max(USB)).await;
        }
    }

    /// Sets another rate once all that was written has left.
    ///
    /// # Errors
    /// The rate is not taken, or the line is gone. Over raw TCP no rate can be set.
    pub async fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        self.drained().await?;
        match &mut self.way {
            Way::Tty(line) => tty::set_baud(line, baud)?,
            Way::Remote(remote) => remote.set_baud(baud).await?,
            Way::Tcp(_) => {
                let message =
                    "over raw TCP the rate is set at the other side; one that speaks RFC 2217 takes it (rfc2217)";
                return Err(io::Error::new(io::ErrorKind::Unsupported, message));
            }
        }
        self.settings.baud = baud;
        self.pace();
        Ok(())
    }

    /// Drops what came and was not read, as far as it has arrived here. Waits for nothing.
    ///
    /// # Errors
    /// The line is gone.
    pub fn discard_input(&mut self) -> io::Result<()> {
        if let Some(echo) = &mut self.echo {
            echo.forget();
        }
        match &mut self.way {
            Way::Tty(line) => line.clear(ClearBuffer::Input).map_err(|error| tty::failed(&error)),
            Way::Tcp(stream) => discard(stream),
            Way::Remote(remote) => remote.discard_input(),
        }
    }

    /// The settings that it has now.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// An error of the system in people's words.
    fn words(&self, error: io::Error) -> io::Error {
        let gone =
            [Errno::IO, Errno::NXIO, Errno::NODEV].iter().any(|e| error.raw_os_error() == Some(e.raw_os_error()));
        if gone && matches!(self.way, Way::Tty(_)) { self.end() } else { error }
    }

    fn end(&self) -> io::Error {
        if matches!(self.way, Way::Tty(_)) { tty::gone() } else { closed() }
    }
}

pub(crate) fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, CLOSED)
}

fn discard(stream: &TcpStream) -> io::Result<()> {
    let mut bytes = [0; 512];
    loop {
        match stream.try_read(&mut bytes) {
            Ok(0) => return Err(closed()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

impl Drop for Port {
    /// The last close of a tty would hold this thread until its queue has left, up to half a minute at a line that is held
    /// up: what has not left is dropped. Who wants it sent waits with [`Port::drained`].
    fn drop(&mut self) {
        if let Way::Tty(line) = &self.way
            && line.bytes_to_write().is_ok_and(|queued| queued > 0)
        {
            let _ = line.clear(ClearBuffer::Output);
        }
    }
}

impl AsyncRead for Port {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let port = self.get_mut();
        let before = buf.filled().len();
        while buf.remaining() > 0 {
            let read = match &mut port.way {
                Way::Tty(line) => Pin::new(line).poll_read(cx, buf),
                Way::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
                Way::Remote(remote) => remote.poll_read(cx, buf),
            };
            ready!(read).map_err(|error| port.words(error))?;
            if buf.filled().len() == before {
                return Poll::Ready(Err(port.end()));
            }
            let Some(echo) = &mut port.echo else { break };
            let heard = echo.strip(&mut buf.filled_mut()[before..]);
            buf.set_filled(before + heard);
            if heard > 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Port {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let port = self.get_mut();
        let written = match &mut port.way {
            Way::Tty(line) => Pin::new(line).poll_write(cx, bytes),
            Way::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Way::Remote(remote) => remote.poll_write(cx, bytes),
        };
        let written = ready!(written).map_err(|error| port.words(error))?;
        if written == 0 && !bytes.is_empty() {
            return Poll::Ready(Err(port.end()));
        }
        if let Some(echo) = &mut port.echo {
            echo.sent(&bytes[..written]);
        }
        if !port.character.is_zero() {
            let soon = Instant::now() + USB;
            port.busy = Some(
                port.busy.map_or(soon, |busy| busy.max(soon))
                    + port.character * u32::try_from(written).unwrap_or(u32::MAX),
            );
        }
        Poll::Ready(Ok(written))
    }

    /// Hands everything to the system. It does not wait until a tty has sent it, which would hold the thread:
    /// [`Port::drained`] does, without.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().way {
            Way::Tty(_) | Way::Tcp(_) => Poll::Ready(Ok(())),
            Way::Remote(remote) => remote.poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().way {
            Way::Tty(_) => Poll::Ready(Ok(())),
            Way::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Way::Remote(remote) => remote.poll_shutdown(cx),
        }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match &self.way {
            Way::Tty(_) => "tty",
            Way::Tcp(_) => "tcp",
            Way::Remote(_) => "rfc2217",
        };
        write!(f, "Port({way}, {})", self.settings)
    }
}
