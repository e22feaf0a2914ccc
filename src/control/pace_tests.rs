use std::time::Duration;

use tokio::time::Instant;

use super::{AHEAD, BURST, EACH, EVERY, Pace, SOON, Wanted};
use crate::model::DeviceId;

/// A pace with a clock of its own, in milliseconds.
struct Table {
    pace: Pace,
    start: Instant,
    now: u64,
}

fn id(n: u32) -> DeviceId {
    DeviceId::new("plant", &format!("d{n:04}"))
}

impl Table {
    fn new() -> Self {
        let start = Instant::now();
        Self { pace: Pace::new(start, fastrand::Rng::with_seed(7)), start, now: 0 }
    }

    fn at(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    fn want(&mut self, n: u32, edit: u64, settled: bool, print: u64) {
        let now = self.at();
        self.pace.want(&id(n), Wanted { edit, settled, urgent: false, print }, now);
    }

    fn urge(&mut self, n: u32) {
        let now = self.at();
        self.pace.want(&id(n), Wanted { edit: 1, settled: true, urgent: true, print: 2 }, now);
    }

    /// Goes on until somebody may write, which begins.
    fn write(&mut self) -> Option<(u64, DeviceId)> {
        for _ in 0..3 {
            let now = self.at();
            if let Some(device) = self.pace.next(now) {
                self.pace.begin(&device, now);
                return Some((self.now, device));
            }
            let wake = self.pace.wake(now)?;
            self.now = u64::try_from((wake - self.start).as_nanos().div_ceil(1_000_000)).unwrap();
        }
        panic!("it wakes without anything to do")
    }

    fn confirm(&mut self, device: &DeviceId) {
        self.pace.done(device);
    }
}

const EACH_MS: u64 = 10_000;

#[test]
fn the_first_change_goes_at_once_and_then_one_in_ten_seconds_with_the_newest() {
    let mut t = Table::new();
    let mut writes = Vec::new();
    for change in 0..35 {
        t.now = change * 1000;
        t.want(1, 1, true, change);
        let now = t.at();
        while let Some(device) = t.pace.next(now) {
            t.pace.begin(&device, now);
            t.confirm(&device);
            writes.push(t.now);
        }
    }
    assert_eq!(writes, [0, EACH_MS, 2 * EACH_MS, 3 * EACH_MS]);
}

#[test]
fn what_needs_a_person_comes_first_and_keeps_nobody_back_for_ever() {
    let mut t = Table::new();
    for n in 0..1000 {
        t.want(n, 1, true, 1);
    }
    // The last ones, of which one found its trouble later.
    t.urge(998);
    t.now = 5_000;
    t.urge(999);
    t.want(1000, 1, true, 1);
    let first: Vec<_> = (0..3).map(|_| t.write().unwrap().1).collect();
    assert_eq!(first, [id(998), id(999), id(0)]);
    // One that has waited longest is written before one that is in trouble for the first time.
    t.now = u64::try_from(AHEAD.as_millis()).unwrap() + 1;
    t.urge(1001);
    assert_eq!(t.write().unwrap().1, id(1));
}

#[test]
fn a_device_that_is_content_again_is_not_written() {
    let mut t = Table::new();
    t.want(1, 1, true, 1);
    t.pace.content(&id(1));
    assert_eq!((t.write(), t.pace.waiting()), (None, 0));
    t.want(1, 1, true, 1);
    t.pace.forget(&id(1));
    assert_eq!(t.write(), None);
}

#[test]
fn an_edit_is_answered_twice_without_waiting() {
    let mut t = Table::new();
    t.want(1, 1, true, 1);
    let (_, device) = t.write().unwrap();
    t.confirm(&device);
    // Edited a second later, about to be written, then done; then it drifts.
    t.now = 1000;
    t.want(1, 2, false, 2);
    let soon = u64::try_from(SOON.as_millis()).unwrap();
    assert_eq!(t.write().unwrap().0, 1000 + soon);
    t.confirm(&device);
    t.now = 1500;
    t.want(1, 2, true, 3);
    assert_eq!(t.write().unwrap().0, 1500);
    t.confirm(&device);
    t.now = 1600;
    t.want(1, 2, true, 4);
    assert_eq!(t.write().unwrap().0, 1500 + EACH_MS, "a third one waits");
}

#[test]
fn an_edit_that_settles_soon_is_answered_once() {
    let mut t = Table::new();
    t.want(1, 1, false, 1);
    t.now = 200;
    t.want(1, 1, true, 2);
    assert_eq!(t.write().unwrap().0, 200);
    t.confirm(&id(1));
    t.now = 300;
    t.want(1, 1, false, 3);
    assert_eq!(t.write().unwrap().0, 200 + EACH_MS, "what is transitional later has no privilege");
}

#[test]
fn a_node_writes_a_burst_and_then_five_a_second_the_longest_waiting_first() {
    let mut t = Table::new();
    for n in 0..1000 {
        t.now = u64::from(n / 143);
        t.want(n, 1, true, 1);
    }
    t.now = 10;
    let mut written = Vec::new();
    while let Some((at, device)) = t.write() {
        t.confirm(&device);
        written.push((at, device));
    }
    assert_eq!(written.len(), 1000);
    assert!(written.iter().map(|(_, device)| device).eq((0..1000).map(id).collect::<Vec<_>>().iter()));
    for (n, (at, _)) in written.iter().enumerate() {
        let within = written.iter().filter(|(other, _)| (*at..*at + 1000).contains(other)).count();
        assert!(within <= BURST as usize + 5, "{within} within a second of write {n}");
    }
    let last = written.last().unwrap().0;
    let wanted = EVERY.as_millis() * u128::from(1000 - BURST);
    assert!(u128::from(last) >= wanted && u128::from(last) < wanted + 500, "{last}");
}

#[test]
fn a_link_in_doubt_is_tried_ever_more_rarely_by_one_device_at_a_time() {
    let mut t = Table::new();
    (0..30).for_each(|n| t.want(n, 1, true, 1));
    let first: Vec<_> = (0..4).map(|_| t.write().unwrap().1).collect();
    t.now = 500;
    assert!(t.pace.unknown(&first[0], None, t.at()), "it is said once");
    first[1..].iter().for_each(|device| assert!(!t.pace.unknown(device, None, t.at())));
    let (mut before, mut gaps, mut probes) = (t.now, Vec::new(), Vec::new());
    for _ in 0..12 {
        let (at, device) = t.write().unwrap();
        let now = t.at();
        assert_eq!((t.pace.next(now), t.pace.wake(now)), (None, None), "one at a time");
        assert!(!t.pace.unknown(&device, None, now));
        gaps.push(at - before);
        probes.push(device);
        before = at;
    }
    for (n, gap) in gaps.iter().enumerate() {
        let nominal = (1000_u64 << n).min(120_000);
        assert!((nominal / 2..=nominal + 1).contains(gap), "{gap} ms before try {n}");
    }
    probes.sort();
    probes.dedup();
    assert_eq!(probes.len(), 12, "each time another device");
    // It is back: the rest goes in the order of the first change.
    let (_, device) = t.write().unwrap();
    t.confirm(&device);
    t.now += EACH_MS;
    let mut order = Vec::new();
    while let Some((_, device)) = t.write() {
        t.confirm(&device);
        order.push(device);
    }
    assert_eq!(order.len(), 29);
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn the_server_says_how_long_to_wait() {
    let mut t = Table::new();
    t.want(1, 1, true, 1);
    t.want(2, 1, true, 1);
    let (_, device) = t.write().unwrap();
    t.pace.unknown(&device, Some(Duration::from_secs(33)), t.at());
    assert_eq!(t.write().unwrap(), (33_000, id(2)));
}

#[test]
fn a_sign_of_life_shortens_the_wait() {
    let mut t = Table::new();
    (1..20).for_each(|n| t.want(n, 1, true, 1));
    for _ in 0..10 {
        let (_, device) = t.write().unwrap();
        t.pace.unknown(&device, None, t.at());
    }
    let now = t.at();
    t.pace.alive(now);
    let before = t.now;
    assert!(t.write().unwrap().0 - before <= 2000);
}

#[test]
fn a_poisonous_object_does_not_hold_up_the_others() {
    let mut t = Table::new();
    (0..50).for_each(|n| t.want(n, 1, true, 1));
    let (mut poison, mut last) = (0, 0);
    while let Some((at, device)) = t.write() {
        if device == id(0) {
            poison += 1;
            t.pace.unknown(&device, None, t.at());
        } else {
            t.confirm(&device);
            last = at;
        }
        if at > 3_600_000 {
            break;
        }
    }
    assert!(last < 30_000, "the others took {last} ms");
    assert!(poison < 20, "{poison} tries in an hour");
    t.want(1, 1, true, 2);
    let before = t.now;
    assert_eq!(t.write(), Some((before, id(1))), "the link is not in doubt for its sake");
}

#[test]
fn what_was_refused_is_tried_again_only_when_it_changes_or_after_an_hour() {
    let mut t = Table::new();
    t.want(1, 1, true, 1);
    t.want(2, 1, true, 1);
    let (_, device) = t.write().unwrap();
    assert!(t.pace.refused(&device, 1, t.at()));
    assert_eq!(t.write().unwrap(), (0, id(2)), "nobody waits behind it");
    t.confirm(&id(2));
    t.now = 60_000;
    t.want(1, 1, true, 1);
    let (at, _) = t.write().unwrap();
    assert!((2_880_000..=4_320_000).contains(&at), "{at}");
    assert!(!t.pace.refused(&device, 1, t.at()), "it is said once");
    t.now += EACH_MS;
    t.want(1, 1, true, 2);
    assert_eq!(t.write().unwrap().0, t.now, "another status goes at once");
}

#[test]
fn what_is_less_urgent_leaves_half_of_the_burst() {
    let mut t = Table::new();
    let spared = (0..100).filter(|_| t.pace.spare(t.at())).count();
    assert_eq!(spared, 10);
    let free = (0..100).map_while(|n| {
        t.want(n, 1, true, 1);
        let device = t.pace.next(t.at())?;
        t.pace.begin(&device, t.at());
        Some(device)
    });
    assert_eq!(free.count(), 10);
    assert!(EACH > EVERY);
}
