//! Which kube-apiserver and kubectl: those of `KUBEBUILDER_ASSETS` (etcd beside them), else ours, built on first use.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use super::root;

/// Which version of Kubernetes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// The one that the tests stand on, or what `KUBEBUILDER_ASSETS` holds.
    #[default]
    Newest,
    /// The oldest that `examples/deploy/` is for; always our build.
    Oldest,
}

/// The programs of one version.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub apiserver: PathBuf,
    pub kubectl: PathBuf,
    /// Where etcd is a program of its own.
    pub etcd: Option<PathBuf>,
}

impl Programs {
    /// Finds or builds them.
    pub fn find(version: Version) -> Result<Self> {
        match std::env::var_os("KUBEBUILDER_ASSETS") {
            Some(folder) if version == Version::Newest => Self::installed(Path::new(&folder)),
            _ => Self::built(version),
        }
    }

    fn installed(folder: &Path) -> Result<Self> {
        let [apiserver, kubectl, etcd] = ["kube-apiserver", "kubectl", "etcd"].map(|name| folder.join(name));
        for program in [&apiserver, &kubectl, &etcd] {
            ensure!(program.exists(), "KUBEBUILDER_ASSETS: {} is not there", program.display());
        }
        Ok(Self { apiserver, kubectl, etcd: Some(etcd) })
    }

    fn built(version: Version) -> Result<Self> {
        let script = root().join("hardware-tests/kube-apiserver/build");
        let mut command = Command::new(&script);
        if version == Version::Oldest {
            command.arg("oldest");
        }
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("bash runs the build")?;
        if !output.status.success() {
            bail!("the API server cannot be built; try: {}", script.display());
        }
        let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim_end());
        Ok(Self { apiserver: folder.join("kube-apiserver"), kubectl: folder.join("kubectl"), etcd: None })
    }
}
