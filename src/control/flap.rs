//! Whether a condition goes back and forth too often to be told each time. Pure but for the clock handed in.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::clock::Stamp;

/// The time over which changes are counted.
pub const SPAN: Duration = Duration::from_secs(600);
/// More changes than this within [`SPAN`] are flapping.
pub const MOST: usize = 5;
/// At most so many changes within [`SPAN`] (there and back) are quiet enough to end it.
const QUIET: usize = 2;

/// The memory of one condition.
#[derive(Debug, Default)]
pub struct Flap {
    /// What it was last, in one word; none before anything is known.
    side: Option<&'static str>,
    /// The newest changes, at most one more than [`MOST`].
    changes: VecDeque<Stamp>,
    /// How often it had changed when it was found to flap, and since when.
    flapping: Option<(usize, Duration)>,
}

impl Flap {
    /// Looks at the condition, in one word; `None` if nothing is known of it at this moment, which is no change. Returns
    /// whether it flaps: how often it had changed when that was found, and since when (wall time). Both stay as they are
    /// until it is over.
    pub fn see(&mut self, side: Option<&'static str>, now: Stamp) -> Option<(usize, Duration)> {
        while self.changes.front().is_some_and(|at| at.mono + SPAN <= now.mono) {
            self.changes.pop_front();
        }
        if self.flapping.is_some() && self.changes.len() <= QUIET {
            self.flapping = None;
        }
        if let Some(side) = side
            && self.side.replace(side).is_some_and(|before| before != side)
        {
            if self.changes.len() > MOST {
                self.changes.pop_front();
            }
            self.changes.push_back(now);
            if self.changes.len() > MOST && self.flapping.is_none() {
                self.flapping = Some((self.changes.len(), self.changes[0].wall));
            }
        }
        self.flapping
    }

    /// When it has to be looked at again although nothing may have happened: when it may be quiet enough.
    pub fn again(&self) -> Option<Instant> {
        self.flapping?;
        let last = self.changes.len().checked_sub(QUIET + 1)?;
        Some(self.changes[last].mono + SPAN)
    }

    /// Starts anew: what it does from now on was asked for.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs (second, side, flaps?) through one memory.
    fn run(steps: &[(u64, Option<&'static str>, bool)]) -> Flap {
        let (start, mut flap) = (Stamp::now(), Flap::default());
        for (second, side, flaps) in steps {
            let passed = Duration::from_secs(*second);
            let now = Stamp { wall: start.wall + passed, mono: start.mono + passed };
            assert_eq!(flap.see(*side, now).is_some(), *flaps, "second {second}");
        }
        flap
    }

    const UP: Option<&str> = Some("True");
    const DOWN: Option<&str> = Some("False");

    #[test]
    fn the_sixth_change_within_ten_minutes_is_flapping_until_two_are_left() {
        let six = [
            (0, UP, false),
            (1, DOWN, false),
            (2, UP, false),
            (100, DOWN, false),
            (150, UP, false),
            (200, DOWN, false),
            (250, UP, true),
            (300, UP, true),
            (749, UP, true),
        ];
        assert!(run(&six).again().is_some());
        assert_eq!(run(&[&six[..], &[(750, UP, false)]].concat()).again(), None);
    }

    #[test]
    fn slow_changes_and_moments_without_knowledge_do_not_count() {
        let slow: Vec<_> = (0..20).map(|i| (i * 130, if i % 2 == 0 { UP } else { DOWN }, false)).collect();
        run(&slow);
        let unknown: Vec<_> = (0..20).map(|i| (i, if i % 2 == 0 { UP } else { None }, false)).collect();
        run(&unknown);
    }

    #[test]
    fn its_count_and_beginning_stay_while_it_goes_on() {
        let (start, mut flap) = (Stamp::now(), Flap::default());
        let mut said = Vec::new();
        for i in 0..100 {
            let passed = Duration::from_secs(i * 20);
            let now = Stamp { wall: start.wall + passed, mono: start.mono + passed };
            said.extend(flap.see(if i % 2 == 0 { UP } else { DOWN }, now));
        }
        said.dedup();
        assert_eq!(said, [(6, start.wall + Duration::from_secs(20))]);
        assert!(flap.changes.len() <= MOST + 1);
        flap.forget();
        assert_eq!(flap.again(), None);
    }
}
