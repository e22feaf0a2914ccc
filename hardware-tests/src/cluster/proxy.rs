//! A reverse proxy before the API server that lies on demand: what the proxies of edge clusters were seen to answer, and
//! what a bad line does. Switched at run time; it counts every request. It runs on a thread of its own.

mod call;
mod fault;
mod serve;

use std::{
    fs,
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tokio::sync::{oneshot, watch};

pub use call::{Call, Matches, Verb};
pub use fault::{Answer, Fault};

use super::{Endpoint, Server, lasting_port};

/// The line to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Requests pass.
    Open,
    /// Nobody listens, and every connection was cut.
    Refused,
    /// Connections are taken, requests are read, and nothing is ever answered; watches that are open fall silent.
    Hung,
}

/// A request as the proxy saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it came.
    pub at: Instant,
    /// What was asked for.
    pub call: Call,
    /// Its User-Agent.
    pub agent: String,
}

/// What the faults and the counters share.
struct State {
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Seen>>,
    line: watch::Sender<Line>,
    /// Counts up when every connection is to be cut.
    cuts: watch::Sender<u64>,
    /// Whether somebody listens.
    listening: watch::Sender<bool>,
}

struct Rule {
    matches: Matches,
    fault: Fault,
    /// How many requests it is still for; for all if none.
    left: Option<u32>,
}

impl State {
    /// Notes a request, and says what is to be done to it.
    fn take(&self, call: &Call, agent: &str) -> Option<Fault> {
        lock(&self.seen).push(Seen { at: Instant::now(), call: call.clone(), agent: agent.into() });
        let mut rules = lock(&self.rules);
        let rule = rules.iter_mut().find(|rule| rule.left != Some(0) && rule.matches.fits(call))?;
        if let Some(left) = &mut rule.left {
            *left -= 1;
        }
        Some(rule.fault.clone())
    }
}

/// A running proxy; it ends with this value.
pub struct Proxy {
    endpoint: Endpoint,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts one before this server: an honest one.
    pub fn start(server: &Server) -> Result<Self> {
        let port = lasting_port()?;
        let shown = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        let authority = server.folder().join(format!("proxy-{port}.crt"));
        fs::write(&authority, shown.cert.pem())?;
        let endpoint = Endpoint { url: format!("https://127.0.0.1:{port}"), authority, name: None };
        let state = Arc::new(State {
            rules: Mutex::default(),
            seen: Mutex::default(),
            line: watch::Sender::new(Line::Open),
            cuts: watch::Sender::new(0),
            listening: watch::Sender::new(false),
        });
        let tls = serve::Tls::new(shown.cert.der().clone(), &shown.signing_key, server.endpoint())?;
        // Taken here, so that a port that is gone is told to the caller.
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        listener.set_nonblocking(true)?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inner = state.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    result = serve::listen(listener, port, tls, inner) => result.expect("the proxy listens"),
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { endpoint, state, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it is reached.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// From now on this is done to every request that fits, before older faults are looked at.
    pub fn set(&self, matches: Matches, fault: Fault) {
        self.add(matches, fault, None);
    }

    /// This is done to the next requests that fit.
    pub fn next(&self, times: u32, matches: Matches, fault: Fault) {
        self.add(matches, fault, Some(times));
    }

    fn add(&self, matches: Matches, fault: Fault, left: Option<u32>) {
        lock(&self.state.rules).insert(0, Rule { matches, fault, left });
    }

    /// An honest proxy again, on an open line.
    pub fn heal(&self) -> Result<()> {
        lock(&self.state.rules).clear();
        self.line(Line::Open)
    }

    /// How many of the requests that a fault is for are still to come: of the faults set by [`Proxy::next`].
    pub fn waiting(&self) -> u32 {
        lock(&self.state.rules).iter().filter_map(|rule| rule.left).sum()
    }

    /// Switches the line, and returns when it is so.
    pub fn line(&self, line: Line) -> Result<()> {
        self.state.line.send_replace(line);
        let listens = line != Line::Refused;
        let deadline = Instant::now() + Duration::from_secs(10);
        while *self.state.listening.borrow() != listens {
            if Instant::now() > deadline {
                bail!("the proxy's port cannot be taken again");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Cuts every connection, in the middle of whatever it carries. New ones are taken.
    pub fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.state.seen).clone()
    }

    /// How many requests that fit have come.
    pub fn count(&self, matches: Matches) -> usize {
        lock(&self.state.seen).iter().filter(|seen| matches.fits(&seen.call)).count()
    }

    /// How many that fit have come since then.
    pub fn since(&self, then: Instant, matches: Matches) -> usize {
        lock(&self.state.seen).iter().filter(|seen| seen.at >= then && matches.fits(&seen.call)).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
