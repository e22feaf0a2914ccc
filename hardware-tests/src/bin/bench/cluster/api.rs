//! A light client of the API server: paths and JSON, no types, no retries, no cache. It counts the bytes that a watch brings.

use std::path::Path;

use anyhow::{Context, Result, bail};
use http::{Method, Request, Response, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

/// Where the Devices and DeviceModels of all namespaces are.
pub const GROUP: &str = "/apis/fieldgate.dev/v1alpha1";

/// A client with its own connections. It has to live on the runtime that uses it.
#[derive(Clone)]
pub struct Api(Client);

impl Api {
    /// A client as this kubeconfig says.
    pub async fn new(kubeconfig: &Path) -> Result<Self> {
        let read = Kubeconfig::read_from(kubeconfig)?;
        let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
        config.default_retry = false;
        Ok(Self(Client::try_from(config)?))
    }

    /// An object or a list, and how many bytes it was.
    pub async fn get(&self, path: &str) -> Result<(Value, u64)> {
        let bytes = self.ask(Method::GET, path, "", None).await?;
        Ok((serde_json::from_slice(&bytes)?, bytes.len() as u64))
    }

    /// A page that is not JSON.
    pub async fn text(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8(self.ask(Method::GET, path, "", None).await?)?)
    }

    /// Creates an object in the collection at this path; the answer.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value> {
        Ok(serde_json::from_slice(&self.ask(Method::POST, path, "application/json", Some(object)).await?)?)
    }

    /// Applies a JSON patch to the object at this path.
    pub async fn patch(&self, path: &str, operations: &Value) -> Result<()> {
        self.ask(Method::PATCH, path, "application/json-patch+json", Some(operations)).await.map(drop)
    }

    /// Merges this into the object at this path.
    pub async fn merge(&self, path: &str, part: &Value) -> Result<()> {
        self.ask(Method::PATCH, path, "application/merge-patch+json", Some(part)).await.map(drop)
    }

    /// Deletes what this path names: an object or a collection.
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.ask(Method::DELETE, path, "application/json", Some(&json!({}))).await.map(drop)
    }

    /// Opens a watch: events come one to a line.
    pub async fn watch(&self, path: &str) -> Result<Lines> {
        let body = self.send(Method::GET, path, "", None).await?.into_body();
        Ok(Lines { body, rest: Vec::new() })
    }

    async fn ask(&self, method: Method, path: &str, kind: &str, object: Option<&Value>) -> Result<Vec<u8>> {
        let answer = self.send(method, path, kind, object).await?;
        Ok(answer.into_body().collect().await.with_context(|| path.to_owned())?.to_bytes().to_vec())
    }

    async fn send(&self, method: Method, path: &str, kind: &str, object: Option<&Value>) -> Result<Response<Body>> {
        let mut request = Request::builder().method(&method).uri(path);
        if !kind.is_empty() {
            request = request.header(CONTENT_TYPE, kind);
        }
        let body = object.map(serde_json::to_vec).transpose()?.map_or_else(Body::empty, Body::from);
        let answer = self.0.send(request.body(body)?).await.with_context(|| format!("{method} {path}"))?;
        let status = answer.status();
        if !status.is_success() {
            let text = answer.into_body().collect().await?.to_bytes();
            bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&text));
        }
        Ok(answer)
    }
}

/// The lines of a watch.
pub struct Lines {
    body: Body,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line with its line feed, or none at the end. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let rest = self.rest.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.rest, rest)));
            }
            match self.body.frame().await.transpose()? {
                Some(frame) => self.rest.extend(frame.into_data().into_iter().flatten()),
                None => return Ok(None),
            }
        }
    }
}
