//! The latest that is known of each property: value, quality, time. Pure; it does no I/O and looks at no clock.

use std::time::Duration;

use mapper_api::{ErrorKind, Refusal, Value};
use tokio::time::Instant;

use crate::clock::Stamp;

/// How far a value can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// Answered and decoded.
    Good,
    /// No answer, or older than `maxAge`; the last good value stays.
    Stale,
    /// The device answered but gave no value, or it was never read.
    Bad,
}

impl Quality {
    /// The word in payloads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Stale => "stale",
            Self::Bad => "bad",
        }
    }
}

/// The latest of one property.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    last: Option<(Value, Stamp)>,
    quality: Quality,
    why: Why,
    /// Boxed, since most have none.
    detail: Option<Box<str>>,
}

/// Why a value is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Good,
    NotRead,
    Age,
    Failed(ErrorKind),
}

impl Why {
    /// The word in payloads; empty for what is good.
    fn word(self) -> &'static str {
        match self {
            Self::Good => "",
            Self::NotRead => "notRead",
            Self::Age => "age",
            Self::Failed(kind) => kind.reason(),
        }
    }
}

impl Default for Cell {
    /// Never read.
    fn default() -> Self {
        Self { last: None, quality: Quality::Bad, why: Why::NotRead, detail: None }
    }
}

impl Cell {
    /// A good answer; true if the quality changed.
    pub fn good(&mut self, value: Value, at: Stamp) -> bool {
        self.last = Some((value, at));
        self.become_(Quality::Good, Why::Good, "")
    }

    /// The device answered but gave no value; true if the quality or its reason changed.
    pub fn refused(&mut self, refusal: &Refusal) -> bool {
        self.become_(Quality::Bad, Why::Failed(refusal.kind), &refusal.detail)
    }

    /// The exchange failed; true if the quality or its reason changed.
    pub fn failed(&mut self, kind: ErrorKind) -> bool {
        match (kind, &self.last) {
            (ErrorKind::BadData, _) => self.become_(Quality::Bad, Why::Failed(kind), ""),
            (_, Some(_)) => self.become_(Quality::Stale, Why::Failed(kind), ""),
            (_, None) => self.become_(Quality::Bad, Why::NotRead, kind.reason()),
        }
    }

    /// Grows old; true if the quality changed by that.
    pub fn age(&mut self, now: Instant, max_age: Duration) -> bool {
        let (quality, why) = self.at(now, max_age);
        quality != self.quality && self.become_(quality, why, "")
    }

    /// When it will be too old, if it is good.
    pub fn ages_at(&self, max_age: Duration) -> Option<Instant> {
        match &self.last {
            Some((_, at)) if self.quality == Quality::Good => at.mono.checked_add(max_age),
            _ => None,
        }
    }

    /// The quality at a moment, and its reason.
    pub fn quality_at(&self, now: Instant, max_age: Duration) -> (Quality, &'static str) {
        let (quality, why) = self.at(now, max_age);
        (quality, why.word())
    }

    fn at(&self, now: Instant, max_age: Duration) -> (Quality, Why) {
        match self.ages_at(max_age) {
            Some(limit) if now > limit => (Quality::Stale, Why::Age),
            _ => (self.quality, self.why),
        }
    }

    /// More about the reason, such as `illegalDataAddress`; empty if there is no more.
    pub fn detail(&self) -> &str {
        self.detail.as_deref().unwrap_or_default()
    }

    /// The last good value and when it was answered; none while the quality is bad.
    pub fn value(&self) -> Option<(&Value, Stamp)> {
        self.last.as_ref().filter(|_| self.quality != Quality::Bad).map(|(value, at)| (value, *at))
    }

    fn become_(&mut self, quality: Quality, why: Why, detail: &str) -> bool {
        let changed = self.quality != quality || self.why != why || self.detail() != detail;
        if changed {
            (self.quality, self.why) = (quality, why);
            self.detail = (!detail.is_empty()).then(|| detail.into());
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mapper_api::{ErrorKind, Refusal, Value};

    use super::{Cell, Quality};
    use crate::clock::Stamp;

    const MAX: Duration = Duration::from_secs(3);

    #[test]
    fn a_value_lives_grows_old_and_comes_back() {
        let (mut cell, at) = (Cell::default(), Stamp::now());
        assert_eq!(cell.quality_at(at.mono, MAX), (Quality::Bad, "notRead"));
        assert!(cell.good(Value::Int(1), at));
        assert!(!cell.good(Value::Int(2), at));
        assert_eq!(cell.quality_at(at.mono + MAX, MAX), (Quality::Good, ""));
        let late = at.mono + MAX + Duration::from_millis(1);
        assert_eq!(cell.quality_at(late, MAX), (Quality::Stale, "age"));
        assert!(cell.age(late, MAX) && !cell.age(late, MAX));
        assert_eq!(cell.value().unwrap().0, &Value::Int(2));
        assert!(cell.good(Value::Int(3), Stamp { mono: late, ..at }));
    }

    #[test]
    fn no_answer_keeps_the_value_and_a_refusal_hides_it() {
        let (mut cell, at) = (Cell::default(), Stamp::now());
        assert!(cell.failed(ErrorKind::Timeout));
        assert_eq!((cell.quality_at(at.mono, MAX), cell.detail()), ((Quality::Bad, "notRead"), "timeout"));
        cell.good(Value::Int(1), at);
        assert!(cell.failed(ErrorKind::Timeout) && !cell.failed(ErrorKind::Timeout) && cell.failed(ErrorKind::Bus));
        assert_eq!((cell.quality_at(at.mono, MAX), cell.value().is_some()), ((Quality::Stale, "bus"), true));
        let refusal = Refusal::rejected("illegalDataAddress");
        assert!(cell.refused(&refusal) && !cell.refused(&refusal));
        assert_eq!((cell.quality_at(at.mono, MAX), cell.value()), ((Quality::Bad, "rejected"), None));
        assert!(cell.failed(ErrorKind::BadData));
        assert_eq!(cell.value(), None);
    }
}
