//! kubectl with one kubeconfig, as a person would use it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value as Json;

use super::until;

/// kubectl as one user.
#[derive(Debug, Clone)]
pub struct Kubectl {
    pub(super) program: PathBuf,
    config: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    /// With this kubeconfig; what it keeps between calls goes into a folder beside it.
    pub fn new(program: &Path, config: &Path) -> Self {
        let cache = config.with_extension("cache");
        Self { program: program.into(), config: config.into(), cache }
    }

    /// The kubeconfig.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// kubectl with these arguments, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("KUBECONFIG", &self.config).env("KUBECACHEDIR", &self.cache);
        command.env_remove("KUBERC").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What became of it, with this text on its standard input.
    pub fn run(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().context("kubectl does not start")?;
        // One that ends before it has read everything says why.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        Ok(child.wait_with_output()?)
    }

    /// What it prints; an error holds what it says.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        self.fed(arguments, "")
    }

    /// The same with this text on its standard input.
    pub fn fed(&self, arguments: &[&str], input: &str) -> Result<String> {
        let output = self.run(arguments, input)?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {printed}{said}", arguments.join(" "));
        Ok(printed)
    }

    /// `kubectl apply` of this text in this namespace.
    pub fn apply(&self, namespace: &str, text: &str) -> Result<()> {
        self.fed(&["apply", "-n", namespace, "-f", "-"], text).map(drop)
    }

    /// One object: `kubectl get KIND NAME`.
    pub fn get(&self, namespace: &str, kind: &str, name: &str) -> Result<Json> {
        Ok(serde_json::from_str(&self.ok(&["get", kind, name, "-n", namespace, "-o", "json"])?)?)
    }

    /// What the server says of text that it must refuse.
    pub fn refused(&self, namespace: &str, text: &str) -> Result<String> {
        let output = self.run(&["apply", "-n", namespace, "-f", "-"], text)?;
        ensure!(!output.status.success(), "accepted: {text}");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The answer to a bare GET.
    pub fn raw(&self, path: &str) -> Result<String> {
        self.ok(&["get", "--raw", path])
    }

    /// Applies definitions, and waits until the server serves, explains and lists them; what kubectl keeps of the time
    /// before is thrown away.
    pub fn define(&self, files: &[impl AsRef<Path>]) -> Result<()> {
        for file in files {
            let path = file.as_ref().to_str().context("a path is UTF-8")?;
            self.ok(&["apply", "--server-side", "-f", path])?;
            let text = self.ok(&["create", "--dry-run=client", "-o", "json", "-f", path])?;
            let definition: Json = serde_json::from_str(&text)?;
            let word =
                |pointer: &str| definition.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
            let (group, plural, kind) = (word("/spec/group"), word("/spec/names/plural"), word("/spec/names/kind"));
            let version = word("/spec/versions/0/name");
            if [&group, &plural, &kind, &version].iter().any(|word| word.is_empty()) {
                bail!("{path} is no CustomResourceDefinition");
            }
            self.ok(&["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{plural}.{group}")])?;
            for (path, part) in [
                (format!("/apis/{group}/{version}"), format!("\"{plural}\"")),
                (format!("/openapi/v3/apis/{group}/{version}"), format!("{kind}\"")),
            ] {
                let told = || Ok(self.raw(&path).is_ok_and(|text| text.contains(&part)));
                until(&format!("{path} to tell of {part}"), Duration::from_secs(60), told)?;
            }
        }
        let _ = std::fs::remove_dir_all(&self.cache);
        Ok(())
    }
}
