//! How long a device may be silent before what it said is old: learnt from its own intervals. Pure; time is handed in.
//!
//! Devices send different things at different paces (a temperature every ten seconds, the battery once a minute), so each
//! kind of message has its own pace. A device may be silent for [`TIMES`] times the longest of the last [`GAPS`] pauses of
//! its slowest kind: two or three packets in a row are lost easily. The result is one of a few steps, so that it does not
//! change with every packet. Until so many pauses were seen it is at least [`UNLEARNT`], and more from the second pause on
//! if those are long. This figure and the cap of 15 minutes are habluetooth's; but a device of which every kind is slow
//! (a value every half an hour) may be silent for up to four hours. A pause beyond the present silence is an outage unless
//! it recurs. A kind that was not heard for long is the device's no more. A device that sends when something happens, not
//! at an interval, may be silent for ever.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

/// Silences that are told apart, in seconds: the least and the greatest are floor and cap.
const STEPS: [u64; 12] = [30, 60, 120, 195, 300, 450, 600, 900, 1800, 3600, 7200, LONGEST];
const LONGEST: u64 = 4 * 60 * 60;
/// The cap while any kind of message comes more often: a rare one does not hide that the device is gone.
const CAP: u64 = 900;
/// Before anything was learnt.
pub const UNLEARNT: Duration = Duration::from_secs(195);
/// Of a device without an interval: its silence means nothing.
pub const SLEEPY: Duration = Duration::MAX;
/// A pause this many times as long as the longest usual one is silence.
const TIMES: u32 = 4;
/// So many pauses are remembered; before so many were seen, nothing shorter is known.
const GAPS: usize = 16;
/// So many kinds of messages of one device are told apart; then the one that was not heard for longest is forgotten.
const KINDS: usize = 16;
/// A kind that was not heard for so many silences does not count.
const PAST: u32 = 4;

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
    last: Duration,
    /// What follows comes from another address: the time until then is no pause.
    moved: bool,
    gaps: VecDeque<Duration>,
}

impl Presence {
    /// Of a device of which this much is known.
    pub fn new(known: Known) -> Self {
        let silence = known.silence.map(|seconds| seconds.clamp(STEPS[0], LONGEST));
        Self { known: Known { silence, ..known }, paces: Vec::new() }
    }

    /// A message of this kind was heard at this time, counted from any fixed moment. `sleepy` if it tells.
    pub fn heard(&mut self, kind: u64, at: Duration, sleepy: Option<bool>) {
        self.known.sleepy = sleepy.unwrap_or(self.known.sleepy);
        if let Some((_, pace)) = self.paces.iter_mut().find(|(other, _)| *other == kind) {
            pace.heard(at);
        } else {
            if self.paces.len() == KINDS {
                let oldest = (0..KINDS).min_by_key(|place| self.paces[*place].1.last);
                oldest.map(|place| self.paces.swap_remove(place));
            }
            self.paces.push((kind, Pace { last: at, moved: false, gaps: VecDeque::with_capacity(GAPS) }));
        }
        self.learn(at);
    }

    /// It is another one of this name, or has another address, from now on.
    pub fn moved(&mut self) {
        self.paces.iter_mut().for_each(|(_, pace)| pace.moved = true);
    }

    fn learn(&mut self, at: Duration) {
        let before = self.known.silence.unwrap_or(UNLEARNT.as_secs());
        let present = Duration::from_secs(before);
        let current = || self.paces.iter().map(|(_, pace)| pace).filter(|pace| pace.since(at) <= present * PAST);
        let longest = |pace: &Pace| step(pace.longest(present) * TIMES);
        let full = || current().filter(|pace| pace.gaps.len() == GAPS).map(longest);
        let begun = || current().filter(|pace| pace.gaps.len() < GAPS);
        let seen = begun().filter(|pace| pace.gaps.len() > 1).map(longest).max().unwrap_or(0);
        self.known.silence = match (full().max(), full().min()) {
            (Some(slowest), Some(fastest)) => {
                // What was learnt before holds until as much is known of each kind.
                let before = if begun().next().is_some() { before } else { 0 };
                Some(slowest.max(before).max(seen).min(fastest.max(CAP)))
            }
            _ if seen > before => Some(seen),
            _ => self.known.silence,
        };
    }

    /// How long it may be silent.
    pub fn silence(&self) -> Duration {
        if self.known.sleepy { SLEEPY } else { self.known.silence.map_or(UNLEARNT, Duration::from_secs) }
    }

    /// The longest pause of the kind of message that comes most often; none before two were seen.
    pub fn pause(&self) -> Option<Duration> {
        let seen = self.paces.iter().filter(|(_, pace)| pace.gaps.len() > 1);
        seen.filter_map(|(_, pace)| pace.gaps.iter().max().copied()).min()
    }

    /// What is worth keeping.
    pub fn known(&self) -> Known {
        self.known
    }
}

impl Pace {
    fn heard(&mut self, at: Duration) {
        let gap = self.since(at);
        self.last = at;
        if std::mem::take(&mut self.moved) {
            return;
        }
        if self.gaps.len() == GAPS {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
    }

    fn since(&self, at: Duration) -> Duration {
        at.saturating_sub(self.last)
    }

    /// The longest pause; of those beyond the present silence the second longest, for one alone is an outage.
    fn longest(&self, present: Duration) -> Duration {
        let (mut first, mut second) = (Duration::ZERO, Duration::ZERO);
        for gap in &self.gaps {
            if *gap > first {
                (first, second) = (*gap, first);
            } else {
                second = second.max(*gap);
            }
        }
        if first > present { second } else { first }
    }
}

/// The first step that is not shorter, or the last.
fn step(silence: Duration) -> u64 {
    STEPS.into_iter().find(|step| silence <= Duration::from_secs(*step)).unwrap_or(LONGEST)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{CAP, GAPS, Known, LONGEST, Presence, SLEEPY, STEPS, UNLEARNT};

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
            // Regular but slow: from the second pause on.
            (600_000, 1, 195),
            (600_000, 2, 3600),
            (600_000, 16, 3600),
            (1_800_000, 2, 7200),
            (1_800_000, 40, 7200),
            (86_400_000, 16, LONGEST),
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
    fn an_outage_is_no_pause_unless_it_recurs() {
        let usual = || std::iter::repeat_n(1_000, GAPS);
        let outage = 10_000_000;
        let once = usual().chain([outage]).chain(usual());
        assert_eq!(after(Known::default(), once.clone().take(GAPS + 1)).silence().as_secs(), 30);
        assert_eq!(after(Known::default(), once).silence().as_secs(), 30);
        let slower = usual().chain([60_000; 2]);
        assert_eq!(after(Known::default(), slower).silence().as_secs(), 300, "it sends more rarely now");
    }

    #[test]
    fn a_rare_kind_neither_lets_it_only_grow_nor_hides_that_the_device_is_gone() {
        let mut presence = Presence::new(Known { sleepy: false, silence: Some(LONGEST) });
        let mut at = Duration::ZERO;
        // Once, and never again: what was known before holds for a while.
        presence.heard(1, at, None);
        for _ in 0..=GAPS {
            presence.heard(0, at, None);
            at += Duration::from_secs(1);
        }
        assert_eq!(presence.silence().as_secs(), CAP);
        for _ in 0..2 * CAP {
            at += Duration::from_secs(2);
            presence.heard(0, at, None);
        }
        assert_eq!(presence.silence().as_secs(), 30);
        // A battery once an hour, for days.
        for second in 0..40 * 3600_u64 {
            at += Duration::from_secs(1);
            presence.heard(0, at, None);
            if second % 3600 == 0 {
                presence.heard(2, at, None);
            }
            assert!(presence.silence().as_secs() <= CAP);
        }
    }

    #[test]
    fn what_comes_from_another_address_ends_no_pause() {
        let mut presence = Presence::default();
        assert_eq!(presence.pause(), None);
        for second in [0, 2, 4, 100, 102] {
            if second == 100 {
                presence.moved();
            }
            presence.heard(0, Duration::from_secs(second), None);
        }
        assert_eq!(presence.pause(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn what_was_learnt_holds_until_as_much_was_heard_anew() {
        let known = Known { sleepy: false, silence: Some(60) };
        assert_eq!(after(known, []).silence().as_secs(), 60);
        assert_eq!(after(known, std::iter::repeat_n(1_000, GAPS - 1)).silence().as_secs(), 60);
        assert_eq!(after(known, std::iter::repeat_n(1_000, GAPS)).silence().as_secs(), 30);
        assert_eq!(after(known, [100_000; 2]).silence().as_secs(), 450, "it is seen to be too short");
        for (stored, seconds) in [(0, 30), (u64::MAX, LONGEST)] {
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
    fn a_sleepy_device_may_be_silent_for_ever_also_after_a_restart() {
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
            let mut last = gaps[gaps.len() - GAPS..].to_vec();
            last.sort_unstable();
            let recurring = last[GAPS - 2];
            let silence = presence.silence();
            prop_assert!(STEPS.contains(&silence.as_secs()));
            prop_assert!(silence >= Duration::from_millis(recurring * 4));
        }
    }
}
