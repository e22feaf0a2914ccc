//! Who is asked, and as whom: a kubeconfig file, or the service account of this pod. The settings are kube's; the
//! connector and the credentials that come of them are ours. Nothing is asked yet.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Uri, uri::Scheme};
use http_body_util::Full;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Builder, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::Config;
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

use super::{credentials::Credentials, kubeconfig, tls};

const CONNECT: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(30);
/// How long the program of a kubeconfig that gives credentials may take.
const PLUGIN: Duration = Duration::from_secs(30);

/// What leads to an API server.
pub enum Target {
    /// A file.
    Kubeconfig {
        /// Where it is.
        path: PathBuf,
        /// It is being read.
        reading: Arc<AtomicBool>,
    },
    /// The service account of this pod.
    Pod,
}

/// The way to it as it was read: connections, and what each request carries.
#[derive(Debug)]
pub struct Way {
    /// The connections.
    pub http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Scheme, authority, and the path before every path, without a slash at its end.
    base: String,
    /// As whom.
    pub credentials: Credentials,
    /// Reading it anew runs a program.
    pub runs_program: bool,
}

impl Target {
    /// This file, or this pod.
    pub fn new(kubeconfig: Option<&Path>) -> Self {
        kubeconfig.map_or(Self::Pod, |path| Self::Kubeconfig { path: path.to_owned(), reading: Arc::default() })
    }

    /// What is read for it: settings, credentials, authority. A kubeconfig may name a program that gives the credentials,
    /// which is run on a thread of its own, and given up when it takes too long; as long as it goes on, no other is begun.
    ///
    /// # Errors
    /// Something of it cannot be read, or is not known here.
    pub async fn connect(&self) -> anyhow::Result<Way> {
        let Self::Kubeconfig { path, reading } = self else { return Way::new(&pod()?) };
        if reading.swap(true, Ordering::AcqRel) {
            bail!("the program that the kubeconfig file {} names for credentials has not ended yet", path.display());
        }
        let (done, result) = oneshot::channel();
        let (runtime, path, ends) = (Handle::current(), path.clone(), reading.clone());
        let shown = path.display().to_string();
        std::thread::Builder::new().name("kubeconfig".into()).spawn(move || {
            // What is built belongs to the runtime.
            let _entered = runtime.enter();
            let way = kubeconfig::read(&path).and_then(|config| Way::new(&config));
            let way = way.with_context(|| format!("the kubeconfig file {}", path.display()));
            ends.store(false, Ordering::Release);
            // Nobody may wait for it any more.
            let _ = done.send(way);
        })?;
        match timeout(PLUGIN, result).await {
            Ok(Ok(way)) => way,
            Ok(Err(_)) => bail!("reading the kubeconfig file {shown} broke down"),
            Err(_) => bail!(
                "the program that the kubeconfig file {shown} names for credentials did not end within {} s",
                PLUGIN.as_secs()
            ),
        }
    }
}

fn pod() -> anyhow::Result<Config> {
    if std::env::var("KUBERNETES_SERVICE_HOST").unwrap_or_default().is_empty() {
        bail!(
            "no Kubernetes API server: KUBERNETES_SERVICE_HOST is not set, so this is no pod with one; \
             give --kubeconfig FILE, or `kubernetes: {{ kubeconfig: FILE }}` in the settings file"
        );
    }
    Config::incluster_env().context(
        "the pod's service account cannot be used: \
         is automountServiceAccountToken off? (or give --kubeconfig FILE)",
    )
}

impl Way {
    fn new(config: &Config) -> anyhow::Result<Self> {
        let base = base(&config.cluster_url)?;
        let mut credentials = Credentials::read(&config.auth_info).context("the credentials")?;
        let settings = tls::settings(config, credentials.identity.take()).context("TLS")?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT));
        http.set_keepalive(Some(KEEPALIVE));
        http.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        http.set_keepalive_retries(Some(3));
        let mut https = HttpsConnectorBuilder::new().with_tls_config(settings).https_or_http();
        if let Some(name) = tls::name(config)? {
            https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
        }
        let http = Builder::new(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .build(https.enable_http1().wrap_connector(http));
        Ok(Self { http, base, credentials, runs_program: config.auth_info.exec.is_some() })
    }

    /// The address of this path and query.
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// What stands before each path. Some servers are reached below a path of their own.
fn base(url: &Uri) -> anyhow::Result<String> {
    if ![Some(&Scheme::HTTPS), Some(&Scheme::HTTP)].contains(&url.scheme()) || url.query().is_some() {
        bail!("the server {url} is no address of an API server; write https://HOST:PORT");
    }
    Ok(url.to_string().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_the_servers_own() {
        for (url, expected) in [
            ("https://10.0.0.1:6443", Some("https://10.0.0.1:6443")),
            ("https://[2001:db8::1]:6443/", Some("https://[2001:db8::1]:6443")),
            ("https://rancher.example.com/k8s/clusters/c-1/", Some("https://rancher.example.com/k8s/clusters/c-1")),
            ("http://127.0.0.1:8001", Some("http://127.0.0.1:8001")),
            ("10.0.0.1:6443", None),
            ("ftp://10.0.0.1", None),
            ("https://10.0.0.1/?a=b", None),
        ] {
            assert_eq!(base(&url.parse().unwrap()).ok().as_deref(), expected, "{url}");
        }
    }
}
