//! What answers and frames say of a device's points. Pure, but for the pace that is learnt from frames.

use std::{
    sync::{PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use mapper_api::{Decoded, PointId, Refusal};

use crate::{
    bind::{Bound, Place},
    frame::Framing,
    language::Telegram,
    message::{Fields, Fit},
    pace::Of,
    request::{Answer, Frame, Request, Said, What},
};

/// What an answer says of the points that it was asked for.
pub(crate) fn answer(bound: &Bound, request: &Request, answer: &Answer, out: &mut Vec<Decoded>) {
    match (answer, &request.what) {
        (Answer::Refused(text), _) => {
            let refusal = || Refusal::rejected(format!("the device refuses: {text}"));
            out.extend(request.points.iter().map(|point| Decoded { point: *point, result: Err(refusal()) }));
        }
        (Answer::Frame(frame), What::Ask(index)) => {
            if let Some(ask) = bound.device.messages.get(*index).and_then(|talk| talk.ask.as_ref()) {
                asked(bound, *index, &ask.framing, frame, &request.points, out);
            }
        }
        (Answer::Telegram(told), What::Readout) => telegram(bound, &told.0, request.points.iter().copied(), out),
        (Answer::Done | Answer::Frame(_) | Answer::Telegram(_), _) => {}
    }
}

/// What the answer to a message says of these points.
pub(crate) fn asked(
    bound: &Bound,
    index: usize,
    framing: &Framing,
    frame: &[u8],
    points: &[PointId],
    out: &mut Vec<Decoded>,
) {
    match bound.device.messages[index].message.read(frame, framing.content(frame)) {
        Fit::NotThis => {}
        Fit::Refused(text) => {
            let refusal = || Refusal::rejected(format!("the device refuses: {text}"));
            out.extend(points.iter().map(|point| Decoded { point: *point, result: Err(refusal()) }));
        }
        Fit::Fields(fields) => read(bound, index, &fields, points.iter().copied(), out),
    }
}

fn read(
    bound: &Bound,
    message: usize,
    fields: &Fields<'_>,
    points: impl Iterator<Item = PointId>,
    out: &mut Vec<Decoded>,
) {
    out.extend(points.filter_map(|point| {
        let spot = bound.points.get(usize::from(point)).filter(|spot| spot.readable)?;
        let Place::Message(of, place) = &spot.place else { return None };
        if *of != message {
            return None;
        }
        Some(Decoded { point, result: place.read(fields)? })
    }));
}

fn telegram(bound: &Bound, telegram: &Telegram, points: impl Iterator<Item = PointId>, out: &mut Vec<Decoded>) {
    out.extend(points.filter_map(|point| {
        let spot = bound.points.get(usize::from(point)).filter(|spot| spot.readable)?;
        let Place::Telegram(place) = &spot.place else { return None };
        Some(Decoded { point, result: place.read(telegram)? })
    }));
}

/// What a frame that came by itself says of this device, which message it is, and whether it may rightly stay away.
pub(crate) fn said(bound: &Bound, said: &Said, out: &mut Vec<Decoded>) -> Option<(Of, bool)> {
    match said {
        Said::Telegram(told) => {
            telegram(bound, told, (0..).take(bound.points.len()), out);
            (!out.is_empty()).then(|| (Of::Sender(told.sender.clone()), false))
        }
        Said::Bytes(frame) => {
            let content = bound.device.line.framing.as_ref()?.content(frame);
            let mut messages = bound.device.messages.iter().enumerate();
            let fitting = messages.find_map(|(index, talk)| match talk.message.read(frame, content) {
                Fit::NotThis => None,
                Fit::Refused(_) => Some((index, talk, None)),
                Fit::Fields(fields) => Some((index, talk, Some(fields))),
            });
            // A late answer is nobody's: which question it is to is not known.
            let (index, talk, fields) = fitting.filter(|(_, talk, _)| talk.ask.is_none())?;
            if let Some(fields) = fields {
                read(bound, index, &fields, (0..).take(bound.points.len()), out);
            }
            Some((Of::Message(index), talk.settling))
        }
    }
}

/// What a frame says of this device's points; its pace is learnt from those that say something.
pub(crate) fn frame(bound: &Bound, frame: &Frame, out: &mut Vec<Decoded>) {
    let said = said(bound, &frame.said, out);
    let mut paces = bound.paces.lock().unwrap_or_else(PoisonError::into_inner);
    paces.last_read = Some((frame.number, said.is_some()));
    let Some((of, settling)) = said else { return };
    frame.understood.store(true, Relaxed);
    if !out.is_empty() {
        paces.heard(of, frame.at.into(), settling);
    }
}

/// How long the device may be silent after this frame, if it is one of its own: the others of its line say nothing of it.
pub(crate) fn freshness(bound: &Bound, frame: &Frame) -> Option<Duration> {
    let paces = bound.paces.lock().unwrap_or_else(PoisonError::into_inner);
    let its_own = match paces.last_read {
        Some((number, its_own)) if number == frame.number => its_own,
        _ => said(bound, &frame.said, &mut Vec::new()).is_some(),
    };
    its_own.then(|| match bound.device.silence {
        Some(Duration::ZERO) => Duration::MAX,
        Some(silence) => silence,
        None => paces.silence(),
    })
}
