//! Slots for links: how many an adapter can hold, and who waits for one. Pure.

/// The slots of one adapter. `T` is whoever waits.
#[derive(Debug)]
pub struct Slots<T> {
    limit: usize,
    taken: usize,
    waiting: Vec<(u8, T)>,
}

impl<T> Slots<T> {
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), taken: 0, waiting: Vec::new() }
    }

    /// There is a free one and nobody waits for it.
    pub fn is_free(&self) -> bool {
        self.taken < self.limit && self.waiting.is_empty()
    }

    /// Queues up: behind those of the same priority, before those of a lower one.
    pub fn ask(&mut self, priority: u8, waiter: T) {
        let at = self.waiting.partition_point(|(other, _)| *other >= priority);
        self.waiting.insert(at, (priority, waiter));
    }

    /// Who takes a free slot, if there is one.
    pub fn grant(&mut self) -> Option<T> {
        if self.taken >= self.limit || self.waiting.is_empty() {
            return None;
        }
        self.taken += 1;
        Some(self.waiting.remove(0).1)
    }

    /// Gives one back.
    pub fn release(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }

    /// The controller refused one more than this: `held` links stand. What it can do is known from then on.
    pub fn learn(&mut self, held: usize) {
        self.limit = self.limit.min(held.max(1));
    }

    /// Strikes out those who no longer wait.
    pub fn strike(&mut self, gone: impl Fn(&T) -> bool) {
        self.waiting.retain(|(_, waiter)| !gone(waiter));
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;

    #[test]
    fn by_priority_then_in_order() {
        let mut slots = Slots::new(2);
        for (priority, who) in [(0, "a"), (5, "b"), (0, "c"), (5, "d"), (1, "e")] {
            slots.ask(priority, who);
        }
        assert!(!slots.is_free());
        assert_eq!([slots.grant(), slots.grant(), slots.grant()], [Some("b"), Some("d"), None]);
        slots.strike(|who| *who == "e");
        slots.release();
        assert_eq!([slots.grant(), slots.grant()], [Some("a"), None]);
        slots.release();
        slots.release();
        assert_eq!([slots.grant(), slots.grant()], [Some("c"), None]);
        assert!(slots.is_free());
    }

    #[test]
    fn the_limit_is_learnt() {
        let mut slots = Slots::new(40);
        for who in 0..8 {
            slots.ask(0, who);
        }
        assert_eq!(std::iter::from_fn(|| slots.grant()).count(), 8);
        slots.release();
        slots.learn(7);
        assert!(!slots.is_free());
        slots.ask(0, 8);
        assert_eq!(slots.grant(), None);
        slots.release();
        assert_eq!(slots.grant(), Some(8));
        slots.learn(0);
        assert_eq!(slots.limit, 1);
    }
}
