//! When the status of a device is written. Pure: it reads no clock, holds no status and sends nothing.
//!
//! - The first change goes at once, then one write per device in [`EACH`]; whoever waits longest comes first, and what
//!   needs a person counts as having waited [`AHEAD`] longer.
//! - A node writes [`BURST`] at once and then one in [`EVERY`].
//! - An edit of the spec is answered by up to two writes that need not wait for [`EACH`]: one within [`SOON`], and one when
//!   its outcome is known. What is about to change by itself always waits for [`SOON`].
//! - A write that nobody confirmed puts the link in doubt: one at a time, ever more rarely, each time for another device,
//!   so that one poisonous object does not hold up the rest.
//! - Nothing else is repeated.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::model::DeviceId;

/// The least time between two writes for one device.
pub const EACH: Duration = Duration::from_secs(10);
/// The mean time between two writes of the node.
pub const EVERY: Duration = Duration::from_millis(200);
/// How much longer a status that needs a person counts as having waited: longer than 1,000 devices take that are new, and
/// not so long that devices which flap would keep back the others for ever.
pub const AHEAD: Duration = Duration::from_secs(300);
/// How many writes may come at once.
pub const BURST: u32 = 20;
/// Those of them that are left alone by what is less urgent than a status.
const RESERVE: u32 = 10;
/// How long the answer to an edit waits for its outcome, and any status for what is about to change by itself.
pub const SOON: Duration = Duration::from_millis(300);
/// The first and the longest wait after a write that was not confirmed.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(120));
/// The same for a device that is not confirmed time and again while others are.
const POISON: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(600));
/// When a status that was refused is tried again although it is the same.
const REFUSED: Duration = Duration::from_secs(3600);

/// Who may write when.
#[derive(Debug)]
pub struct Pace {
    turns: HashMap<DeviceId, Turn>,
    /// When the burst would be whole again: in the past while the node has written little.
    whole_at: Instant,
    doubt: Option<Doubt>,
    order: u64,
    dice: fastrand::Rng,
}

/// One device.
#[derive(Debug)]
struct Turn {
    want: Option<Want>,
    /// When its last write began.
    begun: Option<Instant>,
    busy: bool,
    edit: Edit,
    /// After a write that failed: not before this.
    hold: Option<Instant>,
    /// The status that was refused last.
    refused: Option<u64>,
    strikes: u32,
}

#[derive(Debug, Clone, Copy)]
struct Want {
    order: u64,
    since: Instant,
    settled: bool,
    urgent: bool,
}

/// The spec that is being answered, and the answers that it has had.
#[derive(Debug)]
struct Edit {
    key: u64,
    seen: Instant,
    soon: bool,
    settled: bool,
}

/// The link is in doubt.
#[derive(Debug)]
struct Doubt {
    tries: u32,
    /// When the last write failed.
    since: Instant,
    until: Instant,
}

/// Something that a device's resource should be told.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Which object and generation it answers, in one number.
    pub edit: u64,
    /// Nothing in it is about to change by itself.
    pub settled: bool,
    /// It needs a person.
    pub urgent: bool,
    /// The status, in one number.
    pub print: u64,
}

impl Pace {
    /// Nothing was written yet.
    pub fn new(now: Instant, dice: fastrand::Rng) -> Self {
        Self { turns: HashMap::new(), whole_at: now, doubt: None, order: 0, dice }
    }

    /// There is something to write for a device, or something newer.
    pub fn want(&mut self, device: &DeviceId, wanted: Wanted, now: Instant) {
        let Wanted { edit, settled, urgent, print } = wanted;
        let fresh = || Edit { key: edit, seen: now, soon: false, settled: false };
        if !self.turns.contains_key(device) {
            let turn =
                Turn { want: None, begun: None, busy: false, edit: fresh(), hold: None, refused: None, strikes: 0 };
            self.turns.insert(device.clone(), turn);
        }
        let Some(turn) = self.turns.get_mut(device) else { return };
        if turn.edit.key != edit {
            turn.edit = fresh();
        }
        if turn.refused.is_some_and(|refused| refused != print) {
            (turn.refused, turn.hold) = (None, None);
        }
        let place = turn.want.map_or_else(
            || {
                self.order += 1;
                (self.order, now)
            },
            |before| (before.order, before.since),
        );
        turn.want = Some(Want { order: place.0, since: place.1, settled, urgent });
    }

    /// There is nothing to write for a device (any more).
    pub fn content(&mut self, device: &DeviceId) {
        if let Some(turn) = self.turns.get_mut(device) {
            turn.want = None;
        }
    }

    /// The device is gone.
    pub fn forget(&mut self, device: &DeviceId) {
        self.turns.remove(device);
    }

    /// How many devices wait.
    pub fn waiting(&self) -> usize {
        self.turns.values().filter(|turn| turn.want.is_some()).count()
    }

    /// Who may write now, if anybody. To be followed by [`Self::begin`] or [`Self::content`].
    pub fn next(&self, now: Instant) -> Option<DeviceId> {
        if self.free_at(1) > now || self.doubt.as_ref().is_some_and(|doubt| doubt.until > now || self.is_probed(doubt))
        {
            return None;
        }
        let due = self.turns.iter().filter(|(_, turn)| turn.due().is_some_and(|due| due <= now));
        let next = if self.doubt.is_some() {
            due.min_by_key(|(_, turn)| (turn.begun, turn.order()))
        } else {
            due.min_by_key(|(_, turn)| turn.order())
        };
        next.map(|(device, _)| device.clone())
    }

    /// When [`Self::next`] may have somebody without anything else having happened.
    pub fn wake(&self, now: Instant) -> Option<Instant> {
        let due = self.turns.values().filter_map(Turn::due).min()?;
        match &self.doubt {
            Some(doubt) if self.is_probed(doubt) => None,
            Some(doubt) => Some(due.max(doubt.until)),
            None => Some(due),
        }
        .map(|at| at.max(self.free_at(1)).max(now))
    }

    /// A write begins.
    pub fn begin(&mut self, device: &DeviceId, now: Instant) {
        self.spend(now);
        let Some(turn) = self.turns.get_mut(device) else { return };
        (turn.busy, turn.begun) = (true, Some(now));
        turn.edit.soon = true;
        turn.edit.settled |= turn.want.is_some_and(|want| want.settled);
    }

    /// Something less urgent than a status may be written now, and is.
    pub fn spare(&mut self, now: Instant) -> bool {
        let free = self.free_at(RESERVE + 1) <= now && self.doubt.is_none();
        if free {
            self.spend(now);
        }
        free
    }

    /// When [`Self::spare`] may be true.
    pub fn spare_at(&self) -> Option<Instant> {
        self.doubt.is_none().then(|| self.free_at(RESERVE + 1))
    }

    /// The write was confirmed, or there is nothing to write to: nothing is left to say of what was sent.
    pub fn done(&mut self, device: &DeviceId) {
        self.doubt = None;
        if let Some(turn) = self.turns.get_mut(device) {
            (turn.busy, turn.want, turn.hold, turn.refused, turn.strikes) = (false, None, None, None, 0);
        }
    }

    /// The server refused this very status. True if it had not refused the one before.
    pub fn refused(&mut self, device: &DeviceId, print: u64, now: Instant) -> bool {
        self.doubt = None;
        let wait = REFUSED.mul_f64(0.8 + 0.4 * self.dice.f64());
        let Some(turn) = self.turns.get_mut(device) else { return false };
        turn.busy = false;
        turn.hold = Some(now + wait);
        turn.refused.replace(print).is_none()
    }

    /// Nobody knows what came of it. `after`: the server wants to be left alone for so long. True if neither the link nor
    /// the device was in doubt before.
    pub fn unknown(&mut self, device: &DeviceId, after: Option<Duration>, now: Instant) -> bool {
        let trusted = self.doubt.is_none();
        let Some(turn) = self.turns.get_mut(device) else { return false };
        turn.busy = false;
        if trusted {
            turn.strikes += 1;
            if turn.strikes > 1 {
                // Others were confirmed meanwhile: it is this device, not the link.
                turn.hold = Some(now + backoff(POISON, turn.strikes - 1, &mut self.dice));
                if after.is_none() {
                    return false;
                }
            }
        }
        let begun = turn.begun.unwrap_or(now);
        // Those that were on their way when the link fell in doubt fail for the same cause.
        let same = self.doubt.as_ref().is_some_and(|doubt| begun < doubt.since);
        let tries = self.doubt.as_ref().map_or(0, |doubt| doubt.tries) + u32::from(!same);
        let wait = if same { Duration::ZERO } else { backoff(BACKOFF, tries, &mut self.dice) };
        let until = self.doubt.as_ref().map_or(now, |doubt| doubt.until).max(now + wait.max(after.unwrap_or_default()));
        let since = self.doubt.as_ref().filter(|_| same).map_or(now, |doubt| doubt.since);
        self.doubt = Some(Doubt { tries, since, until });
        trusted
    }

    /// A sign of life from the server: a link in doubt is tried soon, but not by all nodes in the same moment.
    pub fn alive(&mut self, now: Instant) {
        if let Some(doubt) = &mut self.doubt {
            doubt.until = doubt.until.min(now + Duration::from_secs(2).mul_f64(self.dice.f64()));
        }
    }

    fn spend(&mut self, now: Instant) {
        self.whole_at = self.whole_at.max(now) + EVERY;
    }

    /// When so many of the burst are free.
    fn free_at(&self, places: u32) -> Instant {
        let taken = EVERY * (BURST - places);
        self.whole_at.checked_sub(taken).unwrap_or(self.whole_at)
    }

    /// A write that began in doubt is on its way.
    fn is_probed(&self, doubt: &Doubt) -> bool {
        self.turns.values().any(|turn| turn.busy && turn.begun.is_some_and(|begun| begun >= doubt.since))
    }
}

impl Turn {
    /// Who has the least comes first.
    fn order(&self) -> Option<(Instant, u64)> {
        let Want { order, since, urgent, .. } = self.want?;
        Some((if urgent { since } else { since + AHEAD }, order))
    }

    fn due(&self) -> Option<Instant> {
        let want = self.want.filter(|_| !self.busy)?;
        let capped = self.begun.map_or(want.since, |begun| begun + EACH);
        let due = match (want.settled, self.edit.soon, self.edit.settled) {
            (true, _, false) => want.since,
            (false, false, _) => self.edit.seen + SOON,
            (true, _, true) => capped,
            (false, true, _) => capped.max(want.since + SOON),
        };
        Some(due.max(self.hold.unwrap_or(due)))
    }
}

/// Doubled each time from the first to the longest, less up to a half by chance, so that nodes that fail together do not
/// come back together.
fn backoff((first, longest): (Duration, Duration), tries: u32, dice: &mut fastrand::Rng) -> Duration {
    let factor = 1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest).mul_f64(1.0 - 0.5 * dice.f64())
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
