//! How long a device that sends by itself may be silent: three times the longest of the last gaps of its slowest message, so
//! that a slow message is not stale beside a fast one. What comes when it likes, such as an alarm, is no measure of silence
//! for the others. Pure.

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

    /// Whether its gaps are alike, as far as is known.
    fn is_regular(&self) -> bool {
        let gaps = &self.gaps[..self.known];
        let (shortest, longest) = (gaps.iter().min(), gaps.iter().max());
        gaps.len() > 1 && shortest.zip(longest).is_some_and(|(shortest, longest)| *longest <= *shortest * PATIENCE)
    }

    /// How long it keeps the device from counting as gone while others of its messages come; none once it is itself gone.
    fn among_others(&self, now: Instant, settling: bool) -> Option<Duration> {
        let silence = self.silence(settling);
        let silence = if self.is_regular() { silence } else { silence.min(UNKNOWN) };
        self.last.filter(|last| now.saturating_duration_since(*last) <= silence).map(|_| silence)
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
    kinds: Vec<(Of, Pace, bool)>,
    /// As of what was heard last.
    silence: Option<Duration>,
}

/// More kinds share the last one's pace.
const KINDS: usize = 32;

impl Paces {
    /// A frame came that said something.
    pub fn heard(&mut self, of: Of, at: Instant, settling: bool) {
        let known = self.kinds.iter().position(|(other, ..)| *other == of);
        let index = known.unwrap_or_else(|| {
            if self.kinds.len() < KINDS {
                self.kinds.push((of, Pace::default(), settling));
            }
            self.kinds.len() - 1
        });
        let pace = &mut self.kinds[index].1;
        pace.heard(at);
        let own = pace.silence(settling);
        let others = self.kinds.iter().filter_map(|(_, pace, settling)| pace.among_others(at, *settling));
        self.silence = others.chain([own]).max();
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

    /// Message 0 comes each second until `end`; the others at these seconds. How many seconds of silence after each second.
    fn beside_a_fast_one(others: &[(usize, u64)], end: u64) -> Vec<u64> {
        let (mut paces, now) = (Paces::default(), Instant::now());
        assert_eq!(paces.silence(), Duration::from_secs(60));
        let mut seconds = Vec::new();
        for second in 0..=end {
            let at = now + Duration::from_secs(second);
            for (other, _) in others.iter().filter(|(_, at)| *at == second) {
                paces.heard(Of::Message(*other), at, false);
            }
            paces.heard(Of::Message(0), at, false);
            seconds.push(paces.silence().as_secs());
        }
        seconds
    }

    #[test]
    fn a_slow_message_is_not_stale_beside_a_fast_one() {
        let slow: Vec<_> = (0..=20).map(|n| (1, 10 * n)).collect();
        let silences = beside_a_fast_one(&slow, 200);
        assert_eq!(silences[0], 60, "nothing is known");
        assert!(silences[10..].iter().all(|seconds| *seconds == 30), "{silences:?}");
    }

    #[test]
    fn what_came_once_or_no_longer_comes_is_no_measure() {
        let silences = beside_a_fast_one(&[(1, 10)], 100);
        assert_eq!((silences[9], silences[10], silences[70], silences[71]), (3, 60, 60, 3));
        let silences = beside_a_fast_one(&[(1, 10), (1, 20), (1, 30), (1, 40)], 100);
        assert_eq!((silences[40], silences[70], silences[71]), (30, 30, 3));
    }

    #[test]
    fn an_alarm_now_and_then_does_not_hide_an_outage() {
        let silences = beside_a_fast_one(&[(1, 100), (1, 103), (1, 1000), (1, 4000)], 4100);
        assert_eq!((silences[999], silences[1001], silences[4001], silences[4100]), (3, 60, 60, 3));
    }

    #[test]
    fn memory_is_bounded() {
        let mut paces = Paces::default();
        (0..1000).for_each(|n| paces.heard(Of::Sender(n.to_string()), Instant::now(), false));
        assert_eq!(paces.kinds.len(), KINDS);
    }
}
