//! The HTTP listener: `/healthz`, `/readyz`, `/devices`, `/metrics`. On loopback unless told otherwise; read only, no
//! secrets on any page. Whoever asks from another machine (or another pod) is not shown the devices.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// Connections served at once from this machine, and again from elsewhere; a scraper or two and a person need no more.
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

/// Who is served at once. Slow clients from elsewhere must not keep the probes of this machine waiting.
struct Places {
    here: Arc<Semaphore>,
    elsewhere: Arc<Semaphore>,
}

impl Places {
    fn new() -> Self {
        let places = || Arc::new(Semaphore::new(CONNECTIONS));
        Self { here: places(), elsewhere: places() }
    }

    /// A place for this peer, if one is free.
    fn take(&self, peer: IpAddr) -> Option<OwnedSemaphorePermit> {
        let places = if is_here(peer) { &self.here } else { &self.elsewhere };
        places.clone().try_acquire_owned().ok()
    }
}

/// An IPv4 peer of an IPv6 listener is an IPv4 peer.
fn is_here(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

/// Serves for ever. Whoever comes when all places are taken is hung up on.
pub async fn serve(listener: TcpListener, pages: Arc<dyn Site>) {
    let places = Places::new();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok((stream, peer)) => (stream, peer.ip()),
            Err(error) => {
                // Out of file descriptors, most likely: breathe instead of spinning.
                tracing::warn!(%error, "Cannot accept an HTTP connection.");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let Some(place) = places.take(peer) else { continue };
        let pages = pages.clone();
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let answer = answer(&*pages, request.method(), request.uri().path(), peer);
                std::future::ready(Ok::<_, Infallible>(answer))
            });
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

fn answer(pages: &dyn Site, method: &Method, path: &str, peer: IpAddr) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return page(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET is served here\n".into());
    }
    match path {
        "/healthz" => page(StatusCode::OK, "text/plain", "ok\n".into()),
        "/readyz" => match pages.ready() {
            Ok(()) => page(StatusCode::OK, "text/plain", "ok\n".into()),
            Err(waits) => page(StatusCode::SERVICE_UNAVAILABLE, "text/plain", format!("{waits}\n")),
        },
        "/devices" if !is_here(peer) => page(StatusCode::FORBIDDEN, "text/plain", LOCAL.into()),
        "/devices" => page(StatusCode::OK, "application/json", format!("{:#}\n", pages.devices())),
        "/metrics" => page(StatusCode::OK, "text/plain; version=0.0.4", pages.metrics()),
        _ => page(StatusCode::NOT_FOUND, "text/plain", "pages: /healthz /readyz /devices /metrics\n".into()),
    }
}

const LOCAL: &str = "/devices is shown on this machine only: ask on 127.0.0.1, or through kubectl port-forward\n";

fn page(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_from_elsewhere_take_no_place_of_this_machines() {
        let places = Places::new();
        let [far, near, mapped] = ["10.0.0.9", "127.0.0.1", "::ffff:127.0.0.1"].map(|ip| ip.parse().unwrap());
        let taken: Vec<_> = (0..CONNECTIONS).map(|_| places.take(far).unwrap()).collect();
        assert!(places.take(far).is_none());
        assert!(places.take(near).is_some() && places.take(mapped).is_some());
        drop(taken);
        assert!(places.take(far).is_some());
    }

    struct Two;

    impl Site for Two {
        fn ready(&self) -> Result<(), String> {
            Err("waits for the devices".into())
        }

        fn devices(&self) -> serde_json::Value {
            serde_json::json!({ "devices": {} })
        }

        fn metrics(&self) -> String {
            "fieldgate_up 1\n".into()
        }
    }

    #[test]
    fn the_devices_are_shown_to_this_machine_only() {
        let status = |path: &str, peer: &str| answer(&Two, &Method::GET, path, peer.parse().unwrap()).status().as_u16();
        for peer in ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(status("/devices", peer), 200, "{peer}");
        }
        for peer in ["10.244.0.7", "::ffff:10.244.0.7", "fd00::7", "fe80::1", "0.0.0.0"] {
            assert_eq!(status("/devices", peer), 403, "{peer}");
            for (path, expected) in
                [("/metrics", 200), ("/healthz", 200), ("/readyz", 503), ("/devices/", 404), ("/", 404)]
            {
                assert_eq!(status(path, peer), expected, "{path} for {peer}");
            }
        }
        for method in [Method::HEAD, Method::GET] {
            assert_eq!(answer(&Two, &method, "/devices", [192, 168, 0, 9].into()).status(), StatusCode::FORBIDDEN);
        }
        assert_eq!(answer(&Two, &Method::PUT, "/devices", [127, 0, 0, 1].into()).status().as_u16(), 405);
    }
}
