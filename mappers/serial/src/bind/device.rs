//! What a checked device can say of itself: how long its requests take, what comes by itself, what may be meant otherwise.
//! Pure.

use std::time::Duration;

use mapper_api::{At, BindError, Cost, Point};
use mapper_tty::Target;

use super::{Confirmation, Device, LONGEST_EXCHANGE, Line, Mistakes, Place, Spot, Talk};
use crate::{
    bus::{BABBLE, LONGEST_ANSWER, READOUT, STUCK, STUTTER},
    config::{Address, Endpoint, Language},
    frame::Framing,
    message::Fit,
    octets::latin_1,
    request::{Answer, What},
};

/// Signing on at 300 baud takes two seconds, a hundred lines at 9600 two more.
const USUAL_READOUT: Duration = Duration::from_secs(5);
/// An answer has that many bytes where nobody knows.
const USUAL: usize = 32;

impl Line {
    /// Whether it is reached over TCP.
    pub fn is_remote(&self) -> bool {
        matches!(self.target, Target::Tcp { .. } | Target::Rfc2217 { .. })
    }

    /// How long so many bytes take on the wire.
    pub fn time(&self, bytes: usize) -> Duration {
        self.settings.character() * u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

impl Talk {
    /// What a frame of the answer says, if it is one.
    pub fn judge(&self, framing: &Framing, frame: &[u8]) -> Option<Answer> {
        match self.message.read(frame, framing.content(frame)) {
            Fit::NotThis => None,
            Fit::Refused(text) => Some(Answer::Refused(text)),
            Fit::Fields(_) => Some(Answer::Frame(frame.to_vec())),
        }
    }
}

impl Confirmation {
    /// What a frame says of a write, if it speaks of it.
    pub fn judge(&self, frame: &[u8]) -> Option<Answer> {
        let text = latin_1(self.framing.content(frame));
        if self.refused.as_ref().is_some_and(|refused| refused.is_match(&text)) {
            return Some(Answer::Refused(text));
        }
        self.answer.as_ref().is_none_or(|answer| answer.is_match(&text)).then_some(Answer::Done)
    }
}

impl Device {
    /// Whether this frame of the line is one that the device sends by itself.
    pub fn comes_by_itself(&self, frame: &[u8]) -> bool {
        let Some(framing) = &self.line.framing else { return false };
        let content = framing.content(frame);
        let listened = self.messages.iter().filter(|talk| talk.ask.is_none());
        listened.into_iter().any(|talk| !matches!(talk.message.read(frame, content), Fit::NotThis))
    }

    /// Whether nothing comes by itself.
    pub fn is_only_asked(&self) -> bool {
        self.messages.iter().all(|talk| talk.ask.is_some())
    }

    /// How long a request keeps the line.
    pub fn cost(&self, what: &What) -> Cost {
        match what {
            What::Step(index) => self.steps.get(*index).map_or(NOTHING, |step| {
                let sent = step.send.as_ref().map_or(0, Vec::len);
                let answer = step.answer.as_ref().map(|(framing, _)| (&**framing, step.timeout));
                let cost = self.exchange(sent, answer);
                let baud = if step.baud.is_some() { STUCK } else { Duration::ZERO };
                Cost { wire: cost.wire + step.wait, longest: cost.longest + step.wait + baud }
            }),
            What::Ask(index) => {
                let ask = self.messages.get(*index).and_then(|talk| talk.ask.as_ref());
                ask.map_or(NOTHING, |ask| self.exchange(ask.send.len(), Some((&ask.framing, ask.timeout))))
            }
            What::Readout => Cost { wire: USUAL_READOUT, longest: READOUT + 4 * STUCK },
            What::Write(point, bytes) => {
                let confirmation = self.writes.get(point).and_then(|write| write.confirmation.as_ref());
                self.exchange(bytes.len(), confirmation.map(|it| (&*it.framing, it.timeout)))
            }
        }
    }

    fn exchange(&self, sent: usize, answer: Option<(&Framing, Duration)>) -> Cost {
        let line = &self.line;
        let babble = if self.quiet.is_zero() { Duration::ZERO } else { BABBLE };
        let before = self.quiet + line.time(sent);
        let stuck = babble + STUCK + line.time(sent);
        match answer {
            None => Cost { wire: before, longest: before + stuck },
            Some((framing, timeout)) => {
                let most = line.time(framing.max()).min(LONGEST_ANSWER);
                let once = before + stuck + timeout + most + 2 * STUTTER;
                Cost {
                    wire: before + line.time(framing.max().min(USUAL)),
                    longest: once * (self.retries + 1) + Duration::from_secs(1),
                }
            }
        }
    }

    /// Nobody waits for a device for minutes.
    pub fn lasts_too_long(&self, mistakes: &mut Mistakes) {
        let asked = (0..self.messages.len()).map(What::Ask);
        let steps = (0..self.steps.len()).map(What::Step);
        let writes = self.writes.keys().map(|point| What::Write(*point, Vec::new()));
        let longest = asked.chain(steps).chain(writes).map(|what| self.cost(&what).longest).max();
        if let Some(longest) = longest.filter(|longest| *longest > LONGEST_EXCHANGE) {
            let message = format!(
                "with its retries one question may take {} s, and {} s is the most; a shorter timeout or fewer retries",
                longest.as_secs(),
                LONGEST_EXCHANGE.as_secs()
            );
            mistakes.endpoint("timeout", message);
        }
    }
}

const NOTHING: Cost = Cost { wire: Duration::ZERO, longest: Duration::from_secs(1) };

/// USB adapters hand bytes over every 16 ms (FTDI's latency timer): a shorter gap tears frames.
const USB: Duration = Duration::from_millis(16);

/// What is right, and may not be what is meant.
pub(super) fn notes(endpoint: &Endpoint, points: &[Point<Address>], device: &Device, spots: &[Spot]) -> Vec<BindError> {
    let mut notes = Vec::new();
    let mut note = |at, path: &str, message: String| notes.push(BindError::config(at, path, message));
    if let Some(gap) = endpoint.frame.as_ref().and_then(|frame| frame.gap)
        && gap.0 < USB
        && !device.line.is_remote()
    {
        note(At::Endpoint, "frame.gap", format!("{gap} tears frames on USB adapters, which pause for up to 16ms"));
    }
    let line = [
        ("baud", endpoint.baud.is_some()),
        ("dataBits", endpoint.data_bits.is_some()),
        ("parity", endpoint.parity.is_some()),
        ("stopBits", endpoint.stop_bits.is_some()),
    ];
    if endpoint.tcp.is_some()
        && let Some((key, _)) = line.into_iter().find(|(_, given)| *given)
    {
        note(At::Endpoint, key, "is set at the other side of `tcp`; `rfc2217` would send it there".into());
    }
    if endpoint.language.is_none() {
        for (index, talk) in device.messages.iter().enumerate() {
            let wanted = spots.iter().any(|spot| matches!(&spot.place, Place::Message(of, _) if *of == index));
            if !wanted && talk.ask.is_some() {
                let path = format!("messages[{index}].request");
                note(At::Endpoint, &path, format!("is never sent: no property lives in {}", talk.name));
            }
        }
    }
    if device.line.language == Some(Language::Iec62056) {
        if endpoint.baud.is_some_and(|baud| baud != 300) {
            let message = "a meter is signed on to at 300, and names the rate of its answer itself";
            note(At::Endpoint, "baud", message.into());
        }
        if endpoint.tcp.is_some() {
            let message = "cannot follow a meter that changes its rate, as most do; `rfc2217` can";
            note(At::Endpoint, "tcp", message.into());
        }
    }
    for (point, (spot, given)) in (0..).zip(spots.iter().zip(points)) {
        if !spot.readable && given.access.can_read() {
            note(At::Address(point), "", "is only written: its value is never read".into());
        }
    }
    notes
}
