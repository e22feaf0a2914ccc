//! A real Kubernetes API server for tests and figures, seen from outside: a process, kubectl, tokens, and a proxy that
//! lies on demand. Nothing here knows the gateway's code.

mod audit;
mod gateway;
mod https;
pub mod install;
mod kubectl;
mod programs;
pub mod proxy;
mod server;

pub use audit::Entry;
pub use gateway::{Gateway, rights};
pub use https::Asks;
pub use kubectl::Kubectl;
pub use programs::Version;
pub use proxy::Proxy;
pub use server::{Authorization, Options, Server};

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Where an API is reached: the server itself, or a proxy before it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `https://127.0.0.1:21000`.
    pub url: String,
    /// The certificate that it is to be trusted by.
    pub authority: PathBuf,
    /// The name in its certificate, where the URL's is not there.
    pub name: Option<String>,
}

impl Endpoint {
    /// A kubeconfig for this user, given as YAML such as `{ tokenFile: /tmp/token }`.
    pub fn kubeconfig(&self, user: &str) -> String {
        let Self { url, authority, name } = self;
        let authority = authority.display();
        let name = name.as_ref().map(|name| format!(", tls-server-name: {name:?}")).unwrap_or_default();
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\nclusters:\n- {{ name: test, cluster: {{ server: {url:?}, \
             certificate-authority: \"{authority}\"{name} }} }}\nusers:\n- {{ name: test, user: {user} }}\ncontexts:\n- {{ \
             name: test, context: {{ cluster: test, user: test, namespace: default }} }}\n"
        )
    }
}

/// The resources' definitions, as they are shipped.
pub fn crds() -> [PathBuf; 2] {
    ["device.yaml", "devicemodel.yaml"].map(|name| root().join("crds").join(name))
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("hardware-tests lies in the workspace")
}

/// Waits for a condition. The time is there to end what will not come, not to measure anything.
fn until(what: &str, time: Duration, mut there: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + time;
    while !there()? {
        if Instant::now() > deadline {
            bail!("waited {time:?} for: {what}");
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A port of the loopback that nobody listens on, below those that the kernel gives to others: it stays free while its
/// server is down.
fn lasting_port() -> Result<u16> {
    for _ in 0..100 {
        let port = fastrand::u16(20_000..32_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between 20000 and 32000")
}
