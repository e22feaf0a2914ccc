//! The one task that owns the connection to the broker. It feeds it from the retained topics and from the outbox, and
//! releases a reading only when the broker has it. It decides nothing about what is in a message.

mod answers;
mod compose;
mod session;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    pin, select,
    time::{Instant, sleep_until},
};

use self::session::{Flight, Session, Stage, What};
use super::{
    Core, Facts, Leaving, News, OptionsError,
    link::{self, Ending, LinkError, LinkOptions},
    lock, payload,
    retained::{Item, Retained},
    rival::{self, Look, Rival},
    sweep::Sweep,
    topic::DEVICE_RETAINED,
};

/// The first pause before connecting again; it doubles, with jitter, up to [`PAUSE_MOST`].
const PAUSE_LEAST: Duration = Duration::from_millis(200);
const PAUSE_MOST: Duration = Duration::from_secs(30);
/// A connection that lived this long was a good one.
const LIVED: Duration = Duration::from_secs(10);
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

/// How a connection ended.
enum Ended {
    Stopped,
    Lost(LinkError),
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
}
