//! The only I/O: opens a line or a connection, and runs one exchange at a time on it.

use std::{convert::Infallible, future::poll_fn, time::Duration};

use mapper_api::{Bus, Error, ErrorKind, Result};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    Modbus,
    bind::Unit,
    codec::{self, GATEWAY_PATH, GATEWAY_TARGET},
    config::Framing,
    fits::fits,
    line::Line,
    request::{Answer, Request},
    transport::{Expect, Fault, Io, Wire},
};

/// How long a connection or a device file may take to open.
const OPEN: Duration = Duration::from_secs(3);
/// How much longer than its bytes an answer may take once it has begun.
pub(crate) const STUTTER: Duration = Duration::from_millis(20);
/// A line that does not fall silent within this is given up and reopened.
const BABBLE: Duration = Duration::from_secs(1);

/// An open serial line or TCP connection.
pub struct ModbusBus {
    wire: Wire,
}

impl ModbusBus {
    /// A bus over anything that carries bytes; `line` tells framing and timing.
    pub fn attach(io: impl Io, line: Line) -> Self {
        Self { wire: Wire::new(io, line) }
    }

    async fn ask(&mut self, request: &Request) -> Result<Answer> {
        let unit = &request.unit;
        let what = &request.what;
        let expect = Expect { unit: unit.id, function: what.function(), len: what.answer_len() };
        self.wire.line = unit.line;
        let free_at = self.wire.free_at();
        if free_at > Instant::now() {
            sleep_until(free_at).await;
        }
        poll_fn(|cx| self.wire.poll_begin(cx, expect)).await.map_err(|fault| error(request, fault))?;
        self.wire.send(&what.pdu());
        let starts = unit.timeout + unit.line.frame(what.request_len());
        let mut outcome = timeout(starts, poll_fn(|cx| self.wire.poll_answer(cx))).await;
        if outcome.is_err() && self.wire.pending() > 0 {
            let rest = unit.line.frame(what.answer_len()) + STUTTER;
            outcome = timeout(rest, poll_fn(|cx| self.wire.poll_answer(cx))).await;
        }
        match outcome {
            Ok(Ok(pdu)) => match fits(what, pdu) {
                // The gateway is well, the unit behind it is silent: that unit alone is to be backed off.
                Ok(Answer::Exception(code @ (GATEWAY_PATH | GATEWAY_TARGET))) => {
                    let name = codec::exception(code);
                    Err(Error::new(ErrorKind::Timeout, format!("{request}: the gateway answers {name}")))
                }
                Ok(answer) => Ok(answer),
                Err(message) => Err(error(request, Fault::Bad(message))),
            },
            Ok(Err(fault)) => Err(error(request, fault)),
            Err(_) => {
                let waited = unit.timeout.as_millis();
                let noise = match self.wire.pending() {
                    0 => String::new(),
                    n => format!("; {n} bytes came that are no answer"),
                };
                Err(Error::new(ErrorKind::Timeout, format!("{request}: no answer within {waited} ms{noise}")))
            }
        }
    }
}

fn error(request: &Request, fault: Fault) -> Error {
    match fault {
        Fault::Lost(message) => Error::new(ErrorKind::Bus, format!("{request}: {message}")),
        Fault::Bad(message) => Error::new(ErrorKind::BadData, format!("{request}: {message}")),
    }
}

fn lost(fault: Fault) -> Error {
    match fault {
        Fault::Lost(message) | Fault::Bad(message) => Error::new(ErrorKind::Bus, message),
    }
}

impl Bus<Modbus> for ModbusBus {
    async fn exchange(&mut self, request: &Request) -> Result<Answer> {
        self.ask(request).await
    }

    /// With framing `tcp` late answers are told apart by their transaction id. With `rtu` nothing tells them apart, so
    /// the line must have been silent for a while, and what came until then is dropped.
    async fn resynchronise(&mut self) -> Result<()> {
        let Line { framing, settle, .. } = self.wire.line;
        if framing == Framing::Tcp {
            return Ok(());
        }
        let end = Instant::now() + settle + BABBLE;
        while let Ok(result) = timeout(settle, poll_fn(|cx| self.wire.poll_more(cx))).await {
            result.map_err(lost)?;
            if Instant::now() > end {
                return Err(Error::new(ErrorKind::Bus, "the line does not fall silent"));
            }
        }
        Ok(())
    }

    /// Nobody sends unasked; but a connection that the other side closes is noticed at once, not at the next poll.
    async fn idle(&mut self) -> Result<Infallible> {
        Err(lost(poll_fn(|cx| self.wire.poll_discard(cx)).await))
    }
}

/// Opens the bus.
///
/// # Errors
/// [`ErrorKind::Unreachable`] with what was tried and why it failed.
pub(crate) async fn open(unit: &Unit) -> Result<ModbusBus> {
    let port = mapper_tty::open(&unit.target, &unit.settings, OPEN).await?;
    Ok(ModbusBus::attach(port, unit.line))
}
