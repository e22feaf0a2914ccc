//! The wire: it takes one request down and hands up the PDU of a whole frame that can be its answer, and nothing else.
//! This file moves bytes; which of them are a frame is decided by [`mbap`] and [`rtu`], purely; what a PDU says is
//! tokio-modbus's affair.

pub(crate) mod mbap;
pub(crate) mod rtu;

use std::{
    pin::Pin,
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

pub(crate) struct Wire {
    io: Box<dyn Io>,
    pub line: Line,
    expect: Expect,
    /// Bytes that came and are no frame yet.
    inbound: Vec<u8>,
    /// A request on its way down.
    out: Vec<u8>,
    /// The transaction id of the last request; it does not repeat within 65536 of them.
    id: u16,
    suspect: Option<Pin<Box<Sleep>>>,
    /// When the line was last in use.
    last: Instant,
}

impl Wire {
    pub fn new(io: impl Io, line: Line) -> Self {
        Self {
            io: Box::new(io),
            line,
            expect: Expect { unit: 0, function: 0, len: 0 },
            inbound: Vec::new(),
            out: Vec::new(),
            id: 0,
            suspect: None,
            last: Instant::now(),
        }
    }

    /// Makes ready for a request: whatever came before it is late or noise.
    pub fn poll_begin(&mut self, cx: &mut Context<'_>, expect: Expect) -> Poll<Result<(), Fault>> {
        self.expect = expect;
        self.suspect = None;
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
            Ok(()) if buffer.filled().is_empty() => lost("the other side closed the connection".into()),
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

    /// Takes a request for the unit that is expected to answer.
    pub fn send(&mut self, pdu: &[u8]) {
        self.out.clear();
        match self.line.framing {
            Framing::Tcp => {
                self.id = self.id.wrapping_add(1);
                mbap::wrap(self.id, self.expect.unit, pdu, &mut self.out);
            }
            Framing::Rtu => rtu::wrap(self.expect.unit, pdu, &mut self.out),
        }
        let bytes = u32::try_from(self.out.len()).unwrap_or(u32::MAX);
        self.last = Instant::now() + self.line.character * bytes;
    }

    /// Waits for the PDU of the answer. It may be dropped while pending.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, Fault>> {
        loop {
            if let Poll::Ready(Err(fault)) = self.poll_send(cx) {
                return Poll::Ready(Err(fault));
            }
            if !self.inbound.is_empty()
                && let Some(pdu) = self.deframe()?
            {
                return Poll::Ready(Ok(pdu));
            }
            match self.poll_more(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                Poll::Pending => {
                    if let Some(suspect) = &mut self.suspect {
                        ready!(suspect.as_mut().poll(cx));
                        let message = format!("wrong CRC in an answer of {} bytes", self.inbound.len());
                        return Poll::Ready(Err(Fault::Bad(message)));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Never flushes the transport itself: on a tty that would block the thread until the last bit has left.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while !self.out.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.out)) {
                Ok(0) => return Poll::Ready(Err(Fault::Lost("the other side takes no bytes".into()))),
                Ok(n) => drop(self.out.drain(..n)),
                Err(error) => return Poll::Ready(Err(Fault::Lost(error.to_string()))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes a frame's PDU out of what came, or says what is wrong with it.
    fn deframe(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let (found, within) = match self.line.framing {
            Framing::Tcp => (mbap::find(&self.inbound, self.id, self.expect.unit), mbap::PDU),
            Framing::Rtu => (rtu::find(&self.inbound, self.expect), rtu::PDU),
        };
        match found {
            Found::Frame { skip, len } => {
                let pdu = within.of(&self.inbound[skip..skip + len]).to_vec();
                self.inbound.drain(..skip + len);
                Ok(Some(pdu))
            }
            Found::More { skip } => {
                self.inbound.drain(..skip);
                Ok(None)
            }
            Found::Suspect => {
                self.suspect.get_or_insert_with(|| Box::pin(sleep(FINAL)));
                Ok(None)
            }
            Found::Bad(message) => {
                self.inbound.clear();
                Err(Fault::Bad(message))
            }
            Found::Lost(message) => Err(Fault::Lost(message)),
        }
    }
}

/// Which bytes of a frame are its PDU.
#[derive(Clone, Copy)]
pub(crate) struct Within {
    /// Bytes before it.
    pub head: usize,
    /// Bytes behind it.
    pub tail: usize,
}

impl Within {
    fn of(self, frame: &[u8]) -> &[u8] {
        &frame[self.head..frame.len() - self.tail]
    }
}
