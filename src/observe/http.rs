//! The HTTP listener: `/healthz`, `/readyz`, `/devices`, `/metrics`. On loopback unless told otherwise; read only, no
//! secrets on any page.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};

/// Connections served at once; a scraper or two and a person need no more.
const CONNECTIONS: usize = 16;
/// A client that does not finish its request by then is let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the pages show.
pub trait Site: Send + Sync + 'static {
    /// Whether the bridge is ready, and if not, what it waits for.
    fn ready(&self) -> Result<(), String>;
    /// The live devices.
    fn devices(&self) -> serde_json::Value;
    /// The metrics in Prometheus' text format.
    fn metrics(&self) -> String;
}

/// Binds the listener.
///
/// # Errors
/// The address is taken or is not this machine's.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("cannot listen on {address} for HTTP; choose another address with --http, or `off`"))
}

/// Serves for ever.
pub async fn serve(listener: TcpListener, pages: Arc<dyn Site>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = places.clone().acquire_owned().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: breathe instead of spinning.
                tracing::warn!(%error, "Cannot accept an HTTP connection.");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let pages = pages.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&*pages, &request))));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            // A client that breaks off is its own affair.
            let _ = connection.await;
            drop(place);
        });
    }
}

fn answer(pages: &dyn Site, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return page(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET is served here\n".into());
    }
    match request.uri().path() {
        "/healthz" => page(StatusCode::OK, "text/plain", "ok\n".into()),
        "/readyz" => match pages.ready() {
            Ok(()) => page(StatusCode::OK, "text/plain", "ok\n".into()),
            Err(waits) => page(StatusCode::SERVICE_UNAVAILABLE, "text/plain", format!("{waits}\n")),
        },
        "/devices" => page(StatusCode::OK, "application/json", format!("{:#}\n", pages.devices())),
        "/metrics" => page(StatusCode::OK, "text/plain; version=0.0.4", pages.metrics()),
        _ => page(StatusCode::NOT_FOUND, "text/plain", "pages: /healthz /readyz /devices /metrics\n".into()),
    }
}

fn page(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    response
}
