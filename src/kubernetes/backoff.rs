//! How long to wait before a list or a watch is tried again: doubling, with jitter, up to a minute. A watch that ends as
//! soon as it was opened counts as a failure, since a proxy whose cloud is away answers every watch like that. Pure but
//! for the dice.

use std::time::Duration;

/// The wait after the first failure, before the jitter.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait, before the jitter.
const LONGEST: Duration = Duration::from_secs(48);
/// A watch that lasts this long is a good one.
pub const PROVEN: Duration = Duration::from_secs(5);

/// The waits of one thing that is tried again and again.
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    /// The last failure was none of the server's own: nobody answered, or somebody in its place.
    away: bool,
    dice: fastrand::Rng,
}

impl Backoff {
    /// No failure so far. The dice decide the jitter.
    pub fn new(dice: fastrand::Rng) -> Self {
        Self { failures: 0, away: false, dice }
    }

    /// It failed: how long to wait, not less than the server asked for. A server that asks for time after it was away is
    /// back, if busy: what was waited for it so far no longer counts.
    pub fn failed(&mut self, asked: Option<Duration>) -> Duration {
        if asked.is_some() && std::mem::take(&mut self.away) {
            self.failures = 0;
        }
        self.away |= asked.is_none();
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let wait = FIRST.saturating_mul(factor).min(LONGEST).mul_f64(0.75 + 0.5 * self.dice.f64());
        // A fleet that is told the same time must not come back as one.
        asked.map_or(wait, |asked| wait.max(asked.min(10 * LONGEST).mul_f64(1.0 + 0.2 * self.dice.f64())))
    }

    /// A watch ended after this time, for whatever reason. How long to wait before the next, not less than the server
    /// asked for.
    pub fn ended(&mut self, lasted: Duration, asked: Option<Duration>) -> Duration {
        if lasted >= PROVEN {
            self.worked();
            let asked = asked.unwrap_or_default().min(10 * LONGEST);
            return FIRST.mul_f64(self.dice.f64()).max(asked);
        }
        self.failed(asked)
    }

    /// It worked: the next failure counts as the first.
    pub fn worked(&mut self) {
        self.failures = 0;
        self.away = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(waits: &[Duration]) -> Vec<f64> {
        waits.iter().map(Duration::as_secs_f64).collect()
    }

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_when_it_worked() {
        for seed in 0..100 {
            let mut backoff = Backoff::new(fastrand::Rng::with_seed(seed));
            let waits: Vec<_> = (0..9).map(|_| backoff.failed(None)).collect();
            for (wait, nominal) in seconds(&waits).iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 48.0, 48.0, 48.0]) {
                assert!((0.75 * nominal..=1.25 * nominal).contains(wait), "{wait} for {nominal}");
                assert!(*wait <= 60.0);
            }
            backoff.worked();
            assert!(backoff.failed(None).as_secs_f64() <= 1.25);
        }
    }

    #[test]
    fn a_watch_that_ends_at_once_is_a_failure_and_one_that_lasts_is_none() {
        for (what, lasted, tries, longest) in [
            ("at once", Duration::ZERO, 60, 9),
            ("after a moment", Duration::from_secs(4), 60, 9),
            ("as agreed", Duration::from_secs(290), 290 * 5, 5),
        ] {
            let mut backoff = Backoff::new(fastrand::Rng::with_seed(7));
            let (mut passed, mut watches) = (Duration::ZERO, 0);
            while passed < Duration::from_secs(tries) {
                watches += 1;
                passed += lasted + backoff.ended(lasted, None);
            }
            assert!(watches <= longest, "{what}: {watches} watches in {tries} s");
        }
    }

    #[test]
    fn the_server_is_heard_but_not_without_end() {
        let mut backoff = Backoff::new(fastrand::Rng::with_seed(1));
        assert!(backoff.failed(Some(Duration::from_secs(30))) >= Duration::from_secs(30));
        assert!(backoff.failed(Some(Duration::from_secs(1 << 40))) <= Duration::from_secs(600));
    }

    #[test]
    fn a_server_that_is_back_but_busy_is_not_waited_for_as_if_it_were_away() {
        let mut backoff = Backoff::new(fastrand::Rng::with_seed(1));
        for _ in 0..9 {
            backoff.failed(None);
        }
        let asked = Some(Duration::from_secs(1));
        let waits: Vec<_> = (0..4).map(|_| backoff.failed(asked)).collect();
        assert!(waits[0] <= Duration::from_secs(2), "{waits:?}");
        assert!(waits[3] >= Duration::from_secs(6), "it is not asked for ever as if it were well: {waits:?}");
    }
}
