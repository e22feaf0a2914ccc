//! The wire: bytes of an open line in, frames out. It moves bytes; what is a frame is decided by [`Framer`] and by the
//! languages, purely.

use std::{future::poll_fn, io, pin::Pin, sync::Arc, task::Poll, time::Duration};

use mapper_tty::Port;
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    time::{Instant, sleep_until},
};

use crate::frame::{Found, Framer, Framing};

/// Bytes taken from the system at once: more than comes in a hundred milliseconds at 115,200 baud.
const CHUNK: usize = 2048;

/// An open line.
#[derive(Debug)]
pub(crate) struct Wire {
    port: Port,
    buffer: Box<[u8; CHUNK]>,
    /// When bytes last came or went.
    pub last: Instant,
}

/// What waits for frames of one kind.
#[derive(Debug)]
pub(crate) struct Ear {
    framer: Framer,
    /// When the last bytes came.
    pub at: Instant,
}

impl Ear {
    /// One that may begin to listen in the middle of a frame.
    pub fn new(framing: Arc<Framing>) -> Self {
        Self { framer: Framer::new(framing), at: Instant::now() }
    }

    /// The next thing in what came.
    pub fn next(&mut self) -> Option<Found> {
        self.framer.next()
    }

    /// Whether something has come that is no frame yet.
    pub fn pending(&self) -> bool {
        self.framer.pending()
    }

    /// Nothing more comes: what has begun is judged as it stands.
    pub fn finish(&mut self) {
        self.framer.finish();
    }

    /// Drops what has begun, and takes what comes next for the beginning of a frame; how many bytes were dropped.
    pub fn clear(&mut self) -> usize {
        self.framer.clear()
    }
}

/// What can be heard.
pub(crate) trait Hears {
    fn hear(&mut self, bytes: &[u8], at: Instant);
    /// When silence would say something.
    fn hush(&self) -> Option<Instant>;
    /// There was silence until then.
    fn hushed(&mut self);
}

impl Hears for Ear {
    fn hear(&mut self, bytes: &[u8], at: Instant) {
        self.framer.push(bytes);
        self.at = at;
    }

    fn hush(&self) -> Option<Instant> {
        self.framer.gap().map(|gap| self.at + gap)
    }

    fn hushed(&mut self) {
        self.framer.silence();
    }
}

impl Wire {
    pub fn new(port: Port) -> Self {
        Self { port, buffer: Box::new([0; CHUNK]), last: Instant::now() }
    }

    /// Waits for bytes, or for a silence that ends a frame. May be dropped while pending: nothing is lost by that.
    ///
    /// # Errors
    /// The line is gone.
    pub async fn listen(&mut self, ear: &mut impl Hears) -> io::Result<()> {
        let hush = ear.hush();
        tokio::select! {
            biased;
            read = read(&mut self.port, &mut self.buffer[..]) => {
                let bytes = read?;
                self.last = Instant::now();
                ear.hear(&self.buffer[..bytes], self.last);
            }
            () = until(hush) => ear.hushed(),
        }
        Ok(())
    }

    /// Takes what has come already, and waits for nothing; false if that was nothing.
    ///
    /// # Errors
    /// The line is gone.
    pub async fn glance(&mut self, ear: &mut impl Hears) -> io::Result<bool> {
        let mut buffer = ReadBuf::new(&mut self.buffer[..]);
        let port = &mut self.port;
        let read = poll_fn(|cx| Poll::Ready(Pin::new(&mut *port).poll_read(cx, &mut buffer))).await;
        let Poll::Ready(read) = read else { return Ok(false) };
        read?;
        let bytes = buffer.filled().len();
        self.last = Instant::now();
        ear.hear(&self.buffer[..bytes], self.last);
        Ok(true)
    }

    /// Sends bytes; does not wait until they have left.
    ///
    /// # Errors
    /// The line is gone, or takes no bytes for so long.
    pub async fn send(&mut self, bytes: &[u8], within: Duration) -> io::Result<()> {
        let all = async {
            self.port.write_all(bytes).await?;
            self.port.flush().await
        };
        tokio::time::timeout(within, all).await.map_err(|_| stuck())??;
        self.last = Instant::now() + self.time(bytes.len());
        Ok(())
    }

    /// Sends bytes, and waits until they have left.
    ///
    /// # Errors
    /// The line is gone, or takes no bytes for so long.
    pub async fn send_all(&mut self, bytes: &[u8], within: Duration) -> io::Result<()> {
        let within = within + self.time(bytes.len());
        self.send(bytes, within).await?;
        tokio::time::timeout(within, self.port.drained()).await.map_err(|_| stuck())?
    }

    /// Another rate, once all has left.
    ///
    /// # Errors
    /// The line is gone, or does not take it.
    pub async fn set_baud(&mut self, baud: u32, within: Duration) -> io::Result<()> {
        if self.port.settings().baud == baud {
            return Ok(());
        }
        tokio::time::timeout(within, self.port.set_baud(baud)).await.map_err(|_| stuck())?
    }

    /// How long so many bytes take on the wire.
    pub fn time(&self, bytes: usize) -> Duration {
        self.port.settings().character() * u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

fn stuck() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the line takes no bytes; does flow control hold it up?")
}

async fn read(port: &mut Port, buffer: &mut [u8]) -> io::Result<usize> {
    let mut buffer = ReadBuf::new(buffer);
    poll_fn(|cx| Pin::new(&mut *port).poll_read(cx, &mut buffer)).await?;
    Ok(buffer.filled().len())
}

pub(crate) async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
