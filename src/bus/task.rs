//! The loop of one bus, and what a failure means for it. Between two sequences: commands first, then the most overdue
//! poll, then a probe, else it sleeps until the next deadline, a command or a frame that nobody asked for.

use std::{fmt, pin::pin, time::Duration};

use mapper_api::{BoxFuture, Decoded, DynBus, DynFrame, Error, ErrorKind};
use tokio::{
    sync::{mpsc, mpsc::error::TryRecvError},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Command, Failure, Options, Write, WriteOutcome,
    backoff::Backoff,
    device::{Broken, Device, Fault, PREPARE, UNRULY},
    grid::hash,
    line::Line,
    schedule::{self, Allowance, Next},
};
use crate::{clock::Stamp, model::DeviceId};

/// So many misses in a row, and a device counts as gone: what was learnt of it is forgotten. So many of every device,
/// and the connection itself is suspected (a half-open TCP connection).
pub(super) const SILENT: u32 = 3;
/// The first wait before reopening.
const REOPEN: Duration = Duration::from_millis(150);
/// How long a bus may be closed before polls that fall due are reported as failed.
const GRACE: Duration = Duration::from_secs(2);
/// What is said of the devices of a bus that was not opened yet and has not failed either.
pub const OPENING: &str = "the bus is being opened";
/// Probes that run ahead of polls on a busy bus may keep it for a tenth of the time.
const AHEAD_SHARE: u32 = 9;
/// Frames taken in one go between two exchanges.
const FRAMES: usize = 32;

pub(super) struct Task {
    pub label: String,
    pub options: Options,
    dice: fastrand::Rng,
    commands: mpsc::UnboundedReceiver<Command>,
    pub line: Line,
    pub devices: Vec<Device>,
    writes: Vec<Write>,
    /// The buses that must be gone before this one opens: they hold the same resource.
    predecessors: Vec<JoinHandle<()>>,
    opening: Option<BoxFuture<'static, Result<Box<dyn DynBus>, Error>>>,
    /// Why it is closed; none before the first try, and after the other side has closed it in good order.
    down: Option<Failure>,
    open_from: Instant,
    report_from: Instant,
    /// It has carried an answer since it was opened.
    proven: bool,
    backoff: Backoff,
    fault: Fault,
    allowance: Allowance,
    pub out: Vec<Decoded>,
    /// The device whose mapper is at work, to be blamed for a panic.
    pub at_work: Option<usize>,
}

enum Event {
    Command(Option<Command>),
    Opened(Result<Box<dyn DynBus>, Error>),
    Frame(Result<DynFrame, Error>),
    Due,
}

impl Task {
    pub fn new(
        label: String,
        options: Options,
        commands: mpsc::UnboundedReceiver<Command>,
        line: Line,
        predecessors: Vec<JoinHandle<()>>,
    ) -> Self {
        let now = Instant::now();
        let dice = fastrand::Rng::with_seed(options.seed ^ hash(&label));
        Self {
            label,
            options,
            dice,
            commands,
            line,
            devices: Vec::new(),
            writes: Vec::new(),
            predecessors,
            opening: None,
            down: None,
            open_from: now,
            report_from: now,
            proven: false,
            backoff: Backoff::new(REOPEN),
            fault: Fault::default(),
            allowance: Allowance { used: false, ahead_from: now },
            out: Vec::new(),
            at_work: None,
        }
    }

    /// Runs until every sender of commands is gone.
    pub async fn run(&mut self) {
        loop {
            self.at_work = None;
            match self.commands.try_recv() {
                Ok(command) => self.take(command),
                Err(TryRecvError::Disconnected) => return self.stop(),
                Err(TryRecvError::Empty) if self.line.bus.is_none() => {
                    if !self.closed().await {
                        return self.stop();
                    }
                }
                Err(TryRecvError::Empty) => {
                    if !self.listen().await {
                        continue;
                    }
                    if !self.writes.is_empty() {
                        let write = self.writes.remove(0);
                        self.write(write).await;
                        continue;
                    }
                    let silent_at = self.hush();
                    let devices = self.devices.iter().map(|device| (&device.slots[..], device.health.probe));
                    match schedule::next(devices, self.allowance, Instant::now()) {
                        Next::Poll(device, slot) => self.poll(device, slot).await,
                        Next::Probe(device) => self.probe(device).await,
                        Next::Wait(until) => {
                            if !self.rest(silent_at.into_iter().chain(until).min()).await {
                                return self.stop();
                            }
                        }
                    }
                }
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Join(member) => {
                self.drop_writes(&member.id, "the device was replaced");
                let place = self.devices.iter().position(|device| device.member.id == member.id);
                let device = Device::new(*member);
                match place {
                    Some(place) => self.devices[place] = device,
                    None => self.devices.push(device),
                }
            }
            Command::Leave(id) => {
                self.drop_writes(&id, "the device was removed");
                self.devices.retain(|device| device.member.id != *id);
                if self.devices.is_empty() {
                    self.shut();
                    self.opening = None;
                    self.down = None;
                    self.open_from = Instant::now();
                }
            }
            Command::Write(write) => {
                if self.devices.iter().any(|other| other.member.id == write.device) {
                    self.writes.push(*write);
                } else {
                    let message = format!("{} is not on bus {}", write.device, self.label);
                    let _ = write.reply.send(WriteOutcome::NotSent(Failure { kind: ErrorKind::Unreachable, message }));
                }
            }
        }
    }

    /// Its point numbers may mean something else from now on.
    fn drop_writes(&mut self, id: &DeviceId, why: &str) {
        let failure = Failure { kind: ErrorKind::Unreachable, message: format!("{why} before the write was sent") };
        for write in self.writes.extract_if(.., |write| write.device == *id) {
            let _ = write.reply.send(WriteOutcome::NotSent(failure.clone()));
        }
    }

    fn stop(&mut self) {
        let failure = Failure { kind: ErrorKind::Unreachable, message: format!("bus {} was stopped", self.label) };
        for write in self.writes.drain(..) {
            let _ = write.reply.send(WriteOutcome::NotSent(failure.clone()));
        }
        self.shut();
    }

    fn shut(&mut self) {
        self.line.bus = None;
        self.devices.iter_mut().for_each(Device::rouse);
        self.line.stats.up.store(false, std::sync::atomic::Ordering::Relaxed);
    }

    /// One step of a closed bus; false when it is to stop.
    async fn closed(&mut self) -> bool {
        let now = Instant::now();
        if let Some(failure) = &self.down {
            for write in self.writes.drain(..) {
                let _ = write.reply.send(WriteOutcome::NotSent(failure.clone()));
            }
        }
        let mut open_at = self.open_at(now);
        if open_at.is_some_and(|at| at <= now) {
            open_at = None;
            self.opening = self.devices.first().map(|device| {
                let bound = device.member.bound.clone();
                self.report_from = self.report_from.max(if self.down.is_none() { now + GRACE } else { now });
                let open: BoxFuture<'static, _> = Box::pin(async move {
                    let Some(limit) = bound.opens_within() else { return bound.open().await };
                    let hung = |_| Err(Error::new(ErrorKind::Unreachable, format!("did not open within {limit:?}")));
                    timeout(limit, bound.open()).await.unwrap_or_else(hung)
                });
                open
            });
        }
        // One that rests until something is due fails nothing.
        let rests = self.opening.is_none() && self.predecessors.is_empty() && self.down.is_none();
        if now >= self.report_from && !rests {
            let opening = || Failure { kind: ErrorKind::Unreachable, message: OPENING.into() };
            let failure = self.down.clone().unwrap_or_else(opening);
            self.devices.iter_mut().for_each(|device| device.fail_due(now, &self.options.grid, &failure));
        }
        let slots = self.devices.iter().flat_map(|device| &device.slots).filter(|slot| slot.period.is_some());
        let reports = slots.filter_map(|slot| slot.due).min().map(|due| due.max(self.report_from));
        let wake = reports.filter(|_| !rests).into_iter().chain(open_at).min();
        let event = tokio::select! {
            biased;
            command = self.commands.recv() => Event::Command(command),
            opened = maybe(self.opening.as_mut()) => Event::Opened(opened),
            _ = maybe(self.predecessors.last_mut()) => { self.predecessors.pop(); Event::Due }
            () = until(wake) => Event::Due,
        };
        match event {
            Event::Command(None) => return false,
            Event::Command(Some(command)) => self.take(command),
            Event::Opened(Ok(bus)) => self.opened(bus),
            Event::Opened(Err(error)) => {
                self.opening = None;
                self.devices.iter_mut().for_each(Device::unlearn);
                self.reopen(&error, &"open");
                self.report_from = Instant::now();
            }
            Event::Frame(_) | Event::Due => {}
        }
        true
    }

    /// When a closed bus is to be opened: not before there is something to do on it.
    fn open_at(&self, now: Instant) -> Option<Instant> {
        if self.opening.is_some() || !self.predecessors.is_empty() {
            return None;
        }
        let wanted = self.devices.iter().filter_map(|device| device.wants_from(now));
        let wanted = if self.writes.is_empty() { wanted.min() } else { Some(now) };
        wanted.map(|at| at.max(self.open_from))
    }

    fn opened(&mut self, bus: Box<dyn DynBus>) {
        self.opening = None;
        self.line.bus = Some(bus);
        self.line.stats.opened();
        tracing::debug!(bus = %self.label, "open");
        self.proven = false;
        let now = Instant::now();
        for device in &mut self.devices {
            device.restart();
            device.health.misses_since_open = 0;
            device.chance(now);
        }
    }

    /// The other side closed a connection that worked and was idle. That is its right: it is opened again when there is
    /// something to ask.
    fn closed_in_order(&mut self, error: &Error) {
        self.shut();
        let now = Instant::now();
        self.open_from = now + self.backoff.next(&mut self.dice);
        self.report_from = now + GRACE;
        self.down = None;
        tracing::debug!(bus = %self.label, "closed by the other side while idle: {error}");
    }

    /// Drops the bus, and opens it again after a while.
    fn reopen(&mut self, error: &Error, during: &dyn fmt::Display) {
        self.shut();
        let wait = self.backoff.next(&mut self.dice);
        self.open_from = Instant::now() + wait;
        self.report_from = Instant::now() + GRACE;
        self.down = Some(failure(error));
        if self.fault.strike(error.kind) {
            tracing::warn!(bus = %self.label, %during, reason = error.kind.reason(), retry_in = ?wait, "{error}");
        }
    }

    /// Sleeps until something is to do; false when it is to stop.
    async fn rest(&mut self, due: Option<Instant>) -> bool {
        let event = tokio::select! {
            biased;
            command = self.commands.recv() => Event::Command(command),
            frame = maybe(self.line.bus.as_mut().map(|bus| bus.idle())) => Event::Frame(frame),
            () = until(due) => Event::Due,
        };
        match event {
            Event::Command(None) => return false,
            Event::Command(Some(command)) => self.take(command),
            Event::Frame(frame) => self.heard(frame),
            Event::Opened(_) | Event::Due => {}
        }
        true
    }

    /// Takes the frames that arrived during an exchange, and notices that the other side has closed, before a question
    /// is lost to that; false when the bus is closed.
    async fn listen(&mut self) -> bool {
        for _ in 0..FRAMES {
            let Some(bus) = self.line.bus.as_mut() else { return false };
            let frame = {
                let mut idle = pin!(bus.idle());
                std::future::poll_fn(|context| match idle.as_mut().poll(context) {
                    std::task::Poll::Ready(frame) => std::task::Poll::Ready(Some(frame)),
                    std::task::Poll::Pending => std::task::Poll::Ready(None),
                })
                .await
            };
            let Some(frame) = frame else { break };
            self.heard(frame);
        }
        self.line.bus.is_some()
    }

    /// Tells of the devices that are silent for too long; when the next one will be.
    fn hush(&mut self) -> Option<Instant> {
        let now = Instant::now();
        for device in self.devices.iter_mut().filter(|device| device.silent_at().is_some_and(|at| at <= now)) {
            device.hush(&self.label);
        }
        self.devices.iter().filter_map(Device::silent_at).min()
    }

    fn heard(&mut self, frame: Result<DynFrame, Error>) {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) if self.proven && error.kind == ErrorKind::Bus => return self.closed_in_order(&error),
            Err(error) => {
                // It will be open again in no time, and no poll would tell of this.
                let failure = failure(&error);
                self.devices.iter_mut().for_each(|device| device.fail_all(&failure, 0));
                return self.reopen(&error, &"listening");
            }
        };
        let now = Stamp::now();
        for (index, device) in self.devices.iter_mut().enumerate() {
            self.at_work = Some(index);
            device.mark();
            let Some(source) = &device.source else { continue };
            let bound = &device.member.bound;
            if bound.source_of(&frame) == source {
                let waited = bound.frame_time(&frame).map(|then| now.mono.saturating_duration_since(then.into()));
                device.hear(&frame, now.before(waited.unwrap_or_default()), &mut self.out);
            }
        }
        self.backoff.reset();
        self.well();
    }

    async fn poll(&mut self, index: usize, slot: usize) {
        self.at_work = Some(index);
        let device = &mut self.devices[index];
        let missed = device.begin(slot, &self.options.grid);
        if missed > 0 {
            self.line.stats.missed(missed);
            device.member.observer.skipped(missed);
        }
        self.allowance.used &= slot == PREPARE;
        let exchanges = device.exchanges(slot);
        match device.step(slot, &mut self.line, &mut self.out).await {
            Ok(()) if exchanges => self.answered(index, slot),
            Ok(()) => {}
            Err(broken) => self.broken(index, Some(slot), broken).await,
        }
        tokio::task::consume_budget().await;
    }

    async fn probe(&mut self, index: usize) {
        self.at_work = Some(index);
        let begun = Instant::now();
        let ahead = self.devices.iter().any(|d| d.health.probe.is_none() && d.slots.iter().any(|s| s.is_due(begun)));
        let device = &mut self.devices[index];
        let Some(slot) = device.probe_slot() else {
            device.health.probe = None;
            return;
        };
        device.begin(slot, &self.options.grid);
        let exchanges = device.exchanges(slot);
        self.allowance.used = true;
        match device.step(slot, &mut self.line, &mut self.out).await {
            Ok(()) if exchanges => self.answered(index, slot),
            Ok(()) => {}
            Err(broken) => self.broken(index, Some(slot), broken).await,
        }
        if ahead {
            self.allowance.ahead_from = Instant::now() + begun.elapsed() * AHEAD_SHARE;
        }
        tokio::task::consume_budget().await;
    }

    /// A device answered.
    pub fn answered(&mut self, index: usize, slot: usize) {
        let device = &mut self.devices[index];
        if device.answered(slot) {
            device.resume(slot);
        }
        device.content(&self.label);
        // What prepares a device may be done without asking it: such a bus could break again and again at once.
        if slot != PREPARE {
            self.backoff.reset();
        }
        self.well();
    }

    /// The bus itself has proved to work.
    fn well(&mut self) {
        self.proven = true;
        self.down = None;
        if self.devices.iter().all(Device::vouches)
            && let Some((failures, time)) = self.fault.clear()
        {
            tracing::info!(bus = %self.label, failures, ?time, "recovered");
        }
    }

    /// A sequence broke off: tells the device's observer, and does to the bus what the kind of error asks for. Without a
    /// slot it was a write.
    pub async fn broken(&mut self, index: usize, slot: Option<usize>, broken: Broken) {
        let Broken { at, request, error } = broken;
        let device = &mut self.devices[index];
        let health = &mut device.health;
        let probing = health.probe.is_some();
        let reason = failure(&error);
        let (silent, misfit) = match error.kind {
            ErrorKind::Timeout => (true, false),
            ErrorKind::Bus | ErrorKind::Unreachable => (false, false),
            _ => (false, true),
        };
        let misses = if silent || misfit { health.misses + u32::from(silent) } else { 0 };
        if silent {
            health.misses += 1;
            health.misses_since_open += 1;
        } else if misfit {
            health.misses = 0;
            health.misses_since_open = 0;
            health.misfits += 1;
        } else {
            health.breaks += 1;
        }
        let unruly = health.misfits >= UNRULY || health.breaks >= UNRULY;
        // A probe that was answered, though it did not fit, found the device alive.
        let alive = probing && misfit && !unruly;
        let suspect = silent || unruly || (probing && !misfit);
        if alive {
            health.probe = None;
        }
        if silent && misses == SILENT {
            device.unlearn();
        }
        if silent || misfit {
            device.complain(&self.label, slot, &request, &error);
        }
        if let Some(slot) = slot {
            if (probing && !alive) || slot == PREPARE {
                device.fail_all(&reason, misses);
            } else {
                let points = device.unread(slot, at, suspect || !misfit);
                if !points.is_empty() {
                    device.member.observer.failed(Stamp::now(), &points, &reason, misses);
                }
            }
            match (suspect, misfit) {
                (true, _) => device.abandon(slot),
                (false, true) => device.pass(slot),
                // The bus broke: the poll goes on from here once it is open again.
                (false, false) => device.interrupt(slot),
            }
        }
        if alive {
            device.resume(slot.unwrap_or(usize::MAX));
        }
        if suspect {
            device.suspect(&self.options.grid, &mut self.dice);
        }
        if !silent && !misfit {
            return self.reopen(&error, &request);
        }
        if let Err(error) = self.line.resynchronise().await {
            return self.reopen(&error, &"resynchronise");
        }
        let mut asked = self.devices.iter().filter(|device| device.probe_slot().is_some()).peekable();
        if silent && asked.peek().is_some() && asked.all(|device| device.health.misses_since_open >= SILENT) {
            let message = format!("no device has answered {SILENT} times in a row: {error}");
            self.backoff.reset();
            let now = Instant::now();
            self.devices.iter_mut().for_each(|device| device.chance(now));
            self.reopen(&Error::new(ErrorKind::Timeout, message), &request);
        }
    }

    /// After a panic: the device at work is blamed, everything starts anew after a while.
    pub fn panicked(&mut self, message: &str) {
        let error = Error::new(ErrorKind::Bus, format!("a panic, which is a defect of the mapper: {message}"));
        let reason = failure(&error);
        self.opening = None;
        let blamed = self.at_work.take();
        self.reopen(&error, &"panic");
        for device in &mut self.devices {
            device.fail_all(&reason, 0);
        }
        if let Some(device) = blamed.and_then(|index| self.devices.get_mut(index)) {
            device.forget();
            device.health.breaks = device.health.breaks.max(UNRULY);
            device.suspect(&self.options.grid, &mut self.dice);
        }
    }
}

pub(super) fn failure(error: &Error) -> Failure {
    Failure { kind: error.kind, message: error.message.clone().into_owned() }
}

/// Waits for a future that may not be there: then for ever.
async fn maybe<F: Future + Unpin>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
