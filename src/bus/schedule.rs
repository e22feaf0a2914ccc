//! What a bus does next. Pure: deadlines in, a decision out.
//!
//! Healthy polls come by how overdue they are. A device that left a question unanswered is *suspect*: it is asked
//! one question at a time, after everybody else, in time that nobody needs or else once between two polls. So a
//! healthy device waits for at most one time-out, however many of its neighbours are dead.

use std::time::Duration;

use tokio::time::Instant;

/// Deadlines this close share a wake-up.
pub(super) const SLACK: Duration = Duration::from_millis(10);
/// A bus that is never idle lets a probe pass after it has waited this long, or a device that came back would stay
/// unread.
const PATIENCE: Duration = Duration::from_secs(5);

/// When one plan of a device is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// None when it is not to run (again).
    pub due: Option<Instant>,
    /// None for what runs once, before everything else of the device.
    pub period: Option<Duration>,
    /// Some of its sequences have run.
    pub started: bool,
}

impl Slot {
    /// Whether it is to run now; what is due within the slack counts.
    pub fn is_due(&self, now: Instant) -> bool {
        // The slack of a fast poll is a tenth of its period: it must not run ahead of itself.
        let slack = self.period.map_or(SLACK, |period| SLACK.min(period / 10));
        self.due.is_some_and(|due| due <= now + slack)
    }
}

/// The single question to a suspect device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe {
    pub due: Instant,
    /// How long it may keep the bus.
    pub longest: Duration,
}

/// How freely probes may run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// A probe has run since the last healthy poll.
    pub used: bool,
    /// From when on a probe that lost its patience may run ahead of healthy polls.
    pub ahead_from: Instant,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The next sequence of this slot of this device.
    Poll(usize, usize),
    /// The probe of this device.
    Probe(usize),
    /// Nothing until then; none is nothing at all.
    Wait(Option<Instant>),
}

/// Decides for devices given as their slots and, when suspect, their probe.
pub(super) fn next<'a>(
    devices: impl Iterator<Item = (&'a [Slot], Option<Probe>)>,
    allowance: Allowance,
    now: Instant,
) -> Next {
    let mut poll: Option<((Instant, bool), Next)> = None;
    let mut probe: Option<(Probe, usize)> = None;
    let mut later: Option<Instant> = None;
    for (device, (slots, suspect)) in devices.enumerate() {
        if let Some(suspect) = suspect {
            if probe.is_none_or(|(other, _)| suspect.due < other.due) {
                probe = Some((suspect, device));
            }
            continue;
        }
        for (index, slot) in slots.iter().enumerate() {
            let Some(due) = slot.due else { continue };
            if slot.is_due(now) {
                let rank = (due, !slot.started);
                if poll.is_none_or(|(other, _)| rank < other) {
                    poll = Some((rank, Next::Poll(device, index)));
                }
            } else {
                later = Some(earliest(later, due));
            }
            if slot.period.is_none() {
                break;
            }
        }
    }
    let Some((suspect, device)) = probe else {
        return poll.map_or(Next::Wait(later), |(_, next)| next);
    };
    let waited = now.checked_duration_since(suspect.due);
    match (poll, waited) {
        (Some(_), Some(waited)) if waited >= PATIENCE && now >= allowance.ahead_from => Next::Probe(device),
        (Some((_, next)), _) => next,
        (None, Some(_)) if !allowance.used || later.is_none_or(|due| now + suspect.longest <= due) => {
            Next::Probe(device)
        }
        (None, Some(_)) => Next::Wait(later),
        (None, None) => Next::Wait(Some(earliest(later, suspect.due))),
    }
}

/// How many deadlines passed between the one that is due and now: those polls are skipped.
pub(super) fn missed(slot: &Slot, now: Instant) -> u64 {
    match (slot.due, slot.period) {
        (Some(due), Some(period)) if !period.is_zero() => {
            let late = now.saturating_duration_since(due).as_nanos();
            u64::try_from(late / period.as_nanos()).unwrap_or(u64::MAX)
        }
        _ => 0,
    }
}

pub(super) fn earliest(a: Option<Instant>, b: Instant) -> Instant {
    a.map_or(b, |a| a.min(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ms(millis: i64) -> Instant {
        thread_local!(static ZERO: Instant = Instant::now() + Duration::from_secs(1_000));
        let offset = Duration::from_millis(millis.unsigned_abs());
        ZERO.with(|zero| if millis < 0 { *zero - offset } else { *zero + offset })
    }

    fn slot(due: i64) -> Slot {
        Slot { due: Some(ms(due)), period: Some(SECOND), started: false }
    }

    fn probe(due: i64) -> Probe {
        Probe { due: ms(due), longest: Duration::from_millis(300) }
    }

    fn decide(devices: &[(Vec<Slot>, Option<Probe>)], used: bool) -> Next {
        let allowance = Allowance { used, ahead_from: ms(0) };
        next(devices.iter().map(|(slots, probe)| (&slots[..], *probe)), allowance, ms(0))
    }

    #[test]
    fn the_most_overdue_comes_first_and_what_was_begun_is_finished() {
        assert_eq!(decide(&[(vec![slot(-1)], None), (vec![slot(-2)], None)], false), Next::Poll(1, 0));
        assert_eq!(decide(&[(vec![slot(-1)], None), (vec![slot(-1)], None)], false), Next::Poll(0, 0));
        let begun = Slot { started: true, ..slot(-1) };
        assert_eq!(decide(&[(vec![slot(-1)], None), (vec![slot(-1), begun], None)], false), Next::Poll(1, 1));
    }

    #[test]
    fn deadlines_within_the_slack_share_a_wake_up() {
        assert_eq!(decide(&[(vec![slot(10)], None)], false), Next::Poll(0, 0));
        assert_eq!(decide(&[(vec![slot(11), slot(30)], None)], false), Next::Wait(Some(ms(11))));
        let fast = Slot { period: Some(Duration::from_millis(20)), ..slot(3) };
        assert_eq!(decide(&[(vec![fast], None)], false), Next::Wait(Some(ms(3))));
        assert_eq!(decide(&[], false), Next::Wait(None));
    }

    #[test]
    fn what_runs_once_runs_before_the_rest_of_its_device() {
        let once = Slot { period: None, ..slot(0) };
        assert_eq!(decide(&[(vec![once, slot(-500)], None)], false), Next::Poll(0, 0));
        let done = Slot { due: None, ..once };
        assert_eq!(decide(&[(vec![done, slot(-500)], None)], false), Next::Poll(0, 1));
    }

    #[test]
    fn a_suspect_is_asked_last_and_alone() {
        let dead = (vec![slot(-900)], Some(probe(-10)));
        assert_eq!(decide(&[dead.clone(), (vec![slot(-1)], None)], false), Next::Poll(1, 0));
        assert_eq!(decide(&[dead.clone(), (vec![slot(100)], None)], false), Next::Probe(0));
        assert_eq!(decide(&[dead.clone(), (vec![slot(100)], None)], true), Next::Wait(Some(ms(100))));
        assert_eq!(decide(&[dead.clone(), (vec![slot(300)], None)], true), Next::Probe(0), "it fits in between");
        assert_eq!(decide(&[dead, (vec![], None)], true), Next::Probe(0), "nobody waits");
        assert_eq!(decide(&[(vec![slot(-900)], Some(probe(50)))], false), Next::Wait(Some(ms(50))));
    }

    #[test]
    fn a_bus_without_a_pause_lets_a_probe_pass_at_last() {
        let busy = (vec![slot(-1)], None);
        assert_eq!(decide(&[(vec![], Some(probe(-4_999))), busy.clone()], true), Next::Poll(1, 0));
        let waiting = [(vec![], Some(probe(-5_000))), busy];
        assert_eq!(decide(&waiting, true), Next::Probe(0));
        let spent = Allowance { used: true, ahead_from: ms(1) };
        let devices = waiting.iter().map(|(slots, probe)| (&slots[..], *probe));
        assert_eq!(next(devices, spent, ms(0)), Next::Poll(1, 0));
    }

    #[test]
    fn late_polls_are_counted() {
        for (due, count) in [(0, 0), (5, 0), (-999, 0), (-1_000, 1), (-3_500, 3)] {
            assert_eq!(missed(&slot(due), ms(0)), count, "{due}");
        }
    }
}
