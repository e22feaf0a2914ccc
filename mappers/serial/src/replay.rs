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
    let mut found = Vec::new();
    for finish in [false, true] {
        if finish {
            framer.finish();
        }
        for next in framer.by_ref() {
            match next {
                Found::Frame(frame) => found.push(frame),
                // A recording may stop in the middle of a frame.
                Found::Bad { .. } if finish && !found.is_empty() => {}
                Found::Bad { bytes, why } => return Err(bad(&bytes, &why)),
                Found::Skipped(_) => {}
            }
        }
    }
    Ok(found)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mapper_api::{Access, BoundDevice, DataType, Mapper, Point, Value};
    use serde_json::{Value as Json, json};

    use crate::Serial;

    fn bound(endpoint: &Json, addresses: &[(Json, DataType)]) -> Arc<dyn BoundDevice> {
        let points = addresses.iter().map(|(address, data_type)| Point {
            address,
            data_type: *data_type,
            order: mapper_api::ByteOrder::Abcd,
            size: None,
            access: Access::Read,
        });
        Arc::new(Serial::default()).bind(endpoint, points.collect()).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    fn scale() -> Arc<dyn BoundDevice> {
        let endpoint = json!({
            "path": "/dev/null",
            "frame": { "end": "\\r\\n" },
            "messages": [
                { "name": "asked", "request": "SI\\r\\n", "regex": "^S (?<s>[SD]) +(?<w>[-0-9.]+) (?<u>.+)$",
                  "refused": "^ES", "stable": { "s": "S" } },
                { "name": "sent", "regex": "^T (?<t>[-0-9.]+)$" },
            ],
        });
        let addresses = [
            (json!({ "field": "w", "expect": { "u": "kg" }, "stable": true }), DataType::Float64),
            (json!({ "field": "s" }), DataType::String),
            (json!({ "field": "t" }), DataType::Float32),
        ];
        bound(&endpoint, &addresses)
    }

    fn said(sample: &Json) -> Vec<(u16, Result<Value, String>)> {
        let said = scale().replay(sample).unwrap_or_else(|error| panic!("{sample}: {error}"));
        said.into_iter().map(|d| (d.point, d.result.map_err(|refusal| refusal.to_string()))).collect()
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn a_recorded_sample_decodes_as_a_live_one() {
        let answer = |text: &str| json!({ "answers": { "asked": text } });
        assert_eq!(said(&answer("S S 12.5 kg\\r\\n")), [(0, Ok(Value::Float64(12.5))), (1, Ok(text("S")))]);
        assert_eq!(said(&answer("S D 12.5 kg\\r\\n")), [(1, Ok(text("D")))], "an unsettled weight is none");
        assert_eq!(said(&answer("hex: 53 20 44 20 31 20 6b 67 0d 0a")), [(1, Ok(text("D")))]);
        let refused = said(&answer("ES\\r\\n"));
        assert!(refused.len() == 2 && refused[0].1.as_ref().unwrap_err().contains("refuses: ES"), "{refused:?}");
        let unit = said(&answer("S S 1 lb\\r\\n"));
        assert!(unit[0].1.as_ref().unwrap_err().contains("kg"), "{unit:?}");
        assert_eq!(said(&json!({ "received": "T 1\\r\\nT 2.5\\r\\nT 3" })), [(2, Ok(Value::Float32(2.5)))]);
        assert_eq!(said(&json!({ "received": "S S 12.5 kg\\r\\n" })), [], "nobody asked for it");
    }

    #[test]
    fn what_is_no_sample_is_refused() {
        for (sample, part) in [
            (json!({ "heard": "x" }), "unknown field `heard`"),
            (json!({ "received": "\\q" }), "received: "),
            (json!({ "received": "T 1" }), "received: a bad frame: it breaks off after 3 bytes"),
            (
                json!({ "answers": { "sent": "T 1\\r\\n" } }),
                "answers.sent: is no message with a request; there is: asked",
            ),
            (json!({ "answers": { "asked": "x\\r\\n" } }), "answers.asked: does not fit the message: 78 0d 0a"),
            (json!({ "answers": { "asked": "x" } }), "answers.asked: a bad frame: it breaks off"),
            (json!({ "received": "" }), "received: in 0 bytes there is no whole frame"),
        ] {
            let error = scale().replay(&sample).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_wrong_check_and_a_wrong_key_are_told() {
        let endpoint = json!({
            "path": "/dev/null",
            "frame": { "start": "#", "end": "\\r", "check": { "kind": "xor", "form": "hex", "skipStart": 1, "skipEnd": 1 } },
            "messages": [{ "name": "a" }],
        });
        let device = bound(&endpoint, &[(json!({ "raw": true }), DataType::String)]);
        let error = device.replay(&json!({ "received": "#a*00\\r" })).unwrap_err();
        assert!(error.contains("a bad frame") && error.contains("23 61 2a 30 30 0d"), "{error}");
        assert_eq!(device.replay(&json!({ "received": "#a*61\\r" })).unwrap().len(), 1);
        let meter = bound(
            &json!({ "path": "/dev/null", "language": "p1" }),
            &[(json!({ "obis": "1.8.0" }), DataType::Float64)],
        );
        let error = meter.replay(&json!({ "received": "/x", "key": "zz" })).unwrap_err();
        assert!(error.contains("key: 32 hexadecimal digits"), "{error}");
    }
}
