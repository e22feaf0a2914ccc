//! What is said of a device: one status, computed here for `/devices`, MQTT and the resource alike. Pure; it changes
//! only when something that it tells has changed, and a message never holds what changes with time.

use std::collections::BTreeMap;

use fieldgate_crds::{Condition, DeviceStatus, Reported, Time, condition};
use serde_json::Value;

use super::{desired::Sync, flap::Flap};
use crate::clock::Stamp;

/// The longest message, in bytes; an API server would take 32768.
const LONGEST_MESSAGE: usize = 4096;
/// The longest text in `reported`, in characters. What is cut ends in an ellipsis; MQTT has it whole.
const LONGEST_VALUE: usize = 256;

/// What is known of a device.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The generation of the spec last seen.
    pub generation: i64,
    /// That of the model, of the spec that is at work.
    pub model_generation: Option<i64>,
    /// The protocol, once a spec was accepted.
    pub protocol: Option<&'static str>,
    /// Why the spec last seen was refused: reason and message. An earlier one may still be at work.
    pub refused: Option<(&'static str, String)>,
    /// Whether a spec is at work.
    pub running: bool,
    /// Whether the device answers, or the reason why not; none before the first exchange ended.
    pub reachable: Option<Result<(), &'static str>>,
    /// It answers, but gives no value at all: one property and the device's words.
    pub rejected: Option<String>,
    /// Nothing is ever asked of it: no property is read, and none is desired.
    pub unasked: bool,
    /// The bus that it is on: `modbus:tcp:10.0.0.7:502`.
    pub bus: String,
    /// The failure in its mapper's words, while it does not answer.
    pub words: Box<str>,
    /// The properties with a desired value.
    pub sync: Vec<(String, Sync)>,
    /// The writable properties: name, value found, desired, as JSON.
    pub reported: Vec<(String, Option<Value>, Option<Value>)>,
}

/// Which conditions of a device go back and forth.
#[derive(Debug, Default)]
pub struct Flaps {
    /// Whether it answers, and why not.
    pub reachable: Flap,
    /// Whether it holds what is desired.
    pub synced: Flap,
}

/// The status that follows from the facts. A condition keeps its transition time while its status stays the same.
pub fn status(before: &DeviceStatus, facts: &Facts, flaps: &mut Flaps, now: Stamp) -> DeviceStatus {
    if before.observed_generation != Some(facts.generation) {
        // An edit of a desired value moves it there and back, as it should.
        flaps.synced.forget();
    }
    let (accepted, mut reachable, mut synced) = (accepted(facts), reachable(facts), synced(facts));
    // With another reason it is another trouble, and would be written anew.
    let side = match &facts.reachable {
        Some(Ok(())) => Some("answers"),
        Some(Err(reason)) => Some(*reason),
        None => None,
    };
    if let Some(flapping) = flaps.reachable.see(side.filter(|_| facts.running), now) {
        reachable =
            reachable.flapping(&facts.bus, flapping, "check its cable, its power supply and what else is on the line");
    }
    if let Some(flapping) = flaps.synced.see(synced.known().then_some(synced.status), now) {
        synced = synced.flapping("desired", flapping, "find out who else writes to the device, or set onDrift: report");
    }
    let ready = ready(&accepted, &reachable, &synced);
    let now = time(now);
    let conditions = [accepted, reachable, synced, ready]
        .into_iter()
        .map(|said| {
            let old = before.conditions.iter().find(|c| c.type_ == said.type_);
            let last_transition_time = old
                .filter(|old| old.status == said.status)
                .map_or_else(|| now.clone(), |old| old.last_transition_time.clone());
            Condition {
                type_: said.type_.to_owned(),
                status: said.status.to_owned(),
                reason: said.reason,
                message: bounded(said.message, LONGEST_MESSAGE),
                last_transition_time,
                observed_generation: Some(facts.generation),
            }
        })
        .collect();
    let reported = facts.reported.iter().map(|(name, value, desired)| {
        let shown = |value: &Option<Value>| value.clone().map(bounded_value);
        (name.clone(), Reported { value: shown(value), desired: shown(desired) })
    });
    DeviceStatus {
        observed_generation: Some(facts.generation),
        observed_model_generation: facts.model_generation,
        protocol: facts.protocol.map(str::to_owned),
        conditions,
        reported: reported.collect::<BTreeMap<_, _>>(),
    }
}

/// Whether a condition only tells that something is about to be known: it settles by itself.
pub fn is_transitional(condition: &Condition) -> bool {
    matches!((&*condition.status, &*condition.reason), ("Unknown", NOT_READ) | ("False", WRITING))
}

const NOT_READ: &str = "NotRead";
const WRITING: &str = "Writing";

/// `Ready` as it follows from the other three; the first that is False says why, else the first that is not True.
fn ready(accepted: &Said, reachable: &Said, synced: &Said) -> Said {
    let all = [accepted, reachable, synced];
    // Of whom nothing is asked, nothing is waited for either.
    let not_true = || all.into_iter().find(|c| c.status != "True" && c.reason != NOTHING_ASKED);
    // Nothing can be had of it, though it answers.
    let rejected = || (reachable.reason == REJECTED).then(|| Said { status: "False", ..reachable.clone() });
    let worst = all.into_iter().find(|c| c.status == "False").cloned().or_else(rejected);
    match worst.or_else(|| not_true().cloned()) {
        None => Said::new(condition::READY, "True", "Ready", String::new()),
        Some(worst) => Said { type_: condition::READY, ..worst },
    }
}

/// Makes `Ready` anew after other conditions were changed.
pub fn renew_ready(before: &DeviceStatus, status: &mut DeviceStatus, now: &Time) {
    let said = |type_: &'static str| {
        let found = status.conditions.iter().find(|c| c.type_ == type_)?;
        let status = ["True", "False"].into_iter().find(|known| *known == found.status).unwrap_or("Unknown");
        Some(Said { type_, status, reason: found.reason.clone(), message: found.message.clone() })
    };
    let parts = (said(condition::ACCEPTED), said(condition::REACHABLE), said(condition::SYNCED));
    let (Some(accepted), Some(reachable), Some(synced)) = parts else { return };
    let ready = ready(&accepted, &reachable, &synced);
    let old = before.conditions.iter().find(|c| c.type_ == condition::READY && c.status == ready.status);
    if let Some(found) = status.conditions.iter_mut().find(|c| c.type_ == condition::READY) {
        found.last_transition_time = old.map_or_else(|| now.clone(), |old| old.last_transition_time.clone());
        (found.status, found.reason, found.message) = (ready.status.to_owned(), ready.reason, ready.message);
    }
}

/// Wall time to the second, as the API has it.
fn time(at: Stamp) -> Time {
    let seconds = i64::try_from(at.wall.as_secs()).unwrap_or(i64::MAX);
    Time(jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX))
}

/// Cut to so many bytes, at a character.
fn bounded(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        let end = (0..=longest - '…'.len_utf8()).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

fn bounded_value(value: Value) -> Value {
    match value {
        Value::String(text) => {
            let mut cut = text.char_indices().skip(LONGEST_VALUE - 1);
            match (cut.next(), cut.next()) {
                (Some((end, _)), Some(_)) => format!("{}…", &text[..end]).into(),
                _ => text.into(),
            }
        }
        other => other,
    }
}

#[derive(Clone)]
struct Said {
    type_: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

impl Said {
    fn new(type_: &'static str, status: &'static str, reason: &str, message: String) -> Self {
        Self { type_, status, reason: camel(reason), message }
    }

    fn known(&self) -> bool {
        self.status != "Unknown"
    }

    fn flapping(self, whose: &str, (changes, since): (usize, std::time::Duration), advice: &str) -> Self {
        let since = time(Stamp { wall: since, ..Stamp::now() }).0;
        let message = format!(
            "{whose}: changed {changes} times within 10 minutes, first at {since}; {advice}. Single changes are told again \
             when 10 minutes are quiet"
        );
        Self { status: "False", reason: "Flapping".into(), message, ..self }
    }
}

/// A reason as conditions spell it: `badData` is `BadData`. What an API server would refuse is left out.
fn camel(reason: &str) -> String {
    let mut letters = reason.chars().filter(char::is_ascii_alphanumeric).skip_while(char::is_ascii_digit);
    let Some(first) = letters.next() else { return "Unspecified".into() };
    std::iter::once(first.to_ascii_uppercase()).chain(letters).collect()
}

fn accepted(facts: &Facts) -> Said {
    match &facts.refused {
        None => Said::new(condition::ACCEPTED, "True", "Accepted", String::new()),
        Some((reason, message)) => {
            let also = if facts.running { " (the last accepted spec is still at work)" } else { "" };
            Said::new(condition::ACCEPTED, "False", reason, format!("{message}{also}"))
        }
    }
}

fn reachable(facts: &Facts) -> Said {
    match &facts.reachable {
        _ if !facts.running => not_polled(condition::REACHABLE),
        None if facts.unasked => {
            let message = "no property can be read and none is desired: whether it answers shows with the first write";
            Said::new(condition::REACHABLE, "Unknown", NOTHING_ASKED, message.into())
        }
        None => Said::new(condition::REACHABLE, "Unknown", NOT_READ, "no exchange has ended yet".into()),
        Some(Ok(())) => match &facts.rejected {
            None => Said::new(condition::REACHABLE, "True", "Answering", String::new()),
            Some(words) => {
                let message = format!("{}: it answers, but gives no value: {words}; check the addresses", facts.bus);
                Said::new(condition::REACHABLE, "True", REJECTED, message)
            }
        },
        Some(Err(reason)) => {
            let words = if facts.words.is_empty() { "it does not answer" } else { &facts.words };
            let message = format!("{}: {words}; {}", facts.bus, advice(reason));
            Said::new(condition::REACHABLE, "False", reason, message)
        }
    }
}

/// Nothing is asked of it.
const NOTHING_ASKED: &str = "NothingAsked";

/// It answers, and refuses everything.
const REJECTED: &str = "Rejected";

fn not_polled(type_: &'static str) -> Said {
    Said::new(type_, "Unknown", "NotPolled", "the spec is not accepted: mend what Accepted names".into())
}

/// What to look at first. The bridge itself goes on trying.
fn advice(reason: &str) -> &'static str {
    match reason {
        "timeout" => "check that it has power, its cable, and that its address on the line is right",
        "unreachable" => {
            "check that it is on and in reach, and its address: host and port, or the serial port's path and its rights"
        }
        "bus" => "the connection broke and is opened again; check the cable and what else uses the line",
        "badData" => "check the line settings and the framing, and that it is the only one with its address",
        _ => "the log of the bridge has more",
    }
}

fn synced(facts: &Facts) -> Said {
    let worst = facts.sync.iter().filter(|(_, sync)| !sync.is_synced()).max_by_key(|(_, sync)| weight(sync));
    match worst {
        _ if !facts.running => not_polled(condition::SYNCED),
        _ if facts.sync.is_empty() => Said::new(condition::SYNCED, "True", "NothingDesired", String::new()),
        None => Said::new(condition::SYNCED, "True", "Synced", String::new()),
        Some((name, sync)) => {
            let (reason, message) = sync.reason(name);
            let status = if matches!(sync, Sync::Unknown) { "Unknown" } else { "False" };
            Said::new(condition::SYNCED, status, reason, message)
        }
    }
}

/// Which of several is told: what a person has to look at comes first.
fn weight(sync: &Sync) -> u8 {
    match sync {
        Sync::Synced | Sync::Unverified => 0,
        Sync::Unknown => 1,
        Sync::Pending => 2,
        Sync::Failed(_) => 3,
        Sync::Drifted(_) => 4,
        Sync::Mismatch(_) => 5,
        Sync::Refused(_) => 6,
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
