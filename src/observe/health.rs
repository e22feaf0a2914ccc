//! `fieldgate health`: asks a running bridge over HTTP, so that a probe needs no other program in the image.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Gets one page.
///
/// # Errors
/// Nothing listens there, it does not answer in time, or it answers that it is not well; with what to do.
pub async fn get(address: SocketAddr, path: &str, patience: Duration) -> anyhow::Result<String> {
    let asked = async {
        let stream = TcpStream::connect(address).await.with_context(|| {
            format!("no bridge answers on {address}; is `fieldgate run` up, with this address under http.listen?")
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::get(path).header(hyper::header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()).into_owned();
        if status != StatusCode::OK {
            bail!("{path}: {}", body.trim_end());
        }
        Ok(body)
    };
    tokio::time::timeout(patience, asked).await.map_err(|_| anyhow!("{address} did not answer within {patience:?}"))?
}
