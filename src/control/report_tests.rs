use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use fieldgate_crds::DeviceStatus;
use serde_json::json;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{Account, Counts, IN_FLIGHT, Subjects, run};
use crate::{
    clock::Stamp,
    control::{
        desired::Sync,
        sink::{Notice, Pending, StatusSink, Stored, Written},
        status::{Facts, Flaps, status},
        touched::{Mark, Touched},
    },
    model::DeviceId,
};

/// How the API answers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answers {
    Well,
    /// After this long.
    Slowly(Duration),
    /// With an error, and nothing was done.
    Down,
    /// With an error, although it was done.
    DoneButDown,
    /// With a wish to be left alone.
    Busy(Duration),
    Never,
    Panics,
}

/// A mock of an API server and of the watch on it: it lies, stalls, and tells of its changes late.
struct Api {
    world: Mutex<World>,
    news: Notify,
}

struct World {
    answers: Answers,
    refuses: BTreeSet<DeviceId>,
    /// How long the watch takes to tell of a change.
    echo: Duration,
    objects: BTreeMap<DeviceId, Stored>,
    /// What the watch has told.
    seen: BTreeMap<DeviceId, Stored>,
    fresh: Vec<DeviceId>,
    version: u64,
    writes: Vec<(Instant, DeviceId, DeviceStatus)>,
    notices: Vec<(Instant, DeviceId, Notice)>,
    busy: BTreeSet<DeviceId>,
    most: usize,
}

impl Api {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn put(self: &Arc<Self>, device: &DeviceId, change: impl FnOnce(&mut Stored)) {
        let mut world = self.world();
        world.version += 1;
        let version = world.version.to_string();
        let object = world.objects.entry(device.clone()).or_insert_with(|| Stored {
            uid: "1".into(),
            generation: 1,
            version: String::new(),
            status: DeviceStatus::default(),
        });
        change(object);
        object.version = version;
        let (device, object, echo) = (device.clone(), object.clone(), world.echo);
        let api = self.clone();
        tokio::spawn(async move {
            sleep(echo).await;
            let mut world = api.world();
            world.seen.insert(device.clone(), object);
            world.fresh.push(device);
            api.news.notify_one();
        });
    }

    /// The writes of each device.
    fn writes(&self) -> BTreeMap<DeviceId, usize> {
        let mut counts = BTreeMap::new();
        self.world().writes.iter().for_each(|(_, device, _)| *counts.entry(device.clone()).or_default() += 1);
        counts
    }

    /// The most requests within a second.
    fn peak(&self) -> usize {
        let world = self.world();
        let mut at: Vec<_> = world.writes.iter().map(|w| w.0).chain(world.notices.iter().map(|n| n.0)).collect();
        at.sort();
        (0..at.len()).map(|n| at[n..].iter().take_while(|other| **other - at[n] < SECOND).count()).max().unwrap_or(0)
    }
}

/// A write on its way, until it ends in whatever manner.
struct Busy<'a>(&'a Api, &'a DeviceId);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.world().busy.remove(self.1);
    }
}

struct Handle(Arc<Api>);

impl StatusSink for Handle {
    fn stored(&self, device: &DeviceId) -> Option<Stored> {
        self.0.world().seen.get(device).cloned()
    }

    fn changed(&self) -> Pending<'_, Vec<DeviceId>> {
        Box::pin(async {
            loop {
                let fresh = std::mem::take(&mut self.0.world().fresh);
                if !fresh.is_empty() {
                    return fresh;
                }
                self.0.news.notified().await;
            }
        })
    }

    fn write<'a>(&'a self, device: &'a DeviceId, stored: &'a Stored, status: &'a DeviceStatus) -> Pending<'a, Written> {
        Box::pin(async move {
            let answers = {
                let mut world = self.0.world();
                assert!(world.busy.insert(device.clone()), "two writes at once for {device}");
                world.most = world.most.max(world.busy.len());
                world.writes.push((Instant::now(), device.clone(), status.clone()));
                world.answers
            };
            let _busy = Busy(&self.0, device);
            let error = |after| Written::Unknown("503 dial tcp: connection refused".into(), after);
            match answers {
                Answers::Down => error(None),
                Answers::Busy(after) => error(Some(after)),
                Answers::Never => std::future::pending().await,
                Answers::Panics => panic!("as the test says"),
                Answers::Well | Answers::Slowly(_) | Answers::DoneButDown => {
                    if let Answers::Slowly(time) = answers {
                        sleep(time).await;
                    }
                    let uid = self.0.world().objects.get(device).map(|object| object.uid.clone());
                    if self.0.world().refuses.contains(device) {
                        Written::Refused("422 status.reported: Too many".into())
                    } else if uid.as_ref() != Some(&stored.uid) {
                        Written::Gone
                    } else {
                        // The server stores numbers in its own way.
                        let status =
                            serde_json::from_str(&serde_json::to_string(status).unwrap().replace("20.0", "20"));
                        self.0.put(device, |object| object.status = status.unwrap());
                        if answers == Answers::DoneButDown { error(None) } else { Written::Confirmed }
                    }
                }
            }
        })
    }

    fn notify<'a>(&'a self, device: &'a DeviceId, _: &'a Stored, notice: &'a Notice) -> Pending<'a, ()> {
        self.0.world().notices.push((Instant::now(), device.clone(), notice.clone()));
        Box::pin(std::future::ready(()))
    }
}

/// The devices as the test wants them.
#[derive(Default)]
struct Plant {
    devices: Mutex<BTreeMap<DeviceId, Subject>>,
    touched: Arc<Touched>,
    /// Another bridge stands in its place.
    rival: watch::Sender<bool>,
}

struct Subject {
    mark: Arc<Mark>,
    uid: String,
    facts: Facts,
    unread: Vec<Arc<str>>,
    status: DeviceStatus,
    flaps: Flaps,
}

impl Plant {
    fn set(&self, device: &DeviceId, facts: Facts) {
        let mut devices = self.devices.lock().unwrap();
        let subject = devices.entry(device.clone()).or_insert_with(|| Subject {
            mark: Mark::new(device.clone(), &self.touched),
            uid: "1".into(),
            facts: Facts::default(),
            unread: Vec::new(),
            status: DeviceStatus::default(),
            flaps: Flaps::default(),
        });
        subject.facts = facts;
        subject.mark.touch();
    }

    fn change(&self, device: &DeviceId, change: impl FnOnce(&mut Subject)) {
        let mut devices = self.devices.lock().unwrap();
        let subject = devices.get_mut(device).unwrap();
        change(subject);
        subject.mark.touch();
    }
}

impl Subjects for Plant {
    fn alone(&self) -> Pending<'_, ()> {
        Box::pin(async { drop(self.rival.subscribe().wait_for(|rival| !rival).await) })
    }

    fn touched(&self) -> Pending<'_, Vec<DeviceId>> {
        if self.touched.ask() {
            self.devices.lock().unwrap().values().for_each(|subject| subject.mark.touch());
        }
        Box::pin(self.touched.next())
    }

    fn account(&self, device: &DeviceId) -> Option<Account> {
        let mut devices = self.devices.lock().unwrap();
        let subject = devices.get_mut(device)?;
        // Both clocks go together here.
        let now = Stamp { mono: Instant::now(), wall: Instant::now().duration_since(*EPOCH) };
        subject.status = status(&subject.status, &subject.facts, &mut subject.flaps, now);
        Some(Account {
            uid: Some(subject.uid.clone()),
            status: subject.status.clone(),
            unread: subject.unread.clone(),
            remodelled: false,
            again: subject.flaps.reachable.again().into_iter().chain(subject.flaps.synced.again()).min(),
        })
    }
}

static EPOCH: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const THOUSAND: u32 = 1000;

struct Rig {
    api: Arc<Api>,
    plant: Arc<Plant>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

fn id(n: u32) -> DeviceId {
    DeviceId::new("plant", &format!("d{n:04}"))
}

fn good() -> Facts {
    Facts {
        generation: 1,
        running: true,
        reachable: Some(Ok(())),
        bus: "wire:h".into(),
        reported: vec![("setpoint".into(), Some(json!(20.0)), None)],
        ..Facts::default()
    }
}

fn silent() -> Facts {
    Facts { reachable: Some(Err("timeout")), words: "no answer".into(), ..good() }
}

fn with(generation: i64, sync: Sync) -> Facts {
    Facts { generation, sync: vec![("setpoint".into(), sync)], ..good() }
}

impl Rig {
    /// This many devices, known to the API and not yet reported.
    async fn new(devices: u32) -> Self {
        let _ = *EPOCH;
        let world = World {
            answers: Answers::Well,
            refuses: BTreeSet::new(),
            echo: Duration::from_millis(50),
            objects: BTreeMap::new(),
            seen: BTreeMap::new(),
            fresh: Vec::new(),
            version: 0,
            writes: Vec::new(),
            notices: Vec::new(),
            busy: BTreeSet::new(),
            most: 0,
        };
        let api = Arc::new(Api { world: Mutex::new(world), news: Notify::new() });
        let plant = Arc::<Plant>::default();
        for n in 0..devices {
            api.put(&id(n), |_| {});
            plant.set(&id(n), good());
        }
        sleep(SECOND).await;
        let counts = Arc::default();
        let task = tokio::spawn(run(plant.clone(), Arc::new(Handle(api.clone())), Arc::clone(&counts)));
        Self { api, plant, counts, task }
    }

    /// The same, all reported, and nothing counted so far.
    async fn reported(devices: u32) -> Self {
        let rig = Self::new(devices).await;
        sleep(SECOND * devices.max(20)).await;
        assert_eq!(rig.api.writes().len(), devices as usize);
        rig.forget();
        rig
    }

    fn forget(&self) {
        let mut world = self.api.world();
        world.writes.clear();
        world.notices.clear();
    }

    fn writes(&self) -> usize {
        self.api.world().writes.len()
    }

    /// The reporter anew, as after a restart of the bridge.
    async fn restart(&mut self, facts: Facts, unread: &[&str]) {
        self.task.abort();
        let old = std::mem::take(&mut *self.plant.devices.lock().unwrap());
        self.plant = Arc::<Plant>::default();
        for device in old.keys() {
            self.plant.set(device, facts.clone());
            self.plant.change(device, |subject| subject.unread = unread.iter().map(|name| Arc::from(*name)).collect());
        }
        self.task = tokio::spawn(run(self.plant.clone(), Arc::new(Handle(self.api.clone())), self.counts.clone()));
        sleep(SECOND).await;
    }

    /// Whether what is stored is what the devices say.
    fn agrees(&self) -> bool {
        let world = self.api.world();
        let ready = |status: &DeviceStatus| status.conditions.iter().map(|c| c.reason.clone()).collect::<Vec<_>>();
        let devices = self.plant.devices.lock().unwrap();
        devices.iter().all(|(device, subject)| ready(&world.objects[device].status) == ready(&subject.status))
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_devices_flap_once() {
    let rig = Rig::reported(THOUSAND).await;
    (0..THOUSAND).for_each(|n| rig.plant.set(&id(n), silent()));
    sleep(Duration::from_secs(5)).await;
    (0..THOUSAND).for_each(|n| rig.plant.set(&id(n), good()));
    sleep(HOUR).await;
    let writes = rig.api.writes();
    let (peak, most) = (rig.api.peak(), writes.values().max().copied());
    println!("{} writes, at most {peak} requests within a second, {most:?} for one device", rig.writes());
    assert!(most <= Some(2) && peak <= 25, "{most:?} {peak}");
    assert!(rig.agrees());
    // Those whose turn came when they were well again were not written at all.
    assert!(writes.len() < 60, "{}", writes.len());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_devices_fall_silent_for_an_hour() {
    let rig = Rig::reported(THOUSAND).await;
    (0..THOUSAND).for_each(|n| rig.plant.set(&id(n), silent()));
    sleep(HOUR).await;
    (0..THOUSAND).for_each(|n| rig.plant.set(&id(n), good()));
    sleep(HOUR).await;
    let (writes, peak) = (rig.api.writes(), rig.api.peak());
    println!("{} writes, at most {peak} requests within a second", rig.writes());
    assert!(writes.values().all(|count| *count == 2) && writes.len() == THOUSAND as usize && peak <= 25, "{peak}");
    assert!(rig.agrees());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_fleet_and_its_own_echo_make_no_writes_and_a_restart_makes_none() {
    let mut rig = Rig::reported(100).await;
    sleep(24 * HOUR).await;
    assert_eq!(rig.writes(), 0);
    // Restarted: nothing was read yet, then it is found as it was.
    rig.restart(Facts { reachable: None, ..good() }, &["setpoint"]).await;
    (0..100).for_each(|n| rig.plant.set(&id(n), good()));
    (0..100).for_each(|n| rig.plant.change(&id(n), |subject| subject.unread.clear()));
    sleep(HOUR).await;
    assert_eq!((rig.writes(), rig.counts.waiting()), (0, 0));
    assert!(rig.api.world().notices.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_changed_during_a_restart_is_written_once() {
    let mut rig = Rig::reported(3).await;
    rig.restart(Facts { reachable: None, reported: vec![("setpoint".into(), None, None)], ..good() }, &["setpoint"])
        .await;
    rig.plant.set(&id(1), silent());
    sleep(HOUR).await;
    assert_eq!(rig.api.writes(), [(id(1), 1)].into());
    assert_eq!(
        rig.api.world().objects[&id(1)].status.reported["setpoint"].value,
        Some(json!(20)),
        "not read: it stays"
    );
}

#[tokio::test(start_paused = true)]
async fn a_device_that_flaps_for_a_day_is_told_with_one_reason() {
    let rig = Rig::reported(1).await;
    for n in 0..2880 {
        rig.plant.set(&id(0), if n % 2 == 0 { silent() } else { good() });
        sleep(Duration::from_secs(30)).await;
    }
    let reasons: Vec<_> =
        rig.api.world().writes.iter().map(|(_, _, status)| status.conditions[1].reason.clone()).collect();
    assert_eq!(reasons, ["Timeout", "Answering", "Timeout", "Answering", "Timeout", "Flapping"]);
    rig.forget();
    sleep(HOUR).await;
    let reasons: Vec<_> =
        rig.api.world().writes.iter().map(|(_, _, status)| status.conditions[1].reason.clone()).collect();
    assert_eq!(reasons, ["Answering"], "said once it is over, with nothing else happening");
}

#[tokio::test(start_paused = true)]
async fn away_for_hours_then_the_newest_only() {
    let rig = Rig::reported(50).await;
    rig.api.world().answers = Answers::Down;
    for hour in 0..5 {
        (0..50).for_each(|n| rig.plant.set(&id(n), if (hour + n) % 2 == 0 { silent() } else { good() }));
        sleep(HOUR).await;
    }
    let tries = rig.writes();
    println!("{tries} tries in five hours");
    assert!(tries < 5 * 80, "{tries}");
    rig.forget();
    rig.api.world().answers = Answers::Well;
    sleep(HOUR).await;
    let writes = rig.api.writes();
    assert!(rig.agrees() && writes.values().all(|count| *count == 1), "{writes:?}");
    assert_eq!(writes.len(), 25, "the others are as they were when it went away");
    sleep(HOUR).await;
    assert_eq!(rig.writes(), 25);
}

#[tokio::test(start_paused = true)]
async fn an_error_after_the_work_was_done_is_not_repeated_once_the_watch_tells() {
    let rig = Rig::reported(2).await;
    rig.api.world().answers = Answers::DoneButDown;
    rig.plant.set(&id(0), silent());
    sleep(HOUR).await;
    assert_eq!(rig.writes(), 1);
    // If the watch does not tell, it is sent again: the same, which does no harm.
    rig.api.world().echo = HOUR;
    rig.plant.set(&id(1), silent());
    sleep(Duration::from_secs(1)).await;
    rig.api.world().answers = Answers::Well;
    sleep(3 * HOUR).await;
    assert_eq!(rig.api.writes(), [(id(0), 1), (id(1), 2)].into());
    assert!(rig.agrees());
}

#[tokio::test(start_paused = true)]
async fn a_late_watch_does_not_make_it_write_again() {
    let rig = Rig::reported(1).await;
    rig.api.world().echo = HOUR;
    rig.plant.set(&id(0), silent());
    sleep(HOUR / 2).await;
    assert_eq!(rig.writes(), 1);
    rig.plant.set(&id(0), good());
    sleep(HOUR / 4).await;
    assert_eq!(rig.writes(), 2, "compared with what was confirmed, not with what the watch still shows");
    sleep(3 * HOUR).await;
    assert!(rig.agrees());
    assert!(rig.writes() <= 3, "the echo of the first may look like somebody else's edit: {}", rig.writes());
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_edit_is_put_right_within_the_caps() {
    let rig = Rig::reported(1).await;
    for _ in 0..60 {
        rig.api.put(&id(0), |object| object.status = DeviceStatus::default());
        sleep(SECOND).await;
    }
    let writes = rig.writes();
    assert!((6..=7).contains(&writes), "{writes}");
    sleep(Duration::from_secs(20)).await;
    assert!(rig.agrees());
}

#[tokio::test(start_paused = true)]
async fn who_stands_back_for_another_bridge_reports_nothing_until_it_is_alone() {
    let rig = Rig::reported(1).await;
    rig.plant.rival.send_replace(true);
    rig.plant.set(&id(0), silent());
    sleep(HOUR).await;
    assert_eq!(rig.writes(), 0);
    rig.plant.rival.send_replace(false);
    sleep(SECOND).await;
    assert_eq!(rig.writes(), 1);
    assert!(rig.agrees());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_refused_holds_up_nobody() {
    let rig = Rig::reported(100).await;
    rig.api.world().refuses = (0..10).map(id).collect();
    (0..100).for_each(|n| rig.plant.set(&id(n), silent()));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.api.writes().len(), 100);
    assert!(rig.api.writes().values().all(|count| *count == 1));
    assert_eq!(rig.counts.waiting(), 10);
    // It changes: offered again, and taken.
    rig.api.world().refuses.clear();
    rig.plant.set(&id(0), Facts { reachable: Some(Err("bus")), ..silent() });
    sleep(SECOND).await;
    assert_eq!(rig.api.writes()[&id(0)], 2);
    sleep(2 * HOUR).await;
    assert!(rig.agrees(), "and the rest after a long time");
    assert_eq!(rig.counts.writes(), [("confirmed", 200), ("refused", 10), ("gone", 0), ("unknown", 0)]);
}

#[tokio::test(start_paused = true)]
async fn slow_answers_do_not_stand_in_a_row() {
    let rig = Rig::reported(THOUSAND).await;
    rig.api.world().answers = Answers::Slowly(Duration::from_secs(10));
    (0..THOUSAND).for_each(|n| rig.plant.set(&id(n), silent()));
    sleep(Duration::from_secs(u64::from(THOUSAND) * 10 / 7)).await;
    assert!(rig.agrees());
    assert_eq!((rig.writes(), rig.api.world().most), (1000, IN_FLIGHT));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_never_answers_or_panics_is_survived() {
    for answers in [Answers::Never, Answers::Panics] {
        let rig = Rig::reported(3).await;
        rig.api.world().answers = answers;
        rig.plant.set(&id(0), silent());
        sleep(Duration::from_secs(5)).await;
        rig.api.world().answers = Answers::Well;
        rig.plant.set(&id(1), silent());
        sleep(Duration::from_secs(91)).await;
        sleep(Duration::from_secs(60)).await;
        assert!(rig.agrees(), "{answers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_waits_as_long_as_the_server_asks() {
    let rig = Rig::reported(2).await;
    rig.api.world().answers = Answers::Busy(Duration::from_secs(70));
    rig.plant.set(&id(0), silent());
    sleep(SECOND).await;
    rig.api.world().answers = Answers::Well;
    rig.plant.set(&id(1), silent());
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.writes(), 1);
    sleep(Duration::from_secs(15)).await;
    assert!(rig.agrees());
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_answered_within_a_second_and_again_when_it_has_settled() {
    let rig = Rig::reported(1).await;
    rig.plant.set(&id(0), silent());
    sleep(SECOND).await;
    rig.plant.set(&id(0), good());
    rig.forget();
    let edited = Instant::now();
    rig.plant.set(&id(0), with(2, Sync::Pending));
    sleep(Duration::from_millis(500)).await;
    rig.plant.set(&id(0), with(2, Sync::Synced));
    sleep(Duration::from_millis(100)).await;
    {
        let world = rig.api.world();
        let seen: Vec<_> =
            world.writes.iter().map(|(at, _, status)| (*at - edited, status.conditions[2].reason.clone())).collect();
        assert_eq!(seen.iter().map(|(_, reason)| &**reason).collect::<Vec<_>>(), ["Writing", "Synced"]);
        assert!(seen[0].0 <= Duration::from_millis(301) && seen[1].0 <= Duration::from_millis(502), "{seen:?}");
    }
    // One that is done within the 300 ms takes a single write.
    sleep(HOUR).await;
    rig.forget();
    rig.plant.set(&id(0), with(3, Sync::Pending));
    sleep(Duration::from_millis(200)).await;
    rig.plant.set(&id(0), with(3, Sync::Synced));
    sleep(HOUR).await;
    assert_eq!(rig.writes(), 1);
    // A repair that is done at once is not told at all; one that has to wait is.
    rig.plant.set(&id(0), with(3, Sync::Pending));
    sleep(Duration::from_millis(200)).await;
    rig.plant.set(&id(0), with(3, Sync::Synced));
    sleep(HOUR).await;
    assert_eq!(rig.writes(), 1);
    rig.plant.set(&id(0), with(3, Sync::Pending));
    sleep(SECOND).await;
    assert_eq!(rig.writes(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_object_of_the_same_name_is_not_told_of_the_old_device() {
    let rig = Rig::reported(1).await;
    rig.api.put(&id(0), |object| (object.uid, object.status) = ("2".into(), DeviceStatus::default()));
    sleep(HOUR).await;
    assert_eq!(rig.writes(), 0);
    rig.plant.change(&id(0), |subject| subject.uid = "2".into());
    sleep(SECOND).await;
    assert_eq!(rig.writes(), 1);
    // It goes altogether; the fleet learns of it later.
    rig.api.world().objects.remove(&id(0));
    rig.plant.set(&id(0), silent());
    sleep(HOUR / 2).await;
    assert_eq!(rig.counts.writes()[2], ("gone", 1));
    let mark = rig.plant.devices.lock().unwrap().remove(&id(0)).unwrap().mark;
    mark.touch();
    sleep(3 * HOUR).await;
    assert_eq!((rig.counts.writes()[2], rig.counts.waiting()), (("gone", 1), 0));
}

#[tokio::test(start_paused = true)]
async fn one_cause_is_one_notice() {
    let rig = Rig::new(1).await;
    sleep(SECOND).await;
    rig.plant.set(&id(0), silent());
    sleep(HOUR).await;
    rig.plant.set(&id(0), good());
    sleep(HOUR).await;
    let notices: Vec<_> = rig.api.world().notices.iter().map(|(_, _, n)| (n.warning, n.reason.clone())).collect();
    assert_eq!(notices, [(false, "Ready".into()), (true, "Timeout".into()), (false, "Ready".into())]);
}
