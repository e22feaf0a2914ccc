//! One device on its bus: its plans, its deadlines, its health. It asks, decodes and tells its observer; what a
//! failure means for the bus is not decided here.

use std::{fmt, time::Duration};

use mapper_api::{Decoded, DynAnswer, DynFrame, DynLearnt, DynRequest, Error, ErrorKind, PointId, Sequence};
use tokio::time::Instant;

use super::{
    Failure, Member,
    backoff::{Backoff, CAP},
    grid::Grid,
    line::Line,
    schedule::{Probe, Slot},
    task::SILENT,
};
use crate::clock::Stamp;

/// How long one that is silent is left alone before it is prepared again; twice as long each time, five times.
const AGAIN: Duration = Duration::from_secs(20);
/// How soon a poll is repeated whose answer made its mapper plan anew.
const REPLANNED: Duration = Duration::from_secs(1);
/// So many answers in a row that do not fit, or breaks of the bus, and a device is no longer asked in turn.
pub(super) const UNRULY: u32 = 3;
/// The slot of [`mapper_api::Protocol::prepare`].
pub(super) const PREPARE: usize = 0;

pub(super) struct Device {
    pub member: Member,
    pub slots: Vec<Slot>,
    pub health: Health,
    /// What its unsolicited frames are marked with.
    pub source: Option<String>,
    /// What came in frames, and when its silence speaks against the device; see [`Device::hear`].
    heard: Vec<PointId>,
    silent_at: Option<Instant>,
    /// How often it was found silent since then.
    hushed: u32,
    /// One for each slot.
    plans: Vec<Plan>,
    learnt: DynLearnt,
    replan: bool,
}

/// The sequences of a slot: made once, kept until something new was learnt.
struct Plan {
    points: Vec<PointId>,
    sequences: Option<Vec<Sequence<DynRequest>>>,
    /// Something was learnt since they were made.
    stale: bool,
    /// The sequence that is asked next. A poll may begin in the middle, behind one that was silent; it goes round.
    cursor: usize,
    /// How many sequences of the poll that was begun are still to be asked.
    left: usize,
    /// How many of them were answered in a row without fault.
    clean: usize,
    /// The last poll broke off, or could not be asked.
    failed: bool,
    /// The deadline after the one that is being served.
    next: Option<Instant>,
}

/// What a device has to answer for.
pub(super) struct Health {
    /// Exchanges left unanswered in a row.
    pub misses: u32,
    /// Those of them since the bus was opened.
    pub misses_since_open: u32,
    /// Answers in a row that did not fit.
    pub misfits: u32,
    /// Times in a row that the bus broke while this device was asked.
    pub breaks: u32,
    /// Set while it is suspect.
    pub probe: Option<Probe>,
    backoff: Backoff,
    fault: Fault,
}

/// One trouble: said once, and again when it becomes another one; else counted.
#[derive(Default)]
pub(super) struct Fault {
    count: u64,
    since: Option<Instant>,
    kind: Option<ErrorKind>,
}

impl Fault {
    /// Counts; true if it is to be said.
    pub fn strike(&mut self, kind: ErrorKind) -> bool {
        self.count += 1;
        self.since.get_or_insert_with(Instant::now);
        self.kind.replace(kind) != Some(kind)
    }

    /// It is over: how many failures it took, over what time; none if there was no trouble.
    pub fn clear(&mut self) -> Option<(u64, Duration)> {
        let since = self.since.take()?;
        self.kind = None;
        Some((std::mem::take(&mut self.count), since.elapsed()))
    }
}

/// A sequence that broke off at this request.
pub(super) struct Broken {
    /// Its place in the sequence.
    pub at: usize,
    pub request: String,
    pub error: Error,
}

impl Device {
    /// Due at once. Calls nothing of the mapper but [`mapper_api::BoundDevice::learnt`].
    pub fn new(member: Member) -> Self {
        let now = Instant::now();
        let first = member.groups.first().map_or(Duration::from_secs(1), |(period, _)| *period);
        let once = (None, Vec::new());
        let groups = member.groups.iter().map(|(period, points)| (Some(*period), points.clone()));
        let (slots, plans) = std::iter::once(once)
            .chain(groups)
            .map(|(period, points)| {
                let plan = Plan {
                    points,
                    sequences: None,
                    stale: false,
                    cursor: 0,
                    left: 0,
                    clean: 0,
                    failed: false,
                    next: None,
                };
                (Slot { due: Some(now), period, started: false }, plan)
            })
            .unzip();
        let backoff = Backoff::new(first.min(CAP));
        let health = Health {
            misses: 0,
            misses_since_open: 0,
            misfits: 0,
            breaks: 0,
            probe: None,
            backoff,
            fault: Fault::default(),
        };
        let learnt = member.bound.learnt();
        let (source, heard, silent_at) = (None, Vec::new(), None);
        Self { member, slots, health, source, heard, silent_at, hushed: 0, plans, learnt, replan: false }
    }

    /// The bus was opened: it is to be prepared anew, and what was begun, failed or late is due at once.
    pub fn restart(&mut self) {
        let now = Instant::now();
        for (slot, plan) in self.slots.iter_mut().zip(&mut self.plans) {
            if slot.period.is_none() {
                slot.started = false;
                plan.cursor = 0;
                slot.due = Some(now);
            } else if slot.started || plan.failed || slot.due.is_some_and(|due| due <= now) {
                slot.due = Some(now);
            }
        }
    }

    /// One that only was silent is probed at once; one that breaks the bus or talks nonsense is not.
    pub fn chance(&mut self, now: Instant) {
        if self.health.breaks < UNRULY
            && self.health.misfits < UNRULY
            && let Some(probe) = &mut self.health.probe
        {
            probe.due = now;
        }
    }

    /// From when on it needs a bus that is closed; none if it is never asked and sends nothing unasked.
    pub fn wants_from(&self, now: Instant) -> Option<Instant> {
        if self.source.is_some() || self.plans[PREPARE].sequences.as_ref().is_some_and(|s| !s.is_empty()) {
            return Some(now);
        }
        if let Some(probe) = self.health.probe {
            return Some(probe.due);
        }
        if self.slots[PREPARE].due.is_some() || self.plans.iter().any(|plan| plan.failed) {
            return Some(now);
        }
        self.slots.iter().filter_map(|slot| slot.due).min()
    }

    /// It answered a probe: what is late, begun or failed is due at once. What waited longest comes first, so that a
    /// sequence that is always silent does not hide those of another period.
    pub fn resume(&mut self, probed: usize) {
        let now = Instant::now();
        for (index, (slot, plan)) in self.slots.iter_mut().zip(&self.plans).enumerate() {
            let Some(period) = slot.period else { continue };
            if slot.started {
                slot.due = Some(now);
            } else if index != probed
                && let Some(due) = slot.due
                && (plan.failed || due <= now)
            {
                // Its polls were told to have failed: they do not count as skipped.
                slot.due = Some(due.min(now).max(now.checked_sub(period / 2).unwrap_or(now)));
            }
        }
    }

    /// After a panic of its mapper: nothing of what was kept is trusted.
    pub fn forget(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.started = false);
        self.plans.iter_mut().for_each(|plan| (plan.sequences, plan.cursor) = (None, 0));
        self.learnt = self.member.bound.learnt();
        self.replan = false;
    }

    /// It was away, and may come back as another or with its faults mended: nothing is known of it any more.
    pub fn unlearn(&mut self) {
        self.learnt = self.member.bound.learnt();
        self.replan = false;
        self.plans[PREPARE + 1..].iter_mut().for_each(|plan| plan.stale = true);
    }

    /// Begins a poll if it is not begun: skips what is late, plans what is not planned.
    pub fn begin(&mut self, index: usize, grid: &Grid) -> u64 {
        let (slot, plan) = (&mut self.slots[index], &mut self.plans[index]);
        if slot.started {
            return 0;
        }
        let now = Instant::now();
        let missed = super::schedule::missed(slot, now);
        plan.next = slot.period.map(|period| grid.next(period, slot.due.map_or(now, |due| due.max(now))));
        slot.started = true;
        if plan.sequences.is_none() || plan.stale {
            plan.stale = false;
            plan.cursor = 0;
            let bound = &self.member.bound;
            plan.sequences = Some(if index == PREPARE {
                self.source = bound.frame_source();
                bound.prepare()
            } else {
                bound.plan(&plan.points, &self.learnt)
            });
        }
        plan.left = plan.sequences.as_ref().map_or(0, Vec::len);
        missed
    }

    /// Whether the current sequence asks anything.
    pub fn exchanges(&self, index: usize) -> bool {
        let plan = &self.plans[index];
        plan.sequences.as_ref().and_then(|s| s.get(plan.cursor)).is_some_and(|sequence| !sequence.0.is_empty())
    }

    /// Sees to it that the mark of its frames is known, also of those that come before the device is prepared.
    pub fn mark(&mut self) {
        if self.source.is_none() && self.plans[PREPARE].sequences.is_none() {
            self.source = self.member.bound.frame_source();
        }
    }

    /// A frame of it came at this moment.
    pub fn hear(&mut self, frame: &DynFrame, at: Stamp, out: &mut Vec<Decoded>) {
        out.clear();
        let bound = &*self.member.bound;
        bound.decode_frame(frame, out);
        let fresh = bound.freshness(frame);
        if out.is_empty() && fresh.is_none() {
            return;
        }
        for decoded in &*out {
            if !self.heard.contains(&decoded.point) {
                self.heard.push(decoded.point);
            }
        }
        self.hushed = 0;
        let silence = self.member.observer.heard(at, out, fresh);
        self.silent_at = silence.and_then(|silence| at.mono.checked_add(silence));
    }

    /// When its silence speaks against it.
    pub fn silent_at(&self) -> Option<Instant> {
        self.silent_at
    }

    /// Nothing came for as long as its mapper allows: what it sends unasked got no value. One that is asked as well is gone
    /// only when it does not answer either. It may have lost its power, and with it what it was prepared for: it is
    /// prepared again, now and then until it speaks.
    pub fn hush(&mut self, bus: &str) {
        let now = Instant::now();
        if self.hushed == 0 {
            let gone = self.probe_slot().is_none();
            let failure =
                Failure { kind: ErrorKind::Timeout, message: "nothing was heard from it for too long".into() };
            tracing::info!(bus, device = %self.member.id, "silent");
            self.member.observer.silent(Stamp::now(), &self.heard, &failure, gone);
        }
        self.silent_at = self.prepare_again(now).then(|| now + AGAIN * 2_u32.pow(self.hushed.min(5)));
        self.hushed = self.hushed.saturating_add(1);
    }

    /// Makes what prepares it due again, if that says anything on the wire.
    fn prepare_again(&mut self, now: Instant) -> bool {
        let (slot, plan) = (&mut self.slots[PREPARE], &mut self.plans[PREPARE]);
        let bound = &self.member.bound;
        let says = |sequence: &Sequence<DynRequest>| sequence.0.iter().any(|r| !bound.cost(r).wire.is_zero());
        let speaks = plan.sequences.as_ref().is_some_and(|sequences| sequences.iter().any(says));
        if speaks && slot.due.is_none() {
            slot.started = false;
            plan.cursor = 0;
            slot.due = Some(now);
        }
        speaks
    }

    /// Runs the next sequence of a poll that was begun.
    pub async fn step(&mut self, index: usize, line: &mut Line, out: &mut Vec<Decoded>) -> Result<(), Broken> {
        let sequences = self.plans[index].sequences.take().unwrap_or_default();
        let result = match sequences.get(self.plans[index].cursor) {
            Some(sequence) => self.run(sequence, line, out).await,
            None => Ok(()),
        };
        let plan = &mut self.plans[index];
        plan.sequences = Some(sequences);
        if result.is_ok() {
            plan.clean = plan.clean.saturating_add(1);
            self.advance(index);
        }
        result
    }

    /// The current sequence is over; the poll too if it was the last.
    fn advance(&mut self, index: usize) {
        let plan = &mut self.plans[index];
        plan.cursor = (plan.cursor + 1) % plan.sequences.as_ref().map_or(1, |sequences| sequences.len().max(1));
        plan.left = plan.left.saturating_sub(1);
        if plan.left == 0 {
            plan.cursor = 0;
            plan.failed = false;
            self.end(index);
        }
    }

    fn end(&mut self, index: usize) {
        let (slot, plan) = (&mut self.slots[index], &mut self.plans[index]);
        slot.started = false;
        // What asks nothing rests: what it reads comes unasked.
        slot.due = plan.next.filter(|_| plan.sequences.as_ref().is_none_or(|sequences| !sequences.is_empty()));
        if std::mem::take(&mut self.replan) {
            self.rouse();
            let slot = &mut self.slots[index];
            let soon = Instant::now() + REPLANNED;
            slot.due = slot.due.map(|due| due.min(soon));
            self.plans[PREPARE + 1..].iter_mut().for_each(|plan| plan.stale = true);
        }
    }

    /// Asks a sequence's requests one after the other, and tells what their answers say.
    pub async fn run(
        &mut self,
        sequence: &Sequence<DynRequest>,
        line: &mut Line,
        out: &mut Vec<Decoded>,
    ) -> Result<(), Broken> {
        for (at, request) in sequence.0.iter().enumerate() {
            match self.ask(request, line, out).await {
                // Not kept until the next poll: a thousand of them are a megabyte.
                Ok(stamp) if !out.is_empty() => self.member.observer.answered(stamp, &std::mem::take(out)),
                Ok(_) => {}
                Err(error) => return Err(Broken { at, request: request.to_string(), error }),
            }
        }
        Ok(())
    }

    /// One exchange, learnt from and decoded, but not told.
    pub async fn ask(&mut self, request: &DynRequest, line: &mut Line, out: &mut Vec<Decoded>) -> Result<Stamp, Error> {
        let bound = &*self.member.bound;
        out.clear();
        let answer: Result<DynAnswer, Error> = line.ask(request, bound.cost(request)).await;
        let stamp = Stamp::now();
        self.replan |= bound.learn(request, answer.as_ref(), &mut self.learnt);
        bound.decode(request, &answer?, out);
        Ok(stamp)
    }

    /// The points that a poll has not read, from this request of its current sequence on: those of the sequence, or of
    /// all that follow too.
    pub fn unread(&self, index: usize, at: usize, rest: bool) -> Vec<PointId> {
        let plan = &self.plans[index];
        let sequences = plan.sequences.iter().flatten().cycle().skip(plan.cursor);
        let requests = sequences.take(if rest { plan.left } else { 1 }).flat_map(|sequence| &sequence.0).skip(at);
        requests.flat_map(|request| self.member.bound.points(request)).copied().collect()
    }

    /// Passes over the sequence that failed.
    pub fn pass(&mut self, index: usize) {
        self.advance(index);
    }

    /// The bus was closed, or other requests may be planned: what rested is due, to fail or to be asked.
    pub fn rouse(&mut self) {
        let now = Instant::now();
        let resting = self.slots.iter_mut().filter(|slot| slot.period.is_some() && slot.due.is_none());
        resting.for_each(|slot| slot.due = Some(now));
    }

    /// Gives up the poll that was begun; the next one begins behind the sequence that failed, so that this one does not
    /// hide the others. What runs once stays to be done, from its beginning.
    pub fn abandon(&mut self, index: usize) {
        let now = Instant::now();
        self.end(index);
        let plan = &mut self.plans[index];
        plan.failed = true;
        if self.slots[index].period.is_none() {
            plan.cursor = 0;
            self.slots[index].due = Some(now);
            return;
        }
        plan.cursor = (plan.cursor + 1) % plan.sequences.as_ref().map_or(1, |sequences| sequences.len().max(1));
        if self.health.probe.is_some() {
            // The next probe asks for another period.
            let others = self.slots.iter_mut().enumerate().skip(PREPARE + 1).filter(|(other, _)| *other != index);
            others.for_each(|(_, slot)| slot.due = slot.due.map(|due| due.min(now)));
        }
    }

    /// The bus broke during a poll, which goes on from the same sequence once it is open again.
    pub fn interrupt(&mut self, index: usize) {
        self.plans[index].failed = true;
        self.slots[index].due = Some(Instant::now());
    }

    /// While the bus is closed: polls that fall due fail without being asked.
    pub fn fail_due(&mut self, now: Instant, grid: &Grid, failure: &Failure) {
        for (slot, plan) in self.slots.iter_mut().zip(&mut self.plans) {
            if let (Some(due), Some(period)) = (slot.due, slot.period)
                && due <= now
            {
                slot.started = false;
                plan.failed = true;
                slot.due = Some(grid.next(period, now));
                self.member.observer.failed(Stamp::now(), &plan.points, failure, 0);
            }
        }
    }

    /// Tells that everything that is polled got no value.
    pub fn fail_all(&mut self, failure: &Failure, misses: u32) {
        for plan in self.plans.iter_mut().filter(|plan| !plan.points.is_empty()) {
            plan.failed = true;
            self.member.observer.failed(Stamp::now(), &plan.points, failure, misses);
        }
    }

    /// The slot that a probe asks for: what waits longest. None if the device is never asked.
    pub fn probe_slot(&self) -> Option<usize> {
        let asks = |index: &usize| !self.plans[*index].sequences.as_ref().is_some_and(Vec::is_empty);
        if self.slots[PREPARE].due.is_some() && asks(&PREPARE) {
            return Some(PREPARE);
        }
        (PREPARE + 1..self.slots.len()).filter(asks).min_by_key(|index| self.slots[*index].due)
    }

    /// Which of these points are polled, and so can be read.
    pub fn readable(&self, points: impl Iterator<Item = PointId>) -> Vec<PointId> {
        points.filter(|point| self.plans.iter().any(|plan| plan.points.contains(point))).collect()
    }

    /// The requests that read these points.
    pub fn plan(&self, points: &[PointId]) -> Vec<Sequence<DynRequest>> {
        self.member.bound.plan(points, &self.learnt)
    }

    /// Takes it out of the rotation until a probe is answered.
    pub fn suspect(&mut self, grid: &Grid, dice: &mut fastrand::Rng) {
        let Some(index) = self.probe_slot() else { return };
        let wait = self.health.backoff.next(dice);
        let now = Instant::now();
        // On the grid, where it comes right after the polls and so into the pause that follows them.
        let due = match self.member.groups.first() {
            Some((period, _)) if *period <= wait + *period / 4 => {
                grid.next(*period, (now + wait).checked_sub(*period).map_or(now, |t| t.max(now)))
            }
            _ => now + wait,
        };
        let plan = &self.plans[index];
        let asked = plan.sequences.as_deref().unwrap_or_default().get(plan.cursor);
        let costs = asked.into_iter().flat_map(|s| &s.0).map(|request| self.member.bound.cost(request).longest);
        self.health.probe = Some(Probe { due, longest: costs.sum() });
    }

    /// It answered: back to normal. True if it was suspect. One that was gone may have forgotten what it was prepared for.
    pub fn answered(&mut self, slot: usize) -> bool {
        let health = &mut self.health;
        health.misfits = 0;
        health.breaks = 0;
        if health.misses == 0 && health.probe.is_none() {
            return false;
        }
        let gone = health.misses >= SILENT;
        health.misses = 0;
        health.misses_since_open = 0;
        health.backoff.reset();
        let suspect = health.probe.take().is_some();
        if gone && slot != PREPARE {
            self.prepare_again(Instant::now());
        }
        suspect
    }

    /// Says the first failure of a kind, counts the others. Without a slot it was a write.
    pub fn complain(&mut self, bus: &str, slot: Option<usize>, request: &dyn fmt::Display, error: &Error) {
        if let Some(plan) = self.plans.get_mut(slot.unwrap_or(PREPARE + 1)) {
            plan.clean = 0;
        }
        if self.health.fault.strike(error.kind) {
            tracing::warn!(bus, device = %self.member.id, %request, reason = error.kind.reason(), "{error}");
        }
    }

    /// Says that its failures are over, once every plan that failed was answered whole.
    pub fn content(&mut self, bus: &str) {
        let whole = |plan: &Plan| plan.clean >= plan.sequences.as_ref().map_or(0, Vec::len);
        if self.health.fault.since.is_some()
            && self.plans.iter().all(whole)
            && let Some((failures, time)) = self.health.fault.clear()
        {
            tracing::info!(bus, device = %self.member.id, failures, ?time, "recovered");
        }
    }

    /// Whether it does not speak against the bus: its last polls went through, or it is known to be silent.
    pub fn vouches(&self) -> bool {
        self.health.breaks == 0 && (self.health.probe.is_some() || self.plans.iter().all(|plan| !plan.failed))
    }
}
