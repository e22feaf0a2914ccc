//! What the broker answers: taken, refused, for now or for good; and what is to be thought of a connection that ended.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::Instant;

use super::{
    LIVED, Publisher,
    session::{Flight, Session, Stage, What},
};
use crate::{
    clock::Stamp,
    data::{
        link::{Ending, Event, LinkError, WINDOW},
        lock,
        retained::Item,
        rival::Told,
    },
};

/// After this many short lives messages go one by one, so that the one that the broker will not take is found.
const SHORT_LIVES: u32 = 3;
/// A message on which this many connections ended, alone on its way, is given up.
const STRIKES: u32 = 2;
/// When to try again what the broker did not take for now.
const LATER: Duration = Duration::from_secs(1);

impl Publisher {
    pub(super) fn handle(&mut self, s: &mut Session, event: Event) -> Result<(), LinkError> {
        match event {
            Event::Connected { receive_max, largest, keep_alive } => {
                self.connected(s, receive_max, largest, keep_alive);
            }
            Event::Sent(id) => {
                s.blocked = false;
                let Some(flight) = s.handed.pop_front() else { return Err(LinkError::mixed_up()) };
                if id == 0 {
                    self.done(s, &flight);
                } else {
                    s.on_way.insert(id, flight);
                }
            }
            Event::Acked(id) => {
                s.heard = Instant::now();
                let Some(flight) = s.on_way.remove(&id) else { return Err(LinkError::mixed_up()) };
                self.done(s, &flight);
            }
            Event::Refused { id, reason, for_good } => {
                s.heard = Instant::now();
                let Some(flight) = s.on_way.remove(&id) else { return Err(LinkError::mixed_up()) };
                if !self.refusals.contains(&reason) {
                    tracing::error!(topic = flight.message.topic, reason, for_good, "the broker refused a message");
                    self.refusals.push(reason);
                }
                if for_good {
                    self.core.counts.refused.fetch_add(1, Relaxed);
                    self.give_up(&flight.what);
                } else {
                    s.later.push_back((Instant::now() + LATER, flight));
                }
                // rumqttc does not let go on what waited for this id.
                if s.blocked {
                    return Err(LinkError::mixed_up());
                }
            }
            Event::Message { topic, payload } => {
                s.heard = Instant::now();
                if topic == self.core.topics.bridge("state") {
                    match self.rival.hear(&payload, &self.core.boot) {
                        Told::Nothing => {}
                        Told::Newer => s.give_way(),
                        Told::Older => self.retained.schedule(Item::BridgeState, s.heard),
                    }
                    return Ok(());
                }
                // A device whose spec is refused is not polled: what an earlier run said of it is no longer true.
                let lanes = &self.retained.lanes;
                let serves = |id: &crate::model::DeviceId| lanes.values().any(|lane| lane.device().id == *id);
                let node = &self.core.node.name;
                let clear = self.sweep.message(&self.core.topics, node, &topic, &payload, serves, s.heard);
                if let Some(topic) = clear {
                    self.retained.clear(topic, s.heard);
                }
            }
            Event::Heard => s.heard = Instant::now(),
            Event::Blocked => s.blocked = true,
            Event::Closed if s.stage == Stage::Yielding => return Err(LinkError::rival()),
            Event::Closed | Event::Spoke => {}
        }
        Ok(())
    }

    pub(super) fn connected(
        &mut self,
        s: &mut Session,
        receive_max: Option<u16>,
        largest: Option<u32>,
        keep_alive: Duration,
    ) {
        self.connections += 1;
        s.since = Stamp::now();
        (s.connected, s.heard, s.keep_alive) = (true, s.since.mono, keep_alive);
        s.window = if self.short_lives >= SHORT_LIVES { 1 } else { receive_max.unwrap_or(WINDOW).min(WINDOW).into() };
        let own = self.core.options.max_message_bytes;
        self.core.largest.store(largest.map_or(own, |theirs| theirs.min(own)), Relaxed);
        self.core.link.store(self.connections, Relaxed);
        // Before our own is written: what stands there tells whether another bridge was here meanwhile.
        s.client.subscribe(&self.core.topics.bridge("state"));
        self.core.rival.send_replace(None);
        self.core.counts.connections.fetch_add(1, Relaxed);
        self.retained.connected(self.core.options.state, s.since.mono);
        let (host, port) = (&self.link.address.host, self.link.address.port);
        tracing::info!(%host, port, version = ?self.link.version, window = s.window, "connected to the broker");
    }

    /// The broker has it.
    pub(super) fn done(&mut self, s: &mut Session, flight: &Flight) {
        match &flight.what {
            What::Reading(ticket) => {
                lock(&self.core.outbox).ack(*ticket);
                self.core.counts.published.fetch_add(1, Relaxed);
            }
            What::Item(Item::Clear(topic)) => self.retained.keep(topic),
            What::Item(_) => {}
            What::Farewell => {
                s.stage = Stage::Closing;
                s.client.disconnect();
            }
        }
    }

    /// The broker will never take it.
    pub(super) fn give_up(&mut self, what: &What) {
        match what {
            What::Reading(ticket) => lock(&self.core.outbox).ack(*ticket),
            What::Item(Item::Clear(topic)) => self.retained.keep(topic),
            What::Item(item) => self.retained.block(item.clone()),
            What::Farewell => {}
        }
    }

    /// A broker of 3.1.1 has no other way to refuse a message than to hang up, and would do so for ever. After some short
    /// lives messages go one by one; the one on which it hangs up again and again is given up.
    pub(super) fn judge(&mut self, s: &Session, error: &LinkError) {
        if !s.connected {
            return;
        }
        if s.since.mono.elapsed() >= LIVED || error.ending != Ending::Peer {
            self.short_lives = 0;
            return;
        }
        self.short_lives += 1;
        let mut on_way = s.on_way.values().chain(&s.handed);
        let (Some(flight), None, 1) = (on_way.next(), on_way.next(), s.window) else { return };
        let strikes = match self.suspect.take() {
            Some((what, strikes)) if what == flight.what => strikes + 1,
            _ => 1,
        };
        if strikes < STRIKES {
            self.suspect = Some((flight.what.clone(), strikes));
            return;
        }
        let (topic, size) = (&flight.message.topic, flight.message.payload.len());
        tracing::error!(topic, size, %error, "the broker hangs up on this message; dropped");
        self.core.counts.refused.fetch_add(1, Relaxed);
        self.give_up(&flight.what);
        self.short_lives = 0;
    }
}
