//! The I/O face of a mapper: one owner, one exchange at a time.

use std::{fmt, future::Future, time::Duration};

use crate::{Error, ErrorKind, Protocol, Result};

/// What must not be shared, and the settings that belong to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BusKey {
    /// The resource itself, such as `tcp:10.0.0.7:502` or `serial:/dev/ttyUSB0`. Two protocols that name the same
    /// resource are refused.
    pub resource: String,
    /// The settings of the resource that all its devices must share, as people write them (`9600 8E1`); empty if
    /// it has none. Devices of one resource that differ here are refused.
    pub settings: String,
}

impl fmt::Display for BusKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)
    }
}

/// Requests that the core runs one after the other without letting anything else onto the bus. Most hold one.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence<R>(pub Vec<R>);

impl<R> From<R> for Sequence<R> {
    fn from(request: R) -> Self {
        Self(vec![request])
    }
}

/// How long a request keeps its bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// When all goes well: the time that request, turn-around and answer take on the wire.
    pub wire: Duration,
    /// At the very most, the mapper's own time-out included. Past it the core takes the bus for hung and reopens it.
    pub longest: Duration,
}

/// One exclusive channel: a serial line, a connection, a radio. `&mut self` is the lock.
///
/// The core owns it, calls one method at a time, and drops it to close it.
pub trait Bus<P: Protocol>: Send + 'static {
    /// Sends one request and waits for its answer or for the mapper's own time-out. Never cancelled, but for the
    /// dead-man's limit of [`Cost::longest`], after which the bus is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] when nothing came, [`ErrorKind::BadData`] when what came does not fit the question,
    /// [`ErrorKind::Bus`] when the transport broke. What the device itself refuses is an answer, not an error:
    /// [`Protocol::decode`] tells it apart point by point.
    fn exchange(&mut self, request: &P::Request) -> impl Future<Output = Result<P::Answer>> + Send;

    /// Called after a time-out or an answer that did not fit: makes sure that no late byte can be taken for the
    /// next answer. The connection should live, since other devices share it.
    ///
    /// # Errors
    /// Any error makes the core reopen the bus.
    fn resynchronise(&mut self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Waits for a frame that nobody asked for: an advertisement, a notification, a meter that only talks. The core
    /// waits here whenever it has nothing to ask. Frames that arrive during an exchange are kept, bounded, by the bus.
    ///
    /// Cancel-safe: the core drops the future whenever it has something to ask, and no frame may be lost by that.
    ///
    /// # Errors
    /// [`ErrorKind::Bus`] when the transport broke: the core learns of it without having to ask. If the bus had carried
    /// an answer that is no failure; it is opened again when something is due.
    fn idle(&mut self) -> impl Future<Output = Result<P::Frame>> + Send {
        std::future::pending()
    }
}

impl From<std::io::Error> for Error {
    /// An I/O error of an open bus: [`ErrorKind::Bus`].
    fn from(error: std::io::Error) -> Self {
        Self::new(ErrorKind::Bus, error.to_string())
    }
}
