//! Slots for links: how many an adapter can hold, and who waits for one. Pure; time is an argument.
//!
//! `foreign` is the number of links on the adapter that are not this program's: they take room as well.

use std::time::Duration;

use tokio::time::Instant;

/// After this time one more link than the controller last held is tried: the one that it refused may have had its reason
/// in what else it did.
const GROWTH: Duration = Duration::from_secs(600);

/// The slots of one adapter. `T` is whoever waits.
#[derive(Debug)]
pub struct Slots<T> {
    most: usize,
    /// How many links the controller held when it refused one more, and when that was.
    learnt: Option<(usize, Instant)>,
    taken: usize,
    waiting: Vec<(u8, T)>,
}

impl<T> Slots<T> {
    pub fn new(most: usize) -> Self {
        Self { most, learnt: None, taken: 0, waiting: Vec::new() }
    }

    /// There is a free one and nobody waits for it.
    pub fn is_free(&self, foreign: usize, now: Instant) -> bool {
        self.has_room(foreign, now) && self.waiting.is_empty()
    }

    /// One link is always tried: who else holds links may be told wrongly.
    fn has_room(&self, foreign: usize, now: Instant) -> bool {
        let limit = self.learnt.map_or(self.most, |(held, at)| {
            let grown = now.duration_since(at).as_secs() / GROWTH.as_secs();
            held.saturating_add(usize::try_from(grown).unwrap_or(usize::MAX)).min(self.most)
        });
        self.taken < limit.saturating_sub(foreign).max(1)
    }

    /// Queues up: behind those of the same priority, before those of a lower one.
    pub fn ask(&mut self, priority: u8, waiter: T) {
        let at = self.waiting.partition_point(|(other, _)| *other >= priority);
        self.waiting.insert(at, (priority, waiter));
    }

    /// Who takes a free slot, if there is one.
    pub fn grant(&mut self, foreign: usize, now: Instant) -> Option<T> {
        if !self.has_room(foreign, now) || self.waiting.is_empty() {
            return None;
        }
        self.taken += 1;
        Some(self.waiting.remove(0).1)
    }

    /// Gives one back.
    pub fn release(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }

    /// The controller refused one more than `held` links, whosever they are.
    pub fn learn(&mut self, held: usize, now: Instant) {
        self.learnt = Some((held, now));
    }

    /// Strikes out those who no longer wait.
    pub fn strike(&mut self, gone: impl Fn(&T) -> bool) {
        self.waiting.retain(|(_, waiter)| !gone(waiter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_priority_then_in_order() {
        let (mut slots, now) = (Slots::new(2), Instant::now());
        for (priority, who) in [(0, "a"), (5, "b"), (0, "c"), (5, "d"), (1, "e")] {
            slots.ask(priority, who);
        }
        assert!(!slots.is_free(0, now));
        let grant = |slots: &mut Slots<_>| slots.grant(0, now);
        assert_eq!([grant(&mut slots), grant(&mut slots), grant(&mut slots)], [Some("b"), Some("d"), None]);
        slots.strike(|who| *who == "e");
        slots.release();
        assert_eq!([grant(&mut slots), grant(&mut slots)], [Some("a"), None]);
        slots.release();
        slots.release();
        assert_eq!([grant(&mut slots), grant(&mut slots)], [Some("c"), None]);
        assert!(slots.is_free(0, now));
    }

    #[test]
    fn the_limit_is_learnt_and_forgotten() {
        let t0 = Instant::now();
        let minutes = |minutes: u64| t0 + Duration::from_secs(60 * minutes);
        // What the controller held when it refused, when it is asked, how many others hold, how many are granted.
        for (learnt, at, foreign, expected) in [
            (None, 0, 0, 8),
            (None, 0, 3, 5),
            (None, 0, 20, 1),
            (Some(5), 0, 0, 5),
            (Some(5), 9, 0, 5),
            (Some(5), 10, 0, 6),
            (Some(5), 29, 0, 7),
            (Some(5), 10_000, 0, 8),
            (Some(5), 0, 2, 3),
            (Some(5), 20, 2, 5),
            (Some(0), 0, 0, 1),
            (Some(2), 0, 2, 1),
        ] {
            let mut slots = Slots::new(8);
            (0..20).for_each(|who| slots.ask(0, who));
            if let Some(held) = learnt {
                slots.learn(held, t0);
            }
            let granted = std::iter::from_fn(|| slots.grant(foreign, minutes(at))).count();
            assert_eq!(granted, expected, "{learnt:?} {at} {foreign}");
        }
    }
}
