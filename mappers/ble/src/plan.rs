//! Which requests a poll or a write needs. Pure. Properties of one characteristic share a request; what is advertised or
//! sent by the device is not asked for.

use mapper_api::{PointId, Refusal, Sequence, Value};

use crate::{
    bind::{Bound, Datum, Source},
    config::Mode,
    decode,
    radio::Spot,
    request::{Request, What},
};

/// What makes the device's values come: an ear for what it advertises, subscriptions to what it sends.
pub(crate) fn prepare(bound: &Bound) -> Vec<Sequence<Request>> {
    let listen = bound.device.hears.then(|| request(bound, What::Listen, Vec::new()));
    let sent = |mode| matches!(mode, Mode::Notify | Mode::Indicate);
    let all: Vec<PointId> = (0..).take(bound.points.len()).collect();
    let subscribe = grouped(bound, &all, sent).into_iter();
    listen.into_iter().chain(subscribe.map(|(spot, ids)| request(bound, What::Subscribe(spot), ids))).collect()
}

/// One request for each characteristic that is polled, in the order of the points.
pub(crate) fn plan(bound: &Bound, wanted: &[PointId]) -> Vec<Sequence<Request>> {
    let polled = grouped(bound, wanted, |mode| mode == Mode::Read).into_iter();
    polled.map(|(spot, ids)| request(bound, What::Read(spot), ids)).collect()
}

/// One request for each value, in the given order.
pub(crate) fn plan_write(
    bound: &Bound,
    values: &[(PointId, Value)],
) -> Result<Vec<Sequence<Request>>, (PointId, Refusal)> {
    values
        .iter()
        .map(|(id, value)| {
            let refuse = |refusal| (*id, refusal);
            let datum = bound.points.get(usize::from(*id));
            let Some(datum @ Datum { source: Source::Characteristic { spot, write, .. }, .. }) = datum else {
                return Err(refuse(Refusal::rejected("what is advertised cannot be written")));
            };
            let bytes = decode::to_bytes(datum, value).map_err(refuse)?;
            Ok(request(bound, What::Write(*spot, bytes, *write), vec![*id]))
        })
        .collect()
}

fn request(bound: &Bound, what: What, points: Vec<PointId>) -> Sequence<Request> {
    Request { device: bound.device.clone(), what, points: points.into() }.into()
}

/// The readable ones of these points whose characteristics come in such a mode, by characteristic.
fn grouped(bound: &Bound, wanted: &[PointId], mode: impl Fn(Mode) -> bool) -> Vec<(Spot, Vec<PointId>)> {
    let mut groups: Vec<(Spot, Vec<PointId>)> = Vec::new();
    for id in wanted {
        let Some(Datum { source: Source::Characteristic { spot, mode: m, .. }, readable: true, .. }) =
            bound.points.get(usize::from(*id))
        else {
            continue;
        };
        if !mode(*m) {
            continue;
        }
        match groups.iter_mut().find(|(other, _)| other == spot) {
            Some((_, ids)) => ids.push(*id),
            None => groups.push((*spot, vec![*id])),
        }
    }
    groups
}
