//! Requests. Pure.

use std::{fmt, sync::Arc};

use mapper_api::{PointId, Refusal, Sequence, Value};

use crate::{bind::Spec, signal::Signal};

/// One question to a simulated device.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// The device.
    pub spec: Arc<Spec>,
    /// What is asked of it.
    pub ask: Ask,
}

/// What can be asked.
#[derive(Debug, PartialEq)]
pub enum Ask {
    /// Start sending what is to be sent unasked.
    Subscribe,
    /// The values of these points.
    Read(Vec<PointId>),
    /// Take this raw value.
    Write(PointId, Value),
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ask {
            Ask::Subscribe => write!(f, "subscribe to {}", self.spec.device),
            Ask::Read(points) => write!(f, "read {} points of {}", points.len(), self.spec.device),
            Ask::Write(point, _) => write!(f, "write point {point} of {}", self.spec.device),
        }
    }
}

/// A subscription, if the device sends anything unasked.
pub fn prepare(spec: &Arc<Spec>) -> Vec<Sequence<Request>> {
    let sends = spec.points.iter().any(|point| point.push_every.is_some());
    let request = || Request { spec: spec.clone(), ask: Ask::Subscribe }.into();
    sends.then(request).into_iter().collect()
}

/// One request for all.
pub fn read(spec: &Arc<Spec>, wanted: &[PointId]) -> Vec<Sequence<Request>> {
    let readable = |point: &PointId| spec.points[usize::from(*point)].readable;
    let points: Vec<_> = wanted.iter().copied().filter(readable).collect();
    if points.is_empty() {
        return Vec::new();
    }
    vec![Request { spec: spec.clone(), ask: Ask::Read(points) }.into()]
}

/// One request a value.
///
/// # Errors
/// A text that is too long, a point that is no memory.
pub fn write(spec: &Arc<Spec>, values: &[(PointId, Value)]) -> Result<Vec<Sequence<Request>>, (PointId, Refusal)> {
    let request = |(point, value): &(PointId, Value)| {
        let at = &spec.points[usize::from(*point)];
        if !matches!(at.signal, Signal::Memory(_)) {
            return Err((*point, Refusal::rejected("only memory can be written")));
        }
        crate::bind::fits(value, at.data_type, at.size).map_err(|error| (*point, Refusal::rejected(error)))?;
        Ok(Request { spec: spec.clone(), ask: Ask::Write(*point, value.clone()) }.into())
    };
    values.iter().map(request).collect()
}
