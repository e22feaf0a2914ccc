//! Statuses on their way to the source: compares what is computed with what is stored, and writes the difference when
//! [`Pace`] says so. It sleeps while there is nothing to write, and repeats nothing that was confirmed.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use fieldgate_crds::DeviceStatus;
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until, timeout},
};

use super::{
    carry::{carry, is_same, is_settled, is_urgent, notice},
    pace::{Pace, Wanted},
    sink::{Notice, Pending, StatusSink, Stored, Written},
};
use crate::model::DeviceId;

/// How many writes may be on their way: with answers that take 10 s, the node still writes nearly one a second.
const IN_FLIGHT: usize = 8;
/// A sink has limits of its own; this one is for a sink that forgot them.
const DEAD: Duration = Duration::from_secs(90);
/// How many notices wait; older ones make room, and good news before bad.
const NOTICES: usize = 100;
/// So many devices are looked at before others have their turn on this thread.
const AT_ONCE: usize = 16;

/// What is known of a device, for its resource.
#[derive(Debug, Clone)]
pub struct Account {
    /// The identity of the device at work; none if no spec was accepted.
    pub uid: Option<String>,
    /// Its status.
    pub status: DeviceStatus,
    /// The properties that can be read and were not yet.
    pub unread: Vec<Arc<str>>,
    /// Its model was edited while it ran: a stored status of the same generation may be of the spec before.
    pub remodelled: bool,
    /// When its status may change although nothing happens.
    pub again: Option<Instant>,
}

/// Whose status is reported: the fleet.
pub trait Subjects: Send + Sync + 'static {
    /// The devices whose status may have changed since the last call, once there is one; all devices the first time. A
    /// device that is gone is named too. Cancel-safe.
    fn touched(&self) -> Pending<'_, Vec<DeviceId>>;

    /// What is known of a device now; none if it is gone.
    fn account(&self, device: &DeviceId) -> Option<Account>;

    /// Waits while another bridge reports the same devices: the two would write over each other for ever. Cancel-safe.
    fn alone(&self) -> Pending<'_, ()>;
}

/// What came of the writes, for metrics.
#[derive(Debug, Default)]
pub struct Counts {
    confirmed: AtomicU64,
    refused: AtomicU64,
    gone: AtomicU64,
    unknown: AtomicU64,
    waiting: AtomicUsize,
}

impl Counts {
    /// Writes since the start, by outcome.
    pub fn writes(&self) -> [(&'static str, u64); 4] {
        let read = |count: &AtomicU64| count.load(Relaxed);
        [
            ("confirmed", read(&self.confirmed)),
            ("refused", read(&self.refused)),
            ("gone", read(&self.gone)),
            ("unknown", read(&self.unknown)),
        ]
    }

    /// Devices whose stored status is not the newest.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }
}

/// Reports for ever.
pub async fn run(subjects: Arc<impl Subjects>, sink: Arc<dyn StatusSink>, counts: Arc<Counts>) {
    let reporter = Reporter {
        subjects,
        sink,
        counts,
        pace: Pace::new(Instant::now(), fastrand::Rng::new()),
        again: HashMap::new(),
        confirmed: HashMap::new(),
        notices: VecDeque::new(),
        work: JoinSet::new(),
        writing: HashMap::new(),
    };
    reporter.run().await;
}

struct Reporter<S> {
    subjects: Arc<S>,
    sink: Arc<dyn StatusSink>,
    counts: Arc<Counts>,
    pace: Pace,
    /// Devices to be looked at although nothing touches them.
    again: HashMap<DeviceId, Instant>,
    /// What was confirmed but is not what the sink gives as stored: with the uid and version that it had then.
    confirmed: HashMap<DeviceId, (String, String, DeviceStatus)>,
    notices: VecDeque<(DeviceId, Stored, Notice)>,
    work: JoinSet<Option<Written>>,
    writing: HashMap<Id, Write>,
}

/// A write on its way.
struct Write {
    device: DeviceId,
    stored: Stored,
    status: Arc<DeviceStatus>,
    print: u64,
}

/// A status that is not the stored one.
struct Difference {
    stored: Stored,
    status: DeviceStatus,
    wanted: Wanted,
}

enum Event {
    Touched(Vec<DeviceId>),
    Stored(Vec<DeviceId>),
    Ended(Result<(Id, Option<Written>), JoinError>),
    Due,
}

impl<S: Subjects> Reporter<S> {
    async fn run(mut self) {
        loop {
            self.subjects.alone().await;
            self.start();
            self.counts.waiting.store(self.pace.waiting(), Relaxed);
            let wake = self.wake();
            let event = tokio::select! {
                ended = self.work.join_next_with_id(), if !self.work.is_empty() => match ended {
                    Some(ended) => Event::Ended(ended),
                    None => Event::Due,
                },
                devices = self.subjects.touched() => Event::Touched(devices),
                devices = self.sink.changed() => Event::Stored(devices),
                () = until(wake) => Event::Due,
            };
            let devices = match event {
                Event::Touched(devices) => devices,
                Event::Stored(devices) => {
                    self.pace.alive(Instant::now());
                    devices
                }
                Event::Ended(ended) => self.ended(ended).into_iter().collect(),
                Event::Due => {
                    let now = Instant::now();
                    self.again.extract_if(|_, at| *at <= now).map(|(device, _)| device).collect()
                }
            };
            for (n, device) in devices.iter().enumerate() {
                self.look(device);
                if n % AT_ONCE == AT_ONCE - 1 {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// When there is something to do without anything having happened.
    fn wake(&self) -> Option<Instant> {
        let now = Instant::now();
        let free = self.work.len() < IN_FLIGHT;
        let notice = if self.notices.is_empty() { None } else { self.pace.spare_at() };
        let write = self.pace.wake(now);
        [write, notice].into_iter().flatten().filter(|_| free).chain(self.again.values().copied()).min()
    }

    /// Notes whether a device has something to be written.
    fn look(&mut self, device: &DeviceId) {
        match self.difference(device) {
            Some(Difference { wanted, .. }) => self.pace.want(device, wanted, Instant::now()),
            None => self.pace.content(device),
        }
    }

    fn difference(&mut self, device: &DeviceId) -> Option<Difference> {
        let Some(account) = self.subjects.account(device) else {
            self.pace.forget(device);
            self.again.remove(device);
            self.confirmed.remove(device);
            return None;
        };
        match account.again {
            Some(at) => drop(self.again.insert(device.clone(), at)),
            None => drop(self.again.remove(device)),
        }
        let stored = self.sink.stored(device)?;
        // Another object has taken its name, and the fleet does not know yet.
        if account.uid.as_ref().is_some_and(|uid| *uid != stored.uid) {
            return None;
        }
        if self.confirmed.get(device).is_some_and(|(uid, version, _)| (uid, version) != (&stored.uid, &stored.version))
        {
            self.confirmed.remove(device);
        }
        let held = self.confirmed.get(device).map_or(&stored.status, |(_, _, status)| status);
        let status = carry(held, &account.status, &account.unread, account.remodelled);
        if is_same(held, &status) {
            return None;
        }
        let edit = fingerprint(|hasher| (&stored.uid, status.observed_generation).hash(hasher));
        let text = serde_json::to_vec(&status).unwrap_or_default();
        let print = fingerprint(|hasher| text.hash(hasher));
        let wanted = Wanted { edit, settled: is_settled(&status), urgent: is_urgent(&status), print };
        Some(Difference { stored, status, wanted })
    }

    /// Sends what may be sent now.
    fn start(&mut self) {
        while self.work.len() < IN_FLIGHT {
            let now = Instant::now();
            if let Some(device) = self.pace.next(now) {
                // Computed now: the newest wins.
                match self.difference(&device) {
                    Some(Difference { stored, status, wanted }) => {
                        self.pace.want(&device, wanted, now);
                        self.pace.begin(&device, now);
                        self.write(device, stored, status, wanted.print);
                    }
                    None => self.pace.content(&device),
                }
            } else if !self.notices.is_empty() && self.pace.spare(now) {
                let Some((device, stored, notice)) = self.notices.pop_front() else { return };
                let sink = self.sink.clone();
                self.work.spawn(async move {
                    // It may be lost.
                    let _ = timeout(DEAD, sink.notify(&device, &stored, &notice)).await;
                    None
                });
            } else {
                return;
            }
        }
    }

    fn write(&mut self, device: DeviceId, stored: Stored, status: DeviceStatus, print: u64) {
        let write = Write { device, stored, status: Arc::new(status), print };
        let (sink, device) = (self.sink.clone(), write.device.clone());
        let (stored, status) = (write.stored.clone(), write.status.clone());
        let task = self.work.spawn(async move {
            let outcome = timeout(DEAD, sink.write(&device, &stored, &status)).await;
            Some(outcome.unwrap_or_else(|_| Written::Unknown(format!("no answer within {DEAD:?}"), None)))
        });
        self.writing.insert(task.id(), write);
    }

    /// A task has ended; which device is to be looked at again.
    fn ended(&mut self, ended: Result<(Id, Option<Written>), JoinError>) -> Option<DeviceId> {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome?),
            Err(error) => (error.id(), Written::Unknown(format!("a defect of the sink: {error}"), None)),
        };
        let Write { device, stored, status, print } = self.writing.remove(&id)?;
        let now = Instant::now();
        match outcome {
            Written::Confirmed => {
                self.counts.confirmed.fetch_add(1, Relaxed);
                self.pace.done(&device);
                let before = match self.confirmed.get(&device) {
                    Some((uid, version, before)) if (uid, version) == (&stored.uid, &stored.version) => before,
                    _ => &stored.status,
                };
                if let Some(notice) = notice(before, &status) {
                    self.notices.push_back((device.clone(), stored.clone(), notice));
                    if self.notices.len() > NOTICES {
                        let good = self.notices.iter().position(|(.., notice)| !notice.warning);
                        self.notices.remove(good.unwrap_or(0));
                    }
                }
                let kept = (stored.uid, stored.version, Arc::unwrap_or_clone(status));
                self.confirmed.insert(device.clone(), kept);
            }
            // As for one that is refused: whoever said so may have been wrong.
            Written::Gone => {
                self.counts.gone.fetch_add(1, Relaxed);
                self.pace.refused(&device, print, now);
            }
            Written::Refused(words) => {
                self.counts.refused.fetch_add(1, Relaxed);
                if self.pace.refused(&device, print, now) {
                    tracing::warn!(device = %device, "The status was refused, and is offered again when it changes: {words}");
                }
            }
            Written::Unknown(words, after) => {
                self.counts.unknown.fetch_add(1, Relaxed);
                if self.pace.unknown(&device, after, now) {
                    tracing::warn!(device = %device, "A status was not confirmed; those that follow wait and go with the newest: {words}");
                }
            }
        }
        Some(device)
    }
}

fn fingerprint(of: impl FnOnce(&mut DefaultHasher)) -> u64 {
    let mut hasher = DefaultHasher::new();
    of(&mut hasher);
    hasher.finish()
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
