//! The life of the retained topics: which one is due when. Pure: it renders nothing and sends nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::lane::{Lane, STATE_EVERY};

/// `state` is sent at least this often.
pub const STATE_AT_LEAST: Duration = Duration::from_secs(60);
/// `health` is sent this often.
pub const HEALTH_EVERY: Duration = Duration::from_secs(30);
/// After a connect the retained topics of the devices are spread over this time.
const SPREAD: Duration = Duration::from_secs(10);
/// The steps of the spreading: few wake-ups, small bursts.
const STEPS: usize = 100;
/// This many are sent per step at the least.
const PER_STEP: usize = 25;
/// Timers this close share one wake-up.
const SLACK: Duration = Duration::from_millis(20);

/// Something that falls due. Of those due at once, the order is this.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    BridgeState,
    BridgeInfo,
    BridgeDevices,
    /// Clears a topic of a device that is gone.
    Clear(String),
    Info(u64),
    Availability(u64),
    State(u64),
    BridgeHealth,
    /// A value of this device grows old.
    Age(u64),
}

/// Which retained topic is due when.
#[derive(Default)]
pub struct Retained {
    due: BTreeMap<Item, Instant>,
    order: BTreeSet<(Instant, Item)>,
    state_sent: HashMap<u64, Instant>,
    blocked: BTreeSet<Item>,
    /// Cleared only when the broker has said so.
    clears: BTreeSet<String>,
    /// The devices.
    pub lanes: HashMap<u64, Arc<Lane>>,
}

impl Retained {
    /// Makes an item due at this moment, or sooner if it already is.
    pub fn schedule(&mut self, item: Item, at: Instant) {
        if self.blocked.contains(&item) {
            return;
        }
        match self.due.get(&item) {
            Some(due) if *due <= at => return,
            Some(due) => {
                self.order.remove(&(*due, item.clone()));
            }
            None => {}
        }
        self.due.insert(item.clone(), at);
        self.order.insert((at, item));
    }

    fn cancel(&mut self, item: &Item) {
        if let Some(due) = self.due.remove(item) {
            self.order.remove(&(due, item.clone()));
        }
    }

    /// A new device, or one that takes the place of another: all of its topics at once.
    pub fn join(&mut self, lane: Arc<Lane>, with_state: bool, now: Instant) {
        let key = lane.key();
        self.lanes.insert(key, lane);
        self.schedule(Item::Info(key), now);
        self.schedule(Item::Availability(key), now);
        if with_state {
            self.schedule(Item::State(key), now);
        }
    }

    /// A device that is gone, or has been replaced.
    pub fn leave(&mut self, key: u64) {
        self.lanes.remove(&key);
        self.state_sent.remove(&key);
        for item in [Item::Info(key), Item::Availability(key), Item::State(key), Item::Age(key)] {
            self.cancel(&item);
            self.blocked.remove(&item);
        }
    }

    /// Clears a topic.
    pub fn clear(&mut self, topic: String, now: Instant) {
        self.clears.insert(topic.clone());
        self.schedule(Item::Clear(topic), now);
    }

    /// The topic is in use again, or is cleared.
    pub fn keep(&mut self, topic: &str) {
        self.clears.remove(topic);
        self.cancel(&Item::Clear(topic.into()));
    }

    /// The broker would not take this one: it is not sent again until its device changes.
    pub fn block(&mut self, item: Item) {
        self.cancel(&item);
        self.blocked.insert(item);
    }

    /// `state` changed: it is due at once, but at most once a second.
    pub fn touch_state(&mut self, key: u64, now: Instant) {
        if self.lanes.contains_key(&key) {
            let at = self.state_sent.get(&key).map_or(now, |sent| now.max(*sent + STATE_EVERY));
            self.schedule(Item::State(key), at);
        }
    }

    /// A new connection: everything again, spread; what has never been sent at once.
    pub fn connected(&mut self, with_state: bool, now: Instant) {
        for item in [Item::BridgeState, Item::BridgeInfo, Item::BridgeDevices, Item::BridgeHealth] {
            self.schedule(item, now);
        }
        for topic in self.clears.clone() {
            self.schedule(Item::Clear(topic), now);
        }
        let mut keys: Vec<_> = self.lanes.keys().copied().collect();
        keys.sort_unstable();
        // State first, since it is what people look at.
        let make: &[fn(u64) -> Item] =
            if with_state { &[Item::State, Item::Availability, Item::Info] } else { &[Item::Availability, Item::Info] };
        let items: Vec<_> = make.iter().flat_map(|make| keys.iter().map(|key| make(*key))).collect();
        let steps = items.len().div_ceil(PER_STEP).clamp(1, STEPS);
        let count = items.len();
        for (i, item) in items.into_iter().enumerate() {
            let step = u32::try_from(i * steps / count).unwrap_or(0);
            self.schedule(item, now + SPREAD / u32::try_from(STEPS).unwrap_or(1) * step);
        }
    }

    /// The next item that is due; it is then no longer due.
    pub fn pop(&mut self, now: Instant) -> Option<Item> {
        if self.order.first()?.0 > now {
            return None;
        }
        let (_, item) = self.order.pop_first()?;
        self.due.remove(&item);
        match &item {
            Item::State(key) => {
                self.state_sent.insert(*key, now);
                self.schedule(item.clone(), now + STATE_AT_LEAST);
            }
            Item::BridgeHealth => self.schedule(Item::BridgeHealth, now + HEALTH_EVERY),
            _ => {}
        }
        Some(item)
    }

    /// When to look again.
    pub fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at + SLACK)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Item, Retained, SPREAD};

    #[test]
    fn the_sooner_moment_wins_and_ties_go_in_order() {
        let (mut retained, now) = (Retained::default(), Instant::now());
        let later = now + Duration::from_secs(5);
        retained.schedule(Item::Info(1), later);
        retained.schedule(Item::Availability(1), now);
        retained.schedule(Item::Info(1), now);
        retained.schedule(Item::Info(1), later);
        assert_eq!(retained.pop(now), Some(Item::Info(1)));
        assert_eq!(retained.pop(now), Some(Item::Availability(1)));
        assert_eq!(retained.pop(later), None);
    }

    #[test]
    fn health_repeats_and_clears_stay_until_kept() {
        let (mut retained, now) = (Retained::default(), Instant::now());
        retained.clear("a".into(), now);
        assert_eq!(retained.pop(now), Some(Item::Clear("a".into())));
        retained.connected(true, now);
        let all: Vec<_> = std::iter::from_fn(|| retained.pop(now)).collect();
        assert!(all.contains(&Item::Clear("a".into())) && all.contains(&Item::BridgeHealth));
        retained.keep("a");
        retained.connected(true, now);
        assert!(!std::iter::from_fn(|| retained.pop(now + SPREAD)).any(|i| matches!(i, Item::Clear(_))));
        assert_eq!(retained.pop(now + Duration::from_secs(41)), Some(Item::BridgeHealth));
    }

    #[test]
    fn what_is_blocked_is_not_scheduled() {
        let (mut retained, now) = (Retained::default(), Instant::now());
        retained.schedule(Item::Info(1), now);
        retained.block(Item::Info(1));
        retained.schedule(Item::Info(1), now);
        assert_eq!(retained.pop(now), None);
        retained.leave(1);
        retained.schedule(Item::Info(1), now);
        assert_eq!(retained.pop(now), Some(Item::Info(1)));
    }
}
