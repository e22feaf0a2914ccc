//! From YAML to where the points live and how they are written. Pure.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mapper_api::{At, BindError, Point, PointId};
use regex_lite::Regex;

use super::{Confirmation, LONGEST_TIMEOUT, Place, Spot, Talk, Write};
use crate::{
    config::{self, Address, Endpoint},
    frame::Framing,
    language, message,
    template::Template,
};

pub(super) fn points(
    endpoint: &Endpoint,
    framing: Option<&Arc<Framing>>,
    messages: &[Talk],
    timeout: Duration,
    points: &[Point<Address>],
    errors: &mut Vec<BindError>,
) -> (Vec<Spot>, BTreeMap<PointId, Write>) {
    let (mut spots, mut writes) = (Vec::with_capacity(points.len()), BTreeMap::new());
    for (id, point) in (0..).zip(points) {
        let mut wrong = |path: &str, message: String| errors.push(BindError::config(At::Address(id), path, message));
        let place = match endpoint.language {
            Some(language) => language::Place::bind(language, &point.address, point.data_type).map(Place::Telegram),
            None => in_message(endpoint, messages, point),
        };
        let place = place.unwrap_or_else(|mistakes| {
            for (path, message) in mistakes {
                wrong(&path, message);
            }
            Place::Nowhere
        });
        match (&point.address.write, point.access.can_write()) {
            (Some(given), true) => {
                if let Some(write) = write(endpoint, framing, given, timeout, &mut wrong) {
                    writes.insert(id, write);
                }
            }
            (None, true) => {
                wrong("write", "is missing: what is sent, such as write: {send: 'SET {value}\\r\\n'}".into());
            }
            (Some(_), false) => {
                let message = "has `write`, and may only be read; write or readWrite would be accepted";
                errors.push(BindError::config(At::Property(id), "access", message));
            }
            (None, false) => {}
        }
        spots.push(Spot {
            readable: point.access.can_read() && !matches!(place, Place::Nowhere),
            place,
            data_type: point.data_type,
            order: point.order,
            size: point.size,
        });
    }
    (spots, writes)
}

type Mistakes = Vec<(String, String)>;

fn in_message(endpoint: &Endpoint, messages: &[Talk], point: &Point<Address>) -> Result<Place, Mistakes> {
    let address = &point.address;
    let one = |path: &str, message: String| Err(vec![(path.to_owned(), message)]);
    for (key, given) in [("obis", address.obis.is_some()), ("nmea", address.nmea.is_some())] {
        if given {
            return one(key, "is for an endpoint with `language`".into());
        }
    }
    let whence =
        [address.field.is_some(), address.offset.is_some(), address.pointer.is_some(), address.raw.unwrap_or(false)];
    match whence.iter().filter(|given| **given).count() {
        0 if address.write.is_some() => return Ok(Place::Nowhere),
        0 => return one("", "one of field, offset, pointer or raw says where the value stands".into()),
        1 => {}
        _ => return one("", "field, offset, pointer and raw exclude each other; keep one".into()),
    }
    if messages.len() < endpoint.messages.len() {
        // What is wrong with a message was told; which one is meant cannot be known.
        return Ok(Place::Nowhere);
    }
    let names = || messages.iter().map(|talk| talk.name.as_str()).collect::<Vec<_>>().join(", ");
    let index = match (&address.message, messages) {
        (Some(name), _) => match messages.iter().position(|talk| talk.name == *name) {
            Some(index) => index,
            None => return one("message", format!("{name} is none of the endpoint's messages: {}", names())),
        },
        (None, [_]) => 0,
        (None, []) => return one("message", "the endpoint has no messages".into()),
        (None, _) => {
            let has = |talk: &&Talk| message::Place::new(point, &talk.message).is_ok();
            let mut fitting = messages.iter().enumerate().filter(|(_, talk)| has(talk)).map(|(index, _)| index);
            match (fitting.next(), fitting.next()) {
                (Some(index), None) => index,
                _ => return one("message", format!("is missing, and several could be meant: {}", names())),
            }
        }
    };
    message::Place::new(point, &messages[index].message).map(|place| Place::Message(index, place))
}

fn write(
    endpoint: &Endpoint,
    framing: Option<&Arc<Framing>>,
    given: &config::Write,
    timeout: Duration,
    wrong: &mut impl FnMut(&str, String),
) -> Option<Write> {
    // Of a frame that is wrong, that was told.
    let check = framing.map_or(endpoint.frame.is_some(), |framing| framing.check().is_some());
    let send = Template::new(&given.send, &endpoint.parameters, true, check)
        .map_err(|message| wrong("write.send", message))
        .ok();
    let mut pattern = |key: &str, text: &Option<String>| {
        let text = text.as_deref()?;
        Regex::new(text).map_err(|error| wrong(key, format!("is no regular expression: {error}"))).ok()
    };
    let answer = pattern("write.answer", &given.answer);
    let refused = pattern("write.refused", &given.refused);
    let waits = given.answer.is_some();
    let within = given.timeout.map_or(timeout, |timeout| timeout.0);
    if within.is_zero() || within > LONGEST_TIMEOUT {
        wrong("write.timeout", "must be longer than 0s and at most 1m".into());
    }
    if given.timeout.is_some() && !waits {
        wrong("write.timeout", "is for an `answer`, and none is waited for".into());
    }
    if given.refused.is_some() && !waits {
        wrong("write.refused", "is for an `answer`, and none is waited for".into());
    }
    if waits && endpoint.frame.is_none() {
        wrong("write.answer", "needs the endpoint's `frame` to say where an answer ends".into());
    }
    let confirmation = framing.filter(|_| waits).map(|framing| Confirmation {
        framing: framing.clone(),
        timeout: within,
        answer,
        refused,
    });
    Some(Write { send: send?, confirmation })
}
