//! What of a stored status stays when a newer one is told, whether the two differ at all, and what people are told of the
//! difference. Pure.

use std::sync::Arc;

use fieldgate_crds::{Condition, DeviceStatus, condition};
use serde_json::Value;

use super::{
    sink::Notice,
    status::{is_transitional, renew_ready},
    words::is_same_story,
};
use crate::bus::OPENING;

/// The status to store: the one computed, but what only tells that something is about to be known does not overwrite
/// what is stored of the same generation. So a bridge that starts anew over a quiet fleet has nothing to write.
///
/// - A condition that is not known yet leaves the stored one, if that says more.
/// - Transition times are those of the stored conditions where the status is the same.
/// - The words of a failure stay while its reason does, unless later ones differ in more than their times; that the bus is
///   about to be opened says less than they do.
/// - A value that was not read yet (`unread`) leaves the stored one.
///
/// With `remodelled`, or under another generation of the model, what is stored may be of another spec of the same
/// generation: only the times are taken over. That the model has another generation is no news by itself, or an edit of it
/// would be a write for each of its devices.
pub fn carry(stored: &DeviceStatus, computed: &DeviceStatus, unread: &[Arc<str>], remodelled: bool) -> DeviceStatus {
    let mut next = computed.clone();
    let same_generation = stored.observed_generation == computed.observed_generation
        && stored.observed_model_generation == computed.observed_model_generation
        && !remodelled;
    for condition in next.conditions.iter_mut().filter(|c| c.type_ != condition::READY) {
        let Some(old) = stored.conditions.iter().find(|old| old.type_ == condition.type_) else { continue };
        let unknown = condition.status == "Unknown" && is_transitional(condition);
        if same_generation && unknown && !is_transitional(old) {
            *condition = old.clone();
        } else if old.status == condition.status {
            condition.last_transition_time = old.last_transition_time.clone();
            if same_generation && is_same_failure(old, condition) {
                condition.message.clone_from(&old.message);
            }
        }
    }
    let now = computed.conditions.iter().find(|c| c.type_ == condition::READY).map(|c| c.last_transition_time.clone());
    if let Some(now) = now {
        renew_ready(stored, &mut next, &now);
    }
    if same_generation {
        for name in unread {
            if let (Some(next), Some(old)) = (next.reported.get_mut(&**name), stored.reported.get(&**name)) {
                next.value.clone_from(&old.value);
            }
        }
    }
    let quiet = DeviceStatus { observed_model_generation: stored.observed_model_generation, ..next.clone() };
    if is_same(stored, &quiet) { quiet } else { next }
}

/// A failure of the same kind and of the same bus or property, which the message begins with, told in the same words.
fn is_same_failure(old: &Condition, new: &Condition) -> bool {
    let whose = |c: &Condition| c.message.split_whitespace().next().map(str::to_owned);
    matches!(&*new.reason, "Timeout" | "Unreachable" | "Bus" | "BadData" | "WriteFailed" | "Flapping")
        && old.reason == new.reason
        && whose(old) == whose(new)
        && (new.message.contains(OPENING) || is_same_story(&old.message, &new.message))
}

/// Whether a status still tells of something that settles by itself.
pub fn is_settled(status: &DeviceStatus) -> bool {
    !status.conditions.iter().any(is_transitional)
}

/// Whether a status tells of something that a person has to look at.
pub fn is_urgent(status: &DeviceStatus) -> bool {
    let ready = status.conditions.iter().find(|c| c.type_ == condition::READY);
    ready.is_some_and(|ready| ready.status == "False" && !is_transitional(ready))
}

/// Whether two statuses are the same JSON. Numbers are compared as such: an API server may give 20.0 back as 20.
pub fn is_same(a: &DeviceStatus, b: &DeviceStatus) -> bool {
    a == b || matches!((serde_json::to_value(a), serde_json::to_value(b)), (Ok(a), Ok(b)) if is_same_json(&a, &b))
}

fn is_same_json(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            x == y || ((x.is_f64() || y.is_f64()) && x.as_f64().is_some() && x.as_f64() == y.as_f64())
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| is_same_json(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, x)| y.get(key).is_some_and(|y| is_same_json(x, y)))
        }
        _ => a == b,
    }
}

/// What people are told of a change: at most one thing, since one cause moves several conditions. `Ready` stands for all
/// if it changed its status; what is about to settle is no news.
pub fn notice(before: &DeviceStatus, after: &DeviceStatus) -> Option<Notice> {
    let order = [condition::READY, condition::ACCEPTED, condition::REACHABLE, condition::SYNCED];
    let changed = order.iter().find_map(|type_| {
        let new = after.conditions.iter().find(|c| c.type_ == *type_)?;
        let old = before.conditions.iter().find(|c| c.type_ == *type_);
        // What was unknown and is true now is told by Ready alone.
        let rises =
            new.status == "True" && (*type_ == condition::READY || old.is_some_and(|old| old.status == "False"));
        let falls = new.status == "False" && !is_transitional(new);
        // The end of a transition that was stored as False is none of its own: compare with what it ended in.
        let differs = old.is_none_or(|old| old.status != new.status || (is_transitional(old) && falls));
        (differs && (rises || falls)).then_some(new)
    })?;
    let message = match (&*changed.message, &*changed.type_) {
        ("", condition::READY) => "the device answers and holds what is desired".to_owned(),
        ("", type_) => format!("{type_} again: {}", changed.reason),
        (message, _) => message.to_owned(),
    };
    Some(Notice { warning: changed.status == "False", reason: changed.reason.clone(), message })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fieldgate_crds::Reported;
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::{
        clock::Stamp,
        control::{
            desired::Sync,
            status::{Facts, Flaps, status},
        },
    };

    fn made(second: u64, facts: &Facts) -> DeviceStatus {
        let now = Stamp { wall: Duration::from_secs(second), mono: Instant::now() };
        status(&DeviceStatus::default(), facts, &mut Flaps::default(), now)
    }

    fn good() -> Facts {
        Facts { generation: 3, running: true, reachable: Some(Ok(())), bus: "b".into(), ..Facts::default() }
    }

    fn silent(words: &str) -> Facts {
        Facts { reachable: Some(Err("timeout")), words: words.into(), ..good() }
    }

    fn with(sync: Sync) -> Facts {
        Facts { sync: vec![("a".into(), sync)], ..good() }
    }

    #[test]
    fn a_start_over_a_quiet_device_changes_nothing_whatever_it_held() {
        let starting = Facts { reachable: None, ..with(Sync::Unknown) };
        for stored in [with(Sync::Synced), with(Sync::Refused("x".into())), silent("no answer within 301 ms")] {
            let before = made(10, &stored);
            let after = made(
                99,
                &Facts { sync: stored.sync.iter().map(|_| ("a".into(), Sync::Unknown)).collect(), ..starting.clone() },
            );
            assert_eq!(carry(&before, &after, &[], false), before, "starting: {stored:?}");
            let again = Facts { words: "no answer within 302 ms".into(), ..stored.clone() };
            assert_eq!(carry(&before, &made(99, &again), &[], false), before, "found as it was: {stored:?}");
        }
        // It is silent, and what it holds is not known anew.
        let before = made(10, &Facts { sync: vec![("a".into(), Sync::Synced)], ..silent("x within 1 s") });
        let after = made(99, &Facts { sync: vec![("a".into(), Sync::Unknown)], ..silent("x within 2 s") });
        assert_eq!(carry(&before, &after, &[], false), before);
    }

    #[test]
    fn what_is_about_to_be_written_is_told_if_it_takes_long() {
        let (before, after) = (made(10, &with(Sync::Synced)), made(99, &with(Sync::Pending)));
        assert_eq!(carry(&before, &after, &[], false).conditions[2].reason, "Writing");
    }

    #[test]
    fn another_generation_is_answered_even_if_nothing_is_known_yet() {
        let before = made(10, &good());
        let after = made(99, &Facts { generation: 4, reachable: None, ..good() });
        assert_eq!(carry(&before, &after, &[], false).conditions[1].reason, "NotRead");
    }

    #[test]
    fn what_was_stored_of_a_spec_before_the_models_edit_is_not_taken_for_its_own() {
        let before = made(10, &with(Sync::Synced));
        let after = made(99, &with(Sync::Unknown));
        assert_eq!(carry(&before, &after, &[], false).conditions[2].reason, "Synced");
        let carried = carry(&before, &after, &[], true);
        assert_eq!(carried.conditions[2].reason, "NotRead");
        assert_eq!(carried.conditions[1], before.conditions[1], "the time of what did not change stays");
    }

    #[test]
    fn what_was_confirmed_under_the_model_before_is_not_claimed_and_the_edit_alone_is_not_written() {
        let under = |model, facts: Facts| Facts { model_generation: Some(model), ..facts };
        let before = made(10, &under(1, with(Sync::Synced)));
        let starting = made(99, &under(2, Facts { reachable: None, ..with(Sync::Unknown) }));
        let carried = carry(&before, &starting, &[], false);
        assert_eq!((&*carried.conditions[1].reason, &*carried.conditions[2].reason), ("NotRead", "NotRead"));
        assert_eq!(carried.observed_model_generation, Some(2));
        assert_eq!(carry(&before, &made(99, &under(2, with(Sync::Synced))), &[], false), before, "found as it was");
        let silent =
            carry(&before, &made(99, &under(2, Facts { reachable: Some(Err("timeout")), ..good() })), &[], false);
        assert_eq!(silent.observed_model_generation, Some(2), "with other changes it is written");
        let reported = |value| [("a".to_owned(), Reported { value, desired: None })].into();
        let held = DeviceStatus { reported: reported(Some(json!(1))), ..before };
        let unread = DeviceStatus { reported: reported(None), ..starting };
        assert_eq!(carry(&held, &unread, &["a".into()], false).reported["a"].value, None);
    }

    #[test]
    fn another_bus_is_named() {
        let before = made(10, &silent("x"));
        let after = made(99, &Facts { bus: "c".into(), ..silent("x") });
        assert!(carry(&before, &after, &[], false).conditions[1].message.starts_with("c: x"));
    }

    #[test]
    fn other_words_of_one_reason_replace_those_before_but_not_that_the_bus_is_being_opened() {
        let (unheard, opening) = ("it was not heard within 28s", OPENING);
        for (old, new, stays) in [
            (unheard, "it was not heard within 30s", true),
            (unheard, "it cannot be paired", false),
            (unheard, opening, true),
            (opening, unheard, false),
        ] {
            let (old, new) = (made(10, &silent(old)), made(99, &silent(new)));
            let carried = carry(&old, &new, &[], false);
            let expected = if stays { &old } else { &new };
            assert_eq!(carried.conditions[1].message, expected.conditions[1].message);
        }
    }

    #[test]
    fn what_was_not_read_yet_keeps_the_stored_value() {
        let reported = |value| [("a".to_owned(), Reported { value, desired: None })].into();
        let before = DeviceStatus { reported: reported(Some(json!(1))), ..made(10, &good()) };
        let after = DeviceStatus { reported: reported(None), ..made(99, &good()) };
        assert_eq!(carry(&before, &after, &["a".into()], false).reported["a"].value, Some(json!(1)));
        assert_eq!(carry(&before, &after, &[], false).reported["a"].value, None, "it was read and gave no value");
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let table = [
            (json!(20.0), json!(20), true),
            (json!(20.5), json!(20), false),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64), false),
            (json!("20"), json!(20), false),
            (json!({"a": [1.0, {"b": 2}]}), json!({"a": [1, {"b": 2.0}]}), true),
            (json!({"a": null}), json!({}), false),
        ];
        for (a, b, same) in table {
            assert_eq!(is_same_json(&a, &b), same, "{a} {b}");
        }
    }

    #[test]
    fn one_cause_gives_one_notice() {
        let refused = Facts { refused: Some(("Config", "spec.x: y".into())), running: false, ..good() };
        let (new, starting) = (DeviceStatus::default(), made(1, &Facts { reachable: None, ..good() }));
        let of = |facts: &Facts| made(1, facts);
        let table = [
            ("new and good", &new, of(&good()), Some((false, "Ready"))),
            ("new and not read yet", &new, starting.clone(), None),
            ("then read", &starting, of(&good()), Some((false, "Ready"))),
            ("falls silent", &of(&good()), of(&silent("x")), Some((true, "Timeout"))),
            ("answers again", &of(&silent("x")), of(&good()), Some((false, "Ready"))),
            ("is being written", &of(&good()), of(&with(Sync::Pending)), None),
            ("was written", &of(&with(Sync::Pending)), of(&with(Sync::Synced)), Some((false, "Ready"))),
            ("refuses", &of(&with(Sync::Pending)), of(&with(Sync::Refused("x".into()))), Some((true, "Refused"))),
            ("not accepted", &of(&good()), of(&refused), Some((true, "Config"))),
            ("not accepted while silent", &of(&silent("x")), of(&refused), Some((true, "Config"))),
            ("other words", &of(&silent("x")), of(&silent("y")), None),
        ];
        for (case, before, after, wanted) in table {
            let got = notice(before, &after);
            assert_eq!(got.as_ref().map(|n| (n.warning, &*n.reason)), wanted, "{case}: {got:?}");
        }
    }
}
