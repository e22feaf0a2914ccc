//! What all parts stand on: an API server with the resources, the gateways' rights and an audit log, a broker, and
//! gateways with a token of their own. The only file that knows how they are started.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hardware_tests::{
    broker::Broker,
    child::{Running, Scratch},
    cluster::{self, Entry, Server, rights},
    gateway::{self, Fed},
    proc,
    subscriber::Subscriber,
};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle};

use super::{
    api::{Api, GROUP},
    audit,
    objects::NAMESPACE,
    observer::Observer,
};

/// Everything but the devices.
pub struct Stage {
    /// An administrator.
    pub api: Api,
    broker: Broker,
    program: PathBuf,
    runtime: Handle,
    server: Server,
    scratch: Scratch,
}

/// The ServiceAccount of all gateways, in the namespace `default`.
const ACCOUNT: &str = "fieldgate";

/// A gateway at work.
pub struct Gateway {
    running: Running,
    log: PathBuf,
}

impl Stage {
    /// Starts the server and the broker.
    pub fn start(program: &Path) -> Result<Self> {
        ensure!(program.is_file(), "{}: no such program", program.display());
        let server = Server::start(&cluster::Options { own: true, ..Default::default() })?;
        server.kubectl().define(&cluster::crds())?;
        server.kubectl().apply("default", &rights("default").to_string())?;
        let runtime = runtime()?;
        let api = runtime.block_on(Api::new(server.kubectl().config()))?;
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": "default"}});
        runtime.block_on(api.create("/api/v1/namespaces/default/serviceaccounts", &account))?;
        let (broker, scratch) = (Broker::start()?, Scratch::new()?);
        Ok(Self { api, broker, program: program.into(), runtime, server, scratch })
    }

    /// Waits for work on the API client.
    pub fn block<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Connects a subscriber.
    pub fn subscriber(&self) -> Result<Subscriber> {
        Subscriber::connect(self.broker.port, false)
    }

    /// Watches what is stored.
    pub fn observer(&self) -> Observer {
        Observer::start(&self.runtime, self.api.clone())
    }

    /// Creates a Device.
    pub fn create(&self, device: &Value) -> Result<()> {
        self.block(self.api.create(&format!("{GROUP}/namespaces/{NAMESPACE}/devices"), device)).map(drop)
    }

    /// Creates a DeviceModel.
    pub fn model(&self, model: &Value) -> Result<()> {
        self.block(self.api.create(&format!("{GROUP}/namespaces/{NAMESPACE}/devicemodels"), model)).map(drop)
    }

    /// Deletes all Devices and DeviceModels.
    pub fn clear(&self) -> Result<()> {
        for kind in ["devices", "devicemodels"] {
            self.block(self.api.delete(&format!("{GROUP}/namespaces/{NAMESPACE}/{kind}")))?;
        }
        Ok(())
    }

    /// A kubeconfig for the gateway of this node, with a token that is bound to its Pod. As `cluster::Gateway` makes it,
    /// but not by kubectl: there are hundreds.
    pub fn kubeconfig(&self, node: &str) -> Result<PathBuf> {
        let pod = format!("fieldgate-{node}");
        let meta = |name: &str| json!({"name": name, "namespace": "default"});
        let token = self.block(async {
            let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}});
            self.api.create("/api/v1/nodes", &object).await?;
            let spec = json!({
                "nodeName": node, "serviceAccountName": ACCOUNT, "automountServiceAccountToken": false,
                "containers": [{"name": "fieldgate", "image": "localhost/fieldgate"}],
            });
            let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta(&pod), "spec": spec});
            self.api.create("/api/v1/namespaces/default/pods", &object).await?;
            let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": pod});
            let request = json!({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                "spec": {"audiences": [], "expirationSeconds": 36_000, "boundObjectRef": bound},
            });
            let path = format!("/api/v1/namespaces/default/serviceaccounts/{ACCOUNT}/token");
            self.api.create(&path, &request).await
        })?;
        let token = token["status"]["token"].as_str().context("no token")?;
        let folder = self.scratch.path().join(node);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("token"), token)?;
        let user = json!({"tokenFile": folder.join("token")}).to_string();
        let path = folder.join("kubeconfig");
        fs::write(&path, self.server.endpoint().kubeconfig(&user))?;
        Ok(path)
    }

    /// The same with the server at another port, where it is not.
    pub fn lost(&self, kubeconfig: &Path, port: u16) -> Result<PathBuf> {
        let path = kubeconfig.with_extension("lost");
        let here = &self.server.endpoint().url;
        let text = fs::read_to_string(kubeconfig)?;
        ensure!(text.contains(here), "{} does not name {here}", kubeconfig.display());
        fs::write(&path, text.replace(here, &format!("https://127.0.0.1:{port}")))?;
        Ok(path)
    }

    /// Where the audit log ends now.
    pub fn mark(&self) -> Result<u64> {
        self.server.audit_end()
    }

    /// The gateways' writes since then, as the audit log has them.
    pub fn writes(&self, mark: u64) -> Result<Vec<Entry>> {
        Ok(audit::writes(self.server.audit_since(mark)?))
    }

    /// SIGKILL for the API server, and its start on the same data.
    pub fn kill_and_restart(&mut self) -> Result<()> {
        self.server.kill()?;
        self.server.restart()
    }

    /// Starts the gateway of a node. What it keeps stays from one start to the next.
    pub fn gateway(&self, node: &str, kubeconfig: &Path) -> Result<Gateway> {
        let folder = self.scratch.path().join(node);
        fs::create_dir_all(folder.join("state"))?;
        let fed = Fed { node, kubeconfig, state: &folder.join("state") };
        let running = gateway::start_fed(&self.program, &folder, self.broker.port, &fed)?;
        Ok(Gateway { running, log: folder.join("gateway.log") })
    }

    /// The CPU time that the API server and its etcd, one process, have used.
    pub fn server_usage(&self) -> Result<Duration> {
        Ok(proc::usage(self.server.pid()?)?.cpu)
    }

    /// What of its memory is its own, in KiB.
    pub fn server_memory(&self) -> Result<u64> {
        Ok(proc::memory(self.server.pid()?)?.anon_kib)
    }

    /// The sum of the samples of one of its metrics.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let page = self.block(self.api.text("/metrics"))?;
        let samples = page.lines().filter(|line| line.split([' ', '{']).next() == Some(name));
        samples.map(|line| Ok(line.rsplit(' ').next().unwrap_or_default().parse::<f64>()?)).sum()
    }
}

impl Gateway {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Fails if it has ended.
    pub fn check(&mut self) -> Result<()> {
        self.running.check()
    }

    /// The end of its log, for an error about it.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("the gateway's log ends:\n{}", lines[lines.len().saturating_sub(10)..].join("\n"))
    }

    /// SIGTERM, and its end.
    pub fn stop(self) -> Result<()> {
        let log = self.log();
        self.running.stop().context(log)
    }
}

/// Sleeps for some time of this range.
pub fn pause(range: Range<Duration>) {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    thread::sleep(Duration::from_millis(fastrand::u64(millis(range.start)..millis(range.end))));
}

/// Where a Device is.
pub fn path_of(device: &str) -> String {
    format!("{GROUP}/namespaces/{NAMESPACE}/devices/{device}")
}

/// A runtime on a thread of its own, which ends with the process.
fn runtime() -> Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name("api".into()).spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
