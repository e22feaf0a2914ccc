//! Which readings are published. Pure: the state of one property, and one decision.

use std::time::Duration;

use mapper_api::Value;
use tokio::time::Instant;

use crate::model::Publish;

/// What was last published of one property.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    last: Last,
    at: Option<Instant>,
}

#[derive(Debug, Clone, Default, PartialEq)]
enum Last {
    #[default]
    Nothing,
    Value(Value),
    Failure(&'static str),
}

impl Filter {
    /// Whether a value passes. It becomes the one to compare with if it does.
    pub fn value(&mut self, rule: &Publish, value: &Value, now: Instant) -> bool {
        let passes = match &self.last {
            Last::Value(last) => self.is_due(rule, now) || changed(rule, last, value),
            Last::Nothing | Last::Failure(_) => true,
        };
        if passes {
            self.at = Some(now);
            // Only a rule that compares pays for a copy.
            self.last =
                Last::Value(if rule.on_change || rule.deadband.is_some() { value.clone() } else { Value::Bool(false) });
        }
        passes
    }

    /// Whether a failed read passes: always the first after a value and with another reason, else `atLeastEvery` only.
    pub fn failure(&mut self, rule: &Publish, reason: &'static str, now: Instant) -> bool {
        let passes = self.last != Last::Failure(reason) || self.is_due(rule, now);
        if passes {
            self.last = Last::Failure(reason);
            self.at = Some(now);
        }
        passes
    }

    fn is_due(&self, rule: &Publish, now: Instant) -> bool {
        let since = |at| now.saturating_duration_since(at) + SLACK;
        rule.at_least_every.is_some_and(|every| self.at.is_none_or(|at| since(at) >= every))
    }
}

/// Polls come a little early or late; a value due now must not wait for the next.
const SLACK: Duration = Duration::from_millis(50);

fn changed(rule: &Publish, last: &Value, value: &Value) -> bool {
    match rule.deadband {
        Some(band) => match (number(last), number(value)) {
            (Some((last, _)), Some((value, precision))) => {
                let distance = (value - last).abs();
                // 21.6 - 21.5 is a hair more than 0.1 in binary; "by more than" is meant in decimal.
                let hair = if band > 0.0 { 4.0 * precision * last.abs().max(value.abs()) } else { 0.0 };
                distance > band + hair
            }
            _ => last != value,
        },
        None if rule.on_change => last != value,
        None => true,
    }
}

/// A number, and the relative precision of its kind.
#[allow(clippy::cast_precision_loss)] // a deadband is a double
fn number(value: &Value) -> Option<(f64, f64)> {
    match value {
        Value::Int(v) => Some((*v as f64, f64::EPSILON)),
        Value::Uint(v) => Some((*v as f64, f64::EPSILON)),
        Value::Float32(v) => Some((f64::from(*v), f64::from(f32::EPSILON))),
        Value::Float64(v) => Some((*v, f64::EPSILON)),
        Value::Bool(_) | Value::Text(_) | Value::Bytes(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mapper_api::Value;
    use tokio::time::Instant;

    use super::Filter;
    use crate::model::Publish;

    /// Runs (second, value or failure, passes?) through one filter.
    fn run(rule: &Publish, steps: &[(u64, Result<Value, &'static str>, bool)]) {
        let (start, mut filter) = (Instant::now(), Filter::default());
        for (second, step, passes) in steps {
            let now = start + Duration::from_secs(*second);
            let found = match step {
                Ok(value) => filter.value(rule, value, now),
                Err(reason) => filter.failure(rule, reason, now),
            };
            assert_eq!(found, *passes, "second {second}, {step:?}, {rule:?}");
        }
    }

    #[allow(clippy::unnecessary_wraps)] // a step of the table
    fn f(v: f64) -> Result<Value, &'static str> {
        Ok(Value::Float64(v))
    }

    #[test]
    fn without_a_rule_every_value_passes_and_repeated_failures_do_not() {
        let rule = Publish::default();
        let (timeout, bus) = (Err("timeout"), Err("bus"));
        run(
            &rule,
            &[
                (0, f(1.0), true),
                (1, f(1.0), true),
                (2, timeout.clone(), true),
                (3, timeout.clone(), false),
                (4, bus, true),
                (5, timeout, true),
                (6, f(1.0), true),
            ],
        );
    }

    #[test]
    fn on_change_compares_with_the_last_published() {
        let rule = Publish { on_change: true, ..Publish::default() };
        run(&rule, &[(0, f(1.0), true), (1, f(1.0), false), (2, f(1.5), true), (3, f(1.0), true), (4, f(1.0), false)]);
        let text = |v: &str| Ok(Value::from(v));
        run(&rule, &[(0, text("on"), true), (1, text("on"), false), (2, text("off"), true)]);
    }

    #[test]
    fn a_deadband_lets_only_larger_steps_pass_and_creeping_adds_up() {
        let rule = Publish { on_change: true, deadband: Some(0.1), ..Publish::default() };
        let steps =
            [(0, f(21.5), true), (1, f(21.6), false), (2, f(21.58), false), (3, f(21.61), true), (4, f(21.5), true)];
        run(&rule, &steps);
        let single = |v: f32| Ok(Value::Float32(v));
        run(&rule, &[(0, single(21.5), true), (1, single(21.6), false), (2, single(21.61), true)]);
        let zero = Publish { deadband: Some(0.0), ..rule };
        run(&zero, &[(0, f(5.0), true), (1, f(5.0), false), (2, f(5.000_001), true)]);
    }

    #[test]
    fn at_least_every_repeats_values_and_failures() {
        let rule = Publish { on_change: true, at_least_every: Some(Duration::from_secs(60)), ..Publish::default() };
        run(&rule, &[(0, f(1.0), true), (59, f(1.0), false), (60, f(1.0), true), (61, f(1.0), false)]);
        run(&rule, &[(0, Err("timeout"), true), (59, Err("timeout"), false), (60, Err("timeout"), true)]);
    }

    #[test]
    fn the_first_value_after_a_failure_passes_even_if_unchanged() {
        let rule = Publish { on_change: true, ..Publish::default() };
        run(&rule, &[(0, f(1.0), true), (1, Err("timeout"), true), (2, f(1.0), true), (3, f(1.0), false)]);
    }
}
