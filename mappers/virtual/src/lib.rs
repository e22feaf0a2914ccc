//! Simulated signals behind the mapper contract: constants, waves, counters, memory. All in this process, no I/O.

#![forbid(unsafe_code)]

mod bind;
mod bus;
mod config;
mod plan;
mod signal;

use std::sync::Arc;

use mapper_api::{
    BindError, BusKey, Capability, Cost, DataType, Decoded, Point, PointId, Protocol, Refusal, Result, Sequence, Value,
};

pub use bus::{Frame, Table};
pub use config::{Address, Counter, Endpoint, Wave};
pub use plan::Request;

/// The protocol `virtual`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Virtual;

impl Protocol for Virtual {
    const NAME: &'static str = "virtual";
    type Endpoint = Endpoint;
    type Address = Address;
    type Bound = Arc<bind::Spec>;
    type Request = Request;
    type Answer = Vec<Decoded>;
    type Frame = Frame;
    type Learnt = ();
    type Bus = Table;

    fn capability(&self) -> Capability {
        Capability { read: true, write: true, unsolicited: true, types: &DataType::ALL }
    }

    fn bus_key(&self, endpoint: &Endpoint) -> BusKey {
        BusKey { resource: format!("bus:{}", bind::bus_name(endpoint)), settings: String::new() }
    }

    fn bind(&self, endpoint: Endpoint, points: Vec<Point<Address>>) -> Result<Self::Bound, Vec<BindError>> {
        bind::bind(endpoint, points)
    }

    fn prepare(&self, bound: &Self::Bound) -> Vec<Sequence<Request>> {
        plan::prepare(bound)
    }

    fn plan(&self, bound: &Self::Bound, wanted: &[PointId], (): &()) -> Vec<Sequence<Request>> {
        plan::read(bound, wanted)
    }

    fn plan_write(
        &self,
        bound: &Self::Bound,
        values: &[(PointId, Value)],
    ) -> Result<Vec<Sequence<Request>>, (PointId, Refusal)> {
        plan::write(bound, values)
    }

    fn cost(&self, bound: &Self::Bound, _: &Request) -> Cost {
        Cost { wire: bound.latency, longest: bound.latency.max(bus::TIMEOUT) }
    }

    fn points<'a>(&self, request: &'a Request) -> &'a [PointId] {
        match &request.ask {
            plan::Ask::Read(points) => points,
            plan::Ask::Subscribe | plan::Ask::Write(..) => &[],
        }
    }

    fn decode(&self, _: &Self::Bound, _: &Request, answer: &Vec<Decoded>, out: &mut Vec<Decoded>) {
        out.extend_from_slice(answer);
    }

    fn frame_source(&self, bound: &Self::Bound) -> Option<String> {
        bound.points.iter().any(|point| point.push_every.is_some()).then(|| bound.device.clone())
    }

    fn source_of<'a>(&self, frame: &'a Frame) -> &'a str {
        &frame.device
    }

    fn decode_frame(&self, _: &Self::Bound, frame: &Frame, out: &mut Vec<Decoded>) {
        out.extend_from_slice(&frame.values);
    }

    async fn open(&self, _: &Self::Bound) -> Result<Table> {
        Ok(Table::new())
    }
}
