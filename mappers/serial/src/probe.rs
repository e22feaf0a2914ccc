//! `fieldgate probe serial`: a line is listened to at one baud rate after the other, until what comes makes sense. The line
//! is opened as a bridge would open it, for this process alone; nothing is sent on it but what was asked for. What it means
//! is guessed by pure functions (`guess` and what it calls).

mod checks;
mod cut;
mod guess;
mod heard;
mod language;
mod numbers;
#[cfg(test)]
mod wave;
mod words;

use std::{collections::VecDeque, time::Duration};

use mapper_api::{BoxFuture, Error, ErrorKind, Found, Json, Probing, Result, Step};
use mapper_tty::{Parity, Port, Settings, Target, host_port};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, timeout_at},
};

use crate::{
    config::{self, Endpoint},
    octets,
};
use guess::{Content, Guess, LIKELY, SURE, WRONG, guess};
use heard::Heard;

/// The usual rates, the likelier ones first.
const RATES: [u32; 10] = [9600, 115_200, 4800, 2400, 19_200, 38_400, 57_600, 1200, 300, 230_400];
/// So long opening may take.
const OPENING: Duration = Duration::from_secs(10);
/// So often what was heard is judged.
const JUDGED: Duration = Duration::from_millis(250);
/// Who was asked answers within this, or is asked once more.
const ANSWER: Duration = Duration::from_secs(1);
/// Fewer bytes are not enough to give a rate up.
const FEW: usize = 64;
/// So many whole frames are enough to draft a Device from.
const FRAMES: usize = 6;

/// What a probe may be told.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Args {
    /// The device file. May be left out where there is only one.
    #[schemars(length(max = 255))]
    path: Option<String>,
    /// Host and port of a device server that passes the bytes on.
    tcp: Option<String>,
    /// Host and port of a device server that speaks RFC 2217.
    rfc2217: Option<String>,
    /// Only this rate.
    #[schemars(range(min = 50, max = 4_000_000))]
    baud: Option<u32>,
    /// Data bits, parity and stop bits, such as 8N1 (if left out) or 7E1.
    format: Option<String>,
    /// How long it listens at most at one rate; 10 if left out.
    #[schemars(range(min = 1, max = 3600))]
    seconds: Option<u64>,
    /// Bytes to send, such as `SI\r\n`, at each rate.
    send: Option<String>,
}

/// A probe that is under way.
#[derive(Debug)]
pub(crate) struct Probe {
    target: Target,
    settings: Settings,
    limit: Duration,
    request: Option<(String, Vec<u8>)>,
    /// The rate was given, or is set elsewhere: no other one could be meant.
    fixed: bool,
    /// Rates that are still to be tried.
    rates: VecDeque<u32>,
    began: Instant,
    now: Option<Listening>,
    /// The best rate so far.
    best: Option<(u32, Guess, Heard)>,
    /// Rates at which nothing came.
    silent: usize,
    steps: VecDeque<Step>,
    done: bool,
}

/// One rate.
struct Listening {
    port: Port,
    since: Instant,
    asked: usize,
    judge: Instant,
    heard: Heard,
    guess: Guess,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listening({:?})", self.guess)
    }
}

/// Begins one.
///
/// # Errors
/// The arguments are wrong.
pub(crate) fn begin(args: &Json) -> Result<Probe> {
    let config = |message: String| Error::new(ErrorKind::Config, message);
    let args = Args::deserialize(args).map_err(|error| config(error.to_string()))?;
    let at = |text: &str, key: &str| host_port(text, None).map_err(|error| config(format!("{key}: {error}")));
    let target = match (args.path, args.tcp, args.rfc2217) {
        (Some(path), None, None) => Target::Path(path),
        (None, Some(text), None) => at(&text, "tcp").map(|(host, port)| Target::Tcp { host, port })?,
        (None, None, Some(text)) => at(&text, "rfc2217").map(|(host, port)| Target::Rfc2217 { host, port })?,
        (None, None, None) => only().map_err(config)?,
        _ => return Err(config("path, tcp and rfc2217 are ways to one line; keep one of them".to_owned())),
    };
    let mut settings = args.format.as_deref().map_or(Ok(Settings::default()), format).map_err(config)?;
    let mut rates: VecDeque<u32> = args.baud.map_or_else(|| RATES.into(), |baud| [baud].into());
    if matches!(target, Target::Tcp { .. }) {
        // The rate is set at the other side.
        rates.truncate(1);
    }
    settings.baud = rates[0];
    if let Some((key, message)) = settings.mistakes().into_iter().next() {
        return Err(config(format!("{key}: {message}")));
    }
    let request = args.send.map(|text| octets::parse(&text).map(|bytes| (text, bytes)));
    let request = request.transpose().map_err(|error| config(format!("send: {error}")))?;
    let seconds = args.seconds.unwrap_or(10);
    if !(1..=3600).contains(&seconds) {
        return Err(config(format!("seconds: {seconds} is not in 1..3600")));
    }
    Ok(Probe {
        target,
        settings,
        limit: Duration::from_secs(seconds),
        request,
        fixed: rates.len() == 1,
        rates,
        began: Instant::now(),
        now: None,
        best: None,
        silent: 0,
        steps: VecDeque::new(),
        done: false,
    })
}

/// The only port of this machine.
fn only() -> Result<Target, String> {
    let paths: Vec<_> = mapper_tty::list().into_iter().map(|port| port.path.display().to_string()).collect();
    match &paths[..] {
        [] => Err("this machine has no serial port; name one by path=, tcp= or rfc2217=".to_owned()),
        [path] => Ok(Target::Path(path.clone())),
        paths => Err(format!("which one is meant? path= one of {}", paths.join(", "))),
    }
}

/// `7E1` as settings.
fn format(text: &str) -> Result<Settings, String> {
    let wrong = || format!("format: {text:?} is none; write data bits, parity and stop bits, such as 8N1, 7E1 or 8E2");
    let &[bits, parity, stops] = text.as_bytes() else { return Err(wrong()) };
    let parity = match parity.to_ascii_uppercase() {
        b'N' => Parity::None,
        b'E' => Parity::Even,
        b'O' => Parity::Odd,
        _ => return Err(wrong()),
    };
    let (data_bits, stop_bits) = (bits.wrapping_sub(b'0'), stops.wrapping_sub(b'0'));
    if !(5..=8).contains(&data_bits) || !(1..=2).contains(&stop_bits) {
        return Err(wrong());
    }
    Ok(Settings { data_bits, parity, stop_bits, ..Settings::default() })
}

/// What is done at a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Listen,
    Ask,
    Next,
    Settled,
}

/// Decides by what was heard after this time. `asked` is how often something was sent, of how often it may be.
fn verdict(guess: &Guess, len: usize, after: Duration, limit: Duration, asked: Option<usize>) -> Verdict {
    let late = after >= limit;
    match asked {
        // Who is asked at a wrong rate understands nothing, and is silent.
        Some(times) if len == 0 && after >= ANSWER * 2 && times >= 2 => return Verdict::Next,
        Some(times)
            if !late
                && guess.frames() < FRAMES
                && after >= ANSWER * u32::try_from(times).unwrap_or(u32::MAX)
                && (len < FEW || guess.points >= WRONG) =>
        {
            return Verdict::Ask;
        }
        _ => {}
    }
    let whole = guess.frames() >= FRAMES || (matches!(guess.content, Content::Language(_)) && len >= 1024);
    if guess.points >= SURE && (whole || late) || guess.points >= LIKELY && late {
        Verdict::Settled
    } else if late || (len >= FEW * 4 && guess.points < WRONG) || len >= heard::MOST {
        Verdict::Next
    } else {
        Verdict::Listen
    }
}

impl Probing for Probe {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Step>>> {
        Box::pin(async {
            while self.steps.is_empty() && !self.done {
                self.go_on().await?;
            }
            Ok(self.steps.pop_front())
        })
    }

    fn found(&self) -> Found {
        let now = self.now.as_ref().map(|now| (self.settings.baud, &now.guess, &now.heard));
        let best = self.best.as_ref().map(|(baud, guess, heard)| (*baud, guess, heard));
        let (baud, guess, heard) = match (now, best) {
            (Some(now), Some(best)) if best.1.points > now.1.points => best,
            (Some(now), _) => now,
            (None, Some(best)) => best,
            (None, None) => {
                return Found { id: self.id(), about: Vec::new(), draft: Err("the line was not opened".to_owned()) };
            }
        };
        let mut line = Settings { baud, ..self.settings };
        match guess.parity {
            Some(config::Parity::Even) => (line.data_bits, line.parity) = (7, Parity::Even),
            Some(config::Parity::Odd) => (line.data_bits, line.parity) = (7, Parity::Odd),
            _ => {}
        }
        let mut about = vec![("line", line.to_string())];
        if guess.content != Content::Nothing {
            let doubt = if guess.points < LIKELY { "; more was not to be made of it" } else { "" };
            about.push(("sure", format!("{} of 100{doubt}", guess.points)));
        }
        about.extend(guess.about());
        about.push(("heard", format!("{} bytes", heard.len())));
        let draft = if guess.points < WRONG && !self.fixed && !matches!(guess.content, Content::Nothing) {
            Err(format!(
                "what was heard makes no sense at {line}; try baud= and format=, or listen for longer with seconds="
            ))
        } else {
            guess.draft(heard, self.endpoint(baud), self.request.as_ref().map(|(text, _)| text.as_str()))
        };
        Found { id: self.id(), about, draft }
    }
}

impl Probe {
    /// One step further; what is to be shown of it is put down. Cancel-safe: nothing that was read is lost.
    async fn go_on(&mut self) -> Result<()> {
        let Some(now) = &mut self.now else {
            let port = mapper_tty::open(&self.target, &self.settings, OPENING).await?;
            self.rates.pop_front();
            let note = format!("{} is open for this process alone; nobody else can use it meanwhile", self.target);
            self.steps.push_back(Step::Note(note));
            self.listen(port);
            return Ok(());
        };
        let broken = |target: &Target, error: &std::io::Error| Error::new(ErrorKind::Bus, format!("{target}: {error}"));
        let mut buffer = [0; 1024];
        if let Ok(read) = timeout_at(now.judge, now.port.read(&mut buffer)).await {
            let count = read.map_err(|error| broken(&self.target, &error))?;
            let after = self.began.elapsed();
            now.heard.take(after, &buffer[..count]);
            self.steps.push_back(Step::Heard { after, bytes: buffer[..count].to_vec() });
        }
        if Instant::now() < now.judge {
            return Ok(());
        }
        now.judge = Instant::now() + JUDGED;
        now.guess = guess(&now.heard, now.port.settings().character());
        let asked = self.request.as_ref().map(|_| now.asked);
        match verdict(&now.guess, now.heard.len(), now.since.elapsed(), self.limit, asked) {
            Verdict::Listen => {}
            Verdict::Ask => {
                now.asked += 1;
                if let Some((text, bytes)) = &self.request {
                    now.port.write_all(bytes).await.map_err(|error| broken(&self.target, &error))?;
                    self.steps.push_back(Step::Note(format!("sent {text}")));
                }
            }
            Verdict::Settled => self.done = true,
            Verdict::Next => self.next_rate().await?,
        }
        Ok(())
    }

    fn listen(&mut self, port: Port) {
        self.steps.push_back(Step::Note(format!("listening at {}", port.settings())));
        let now = Instant::now();
        // Who is asked is asked at once.
        let judge = if self.request.is_some() { now } else { now + JUDGED };
        let guess = guess(&Heard::default(), Duration::ZERO);
        self.now = Some(Listening { port, since: now, asked: 0, judge, heard: Heard::default(), guess });
    }

    async fn next_rate(&mut self) -> Result<()> {
        let Some(now) = &mut self.now else { return Ok(()) };
        self.silent += usize::from(now.heard.len() == 0);
        // Whatever is sent is heard as something at a rate that is far off; only where it is asked does silence tell of a rate.
        let hopeless = self.request.is_none() && self.silent >= 2;
        let next = self.rates.front().copied().filter(|_| !hopeless);
        if let Some(baud) = next {
            now.port
                .set_baud(baud)
                .await
                .and_then(|()| now.port.discard_input())
                .map_err(|error| Error::new(ErrorKind::Bus, format!("{} at {baud} baud: {error}", self.target)))?;
        }
        let Some(now) = self.now.take() else { return Ok(()) };
        if now.heard.len() > 0 {
            self.steps.push_back(Step::Note(format!("{} of 100 at {}", now.guess.points, self.settings)));
        }
        if self.best.as_ref().is_none_or(|(_, best, _)| now.guess.points > best.points) {
            self.best = Some((self.settings.baud, now.guess, now.heard));
        }
        match next {
            Some(baud) => {
                self.rates.pop_front();
                self.settings.baud = baud;
                self.listen(now.port);
            }
            None => self.done = true,
        }
        Ok(())
    }

    fn id(&self) -> String {
        let name = self.target.to_string();
        name.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// The line as a Device names it.
    fn endpoint(&self, baud: u32) -> Endpoint {
        let Settings { data_bits, parity, stop_bits, .. } = self.settings;
        let mut endpoint = Endpoint {
            data_bits: (data_bits != 8).then_some(data_bits.into()),
            parity: match parity {
                Parity::None => None,
                Parity::Even => Some(config::Parity::Even),
                Parity::Odd => Some(config::Parity::Odd),
            },
            stop_bits: (stop_bits != 1).then_some(stop_bits.into()),
            baud: Some(baud.into()),
            ..Endpoint::default()
        };
        let address = |host: &str, port: u16| {
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
        };
        match &self.target {
            Target::Path(path) => endpoint.path = Some(path.clone()),
            Target::Rfc2217 { host, port } => endpoint.rfc2217 = Some(address(host, *port)),
            Target::Tcp { host, port } => {
                endpoint = Endpoint { tcp: Some(address(host, *port)), ..Endpoint::default() };
            }
            // It is never told one.
            Target::Usb(_) => {}
        }
        endpoint
    }
}

#[cfg(test)]
#[path = "probe/tests.rs"]
mod tests;
