//! Bluetooth LE behind the mapper contract: sensors that advertise, devices that connect.

#![forbid(unsafe_code)]

pub mod advert;
mod bind;
mod bus;
mod calls;
pub mod characteristics;
mod config;
mod decode;
pub mod formats;
mod hearing;
mod memory;
mod plan;
mod presence;
pub mod radio;
mod replay;
pub mod replay_guard;
mod request;
pub mod rule;
mod scan;
mod secrets;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mapper_api::{
    BindError, BusKey, Capability, Cost, DataType, Decoded, Discovery, Host, Json, Point, PointId, Protocol, Refusal,
    Result, Sequence, Value,
};

pub use bind::Bound;
pub use bus::DeviceBus;
pub use config::{Address, Endpoint};
pub use memory::Counts;
pub use request::{Answer, Frame, Request};

use calls::Calls;
use memory::Memory;
use radio::{Connection, Radio};
use request::What;

/// The mapper. All devices share its radio.
#[derive(Debug)]
pub struct Ble {
    radio: Radio,
    memory: Arc<Memory>,
    calls: Arc<Calls<Connection>>,
    secrets: Mutex<Option<PathBuf>>,
}

/// What a read or a write takes on the wire: two connection intervals of up to 50 ms, as devices usually ask for.
const WIRE: Duration = Duration::from_millis(100);
/// The radio's own limit on one read or write, and room for the link to be made again.
const LONGEST: Duration = Duration::from_secs(60);

impl Default for Ble {
    fn default() -> Self {
        Self::with(Radio::system())
    }
}

impl Ble {
    /// The radio that all devices share.
    pub fn radio(&self) -> &Radio {
        &self.radio
    }

    /// The mapper with a radio of its own.
    pub fn with(radio: Radio) -> Self {
        Self { radio, memory: Arc::default(), calls: Arc::default(), secrets: Mutex::default() }
    }

    /// What was heard and was no news.
    pub fn counts(&self) -> Counts {
        self.memory.counts()
    }
}

impl Protocol for Ble {
    const NAME: &'static str = "ble";
    type Endpoint = Endpoint;
    type Address = Address;
    type Bound = Bound;
    type Request = Request;
    type Answer = Answer;
    type Frame = Frame;
    type Learnt = ();
    type Bus = DeviceBus;

    fn capability(&self) -> Capability {
        Capability { read: true, write: true, unsolicited: true, types: &DataType::ALL }
    }

    fn host(&self, host: Host) {
        if let Some(saved) = host.saved {
            self.memory.restore(&saved);
        }
        *self.secrets.lock().unwrap_or_else(PoisonError::into_inner) = host.secrets;
    }

    fn save(&self) -> Option<Vec<u8>> {
        self.memory.save()
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let Counts { replayed, repeated, not_understood } = self.memory.counts();
        let heard = [("replayed", replayed), ("repeated", repeated), ("not_understood", not_understood)];
        self.radio.counts().named().into_iter().chain(heard).collect()
    }

    fn bus_key(&self, endpoint: &Endpoint) -> BusKey {
        BusKey { resource: format!("ble:{}", bind::identity(endpoint)), settings: bind::settings(endpoint) }
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

    fn cost(&self, _: &Bound, request: &Request) -> Cost {
        match request.what {
            What::Listen => Cost { wire: Duration::ZERO, longest: WIRE },
            What::Subscribe(_) | What::Read(_) | What::Write(..) => Cost { wire: WIRE, longest: LONGEST },
        }
    }

    fn points<'a>(&self, request: &'a Request) -> &'a [PointId] {
        match request.what {
            What::Write(..) => &[],
            What::Listen | What::Subscribe(_) | What::Read(_) => &request.points,
        }
    }

    fn decode(&self, bound: &Bound, request: &Request, answer: &Answer, out: &mut Vec<Decoded>) {
        decode::answer(bound, request, answer, out);
    }

    fn frame_source(&self, bound: &Bound) -> Option<String> {
        bound.sends().then(|| bound.device.id.to_string())
    }

    fn source_of<'a>(&self, frame: &'a Frame) -> &'a str {
        &frame.source
    }

    fn decode_frame(&self, bound: &Bound, frame: &Frame, out: &mut Vec<Decoded>) {
        decode::frame(bound, frame, out);
    }

    fn frame_time(&self, frame: &Frame) -> Option<Instant> {
        Some(frame.at.into())
    }

    fn freshness(&self, _: &Bound, frame: &Frame) -> Option<Duration> {
        Some(frame.silence)
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
        Ok(Box::new(scan::begin(&self.radio, args)?))
    }

    async fn open(&self, bound: &Bound) -> Result<DeviceBus> {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let shared = bus::Shared { radio: &self.radio, memory: &self.memory, calls: &self.calls };
        bus::open(&bound.device, shared, secrets.as_deref()).await
    }
}
