//! Devices made by hand, driven through [`Observer`] as a bus does; and the facts of an integrator.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use fieldgate::{
    bus::{Failure, Observer},
    clock::Stamp,
    data::{self, BusHealth, DataPath, Facts, Lane, Node, Options, Readiness},
    model::{Device, DeviceId, Print, Property, Publish},
};
use mapper_api::{
    Access, BindError, BoundDevice, BoxFuture, BusKey, Cost, DataType, Decoded, DynAnswer, DynBus, DynFrame, DynLearnt,
    DynRequest, Error, ErrorKind, Json, PointId, Refusal, Result, Sequence, Value,
};
use tokio::task::JoinHandle;

/// Says which protocol and bus it is of; nobody asks it for more here.
struct Bound(BusKey);

impl BoundDevice for Bound {
    fn protocol(&self) -> &'static str {
        "modbus"
    }
    fn bus_key(&self) -> &BusKey {
        &self.0
    }
    fn learnt(&self) -> DynLearnt {
        unreachable!()
    }
    fn prepare(&self) -> Vec<Sequence<DynRequest>> {
        unreachable!()
    }
    fn plan(&self, _: &[PointId], _: &DynLearnt) -> Vec<Sequence<DynRequest>> {
        unreachable!()
    }
    fn plan_write(&self, _: &[(PointId, Value)]) -> Result<Vec<Sequence<DynRequest>>, (PointId, Refusal)> {
        unreachable!()
    }
    fn cost(&self, _: &DynRequest) -> Cost {
        unreachable!()
    }
    fn points<'a>(&self, _: &'a DynRequest) -> &'a [PointId] {
        unreachable!()
    }
    fn decode(&self, _: &DynRequest, _: &DynAnswer, _: &mut Vec<Decoded>) {
        unreachable!()
    }
    fn learn(&self, _: &DynRequest, _: Result<&DynAnswer, &Error>, _: &mut DynLearnt) -> bool {
        unreachable!()
    }
    fn frame_source(&self) -> Option<String> {
        unreachable!()
    }
    fn source_of<'a>(&self, _: &'a DynFrame) -> &'a str {
        unreachable!()
    }
    fn decode_frame(&self, _: &DynFrame, _: &mut Vec<Decoded>) {
        unreachable!()
    }
    fn frame_time(&self, _: &DynFrame) -> Option<Instant> {
        unreachable!()
    }
    fn freshness(&self, _: &DynFrame) -> Option<Duration> {
        unreachable!()
    }
    fn notes(&self) -> Vec<BindError> {
        unreachable!()
    }
    fn replay(&self, _: &Json) -> Result<Vec<Decoded>, String> {
        unreachable!()
    }
    fn opens_within(&self) -> Option<std::time::Duration> {
        unreachable!()
    }
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn DynBus>>> {
        unreachable!()
    }
}

pub fn property(name: &str, data_type: DataType) -> Property {
    Property {
        name: name.into(),
        data_type,
        size: None,
        unit: None,
        access: Access::Read,
        shape: mapper_values::Shape::default(),
        min: None,
        max: None,
        poll_every: Duration::from_secs(1),
        max_age: Duration::from_secs(3),
        learns_age: false,
        desired: None,
        safe: None,
        report_every: None,
        publish: Publish::default(),
    }
}

pub fn device(name: &str, properties: Vec<Property>) -> Device {
    Device {
        id: DeviceId::new("plant-a", name),
        uid: name.into(),
        generation: 1,
        model_generation: None,
        model: Some("acme-th1".into()),
        poll_every: Duration::from_secs(1),
        properties: properties.into_iter().map(Arc::new).collect(),
        bound: Arc::new(Bound(BusKey { resource: "tcp:10.0.0.7:502".into(), settings: String::new() })),
        print: Print::default(),
    }
}

/// One with a `voltage` and a `power`.
pub fn meter(name: &str) -> Arc<Device> {
    Arc::new(device(name, vec![property("voltage", DataType::Float32), property("power", DataType::Float64)]))
}

/// What an integrator would know.
#[derive(Default)]
pub struct Known {
    pub devices: Mutex<BTreeMap<DeviceId, Readiness>>,
}

impl Facts for Known {
    fn devices(&self) -> BTreeMap<DeviceId, Readiness> {
        self.devices.lock().unwrap().clone()
    }
    fn buses(&self) -> BTreeMap<String, BusHealth> {
        BTreeMap::from([("modbus:tcp:10.0.0.7:502".into(), BusHealth { state: "up".into(), utilisation: 0.42 })])
    }
}

/// A running data path.
pub struct Gateway {
    pub path: DataPath,
    pub known: Arc<Known>,
    pub task: JoinHandle<()>,
}

impl Gateway {
    pub fn start(options: Options) -> Self {
        Self::named("gw-1", options)
    }

    pub fn named(name: &str, options: Options) -> Self {
        let node =
            Node { name: name.into(), source: "files".into(), protocols: vec!["modbus".into(), "virtual".into()] };
        let known = Arc::new(Known::default());
        let (path, task) = data::start(options, node, known.clone()).unwrap();
        Self { path, known, task }
    }

    pub fn put(&self, device: Arc<Device>) -> Arc<Lane> {
        self.known.devices.lock().unwrap().insert(device.id.clone(), Readiness::Ready);
        self.path.put(device)
    }

    pub fn remove(&self, id: &DeviceId, leaving: data::Leaving) {
        self.known.devices.lock().unwrap().remove(id);
        self.path.remove(id, leaving);
        self.path.devices_changed();
    }

    /// The process dies: no DISCONNECT, no farewell.
    pub fn die(self) {
        self.task.abort();
    }

    pub async fn stop(self, within: Duration) {
        self.path.stop(within);
        super::within("the publisher's end", self.task).await.unwrap();
    }

    /// Waits until the broker is connected.
    pub async fn connected(&self, times: u64) {
        super::until("a connection", async || {
            let c = self.path.counters();
            (c.connected && c.connections >= times).then_some(())
        })
        .await;
    }

    /// Waits until nothing waits.
    pub async fn drained(&self) {
        super::until("an empty outbox", async || (self.path.counters().outbox.messages == 0).then_some(())).await;
    }
}

pub fn good(point: PointId, value: impl Into<Value>) -> Decoded {
    Decoded { point, result: Ok(value.into()) }
}

pub fn answer(lane: &Lane, points: &[Decoded]) {
    lane.answered(Stamp::now(), points);
}

pub fn fail(lane: &Lane, kind: ErrorKind, points: &[PointId], misses: u32) {
    lane.failed(Stamp::now(), points, &Failure { kind, message: "no answer".into() }, misses);
}
