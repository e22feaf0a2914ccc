//! Where readings wait for the broker. Three verbs, so that a durable one can take the place of this one in memory:
//! `append`, `lease`, `ack`. It never renders a message and knows no MQTT.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{clock::Stamp, model::DeviceId};

/// What belongs to a device for as long as this process lives, also while its spec changes or it is deleted and made
/// anew: its topic, its count of messages, its count of drops.
#[derive(Debug)]
pub struct Stream {
    /// The device.
    pub id: DeviceId,
    /// The topic of its `readings`.
    pub topic: String,
    /// The `seq` given last.
    pub seq: AtomicU64,
    /// Messages dropped since the last one that told of drops.
    pub dropped: AtomicU64,
}

/// A message in the outbox.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Whose it is.
    pub stream: Arc<Stream>,
    /// Its `seq`.
    pub seq: u64,
    /// When the answer came.
    pub at: Stamp,
    /// The connection to the broker that was up then; 0 if none was.
    pub link: u64,
    /// `"values":{...}`, perhaps `,"bad":{...}`.
    pub body: Box<[u8]>,
}

impl Entry {
    /// What it takes in memory.
    fn bytes(&self) -> usize {
        size_of::<Slot>() + self.body.len()
    }
}

/// Names an entry between `lease` and `ack`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// A leased entry. What it was given at its first lease it keeps, so that a retransmission says the same.
pub struct Leased<'a> {
    /// Its name for `ack`.
    pub ticket: Ticket,
    /// The entry.
    pub entry: &'a Entry,
    /// The wall time given to it, and whether that is to be trusted; none before the first lease.
    pub given: &'a mut Option<(Duration, bool)>,
    /// The drops that it tells of.
    pub dropped: u64,
}

/// Counters of an outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages that wait, leased ones included.
    pub messages: usize,
    /// Bytes that they take in memory.
    pub bytes: usize,
    /// Messages dropped since the start.
    pub dropped: u64,
    /// When the oldest was appended.
    pub oldest: Option<Instant>,
}

/// Where readings wait.
pub trait Outbox: Send {
    /// Takes a message. The oldest that is not leased makes room; whose it was learns of it by [`Stream::dropped`].
    fn append(&mut self, entry: Entry);
    /// The oldest message that is not leased, which is leased by this.
    fn lease(&mut self) -> Option<Leased<'_>>;
    /// A leased message is done with: the broker has it, or will never take it.
    fn ack(&mut self, ticket: Ticket);
    /// The link is gone: all that is leased is to be leased again, in order.
    fn restart(&mut self);
    /// Counters.
    fn stats(&self) -> Stats;
}

/// An outbox in memory, bounded in bytes.
#[derive(Debug)]
pub struct Memory {
    /// In the order of `append`; the first `leased` of them are leased.
    slots: VecDeque<Slot>,
    leased: usize,
    limit: usize,
    next: u64,
    bytes: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Slot {
    ticket: Ticket,
    entry: Entry,
    given: Option<(Duration, bool)>,
    dropped: u64,
    /// Whether it has been leased before, and so has been told of the drops before it.
    told: bool,
}

impl Memory {
    /// An outbox of at most this many bytes.
    pub fn new(limit: usize) -> Self {
        Self { slots: VecDeque::new(), leased: 0, limit, next: 0, bytes: 0, dropped: 0 }
    }

    fn drop_at(&mut self, index: usize) {
        let Some(slot) = self.slots.remove(index) else { return };
        self.leased -= usize::from(index < self.leased);
        self.bytes -= slot.entry.bytes();
        self.dropped += 1;
        // The drops that it would have told of are told by the next one.
        slot.entry.stream.dropped.fetch_add(1 + slot.dropped, Relaxed);
    }
}

impl Outbox for Memory {
    fn append(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        let ticket = Ticket(self.next);
        self.next += 1;
        self.slots.push_back(Slot { ticket, entry, given: None, dropped: 0, told: false });
        while self.bytes > self.limit && !self.slots.is_empty() {
            // Leased messages are on their way; with nothing else to drop they go all the same.
            self.drop_at(if self.leased < self.slots.len() { self.leased } else { 0 });
        }
    }

    fn lease(&mut self) -> Option<Leased<'_>> {
        let slot = self.slots.get_mut(self.leased)?;
        self.leased += 1;
        if !std::mem::replace(&mut slot.told, true) {
            slot.dropped = slot.entry.stream.dropped.swap(0, Relaxed);
        }
        Some(Leased { ticket: slot.ticket, entry: &slot.entry, given: &mut slot.given, dropped: slot.dropped })
    }

    fn ack(&mut self, ticket: Ticket) {
        if let Ok(index) = self.slots.binary_search_by_key(&ticket, |slot| slot.ticket)
            && let Some(slot) = self.slots.remove(index)
        {
            self.leased -= usize::from(index < self.leased);
            self.bytes -= slot.entry.bytes();
        }
        if self.slots.is_empty() && self.slots.capacity() > 1024 {
            self.slots.shrink_to(64); // a long outage must not keep its memory for ever
        }
    }

    fn restart(&mut self) {
        self.leased = 0;
    }

    fn stats(&self) -> Stats {
        let oldest = self.slots.front().map(|slot| slot.entry.at.mono);
        Stats { messages: self.slots.len(), bytes: self.bytes, dropped: self.dropped, oldest }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::Ordering::Relaxed};

    use super::{Entry, Memory, Outbox, Slot, Stream};
    use crate::{clock::Stamp, model::DeviceId};

    const BODY: usize = 100;
    const EACH: usize = size_of::<Slot>() + BODY;

    fn stream(name: &str) -> Arc<Stream> {
        let id = DeviceId::new("default", name);
        Arc::new(Stream { topic: id.to_string(), id, seq: 0.into(), dropped: 0.into() })
    }

    fn append(outbox: &mut Memory, stream: &Arc<Stream>) {
        let seq = stream.seq.fetch_add(1, Relaxed) + 1;
        outbox.append(Entry { stream: stream.clone(), seq, at: Stamp::now(), link: 0, body: vec![b'x'; BODY].into() });
    }

    fn lease(outbox: &mut Memory) -> Option<(super::Ticket, u64, u64)> {
        outbox.lease().map(|l| (l.ticket, l.entry.seq, l.dropped))
    }

    #[test]
    fn the_oldest_makes_room_and_the_next_of_its_device_tells() {
        let (mut outbox, a, b) = (Memory::new(3 * EACH), stream("a"), stream("b"));
        append(&mut outbox, &a);
        for _ in 0..3 {
            append(&mut outbox, &b);
        }
        append(&mut outbox, &a);
        let stats = outbox.stats();
        assert_eq!((stats.messages, stats.bytes, stats.dropped), (3, 3 * EACH, 2));
        let told: Vec<_> = std::iter::from_fn(|| lease(&mut outbox).map(|(_, seq, dropped)| (seq, dropped))).collect();
        assert_eq!(told, [(2, 1), (3, 0), (2, 1)]);
    }

    #[test]
    fn what_is_leased_is_not_dropped_and_comes_again_in_order_after_a_restart() {
        let (mut outbox, a) = (Memory::new(3 * EACH), stream("a"));
        for _ in 0..3 {
            append(&mut outbox, &a);
        }
        let first = lease(&mut outbox).unwrap();
        let second = lease(&mut outbox).unwrap();
        append(&mut outbox, &a);
        assert_eq!(a.dropped.load(Relaxed), 1);
        outbox.ack(second.0);
        outbox.restart();
        assert_eq!(lease(&mut outbox).unwrap(), first);
        assert_eq!(lease(&mut outbox).map(|l| (l.1, l.2)), Some((4, 1)));
        assert_eq!(lease(&mut outbox), None);
        // A drop that was told is told again with its message, and passed on if that is dropped.
        outbox.restart();
        for _ in 0..4 {
            append(&mut outbox, &a);
        }
        assert_eq!(lease(&mut outbox).map(|l| (l.1, l.2)), Some((6, 4)));
    }

    #[test]
    fn acks_out_of_order_and_twice_are_fine_and_bytes_return_to_zero() {
        let (mut outbox, a) = (Memory::new(100 * EACH), stream("a"));
        for _ in 0..5 {
            append(&mut outbox, &a);
        }
        let tickets: Vec<_> = std::iter::from_fn(|| lease(&mut outbox).map(|l| l.0)).collect();
        for i in [3, 0, 3, 4, 1, 2] {
            outbox.ack(tickets[i]);
        }
        let stats = outbox.stats();
        assert_eq!((stats.messages, stats.bytes, outbox.leased), (0, 0, 0));
    }

    #[test]
    fn one_larger_than_the_whole_is_dropped_itself() {
        let (mut outbox, a) = (Memory::new(EACH - 1), stream("a"));
        append(&mut outbox, &a);
        assert_eq!(outbox.stats().messages, 0);
        assert_eq!(a.dropped.load(Relaxed), 1);
    }
}
