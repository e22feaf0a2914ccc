//! TEMPORARY until cluster of lib.

use std::{fs, path::{Path, PathBuf}, process::{Command, Stdio}, time::{Duration, Instant}, thread, net::TcpStream};
use anyhow::{Context, Result, ensure};
use hardware_tests::{broker::free_port, child::Running};

pub struct Server { pub running: Running, pub kubeconfig: PathBuf, pub audit: PathBuf, pub port: u16 }

impl Server {
    pub fn start(dir: &Path) -> Result<Self> {
        let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("kube-apiserver/build");
        let out = Command::new(build).output()?;
        let folder = PathBuf::from(String::from_utf8(out.stdout)?.trim());
        let key = dir.join("sa.key");
        ensure!(Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048").stderr(Stdio::null()).status()?.success());
        fs::write(dir.join("tokens.csv"), "secret-admin,admin,admin,system:masters\n")?;
        fs::write(dir.join("audit.yaml"), "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n")?;
        let port = free_port()?;
        let audit = dir.join("audit.log");
        let log = fs::File::create(dir.join("server.log"))?;
        let running = Running::spawn(Command::new(folder.join("kube-apiserver")).arg(dir)
            .arg("--bind-address=127.0.0.1").arg(format!("--secure-port={port}"))
            .arg(format!("--cert-dir={}", dir.join("certs").display()))
            .arg(format!("--token-auth-file={}", dir.join("tokens.csv").display()))
            .arg("--authorization-mode=RBAC").arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--service-account-key-file={}", key.display()))
            .arg(format!("--service-account-signing-key-file={}", key.display()))
            .arg("--service-cluster-ip-range=10.0.0.0/24").arg("--endpoint-reconciler-type=none")
            .arg(format!("--audit-policy-file={}", dir.join("audit.yaml").display()))
            .arg(format!("--audit-log-path={}", audit.display()))
            .stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log))?;
        let kubeconfig = dir.join("kubeconfig");
        fs::write(&kubeconfig, config(dir, port, "secret-admin"))?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(Instant::now() < deadline, "not listening");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(Self { running, kubeconfig, audit, port })
    }
}

pub fn config(dir: &Path, port: u16, token: &str) -> String {
    format!("apiVersion: v1\nkind: Config\ncurrent-context: test\nclusters: [{{name: test, cluster: {{server: \"https://127.0.0.1:{port}\", tls-server-name: kubernetes, certificate-authority: \"{}\"}}}}]\nusers: [{{name: u, user: {{token: \"{token}\"}}}}]\ncontexts: [{{name: test, context: {{cluster: test, user: u, namespace: default}}}}]\n", dir.join("certs/apiserver.crt").display())
}
