//! How long a device may be silent before what it said is old: learnt from its own intervals. Pure; time is handed in.
//!
//! Devices send different things at different paces (a temperature every ten seconds, the battery once a minute), so each
//! kind of message has its own pace. A device may be silent for [`TIMES`] times the longest of the last [`GAPS`] pauses of
//! its slowest kind: two or three packets in a row are lost easily. The result is one of a few steps, so that it does not
//! change with every packet. Until enough was heard it is [`UNLEARNT`]; this figure and the cap of 15 minutes are
//! habluetooth's. A device that sends when something happens, not at an interval, may be silent for a day.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

/// Silences that are told apart, in seconds: the least and the greatest are floor and cap.
const STEPS: [u64; 8] = [30, 60, 120, 195, 300, 450, 600, 900];
/// Before anything was learnt.
pub const UNLEARNT: Duration = Duration::from_secs(195);
/// Of a device without an interval.
pub const SLEEPY: Duration = Duration::from_secs(24 * 60 * 60);
/// A pause this many times as long as the longest usual one is silence.
const TIMES: u32 = 4;
/// So many pauses are remembered; before so many were seen, nothing is known.
const GAPS: usize = 16;
/// So many kinds of messages of one device are told apart.
const KINDS: usize = 16;

/// What outlives the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The device has no interval.
    pub sleepy: bool,
    /// How long it may be silent, in seconds; none before it was learnt.
    pub silence: Option<u64>,
}

/// One device's paces.
#[derive(Debug, Default)]
pub struct Presence {
    known: Known,
    paces: Vec<(u64, Pace)>,
}

/// The pauses between the messages of one kind.
#[derive(Debug)]
struct Pace {
    last: Option<Duration>,
    gaps: VecDeque<Duration>,
}

impl Presence {
    /// Of a device of which this much is known.
    pub fn new(known: Known) -> Self {
        let silence = known.silence.map(|seconds| seconds.clamp(STEPS[0], STEPS[STEPS.len() - 1]));
        Self { known: Known { silence, ..known }, paces: Vec::new() }
    }

    /// A message of this kind was heard at this time, counted from any fixed moment. `sleepy` if it tells.
    pub fn heard(&mut self, kind: u64, at: Duration, sleepy: Option<bool>) {
        self.known.sleepy = sleepy.unwrap_or(self.known.sleepy);
        let place = self.paces.iter().position(|(other, _)| *other == kind);
        let place = place.unwrap_or_else(|| {
            // Beyond the bound, what is not told apart shares a pace.
            if self.paces.len() < KINDS {
                self.paces.push((kind, Pace { last: None, gaps: VecDeque::with_capacity(GAPS) }));
            }
            self.paces.len() - 1
        });
        self.paces[place].1.heard(at);
        self.learn();
    }

    fn learn(&mut self) {
        let longest = |pace: &Pace| pace.gaps.iter().max().map(|gap| step(*gap * TIMES));
        let learnt = self.paces.iter().filter(|(_, pace)| pace.gaps.len() == GAPS);
        let Some(slowest) = learnt.filter_map(|(_, pace)| longest(pace)).max() else {
            // What was learnt before holds, unless it is seen to be too short.
            let seen = self.paces.iter().filter_map(|(_, pace)| longest(pace)).max();
            self.known.silence = self.known.silence.map(|known| known.max(seen.unwrap_or(0)));
            return;
        };
        let unlearnt = self.paces.iter().any(|(_, pace)| pace.gaps.len() < GAPS);
        let before = if unlearnt { self.known.silence.unwrap_or(UNLEARNT.as_secs()) } else { 0 };
        self.known.silence = Some(slowest.max(before));
    }

    /// How long it may be silent.
    pub fn silence(&self) -> Duration {
        if self.known.sleepy { SLEEPY } else { self.known.silence.map_or(UNLEARNT, Duration::from_secs) }
    }

    /// What is worth keeping.
    pub fn known(&self) -> Known {
        self.known
    }
}

impl Pace {
    fn heard(&mut self, at: Duration) {
        let Some(last) = self.last.replace(at) else { return };
        if self.gaps.len() == GAPS {
            self.gaps.pop_front();
        }
        self.gaps.push_back(at.saturating_sub(last));
    }
}

/// The first step that is not shorter, or the last.
fn step(silence: Duration) -> u64 {
    STEPS.into_iter().find(|step| silence <= Duration::from_secs(*step)).unwrap_or(STEPS[STEPS.len() - 1])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{GAPS, Known, Presence, SLEEPY, STEPS, UNLEARNT};

    fn after(known: Known, gaps: impl IntoIterator<Item = u64>) -> Presence {
        let mut presence = Presence::new(known);
        let mut at = Duration::from_secs(1_000);
        presence.heard(0, at, None);
        for gap in gaps {
            at += Duration::from_millis(gap);
            presence.heard(0, at, None);
        }
        presence
    }

    #[test]
    fn silence_follows_the_longest_pause() {
        for (every, times, seconds) in [
            (1_000, 15, 195),
            (1_000, 16, 30),
            (10_000, 16, 60),
            (20_000, 16, 120),
            (60_000, 16, 300),
            (150_000, 16, 600),
            (600_000, 16, 900),
            (86_400_000, 16, 900),
        ] {
            let presence = after(Known::default(), std::iter::repeat_n(every, times));
            assert_eq!(presence.silence(), Duration::from_secs(seconds), "{times} pauses of {every} ms");
        }
    }

    #[test]
    fn one_long_pause_counts_until_it_is_past() {
        let usual = std::iter::repeat_n(1_000, GAPS - 1);
        assert_eq!(after(Known::default(), std::iter::once(50_000).chain(usual.clone())).silence().as_secs(), 300);
        assert_eq!(after(Known::default(), [50_000, 1_000].into_iter().chain(usual)).silence().as_secs(), 30);
    }

    #[test]
    fn what_was_learnt_holds_until_as_much_was_heard_anew() {
        let known = Known { sleepy: false, silence: Some(60) };
        assert_eq!(after(known, []).silence().as_secs(), 60);
        assert_eq!(after(known, std::iter::repeat_n(1_000, GAPS - 1)).silence().as_secs(), 60);
        assert_eq!(after(known, std::iter::repeat_n(1_000, GAPS)).silence().as_secs(), 30);
        assert_eq!(after(known, [100_000]).silence().as_secs(), 450, "it is seen to be too short");
        for (stored, seconds) in [(0, 30), (u64::MAX, 900)] {
            assert_eq!(Presence::new(Known { sleepy: false, silence: Some(stored) }).silence().as_secs(), seconds);
        }
    }

    #[test]
    fn the_slowest_kind_counts() {
        let mut presence = Presence::default();
        for second in 0..=160 {
            presence.heard(1, Duration::from_secs(second), None);
            if second % 10 == 0 {
                presence.heard(2, Duration::from_secs(second), None);
            }
            let expected = match second {
                0..160 => 195,
                _ => 60,
            };
            assert_eq!(presence.silence().as_secs(), expected, "after {second} s");
        }
        for kind in 3..100 {
            presence.heard(kind, Duration::from_secs(160), None);
        }
        assert_eq!(presence.paces.len(), super::KINDS);
    }

    #[test]
    fn a_sleepy_device_may_be_silent_for_a_day_also_after_a_restart() {
        let mut presence = Presence::default();
        assert_eq!(presence.silence(), UNLEARNT);
        presence.heard(0, Duration::ZERO, Some(true));
        assert_eq!(presence.silence(), SLEEPY);
        assert_eq!(Presence::new(presence.known()).silence(), SLEEPY);
    }

    proptest! {
        #[test]
        fn silence_is_a_step_and_never_shorter_than_the_pauses(gaps in prop::collection::vec(1_u64..200_000, GAPS..60)) {
            let presence = after(Known::default(), gaps.iter().copied());
            let longest = gaps[gaps.len() - GAPS..].iter().max().unwrap();
            let silence = presence.silence();
            prop_assert!(STEPS.contains(&silence.as_secs()));
            prop_assert!(silence >= Duration::from_millis(*longest * 4).min(Duration::from_secs(900)));
        }
    }
}
