#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bind;
mod bus;
mod codec;
mod config;
mod fits;
mod line;
mod plan;
mod replay;
mod request;
#[cfg(feature = "sim")]
pub mod sim;
mod transport;

use std::convert::Infallible;

use mapper_api::{
    BindError, BusKey, Capability, Cost, DataType, Decoded, Error, Json, Point, PointId, Protocol, Refusal, Result,
    Sequence, Value,
};

use mapper_tty::Target;

pub use bind::Bound;
pub use bus::ModbusBus;
pub use config::{Address, Endpoint, Framing, Serial, Table};
pub use line::Line;
pub use mapper_tty::Parity;
pub use plan::Learnt;
pub use request::{Answer, Request};
pub use transport::Io;

/// The mapper.
#[derive(Debug, Clone, Copy, Default)]
pub struct Modbus;

/// What the core grants beyond the time-outs of this mapper before it takes the bus for hung.
const MARGIN: std::time::Duration = std::time::Duration::from_secs(1);

impl Protocol for Modbus {
    const NAME: &'static str = "modbus";
    type Endpoint = Endpoint;
    type Address = Address;
    type Bound = Bound;
    type Request = Request;
    type Answer = Answer;
    type Frame = Infallible;
    type Learnt = Learnt;
    type Bus = ModbusBus;

    fn capability(&self) -> Capability {
        Capability {
            read: true,
            write: true,
            unsolicited: false,
            types: &[
                DataType::Bool,
                DataType::Int16,
                DataType::Int32,
                DataType::Int48,
                DataType::Int64,
                DataType::Uint16,
                DataType::Uint32,
                DataType::Uint48,
                DataType::Uint64,
                DataType::Float32,
                DataType::Float64,
                DataType::String,
                DataType::Bcd,
                DataType::DateTime,
            ],
        }
    }

    fn bus_key(&self, endpoint: &Endpoint) -> BusKey {
        let resource = match (&endpoint.tcp, &endpoint.serial) {
            (Some(text), _) => match bind::host_port(text, bind::framing(endpoint)) {
                Ok((host, port)) => Target::Tcp { host, port }.resource(),
                Err(_) => format!("tcp:{text}"),
            },
            (None, Some(serial)) => Target::Path(serial.path.clone()).resource(),
            (None, None) => String::new(),
        };
        BusKey { resource, settings: bind::settings(endpoint) }
    }

    fn bind(&self, endpoint: Endpoint, points: Vec<Point<Address>>) -> Result<Bound, Vec<BindError>> {
        bind::bind(&endpoint, &points)
    }

    fn plan(&self, bound: &Bound, wanted: &[PointId], learnt: &Learnt) -> Vec<Sequence<Request>> {
        plan::plan(bound, wanted, learnt)
    }

    fn plan_write(
        &self,
        bound: &Bound,
        values: &[(PointId, Value)],
    ) -> Result<Vec<Sequence<Request>>, (PointId, Refusal)> {
        plan::plan_write(bound, values)
    }

    fn cost(&self, bound: &Bound, request: &Request) -> Cost {
        let (line, what) = (&bound.unit.line, &request.what);
        let frames = line.frame(what.request_len()) + line.frame(what.answer_len());
        Cost {
            wire: line.exchange(what.request_len(), what.answer_len()),
            longest: bound.unit.timeout + frames + line.quiet + bus::STUTTER + MARGIN,
        }
    }

    fn points<'a>(&self, request: &'a Request) -> &'a [PointId] {
        &request.points
    }

    fn decode(&self, bound: &Bound, request: &Request, answer: &Answer, out: &mut Vec<Decoded>) {
        codec::decode(bound, request, answer, out);
    }

    fn learn(&self, bound: &Bound, request: &Request, outcome: Result<&Answer, &Error>, learnt: &mut Learnt) -> bool {
        outcome.is_ok_and(|answer| plan::learn(bound, request, answer, learnt))
    }

    fn source_of<'a>(&self, frame: &'a Infallible) -> &'a str {
        match *frame {}
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

    async fn open(&self, bound: &Bound) -> Result<ModbusBus> {
        bus::open(&bound.unit).await
    }
}
