//! The pure face of a mapper: what its author writes.

use std::{
    fmt,
    future::Future,
    path::PathBuf,
    time::{Duration, Instant},
};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{
    BindError, Bus, BusKey, Cost, DataType, Discovery, Error, Point, PointId, Probing, Refusal, Result, Sequence, Value,
};

/// What a mapper can do; `mapper-testkit` selects its cases by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// Points can be asked for.
    pub read: bool,
    /// Points can be written.
    pub write: bool,
    /// Values arrive unasked ([`Bus::idle`]).
    pub unsolicited: bool,
    /// The types that a point may have.
    pub types: &'static [DataType],
}

/// What the daemon lends a mapper for as long as it runs.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// The folder of mounted secrets: `secretRef: {name: plc, key: pin}` is the file `plc/pin` in it. None if there is none.
    pub secrets: Option<PathBuf>,
    /// What [`Protocol::save`] gave last, before the process was started. None if nothing was, or if nothing is kept.
    pub saved: Option<Vec<u8>>,
}

/// What one answer says of one point.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The point.
    pub point: PointId,
    /// Its raw value, or why it has none.
    pub result: Result<Value, Refusal>,
}

/// One protocol. Everything here but [`Protocol::open`] is pure: no I/O, no clock, no state.
pub trait Protocol: Send + Sync + Sized + 'static {
    /// The key in YAML, the cargo feature, the crate's suffix and the folder: `modbus`.
    const NAME: &'static str;

    /// How to reach a device: what stands under `spec.protocol.<NAME>`. Deny unknown fields.
    type Endpoint: DeserializeOwned + JsonSchema + Send + Sync + 'static;
    /// Where a property lives: what stands under `spec.properties[].<NAME>`. Deny unknown fields.
    type Address: DeserializeOwned + JsonSchema + Send + Sync + 'static;
    /// A device, checked once: all that planning and decoding need.
    type Bound: Send + Sync + 'static;
    /// One question. It displays as one line for logs: function, place, unit.
    type Request: fmt::Debug + fmt::Display + Send + Sync + 'static;
    /// The reply to it, a refusal by the device included.
    type Answer: Send + 'static;
    /// What came unasked; [`std::convert::Infallible`] if nothing does.
    type Frame: Send + 'static;
    /// What was learnt of a device while asking it (holes, limits); `()` if nothing is.
    type Learnt: Default + Send + 'static;
    /// The I/O.
    type Bus: Bus<Self>;

    /// What this mapper can do.
    fn capability(&self) -> Capability;

    /// Told once, before anything is bound, by a daemon; not by `check` and the like.
    fn host(&self, _host: Host) {}

    /// What must outlive the process, if it has changed since the last call: counters, intervals, not values. It is
    /// asked for now and then and at the end, and handed back by [`Protocol::host`]. A few KiB at most: flash wears out.
    fn save(&self) -> Option<Vec<u8>> {
        None
    }

    /// What was counted since the start, by snake_case words of the mapper's own, for metrics. Each only grows.
    fn counts(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// What must not be shared, for this endpoint.
    fn bus_key(&self, endpoint: &Self::Endpoint) -> BusKey;

    /// Checks a device's spec once, and keeps what the other steps need.
    ///
    /// # Errors
    /// *All* mistakes, each with its place and what would be accepted; one never hides another.
    fn bind(&self, endpoint: Self::Endpoint, points: Vec<Point<Self::Address>>) -> Result<Self::Bound, Vec<BindError>>;

    /// Requests to run once before the first poll, after the bus was opened or the device joined it (subscriptions,
    /// log-in). Their answers are decoded like any other.
    fn prepare(&self, _bound: &Self::Bound) -> Vec<Sequence<Self::Request>> {
        Vec::new()
    }

    /// The requests that read these points, in order. Every wanted point that can be read is in exactly one.
    fn plan(&self, bound: &Self::Bound, wanted: &[PointId], learnt: &Self::Learnt) -> Vec<Sequence<Self::Request>>;

    /// The requests that write these raw values, in order. The core has checked access and range.
    ///
    /// # Errors
    /// The first value that has no form on the wire, such as a text that is too long.
    fn plan_write(
        &self,
        bound: &Self::Bound,
        values: &[(PointId, Value)],
    ) -> Result<Vec<Sequence<Self::Request>>, (PointId, Refusal)>;

    /// How long the request keeps the bus.
    fn cost(&self, bound: &Self::Bound, request: &Self::Request) -> Cost;

    /// The points that a request reads: what fails with it.
    fn points<'a>(&self, request: &'a Self::Request) -> &'a [PointId];

    /// What the answer says of each point that the request was for. A write's answer says nothing, or refusals.
    fn decode(&self, bound: &Self::Bound, request: &Self::Request, answer: &Self::Answer, out: &mut Vec<Decoded>);

    /// Learns from an exchange; true if the requests must be planned anew. The core forgets what was learnt when the
    /// device was silent for long or its bus could not be opened.
    fn learn(
        &self,
        _bound: &Self::Bound,
        _request: &Self::Request,
        _outcome: Result<&Self::Answer, &Error>,
        _learnt: &mut Self::Learnt,
    ) -> bool {
        false
    }

    /// What the frames of this device are marked with; none if it sends nothing unasked.
    fn frame_source(&self, _bound: &Self::Bound) -> Option<String> {
        None
    }

    /// The mark of a frame, to be matched with [`Protocol::frame_source`].
    fn source_of<'a>(&self, frame: &'a Self::Frame) -> &'a str;

    /// What a frame of this mark says of the device's points. One that says nothing, and of which [`Protocol::freshness`]
    /// knows nothing either, was another device's: this one was not heard.
    fn decode_frame(&self, _bound: &Self::Bound, _frame: &Self::Frame, _out: &mut Vec<Decoded>) {}

    /// When the frame was received, if it has waited since; now if left out.
    fn frame_time(&self, _frame: &Self::Frame) -> Option<Instant> {
        None
    }

    /// For how long after this frame its values may be trusted, where the spec does not say, and its sender may be silent
    /// before it counts as gone: learnt from the sender's own pace. None if the mapper knows no better than the core, which
    /// goes by the poll period and takes no silence for an outage.
    fn freshness(&self, _bound: &Self::Bound, _frame: &Self::Frame) -> Option<Duration> {
        None
    }

    /// Remarks on a device that is right, but may not mean what its author thinks. `fieldgate check` prints them.
    fn notes(&self, _bound: &Self::Bound) -> Vec<BindError> {
        Vec::new()
    }

    /// The schema of a recorded answer: what stands under `spec.samples[].given.<NAME>` of a DeviceModel. None if
    /// the protocol has no form for one.
    fn sample_schema(&self) -> Option<serde_json::Value> {
        None
    }

    /// Endpoints, one of which a DeviceModel's own is merged over where it leaves keys to its devices: so that its
    /// properties are checked and its recorded answers run with no device at hand.
    fn stand_ins(&self) -> Vec<serde_json::Value> {
        Vec::new()
    }

    /// What a recorded answer says of the points, by the same decoding as a live one. Points that the sample says
    /// nothing of are left out.
    ///
    /// # Errors
    /// The sample is no recorded answer, with the key inside it and what would be accepted.
    fn replay(&self, _bound: &Self::Bound, _sample: &serde_json::Value) -> Result<Vec<Decoded>, String> {
        Err(format!("{} has no form for recorded answers", Self::NAME))
    }

    /// The schema of the arguments of [`Protocol::discover`]; none if there is nothing to discover.
    fn scan_schema(&self) -> Option<serde_json::Value> {
        None
    }

    /// Begins to look for devices that no spec names.
    ///
    /// # Errors
    /// The arguments are wrong, or the mapper cannot look.
    fn discover(&self, _args: &serde_json::Value) -> Result<Box<dyn Discovery>> {
        let message = format!("{} devices cannot be scanned for", Self::NAME);
        Err(Error::new(crate::ErrorKind::Unsupported, message))
    }

    /// The schema of the arguments of [`Protocol::probe`]; none if devices of this protocol need no probe.
    fn probe_schema(&self) -> Option<serde_json::Value> {
        None
    }

    /// Begins to find out how a device that no spec names is to be talked to.
    ///
    /// # Errors
    /// The arguments are wrong.
    fn probe(&self, _args: &serde_json::Value) -> Result<Box<dyn Probing>> {
        let message = format!("{} devices cannot be probed", Self::NAME);
        Err(Error::new(crate::ErrorKind::Unsupported, message))
    }

    /// How long [`Protocol::open`] may pend before the core takes it for hung. None for a mapper that waits there for
    /// hardware to be plugged in, and limits each of its own steps.
    const OPENS_WITHIN: Option<Duration> = Some(Duration::from_secs(120));

    /// Opens the bus that this device is on. It may be dropped while pending.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unreachable`], with what was tried.
    fn open(&self, bound: &Self::Bound) -> impl Future<Output = Result<Self::Bus>> + Send;
}
