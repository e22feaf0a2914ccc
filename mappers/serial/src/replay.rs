//! Recorded bytes: a stream as it was heard, and answers, decoded as live ones are. Pure.

use std::{collections::BTreeMap, sync::Arc};

use mapper_api::{Decoded, Json, PointId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    bind::{Bound, Place},
    decode,
    frame::{Found, Framer, Framing},
    language::{Heard, Key, Keys, Listener},
    octets,
    report::Brief,
    request::Said,
};

/// What was heard of a device. If several frames speak of a property, the last one counts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Sample {
    /// The bytes as they came, frames and what is between them, written as in the spec: `'\x02ST,+00012.5 kg\r\n'` or `hex:02 53`.
    #[schemars(length(max = 32768))]
    received: Option<String>,
    /// The bytes that answer a message's request, by the message's name: `{weight: 'S S 12.5 kg\r\n'}`.
    #[schemars(extend("maxProperties" = 32))]
    answers: BTreeMap<String, String>,
    /// The key that the telegrams are encrypted with, as 32 hexadecimal digits: a published one, never a key in use.
    #[schemars(length(min = 32, max = 47))]
    key: Option<String>,
    /// The key that they are authenticated with, alike.
    #[schemars(length(min = 32, max = 47))]
    authentication_key: Option<String>,
}

/// Endpoints for a model that leaves its own to its devices.
pub(crate) fn stand_ins() -> Vec<Json> {
    let line = |line: Option<&str>| line.into_iter().map(|path| ("path".to_owned(), Json::from(path))).collect();
    vec![line(Some("/dev/null")), line(None)]
}

/// What a recorded sample says of the points that it reaches.
///
/// # Errors
/// It is none, with the key and what would be accepted; a frame in it is bad.
pub(crate) fn replay(bound: &Bound, sample: &Json) -> Result<Vec<Decoded>, String> {
    let sample = Sample::deserialize(sample).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    if let Some(text) = &sample.received {
        let bytes = octets::parse(text).map_err(|error| format!("received: {error}"))?;
        for said in received(bound, &bytes, &sample).map_err(|why| format!("received: {why}"))? {
            let mut of_it = Vec::new();
            decode::said(bound, &said, &mut of_it);
            out.extend(of_it);
        }
    }
    for (name, text) in &sample.answers {
        answer(bound, name, text, &mut out).map_err(|why| format!("answers.{name}: {why}"))?;
    }
    let last: BTreeMap<PointId, Decoded> = out.into_iter().map(|decoded| (decoded.point, decoded)).collect();
    Ok(last.into_values().collect())
}

fn received(bound: &Bound, bytes: &[u8], sample: &Sample) -> Result<Vec<Said>, String> {
    match (bound.device.line.language, &bound.device.line.framing) {
        (Some(language), _) => {
            let mut listener = Listener::new(language, keys(sample)?);
            listener.push(bytes);
            let mut said = Vec::new();
            loop {
                match listener.next().or_else(|| listener.silence()) {
                    None => return some(said, bytes.len()),
                    Some(Heard::Telegram(telegram)) => said.push(Said::Telegram(Box::new(telegram))),
                    Some(Heard::Bad { bytes, why }) => return Err(bad(&bytes, &why)),
                    Some(Heard::Skipped(_)) => {}
                }
            }
        }
        (None, Some(framing)) => some(frames(framing, bytes)?.into_iter().map(Said::Bytes).collect(), bytes.len()),
        (None, None) => Err("the endpoint has no `frame`: nothing is listened for; `answers` has the answers".into()),
    }
}

fn some<T>(found: Vec<T>, bytes: usize) -> Result<Vec<T>, String> {
    if found.is_empty() { Err(format!("in {bytes} bytes there is no whole frame")) } else { Ok(found) }
}

/// The frames of a stream that begins with one and ends with silence.
fn frames(framing: &Arc<Framing>, bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut framer = Framer::new(framing.clone());
    framer.clear();
    framer.push(bytes);
    let (mut frames, mut silent) = (Vec::new(), false);
    loop {
        match framer.next() {
            Some(Found::Frame(frame)) => frames.push(frame),
            Some(Found::Bad { bytes, why }) => return Err(bad(&bytes, &why)),
            Some(Found::Skipped(_)) => {}
            None if silent => return Ok(frames),
            None => {
                framer.silence();
                silent = true;
            }
        }
    }
}

fn bad(bytes: &[u8], why: &str) -> String {
    format!("a bad frame: {why}: {}", Brief(bytes))
}

fn answer(bound: &Bound, name: &str, text: &str, out: &mut Vec<Decoded>) -> Result<(), String> {
    let asked = || bound.device.messages.iter().enumerate().filter(|(_, talk)| talk.ask.is_some());
    let found = asked().find(|(_, talk)| talk.name == name);
    let Some((index, talk)) = found else {
        let names: Vec<_> = asked().map(|(_, talk)| talk.name.as_str()).collect();
        return Err(format!("is no message with a request; there is: {}", names.join(", ")));
    };
    let bytes = octets::parse(text).map_err(|error| error.to_string())?;
    let framing = talk.ask.as_ref().map(|ask| &ask.framing).ok_or("has no request")?;
    let points: Vec<PointId> = (0..)
        .zip(&bound.points)
        .filter(|(_, spot)| matches!(&spot.place, Place::Message(of, _) if *of == index))
        .map(|(point, _)| point)
        .collect();
    let frames = some(frames(framing, &bytes)?, bytes.len())?;
    let before = out.len();
    for frame in &frames {
        decode::asked(bound, index, framing, frame, &points, out);
    }
    let fits = frames.iter().any(|frame| talk.judge(framing, frame).is_some());
    if out.len() == before && !fits {
        return Err(format!("does not fit the message: {}", Brief(&bytes)));
    }
    Ok(())
}

fn keys(sample: &Sample) -> Result<Keys, String> {
    let key = |what: &str, text: &Option<String>| {
        let refuse = || format!("{what}: 32 hexadecimal digits would be accepted");
        text.as_deref().map(|text| Key::parse(text).ok_or_else(refuse)).transpose()
    };
    Ok(Keys {
        encryption: key("key", &sample.key)?,
        authentication: key("authenticationKey", &sample.authentication_key)?,
    })
}
