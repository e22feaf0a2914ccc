//! Whether a device's message is news, a repetition of one that was heard, or an old one that somebody plays back. Pure:
//! one device's counters, bounded by the number of formats; time is handed in. It does not look at what messages say,
//! except to tell whether they say the same.
//!
//! The rules start from those of Home Assistant's decoder, bthome-ble 3.25 (parser.py), and differ where noted.
//!
//! **Counter** (authentic messages only). A greater one is news, the same one a repetition, a lower one a replay. Two
//! things make a device start anew: its counter has run over, or its battery was changed. bthome-ble takes any counter
//! below 100 for that, at any time, and so anybody who recorded a device's first hundred messages can play them back
//! at will, and from there on all others. Here a counter that ran over must be close behind zero while the last was
//! close before it, and a counter below 100 counts as a start only once the device has not been heard for ten seconds,
//! which changing a battery takes. So nothing can be played back while a device that is often on air is on air. A
//! device that is silent for long can still be imitated with its first hundred messages: that is the price for going
//! on by itself after a change of battery. One that starts at any other number than near zero stays refused until it
//! is beyond its last counter, or its memory is dropped (`ReplayGuard::default()`).
//!
//! **Packet number** (clear messages, and within authentic ones). A number ahead by less than 64 is news. The same or
//! another is a repetition, or an older message overtaken by a newer one, if a message was heard in the last four
//! seconds; after that it is news, for devices that have no memory start with the same number each time they wake.
//! bthome-ble drops what differs under the same number; here only what says the same is a repetition.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use mapper_api::Value;
use serde::{Deserialize, Serialize};

use crate::formats::{Format, Message};

/// What a message is, beside what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is to be read.
    New,
    /// The device says again what it said. Its state is still the same; events in it have not happened again.
    Repetition,
    /// It is older than what was heard: to be refused, and no sign of life.
    Replay,
}

/// Counters below this may be of a device that starts anew.
const START: u32 = 100;
/// For so long a device that starts anew was not heard.
const CHANGE_OF_BATTERY: Duration = Duration::from_secs(10);
/// A counter that ran over is this close to zero, on both sides.
const RUN_OVER: u32 = 1 << 16;
/// For so long the same packet number is the same packet.
const SAME_PACKET: Duration = Duration::from_secs(4);
/// A packet number ahead by less than this is newer, by more older.
const AHEAD: u8 = 64;

/// The counters of one device. What outlives the process is its last counter in each format; the rest matters only for
/// seconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Format, u32>", into = "BTreeMap<Format, u32>")]
pub struct ReplayGuard {
    formats: BTreeMap<Format, Last>,
}

/// What was heard last in one format.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    counter: Option<u32>,
    /// When a counter was accepted.
    counted: Option<Duration>,
    packet: Option<Packet>,
}

#[derive(Debug, Clone, Copy)]
struct Packet {
    number: u8,
    says: u64,
    heard: Duration,
}

impl ReplayGuard {
    /// What this message is. `at` is when it was received, counted from any moment that stays the same while the process
    /// runs. Only messages that were understood may be handed in: a wrong one would spoil the counters.
    pub fn judge(&mut self, message: &Message, at: Duration) -> Verdict {
        let last = self.formats.entry(message.format).or_default();
        let by_counter = message.counter.filter(|_| message.encrypted).map_or(Verdict::New, |new| last.count(new, at));
        match (by_counter, message.packet) {
            (Verdict::New, Some(number)) => last.packet(Packet { number, says: says(message), heard: at }),
            (verdict, _) => verdict,
        }
    }
}

impl Last {
    fn count(&mut self, new: u32, at: Duration) -> Verdict {
        if let Some(last) = self.counter {
            let ran_over = last >= u32::MAX - RUN_OVER && new < RUN_OVER;
            let silent = self.counted.is_none_or(|counted| at.saturating_sub(counted) >= CHANGE_OF_BATTERY);
            if new == last {
                return Verdict::Repetition;
            }
            if new < last && !ran_over && !(new < START && silent) {
                return Verdict::Replay;
            }
        }
        self.counter = Some(new);
        self.counted = Some(at);
        Verdict::New
    }

    fn packet(&mut self, new: Packet) -> Verdict {
        let Some(last) = self.packet.replace(new) else { return Verdict::New };
        if new.heard.saturating_sub(last.heard) > SAME_PACKET {
            return Verdict::New;
        }
        match new.number.wrapping_sub(last.number) {
            0 if new.says != last.says => Verdict::New,
            1..AHEAD => Verdict::New,
            0 => Verdict::Repetition,
            _ => {
                // An older one: what was newest stays so.
                self.packet = Some(Packet { heard: new.heard, ..last });
                Verdict::Repetition
            }
        }
    }
}

/// A mark of what a message says: the same for the same values.
fn says(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    for measure in &message.measures {
        (measure.name, measure.index).hash(&mut hasher);
        match &measure.value {
            Value::Bool(value) => value.hash(&mut hasher),
            Value::Int(value) => value.hash(&mut hasher),
            Value::Uint(value) => value.hash(&mut hasher),
            Value::Float32(value) => value.to_bits().hash(&mut hasher),
            Value::Float64(value) => value.to_bits().hash(&mut hasher),
            Value::Text(value) => value.hash(&mut hasher),
            Value::Bytes(value) => value.hash(&mut hasher),
        }
    }
    hasher.finish()
}

impl From<BTreeMap<Format, u32>> for ReplayGuard {
    fn from(counters: BTreeMap<Format, u32>) -> Self {
        let kept = |(format, counter)| (format, Last { counter: Some(counter), ..Last::default() });
        Self { formats: counters.into_iter().map(kept).collect() }
    }
}

impl From<ReplayGuard> for BTreeMap<Format, u32> {
    fn from(guard: ReplayGuard) -> Self {
        guard.formats.into_iter().filter_map(|(format, last)| Some((format, last.counter?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mapper_api::Value;
    use proptest::prelude::*;

    use super::{
        ReplayGuard,
        Verdict::{self, New, Repetition, Replay},
    };
    use crate::formats::{Format, Measure, Message};

    fn counted(counter: u32) -> Message {
        Message { encrypted: true, counter: Some(counter), ..Message::new(Format::Bthome) }
    }

    fn packet(number: u8, level: u64) -> Message {
        let measure = Measure { name: "count", index: 1, value: Value::Uint(level), unit: "" };
        Message { packet: Some(number), measures: vec![measure], ..Message::new(Format::Bthome) }
    }

    fn judged(messages: impl IntoIterator<Item = (u64, Message)>) -> Vec<Verdict> {
        let mut guard = ReplayGuard::default();
        messages.into_iter().map(|(at, message)| guard.judge(&message, Duration::from_millis(at))).collect()
    }

    #[test]
    fn counters_grow() {
        for (counters, expected) in [
            // The first after a start is news, whatever it is.
            (&[(0, 5000), (1, 5001), (2, 5001), (3, 6000)][..], &[New, New, Repetition, New][..]),
            (&[(0, 5000), (60_000, 4999), (61_000, 5001)], &[New, Replay, New]),
            // A change of battery, and one that was none: the device was heard a second ago.
            (&[(0, 5000), (10_000, 0), (11_000, 1)], &[New, New, New]),
            (&[(0, 5000), (1000, 0), (2000, 99), (2500, 5001)], &[New, Replay, Replay, New]),
            (&[(0, 5000), (60_000, 100)], &[New, Replay]),
            // What is refused is no sign of life: the silence goes on.
            (&[(0, 5000), (9000, 7), (10_000, 8)], &[New, Replay, New]),
            // It runs over, some messages lost.
            (&[(0, u32::MAX - 1), (1, u32::MAX), (2, 300), (3, 301)], &[New, New, New, New]),
            (&[(0, u32::MAX - 1), (1, 300), (2, u32::MAX - 1)], &[New, New, New]),
            (&[(0, u32::MAX / 2), (1, 300)], &[New, Replay]),
        ] {
            assert_eq!(judged(counters.iter().map(|(at, counter)| (*at, counted(*counter)))), expected, "{counters:?}");
        }
    }

    #[test]
    fn a_counter_that_nothing_vouches_for_does_not_count() {
        let forged = Message { encrypted: false, ..counted(u32::MAX / 2) };
        assert_eq!(judged([(0, counted(5)), (1, forged), (2, counted(6))]), [New, New, New]);
    }

    #[test]
    fn packets_go_round() {
        for (packets, expected) in [
            (&[(0, 9, 1), (100, 9, 1), (3000, 9, 1), (3100, 10, 1)][..], &[New, Repetition, Repetition, New][..]),
            // Round from 255 to 0; one that was overtaken.
            (&[(0, 255, 1), (100, 0, 1), (200, 255, 1), (300, 0, 1)], &[New, New, Repetition, Repetition]),
            (&[(0, 9, 1), (100, 72, 1), (200, 136, 1)], &[New, New, Repetition]),
            // The same number, another content.
            (&[(0, 9, 1), (100, 9, 2)], &[New, New]),
            // It wakes again, without memory. As long as it goes on repeating it is the same packet.
            (&[(0, 0, 1), (4001, 0, 1)], &[New, New]),
            (&[(0, 0, 1), (3000, 0, 1), (6000, 0, 1), (9000, 0, 1)], &[New, Repetition, Repetition, Repetition]),
        ] {
            let messages = packets.iter().map(|(at, number, level)| (*at, packet(*number, *level)));
            assert_eq!(judged(messages), expected, "{packets:?}");
        }
        // Without numbers each message stands for itself.
        let bare = || Message::new(Format::Ruuvi);
        assert_eq!(judged([(0, bare()), (1, bare())]), [New, New]);
    }

    #[test]
    fn a_packet_sealed_anew_is_still_the_same() {
        let sealed = |counter, number| Message { packet: Some(number), ..counted(counter) };
        assert_eq!(judged([(0, sealed(5, 1)), (100, sealed(6, 1)), (200, sealed(7, 2))]), [New, Repetition, New]);
    }

    #[test]
    fn formats_count_for_themselves() {
        let other = Message { format: Format::MiBeacon, ..counted(3) };
        assert_eq!(judged([(0, counted(5)), (1, other), (2, counted(6))]), [New, New, New]);
    }

    #[test]
    fn counters_outlive_the_process() {
        let mut guard = ReplayGuard::default();
        guard.judge(&counted(5000), Duration::ZERO);
        guard.judge(&packet(9, 1), Duration::ZERO);
        let saved = serde_json::to_string(&guard).unwrap();
        assert_eq!(saved, r#"{"bthome":5000}"#);
        let mut guard: ReplayGuard = serde_json::from_str(&saved).unwrap();
        assert_eq!(guard.judge(&counted(4999), Duration::from_secs(1)), Replay);
        assert_eq!(guard.judge(&counted(5000), Duration::from_secs(1)), Repetition);
        assert_eq!(guard.judge(&counted(5001), Duration::from_secs(1)), New);
    }

    proptest! {
        /// While a device is heard at least every ten seconds, nothing that it sent is news a second time.
        #[test]
        fn nothing_is_news_twice(start in 0_u32..10_000, steps in prop::collection::vec((1_u32..50, 0_u64..10_000, any::<prop::sample::Index>()), 1..40)) {
            let mut guard = ReplayGuard::default();
            let (mut at, mut counter, mut sent) = (0, start, Vec::new());
            for (step, wait, replayed) in steps {
                counter += step;
                prop_assert_eq!(guard.judge(&counted(counter), Duration::from_millis(at)), New);
                sent.push(counter);
                at += wait;
                let old = *replayed.get(&sent);
                prop_assert_ne!(guard.judge(&counted(old), Duration::from_millis(at)), New);
            }
        }
    }
}
