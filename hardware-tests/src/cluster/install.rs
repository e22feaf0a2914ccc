//! What people apply: the folders of `examples/deploy/` on a server, and the Pods that their DaemonSet would make. There
//! is no controller here, so the Pod is made from the template by hand.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value as Json, json};

use super::{Endpoint, Kubectl, Server, root, until};

/// The namespace of the bridges, as installed.
pub const NAMESPACE: &str = "fieldgate-system";

/// Applies a folder below `examples/deploy/`, with the resources' definitions in it, and waits until its policies judge.
pub fn install(server: &Server, folder: &str) -> Result<()> {
    let kubectl = server.kubectl();
    kubectl.define(&super::crds())?;
    let path = root().join("examples/deploy").join(folder);
    kubectl.apply_folder(&path)?;
    until("the policies", Duration::from_secs(60), || {
        let tried = |spec: Json| {
            let device = json!({"apiVersion": "fieldgate.dev/v1alpha1", "kind": "Device", "metadata": {"name": "policy-probe"}, "spec": spec});
            kubectl.run(&["create", "--dry-run=server", "-n", "default", "-f", "-"], &device.to_string())
        };
        let property = json!({"name": "a", "type": "bool", "desired": true, "virtual": {}});
        let (node, wanted, good) = (
            tried(json!({"protocol": {"virtual": {}}}))?,
            tried(json!({"nodeName": "gw-1", "protocol": {"virtual": {}}, "properties": [property]}))?,
            tried(json!({"nodeName": "gw-1", "protocol": {"virtual": {}}}))?,
        );
        let refused = |output: &std::process::Output, policy: &str, part: &str| {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            !output.status.success() && said.contains(policy) && said.contains(part)
        };
        Ok(refused(&node, "fieldgate-node-name", "spec.nodeName is required")
            && refused(&wanted, "fieldgate-wanted", "needs access")
            && good.status.success())
    })
}

/// The Pod that the installed DaemonSet would make on this node.
pub fn pod(server: &Server, node: &str) -> Result<Json> {
    let mut set = server.kubectl().get(NAMESPACE, "daemonset", "fieldgate")?;
    let mut pod = set.pointer_mut("/spec/template").context("a DaemonSet has a template")?.take();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = format!("fieldgate-{node}").into();
    pod["metadata"]["namespace"] = NAMESPACE.into();
    pod["spec"]["nodeName"] = node.into();
    Ok(pod)
}

/// A bridge as the server sees it.
pub struct Bridge {
    /// kubectl with the bridge's token.
    pub kubectl: Kubectl,
    endpoint: Endpoint,
    token: String,
}

impl Bridge {
    /// Makes the Node and that Pod; the token is the one that the Pod would have.
    pub fn new(server: &Server, node: &str) -> Result<Self> {
        let kubectl = server.kubectl();
        let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}});
        kubectl.fed(&["apply", "-f", "-"], &object.to_string())?;
        // A Pod that is there stays as it was made: a DaemonSet that has changed makes a new one.
        if kubectl.get(NAMESPACE, "pod", &format!("fieldgate-{node}")).is_err() {
            kubectl.fed(&["create", "-f", "-"], &pod(server, node)?.to_string())?;
        }
        Self::with_token(server, &["--bound-object-kind", "Pod", "--bound-object-name", &format!("fieldgate-{node}")])
    }

    /// The bridges' account with a token made with these flags of `kubectl create token`.
    pub fn with_token(server: &Server, flags: &[&str]) -> Result<Self> {
        let create = ["create", "token", "fieldgate", "-n", NAMESPACE];
        let token = server.kubectl().ok(&[&create[..], flags].concat())?.trim().to_owned();
        let kubectl = server.kubectl_as(&json!({"token": token}).to_string())?;
        Ok(Self { kubectl, endpoint: server.endpoint().clone(), token })
    }

    /// One bare PATCH of a Device's status, as the bridge sends it: kubectl would ask for the status first. The HTTP status
    /// and what the server says.
    pub fn report(&self, namespace: &str, device: &str, patch: &str) -> Result<(u16, String)> {
        let Endpoint { url, authority, .. } = &self.endpoint;
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "30", "--request", "PATCH", "--data", patch])
            .args(["--header", "Content-Type: application/merge-patch+json", "--write-out", "\n%{http_code}"])
            .arg("--header")
            .arg(format!("Authorization: Bearer {}", self.token))
            .arg("--cacert")
            .arg(authority)
            .arg(format!("{url}/apis/fieldgate.dev/v1alpha1/namespaces/{namespace}/devices/{device}/status"))
            .output()
            .context("curl does not start")?;
        let said = String::from_utf8(output.stdout)?;
        let (body, code) = said.rsplit_once('\n').context("curl told no status")?;
        ensure!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
        let message =
            serde_json::from_str::<Json>(body).ok().and_then(|json| json["message"].as_str().map(str::to_owned));
        Ok((code.parse()?, message.unwrap_or_else(|| body.to_owned())))
    }
}

impl Kubectl {
    /// `kubectl apply -k`.
    pub fn apply_folder(&self, folder: &Path) -> Result<String> {
        self.ok(&["apply", "-k", folder.to_str().context("a path is UTF-8")?])
    }
}
