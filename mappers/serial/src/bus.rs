//! The only I/O: one open line. It hands on the frames that come by themselves, and asks one question at a time. What came
//! while it asked and was no answer is kept for [`Bus::idle`].

mod readout;

use std::{
    collections::VecDeque,
    fmt, io,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use mapper_api::{Bus, Error, ErrorKind, Result};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    Serial,
    bind::{Device, Line, Step},
    frame::{Found, Framing},
    language::Listener,
    octets::latin_1,
    report::{Brief, Report, count},
    request::{Answer, Frame, Request, Said, What},
    voice::Voice,
    wire::{Ear, Wire},
};

/// Frames that came while something was asked, at most; the oldest go first.
const KEPT: usize = 64;
/// Start-up sequences that are remembered of a line: more devices than a line carries.
const STARTED: usize = 64;
/// How much longer than its bytes an answer may take once it has begun: USB adapters hand bytes over every 16 ms.
pub(crate) const STUTTER: Duration = Duration::from_millis(50);
/// How long a device is waited for that talks when silence is to be kept.
pub(crate) const BABBLE: Duration = Duration::from_secs(1);
/// What has begun before a question and not gone on for so long is no frame any more.
const STALE: Duration = Duration::from_millis(100);
/// How long a line may refuse to take bytes, besides the time that they need.
pub(crate) const STUCK: Duration = Duration::from_secs(2);

pub(crate) use readout::READOUT;

/// An open line.
pub struct SerialBus {
    line: Arc<Line>,
    wire: Wire,
    voice: Voice,
    kept: VecDeque<Frame>,
    report: Report,
    /// Some device of the line sends by itself, as far as is known.
    listens: bool,
    /// The silence after which no device of the line answers any more, as far as is known.
    settle: Duration,
    /// The start-up sequences that have changed the rate: a device to which one was sent understands the new rate alone.
    started: VecDeque<Arc<[Step]>>,
    /// Told when the line is gone: it is waited for then, rather than tried.
    gone: Box<dyn Fn() + Send + Sync>,
}

/// How an exchange without an answer ended.
enum Miss {
    /// Nothing came that could be meant.
    Silence,
    /// What came is no answer: why, and its bytes.
    Misfit(String, Vec<u8>),
}

/// What is tried before an answer is given up.
#[derive(Default)]
struct Last {
    looked: bool,
    extended: bool,
    finished: bool,
}

/// Who listens for an answer.
fn ear<'a>(own: &'a mut Option<Box<Ear>>, voice: &'a mut Voice) -> Option<&'a mut Ear> {
    match (own, voice) {
        (Some(ear), _) | (None, Voice::Frames(ear)) => Some(ear.as_mut()),
        (None, Voice::None | Voice::Language(_)) => None,
    }
}

/// What is waited for.
struct Expected<'a> {
    /// What a frame of the answer is.
    framing: &'a Arc<Framing>,
    /// How long until its first byte.
    timeout: Duration,
    /// The answer, if the frame is one.
    judge: &'a (dyn Fn(&[u8]) -> Option<Answer> + Sync),
    /// Frames of the device that come by themselves are no misfits.
    by_itself: &'a (dyn Fn(&[u8]) -> bool + Sync),
    /// Nothing comes by itself: what breaks off is the answer.
    alone: bool,
}

impl SerialBus {
    pub(crate) fn new(
        line: Arc<Line>,
        wire: Wire,
        listener: Option<Listener>,
        report: Report,
        gone: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let voice = Voice::new(&line, listener);
        let (listens, settle) = (line.listens, line.settle);
        let kept = VecDeque::new();
        Self { line, wire, voice, kept, report, listens, settle, started: VecDeque::new(), gone: Box::new(gone) }
    }

    /// The next frame of those that came already.
    fn next(&mut self) -> Option<Frame> {
        self.voice.next(&mut self.report)
    }

    fn keep(&mut self, frame: Frame) {
        if self.kept.len() == KEPT {
            // What became of it is counted once.
            self.kept.pop_front().inspect(|oldest| oldest.understood.store(true, Relaxed));
            count(&self.report.counts.dropped, 1);
        }
        self.kept.push_back(frame);
    }

    /// What came before a question is not its answer.
    fn put_aside(&mut self) {
        while let Some(frame) = self.next() {
            self.keep(frame);
        }
    }

    /// Takes in what comes until then.
    async fn put_aside_until(&mut self, until: Instant) -> io::Result<()> {
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if let Ok(heard) = timeout(left, self.wire.listen(&mut self.voice)).await {
                heard?;
            }
            self.put_aside();
        }
        Ok(())
    }

    /// Takes in what came, and keeps silence for so long.
    async fn quiet(&mut self, quiet: Duration) -> io::Result<()> {
        let give_up = Instant::now() + quiet + BABBLE;
        loop {
            while Instant::now() < give_up && self.wire.glance(&mut self.voice).await? {
                self.put_aside();
            }
            let free = self.wire.last + quiet;
            let now = Instant::now();
            if free <= now || now >= give_up || quiet.is_zero() {
                return Ok(());
            }
            if let Ok(heard) = timeout(free - now, self.wire.listen(&mut self.voice)).await {
                heard?;
                self.put_aside();
            }
        }
    }

    /// What stands half in the ear when a question goes out would be glued to its answer.
    fn clear(&mut self) {
        if let Voice::Frames(ear) = &mut self.voice
            && (!ear.pending() || ear.at.elapsed() >= STALE)
        {
            let bytes = ear.clear();
            self.report.skipped(bytes);
        }
    }

    /// Sends, and waits for the answer, as often as the device is to be asked.
    async fn ask(&mut self, request: &Request, send: &[u8], expected: &Expected<'_>) -> Result<Answer> {
        let device = &request.device;
        let retries = device.retries(&request.what);
        let mut miss = Miss::Silence;
        let mut first = None;
        for _ in 0..=retries {
            self.send(device, request, send).await?;
            let begun = Instant::now();
            let first = *first.get_or_insert(begun);
            match self.answer(send.len(), expected).await {
                Ok(Ok(answer)) => {
                    // It may answer the first try, and what answers the last one be as late.
                    let late = (begun - first).min(expected.timeout * retries);
                    if !late.is_zero() {
                        let until = Instant::now() + late + STUTTER;
                        self.put_aside_until(until).await.map_err(|error| self.lost(request, &error))?;
                    }
                    return Ok(answer);
                }
                Ok(Err(missed)) => miss = missed,
                Err(error) => return Err(self.lost(request, &error)),
            }
        }
        Err(match miss {
            Miss::Silence => {
                let (waited, times) = (expected.timeout.as_millis(), retries + 1);
                let times = if times > 1 { format!(", asked {times} times") } else { String::new() };
                Error::new(ErrorKind::Timeout, format!("{request}: no answer within {waited} ms{times}"))
            }
            Miss::Misfit(why, bytes) => Error::new(ErrorKind::BadData, format!("{request}: {why}: {}", Brief(&bytes))),
        })
    }

    async fn send(&mut self, device: &Device, request: &Request, bytes: &[u8]) -> Result<()> {
        if let Err(error) = self.quiet(device.quiet).await {
            return Err(self.lost(request, &error));
        }
        self.clear();
        let within = self.wire.time(bytes.len()) + STUCK;
        self.wire.send(bytes, within).await.map_err(|error| self.lost(request, &error))
    }

    async fn answer(&mut self, sent: usize, expected: &Expected<'_>) -> io::Result<Result<Answer, Miss>> {
        let until = Instant::now() + self.wire.time(sent) + expected.timeout;
        // Each device of the line has the same frame in a framing of its own.
        if self.line.framing.as_ref() == Some(expected.framing) {
            return self.wait(until, None, expected).await;
        }
        let mut ear = Ear::new(expected.framing.clone());
        ear.clear();
        let answer = self.wait(until, Some(Box::new(ear)), expected).await;
        // The voice has not heard what came meanwhile, and may take up in the middle of a frame.
        if let (Voice::Frames(ear), Some(framing)) = (&mut self.voice, &self.line.framing) {
            let bytes = ear.clear();
            **ear = Ear::new(framing.clone());
            self.report.skipped(bytes);
        }
        answer
    }

    /// Waits for an answer, with an ear of its own where its frames are others than the line's.
    async fn wait(
        &mut self,
        mut until: Instant,
        mut own: Option<Box<Ear>>,
        expected: &Expected<'_>,
    ) -> io::Result<Result<Answer, Miss>> {
        let (mut miss, mut last) = (Miss::Silence, Last::default());
        loop {
            while let Some((found, at)) = ear(&mut own, &mut self.voice).and_then(|ear| Some((ear.next()?, ear.at))) {
                match found {
                    Found::Skipped(bytes) => drop(self.report.skipped(bytes)),
                    Found::Bad { bytes, why } => {
                        count(&self.report.counts.bad_frames, 1);
                        // The right answer may stand behind it, and has come by then; unless it was no answer at all.
                        if expected.alone && !self.listens {
                            until = until.min(Instant::now() + STUTTER);
                        }
                        miss = Miss::Misfit(why, bytes);
                    }
                    Found::Frame(bytes) => {
                        self.report.good();
                        if let Some(answer) = (expected.judge)(&bytes) {
                            return Ok(Ok(answer));
                        }
                        let misfit = |bytes| Miss::Misfit("the answer does not fit".into(), bytes);
                        let frame = |bytes| Frame::new(Said::Bytes(bytes), at, &self.report.counts);
                        if own.is_some() {
                            // It says nothing by the line's grammar, whose check it never passed.
                            drop(frame(Vec::new()));
                            miss = misfit(bytes);
                        } else {
                            let frame = frame(bytes.clone());
                            if !(expected.by_itself)(&bytes) {
                                miss = misfit(bytes);
                            }
                            self.keep(frame);
                        }
                    }
                }
            }
            let Some(ear) = ear(&mut own, &mut self.voice) else { return Ok(Err(miss)) };
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                if let Ok(heard) = timeout(left, self.wire.listen(ear)).await {
                    heard?;
                }
            } else if !last.looked {
                // It may have come while this program was held up.
                last.looked = true;
                self.wire.glance(ear).await?;
            } else if ear.pending() && !last.extended {
                // An answer that has begun in time may take as long as it is.
                last.extended = true;
                until = Instant::now() + self.wire.time(expected.framing.max()).min(LONGEST_ANSWER) + STUTTER;
            } else if ear.pending() && expected.alone && !last.finished {
                last.finished = true;
                ear.finish();
            } else {
                return Ok(Err(miss));
            }
        }
    }

    async fn step(&mut self, request: &Request, step: &Step) -> Result<Answer> {
        let device = &request.device;
        if device.changes_baud {
            if self.started.contains(&device.steps) {
                return Ok(Answer::Done);
            }
            if request.what == What::Step(0) && !self.started.is_empty() {
                // Another unit has changed the rate; this one still has the line's own.
                let baud = self.line.settings.baud;
                self.wire.set_baud(baud, STUCK).await.map_err(|error| self.lost(request, &error))?;
            }
        }
        match (&step.send, &step.answer) {
            (Some(send), None) => self.send(&request.device, request, send).await?,
            (send, Some((framing, pattern))) => {
                let judge = |frame: &[u8]| {
                    let text = latin_1(framing.content(frame));
                    pattern.is_match(&text).then_some(Answer::Done)
                };
                let expected =
                    Expected { framing, timeout: step.timeout, judge: &judge, by_itself: &|_| true, alone: false };
                self.ask(request, send.as_deref().unwrap_or_default(), &expected).await?;
            }
            (None, None) => {}
        }
        if let Some(baud) = step.baud {
            self.wire.set_baud(baud, STUCK).await.map_err(|error| self.lost(request, &error))?;
        }
        if !step.wait.is_zero() {
            sleep(step.wait).await;
        }
        if device.changes_baud && request.what == What::Step(device.steps.len() - 1) {
            if self.started.len() == STARTED {
                self.started.pop_front();
            }
            self.started.push_back(device.steps.clone());
        }
        Ok(Answer::Done)
    }

    /// A line that is gone is told of at once; a connection that ended may be made anew.
    fn lost(&self, what: &dyn fmt::Display, error: &io::Error) -> Error {
        if error.kind() != io::ErrorKind::UnexpectedEof || self.line.is_remote() {
            return Error::new(ErrorKind::Bus, format!("{what}: {error}"));
        }
        count(&self.report.counts.unplugged, 1);
        (self.gone)();
        Error::new(ErrorKind::Unreachable, format!("{what}: {error}"))
    }
}

/// No answer takes longer than this once it has begun.
pub(crate) const LONGEST_ANSWER: Duration = Duration::from_secs(30);

impl Bus<Serial> for SerialBus {
    async fn exchange(&mut self, request: &Request) -> Result<Answer> {
        let device = request.device.clone();
        // The line is that of the device that opened it.
        self.listens |= device.line.listens;
        self.settle = self.settle.max(device.line.settle);
        match &request.what {
            What::Step(index) => match device.steps.get(*index) {
                Some(step) => self.step(request, step).await,
                None => Ok(Answer::Done),
            },
            What::Ask(index) => {
                let Some((message, ask)) = device.messages.get(*index).and_then(|m| Some((m, m.ask.as_ref()?))) else {
                    return Ok(Answer::Done);
                };
                let judge = |frame: &[u8]| message.judge(&ask.framing, frame);
                let by_itself = |frame: &[u8]| device.comes_by_itself(frame);
                let expected = Expected {
                    framing: &ask.framing,
                    timeout: ask.timeout,
                    judge: &judge,
                    by_itself: &by_itself,
                    alone: device.is_only_asked(),
                };
                self.ask(request, &ask.send, &expected).await
            }
            What::Readout => self.read_out(request).await,
            What::Write(point, bytes) => {
                let Some(write) = device.writes.get(point) else { return Ok(Answer::Done) };
                let Some(confirmation) = &write.confirmation else {
                    self.send(&device, request, bytes).await?;
                    return Ok(Answer::Done);
                };
                let judge = |frame: &[u8]| confirmation.judge(frame);
                let by_itself = |frame: &[u8]| device.comes_by_itself(frame);
                let expected = Expected {
                    framing: &confirmation.framing,
                    timeout: confirmation.timeout,
                    judge: &judge,
                    by_itself: &by_itself,
                    alone: device.is_only_asked(),
                };
                self.ask(request, bytes, &expected).await
            }
        }
    }

    /// A late answer must not be taken for the next one: the line has to be silent for a moment. What comes until then is
    /// kept, since no device takes what it has to be asked for from a frame that came by itself.
    async fn resynchronise(&mut self) -> Result<()> {
        let settle = self.settle;
        self.wire.last = Instant::now();
        self.quiet(settle).await.map_err(|error| self.lost(&"resynchronise", &error))?;
        if let Voice::Frames(ear) = &mut self.voice
            && !self.listens
        {
            let bytes = ear.clear();
            self.report.skipped(bytes);
        }
        Ok(())
    }

    /// Cancel-safe: bytes go from the system into the ear, and frames out of it, without a pause in between.
    async fn idle(&mut self) -> Result<Frame> {
        loop {
            if let Some(frame) = self.kept.pop_front().or_else(|| self.next()) {
                return Ok(frame);
            }
            self.wire.listen(&mut self.voice).await.map_err(|error| self.lost(&self.line.target, &error))?;
        }
    }
}
