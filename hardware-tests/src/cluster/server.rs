//! One API server: a process of our own that can be killed and started again on the same data, port, certificate and
//! keys; or the cluster that `FIELDGATE_TEST_KUBECONFIG` names, which is only asked.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value as Json, json};

use super::{Asks, Endpoint, Entry, Kubectl, Version, audit, https::Https, lasting_port, programs::Programs, until};
use crate::child::Running;

/// How long a server may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who may do what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Authorization {
    /// As roles say.
    #[default]
    Rbac,
    /// Everybody everything, as MicroK8s is installed.
    AlwaysAllow,
}

/// What a server is set to.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which Kubernetes.
    pub version: Version,
    /// Who may do what.
    pub authorization: Authorization,
    /// The limits of the admission plugin EventRateLimit, such as `[{type: Server, qps: 5000, burst: 20000}]`.
    pub event_rate_limit: Option<Json>,
    /// Further flags of kube-apiserver: `--min-request-timeout=5` (watches end after 5 to 10 s),
    /// `--etcd-compaction-interval=10s`, `--event-ttl=10m`.
    pub flags: Vec<String>,
    /// The test kills it, or reads its audit log: never a cluster that is there.
    pub own: bool,
}

/// A server that is ready. One of our own ends with this value, or with the process that holds it.
pub struct Server {
    endpoint: Endpoint,
    kubectl: Kubectl,
    folder: Folder,
    token: String,
    own: Option<Own>,
}

/// What is known of a server of our own.
struct Own {
    programs: Programs,
    port: u16,
    flags: Vec<String>,
    running: Option<Started>,
}

struct Started {
    apiserver: Running,
    // It ends when this does.
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _etcd: Option<Running>,
}

impl Server {
    /// Starts one, and waits until it is ready.
    pub fn start(options: &Options) -> Result<Self> {
        let folder = Folder::new()?;
        if let Some(config) = std::env::var_os("FIELDGATE_TEST_KUBECONFIG").filter(|_| !options.own) {
            return Self::there(Path::new(&config), folder);
        }
        let programs = Programs::find(options.version)?;
        let port = lasting_port()?;
        let endpoint =
            Endpoint { url: format!("https://127.0.0.1:{port}"), authority: folder.path("server.crt"), name: None };
        let token = format!("{:032x}", fastrand::u128(..));
        let config = folder.write("admin.kubeconfig", &endpoint.kubeconfig(&json!({"token": token}).to_string()))?;
        folder.write("tokens.csv", &format!("{token},admin,admin,system:masters\n"))?;
        let flags = flags(options, &folder, port)?;
        let kubectl = Kubectl::new(&programs.kubectl, &config);
        let own = Own { programs, port, flags, running: None };
        let mut server = Self { endpoint, kubectl, folder, token, own: Some(own) };
        server.restart()?;
        Ok(server)
    }

    /// The cluster of a kubeconfig.
    fn there(config: &Path, folder: Folder) -> Result<Self> {
        let program = Programs::find(Version::Newest)?.kubectl;
        let asked =
            Kubectl::new(&program, config).ok(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"])?;
        // A copy in the folder: what kubectl keeps goes there, too.
        let kubectl = Kubectl::new(&program, &folder.write("admin.kubeconfig", &asked)?);
        let view: Json = serde_json::from_str(&asked)?;
        let cluster = &view["clusters"][0]["cluster"];
        let word = |key: &str| cluster[key].as_str();
        let encoded = word("certificate-authority-data").context("the kubeconfig names no certificate authority")?;
        let output = Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut decoder = output.context("base64 does not start")?;
        decoder.stdin.take().expect("piped").write_all(encoded.as_bytes())?;
        let authority = folder.write("server.crt", &String::from_utf8(decoder.wait_with_output()?.stdout)?)?;
        let url = word("server").context("the kubeconfig names no server")?.to_owned();
        let endpoint = Endpoint { url, authority, name: word("tls-server-name").map(str::to_owned) };
        kubectl.raw("/readyz").context("FIELDGATE_TEST_KUBECONFIG")?;
        let token = view["users"][0]["user"]["token"].as_str().unwrap_or_default().to_owned();
        Ok(Self { endpoint, kubectl, folder, token, own: None })
    }

    /// Where it is reached.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// kubectl as an administrator.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Asks as an administrator. (A cluster that is there needs a token in its kubeconfig for that.)
    pub fn asks(&self) -> Result<Asks> {
        Ok(Asks { https: Https::new(&self.endpoint)?, token: self.token.clone() })
    }

    /// kubectl as another user, given as in a kubeconfig: `{ tokenFile: /tmp/token }`.
    pub fn kubectl_as(&self, user: &str) -> Result<Kubectl> {
        let name = format!("user-{:08x}.kubeconfig", fastrand::u32(..));
        Ok(Kubectl::new(&self.kubectl.program, &self.folder.write(&name, &self.endpoint.kubeconfig(user))?))
    }

    /// A folder that goes with the server, for what belongs to it.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Makes a namespace of this name with something added that makes it new, and returns its name.
    pub fn namespace(&self, name: &str) -> Result<String> {
        let name = format!("{name}-{:06x}", fastrand::u32(..0x100_0000));
        self.kubectl.ok(&["create", "namespace", &name])?;
        Ok(name)
    }

    fn own(&mut self) -> Result<&mut Own> {
        self.own.as_mut().context("it is not ours: ask for one with Options::own")
    }

    /// SIGKILL: etcd and the API at once.
    pub fn kill(&mut self) -> Result<()> {
        self.own()?.running.take().context("it does not run").map(drop)
    }

    /// Starts it again: the same data, port, certificate, keys and tokens.
    pub fn restart(&mut self) -> Result<()> {
        self.begin()?;
        until("the API server", PATIENCE, || {
            let running = self.own.as_mut().and_then(|own| own.running.as_mut()).expect("it was begun");
            running.apiserver.check().with_context(|| tail(&self.folder.path("log")))?;
            Ok(self.kubectl.raw("/readyz").is_ok())
        })
    }

    /// Starts it again, and does not wait until it is ready.
    pub fn begin(&mut self) -> Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.path("log"))?;
        let data = self.folder.0.clone();
        let own = self.own()?;
        ensure!(own.running.is_none(), "it runs");
        let mut command = Command::new(&own.programs.apiserver);
        let etcd = if let Some(program) = &own.programs.etcd {
            let (url, etcd) = start_etcd(program, &data.join("etcd"))?;
            command.arg(format!("--etcd-servers={url}"));
            Some(etcd)
        } else {
            command.arg(&data);
            None
        };
        command.args(&own.flags).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut apiserver = Running::spawn(&mut command)?;
        let input = apiserver.child().stdin.take().expect("piped");
        let output = BufReader::new(apiserver.child().stdout.take().expect("piped"));
        own.running = Some(Started { apiserver, input, output, _etcd: etcd });
        Ok(())
    }

    /// Makes etcd forget all but the present. Only our build can.
    pub fn compact(&mut self) -> Result<u64> {
        let own = self.own()?;
        ensure!(own.programs.etcd.is_none(), "KUBEBUILDER_ASSETS: use --etcd-compaction-interval");
        let running = own.running.as_mut().context("it does not run")?;
        writeln!(running.input, "compact")?;
        let mut line = String::new();
        running.output.read_line(&mut line)?;
        let revision = line.trim().strip_prefix("compacted ").with_context(|| format!("it answered {line:?}"))?;
        Ok(revision.parse()?)
    }

    /// Copies what etcd holds, for [`Self::restore`]. To be called while it is killed.
    pub fn back_up(&mut self) -> Result<()> {
        let folder = self.folder.0.clone();
        ensure!(self.own()?.running.is_none(), "it runs");
        copy(&folder.join("etcd"), &folder.join("backup"))
    }

    /// Puts back what was copied. To be called while it is killed.
    pub fn restore(&mut self) -> Result<()> {
        let folder = self.folder.0.clone();
        ensure!(self.own()?.running.is_none(), "it runs");
        fs::remove_dir_all(folder.join("etcd"))?;
        copy(&folder.join("backup"), &folder.join("etcd"))
    }

    /// The process id of the API server (etcd is in it, unless `KUBEBUILDER_ASSETS` is used).
    pub fn pid(&self) -> Result<u32> {
        let running = self.own.as_ref().and_then(|own| own.running.as_ref());
        running.map(|running| running.apiserver.pid()).context("no process of ours")
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> Result<u16> {
        self.own.as_ref().map(|own| own.port).context("it is not ours")
    }

    /// Every request so far, as the server saw it.
    pub fn audit(&self) -> Result<Vec<Entry>> {
        self.audit_since(0)
    }

    /// Where the audit log ends now.
    pub fn audit_end(&self) -> Result<u64> {
        ensure!(self.own.is_some(), "the audit log of a cluster that is there is not ours to read");
        Ok(fs::metadata(self.folder.path("audit.log"))?.len())
    }

    /// Every request that was logged after the log ended there.
    pub fn audit_since(&self, end: u64) -> Result<Vec<Entry>> {
        ensure!(self.own.is_some(), "the audit log of a cluster that is there is not ours to read");
        audit::read(&self.folder.path("audit.log"), end)
    }

    /// The server's own metrics, as Prometheus reads them.
    pub fn metrics(&self) -> Result<String> {
        self.kubectl.raw("/metrics")
    }
}

/// The flags that every server of ours has, and those of its options.
fn flags(options: &Options, folder: &Folder, port: u16) -> Result<Vec<String>> {
    let names = ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc"].map(str::to_owned);
    let served = rcgen::generate_simple_self_signed(names)?;
    let file = |name: &str, text: &str| folder.write(name, text).map(|path| path.display().to_string());
    let certificate = file("server.crt", &served.cert.pem())?;
    let key = file("server.key", &served.signing_key.serialize_pem())?;
    let signs = rcgen::KeyPair::generate()?;
    let private = file("service-account.key", &signs.serialize_pem())?;
    let public = file("service-account.pub", &signs.public_key_pem())?;
    let policy = file("audit-policy.yaml", audit::POLICY)?;
    let mode = match options.authorization {
        Authorization::Rbac => "RBAC",
        Authorization::AlwaysAllow => "AlwaysAllow",
    };
    let mut flags = vec![
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={certificate}"),
        format!("--tls-private-key-file={key}"),
        format!("--token-auth-file={}", folder.path("tokens.csv").display()),
        format!("--authorization-mode={mode}"),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={public}"),
        format!("--service-account-signing-key-file={private}"),
        "--service-cluster-ip-range=10.0.0.0/24".into(),
        "--endpoint-reconciler-type=none".into(),
        // Nothing of this machine's network is asked.
        "--advertise-address=127.0.0.1".into(),
        format!("--audit-policy-file={policy}"),
        format!("--audit-log-path={}", folder.path("audit.log").display()),
        "--audit-log-maxsize=0".into(),
    ];
    if let Some(limits) = &options.event_rate_limit {
        let configuration = json!({
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AdmissionConfiguration",
            "plugins": [{"name": "EventRateLimit", "configuration": {
                "apiVersion": "eventratelimit.admission.k8s.io/v1alpha1", "kind": "Configuration", "limits": limits,
            }}],
        });
        flags.push("--enable-admission-plugins=EventRateLimit".into());
        flags.push(format!("--admission-control-config-file={}", file("admission.json", &configuration.to_string())?));
    }
    flags.extend(options.flags.iter().cloned());
    Ok(flags)
}

/// An etcd of its own process; its URL.
fn start_etcd(program: &Path, data: &Path) -> Result<(String, Running)> {
    let [client, peer] = [lasting_port()?, lasting_port()?].map(|port| format!("http://127.0.0.1:{port}"));
    let mut command = Command::new(program);
    command.arg(format!("--data-dir={}", data.display())).args(["--unsafe-no-fsync", "--log-level=error"]);
    command.args([format!("--listen-client-urls={client}"), format!("--advertise-client-urls={client}")]);
    command.args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")]);
    command.arg(format!("--initial-cluster=default={peer}")).stdin(Stdio::null()).stderr(Stdio::null());
    Ok((client, Running::spawn(&mut command)?))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().context("cp does not start")?;
    ensure!(copied.success(), "cannot copy {}", from.display());
    Ok(())
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// A folder that goes with its owner. A static is never dropped: what a process that is gone has left behind is removed
/// by the next one.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let all = std::env::temp_dir().join("fieldgate-kube");
        fs::create_dir_all(&all)?;
        for entry in fs::read_dir(&all)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(Ok(pid)) = name.split('-').next().map(str::parse::<u32>) else { continue };
            if !Path::new(&format!("/proc/{pid}")).exists() {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let path = all.join(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        if let Err(error) = fs::create_dir(&path) {
            bail!("cannot create {}: {error}", path.display());
        }
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
