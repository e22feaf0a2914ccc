//! How long a device that sends by itself may be silent: three times the longest of its last gaps, message by message. Pure.

use std::time::{Duration, Instant};

/// Gaps that are remembered of each message.
const GAPS: usize = 8;
/// Before there are two frames to measure between.
const UNKNOWN: Duration = Duration::from_secs(60);
/// A hiccup of the machine is no outage.
const LEAST: Duration = Duration::from_secs(3);
/// So many gaps may pass.
const PATIENCE: u32 = 3;

/// The pace of one message of one device.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace {
    last: Option<Instant>,
    gaps: [Duration; GAPS],
    known: usize,
    at: usize,
}

impl Pace {
    /// A frame came that said something.
    pub fn heard(&mut self, at: Instant) {
        if let Some(last) = self.last.replace(at) {
            self.gaps[self.at] = at.saturating_duration_since(last);
            self.at = (self.at + 1) % GAPS;
            self.known = (self.known + 1).min(GAPS);
        }
    }

    /// How long the next one may take. `least` where the device rightly says nothing for a while.
    pub fn silence(&self, settling: bool) -> Duration {
        let longest = self.gaps[..self.known].iter().max();
        let least = if settling { UNKNOWN } else { LEAST };
        longest.map_or(UNKNOWN, |gap| gap.saturating_mul(PATIENCE)).max(least)
    }
}

/// What a pace is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Of {
    /// One of the device's messages.
    Message(usize),
    /// What names itself so in the line's language: an NMEA sentence, a meter.
    Sender(String),
}

/// The paces of all that one device sends.
#[derive(Debug, Default)]
pub(crate) struct Paces {
    /// The number of the frame that was read last, and whether it was the device's own.
    pub last_read: Option<(u64, bool)>,
    paces: Vec<(Of, Pace)>,
    /// Of what was heard last.
    silence: Option<Duration>,
}

/// More kinds share the last one's pace.
const KINDS: usize = 32;

impl Paces {
    /// A frame came that said something.
    pub fn heard(&mut self, of: Of, at: Instant, settling: bool) {
        let known = self.paces.iter().position(|(other, _)| *other == of);
        let index = known.unwrap_or_else(|| {
            if self.paces.len() < KINDS {
                self.paces.push((of, Pace::default()));
            }
            self.paces.len() - 1
        });
        let pace = &mut self.paces[index].1;
        pace.heard(at);
        self.silence = Some(pace.silence(settling));
    }

    /// How long the device may be silent after what was heard last.
    pub fn silence(&self) -> Duration {
        self.silence.unwrap_or(UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{KINDS, Of, Pace, Paces};

    fn after(gaps: &[u64]) -> Pace {
        let (mut pace, mut at) = (Pace::default(), Instant::now());
        pace.heard(at);
        for gap in gaps {
            at += Duration::from_millis(*gap);
            pace.heard(at);
        }
        pace
    }

    #[test]
    fn three_times_the_longest_of_the_last_gaps() {
        for (gaps, seconds) in [
            (&[][..], 60),
            (&[100], 3),
            (&[10_000], 30),
            (&[10_000, 1_000, 20_000], 60),
            (&[60_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000], 3),
            (&[3_600_000], 10_800),
        ] {
            assert_eq!(after(gaps).silence(false), Duration::from_secs(seconds), "{gaps:?}");
        }
        assert_eq!(Pace::default().silence(false), Duration::from_secs(60));
    }

    #[test]
    fn a_scale_that_does_not_settle_is_not_gone() {
        assert_eq!(after(&[100]).silence(true), Duration::from_secs(60));
        assert_eq!(after(&[100_000]).silence(true), Duration::from_secs(300));
    }

    #[test]
    fn each_message_has_its_own_pace() {
        let (mut paces, now) = (Paces::default(), Instant::now());
        assert_eq!(paces.silence(), Duration::from_secs(60));
        for second in 0..30 {
            paces.heard(Of::Message(0), now + Duration::from_secs(second), false);
            if second % 10 == 0 {
                paces.heard(Of::Message(1), now + Duration::from_secs(second), false);
                let known = if second == 0 { 60 } else { 30 };
                assert_eq!(paces.silence(), Duration::from_secs(known), "{second}");
            }
        }
        paces.heard(Of::Message(0), now + Duration::from_secs(30), false);
        assert_eq!(paces.silence(), Duration::from_secs(3));
    }

    #[test]
    fn memory_is_bounded() {
        let mut paces = Paces::default();
        (0..1000).for_each(|n| paces.heard(Of::Sender(n.to_string()), Instant::now(), false));
        assert_eq!(paces.paces.len(), KINDS);
    }
}
