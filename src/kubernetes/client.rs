//! The way to the API server: one request and its answer, within bounded time. It retries nothing but a request whose
//! token was refused, once, with a token read anew.
//!
//! kube gives the configuration; the stack below it is ours. kube's own would hold on to one PATCH for minutes, and links
//! a language of queries with its regular expressions for a kind of credentials that kubectl no longer has. It speaks
//! HTTP/1.1 only, so that a request that is given up takes its connection with it and the next one opens another; no
//! request waits behind a dead HTTP/2 connection. Keep-alive by TCP finds a dead connection below a watch within a minute
//! without waking this process.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    failure::{Failure, shorten},
    target::{Target, Way},
};
use crate::observe::api::Counts;

/// Without a version, since caches at the edge are kept by it.
pub const USER_AGENT: &str = "fieldgate";
/// How long an answer may take to begin, and to go on.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long a whole answer may take: a page of a list over a slow line.
const WHOLE: Duration = Duration::from_secs(60);
/// The largest answer that is taken: a page of 500 objects of a tenth of a megabyte.
const LARGEST: usize = 64 << 20;
/// A refused token is read anew at most this often.
const RENEWAL: Duration = Duration::from_secs(1);
/// Credentials that end soon are asked for anew at most this often.
const AHEAD: Duration = Duration::from_secs(10);
/// While nobody is reached token, authority and certificate are read anew at most this often.
const REFRESH: Duration = Duration::from_secs(60);

/// The way to one API server.
pub struct Link {
    target: Target,
    state: Mutex<State>,
    /// What was asked and what came of it.
    pub counts: Arc<Counts>,
}

struct State {
    way: Arc<Way>,
    renewed: Option<Instant>,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The verb as a metric shows it: get, list, watch, patch, create.
    pub verb: &'static str,
    /// GET, PATCH or POST.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The type of the body, if there is one.
    pub content: Option<&'static str>,
    /// The body.
    pub body: Bytes,
}

impl Ask {
    /// A request without a body.
    pub fn get(verb: &'static str, path: impl Into<String>) -> Self {
        Self { verb, method: Method::GET, path: path.into(), content: None, body: Bytes::new() }
    }
}

impl Link {
    /// The way that a kubeconfig file tells, or, without one, that of this pod's service account. Nothing is asked yet.
    ///
    /// # Errors
    /// The file is not there or not right; this is no pod; the service account has no token here.
    pub async fn open(kubeconfig: Option<&Path>) -> anyhow::Result<Self> {
        let target = Target::new(kubeconfig);
        let way = Arc::new(target.connect().await?);
        Ok(Self { target, state: Mutex::new(State { way, renewed: None }), counts: Arc::default() })
    }

    /// Asks, and reads the whole answer.
    ///
    /// # Errors
    /// Everything but a success.
    pub async fn ask(&self, ask: &Ask) -> Result<Bytes, Failure> {
        let whole = async { read(self.begin(ask).await?.into_body()).await };
        let late = |_| Err(Failure::away(format!("no whole answer within {} s", WHOLE.as_secs())));
        let answer = timeout(WHOLE, whole).await.unwrap_or_else(late);
        self.counts.count(ask.verb, answer.as_ref().map_or_else(|failure| failure.kind.word(), |_| "ok"));
        answer
    }

    /// Asks, and leaves the body of the answer to be read as it comes.
    ///
    /// # Errors
    /// Everything but a success.
    pub async fn stream(&self, ask: &Ask) -> Result<Incoming, Failure> {
        let answer = self.begin(ask).await;
        self.counts.count(ask.verb, answer.as_ref().map_or_else(|failure| failure.kind.word(), |_| "ok"));
        answer.map(Response::into_body)
    }

    async fn begin(&self, ask: &Ask) -> Result<Response<Incoming>, Failure> {
        let ends = self.state().way.credentials.end_soon(Timestamp::now());
        if ends {
            self.renew(AHEAD).await;
        }
        let answer = match self.send(ask).await {
            Ok(answer) => answer,
            Err(failure) => {
                self.refresh().await;
                return Err(failure);
            }
        };
        if answer.status().as_u16() == 401 && self.renew(RENEWAL).await {
            return check(self.send(ask).await?).await;
        }
        check(answer).await
    }

    async fn send(&self, ask: &Ask) -> Result<Response<Incoming>, Failure> {
        let way = self.state().way.clone();
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(way.address(&ask.path))
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(content) = ask.content {
            request = request.header(header::CONTENT_TYPE, content);
        }
        if let Some(value) = way.credentials.authorization() {
            request = request.header(header::AUTHORIZATION, value);
        }
        let request = request
            .body(Full::new(ask.body.clone()))
            .map_err(|error| Failure::away(format!("cannot ask for {}: {error}", ask.path)))?;
        match timeout(PATIENCE, way.http.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Failure::away(causes(&error))),
            Err(_) => Err(Failure::away(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    /// Nobody was reached: the authority may be another by now, or the client's certificate, and both are read anew for the
    /// next request, rarely. Where a kubeconfig names a program to run they are not: nobody wants that run once a minute of
    /// an outage.
    async fn refresh(&self) {
        let runs_program = self.state().way.runs_program;
        if !runs_program {
            self.renew(REFRESH).await;
        }
    }

    /// Reads token, authority and certificate anew. False if that was done less than so long ago, or cannot be done.
    async fn renew(&self, least: Duration) -> bool {
        {
            let mut state = self.state();
            if state.renewed.is_some_and(|at| at.elapsed() < least) {
                return false;
            }
            state.renewed = Some(Instant::now());
        }
        match self.target.connect().await {
            Ok(way) => {
                self.state().way = Arc::new(way);
                true
            }
            Err(error) => {
                tracing::warn!("The credentials for the API server cannot be read anew: {error:#}.");
                false
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn check(answer: Response<Incoming>) -> Result<Response<Incoming>, Failure> {
    let code = answer.status();
    if code.is_success() {
        return Ok(answer);
    }
    let after = answer.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let body = read(answer.into_body()).await.unwrap_or_default();
    Err(Failure::of_answer(code.as_u16(), after.as_deref(), &body))
}

/// The whole body; each part of it within [`PATIENCE`].
async fn read(mut body: Incoming) -> Result<Bytes, Failure> {
    let mut whole = Vec::new();
    while let Some(part) = part(&mut body, Instant::now() + PATIENCE).await? {
        if whole.len() + part.len() > LARGEST {
            return Err(Failure::away(format!("the answer is larger than {} MiB", LARGEST >> 20)));
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole.into())
}

/// The next part of a body, or none at its end.
///
/// # Errors
/// None came until then, or the connection broke.
pub async fn part(body: &mut Incoming, until: Instant) -> Result<Option<Bytes>, Failure> {
    loop {
        return match timeout_at(until, body.frame()).await {
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Ok(Some(data)),
                Err(_) => continue,
            },
            Ok(Some(Err(error))) => Err(Failure::away(causes(&error))),
            Ok(None) => Ok(None),
            Err(_) => Err(Failure::away("the answer stopped in the middle")),
        };
    }
}

/// An error and what caused it, as one line; what is said twice is said once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let said = error.to_string();
        if !text.contains(&said) {
            text = if text.is_empty() { said } else { format!("{text}: {said}") };
        }
        next = error.source();
    }
    if text.contains("close_notify") || text.contains("unexpected EOF") {
        return "the connection broke off".to_owned();
    }
    shorten(&text)
}

/// A text as it may stand in a query.
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::{
        super::{
            failure::Kind,
            testing::{Liar, Reply, folder, kubeconfig, version},
        },
        *,
    };

    #[tokio::test]
    async fn a_token_that_was_replaced_is_taken_at_once() {
        let liar = Liar::start(|asked| match asked.token.as_str() {
            "Bearer new" => version(),
            _ => Reply::Text(401, "Unauthorized"),
        })
        .await;
        let token = liar.kubeconfig.with_file_name("token");
        std::fs::write(&token, "old").unwrap();
        let url = std::fs::read_to_string(&liar.kubeconfig).unwrap();
        let url = url.split("\"server\":\"").nth(1).unwrap().split('"').next().unwrap();
        let link = Link::open(Some(&kubeconfig(url, Some(&token)))).await.unwrap();
        let ask = Ask::get("get", "/version");
        assert_eq!(link.ask(&ask).await.unwrap_err().kind, Kind::Unauthorized);
        assert_eq!(liar.asked().len(), 2, "once more with a token read anew, then no more");
        assert_eq!(link.ask(&ask).await.unwrap_err().kind, Kind::Unauthorized);
        assert_eq!(liar.asked().len(), 3, "not read anew each time");
        std::fs::write(&token, "new").unwrap();
        tokio::time::sleep(RENEWAL).await;
        link.ask(&ask).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_missing_is_said() {
        let error = |error: anyhow::Result<Link>| format!("{:#}", error.err().unwrap());
        let none = error(Link::open(Some(Path::new("/no/such/file"))).await);
        assert!(none.contains("kubeconfig file /no/such/file"), "{none}");
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
            let none = error(Link::open(None).await);
            assert!(none.contains("--kubeconfig FILE"), "{none}");
        }
    }

    fn plugin(script: &str) -> PathBuf {
        plugin_for(&kubeconfig("http://127.0.0.1:1", None), script)
    }

    /// This kubeconfig, with credentials from this shell script.
    fn plugin_for(path: &Path, script: &str) -> PathBuf {
        let mut config: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        config["users"][0]["user"] = json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
            "command": "sh", "args": ["-c", script],
        }});
        std::fs::write(path, config.to_string()).unwrap();
        path.to_owned()
    }

    #[tokio::test]
    async fn a_program_that_gives_credentials_holds_up_nothing() {
        let answer = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"},
        });
        let path = plugin(&format!("sleep 1; echo '{answer}'"));
        let mut ticks = 0;
        let mut ticking = tokio::time::interval(Duration::from_millis(10));
        let mut opening = std::pin::pin!(Link::open(Some(&path)));
        let opened = loop {
            tokio::select! {
                opened = &mut opening => break opened,
                _ = ticking.tick() => ticks += 1,
            }
        };
        opened.unwrap();
        assert!(ticks > 10, "{ticks}");
        let error = format!("{:#}", Link::open(Some(&plugin("exit 1"))).await.err().unwrap());
        assert!(error.contains("kubeconfig file"), "{error}");
    }

    #[tokio::test]
    async fn a_program_is_run_again_before_its_token_ends_but_not_for_each_request() {
        let liar = Liar::start(|_| version()).await;
        let runs = liar.kubeconfig.with_file_name("runs");
        let soon = Timestamp::now().checked_add(jiff::SignedDuration::from_secs(30)).unwrap();
        let script = format!(
            r#"echo >> {runs}; echo "{{\"status\": {{\"token\": \"t$(wc -l < {runs})\", \"expirationTimestamp\": \"{soon}\"}}}}""#,
            runs = runs.display()
        );
        let path = plugin_for(&liar.kubeconfig, &script);
        let link = Link::open(Some(&path)).await.unwrap();
        for _ in 0..3 {
            link.ask(&Ask::get("get", "/version")).await.unwrap();
        }
        let tokens: Vec<_> = liar.asked().into_iter().map(|asked| asked.token).collect();
        assert_eq!(tokens, ["Bearer t2", "Bearer t2", "Bearer t2"]);
    }

    #[tokio::test]
    async fn a_program_is_not_run_again_because_nobody_is_reached() {
        let runs = folder().join("runs");
        let path = plugin(&format!("echo >> {}; echo '{{\"status\": {{\"token\": \"t\"}}}}'", runs.display()));
        let link = Link::open(Some(&path)).await.unwrap();
        for _ in 0..2 {
            assert_eq!(link.ask(&Ask::get("get", "/version")).await.unwrap_err().kind, Kind::Away);
        }
        assert_eq!(std::fs::read_to_string(runs).unwrap().lines().count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_does_not_end_is_given_up_and_not_begun_again() {
        let path = plugin("sleep 5");
        let target = Target::Kubeconfig { path, reading: Arc::default() };
        let error = target.connect().await.err().unwrap().to_string();
        assert!(error.contains("did not end within 30 s"), "{error}");
        let error = target.connect().await.err().unwrap().to_string();
        assert!(error.contains("has not ended yet"), "{error}");
    }
}
