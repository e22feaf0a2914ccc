//! The one task that owns the connection to the broker. It feeds it from the retained topics and from the outbox, and
//! releases a reading only when the broker has it. It decides nothing about what is in a message.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    pin, select,
    time::{Instant, sleep_until},
};

use super::{
    Core, Facts, Leaving, News, OptionsError,
    link::{self, Client, Ending, Event, LinkError, LinkOptions, Message, WINDOW},
    lock,
    moment::Given,
    outbox::Ticket,
    payload::{self, Health, Tail},
    retained::{Item, Retained},
    rival::{self, Look, Rival, Told},
    sweep::{Ask, Sweep},
    topic::DEVICE_RETAINED,
};
use crate::clock::Stamp;

/// After this long a `state` that is not renewed vanishes from an MQTT 5 broker.
const STATE_EXPIRY: u32 = 180;
/// The first pause before connecting again; it doubles, with jitter, up to [`PAUSE_MOST`].
const PAUSE_LEAST: Duration = Duration::from_millis(200);
const PAUSE_MOST: Duration = Duration::from_secs(30);
/// A connection that lived this long was a good one.
const LIVED: Duration = Duration::from_secs(10);
/// After this many short lives messages go one by one, so that the one that the broker will not take is found.
const SHORT_LIVES: u32 = 3;
/// A message on which this many connections ended, alone on its way, is given up.
const STRIKES: u32 = 2;
/// When to try again what the broker did not take for now.
const LATER: Duration = Duration::from_secs(1);
/// How long after a device's availability `devices` tells it, together with all others that changed by then.
const DEVICES_AFTER: Duration = Duration::from_secs(1);
/// How often an unset clock is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// What is kept of the time to stop for saying so.
const FAREWELL: Duration = Duration::from_millis(500);

/// The task.
pub struct Publisher {
    core: Arc<Core>,
    facts: Arc<dyn Facts>,
    link: LinkOptions,
    retained: Retained,
    sweep: Sweep,
    rival: Rival,
    connections: u64,
    short_lives: u32,
    suspect: Option<(What, u32)>,
    /// Reasons for which the broker refused messages, each logged once.
    refusals: Vec<String>,
}

/// What a message on its way is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Reading(Ticket),
    Item(Item),
    Farewell,
}

struct Flight {
    what: What,
    message: Message,
}

/// How a connection ended.
enum Ended {
    Stopped,
    Lost(LinkError),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// Only what waits in the outbox.
    Draining,
    /// The last message is on its way.
    Saying,
    Closing,
    /// It ends since another bridge is there.
    Yielding,
}

/// One connection.
struct Session {
    client: Client,
    since: Stamp,
    connected: bool,
    /// Handed over, not yet gone out; in order.
    handed: VecDeque<Flight>,
    /// Gone out, not yet acknowledged.
    on_way: HashMap<u16, Flight>,
    later: VecDeque<(Instant, Flight)>,
    window: usize,
    blocked: bool,
    heard: Instant,
    keep_alive: Duration,
    stage: Stage,
    /// Whose turn it is when both retained topics and readings wait.
    readings_next: bool,
}

impl Publisher {
    pub fn new(core: Arc<Core>, facts: Arc<dyn Facts>) -> Result<Self, OptionsError> {
        let options = &core.options;
        let password = match &options.password_file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|e| OptionsError { path: "passwordFile", message: format!("{}: {e}", path.display()) })?
                .trim_end_matches(['\r', '\n'])
                .into(),
        };
        let link = LinkOptions {
            version: options.version,
            address: options.address()?,
            client_id: options.client_id.clone().unwrap_or_else(|| format!("fieldgate-{}", core.node.name)),
            credentials: options.username.clone().map(|user| (user, password)),
            keep_alive: options.keep_alive.0,
            will: Some((core.topics.bridge("state"), payload::bridge_will(&core.boot))),
            largest: options.max_message_bytes,
        };
        Ok(Self {
            core,
            facts,
            link,
            retained: Retained::default(),
            sweep: Sweep::default(),
            rival: Rival::default(),
            connections: 0,
            short_lives: 0,
            suspect: None,
            refusals: Vec::new(),
        })
    }

    /// Runs until stopped.
    pub async fn run(mut self) {
        let (mut pause, mut failures) = (PAUSE_LEAST, 0_u32);
        let (host, port) = (self.link.address.host.clone(), self.link.address.port);
        loop {
            let begun = Instant::now();
            let before = self.connections;
            let error = match self.session().await {
                Ended::Stopped => return,
                Ended::Lost(error) => error,
            };
            self.core.link.store(0, Relaxed);
            self.sweep.lost();
            lock(&self.core.outbox).restart();
            self.rival.lived(begun.elapsed());
            if error.ending == Ending::Rival {
                if !self.stand_back().await {
                    return;
                }
                (pause, failures) = (PAUSE_LEAST, 0);
                continue;
            }
            if self.connections > before {
                failures = 0;
                tracing::warn!(%host, port, %error, "connection to the broker lost");
            } else {
                failures += 1;
                if failures == 1 {
                    tracing::warn!(%host, port, %error, "cannot connect to the broker; readings wait in the outbox");
                }
            }
            if begun.elapsed() >= LIVED {
                pause = PAUSE_LEAST;
            }
            let (mut again, mut hurried) = (Instant::now() + pause.mul_f64(0.5 + fastrand::f64()), false);
            pause = (pause * 2).min(PAUSE_MOST);
            loop {
                if let Some(stop) = *lock(&self.core.stop) {
                    // The broker may be back in time for what waits.
                    if Instant::now() >= stop || lock(&self.core.outbox).stats().messages == 0 {
                        return;
                    }
                    if !std::mem::replace(&mut hurried, true) {
                        again = again.min(Instant::now() + PAUSE_LEAST).min(stop);
                    }
                }
                select! {
                    () = sleep_until(again) => break,
                    () = self.core.wake.notified() => self.take_news(),
                }
            }
        }
    }

    /// Waits until no other bridge of this node is at the broker. False if it is to stop meanwhile.
    async fn stand_back(&mut self) -> bool {
        let (client, host, port) = (&self.link.client_id, &self.link.address.host, self.link.address.port);
        let message = format!(
            "another bridge of this node is connected to the broker {host}:{port}, where this one was as client {client}; \
             it stays, and this one waits: readings go on into the outbox. One bridge serves a node: stop one of them, or \
             give it a node name (--node) of its own"
        );
        tracing::error!("{message}");
        self.core.rival.send_replace(Some(message));
        loop {
            let pause = self.rival.pause(fastrand::f64());
            if self.unless_stopped(tokio::time::sleep(pause)).await.is_none() {
                return false;
            }
            let [state, health] = ["state", "health"].map(|leaf| self.core.topics.bridge(leaf));
            let look = rival::look(self.link.clone(), state, health, self.core.boot.clone());
            match self.unless_stopped(look).await {
                None => return false,
                Some(Look::Held) => tracing::debug!("the other bridge is still connected to the broker"),
                Some(Look::Free) => {
                    tracing::info!("no other bridge of this node is connected to the broker any more");
                    self.rival.begins_anew();
                    return true;
                }
                Some(Look::Unknown(error)) => {
                    tracing::debug!(%error, "cannot see whether the other bridge is still connected to the broker");
                    // A rare try disturbs the other one for a moment at most: whoever started earlier stands back again.
                    let pause = self.rival.pause(fastrand::f64());
                    return self.unless_stopped(tokio::time::sleep(pause)).await.is_some();
                }
            }
        }
    }

    /// Takes the news while something else is waited for. None if it is to stop.
    async fn unless_stopped<T>(&mut self, wait: impl Future<Output = T>) -> Option<T> {
        pin!(wait);
        loop {
            if lock(&self.core.stop).is_some() {
                return None;
            }
            select! {
                done = &mut wait => return Some(done),
                () = self.core.wake.notified() => self.take_news(),
            }
        }
    }

    /// One connection from beginning to end.
    async fn session(&mut self) -> Ended {
        let (client, mut eventloop) = link::open(&self.link);
        let mut s = Session::new(client, self.link.keep_alive);
        let ended = loop {
            let event = {
                let poll = eventloop.poll();
                pin!(poll);
                loop {
                    self.take_news();
                    if let Some(ended) = self.look_at_stop(&mut s) {
                        return ended;
                    }
                    if s.connected {
                        self.feed(&mut s);
                    }
                    let watchdog = s.heard + 2 * s.keep_alive;
                    let wake = self.next_timer(&s).map_or(watchdog, |at| at.min(watchdog));
                    select! {
                        biased;
                        event = &mut poll => break event,
                        () = self.core.wake.notified() => {}
                        () = sleep_until(wake) => {
                            if Instant::now() >= watchdog {
                                let message = format!("nothing heard for {:?}", 2 * s.keep_alive);
                                return Ended::Lost(LinkError { message, ending: Ending::Other });
                            }
                        }
                    }
                }
            };
            match event {
                Ok(event) => {
                    if let Err(error) = self.handle(&mut s, event) {
                        break Ended::Lost(error);
                    }
                }
                Err(_) if s.stage == Stage::Yielding => break Ended::Lost(LinkError::rival()),
                Err(_) if s.stage == Stage::Closing => break Ended::Stopped,
                Err(error) => break Ended::Lost(error),
            }
        };
        if let Ended::Lost(error) = &ended {
            self.judge(&s, error);
        }
        ended
    }

    fn take_news(&mut self) {
        let news = std::mem::take(&mut *lock(&self.core.news));
        let now = Instant::now();
        for news in news {
            match news {
                News::Joined(lane) => {
                    let id = &lane.device().id;
                    let replaced: Vec<_> =
                        self.retained.lanes.iter().filter(|(_, l)| l.device().id == *id).map(|(key, _)| *key).collect();
                    for key in replaced {
                        self.retained.leave(key);
                    }
                    for leaf in DEVICE_RETAINED {
                        self.retained.keep(&self.core.topics.device(id, leaf));
                    }
                    self.retained.join(lane, self.core.options.state, now);
                }
                News::Left(lane, leaving) => {
                    self.retained.leave(lane.key());
                    if leaving == Leaving::Deleted {
                        for leaf in DEVICE_RETAINED {
                            self.retained.clear(self.core.topics.device(&lane.device().id, leaf), now);
                        }
                    }
                }
                News::State(key) => self.retained.touch_state(key, now),
                News::Availability(key) => {
                    if self.retained.lanes.contains_key(&key) {
                        self.retained.schedule(Item::Availability(key), now);
                        // A device that answers or not is ready or not. Many change together.
                        self.retained.schedule(Item::BridgeDevices, now + DEVICES_AFTER);
                    }
                }
                News::Devices => self.retained.schedule(Item::BridgeDevices, now),
            }
        }
    }

    fn look_at_stop(&self, s: &mut Session) -> Option<Ended> {
        let deadline = (*lock(&self.core.stop))?;
        let now = Instant::now();
        let empty = lock(&self.core.outbox).stats().messages == 0;
        if now >= deadline || (empty && !s.connected) {
            return Some(Ended::Stopped);
        }
        if !s.connected {
            return None;
        }
        if s.stage == Stage::Running {
            s.stage = Stage::Draining;
        }
        let drained = s.is_idle() && empty;
        if s.stage == Stage::Draining && (drained || now + FAREWELL >= deadline) {
            s.stage = Stage::Saying;
            let payload = payload::bridge_stopped(&self.core.boot).into();
            let message = self.message(self.core.topics.bridge("state"), payload, true);
            s.publish(Flight { what: What::Farewell, message });
        }
        None
    }

    fn next_timer(&self, s: &Session) -> Option<Instant> {
        let clock = (!lock(&self.core.clock).is_set()).then(|| Instant::now() + LOOK);
        let stop = lock(&self.core.stop).map(|at| match s.stage {
            Stage::Running | Stage::Draining => at - FAREWELL,
            Stage::Saying | Stage::Closing | Stage::Yielding => at,
        });
        if !s.connected {
            return *lock(&self.core.stop);
        }
        let retained = if s.has_room() && s.stage == Stage::Running { self.retained.next() } else { None };
        // Without room it waits for an acknowledgement, not for its time.
        let later = s.later.front().filter(|_| s.has_room()).map(|(at, _)| *at);
        [retained, self.sweep.until(), later, clock, stop].into_iter().flatten().min()
    }

    /// Hands over what there is room for: retained topics and readings by turns, so that neither starves.
    fn feed(&mut self, s: &mut Session) {
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

    fn drive_sweep(&mut self, s: &Session, now: Instant) {
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
    fn reading(&mut self, now: Stamp) -> Option<Flight> {
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
    fn item(&mut self, s: &Session, now: Stamp) -> Option<Flight> {
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

    fn render(&mut self, item: &Item, s: &Session, now: Stamp) -> Option<Message> {
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

    fn health(&self, now: Stamp) -> Health {
        let counters = self.core.counters();
        Health {
            time: lock(&self.core.clock).wall(now),
            uptime: now.mono - self.core.started.mono,
            rss_bytes: super::rss_bytes(),
            outbox: counters.outbox,
            oldest: counters.outbox.oldest.map_or(Duration::ZERO, |at| now.mono.saturating_duration_since(at)),
            published: counters.published,
            exchanges_ok: counters.exchanges_ok,
            exchanges_failed: counters.exchanges_failed,
            periods_missed: counters.periods_missed,
            buses: self.facts.buses(),
        }
    }

    fn message(&self, topic: String, payload: Bytes, retain: bool) -> Message {
        Message { topic, payload, retain, acknowledged: self.core.options.qos > 0, expiry: None }
    }

    fn fits(&self, topic: &str, payload: &[u8]) -> bool {
        let largest = usize::try_from(self.core.largest.load(Relaxed)).unwrap_or(usize::MAX);
        topic.len() + payload.len() + HEADER <= largest
    }

    fn handle(&mut self, s: &mut Session, event: Event) -> Result<(), LinkError> {
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

    fn connected(&mut self, s: &mut Session, receive_max: Option<u16>, largest: Option<u32>, keep_alive: Duration) {
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
    fn done(&mut self, s: &mut Session, flight: &Flight) {
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
    fn give_up(&mut self, what: &What) {
        match what {
            What::Reading(ticket) => lock(&self.core.outbox).ack(*ticket),
            What::Item(Item::Clear(topic)) => self.retained.keep(topic),
            What::Item(item) => self.retained.block(item.clone()),
            What::Farewell => {}
        }
    }

    /// A broker of 3.1.1 has no other way to refuse a message than to hang up, and would do so for ever. After some short
    /// lives messages go one by one; the one on which it hangs up again and again is given up.
    fn judge(&mut self, s: &Session, error: &LinkError) {
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

/// What MQTT adds to topic and payload at most: header, lengths, id, properties.
const HEADER: usize = 32;

impl LinkError {
    fn mixed_up() -> Self {
        Self { message: "acknowledgements do not fit what was sent".into(), ending: Ending::Other }
    }

    fn rival() -> Self {
        Self { message: "another bridge of this node is connected".into(), ending: Ending::Rival }
    }
}

impl Session {
    fn new(client: Client, keep_alive: Duration) -> Self {
        let since = Stamp::now();
        Self {
            client,
            since,
            connected: false,
            handed: VecDeque::new(),
            on_way: HashMap::new(),
            later: VecDeque::new(),
            window: 0,
            blocked: false,
            heard: since.mono,
            keep_alive,
            stage: Stage::Running,
            readings_next: false,
        }
    }

    fn has_room(&self) -> bool {
        self.handed.len() + self.on_way.len() < self.window
    }

    /// Ends it in order, so that no last will is published over what the other bridge says.
    fn give_way(&mut self) {
        if self.stage != Stage::Yielding {
            (self.window, self.stage) = (0, Stage::Yielding);
            self.client.disconnect();
        }
    }

    fn is_idle(&self) -> bool {
        self.handed.is_empty() && self.on_way.is_empty() && self.later.is_empty()
    }

    fn publish(&mut self, flight: Flight) {
        // The channel holds a whole window and more; only a topic that is none would be refused.
        if self.client.publish(&flight.message) {
            self.handed.push_back(flight);
        } else {
            tracing::error!(topic = flight.message.topic, "not a topic to publish to");
        }
    }
}
