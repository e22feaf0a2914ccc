//! A client of one endpoint: TLS and HTTP/1.1, and a connection of its own for each request.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use super::Endpoint;

/// The way to one endpoint.
#[derive(Clone)]
pub(super) struct Https {
    connector: TlsConnector,
    name: ServerName<'static>,
    host: String,
}

impl Https {
    pub fn new(endpoint: &Endpoint) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&endpoint.authority)? {
            roots.add(certificate?)?;
        }
        let host = endpoint.url.strip_prefix("https://").context("the server's URL")?.trim_end_matches('/').to_owned();
        let name = endpoint.name.clone().unwrap_or_else(|| host.split(':').next().unwrap_or_default().to_owned());
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { connector: Arc::new(client).into(), name: name.try_into()?, host })
    }

    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        let stream = TcpStream::connect(&self.host).await?;
        stream.set_nodelay(true)?;
        let stream = self.connector.connect(self.name.clone(), stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        request.headers_mut().insert(header::HOST, self.host.parse()?);
        Ok(sender.send_request(request).await?)
    }
}

/// Asks the API as an administrator, without the weight of a kubectl: for what is asked for again and again.
#[derive(Clone)]
pub struct Asks {
    pub(super) https: Https,
    pub(super) token: String,
}

impl Asks {
    /// The object or list at this path.
    pub async fn get(&self, path: &str) -> Result<Json> {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        let answer = self.https.send(request.body(Full::default())?).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "GET {path}: {status}: {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }
}
