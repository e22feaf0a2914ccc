//! What all parts stand on: an API server with the resources, the gateways' rights and an audit log, a broker, and
//! gateways with a token of their own. The only file that knows how they are started.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use hardware_tests::{
    broker::Broker,
    child::{Running, Scratch},
    gateway::{self, Fed},
    proc,
    subscriber::Subscriber,
};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle};

use super::{
    api::{Api, GROUP},
    audit::Audit,
    objects::NAMESPACE,
    observer::Observer,
    server::{self, Server},
};

/// Everything but the devices.
pub struct Stage {
    /// The API server's log of requests.
    pub audit: Audit,
    /// An administrator.
    pub api: Api,
    broker: Broker,
    program: PathBuf,
    runtime: Handle,
    server: Server,
    scratch: Scratch,
}

/// A gateway at work.
pub struct Gateway {
    running: Running,
    log: PathBuf,
}

impl Stage {
    /// Starts the server and the broker.
    pub fn start(program: &Path) -> Result<Self> {
        ensure!(program.is_file(), "{}: no such program", program.display());
        let scratch = Scratch::new()?;
        let server = Server::start(scratch.path())?;
        let runtime = runtime()?;
        let api = runtime.block_on(Api::new(&server.kubeconfig))?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while runtime.block_on(api.text("/readyz")).is_err() {
            ensure!(Instant::now() < deadline, "the API server is not ready");
            thread::sleep(Duration::from_millis(50));
        }
        let audit = Audit(server.audit.clone());
        let stage = Self { audit, api, broker: Broker::start()?, program: program.into(), runtime, server, scratch };
        stage.install()?;
        Ok(stage)
    }

    fn install(&self) -> Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
        for file in ["crds/device.yaml", "crds/devicemodel.yaml"] {
            self.kubectl(&["apply", "-f"], &root.join(file))?;
        }
        let rbac = self.scratch.path().join("rbac.yaml");
        fs::write(&rbac, RBAC)?;
        self.kubectl(&["apply", "-f"], &rbac)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        let served = |kind: &str| self.block(self.api.get(&format!("{GROUP}/{kind}"))).is_ok();
        while !served("devices") || !served("devicemodels") {
            ensure!(Instant::now() < deadline, "the resources are not served");
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn kubectl(&self, arguments: &[&str], file: &Path) -> Result<()> {
        let output =
            Command::new("kubectl").args(arguments).arg(file).env("KUBECONFIG", &self.server.kubeconfig).output()?;
        ensure!(output.status.success(), "kubectl: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
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
        self.block(self.api.create(&format!("{GROUP}/namespaces/{NAMESPACE}/devices"), device))
    }

    /// Creates a DeviceModel.
    pub fn model(&self, model: &Value) -> Result<()> {
        self.block(self.api.create(&format!("{GROUP}/namespaces/{NAMESPACE}/devicemodels"), model))
    }

    /// Deletes all Devices and DeviceModels.
    pub fn clear(&self) -> Result<()> {
        for kind in ["devices", "devicemodels"] {
            self.block(self.api.delete(&format!("{GROUP}/namespaces/{NAMESPACE}/{kind}")))?;
        }
        Ok(())
    }

    /// A kubeconfig for the gateway of this node: a token bound to its pod.
    pub fn kubeconfig(&self, node: &str) -> Result<PathBuf> {
        let pod = format!("fieldgate-{node}");
        self.block(async {
            let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}});
            self.api.create("/api/v1/nodes", &node).await?;
            let spec = json!({
                "nodeName": node["metadata"]["name"], "serviceAccountName": "fieldgate",
                "containers": [{"name": "fieldgate", "image": "fieldgate"}],
            });
            let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": spec});
            self.api.create("/api/v1/namespaces/default/pods", &object).await
        })?;
        let request = json!({"spec": {"audiences": [], "expirationSeconds": 36000, "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": pod}}});
        let answer = self.block(self.api.ask_json("/api/v1/namespaces/default/serviceaccounts/fieldgate/token", &request))?;
        let token = answer["status"]["token"].as_str().context("no token")?;
        let path = self.scratch.path().join(format!("{node}.kubeconfig"));
        fs::write(&path, server::config(self.scratch.path(), self.server.port, token))?;
        Ok(path)
    }

    /// The same with the server at another port, where it is not.
    pub fn lost(&self, kubeconfig: &Path, port: u16) -> Result<PathBuf> {
        let path = kubeconfig.with_extension("lost");
        let here = format!("127.0.0.1:{}", self.server.port);
        let text = fs::read_to_string(kubeconfig)?;
        ensure!(text.contains(&here), "{} does not name {here}", kubeconfig.display());
        fs::write(&path, text.replace(&here, &format!("127.0.0.1:{port}")))?;
        Ok(path)
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
        Ok(proc::usage(self.server_pid())?.cpu)
    }

    /// Its process.
    pub fn server_pid(&self) -> u32 {
        self.server.running.pid()
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
    thread::Builder::new()
        .name("api".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}

const RBAC: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: fieldgate, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: fieldgate}
rules:
- {apiGroups: [fieldgate.dev], resources: [devices, devicemodels], verbs: [get, list, watch]}
- {apiGroups: [fieldgate.dev], resources: [devices/status], verbs: [patch]}
- {apiGroups: ['', events.k8s.io], resources: [events], verbs: [create, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: fieldgate}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: fieldgate}
subjects: [{kind: ServiceAccount, name: fieldgate, namespace: default}]
";
