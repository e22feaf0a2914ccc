//! The object-safe face, which the daemon holds. One blanket implementation joins it to [`Protocol`]; the only
//! downcasts of the workspace are here.

use std::{
    any::Any,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::{
    At, BindError, Bus, BusKey, Capability, Cost, Decoded, Discovery, Error, Host, Point, PointId, Probing, Protocol,
    Refusal, Result, Sequence, Value, schema_of,
};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request of some protocol. It displays as one line for logs.
pub struct DynRequest {
    inner: Box<dyn Any + Send + Sync>,
    display: fn(&(dyn Any + Send + Sync), &mut fmt::Formatter<'_>) -> fmt::Result,
}

impl fmt::Display for DynRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.display)(&*self.inner, f)
    }
}

impl fmt::Debug for DynRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An answer of some protocol.
pub struct DynAnswer(Box<dyn Any + Send>);

/// A frame of some protocol that nobody asked for.
pub struct DynFrame(Box<dyn Any + Send>);

/// What a mapper learnt of one device. The core keeps it; [`BoundDevice::learnt`] makes an empty one.
pub struct DynLearnt(Box<dyn Any + Send>);

/// A registered protocol.
pub trait Mapper: Send + Sync {
    /// [`Protocol::NAME`].
    fn name(&self) -> &'static str;
    /// What it can do.
    fn capability(&self) -> Capability;
    /// The schema of what stands under `spec.protocol.<name>`.
    fn endpoint_schema(&self) -> Json;
    /// The schema of what stands under `spec.properties[].<name>`.
    fn address_schema(&self) -> Json;
    /// [`Protocol::host`].
    fn host(&self, host: Host);
    /// [`Protocol::save`].
    fn save(&self) -> Option<Vec<u8>>;
    /// [`Protocol::counts`].
    fn counts(&self) -> Vec<(&'static str, u64)>;
    /// [`Protocol::scan_schema`].
    fn scan_schema(&self) -> Option<Json>;
    /// [`Protocol::discover`].
    ///
    /// # Errors
    /// The arguments are wrong, or the mapper cannot look.
    fn discover(&self, args: &Json) -> Result<Box<dyn Discovery>>;
    /// [`Protocol::probe_schema`].
    fn probe_schema(&self) -> Option<Json>;
    /// [`Protocol::probe`].
    ///
    /// # Errors
    /// The arguments are wrong.
    fn probe(&self, args: &Json) -> Result<Box<dyn Probing>>;
    /// [`Protocol::sample_schema`].
    fn sample_schema(&self) -> Option<Json>;
    /// [`Protocol::stand_ins`].
    fn stand_ins(&self) -> Vec<Json>;
    /// Parses and checks a device. The addresses stand in the order of the device's properties.
    ///
    /// # Errors
    /// All mistakes that could be found.
    fn bind(
        self: Arc<Self>,
        endpoint: &Json,
        points: Vec<Point<&Json>>,
    ) -> Result<Arc<dyn BoundDevice>, Vec<BindError>>;
}

/// A device that its mapper has checked.
pub trait BoundDevice: Send + Sync {
    /// [`Protocol::NAME`].
    fn protocol(&self) -> &'static str;
    /// [`Protocol::bus_key`].
    fn bus_key(&self) -> &BusKey;
    /// An empty memory for [`BoundDevice::learn`].
    fn learnt(&self) -> DynLearnt;
    /// [`Protocol::prepare`].
    fn prepare(&self) -> Vec<Sequence<DynRequest>>;
    /// [`Protocol::plan`].
    fn plan(&self, wanted: &[PointId], learnt: &DynLearnt) -> Vec<Sequence<DynRequest>>;
    /// [`Protocol::plan_write`].
    ///
    /// # Errors
    /// The first value that has no form on the wire.
    fn plan_write(&self, values: &[(PointId, Value)]) -> Result<Vec<Sequence<DynRequest>>, (PointId, Refusal)>;
    /// [`Protocol::cost`].
    fn cost(&self, request: &DynRequest) -> Cost;
    /// [`Protocol::points`].
    fn points<'a>(&self, request: &'a DynRequest) -> &'a [PointId];
    /// [`Protocol::decode`].
    fn decode(&self, request: &DynRequest, answer: &DynAnswer, out: &mut Vec<Decoded>);
    /// [`Protocol::learn`].
    fn learn(&self, request: &DynRequest, outcome: Result<&DynAnswer, &Error>, learnt: &mut DynLearnt) -> bool;
    /// [`Protocol::frame_source`].
    fn frame_source(&self) -> Option<String>;
    /// [`Protocol::source_of`].
    fn source_of<'a>(&self, frame: &'a DynFrame) -> &'a str;
    /// [`Protocol::decode_frame`].
    fn decode_frame(&self, frame: &DynFrame, out: &mut Vec<Decoded>);
    /// [`Protocol::frame_time`].
    fn frame_time(&self, frame: &DynFrame) -> Option<Instant>;
    /// [`Protocol::freshness`].
    fn freshness(&self, frame: &DynFrame) -> Option<Duration>;
    /// [`Protocol::notes`].
    fn notes(&self) -> Vec<BindError>;
    /// [`Protocol::replay`].
    ///
    /// # Errors
    /// The sample is no recorded answer of this protocol.
    fn replay(&self, sample: &Json) -> Result<Vec<Decoded>, String>;
    /// [`Protocol::OPENS_WITHIN`].
    fn opens_within(&self) -> Option<Duration>;
    /// [`Protocol::open`].
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn DynBus>>>;
}

/// An open bus. The methods are those of [`Bus`].
pub trait DynBus: Send {
    /// [`Bus::exchange`].
    fn exchange<'a>(&'a mut self, request: &'a DynRequest) -> BoxFuture<'a, Result<DynAnswer>>;
    /// [`Bus::resynchronise`].
    fn resynchronise(&mut self) -> BoxFuture<'_, Result<()>>;
    /// [`Bus::idle`].
    fn idle(&mut self) -> BoxFuture<'_, Result<DynFrame>>;
}

const MIXED: &str = "a request, an answer or a memory was handed to another mapper than its own";

fn own<T: 'static>(any: &(impl AsAny + ?Sized)) -> &T {
    any.any().downcast_ref().expect(MIXED)
}

trait AsAny {
    fn any(&self) -> &dyn Any;
}

macro_rules! as_any {
    ($($t:ty: $field:tt),*) => {$(
        impl AsAny for $t {
            fn any(&self) -> &dyn Any {
                &*self.$field
            }
        }
    )*};
}

as_any!(DynRequest: inner, DynAnswer: 0, DynFrame: 0, DynLearnt: 0);

fn erase<P: Protocol>(sequences: Vec<Sequence<P::Request>>) -> Vec<Sequence<DynRequest>> {
    let request = |r| DynRequest {
        inner: Box::new(r),
        display: |any, f| fmt::Display::fmt(any.downcast_ref::<P::Request>().expect(MIXED), f),
    };
    sequences.into_iter().map(|s| Sequence(s.0.into_iter().map(request).collect())).collect()
}

fn parse<T: DeserializeOwned>(at: At, json: &Json) -> Result<T, BindError> {
    serde_path_to_error::deserialize(json).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        BindError::config(at, path, error.into_inner().to_string())
    })
}

impl<P: Protocol> Mapper for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn capability(&self) -> Capability {
        Protocol::capability(self)
    }

    fn endpoint_schema(&self) -> Json {
        schema_of::<P::Endpoint>()
    }

    fn address_schema(&self) -> Json {
        schema_of::<P::Address>()
    }

    fn host(&self, host: Host) {
        Protocol::host(self, host);
    }

    fn save(&self) -> Option<Vec<u8>> {
        Protocol::save(self)
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        Protocol::counts(self)
    }

    fn scan_schema(&self) -> Option<Json> {
        Protocol::scan_schema(self)
    }

    fn discover(&self, args: &Json) -> Result<Box<dyn Discovery>> {
        Protocol::discover(self, args)
    }

    fn probe_schema(&self) -> Option<Json> {
        Protocol::probe_schema(self)
    }

    fn probe(&self, args: &Json) -> Result<Box<dyn Probing>> {
        Protocol::probe(self, args)
    }

    fn sample_schema(&self) -> Option<Json> {
        Protocol::sample_schema(self)
    }

    fn stand_ins(&self) -> Vec<Json> {
        Protocol::stand_ins(self)
    }

    fn bind(
        self: Arc<Self>,
        endpoint: &Json,
        points: Vec<Point<&Json>>,
    ) -> Result<Arc<dyn BoundDevice>, Vec<BindError>> {
        let mut errors = Vec::new();
        let endpoint = parse::<P::Endpoint>(At::Endpoint, endpoint).map_err(|e| errors.push(e)).ok();
        let accepted = Protocol::capability(&*self).types;
        let mut typed = Vec::with_capacity(points.len());
        for (id, point) in (0..).zip(points) {
            if !accepted.contains(&point.data_type) {
                let accepted = accepted.iter().map(|t| t.name()).collect::<Vec<_>>().join(", ");
                errors.push(BindError::unsupported(
                    At::Property(id),
                    "type",
                    format!("{} cannot have type {}; it has {accepted}", P::NAME, point.data_type),
                ));
            }
            match parse::<P::Address>(At::Address(id), point.address) {
                Ok(address) => typed.push(Point {
                    address,
                    data_type: point.data_type,
                    order: point.order,
                    size: point.size,
                    access: point.access,
                }),
                Err(error) => errors.push(error),
            }
        }
        match endpoint {
            Some(endpoint) if errors.is_empty() => {
                let key = self.bus_key(&endpoint);
                let bound = Protocol::bind(&*self, endpoint, typed)?;
                Ok(Arc::new(Joined { protocol: self, key, bound }))
            }
            _ => Err(errors),
        }
    }
}

struct Joined<P: Protocol> {
    protocol: Arc<P>,
    key: BusKey,
    bound: P::Bound,
}

impl<P: Protocol> BoundDevice for Joined<P> {
    fn protocol(&self) -> &'static str {
        P::NAME
    }

    fn bus_key(&self) -> &BusKey {
        &self.key
    }

    fn learnt(&self) -> DynLearnt {
        DynLearnt(Box::<P::Learnt>::default())
    }

    fn prepare(&self) -> Vec<Sequence<DynRequest>> {
        erase::<P>(self.protocol.prepare(&self.bound))
    }

    fn plan(&self, wanted: &[PointId], learnt: &DynLearnt) -> Vec<Sequence<DynRequest>> {
        erase::<P>(self.protocol.plan(&self.bound, wanted, own(learnt)))
    }

    fn plan_write(&self, values: &[(PointId, Value)]) -> Result<Vec<Sequence<DynRequest>>, (PointId, Refusal)> {
        self.protocol.plan_write(&self.bound, values).map(erase::<P>)
    }

    fn cost(&self, request: &DynRequest) -> Cost {
        self.protocol.cost(&self.bound, own(request))
    }

    fn points<'a>(&self, request: &'a DynRequest) -> &'a [PointId] {
        self.protocol.points(own(request))
    }

    fn decode(&self, request: &DynRequest, answer: &DynAnswer, out: &mut Vec<Decoded>) {
        self.protocol.decode(&self.bound, own(request), own(answer), out);
    }

    fn learn(&self, request: &DynRequest, outcome: Result<&DynAnswer, &Error>, learnt: &mut DynLearnt) -> bool {
        let learnt = learnt.0.downcast_mut().expect(MIXED);
        self.protocol.learn(&self.bound, own(request), outcome.map(own), learnt)
    }

    fn frame_source(&self) -> Option<String> {
        self.protocol.frame_source(&self.bound)
    }

    fn source_of<'a>(&self, frame: &'a DynFrame) -> &'a str {
        self.protocol.source_of(own(frame))
    }

    fn decode_frame(&self, frame: &DynFrame, out: &mut Vec<Decoded>) {
        self.protocol.decode_frame(&self.bound, own(frame), out);
    }

    fn frame_time(&self, frame: &DynFrame) -> Option<Instant> {
        self.protocol.frame_time(own(frame))
    }

    fn freshness(&self, frame: &DynFrame) -> Option<Duration> {
        self.protocol.freshness(&self.bound, own(frame))
    }

    fn notes(&self) -> Vec<BindError> {
        self.protocol.notes(&self.bound)
    }

    fn replay(&self, sample: &Json) -> Result<Vec<Decoded>, String> {
        self.protocol.replay(&self.bound, sample)
    }

    fn opens_within(&self) -> Option<Duration> {
        P::OPENS_WITHIN
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn DynBus>>> {
        Box::pin(async { Ok(Box::new(Opened::<P>(self.protocol.open(&self.bound).await?)) as Box<dyn DynBus>) })
    }
}

struct Opened<P: Protocol>(P::Bus);

impl<P: Protocol> DynBus for Opened<P> {
    fn exchange<'a>(&'a mut self, request: &'a DynRequest) -> BoxFuture<'a, Result<DynAnswer>> {
        Box::pin(async { Ok(DynAnswer(Box::new(self.0.exchange(own(request)).await?))) })
    }

    fn resynchronise(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.0.resynchronise())
    }

    fn idle(&mut self) -> BoxFuture<'_, Result<DynFrame>> {
        Box::pin(async { Ok(DynFrame(Box::new(self.0.idle().await?))) })
    }
}
