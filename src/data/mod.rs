//! The data path: bus -> Reading -> filter -> outbox -> encode -> publish. It runs without a cluster, and starts without
//! a broker: readings wait in the outbox, the oldest make room, and drops are counted and told.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    clock::Stamp,
    model::{Device, DeviceId},
};

mod filter;
mod lane;
mod link;
mod link_v4;
mod link_v5;
mod moment;
mod options;
mod outbox;
pub mod payload;
mod publish;
mod retained;
mod rival;
mod snapshot;
mod sweep;
mod topic;

pub use lane::{Availability, Lane, PropertyView, View};
pub use options::{Address, ClockRule, Options, OptionsError, Version};
pub use outbox::{Entry, Leased, Memory, Outbox, Stats, Stream, Ticket};
pub use payload::{BusHealth, Readiness};
pub use snapshot::Quality;

/// Who this bridge is, for payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The node's name.
    pub name: String,
    /// Where devices come from: `files` or `kubernetes`.
    pub source: String,
    /// The protocols built in.
    pub protocols: Vec<String>,
}

/// What the data path cannot know itself. Asked on the publisher's task every 30 s and after
/// [`DataPath::devices_changed`]: it must not block.
pub trait Facts: Send + Sync {
    /// All devices that this bridge was given, served or not.
    fn devices(&self) -> BTreeMap<DeviceId, Readiness>;
    /// The buses, by protocol and resource: `modbus:tcp:10.0.0.7:502`.
    fn buses(&self) -> BTreeMap<String, BusHealth>;
}

/// Why a device leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It was deleted: its retained topics are cleared.
    Deleted,
    /// Another bridge serves it now, and overwrites its retained topics.
    Moved,
}

/// Counters since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Whether the broker is connected.
    pub connected: bool,
    /// How often it was.
    pub connections: u64,
    /// `readings` messages that the broker took (with QoS 0: that were sent).
    pub published: u64,
    /// Values in the `readings` messages given to the outbox.
    pub values: u64,
    /// Messages that the broker refused for good, or that were too large for it or for `maxMessageBytes`.
    pub refused: u64,
    /// What waits, and what was dropped.
    pub outbox: Stats,
    /// Exchanges that were answered.
    pub exchanges_ok: u64,
    /// Exchanges that were not.
    pub exchanges_failed: u64,
    /// Polls that were skipped.
    pub periods_missed: u64,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    published: AtomicU64,
    values: AtomicU64,
    refused: AtomicU64,
    exchanges_ok: AtomicU64,
    exchanges_failed: AtomicU64,
    periods_missed: AtomicU64,
}

/// News for the publisher.
enum News {
    Joined(Arc<Lane>),
    Left(Arc<Lane>, Leaving),
    /// A lane's `state` is no longer what was sent last.
    State(u64),
    Availability(u64),
    Devices,
}

/// What lanes and publisher share.
struct Core {
    options: Options,
    node: Node,
    boot: String,
    started: Stamp,
    topics: topic::Topics,
    /// `{"node":...,"boot":...,`
    origin: Vec<u8>,
    outbox: Mutex<Box<dyn Outbox>>,
    clock: Mutex<moment::Clock>,
    news: Mutex<Vec<News>>,
    wake: Notify,
    /// The number of the present connection to the broker; 0 while there is none.
    link: AtomicU64,
    /// That another bridge of this node is connected instead of this one.
    rival: watch::Sender<Option<String>>,
    /// The largest message that the broker takes.
    largest: AtomicU32,
    /// Whether the first whole set of devices has been handed over.
    settled: AtomicBool,
    /// Not all devices could be read at the start: nothing that an earlier run left is cleared.
    let_be: AtomicBool,
    /// When to have stopped; none while running.
    stop: Mutex<Option<Instant>>,
    counts: Counts,
}

/// Locks; a panic elsewhere must not stop the readings of the others.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    fn tell(&self, news: News) {
        lock(&self.news).push(news);
        self.wake.notify_one();
    }
}

/// A handle on the running data path. It may be cloned.
#[derive(Clone)]
pub struct DataPath {
    core: Arc<Core>,
    lanes: Arc<Mutex<Lanes>>,
}

#[derive(Default)]
struct Lanes {
    by_id: HashMap<DeviceId, Arc<Lane>>,
    /// Also of devices that are gone: a device that comes back continues its `seq`.
    streams: HashMap<DeviceId, Arc<Stream>>,
    next_key: u64,
}

/// How many streams are kept of devices that are gone.
const STREAMS_KEPT: usize = 4096;

/// Starts the publisher on the present runtime. It needs no broker to start.
///
/// # Errors
/// Every mistake in the options; a password file that cannot be read.
pub fn start(
    options: Options,
    node: Node,
    facts: Arc<dyn Facts>,
) -> Result<(DataPath, JoinHandle<()>), Vec<OptionsError>> {
    options.check()?;
    let started = Stamp::now();
    let boot = moment::boot_id(started);
    let mut origin = Vec::new();
    payload::write_origin(&mut origin, &node.name, &boot);
    let core = Arc::new(Core {
        topics: topic::Topics::new(&options.root, &node.name),
        origin,
        outbox: Mutex::new(Box::new(Memory::new(options.outbox_bytes))),
        clock: Mutex::new(moment::Clock::new(options.clock.clone(), started)),
        news: Mutex::default(),
        wake: Notify::new(),
        link: AtomicU64::new(0),
        rival: watch::Sender::default(),
        largest: AtomicU32::new(options.max_message_bytes),
        settled: AtomicBool::new(false),
        let_be: AtomicBool::new(false),
        stop: Mutex::default(),
        counts: Counts::default(),
        options,
        node,
        boot,
        started,
    });
    let publisher = publish::Publisher::new(core.clone(), facts).map_err(|error| vec![error])?;
    let task = tokio::spawn(publisher.run());
    Ok((DataPath { core, lanes: Arc::default() }, task))
}

impl DataPath {
    /// Takes a device on, or replaces the one of the same name. What is known of properties that did not change is kept.
    #[allow(clippy::needless_pass_by_value)] // the lane keeps it
    pub fn put(&self, device: Arc<Device>) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        lanes.next_key += 1;
        let key = lanes.next_key;
        let stream = lanes.streams.entry(device.id.clone()).or_insert_with(|| {
            Arc::new(Stream {
                topic: self.core.topics.device(&device.id, "readings"),
                id: device.id.clone(),
                seq: AtomicU64::new(0),
                dropped: AtomicU64::new(0),
            })
        });
        let stream = stream.clone();
        let before = lanes.by_id.get(&device.id).map(|lane| &**lane);
        let lane = Arc::new(Lane::new(self.core.clone(), device.clone(), stream, key, before));
        lanes.by_id.insert(device.id.clone(), lane.clone());
        if lanes.streams.len() > STREAMS_KEPT + lanes.by_id.len() {
            // Whoever has neither a lane nor a message in the outbox is forgotten.
            lanes.streams.retain(|_, stream| Arc::strong_count(stream) > 1);
        }
        self.core.tell(News::Joined(lane.clone()));
        lane
    }

    /// Lets a device go. Its messages in the outbox are still published.
    pub fn remove(&self, id: &DeviceId, leaving: Leaving) {
        if let Some(lane) = lock(&self.lanes).by_id.remove(id) {
            lane.close();
            self.core.tell(News::Left(lane, leaving));
        }
    }

    /// The lane of a device.
    pub fn lane(&self, id: &DeviceId) -> Option<Arc<Lane>> {
        lock(&self.lanes).by_id.get(id).cloned()
    }

    /// [`Facts::devices`] changed. The first call says that the first whole set of devices has been handed over: from
    /// then on the bridge tells which devices it has, and clears what an earlier run left of others.
    pub fn devices_changed(&self) {
        self.core.settled.store(true, Relaxed);
        self.core.tell(News::Devices);
    }

    /// Some of the first set of devices could not be read. To be called before the first [`Self::devices_changed`]: what an
    /// earlier run left of others at the broker is then not cleared in this run, since it may be theirs.
    pub fn devices_unreadable(&self) {
        self.core.let_be.store(!self.core.settled.load(Relaxed), Relaxed);
    }

    /// The identity of this start, as in every payload.
    pub fn boot(&self) -> &str {
        &self.core.boot
    }

    /// Why this bridge stands back, if another one of its node is connected to the broker instead.
    pub fn rival(&self) -> Option<String> {
        self.core.rival.borrow().clone()
    }

    /// Whether this bridge stands back, as [`Self::rival`] says.
    pub fn stands_back(&self) -> bool {
        self.core.rival.borrow().is_some()
    }

    /// Waits while another bridge of this node is at the broker. Cancel-safe.
    pub async fn alone(&self) {
        // The sender lives as long as this.
        let _ = self.core.rival.subscribe().wait_for(Option::is_none).await;
    }

    /// Counters since the start.
    pub fn counters(&self) -> Counters {
        self.core.counters()
    }

    /// Stops: publishes what the broker takes within this time, says that the bridge stopped, disconnects. The task that
    /// [`start`] gave then ends.
    pub fn stop(&self, within: Duration) {
        *lock(&self.core.stop) = Some(Instant::now() + within);
        self.core.wake.notify_one();
    }
}

impl Core {
    fn counters(&self) -> Counters {
        let c = &self.counts;
        Counters {
            connected: self.link.load(Relaxed) != 0,
            connections: c.connections.load(Relaxed),
            published: c.published.load(Relaxed),
            values: c.values.load(Relaxed),
            refused: c.refused.load(Relaxed),
            outbox: lock(&self.outbox).stats(),
            exchanges_ok: c.exchanges_ok.load(Relaxed),
            exchanges_failed: c.exchanges_failed.load(Relaxed),
            periods_missed: c.periods_missed.load(Relaxed),
        }
    }
}

/// Resident memory of this process, in bytes; 0 where `/proc` does not tell.
pub fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map_or(0, |kib: u64| kib * 1024)
}
