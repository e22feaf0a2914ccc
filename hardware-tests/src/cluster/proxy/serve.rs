//! The proxy's connections: TLS and HTTP/1.1 on both sides, a connection of its own to the server for each request.

use std::{convert::Infallible, io, sync::Arc};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, channel::Channel, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};

use super::{Call, Fault, Line, State, fault::Answer};
use crate::cluster::{Endpoint, https::Https};

type Body = BoxBody<Bytes, io::Error>;

/// Both sides of the proxy.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    upstream: Arc<Https>,
}

impl Tls {
    /// With this certificate and key of its own, before this server.
    pub fn new(certificate: CertificateDer<'static>, key: &rcgen::KeyPair, server: &Endpoint) -> Result<Self> {
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
        let upstream = Https::new(server)?;
        Ok(Self { acceptor: Arc::new(config).into(), upstream: Arc::new(upstream) })
    }
}

/// Listens on its port whenever the line is not refused.
pub(super) async fn listen(first: std::net::TcpListener, port: u16, tls: Tls, state: Arc<State>) -> Result<()> {
    let mut listener = Some(TcpListener::from_std(first)?);
    let mut line = state.line.subscribe();
    let mut cuts = state.cuts.subscribe();
    let mut connections = JoinSet::new();
    loop {
        let now = *line.borrow_and_update();
        if now == Line::Refused {
            listener = None;
            connections.shutdown().await;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(("127.0.0.1", port)).await?);
        }
        state.listening.send_replace(listener.is_some());
        tokio::select! {
            Ok((stream, _)) = async { listener.as_ref().expect("guarded").accept().await }, if listener.is_some() => {
                stream.set_nodelay(true)?;
                let (acceptor, upstream, state) = (tls.acceptor.clone(), tls.upstream.clone(), state.clone());
                connections.spawn(async move {
                    // A client that goes away, or that does not trust us, ends its connection only.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(|request| answer(request, &upstream, &state));
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
            changed = line.changed() => changed?,
            changed = cuts.changed() => {
                changed?;
                connections.shutdown().await;
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn answer(request: Request<Incoming>, upstream: &Arc<Https>, state: &Arc<State>) -> Result<Response<Body>> {
    let call = Call::new(request.method(), request.uri());
    let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let fault = state.take(&call, agent);
    open(state).await;
    let response = match fault {
        None => forward(request, upstream).await.map(|response| relay(response, state, false)),
        Some(Fault::Delay(time)) => {
            tokio::time::sleep(time).await;
            forward(request, upstream).await.map(|response| relay(response, state, false))
        }
        Some(Fault::CutMidChunk) => forward(request, upstream).await.map(|response| relay(response, state, true)),
        Some(Fault::Answer(answer)) => Ok(given(&answer)?),
        Some(Fault::DoneBut(answer)) => match forward(request, upstream).await {
            Ok(done) => done.into_body().collect().await.map_err(Into::into).and_then(|_| given(&answer)),
            Err(error) => Err(error),
        },
        Some(Fault::Edit(edit)) => edited(request, upstream, &*edit).await,
        Some(Fault::Empty) => given(&Answer { content_type: Some("application/json"), ..Answer::empty(200) }),
        Some(Fault::Gone) => {
            let answer = Answer { content_type: Some("application/json"), body: Fault::gone(), ..Answer::empty(200) };
            given(&answer)
        }
        Some(Fault::Silent) => {
            let (sender, body) = Channel::<Bytes, io::Error>::new(1);
            // Nobody will send: the body stays open until the client goes.
            Ok(json(with(body, sender))?)
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::OldObject) => old_object(request, upstream).await,
    };
    // The server is away: what a proxy says then.
    let response = match response {
        Ok(response) => response,
        Err(error) => given(&Answer::text(502, &format!("{error:#}")))?,
    };
    open(state).await;
    Ok(response)
}

/// Waits until the line is open.
async fn open(state: &State) {
    // The state outlives its connections.
    let _ = state.line.subscribe().wait_for(|line| *line == Line::Open).await;
}

async fn whole(request: Request<Incoming>) -> Result<Request<Full<Bytes>>> {
    let (mut head, body) = request.into_parts();
    head.headers.remove(header::TRANSFER_ENCODING);
    Ok(Request::from_parts(head, Full::new(body.collect().await?.to_bytes())))
}

async fn forward(request: Request<Incoming>, upstream: &Https) -> Result<Response<Incoming>> {
    upstream.send(whole(request).await?).await
}

/// Passes the answer on piece by piece, while the line is open.
fn relay(response: Response<Incoming>, state: &Arc<State>, cuts: bool) -> Response<Body> {
    let (head, mut body) = response.into_parts();
    let (mut sender, relayed) = Channel::<Bytes, io::Error>::new(1);
    let state = state.clone();
    let task = tokio::spawn(async move {
        loop {
            let frame = body.frame().await;
            open(&state).await;
            let sent = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if cuts => {
                        let _ = sender.send_data(data.slice(..data.len() / 2)).await;
                        sender.abort(io::Error::other("cut"));
                        return;
                    }
                    Ok(data) => sender.send_data(data).await.is_ok(),
                    Err(_) => true,
                },
                Some(Err(error)) => {
                    sender.abort(io::Error::other(error));
                    return;
                }
                None => return,
            };
            if !sent {
                return;
            }
        }
    });
    // A watch at the server must not outlive its client.
    Response::from_parts(head, with(relayed, Ending(task.abort_handle())))
}

/// A body that keeps something for as long as it lives.
fn with(body: Channel<Bytes, io::Error>, kept: impl Send + Sync + 'static) -> Body {
    body.map_frame(move |frame| {
        let _ = &kept;
        frame
    })
    .boxed()
}

/// Ends a task.
struct Ending(AbortHandle);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn edited(
    request: Request<Incoming>,
    upstream: &Https,
    edit: &(dyn Fn(&mut serde_json::Value) + Send + Sync),
) -> Result<Response<Body>> {
    let mut request = whole(request).await?;
    request.headers_mut().remove(header::ACCEPT_ENCODING);
    let (head, body) = upstream.send(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut value = serde_json::from_slice(&body).context("an answer that is no JSON cannot be changed")?;
    edit(&mut value);
    let mut response = json(full(value.to_string()))?;
    *response.status_mut() = head.status;
    Ok(response)
}

/// The object that a PATCH was for, as it stands.
async fn old_object(request: Request<Incoming>, upstream: &Https) -> Result<Response<Body>> {
    let mut request = whole(request).await?;
    *request.method_mut() = Method::GET;
    *request.body_mut() = Full::default();
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::ACCEPT_ENCODING] {
        request.headers_mut().remove(name);
    }
    // A status has no GET of its own that a gateway may use: the object itself, without a query.
    let path = request.uri().path().trim_end_matches("/status").to_owned();
    *request.uri_mut() = path.parse()?;
    let body = upstream.send(request).await?.into_body().collect().await?.to_bytes();
    json(full(body))
}

fn given(answer: &Answer) -> Result<Response<Body>> {
    let mut response = Response::builder().status(StatusCode::from_u16(answer.status)?);
    if let Some(kind) = answer.content_type {
        response = response.header(header::CONTENT_TYPE, kind);
    }
    if let Some(seconds) = answer.retry_after {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    Ok(response.body(full(answer.body.clone()))?)
}

fn json(body: Body) -> Result<Response<Body>> {
    Ok(Response::builder().header(header::CONTENT_TYPE, "application/json").body(body)?)
}

fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed()
}
