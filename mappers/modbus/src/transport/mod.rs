//! The transport between tokio-modbus and the wire: it hands up whole frames that can be the answer, and nothing else.
//!
//! The client above may be dropped in the middle of an exchange and made anew: nothing of the wire's state lives in
//! it. This file moves bytes; which of them are a frame is decided by [`mbap`] and [`rtu`], purely.

pub(crate) mod mbap;
pub(crate) mod rtu;

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use crate::{config::Framing, line::Line};

/// Anything that bytes go through.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// The answer that may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expect {
    pub unit: u8,
    pub function: u8,
    /// Bytes of the PDU that fits, function code included.
    pub len: usize,
}

/// What stands in the bytes that came so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A frame of this length, after this many bytes that are none.
    Frame { skip: usize, len: usize },
    /// Not enough yet; the first bytes that can be dropped.
    More { skip: usize },
    /// What looked like the answer has a wrong CRC. Unless more comes soon, that was it.
    Suspect,
    /// A frame that is no answer at all.
    Bad(String),
    /// Frames can no longer be told apart.
    Lost(String),
}

/// Why an exchange ended below the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is of no more use.
    Lost(String),
    /// What came is no answer.
    Bad(String),
}

/// A broken frame is final once the line was silent this long; USB adapters hand bytes over every 16 ms.
const FINAL: Duration = Duration::from_millis(20);
/// Noise is kept up to here, twice the longest frame.
const MOST: usize = 512;

/// The client's side of the wire; the bus keeps another handle to it.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Mutex<Wire>>);

pub(crate) struct Wire {
    io: Box<dyn Io>,
    pub line: Line,
    expect: Expect,
    /// Bytes that came and are no frame yet.
    inbound: Vec<u8>,
    /// A whole frame, on its way up.
    ready: Vec<u8>,
    /// A request on its way down.
    out: Vec<u8>,
    /// Transaction ids of the wire never repeat within 65536 requests, whoever the client above is.
    id: u16,
    client_id: [u8; 2],
    suspect: Option<Pin<Box<Sleep>>>,
    /// When the line was last in use.
    last: Instant,
    fault: Option<Fault>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

impl Handle {
    pub fn new(io: impl Io, line: Line) -> Self {
        Self(Arc::new(Mutex::new(Wire {
            io: Box::new(io),
            line,
            expect: Expect { unit: 0, function: 0, len: 0 },
            inbound: Vec::new(),
            ready: Vec::new(),
            out: Vec::new(),
            id: 0,
            client_id: [0; 2],
            suspect: None,
            last: Instant::now(),
            fault: None,
        })))
    }

    pub fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    /// Makes ready for a request: whatever came before it is late or noise.
    pub fn poll_begin(&mut self, cx: &mut Context<'_>, expect: Expect) -> Poll<Result<(), Fault>> {
        self.expect = expect;
        self.ready.clear();
        self.suspect = None;
        self.fault = None;
        if !self.out.is_empty() {
            return Poll::Ready(Err(Fault::Lost("the other side takes no bytes".into())));
        }
        match self.poll_discard(cx) {
            Poll::Ready(fault) => Poll::Ready(Err(fault)),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    /// Reads and drops what nobody asked for; ready only when the connection is lost.
    pub fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        while let Poll::Ready(result) = self.poll_more(cx) {
            if let Err(fault) = result {
                return Poll::Ready(fault);
            }
            if self.line.framing == Framing::Tcp {
                match mbap::skip_whole(&self.inbound) {
                    Ok(skip) => drop(self.inbound.drain(..skip)),
                    Err(message) => return Poll::Ready(Fault::Lost(message)),
                }
            }
        }
        if self.line.framing == Framing::Rtu {
            self.inbound.clear();
        }
        Poll::Pending
    }

    /// Reads once; an empty read is the end.
    pub fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let mut bytes = [0_u8; MOST];
        let mut buffer = ReadBuf::new(&mut bytes);
        let lost = |detail: String| Poll::Ready(Err(Fault::Lost(detail)));
        match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
            Err(error) => lost(error.to_string()),
            Ok(()) if buffer.filled().is_empty() => lost(
                if self.line.character.is_zero() {
                    "the other side closed the connection"
                } else {
                    "the serial line is gone; was it unplugged?"
                }
                .into(),
            ),
            Ok(()) => {
                self.last = Instant::now();
                self.suspect = None;
                self.inbound.extend_from_slice(buffer.filled());
                if self.line.framing == Framing::Rtu && self.inbound.len() > MOST {
                    self.inbound.drain(..self.inbound.len() - MOST);
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    /// When the next request may start.
    pub fn free_at(&self) -> Instant {
        self.last + self.line.quiet
    }

    /// How many bytes came that are no answer (yet).
    pub fn pending(&self) -> usize {
        self.inbound.len()
    }

    pub fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }

    /// Never flushes the transport itself: on a tty that would block the thread until the last bit has left.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.out)) {
                Ok(0) => return Poll::Ready(Err(self.fail(Fault::Lost("the other side takes no bytes".into())))),
                Ok(n) => drop(self.out.drain(..n)),
                Err(error) => return Poll::Ready(Err(self.fail(Fault::Lost(error.to_string())))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The error itself is only a signal to the client above; the bus reads the fault.
    fn fail(&mut self, fault: Fault) -> io::Error {
        self.fault = Some(fault);
        io::ErrorKind::InvalidData.into()
    }

    /// Takes a frame out of what came, or says what is wrong with it.
    fn deframe(&mut self) -> io::Result<bool> {
        let found = match self.line.framing {
            Framing::Tcp => mbap::find(&self.inbound, self.id),
            Framing::Rtu => rtu::find(&self.inbound, self.expect),
        };
        match found {
            Found::Frame { skip, len } => {
                self.ready.extend(self.inbound.drain(..skip + len).skip(skip));
                if self.line.framing == Framing::Tcp {
                    self.ready[..2].copy_from_slice(&self.client_id);
                }
                Ok(true)
            }
            Found::More { skip } => {
                self.inbound.drain(..skip);
                Ok(false)
            }
            Found::Suspect => {
                self.suspect.get_or_insert_with(|| Box::pin(sleep(FINAL)));
                Ok(false)
            }
            Found::Bad(message) => {
                self.inbound.clear();
                Err(self.fail(Fault::Bad(message)))
            }
            Found::Lost(message) => Err(self.fail(Fault::Lost(message))),
        }
    }
}

impl AsyncRead for Handle {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut guard = self.wire();
        let wire = &mut *guard;
        loop {
            if !wire.ready.is_empty() {
                let n = wire.ready.len().min(buf.remaining());
                buf.put_slice(&wire.ready[..n]);
                wire.ready.drain(..n);
                return Poll::Ready(Ok(()));
            }
            if let Poll::Ready(Err(error)) = wire.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
            if !wire.inbound.is_empty() && wire.deframe()? {
                continue;
            }
            match wire.poll_more(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(wire.fail(fault))),
                Poll::Pending => {
                    if let Some(suspect) = &mut wire.suspect {
                        ready!(suspect.as_mut().poll(cx));
                        let message = format!("wrong CRC in an answer of {} bytes", wire.inbound.len());
                        return Poll::Ready(Err(wire.fail(Fault::Bad(message))));
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

impl AsyncWrite for Handle {
    /// The client encodes a request whole and writes it at once.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, frame: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.wire();
        wire.out.clear();
        wire.out.extend_from_slice(frame);
        if wire.line.framing == Framing::Tcp && frame.len() > 2 {
            wire.client_id = [frame[0], frame[1]];
            wire.id = wire.id.wrapping_add(1);
            let id = wire.id.to_be_bytes();
            wire.out[..2].copy_from_slice(&id);
        }
        let bytes = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        wire.last = Instant::now() + wire.line.character * bytes;
        match wire.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(frame.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire().poll_send(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
