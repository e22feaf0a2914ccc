//! A mapper whose buses fail on purpose, by script or by dice; everything else is the mapper within.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mapper_api::{
    BindError, BoundDevice, BoxFuture, BusKey, Capability, Cost, Decoded, Discovery, DynAnswer, DynBus, DynFrame,
    DynLearnt, DynRequest, Error, ErrorKind, Host, Mapper, Point, PointId, Probing, Refusal, Result, Sequence, Value,
};
use serde_json::Value as Json;

/// What happens to an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// None: it takes place.
    Pass,
    /// It is not sent; after the request's longest time it ends as [`ErrorKind::Timeout`].
    Timeout,
    /// The transport breaks: [`ErrorKind::Bus`].
    Bus,
    /// The answer does not fit: [`ErrorKind::BadData`].
    BadData,
    /// It takes place this much later.
    Delay(Duration),
    /// It never ends.
    Hang,
    /// The mapper panics.
    Panic,
}

/// Which faults, in which order. Clones share it, so that a test can go on steering.
#[derive(Debug, Clone)]
pub struct Script(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    next: VecDeque<Fault>,
    /// Faults with their probabilities, for when the list is used up.
    dice: Vec<(Fault, f64)>,
    random: fastrand::Rng,
    opens: bool,
}

impl Script {
    /// These faults one after the other, then none.
    pub fn of(faults: impl IntoIterator<Item = Fault>) -> Self {
        let (next, random) = (faults.into_iter().collect(), fastrand::Rng::with_seed(0));
        Self(Arc::new(Mutex::new(State { next, dice: Vec::new(), random, opens: true })))
    }

    /// Each exchange suffers each of these faults with its probability; the same seed gives the same run.
    pub fn dice(seed: u64, faults: impl IntoIterator<Item = (Fault, f64)>) -> Self {
        let (dice, random) = (faults.into_iter().collect(), fastrand::Rng::with_seed(seed));
        Self(Arc::new(Mutex::new(State { next: VecDeque::new(), dice, random, opens: true })))
    }

    /// One more fault, after those that are still to come.
    pub fn push(&self, fault: Fault) {
        self.state(|state| state.next.push_back(fault));
    }

    /// Whether the bus can be opened.
    pub fn set_opens(&self, opens: bool) {
        self.state(|state| state.opens = opens);
    }

    fn take(&self) -> Fault {
        self.state(|state| {
            if let Some(fault) = state.next.pop_front() {
                return fault;
            }
            let mut throw = state.random.f64();
            for (fault, probability) in &state.dice {
                if throw < *probability {
                    return *fault;
                }
                throw -= probability;
            }
            Fault::Pass
        })
    }

    fn state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The wrapper.
pub struct Chaos {
    within: Arc<dyn Mapper>,
    script: Script,
}

impl Chaos {
    /// This mapper, with the faults of this script.
    pub fn new(within: Arc<dyn Mapper>, script: Script) -> Self {
        Self { within, script }
    }
}

impl Mapper for Chaos {
    fn name(&self) -> &'static str {
        self.within.name()
    }

    fn capability(&self) -> Capability {
        self.within.capability()
    }

    fn endpoint_schema(&self) -> Json {
        self.within.endpoint_schema()
    }

    fn address_schema(&self) -> Json {
        self.within.address_schema()
    }

    fn host(&self, host: Host) {
        self.within.host(host);
    }

    fn save(&self) -> Option<Vec<u8>> {
        self.within.save()
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        self.within.counts()
    }

    fn scan_schema(&self) -> Option<Json> {
        self.within.scan_schema()
    }

    fn discover(&self, args: &Json) -> Result<Box<dyn Discovery>> {
        self.within.discover(args)
    }

    fn probe_schema(&self) -> Option<Json> {
        self.within.probe_schema()
    }

    fn probe(&self, args: &Json) -> Result<Box<dyn Probing>> {
        self.within.probe(args)
    }

    fn sample_schema(&self) -> Option<Json> {
        self.within.sample_schema()
    }

    fn stand_ins(&self) -> Vec<Json> {
        self.within.stand_ins()
    }

    fn bind(
        self: Arc<Self>,
        endpoint: &Json,
        points: Vec<Point<&Json>>,
    ) -> Result<Arc<dyn BoundDevice>, Vec<BindError>> {
        let within = self.within.clone().bind(endpoint, points)?;
        Ok(Arc::new(ChaosDevice { within, script: self.script.clone() }))
    }
}

struct ChaosDevice {
    within: Arc<dyn BoundDevice>,
    script: Script,
}

impl BoundDevice for ChaosDevice {
    fn protocol(&self) -> &'static str {
        self.within.protocol()
    }

    fn bus_key(&self) -> &BusKey {
        self.within.bus_key()
    }

    fn learnt(&self) -> DynLearnt {
        self.within.learnt()
    }

    fn prepare(&self) -> Vec<Sequence<DynRequest>> {
        self.within.prepare()
    }

    fn plan(&self, wanted: &[PointId], learnt: &DynLearnt) -> Vec<Sequence<DynRequest>> {
        self.within.plan(wanted, learnt)
    }

    fn plan_write(&self, values: &[(PointId, Value)]) -> Result<Vec<Sequence<DynRequest>>, (PointId, Refusal)> {
        self.within.plan_write(values)
    }

    fn cost(&self, request: &DynRequest) -> Cost {
        self.within.cost(request)
    }

    fn points<'a>(&self, request: &'a DynRequest) -> &'a [PointId] {
        self.within.points(request)
    }

    fn decode(&self, request: &DynRequest, answer: &DynAnswer, out: &mut Vec<Decoded>) {
        self.within.decode(request, answer, out);
    }

    fn learn(&self, request: &DynRequest, outcome: Result<&DynAnswer, &Error>, learnt: &mut DynLearnt) -> bool {
        self.within.learn(request, outcome, learnt)
    }

    fn frame_source(&self) -> Option<String> {
        self.within.frame_source()
    }

    fn source_of<'a>(&self, frame: &'a DynFrame) -> &'a str {
        self.within.source_of(frame)
    }

    fn decode_frame(&self, frame: &DynFrame, out: &mut Vec<Decoded>) {
        self.within.decode_frame(frame, out);
    }

    fn frame_time(&self, frame: &DynFrame) -> Option<Instant> {
        self.within.frame_time(frame)
    }

    fn freshness(&self, frame: &DynFrame) -> Option<Duration> {
        self.within.freshness(frame)
    }

    fn notes(&self) -> Vec<BindError> {
        self.within.notes()
    }

    fn replay(&self, sample: &Json) -> Result<Vec<Decoded>, String> {
        self.within.replay(sample)
    }

    fn opens_within(&self) -> Option<Duration> {
        self.within.opens_within()
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn DynBus>>> {
        Box::pin(async {
            if !self.script.state(|state| state.opens) {
                return Err(synthetic(ErrorKind::Unreachable));
            }
            let (within, device) = (self.within.open().await?, self.within.clone());
            Ok(Box::new(ChaosBus { within, device, script: self.script.clone() }) as Box<dyn DynBus>)
        })
    }
}

struct ChaosBus {
    within: Box<dyn DynBus>,
    /// Tells what a request may take.
    device: Arc<dyn BoundDevice>,
    script: Script,
}

impl DynBus for ChaosBus {
    fn exchange<'a>(&'a mut self, request: &'a DynRequest) -> BoxFuture<'a, Result<DynAnswer>> {
        Box::pin(async move {
            match self.script.take() {
                Fault::Pass => {}
                Fault::Timeout => {
                    tokio::time::sleep(self.device.cost(request).longest).await;
                    return Err(synthetic(ErrorKind::Timeout));
                }
                Fault::Bus => return Err(synthetic(ErrorKind::Bus)),
                Fault::BadData => return Err(synthetic(ErrorKind::BadData)),
                Fault::Delay(delay) => tokio::time::sleep(delay).await,
                Fault::Hang => std::future::pending().await,
                Fault::Panic => panic!("synthetic fault: a panic"),
            }
            self.within.exchange(request).await
        })
    }

    fn resynchronise(&mut self) -> BoxFuture<'_, Result<()>> {
        self.within.resynchronise()
    }

    fn idle(&mut self) -> BoxFuture<'_, Result<DynFrame>> {
        self.within.idle()
    }
}

fn synthetic(kind: ErrorKind) -> Error {
    Error::new(kind, format!("synthetic fault: {}", kind.reason()))
}
