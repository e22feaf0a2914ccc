//! When an adapter that hears nothing is helped, and how. Pure; time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing before that time.
    Wait(Instant),
    /// Stop discovery and start it again.
    Restart,
    /// Switch the adapter off and on.
    PowerCycle,
    /// Say that nothing helped.
    Report,
}

/// The watchdog of one adapter.
#[derive(Debug)]
pub struct Watchdog {
    silence: Duration,
    longest: Duration,
    since: Instant,
    wait: Duration,
    next: Step,
    /// Since when nothing can be heard, because nobody wants to.
    paused: Option<Instant>,
}

impl Watchdog {
    /// `silence`: how long nothing may be heard before a step and between two; after each round in vain twice as
    /// long, up to `longest`.
    pub fn new(silence: Duration, longest: Duration, now: Instant) -> Self {
        Self { silence, longest: longest.max(silence), since: now, wait: silence, next: Step::Restart, paused: None }
    }

    /// The step that is due. `heard`: when the adapter last heard anything. `linked`: it holds links, which a power
    /// cycle would cut and which show that the controller works.
    pub fn step(&mut self, heard: Option<Instant>, linked: bool, now: Instant) -> Step {
        self.learn(heard);
        let due = self.since + self.wait;
        if now < due {
            return Step::Wait(due);
        }
        let step = self.next;
        self.since = now;
        self.next = match step {
            Step::Restart if linked => Step::Report,
            Step::Restart => Step::PowerCycle,
            Step::PowerCycle => Step::Report,
            Step::Report | Step::Wait(_) => Step::Restart,
        };
        if step == Step::Report {
            self.wait = (self.wait * 2).min(self.longest);
        }
        step
    }

    /// Discovery is off from now on: the silence that follows says nothing. What was tried is remembered.
    pub fn pause(&mut self, heard: Option<Instant>, now: Instant) {
        self.learn(heard);
        self.paused.get_or_insert(now);
    }

    /// Discovery is on again.
    pub fn resume(&mut self, now: Instant) {
        if let Some(paused) = self.paused.take() {
            self.since += now.duration_since(paused);
        }
    }

    fn learn(&mut self, heard: Option<Instant>) {
        if let Some(heard) = heard.filter(|heard| *heard > self.since) {
            *self = Self { paused: self.paused, ..Self::new(self.silence, self.longest, heard) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Step::*, *};

    #[test]
    fn steps() {
        let t0 = Instant::now();
        let at = |seconds| t0 + Duration::from_secs(seconds);
        let mut dog = Watchdog::new(Duration::from_secs(90), Duration::from_secs(200), t0);
        for (now, heard, linked, expected) in [
            (0, None, false, Wait(at(90))),
            (89, None, false, Wait(at(90))),
            (90, Some(60), false, Wait(at(150))),
            (150, Some(60), false, Restart),
            (151, Some(60), false, Wait(at(240))),
            (240, Some(60), false, PowerCycle),
            (330, Some(60), false, Report),
            (331, Some(60), false, Wait(at(510))),
            (510, Some(60), false, Restart),
            (690, Some(60), false, PowerCycle),
            (870, Some(60), false, Report),
            (1069, Some(60), false, Wait(at(1070))),
            (1070, Some(60), false, Restart),
            // Something at last: as in the beginning.
            (1100, Some(1080), false, Wait(at(1170))),
            // With links on it, the adapter is not switched off.
            (1170, Some(1080), true, Restart),
            (1260, Some(1080), true, Report),
            (1440, Some(1080), true, Restart),
        ] {
            assert_eq!(dog.step(heard.map(at), linked, at(now)), expected, "{now}");
        }
    }

    #[test]
    fn a_pause_is_no_silence_and_nothing_is_forgotten_over_it() {
        let t0 = Instant::now();
        let at = |seconds| t0 + Duration::from_secs(seconds);
        let mut dog = Watchdog::new(Duration::from_secs(90), Duration::from_secs(3600), t0);
        for now in [90, 180, 270] {
            dog.step(None, false, at(now));
        }
        // Listeners that come and go while the second round is under way.
        for begin in (280..400).step_by(40) {
            dog.pause(None, at(begin));
            dog.pause(None, at(begin + 5));
            dog.resume(at(begin + 20));
        }
        assert_eq!(dog.step(None, false, at(400)), Wait(at(270 + 180 + 60)));
        assert_eq!(dog.step(None, false, at(510)), Restart);
        // What was heard last before a pause counts, and so does the time after it.
        dog.pause(Some(at(520)), at(530));
        dog.resume(at(630));
        assert_eq!(dog.step(Some(at(520)), false, at(630)), Wait(at(520 + 90 + 100)));
    }
}
