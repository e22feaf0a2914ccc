//! A protocol whose units do as the test says, and that records what it is asked.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use mapper_api::{
    Access, Bus, BusKey, ByteOrder, Capability, Cost, DataType, Decoded, Error, ErrorKind, Mapper, Point, PointId,
    Protocol, Refusal, Result, Sequence, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::super::{Failure, Member, Observer};
use crate::{clock::Stamp, model::DeviceId};

pub const WIRE: Duration = Duration::from_millis(70);
pub const TIMEOUT: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Live,
    Silent,
    Misfit,
    Breaks,
    Hangs,
    Panics,
}

#[allow(clippy::struct_excessive_bools)] // a panel of switches
pub struct World {
    pub begun: Instant,
    pub modes: BTreeMap<u8, Mode>,
    /// Exceptions to that, for single points.
    pub points: BTreeMap<(u8, PointId), Mode>,
    pub log: Vec<(Duration, String)>,
    pub values: HashMap<(u8, PointId), Value>,
    pub can_open: bool,
    pub can_resynchronise: bool,
    /// The other side closes after each answer.
    pub one_answer: bool,
    pub closed: bool,
    pub opens: u32,
    pub frames: Option<mpsc::UnboundedReceiver<&'static str>>,
    pub fresh: Option<Duration>,
    pub plans: u32,
    pub replan_once: bool,
    /// Whether the last plan was made with what `replan_once` taught.
    pub knew: bool,
}

#[derive(Clone)]
pub struct Fake(pub Arc<Mutex<World>>);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    unit: u8,
    /// Requests in a sequence.
    #[serde(default)]
    sequence: Option<usize>,
    #[serde(default)]
    prepare: bool,
    #[serde(default)]
    settings: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {}

pub struct Bound {
    unit: u8,
    sequence: usize,
    prepare: bool,
}

#[derive(Debug)]
pub struct Request {
    unit: u8,
    what: &'static str,
    points: Vec<PointId>,
    value: Option<Value>,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.what, self.unit, self.points)
    }
}

impl Fake {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(World {
            begun: Instant::now(),
            modes: BTreeMap::new(),
            points: BTreeMap::new(),
            log: Vec::new(),
            values: HashMap::new(),
            can_open: true,
            can_resynchronise: true,
            one_answer: false,
            closed: false,
            opens: 0,
            frames: None,
            fresh: None,
            plans: 0,
            replan_once: false,
            knew: false,
        })))
    }

    pub fn world<T>(&self, f: impl FnOnce(&mut World) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub fn set(&self, unit: u8, mode: Mode) {
        self.world(|w| w.modes.insert(unit, mode));
    }

    fn note(&self, text: String) {
        self.world(|w| w.log.push((w.begun.elapsed(), text)));
    }

    /// What was asked since the test began, and when it was sent.
    pub fn log(&self) -> Vec<(Duration, String)> {
        self.world(|w| w.log.clone())
    }

    pub fn recorder(&self) -> Arc<Recorder> {
        Arc::new(Recorder { begun: self.world(|w| w.begun), events: Mutex::default() })
    }

    /// A device of this unit with one request a point.
    pub fn member(&self, unit: u8, points: PointId, period: Duration, extra: &Json) -> (Member, Arc<Recorder>) {
        let mut endpoint = json!({ "unit": unit });
        endpoint.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let address = json!({});
        let point = |_| Point {
            address: &address,
            data_type: DataType::Uint16,
            order: ByteOrder::Abcd,
            size: None,
            access: Access::ReadWrite,
        };
        let bound = Arc::new(self.clone()).bind(&endpoint, (0..points).map(point).collect()).unwrap();
        let recorder = self.recorder();
        let groups = if points == 0 { vec![] } else { vec![(period, (0..points).collect())] };
        let id = DeviceId::new("default", &format!("d{unit}"));
        (Member { id, bound, groups, observer: recorder.clone() }, recorder)
    }
}

impl Protocol for Fake {
    const NAME: &'static str = "fake";
    type Endpoint = Endpoint;
    type Address = Address;
    type Bound = Bound;
    type Request = Request;
    type Answer = Vec<Decoded>;
    type Frame = &'static str;
    type Learnt = bool;
    type Bus = Fake;

    fn capability(&self) -> Capability {
        Capability { read: true, write: true, unsolicited: true, types: &[DataType::Uint16] }
    }

    fn bus_key(&self, endpoint: &Endpoint) -> BusKey {
        BusKey { resource: "line".into(), settings: endpoint.settings.clone() }
    }

    fn bind(&self, e: Endpoint, _: Vec<Point<Address>>) -> Result<Bound, Vec<mapper_api::BindError>> {
        Ok(Bound { unit: e.unit, sequence: e.sequence.unwrap_or(1), prepare: e.prepare })
    }

    fn prepare(&self, bound: &Bound) -> Vec<Sequence<Request>> {
        let request = Request { unit: bound.unit, what: "prepare", points: vec![], value: None };
        if bound.prepare { vec![request.into()] } else { vec![] }
    }

    fn plan(&self, bound: &Bound, wanted: &[PointId], learnt: &bool) -> Vec<Sequence<Request>> {
        self.world(|w| {
            w.plans += 1;
            w.knew = *learnt;
        });
        let request = |point: &PointId| Request { unit: bound.unit, what: "read", points: vec![*point], value: None };
        // A beacon is never asked.
        let wanted = if bound.unit == 99 { &[] } else { wanted };
        wanted.chunks(bound.sequence).map(|points| Sequence(points.iter().map(request).collect())).collect()
    }

    fn plan_write(
        &self,
        bound: &Bound,
        values: &[(PointId, Value)],
    ) -> Result<Vec<Sequence<Request>>, (PointId, Refusal)> {
        let request = |(point, value): &(PointId, Value)| match value {
            Value::Uint(_) => {
                Ok(Request { unit: bound.unit, what: "write", points: vec![*point], value: Some(value.clone()) }.into())
            }
            _ => Err((*point, Refusal::rejected("no number"))),
        };
        values.iter().map(request).collect()
    }

    fn cost(&self, _: &Bound, _: &Request) -> Cost {
        Cost { wire: WIRE, longest: TIMEOUT }
    }

    fn points<'a>(&self, request: &'a Request) -> &'a [PointId] {
        &request.points
    }

    fn decode(&self, _: &Bound, _: &Request, answer: &Vec<Decoded>, out: &mut Vec<Decoded>) {
        out.extend_from_slice(answer);
    }

    fn learn(&self, _: &Bound, _: &Request, _: Result<&Vec<Decoded>, &Error>, learnt: &mut bool) -> bool {
        let taught = self.world(|w| std::mem::take(&mut w.replan_once));
        *learnt |= taught;
        taught
    }

    fn frame_source(&self, bound: &Bound) -> Option<String> {
        (bound.unit == 99).then(|| "beacon".to_owned())
    }

    fn source_of<'a>(&self, frame: &'a &'static str) -> &'a str {
        frame.split(' ').next().unwrap()
    }

    fn decode_frame(&self, _: &Bound, frame: &&'static str, out: &mut Vec<Decoded>) {
        // One without a number says nothing of anything.
        let value: Option<u64> = frame.split(' ').nth(1).map(|number| number.parse().unwrap());
        out.extend(value.map(|value| Decoded { point: 0, result: Ok(Value::Uint(value)) }));
    }

    fn freshness(&self, _: &Bound, frame: &&'static str) -> Option<Duration> {
        self.world(|w| w.fresh).filter(|_| frame.contains(' '))
    }

    async fn open(&self, _: &Bound) -> Result<Fake> {
        self.note("open".into());
        self.world(|w| {
            w.opens += 1;
            w.closed = false;
            if w.can_open { Ok(self.clone()) } else { Err(Error::new(ErrorKind::Unreachable, "no such line")) }
        })
    }
}

impl Bus<Fake> for Fake {
    async fn exchange(&mut self, request: &Request) -> Result<Vec<Decoded>> {
        self.note(request.to_string());
        if self.world(|w| w.closed) {
            return Err(Error::new(ErrorKind::Bus, "the connection was closed"));
        }
        let mode = self.world(|w| {
            let exception = request.points.first().and_then(|point| w.points.get(&(request.unit, *point)));
            exception.or_else(|| w.modes.get(&request.unit)).copied().unwrap_or(Mode::Live)
        });
        match mode {
            Mode::Live | Mode::Misfit => sleep(WIRE).await,
            Mode::Silent => sleep(TIMEOUT).await,
            Mode::Hangs => std::future::pending().await,
            Mode::Breaks => {}
            Mode::Panics => panic!("the fake was told to"),
        }
        match mode {
            Mode::Silent => return Err(Error::new(ErrorKind::Timeout, "no answer within 300 ms")),
            Mode::Misfit => return Err(Error::new(ErrorKind::BadData, "the answer is of another unit")),
            Mode::Breaks => return Err(Error::new(ErrorKind::Bus, "connection reset")),
            _ => self.world(|w| w.closed = w.one_answer),
        }
        Ok(self.world(|w| match (&request.value, request.points.first()) {
            (Some(Value::Uint(666)), Some(point)) => {
                vec![Decoded { point: *point, result: Err(Refusal::rejected("illegalDataValue")) }]
            }
            (Some(value), Some(point)) => {
                w.values.insert((request.unit, *point), value.clone());
                vec![]
            }
            (None, Some(point)) => {
                let value = w.values.get(&(request.unit, *point)).cloned().unwrap_or(Value::Uint(0));
                vec![Decoded { point: *point, result: Ok(value) }]
            }
            _ => vec![],
        }))
    }

    async fn resynchronise(&mut self) -> Result<()> {
        self.note("resynchronise".into());
        if self.world(|w| w.can_resynchronise) {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Bus, "the line is never quiet"))
        }
    }

    async fn idle(&mut self) -> Result<&'static str> {
        if self.world(|w| w.closed) {
            return Err(Error::new(ErrorKind::Bus, "the connection was closed"));
        }
        std::future::poll_fn(|context| match self.world(|w| w.frames.as_mut().map(|f| f.poll_recv(context))) {
            Some(std::task::Poll::Ready(Some("absent"))) => {
                std::task::Poll::Ready(Err(Error::new(ErrorKind::Unreachable, "it was not heard")))
            }
            Some(std::task::Poll::Ready(Some(frame))) => std::task::Poll::Ready(Ok(frame)),
            _ => std::task::Poll::Pending,
        })
        .await
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Answered(PointId, Value),
    Failed(Vec<PointId>, ErrorKind, u32),
    Skipped(u64),
}

/// An observer that remembers.
pub struct Recorder {
    begun: Instant,
    events: Mutex<Vec<(Duration, Event)>>,
}

impl Recorder {
    fn push(&self, event: Event) {
        self.events.lock().unwrap().push((self.begun.elapsed(), event));
    }

    pub fn events(&self) -> Vec<(Duration, Event)> {
        self.events.lock().unwrap().clone()
    }

    /// When point 0 was read.
    pub fn reads(&self) -> Vec<Duration> {
        self.reads_of(0)
    }

    /// When this point was read.
    pub fn reads_of(&self, wanted: PointId) -> Vec<Duration> {
        let of_it = |(at, event)| matches!(event, Event::Answered(point, _) if point == wanted).then_some(at);
        self.events().into_iter().filter_map(of_it).collect()
    }

    pub fn failures(&self) -> Vec<(Duration, Event)> {
        self.events().into_iter().filter(|(_, event)| matches!(event, Event::Failed(..))).collect()
    }
}

impl Observer for Recorder {
    fn answered(&self, at: Stamp, points: &[Decoded]) {
        assert_eq!(at.mono, Instant::now(), "the stamp is that of the answer");
        for decoded in points {
            self.push(Event::Answered(decoded.point, decoded.result.clone().unwrap()));
        }
    }

    fn heard(&self, at: Stamp, points: &[Decoded], fresh: Option<Duration>) -> Option<Duration> {
        self.answered(at, points);
        fresh
    }

    fn failed(&self, _: Stamp, points: &[PointId], failure: &Failure, misses: u32) {
        self.push(Event::Failed(points.to_vec(), failure.kind, misses));
    }

    fn silent(&self, at: Stamp, points: &[PointId], failure: &Failure, gone: bool) {
        self.failed(at, points, failure, if gone { u32::MAX } else { 0 });
    }

    fn skipped(&self, periods: u64) {
        self.push(Event::Skipped(periods));
    }
}
