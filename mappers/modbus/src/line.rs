//! What a line is and how long things take on it. Pure.

use std::time::Duration;

use crate::config::Framing;

/// The timing of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// How frames are written.
    pub framing: Framing,
    /// Time of one character; zero where the wire is too fast to count.
    pub character: Duration,
    /// Silence kept before a request.
    pub quiet: Duration,
    /// Silence that must pass after a time-out before the line is trusted again; zero with framing `tcp`, whose
    /// transaction ids tell late answers apart.
    pub settle: Duration,
}

/// Over TCP nobody sees the silences of the serial line behind a gateway: what is late comes within this.
const SETTLE_OVER_TCP: Duration = Duration::from_millis(20);
/// A nominal round trip on a local network, for sums; nothing waits for it.
const NOMINAL_TCP: Duration = Duration::from_millis(1);

impl Line {
    /// A serial line: eleven bits a character, and 3.5 characters of silence, 1.75 ms above 19200 baud (Modbus over
    /// Serial Line V1.02, 2.5.1.1).
    pub fn serial(baud: u32, quiet: Option<Duration>) -> Self {
        let character = Duration::from_secs(11) / baud.max(1);
        let t35 = if baud > 19200 { Duration::from_micros(1750) } else { character * 7 / 2 };
        let quiet = quiet.unwrap_or(t35).max(t35);
        Self { framing: Framing::Rtu, character, quiet, settle: quiet }
    }

    /// A TCP connection.
    pub fn tcp(framing: Framing, quiet: Option<Duration>) -> Self {
        let (quiet, settle) = match framing {
            Framing::Tcp => (Duration::ZERO, Duration::ZERO),
            Framing::Rtu => (quiet.unwrap_or_default(), quiet.unwrap_or(SETTLE_OVER_TCP)),
        };
        Self { framing, character: Duration::ZERO, quiet, settle }
    }

    /// Time that a PDU of this many bytes takes, with unit and CRC around it.
    pub fn frame(&self, pdu: usize) -> Duration {
        self.character * u32::try_from(pdu + 3).unwrap_or(u32::MAX)
    }

    /// Time that a request and its answer take when all goes well.
    pub fn exchange(&self, request: usize, answer: usize) -> Duration {
        if self.character.is_zero() {
            return NOMINAL_TCP;
        }
        self.frame(request) + self.frame(answer) + self.quiet
    }
}
