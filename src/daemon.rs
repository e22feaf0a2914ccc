//! The daemon: source, buses and data path joined, as `run` and `demo` start it. Wiring only.

use std::{
    collections::{BTreeMap, HashMap},
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    task::Poll,
    time::Duration,
};

use anyhow::anyhow;
use mapper_api::Mapper;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{
    bus::{Buses, Options},
    control::{
        apply::{Fleet, Shown},
        catalog::{Catalog, Judge},
        issue::Severity,
        report,
        sink::Pending,
    },
    data::{self, BusHealth, DataPath, Node, Readiness},
    keepsakes::Keepsakes,
    model::DeviceId,
    observe::{http, pages::Pages},
    origin::{self, Opened},
    settings::Settings,
    state::State,
};

/// A running daemon.
pub struct Daemon {
    fleet: Arc<Fleet>,
    data: DataPath,
    publisher: JoinHandle<()>,
    /// What runs until the end, by name.
    tasks: Vec<(&'static str, JoinHandle<()>)>,
    /// What the source still has to do at the end.
    finish: Option<Pending<'static, ()>>,
    keepsakes: Arc<Keepsakes>,
    /// Locked while the daemon runs.
    _state: Option<State>,
}

impl Daemon {
    /// Starts everything. The broker and the devices may be away; the settings may not be wrong.
    ///
    /// # Errors
    /// A setting that cannot be, a folder that is not there, an address that is taken.
    pub async fn start(settings: Settings, mappers: Vec<Arc<dyn Mapper>>) -> anyhow::Result<Self> {
        let name = settings.node()?;
        // Before anything else: a second bridge must not touch a device.
        let state = settings.state.as_deref().map(|folder| State::open(folder, &name)).transpose()?;
        let Opened { mut source, sink, api, finish, word, serve } =
            origin::open(&settings, &name, state.as_ref().map(State::folder)).await?;
        let listener = match settings.http.address()? {
            Some(address) => Some(http::bind(address).await?),
            None => None,
        };
        let keepsakes = Keepsakes::hand_out(&mappers, state.as_ref().map(State::folder), settings.secrets.as_deref());
        let keepsakes = Arc::new(keepsakes);
        let node = Node {
            name: name.clone(),
            source: word.into(),
            protocols: mappers.iter().map(|m| m.name().to_owned()).collect(),
        };
        let facts = Arc::new(Facts::default());
        let (data, publisher) = data::start(settings.mqtt.clone(), node, facts.clone())
            .map_err(|errors| anyhow!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
        let fleet = Fleet::new(Buses::new(Options::of_node(&name)), data.clone());
        let _ = facts.fleet.set(Arc::downgrade(&fleet));
        let reports = sink.map(|sink| (sink, Arc::<report::Counts>::default()));
        let counts = reports.as_ref().map(|(_, counts)| counts.clone());
        let pages = Arc::new(Pages::new(fleet.clone(), data.clone(), mappers.clone(), counts, api));

        let judge = Judge::new(mappers, serve);
        let (served, loaded) = (fleet.clone(), pages.clone());
        let control = tokio::spawn(async move {
            let mut catalog = Catalog::default();
            loop {
                let objects = source.next().await;
                let next = Catalog::build(&objects, &judge, &catalog);
                for issue in next.issues.iter().filter(|issue| catalog.issues.binary_search(issue).is_err()) {
                    match issue.severity {
                        Severity::Error => tracing::error!("{issue}"),
                        Severity::Note => tracing::info!("{issue}"),
                    }
                }
                served.apply(&next);
                catalog = next;
                loaded.loaded();
            }
        });
        let mut tasks = vec![("control", control), ("keepsakes", tokio::spawn(keepsakes.clone().run()))];
        if let Some((sink, counts)) = reports {
            tasks.push(("status", tokio::spawn(report::run(fleet.clone(), sink, counts))));
        }
        if let Some(listener) = listener {
            tracing::info!(address = %listener.local_addr()?, "Listening for HTTP.");
            tasks.push(("http", tokio::spawn(http::serve(listener, pages))));
        }
        Ok(Self { fleet, data, publisher, tasks, finish, keepsakes, _state: state })
    }

    /// Waits for one of the parts that never end to end all the same: which one. Cancel-safe.
    pub async fn broken(&mut self) -> &'static str {
        poll_fn(|context| {
            let ended =
                self.tasks.iter_mut().find_map(|(part, task)| Pin::new(task).poll(context).is_ready().then_some(*part));
            ended.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Stops in order within this time: no more polls (half of it at most), then what the broker still takes, then goodbye.
    pub async fn stop(self, within: Duration) {
        for (_, task) in &self.tasks {
            task.abort();
        }
        let (start, half) = (Instant::now(), within / 2);
        let finish = async {
            if let Some(finish) = self.finish {
                finish.await;
            }
        };
        let (buses, finished) = tokio::join!(timeout(half, self.fleet.stop()), timeout(half, finish));
        self.keepsakes.save().await;
        if buses.is_err() {
            tracing::warn!("A bus did not end its exchange within {half:?}.");
        }
        if finished.is_err() {
            tracing::warn!(
                "The objects were not on disk within {half:?}; a restart without a network may serve older ones."
            );
        }
        self.data.stop(within.saturating_sub(start.elapsed()));
        if let Err(error) = self.publisher.await {
            tracing::error!(%error, "The publisher broke down.");
        }
    }
}

/// What the data path asks of the rest.
#[derive(Default)]
struct Facts {
    fleet: OnceLock<Weak<Fleet>>,
    /// When each bus was looked at last, and how long it had been busy until then.
    busy: Mutex<HashMap<String, (Instant, Duration)>>,
}

impl Facts {
    fn fleet(&self) -> Option<Arc<Fleet>> {
        self.fleet.get().and_then(Weak::upgrade)
    }
}

impl data::Facts for Facts {
    fn devices(&self) -> BTreeMap<DeviceId, Readiness> {
        let fleet = self.fleet();
        let readiness = |shown: Shown| (shown.id.clone(), shown.readiness());
        fleet.iter().flat_map(|fleet| fleet.devices(readiness)).collect()
    }

    fn buses(&self) -> BTreeMap<String, BusHealth> {
        let (fleet, now) = (self.fleet(), Instant::now());
        let mut before = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let mut after = HashMap::new();
        let mut health = BTreeMap::new();
        for bus in fleet.iter().flat_map(|fleet| fleet.buses()) {
            let utilisation = before.get(&bus.bus).map_or(0.0, |(at, busy)| {
                let passed = now.saturating_duration_since(*at).as_secs_f64();
                if passed > 0.0 { bus.busy.saturating_sub(*busy).as_secs_f64() / passed } else { 0.0 }
            });
            after.insert(bus.bus.clone(), (now, bus.busy));
            let state = if bus.up { "up" } else { "down" };
            health.insert(bus.bus, BusHealth { state: state.into(), utilisation: utilisation.min(1.0) });
        }
        *before = after;
        health
    }
}
