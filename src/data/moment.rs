//! Time for payloads: the boot's identity, when the clock may be trusted, and RFC 3339 text.

use std::time::Duration;

use tokio::time::Instant;

use super::options::ClockRule;
use crate::clock::Stamp;

/// How long messages wait after the start for a clock that can be trusted.
pub const GRACE: Duration = Duration::from_secs(30);

/// When this program was built, since the Unix epoch.
fn built() -> Duration {
    Duration::from_secs(env!("FIELDGATE_BUILT").parse().unwrap_or(0))
}

/// A new identity for this start: ten characters of Crockford's base 32, from time (so that they mostly sort) and chance.
pub fn boot_id(now: Stamp) -> String {
    const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let bits = (now.wall.as_secs() << 15) | u64::from(fastrand::u16(..) >> 1);
    (0..10).rev().map(|i| char::from(LETTERS[usize::try_from(bits >> (5 * i) & 31).unwrap_or(0)])).collect()
}

/// Judges whether the wall clock may be trusted, and corrects what was stamped before.
#[derive(Debug)]
pub struct Clock {
    rule: ClockRule,
    started: Instant,
    set: Option<Stamp>,
}

/// The time that a message is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// This wall time.
    Right(Duration),
    /// This wall time, which is not to be trusted.
    Unset(Duration),
    /// Not yet: the clock may still be set. This is what it shows.
    Wait(Duration),
}

impl Clock {
    /// A clock of this rule.
    pub fn new(rule: ClockRule, started: Stamp) -> Self {
        let mut clock = Self { rule, started: started.mono, set: None };
        clock.look(started);
        clock
    }

    /// Looks whether the clock has been set by now; true if that is news.
    pub fn look(&mut self, now: Stamp) -> bool {
        let trusted = self.set.is_none()
            && match &self.rule {
                ClockRule::Always => true,
                ClockRule::AfterBuild => now.wall >= built(),
                ClockRule::File(path) => now.wall >= built() && path.exists(),
            };
        if trusted {
            self.set = Some(now);
        }
        trusted
    }

    /// Whether the clock may be trusted.
    pub fn is_set(&self) -> bool {
        self.set.is_some()
    }

    /// When messages stop waiting; none once the clock is set.
    pub fn deadline(&self) -> Option<Instant> {
        self.set.is_none().then(|| self.started + GRACE)
    }

    /// The time to give to something that happened at `stamp`: what was stamped before the clock was set is corrected by
    /// the monotonic clock.
    pub fn give(&self, stamp: Stamp, now: Instant) -> Given {
        match self.set {
            Some(set) if stamp.mono < set.mono => Given::Right(set.wall.saturating_sub(set.mono - stamp.mono)),
            Some(_) => Given::Right(stamp.wall),
            None if now < self.started + GRACE => Given::Wait(stamp.wall),
            None => Given::Unset(stamp.wall),
        }
    }

    /// The best wall time known for a moment.
    pub fn wall(&self, stamp: Stamp) -> Duration {
        match self.set {
            Some(set) if stamp.mono < set.mono => set.wall.saturating_sub(set.mono - stamp.mono),
            _ => stamp.wall,
        }
    }
}

/// Appends a wall time as RFC 3339 in UTC with milliseconds: `2026-11-23T21:11:04.512Z`. Hand-written, since it stands
/// in every message and for every property of every `state`.
pub fn write_rfc3339(out: &mut Vec<u8>, wall: Duration) {
    let seconds = wall.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let second = seconds % 86_400;
    digits(out, year, 4);
    out.push(b'-');
    digits(out, month, 2);
    out.push(b'-');
    digits(out, day, 2);
    out.push(b'T');
    digits(out, second / 3600, 2);
    out.push(b':');
    digits(out, second / 60 % 60, 2);
    out.push(b':');
    digits(out, second % 60, 2);
    out.push(b'.');
    digits(out, wall.subsec_millis().into(), 3);
    out.push(b'Z');
}

fn digits(out: &mut Vec<u8>, number: u64, count: u32) {
    for i in (0..count).rev() {
        out.push(b'0' + u8::try_from(number / 10_u64.pow(i) % 10).unwrap_or(0));
    }
}

/// Year, month and day of a day since 1970-01-01, Gregorian. Years begin in March, so that the leap day is the last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Clock, GRACE, Given, boot_id, built, write_rfc3339};
    use crate::{clock::Stamp, data::options::ClockRule};

    fn text(wall: Duration) -> String {
        let mut out = Vec::new();
        write_rfc3339(&mut out, wall);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn it_writes_what_a_library_writes() {
        for seconds in [0, 951_782_399, 951_782_400, 1_709_164_800, 1_795_468_264, 4_107_542_400, 16_725_225_599] {
            let wall = Duration::from_millis(seconds * 1000 + 512);
            let expected = jiff::Timestamp::from_millisecond(i64::try_from(wall.as_millis()).unwrap()).unwrap();
            assert_eq!(text(wall), format!("{expected:.3}"));
        }
    }

    #[test]
    fn a_boot_has_ten_letters_and_later_ones_sort_later() {
        let now = Stamp::now();
        let later = Stamp { wall: now.wall + Duration::from_secs(1), ..now };
        assert_eq!(boot_id(now).len(), 10);
        assert!(boot_id(now) < boot_id(later));
    }

    #[test]
    fn what_was_stamped_before_the_clock_was_set_is_corrected() {
        let at = |wall: u64, mono| Stamp { wall: Duration::from_secs(wall), mono };
        let start = Instant::now();
        let mut clock = Clock::new(ClockRule::AfterBuild, at(5, start));
        let early = at(7, start + Duration::from_secs(2));
        assert_eq!(clock.give(early, early.mono), Given::Wait(early.wall));
        let right = built().as_secs() + 1000;
        assert!(clock.look(at(right, start + Duration::from_secs(12))));
        assert_eq!(clock.give(early, early.mono), Given::Right(Duration::from_secs(right - 10)));
        let late = at(right + 1, start + Duration::from_secs(13));
        assert_eq!(clock.give(late, late.mono), Given::Right(late.wall));
    }

    #[test]
    fn after_the_grace_they_go_as_they_are() {
        let start = Stamp { wall: Duration::from_secs(5), mono: Instant::now() };
        let clock = Clock::new(ClockRule::AfterBuild, start);
        assert_eq!(clock.give(start, start.mono + GRACE), Given::Unset(start.wall));
        assert!(Clock::new(ClockRule::Always, start).is_set());
    }
}
