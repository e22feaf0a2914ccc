//! Which requests a start, a poll or a write needs. Pure. Properties of one message share a request; what comes by itself is
//! not asked for.

use mapper_api::{PointId, Refusal, Sequence, Value};

use crate::{
    bind::{Bound, Place},
    config::Language,
    request::{Request, What},
    template::Filling,
};

/// The start-up sequence: one, that nothing interrupts.
pub(crate) fn prepare(bound: &Bound) -> Vec<Sequence<Request>> {
    let steps: Vec<_> =
        (0..bound.device.steps.len()).map(|index| request(bound, What::Step(index), Vec::new())).collect();
    if steps.is_empty() { Vec::new() } else { vec![Sequence(steps)] }
}

/// One request for each message that is asked for, in the order of the points.
pub(crate) fn plan(bound: &Bound, wanted: &[PointId]) -> Vec<Sequence<Request>> {
    let mut groups: Vec<(What, Vec<PointId>)> = Vec::new();
    for id in wanted {
        let Some(spot) = bound.points.get(usize::from(*id)).filter(|spot| spot.readable) else { continue };
        let what = match &spot.place {
            Place::Message(index, _) if bound.device.messages[*index].ask.is_some() => What::Ask(*index),
            Place::Telegram(_) if bound.device.line.language == Some(Language::Iec62056) => What::Readout,
            Place::Message(..) | Place::Telegram(_) | Place::Nowhere => continue,
        };
        match groups.iter_mut().find(|(other, _)| *other == what) {
            Some((_, points)) => points.push(*id),
            None => groups.push((what, vec![*id])),
        }
    }
    groups.into_iter().map(|(what, points)| request(bound, what, points).into()).collect()
}

/// One request for each value, in the given order.
pub(crate) fn plan_write(
    bound: &Bound,
    values: &[(PointId, Value)],
) -> Result<Vec<Sequence<Request>>, (PointId, Refusal)> {
    values
        .iter()
        .map(|(id, value)| {
            let no = || (*id, Refusal::rejected("it has no `write`"));
            let write = bound.device.writes.get(id).ok_or_else(no)?;
            let spot = bound.points.get(usize::from(*id)).ok_or_else(no)?;
            let filling = Filling { value, data_type: spot.data_type, order: spot.order, size: spot.size };
            let framing = bound.device.line.framing.as_deref();
            let bytes = write.send.fill(Some(filling), framing).map_err(|refusal| (*id, refusal))?;
            Ok(request(bound, What::Write(*id, bytes), vec![*id]).into())
        })
        .collect()
}

fn request(bound: &Bound, what: What, points: Vec<PointId>) -> Request {
    Request { device: bound.device.clone(), what, points: points.into() }
}
