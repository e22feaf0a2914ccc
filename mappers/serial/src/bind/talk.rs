//! From YAML to what is said on the line: frames, messages, the start-up sequence. Pure.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use regex_lite::Regex;

use super::{Ask, LONGEST_TIMEOUT, LONGEST_WAIT, Mistakes, Step, Talk};
use crate::{
    config::{self, Endpoint, Language},
    frame::Framing,
    language::iec62056::Readout,
    message::Message,
    template::Template,
};

/// The line's frames; none where a language says what they are, or each answer does.
pub(super) fn framing(endpoint: &Endpoint, mistakes: &mut Mistakes) -> Option<Arc<Framing>> {
    if let Some(language) = endpoint.language {
        let name = super::line::name(language);
        for (key, given) in [("frame", endpoint.frame.is_some()), ("messages", !endpoint.messages.is_empty())] {
            if given {
                mistakes.endpoint(key, format!("`language: {name}` says it; leave one of them out"));
            }
        }
        let keys = [("key", endpoint.key.is_some()), ("authenticationKey", endpoint.authentication_key.is_some())];
        let encrypted = matches!(language, Language::P1 | Language::Dlms);
        for (key, _) in keys.into_iter().filter(|(_, given)| *given && !encrypted) {
            mistakes.endpoint(key, format!("{name} is not encrypted; p1 and dlms may be"));
        }
        if endpoint.authentication_key.is_some() && endpoint.key.is_none() {
            mistakes.endpoint("authenticationKey", "goes with `key`, which is missing");
        }
        return None;
    }
    for (key, given) in [("key", endpoint.key.is_some()), ("authenticationKey", endpoint.authentication_key.is_some())]
    {
        if given {
            mistakes.endpoint(key, "is for `language: p1` and `language: dlms`");
        }
    }
    let Some(frame) = &endpoint.frame else {
        let each = endpoint.messages.iter().all(|message| message.frame.is_some());
        if !each || endpoint.messages.is_empty() {
            mistakes.endpoint(
                "frame",
                "is missing: where a frame ends, such as frame: {end: '\\r\\n'}; or `language` names one that is built in",
            );
        }
        return None;
    };
    new_framing(frame, "frame", mistakes)
}

fn new_framing(frame: &config::Frame, path: &str, mistakes: &mut Mistakes) -> Option<Arc<Framing>> {
    Framing::new(frame).map(Arc::new).map_err(|errors| mistakes.below(path, errors)).ok()
}

pub(super) fn messages(
    endpoint: &Endpoint,
    framing: Option<&Arc<Framing>>,
    timeout: Duration,
    mistakes: &mut Mistakes,
) -> Vec<Talk> {
    let mut names = BTreeSet::new();
    let mut talks = Vec::new();
    for (index, given) in endpoint.messages.iter().enumerate() {
        let path = |key: &str| format!("messages[{index}].{key}");
        if !names.insert(&given.name) {
            mistakes.endpoint(path("name"), format!("{} is the name of another message", given.name));
        }
        let message = match Message::new(given, &endpoint.parameters) {
            Ok(message) => Some(message),
            Err(errors) => {
                mistakes.below(&format!("messages[{index}]"), errors);
                None
            }
        };
        let own = given.frame.as_ref().and_then(|frame| new_framing(frame, &path("frame"), mistakes));
        let ask = match &given.request {
            None => {
                let only = [
                    ("timeout", given.timeout.is_some()),
                    ("frame", given.frame.is_some()),
                    ("refused", given.refused.is_some()),
                ];
                for (key, _) in only.into_iter().filter(|(_, given)| *given) {
                    mistakes.endpoint(path(key), "is for an answer, and this message has no `request`");
                }
                None
            }
            Some(request) => {
                let framing = own.or_else(|| framing.cloned());
                if framing.is_none() && given.frame.is_none() && endpoint.frame.is_none() {
                    mistakes.endpoint(path("frame"), "is missing, and the endpoint has none either");
                }
                let timeout = mistakes.within(&path("timeout"), given.timeout, timeout, LONGEST_TIMEOUT, false);
                let send = sent(endpoint, framing.as_ref(), request);
                let send = send.map_err(|message| mistakes.endpoint(path("request"), message)).ok();
                framing.zip(send).map(|(framing, send)| Ask { send, framing, timeout })
            }
        };
        if let Some(message) = message {
            talks.push(Talk { name: given.name.clone(), message, ask, settling: false });
        }
    }
    talks
}

/// The bytes of a text without a value.
fn sent(endpoint: &Endpoint, framing: Option<&Arc<Framing>>, text: &str) -> Result<Vec<u8>, String> {
    let framing = framing.map(Arc::as_ref);
    // Of a frame that is wrong, that was told.
    let check = framing.map_or(endpoint.frame.is_some(), |framing| framing.check().is_some());
    Template::new(text, &endpoint.parameters, false, check)?.bytes(framing)
}

pub(super) fn steps(
    endpoint: &Endpoint,
    framing: Option<&Arc<Framing>>,
    timeout: Duration,
    mistakes: &mut Mistakes,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (index, given) in endpoint.start.iter().enumerate() {
        let path = |key: &str| format!("start[{index}].{key}");
        let send = given.send.as_ref().and_then(|text| {
            sent(endpoint, framing, text).map_err(|message| mistakes.endpoint(path("send"), message)).ok()
        });
        let answer = given.answer.as_ref().and_then(|text| {
            if framing.is_none() && endpoint.frame.is_none() {
                mistakes.endpoint(path("answer"), "needs `frame` to say where an answer ends");
            }
            framing.cloned().zip(pattern(text, path("answer"), mistakes))
        });
        let timeout = mistakes.within(&path("timeout"), given.timeout, timeout, LONGEST_TIMEOUT, false);
        if given.timeout.is_some() && given.answer.is_none() {
            mistakes.endpoint(path("timeout"), "is for an `answer`, and none is waited for; `wait` waits");
        }
        let baud = given.baud.and_then(|baud| {
            let fits = u32::try_from(baud).ok().filter(|baud| mapper_tty::Settings::BAUD.contains(baud));
            if fits.is_none() {
                mistakes.endpoint(path("baud"), format!("{baud} is not in 50..4000000"));
            } else if endpoint.tcp.is_some() {
                mistakes.endpoint(path("baud"), "cannot be changed over `tcp`; `rfc2217` can");
            }
            fits
        });
        let wait = mistakes.within(&path("wait"), given.wait, Duration::ZERO, LONGEST_WAIT, true);
        if *given == config::Step::default() {
            mistakes.endpoint(format!("start[{index}]"), "is empty; send, answer, baud and wait are accepted");
        }
        steps.push(Step { send, answer, timeout, baud, wait });
    }
    steps
}

/// The address of a meter that is read out: `parameters.address`, empty where it is alone on its line.
pub(super) fn meter(endpoint: &Endpoint, baud: u32, mistakes: &mut Mistakes) -> String {
    let address = endpoint.parameters.get("address").cloned().unwrap_or_default();
    if endpoint.language == Some(Language::Iec62056)
        && let Err(message) = Readout::new(&address, baud)
    {
        mistakes.endpoint("parameters.address", message);
    }
    address
}

/// A regular expression.
pub(super) fn pattern(text: &str, path: String, mistakes: &mut Mistakes) -> Option<Regex> {
    Regex::new(text).map_err(|error| mistakes.endpoint(path, format!("is no regular expression: {error}"))).ok()
}
