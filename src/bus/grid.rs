//! Aligned deadlines: all polls of one period in this process fall on one grid. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Where the deadlines of every period lie. One for the whole process: wake-ups are what polling costs.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    origin: Instant,
    phase: u64,
}

impl Grid {
    /// A grid whose phase follows from the node's name, so that a fleet does not beat as one after a power cut.
    pub fn of_node(node: &str) -> Self {
        Self { origin: Instant::now(), phase: hash(node) }
    }

    /// The first deadline after this moment. Where one period is a multiple of another, its deadlines are among the
    /// other's.
    pub fn next(&self, period: Duration, after: Instant) -> Instant {
        let period = millis(period).max(1);
        let phase = self.phase % period;
        let passed = millis(after.saturating_duration_since(self.origin));
        let periods = if passed < phase { 0 } else { (passed - phase) / period + 1 };
        self.origin + Duration::from_millis(phase + periods * period)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

/// FNV-1a, 64 bit: the same in every build.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn deadlines_lie_after_the_moment_one_period_apart() {
        let origin = Instant::now();
        let grid = Grid { origin, phase: 2_300 };
        for (period, after, next) in
            [(1_000, 0, 300), (1_000, 299, 300), (1_000, 300, 1_300), (1_000, 7_777, 8_300), (7_000, 0, 2_300)]
        {
            assert_eq!(grid.next(ms(period), origin + ms(after)), origin + ms(next), "{period} after {after}");
        }
    }

    #[test]
    fn a_slow_grid_is_part_of_a_fast_one() {
        let origin = Instant::now();
        let grid = Grid { origin, phase: hash("gw-1") };
        let slow = grid.next(ms(1_000), origin + ms(5_000));
        assert_eq!(grid.next(ms(100), slow - ms(1)), slow);
    }

    #[test]
    fn nodes_differ_and_no_period_is_too_short_or_too_long() {
        assert_ne!(hash("gw-1") % 1_000, hash("gw-2") % 1_000);
        let grid = Grid::of_node("gw-1");
        let now = Instant::now();
        assert!(grid.next(Duration::ZERO, now) > now);
    }
}
