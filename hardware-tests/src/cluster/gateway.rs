//! What a gateway is to the cluster: a Node, a Pod on it, a ServiceAccount with its roles, and a token that is bound to the
//! Pod, as the kubelet would mount it. Never an administrator's.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};

use super::{Endpoint, Kubectl, Server};

/// One gateway.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Its node's name.
    pub node: String,
    /// The namespace of its Pod.
    pub namespace: String,
    /// Its ServiceAccount, one for all gateways of a namespace.
    pub account: String,
    /// The file that holds its token.
    pub token: PathBuf,
    pod: String,
    folder: PathBuf,
    kubectl: Kubectl,
}

impl Gateway {
    /// Makes one. Its rights come with the ServiceAccount `fieldgate` of this namespace: see [`rights`].
    pub fn new(server: &Server, namespace: &str, node: &str) -> Result<Self> {
        let (account, pod) = ("fieldgate".to_owned(), format!("fieldgate-{node}"));
        let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": {
                "nodeName": node, "serviceAccountName": account, "automountServiceAccountToken": false,
                "containers": [{"name": "fieldgate", "image": "localhost/fieldgate"}],
            }},
        ]});
        let kubectl = server.kubectl().clone();
        // The account may be there before the Pod asks for it: kubectl applies a list in order.
        kubectl.apply(namespace, &objects.to_string())?;
        let folder = server.folder().join(format!("{namespace}-{node}"));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let token = folder.join("token");
        let gateway = Self { node: node.into(), namespace: namespace.into(), account, token, pod, folder, kubectl };
        gateway.renew()?;
        Ok(gateway)
    }

    /// Puts a new token in the place of the old, as the kubelet does before it expires.
    pub fn renew(&self) -> Result<()> {
        let Self { namespace, account, pod, .. } = self;
        let bound = ["--bound-object-kind", "Pod", "--bound-object-name", pod];
        let create = ["create", "token", account, "-n", namespace, "--duration", "1h"];
        let token = self.kubectl.ok(&[&create[..], &bound[..]].concat())?;
        let new = self.token.with_extension("new");
        std::fs::write(&new, token.trim())?;
        std::fs::rename(new, &self.token).context("the token's file")
    }

    /// A kubeconfig with its token: for the server, or for a proxy before it. One for each endpoint.
    pub fn kubeconfig(&self, endpoint: &Endpoint) -> Result<PathBuf> {
        let port = endpoint.url.rsplit(':').next().unwrap_or_default();
        let path = self.folder.join(format!("{port}.kubeconfig"));
        std::fs::write(&path, endpoint.kubeconfig(&json!({"tokenFile": self.token}).to_string()))?;
        Ok(path)
    }

    /// Its name in the audit log.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.account)
    }

    /// A folder of its own, which goes with the server.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// What a gateway may do and nothing else, bound to the ServiceAccount `fieldgate` of this namespace: in all namespaces.
pub fn rights(namespace: &str) -> Json {
    let group = "fieldgate.dev";
    // A role of each namespace's own: tests that run side by side do not make the same object at once.
    let name = format!("fieldgate-test-{namespace}");
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": [
            {"apiGroups": [group], "resources": ["devices", "devicemodels"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": [group], "resources": ["devices/status"], "verbs": ["patch"]},
            {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
        ]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "fieldgate", "namespace": namespace}]},
    ]})
}
