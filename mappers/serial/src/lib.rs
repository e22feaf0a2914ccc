#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bind;
mod bus;
pub mod check;
pub mod config;
mod decode;
pub mod frame;
pub mod language;
pub mod message;
pub mod octets;
mod open;
mod pace;
mod plan;
mod probe;
mod replay;
mod report;
mod request;
mod scan;
mod template;
mod voice;
mod wire;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mapper_api::{
    BindError, BusKey, Capability, Cost, DataType, Decoded, Discovery, Host, Json, Point, PointId, Probing, Protocol,
    Refusal, Result, Sequence, Value,
};

pub use bind::Bound;
pub use bus::SerialBus;
pub use config::{Address, Endpoint};
pub use request::{Answer, Frame, Request};

use open::Missing;
use report::Counts;

/// The mapper.
#[derive(Debug, Default)]
pub struct Serial {
    secrets: Mutex<Option<PathBuf>>,
    missing: Missing,
    counts: Arc<Counts>,
}

/// The mark of every frame of a line: whose it is, is seen by what stands in it.
const LINE: &str = "line";

impl Protocol for Serial {
    const NAME: &'static str = "serial";
    type Endpoint = Endpoint;
    type Address = Address;
    type Bound = Bound;
    type Request = Request;
    type Answer = Answer;
    type Frame = Frame;
    type Learnt = ();
    type Bus = SerialBus;

    fn capability(&self) -> Capability {
        Capability { read: true, write: true, unsolicited: true, types: &DataType::ALL }
    }

    fn host(&self, host: Host) {
        *self.secrets.lock().unwrap_or_else(PoisonError::into_inner) = host.secrets;
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        self.counts.named()
    }

    fn bus_key(&self, endpoint: &Endpoint) -> BusKey {
        bind::line::bus_key(endpoint)
    }

    fn bind(&self, endpoint: Endpoint, points: Vec<Point<Address>>) -> Result<Bound, Vec<BindError>> {
        bind::bind(&endpoint, &points)
    }

    fn prepare(&self, bound: &Bound) -> Vec<Sequence<Request>> {
        plan::prepare(bound)
    }

    fn plan(&self, bound: &Bound, wanted: &[PointId], (): &()) -> Vec<Sequence<Request>> {
        plan::plan(bound, wanted)
    }

    fn plan_write(
        &self,
        bound: &Bound,
        values: &[(PointId, Value)],
    ) -> Result<Vec<Sequence<Request>>, (PointId, Refusal)> {
        plan::plan_write(bound, values)
    }

    fn cost(&self, bound: &Bound, request: &Request) -> Cost {
        bound.device.cost(&request.what)
    }

    fn points<'a>(&self, request: &'a Request) -> &'a [PointId] {
        match request.what {
            request::What::Write(..) => &[],
            _ => &request.points,
        }
    }

    fn decode(&self, bound: &Bound, request: &Request, answer: &Answer, out: &mut Vec<Decoded>) {
        decode::answer(bound, request, answer, out);
    }

    fn frame_source(&self, bound: &Bound) -> Option<String> {
        bound.device.line.listens.then(|| LINE.to_owned())
    }

    fn source_of<'a>(&self, _: &'a Frame) -> &'a str {
        LINE
    }

    fn decode_frame(&self, bound: &Bound, frame: &Frame, out: &mut Vec<Decoded>) {
        decode::frame(bound, frame, out);
    }

    fn frame_time(&self, frame: &Frame) -> Option<Instant> {
        Some(frame.at.into())
    }

    fn freshness(&self, bound: &Bound, _: &Frame) -> Option<Duration> {
        Some(decode::freshness(bound))
    }

    fn notes(&self, bound: &Bound) -> Vec<BindError> {
        bound.notes.clone()
    }

    fn sample_schema(&self) -> Option<Json> {
        Some(mapper_api::schema_of::<replay::Sample>())
    }

    fn stand_ins(&self) -> Vec<Json> {
        replay::stand_ins()
    }

    fn replay(&self, bound: &Bound, sample: &Json) -> Result<Vec<Decoded>, String> {
        replay::replay(bound, sample)
    }

    fn scan_schema(&self) -> Option<Json> {
        Some(mapper_api::schema_of::<scan::Args>())
    }

    fn discover(&self, args: &Json) -> Result<Box<dyn Discovery>> {
        Ok(Box::new(scan::begin(args)?))
    }

    fn probe_schema(&self) -> Option<Json> {
        Some(mapper_api::schema_of::<probe::Args>())
    }

    fn probe(&self, args: &Json) -> Result<Box<dyn Probing>> {
        Ok(Box::new(probe::begin(args)?))
    }

    async fn open(&self, bound: &Bound) -> Result<SerialBus> {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        open::open(&bound.device.line, secrets.as_deref(), &self.missing, &self.counts).await
    }
}
