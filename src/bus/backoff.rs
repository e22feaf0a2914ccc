//! How long to wait before the next try: doubling, with jitter, up to a cap. Pure but for the dice handed in.

use std::time::Duration;

/// The longest wait, jitter included.
pub(super) const CAP: Duration = Duration::from_secs(30);

/// The waits of one thing that fails again and again.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    tries: u32,
}

impl Backoff {
    /// Waits that begin with about this one.
    pub fn new(first: Duration) -> Self {
        Self { first, tries: 0 }
    }

    /// The next wait: twice the last, give or take a fifth.
    pub fn next(&mut self, dice: &mut fastrand::Rng) -> Duration {
        let factor = 1_u32.checked_shl(self.tries).unwrap_or(u32::MAX);
        self.tries = self.tries.saturating_add(1);
        let wait = self.first.saturating_mul(factor).min(CAP.mul_f64(1.0 / 1.2));
        wait.mul_f64(0.8 + 0.4 * dice.f64())
    }

    /// It worked: the next wait is the first again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_with_jitter_up_to_the_cap() {
        let mut dice = fastrand::Rng::with_seed(7);
        for _ in 0..100 {
            let mut backoff = Backoff::new(Duration::from_secs(1));
            for nominal in [1.0, 2.0, 4.0, 8.0, 16.0, 25.0, 25.0] {
                let wait = backoff.next(&mut dice).as_secs_f64();
                assert!((0.8 * nominal..=1.2 * nominal).contains(&wait), "{wait} for {nominal}");
            }
            for _ in 0..100 {
                assert!(backoff.next(&mut dice) <= CAP);
            }
            backoff.reset();
            assert!(backoff.next(&mut dice) <= Duration::from_millis(1_200));
        }
    }

    #[test]
    fn the_jitter_spreads_what_fails_together() {
        let mut dice = fastrand::Rng::with_seed(7);
        let first: Vec<_> = (0..10).map(|_| Backoff::new(Duration::from_secs(10)).next(&mut dice)).collect();
        let (least, most) = (first.iter().min().unwrap(), first.iter().max().unwrap());
        assert!(*most > *least + Duration::from_secs(1), "{first:?}");
    }
}
