//! What goes out next: readings from the outbox and retained topics by turns, each as a message. What stands in it is
//! decided elsewhere.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Publisher,
    session::{Flight, Session, Stage, What},
};
use crate::{
    clock::Stamp,
    data::{
        link::Message,
        lock,
        moment::Given,
        payload::{self, Health, Tail},
        retained::Item,
        rss_bytes,
        sweep::{Ask, Sweep},
    },
};

/// What MQTT adds to topic and payload at most: header, lengths, id, properties.
const HEADER: usize = 32;
/// After this long a `state` that is not renewed vanishes from an MQTT 5 broker.
const STATE_EXPIRY: u32 = 180;

impl Publisher {
    /// Hands over what there is room for: retained topics and readings by turns, so that neither starves.
    pub(super) fn feed(&mut self, s: &mut Session) {
        let now = Stamp::now();
        self.drive_sweep(s, now.mono);
        while s.has_room() {
            if let Some((at, _)) = s.later.front()
                && *at <= now.mono
                && let Some((_, flight)) = s.later.pop_front()
            {
                s.publish(flight);
                continue;
            }
            let flight = match s.stage {
                Stage::Running if s.readings_next => self.reading(now).or_else(|| self.item(s, now)),
                Stage::Running => self.item(s, now).or_else(|| self.reading(now)),
                Stage::Draining => self.reading(now),
                Stage::Saying | Stage::Closing | Stage::Yielding => None,
            };
            let Some(flight) = flight else { break };
            s.readings_next = !matches!(flight.what, What::Reading(_));
            s.publish(flight);
        }
    }

    pub(super) fn drive_sweep(&mut self, s: &Session, now: Instant) {
        let topics = &self.core.topics;
        let asks = match (&self.sweep, self.sweep.until()) {
            (Sweep::Idle, _) if !self.core.settled.load(Relaxed) => Vec::new(),
            (Sweep::Idle, _) if self.core.let_be.load(Relaxed) => {
                self.sweep = Sweep::Done;
                Vec::new()
            }
            (Sweep::Idle, _) => self.sweep.begin(topics, now),
            (_, Some(until)) if until <= now => self.sweep.go_on(topics, now),
            _ => return,
        };
        for ask in asks {
            let taken = match &ask {
                Ask::Subscribe(filter) => s.client.subscribe(filter),
                Ask::Unsubscribe(filter) => s.client.unsubscribe(filter),
            };
            if !taken {
                tracing::error!(?ask, "no room for a subscription; what an earlier run left may stay at the broker");
            }
        }
        if self.sweep.is_done() {
            self.retained.schedule(Item::BridgeDevices, now);
        }
    }

    /// The next reading.
    pub(super) fn reading(&mut self, now: Stamp) -> Option<Flight> {
        let mut clock = lock(&self.core.clock);
        if !clock.is_set() && clock.look(now) {
            tracing::info!("the clock is set");
        }
        let stopping = lock(&self.core.stop).is_some();
        if !stopping && clock.deadline().is_some_and(|grace| now.mono < grace) {
            return None;
        }
        let mut outbox = lock(&self.core.outbox);
        loop {
            let leased = outbox.lease()?;
            let (wall, trusted) = *leased.given.get_or_insert_with(|| match clock.give(leased.entry.at, now.mono) {
                Given::Right(wall) => (wall, true),
                // Nothing is leased while it is worth waiting: that was asked above.
                Given::Unset(wall) | Given::Wait(wall) => (wall, false),
            });
            let tail = Tail {
                historical: leased.entry.link != self.connections,
                dropped: leased.dropped,
                clock_unset: !trusted,
            };
            let entry = leased.entry;
            let payload = payload::readings(&self.core.origin, entry.seq, wall, &entry.body, tail);
            let (ticket, stream, dropped) = (leased.ticket, entry.stream.clone(), leased.dropped);
            if self.fits(&stream.topic, &payload) {
                let message = self.message(stream.topic.clone(), payload.into(), false);
                return Some(Flight { what: What::Reading(ticket), message });
            }
            // It was taken into the outbox before the broker told its limit.
            outbox.ack(ticket);
            stream.dropped.fetch_add(1 + dropped, Relaxed);
            self.core.counts.refused.fetch_add(1, Relaxed);
            tracing::error!(device = %stream.id, size = payload.len(), "a message is larger than the broker takes; dropped");
        }
    }

    /// The next retained topic that is due.
    pub(super) fn item(&mut self, s: &Session, now: Stamp) -> Option<Flight> {
        while let Some(item) = self.retained.pop(now.mono) {
            let Some(message) = self.render(&item, s, now) else { continue };
            if self.fits(&message.topic, &message.payload) {
                return Some(Flight { what: What::Item(item), message });
            }
            self.core.counts.refused.fetch_add(1, Relaxed);
            tracing::error!(topic = message.topic, size = message.payload.len(), "larger than the limit; not sent");
            self.retained.block(item);
        }
        None
    }

    pub(super) fn render(&mut self, item: &Item, s: &Session, now: Stamp) -> Option<Message> {
        let core = self.core.clone();
        let lane = |key: &u64| self.retained.lanes.get(key).cloned();
        let device = |key: &u64, leaf: &str| lane(key).map(|lane| (core.topics.device(&lane.device().id, leaf), lane));
        let mut expiry = None;
        let (topic, payload) = match item {
            Item::BridgeState => {
                (core.topics.bridge("state"), payload::bridge_online(&core.boot, lock(&core.clock).wall(s.since)))
            }
            Item::BridgeInfo => {
                let started = lock(&core.clock).wall(core.started);
                (core.topics.bridge("info"), payload::bridge_info(&core.node, &core.boot, started))
            }
            Item::BridgeDevices if !self.sweep.is_done() => return None,
            Item::BridgeDevices => (core.topics.bridge("devices"), payload::bridge_devices(&self.facts.devices())),
            Item::BridgeHealth => (core.topics.bridge("health"), payload::bridge_health(&self.health(now))),
            Item::Clear(topic) => (topic.clone(), Vec::new()),
            Item::Info(key) => {
                let (topic, lane) = device(key, "info")?;
                (topic, payload::info(&core.node.name, lane.device()))
            }
            Item::Availability(key) => {
                let (topic, lane) = device(key, "availability")?;
                (topic, lane.availability())
            }
            Item::State(key) => {
                let (topic, lane) = device(key, "state")?;
                expiry = Some(STATE_EXPIRY);
                if let (Some(at), _) = lane.age(now.mono) {
                    self.retained.schedule(Item::Age(*key), at);
                }
                (topic, lane.state(now))
            }
            Item::Age(key) => {
                let lane = lane(key)?;
                let (next, changed) = lane.age(now.mono);
                if let Some(at) = next {
                    self.retained.schedule(Item::Age(*key), at);
                }
                if changed {
                    self.retained.touch_state(*key, now.mono);
                }
                return None;
            }
        };
        Some(Message { expiry, ..self.message(topic, payload.into(), true) })
    }

    pub(super) fn health(&self, now: Stamp) -> Health {
        let counters = self.core.counters();
        Health {
            time: lock(&self.core.clock).wall(now),
            uptime: now.mono - self.core.started.mono,
            rss_bytes: rss_bytes(),
            outbox: counters.outbox,
            oldest: counters.outbox.oldest.map_or(Duration::ZERO, |at| now.mono.saturating_duration_since(at)),
            published: counters.published,
            exchanges_ok: counters.exchanges_ok,
            exchanges_failed: counters.exchanges_failed,
            periods_missed: counters.periods_missed,
            buses: self.facts.buses(),
        }
    }

    pub(super) fn message(&self, topic: String, payload: Bytes, retain: bool) -> Message {
        Message { topic, payload, retain, acknowledged: self.core.options.qos > 0, expiry: None }
    }

    pub(super) fn fits(&self, topic: &str, payload: &[u8]) -> bool {
        let largest = usize::try_from(self.core.largest.load(Relaxed)).unwrap_or(usize::MAX);
        topic.len() + payload.len() + HEADER <= largest
    }
}
