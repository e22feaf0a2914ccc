use std::time::Duration;

use fieldgate_crds::DeviceStatus;
use serde_json::json;
use tokio::time::Instant;

use super::{Facts, Flaps, LONGEST_MESSAGE, LONGEST_VALUE, bounded, bounded_value, camel, is_transitional, status};
use crate::{clock::Stamp, control::desired::Sync};

fn at(second: u64) -> Stamp {
    Stamp { wall: Duration::from_secs(second), mono: Instant::now() }
}

fn said(status: &DeviceStatus, type_: &str) -> (String, String) {
    let condition = status.conditions.iter().find(|c| c.type_ == type_).unwrap();
    (condition.status.clone(), condition.reason.clone())
}

fn judged(before: &DeviceStatus, facts: &Facts, second: u64) -> DeviceStatus {
    status(before, facts, &mut Flaps::default(), at(second))
}

fn good() -> Facts {
    Facts { running: true, reachable: Some(Ok(())), bus: "modbus:tcp:h:502".into(), ..Facts::default() }
}

#[test]
fn ready_follows_from_the_others_and_names_the_first_reason() {
    let sync = |sync| Facts { sync: vec![("a".into(), Sync::Synced), ("b".into(), sync)], ..good() };
    let table = [
        (good(), "True", "Ready"),
        (Facts { reachable: None, ..good() }, "Unknown", "NotRead"),
        (Facts { reachable: None, unasked: true, ..good() }, "True", "Ready"),
        (Facts { reachable: Some(Err("timeout")), ..good() }, "False", "Timeout"),
        (Facts { reachable: Some(Err("badData")), ..good() }, "False", "BadData"),
        (Facts { sync: vec![("a".into(), Sync::Unknown)], ..good() }, "Unknown", "NotRead"),
        (
            Facts { rejected: Some("level: x".into()), sync: vec![("a".into(), Sync::Unknown)], ..good() },
            "False",
            "Rejected",
        ),
        (sync(Sync::Pending), "False", "Writing"),
        (sync(Sync::Refused("x".into())), "False", "Refused"),
        (Facts { reachable: Some(Err("timeout")), ..sync(Sync::Refused("x".into())) }, "False", "Timeout"),
        (Facts { refused: Some(("Config", "x".into())), running: false, ..good() }, "False", "Config"),
    ];
    for (facts, wanted, reason) in table {
        let got = judged(&DeviceStatus::default(), &facts, 1);
        assert_eq!(said(&got, "Ready"), (wanted.to_owned(), reason.to_owned()), "{facts:?}");
    }
}

#[test]
fn time_moves_only_with_a_change() {
    let first = judged(&DeviceStatus::default(), &good(), 1);
    assert_eq!(judged(&first, &good(), 2), first, "a quiet device makes no difference");
    let gone = Facts { reachable: Some(Err("timeout")), ..good() };
    let second = judged(&first, &gone, 3);
    let times: Vec<_> = second.conditions.iter().map(|c| c.last_transition_time.0.as_second()).collect();
    assert_eq!(times, [1, 3, 1, 3], "accepted, reachable, synced, ready");
}

#[test]
fn a_device_that_refuses_is_told_apart_from_one_that_is_silent() {
    let refuses = Facts { sync: vec![("setpoint".into(), Sync::Refused("illegalDataValue".into()))], ..good() };
    let got = judged(&DeviceStatus::default(), &refuses, 1);
    assert_eq!(said(&got, "Reachable"), ("True".into(), "Answering".into()));
    assert_eq!(said(&got, "Synced"), ("False".into(), "Refused".into()));
    let silent = Facts { reachable: Some(Err("timeout")), words: "unit 3: no answer within 300 ms".into(), ..good() };
    let got = judged(&DeviceStatus::default(), &silent, 1);
    assert_eq!(
        got.conditions[1].message,
        "modbus:tcp:h:502: unit 3: no answer within 300 ms; check that it has power, its cable, and that its address on \
         the line is right"
    );
    assert_eq!(got.conditions[1].message, got.conditions[3].message, "Ready says the same");
}

#[test]
fn what_is_not_accepted_is_neither_reachable_nor_synced_and_not_about_to_be() {
    let refused = Facts { refused: Some(("Config", "spec.x: y".into())), ..Facts::default() };
    let got = judged(&DeviceStatus::default(), &refused, 1);
    assert_eq!(said(&got, "Synced"), ("Unknown".into(), "NotPolled".into()));
    assert!(!got.conditions.iter().any(is_transitional));
    let fresh = judged(&DeviceStatus::default(), &Facts { reachable: None, ..good() }, 1);
    assert_eq!(fresh.conditions.iter().filter(|c| is_transitional(c)).count(), 2, "Reachable and Ready");
}

#[test]
fn more_than_five_changes_become_one_reason_and_an_edit_is_no_flapping() {
    let (mut flaps, mut before, start) = (Flaps::default(), DeviceStatus::default(), at(1000));
    let after = |second| {
        let passed = Duration::from_secs(second);
        Stamp { wall: start.wall + passed, mono: start.mono + passed }
    };
    let silent = Facts { reachable: Some(Err("timeout")), ..good() };
    let mut seen = Vec::new();
    for second in 0..60 {
        let facts = if second % 2 == 0 { good() } else { silent.clone() };
        before = status(&before, &facts, &mut flaps, after(second));
        seen.push(before.conditions[1].clone());
    }
    seen.dedup();
    assert_eq!(seen.len(), 7, "six, then one reason: {seen:?}");
    let told = seen.last().unwrap();
    assert_eq!((&*told.status, &*told.reason), ("False", "Flapping"));
    assert!(
        told.message.contains("changed 6 times within 10 minutes, first at 1970-01-01T00:16:41Z"),
        "{}",
        told.message
    );
    let over = flaps.reachable.again().unwrap();
    let quiet = status(&before, &good(), &mut flaps, Stamp { mono: over, ..after(700) });
    assert_eq!(said(&quiet, "Reachable"), ("True".into(), "Answering".into()));

    let (mut flaps, mut before) = (Flaps::default(), DeviceStatus::default());
    for edit in 0..60 {
        let synced = if edit % 2 == 0 { Sync::Pending } else { Sync::Synced };
        let facts = Facts { generation: edit / 2, sync: vec![("a".into(), synced)], ..good() };
        before = status(&before, &facts, &mut flaps, after(edit.unsigned_abs()));
        assert_ne!(before.conditions[2].reason, "Flapping", "{edit}");
    }
}

#[test]
fn an_api_server_takes_every_reason_and_message() {
    let valid = regex_lite::Regex::new("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$").unwrap();
    for reason in ["timeout", "badData", "Config", "", " ", "1st", "not good!", "a-b", "é"] {
        assert!(valid.is_match(&camel(reason)), "{reason:?} gives {:?}", camel(reason));
    }
    assert_eq!(camel("badData"), "BadData");
    let long = bounded("ä".repeat(LONGEST_MESSAGE), LONGEST_MESSAGE);
    assert!(long.len() <= LONGEST_MESSAGE && long.ends_with("ä…"));
    assert_eq!(bounded("short".into(), LONGEST_MESSAGE), "short");
}

#[test]
fn long_texts_are_cut_in_reported() {
    let whole = "ä".repeat(LONGEST_VALUE);
    assert_eq!(bounded_value(json!(whole)), json!(whole));
    let cut = bounded_value(json!("ä".repeat(LONGEST_VALUE + 1)));
    assert_eq!(cut, json!(format!("{}…", "ä".repeat(LONGEST_VALUE - 1))));
    assert_eq!(bounded_value(json!(21.5)), json!(21.5));
}
