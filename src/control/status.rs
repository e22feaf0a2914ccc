//! What is said of a device: one status, computed here for `/devices`, MQTT and the resource alike. Pure; it changes
//! only when something that it tells has changed.

use std::collections::BTreeMap;

use fieldgate_crds::{Condition, DeviceStatus, Reported, Time, condition};
use serde_json::Value;

use super::desired::Sync;

/// What is known of a device.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The generation of the spec last seen.
    pub generation: i64,
    /// The protocol, once a spec was accepted.
    pub protocol: Option<&'static str>,
    /// Why the spec last seen was refused: reason and message. An earlier one may still be at work.
    pub refused: Option<(&'static str, String)>,
    /// Whether a spec is at work.
    pub running: bool,
    /// Whether the device answers, or the reason why not; none before the first exchange ended.
    pub reachable: Option<Result<(), &'static str>>,
    /// The properties with a desired value.
    pub sync: Vec<(String, Sync)>,
    /// The writable properties: name, value found, desired, as JSON.
    pub reported: Vec<(String, Option<Value>, Option<Value>)>,
}

/// The status that follows from the facts. A condition keeps its transition time while its status stays the same.
pub fn status(before: &DeviceStatus, facts: &Facts, now: &Time) -> DeviceStatus {
    let (accepted, reachable, synced) = (accepted(facts), reachable(facts), synced(facts));
    let all = [&accepted, &reachable, &synced];
    let ready = match all.iter().find(|c| c.status != "True") {
        None => Said::new(condition::READY, "True", "Ready", String::new()),
        Some(first) => {
            let status = if all.iter().any(|c| c.status == "False") { "False" } else { "Unknown" };
            let first = all.iter().find(|c| c.status == "False").unwrap_or(first);
            Said::new(condition::READY, status, &first.reason, first.message.clone())
        }
    };
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
                message: said.message,
                last_transition_time,
                observed_generation: Some(facts.generation),
            }
        })
        .collect();
    let reported = facts
        .reported
        .iter()
        .map(|(name, value, desired)| (name.clone(), Reported { value: value.clone(), desired: desired.clone() }));
    DeviceStatus {
        observed_generation: Some(facts.generation),
        protocol: facts.protocol.map(str::to_owned),
        conditions,
        reported: reported.collect::<BTreeMap<_, _>>(),
    }
}

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
}

/// A reason as conditions spell it: `badData` is `BadData`.
fn camel(reason: &str) -> String {
    let mut letters = reason.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
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
        _ if !facts.running => {
            Said::new(condition::REACHABLE, "Unknown", "NotPolled", "the spec is not accepted".into())
        }
        None => Said::new(condition::REACHABLE, "Unknown", "NotRead", "no exchange has ended yet".into()),
        Some(Ok(())) => Said::new(condition::REACHABLE, "True", "Answering", String::new()),
        Some(Err(reason)) => {
            Said::new(condition::REACHABLE, "False", reason, format!("the device does not answer: {reason}"))
        }
    }
}

fn synced(facts: &Facts) -> Said {
    let worst = facts.sync.iter().filter(|(_, sync)| !sync.is_synced()).max_by_key(|(_, sync)| weight(sync));
    match worst {
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
mod tests {
    use fieldgate_crds::{DeviceStatus, Time};

    use super::{Facts, status};
    use crate::control::desired::Sync;

    fn at(second: i64) -> Time {
        Time(jiff::Timestamp::from_second(second).unwrap())
    }

    fn said(status: &DeviceStatus, type_: &str) -> (String, String) {
        let condition = status.conditions.iter().find(|c| c.type_ == type_).unwrap();
        (condition.status.clone(), condition.reason.clone())
    }

    #[test]
    fn ready_follows_from_the_others_and_names_the_first_reason() {
        let good = Facts { running: true, reachable: Some(Ok(())), ..Facts::default() };
        let table = [
            (good.clone(), "True", "Ready"),
            (Facts { reachable: None, ..good.clone() }, "Unknown", "NotRead"),
            (Facts { reachable: Some(Err("timeout")), ..good.clone() }, "False", "Timeout"),
            (Facts { sync: vec![("a".into(), Sync::Unknown)], ..good.clone() }, "Unknown", "NotRead"),
            (
                Facts {
                    sync: vec![("a".into(), Sync::Synced), ("b".into(), Sync::Refused("x".into()))],
                    ..good.clone()
                },
                "False",
                "Refused",
            ),
            (Facts { refused: Some(("Config", "x".into())), running: false, ..good.clone() }, "False", "Config"),
        ];
        for (facts, wanted, reason) in table {
            let got = status(&DeviceStatus::default(), &facts, &at(1));
            assert_eq!(said(&got, "Ready"), (wanted.to_owned(), reason.to_owned()), "{facts:?}");
        }
    }

    #[test]
    fn time_moves_only_with_a_change() {
        let facts = Facts { running: true, reachable: Some(Ok(())), ..Facts::default() };
        let first = status(&DeviceStatus::default(), &facts, &at(1));
        assert_eq!(status(&first, &facts, &at(2)), first, "a quiet device makes no difference");
        let gone = Facts { reachable: Some(Err("timeout")), ..facts };
        let second = status(&first, &gone, &at(3));
        let times: Vec<_> = second.conditions.iter().map(|c| c.last_transition_time.0.as_second()).collect();
        assert_eq!(times, [1, 3, 1, 3], "accepted, reachable, synced, ready");
    }
}
