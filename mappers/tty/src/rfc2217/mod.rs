//! A line over TCP whose settings are set from here (RFC 2217). This file moves bytes; what they say is for [`codec`].

mod codec;

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};

use crate::{
    port::closed,
    settings::{Flow, Parity, Settings},
    tty::is_near,
};
use codec::{Decoder, Event};

/// So much is kept that came while an answer was waited for, or beyond what one read takes.
const MOST: usize = 64 * 1024;
/// So much waits to be sent.
const PENDING: usize = 4 * 1024;
/// So many bytes are read at once.
const CHUNK: usize = 2 * 1024;
/// How long the server may take to set a rate on an open line.
const ANSWER: Duration = Duration::from_secs(3);

/// A connection to a server that speaks RFC 2217.
pub(crate) struct Remote {
    stream: TcpStream,
    decoder: Decoder,
    inbound: VecDeque<u8>,
    out: Vec<u8>,
    /// Whether the server takes part; none until it has said so.
    agreed: Option<bool>,
    /// Whether it refused to pass all bytes as they are.
    text_only: bool,
    /// What was asked last, in words.
    asked: &'static str,
    /// The command whose answer is awaited.
    awaited: Option<u8>,
    /// The value of its answer. What else the server says (notifications, and answers that come late) leaves it alone.
    answer: Option<Vec<u8>>,
    /// The server asked us to stop sending.
    held: bool,
}

impl Remote {
    pub fn new(stream: TcpStream) -> Self {
        let mut out = Vec::new();
        codec::greeting(&mut out);
        Self {
            stream,
            decoder: Decoder::new(),
            inbound: VecDeque::new(),
            out,
            agreed: None,
            text_only: false,
            asked: "",
            awaited: None,
            answer: None,
            held: false,
        }
    }

    /// Waits until the server takes part.
    pub async fn agree(&mut self) -> io::Result<()> {
        while self.agreed.is_none() {
            // Whatever comes before that is no line's.
            self.inbound.clear();
            poll_fn(|cx| self.poll_more(cx)).await?;
        }
        if self.agreed == Some(false) {
            let message = "it speaks telnet and no RFC 2217; a port that passes bytes through goes under tcp";
            return Err(io::Error::other(message));
        }
        Ok(())
    }

    /// Sets the line, and checks that it was set so.
    pub async fn set(&mut self, settings: &Settings) -> io::Result<()> {
        codec::command(codec::SET_MODEMSTATE_MASK, &[0], &mut self.out);
        self.rate(settings.baud).await?;
        let parity = match settings.parity {
            Parity::None => 1,
            Parity::Odd => 2,
            Parity::Even => 3,
        };
        let flow = match settings.flow {
            Flow::None => 1,
            Flow::Software => 2,
            Flow::Hardware => 3,
        };
        let dtr = settings.dtr.map(|on| (codec::SET_CONTROL, if on { 8 } else { 9 }, "the level of DTR"));
        let rts = settings.rts.map(|on| (codec::SET_CONTROL, if on { 11 } else { 12 }, "the level of RTS"));
        let each = [
            Some((codec::SET_DATASIZE, settings.data_bits, "the number of data bits")),
            Some((codec::SET_PARITY, parity, "the parity")),
            Some((codec::SET_STOPSIZE, settings.stop_bits, "the number of stop bits")),
            Some((codec::SET_CONTROL, flow, "the flow control")),
            dtr,
            rts,
        ];
        for (command, value, what) in each.into_iter().flatten() {
            if self.ask(command, &[value], what).await? != [value] {
                return Err(io::Error::other(format!("the other side does not take {what} of {settings}")));
            }
        }
        if self.text_only {
            return Err(io::Error::other(
                "the other side passes text alone, not every byte (it refuses telnet's binary)",
            ));
        }
        Ok(())
    }

    /// Sets another rate, and checks that it was set.
    pub async fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        match timeout(ANSWER, self.rate(baud)).await {
            Ok(set) => set,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, self.unanswered())),
        }
    }

    /// What is said when the time is over.
    pub fn unanswered(&self) -> String {
        match self.agreed {
            None => {
                "it connects, and does not answer to RFC 2217; a port that passes bytes through goes under tcp".into()
            }
            Some(_) => format!("the other side does not answer when {} is set", self.asked),
        }
    }

    async fn rate(&mut self, baud: u32) -> io::Result<()> {
        let answer = self.ask(codec::SET_BAUDRATE, &baud.to_be_bytes(), "the rate").await?;
        let taken = <[u8; 4]>::try_from(answer.as_slice()).map(u32::from_be_bytes).unwrap_or_default();
        if is_near(taken, baud) {
            return Ok(());
        }
        Err(io::Error::other(format!("the other side does not take {baud} baud; it says {taken}")))
    }

    async fn ask(&mut self, command: u8, value: &[u8], what: &'static str) -> io::Result<Vec<u8>> {
        codec::command(command, value, &mut self.out);
        (self.asked, self.awaited, self.answer) = (what, Some(command), None);
        loop {
            if let Some(value) = self.answer.take() {
                self.awaited = None;
                return Ok(value);
            }
            if self.inbound.len() >= MOST {
                let message = format!("{MOST} bytes came before the other side's answer to {what}");
                return Err(io::Error::other(message));
            }
            poll_fn(|cx| self.poll_more(cx)).await?;
        }
    }

    /// Reads once, and sends what has to be sent. Pending as well while nobody takes what came.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        let mut bytes = [0; CHUNK];
        let mut buf = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        self.take(buf.filled())?;
        // What that asks for goes out at once; if it cannot, the next call tries again.
        match self.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Err(closed());
        }
        let mut events = Vec::new();
        self.decoder.feed(bytes, &mut self.inbound, &mut events);
        for event in events {
            match &event {
                Event::Do(codec::COM_PORT) => self.agreed = Some(true),
                Event::Dont(codec::COM_PORT) => self.agreed = Some(false),
                Event::Dont(codec::BINARY) | Event::Wont(codec::BINARY) => self.text_only = true,
                Event::ComPort { command: codec::SUSPEND, .. } => self.held = true,
                Event::ComPort { command: codec::RESUME, .. } => self.held = false,
                Event::ComPort { command, value } if self.awaited == Some(*command) => {
                    self.answer = Some(value.clone());
                }
                _ => codec::reply(&event, &mut self.out),
            }
        }
        if self.out.len() > PENDING + CHUNK {
            return Err(io::Error::other("the other side asks without end and takes no answer"));
        }
        Ok(())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out))? {
                0 => return Poll::Ready(Err(closed())),
                n => drop(self.out.drain(..n)),
            }
        }
        Poll::Ready(Ok(()))
    }

    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.inbound.is_empty() {
            ready!(self.poll_more(cx))?;
        }
        let (front, _) = self.inbound.as_slices();
        let n = front.len().min(buf.remaining());
        buf.put_slice(&front[..n]);
        self.inbound.drain(..n);
        Poll::Ready(Ok(()))
    }

    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        while self.held && self.inbound.len() < MOST {
            ready!(self.poll_more(cx))?;
        }
        if self.held || self.out.len() >= PENDING {
            ready!(self.poll_send(cx))?;
        }
        if self.held {
            // Whoever holds us up and floods us at the same time is not waited for without end.
            return Poll::Ready(Err(io::Error::other("the other side takes no bytes, and sends without end")));
        }
        let n = bytes.len().min(CHUNK / 2);
        codec::escape(&bytes[..n], &mut self.out);
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(n))
    }

    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }

    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Drops what has arrived here, and asks the server to drop what it has.
    pub fn discard_input(&mut self) -> io::Result<()> {
        let mut bytes = [0; CHUNK];
        loop {
            match self.stream.try_read(&mut bytes) {
                Ok(n) => self.take(&bytes[..n])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            self.inbound.clear();
        }
        self.inbound.clear();
        // It goes out with the next bytes that are sent, or at the next read.
        codec::command(codec::PURGE_DATA, &[codec::PURGE_RECEIVED], &mut self.out);
        Ok(())
    }
}
