//! A hand-made HTTP server on loopback that answers as a test says: for lies that no API server tells.

use std::{
    collections::VecDeque,
    convert::Infallible,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    header,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value as Json, json};
use tokio::{net::TcpListener, task::JoinSet, time::Instant};

use super::client::Link;

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Verb and path with query, such as `GET /version`.
    pub what: String,
    /// The token.
    pub token: String,
    /// The body.
    pub body: Json,
    pub user_agent: String,
}

impl Asked {
    pub fn is_watch(&self) -> bool {
        self.what.contains("watch=true")
    }

    pub fn is_list(&self) -> bool {
        self.what.contains("limit=")
    }
}

/// What is answered.
pub enum Reply {
    Json(u16, Json),
    Text(u16, &'static str),
    /// Lines of a watch, which then ends or stays open.
    Watch(Vec<Json>, bool),
    /// No answer ever.
    Silence,
}

type Answer = Box<dyn FnMut(&Asked) -> Reply + Send>;

/// The server; it ends with the test.
pub struct Liar {
    pub kubeconfig: PathBuf,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Mutex<Answer>>,
    _tasks: JoinSet<()>,
}

impl Liar {
    /// Answers so from now on.
    pub async fn start(answer: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let kubeconfig = kubeconfig(&format!("http://127.0.0.1:{port}"), None);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Box::new(answer)));
        let mut tasks = JoinSet::new();
        let (log, answers) = (asked.clone(), answer.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, answers) = (log.clone(), answers.clone());
                let service = service_fn(move |request| serve(request, log.clone(), answers.clone()));
                connections.spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { kubeconfig, asked, answer, _tasks: tasks }
    }

    /// Answers otherwise from now on.
    pub fn now(&self, answer: impl FnMut(&Asked) -> Reply + Send + 'static) {
        *self.answer.lock().unwrap() = Box::new(answer);
    }

    pub async fn link(&self) -> Arc<Link> {
        Arc::new(Link::open(Some(&self.kubeconfig)).await.unwrap())
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until something like this was asked so many times.
    pub async fn until(&self, what: &str, times: usize, is: impl Fn(&Asked) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.asked().iter().filter(|asked| is(asked)).count() < times {
            assert!(Instant::now() < deadline, "not asked {times} times: {what}; but {:#?}", self.asked());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn serve(
    request: Request<Incoming>,
    log: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Mutex<Answer>>,
) -> Result<Response<Lines>, Infallible> {
    let header = |name| request.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let mut asked = Asked {
        what: format!("{} {}", request.method(), request.uri()),
        token: header(header::AUTHORIZATION),
        user_agent: header(header::USER_AGENT),
        body: Json::Null,
    };
    let body = request.into_body().collect().await.unwrap().to_bytes();
    asked.body = serde_json::from_slice(&body).unwrap_or_default();
    log.lock().unwrap().push(asked.clone());
    let reply = (answer.lock().unwrap())(&asked);
    let (code, kind, lines, open) = match reply {
        Reply::Json(code, json) => (code, "application/json", vec![json.to_string()], false),
        Reply::Text(code, text) => (code, "text/plain; charset=utf-8", vec![text.to_owned()], false),
        Reply::Watch(lines, open) => {
            (200, "application/json", lines.iter().map(|line| format!("{line}\n")).collect(), open)
        }
        Reply::Silence => std::future::pending().await,
    };
    let lines = Lines { rest: lines.into_iter().map(Bytes::from).collect(), open };
    Ok(Response::builder().status(code).header(header::CONTENT_TYPE, kind).body(lines).unwrap())
}

struct Lines {
    rest: VecDeque<Bytes>,
    open: bool,
}

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.rest.pop_front() {
            Some(line) => Poll::Ready(Some(Ok(Frame::data(line)))),
            None if self.open => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

/// A folder of this test's own.
pub fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("fieldgate-liar-{}-{:x}", std::process::id(), fastrand::u64(..)));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A kubeconfig file for this URL, with the token in a file if there is one.
pub fn kubeconfig(url: &str, token: Option<&std::path::Path>) -> PathBuf {
    let user = token.map_or_else(|| json!({}), |token| json!({"tokenFile": token}));
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    let path = folder().join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// A list as the API server gives it.
pub fn list(items: &[Json], version: &str, token: &str) -> Reply {
    Reply::Json(
        200,
        json!({
            "apiVersion": "fieldgate.dev/v1alpha1", "kind": "DeviceList", "items": items,
            "metadata": {"resourceVersion": version, "continue": token},
        }),
    )
}

/// The API server's own word that there is no such object.
pub fn not_found() -> Reply {
    let status = json!({"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "message": "none", "code": 404});
    Reply::Json(404, status)
}

/// What the API server answers to GET /version.
pub fn version() -> Reply {
    Reply::Json(200, json!({"gitVersion": "v1.37.2"}))
}
