//! A kubeconfig file, read by the parser that reads devices, into kube's types. kube's own reader would link a second
//! parser of YAML with its renderer of errors, which show the line that is wrong: here it may hold a password.
//!
//! As kubectl does, it takes the first entry of a name, follows paths from the file's folder, and takes a user that is
//! not there for nobody. It asks nobody and runs nothing.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, bail};
use kube::{
    Config,
    config::{AuthInfo, AuthProviderConfig, ExecAuthCluster, ExecConfig, ExecInteractiveMode},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{credentials::data_or_file, proxy};
use crate::control::yaml::{self, Node, Value};

/// Where a cluster says what a program that gives credentials is to know of it.
const FOR_PROGRAMS: &str = "client.authentication.k8s.io/exec";

/// What the file's current context says.
///
/// # Errors
/// The file cannot be read, or something is missing in it or has another form.
pub fn read(path: &Path) -> anyhow::Result<Config> {
    let text = String::from_utf8(std::fs::read(path)?).ok().context("it is no text in UTF-8")?;
    settings(&text, path.parent().unwrap_or(Path::new(".")))
}

fn settings(text: &str, folder: &Path) -> anyhow::Result<Config> {
    // The parser's words may repeat what it could not read.
    let documents = yaml::parse(text.trim_start_matches('\u{feff}'), 0);
    let file = documents.map_err(|e| anyhow::anyhow!("line {}: no YAML that can be read here", e.mark.line))?.roots;
    let current = file.iter().find(|document| document.get("current-context").is_some());
    let current = current.map(|document| word(document, "current-context")).transpose()?.flatten();
    let current = current.context("it has no current-context; `kubectl config use-context NAME` gives it one")?;
    let context = named(&file, "contexts", "context", &current).with_context(|| format!("no context {current}"))?;
    let cluster = word(context, "cluster")?.context("the context has no cluster")?;
    let cluster = named(&file, "clusters", "cluster", &cluster).with_context(|| format!("no cluster {cluster}"))?;
    let user = word(context, "user")?.and_then(|user| named(&file, "users", "user", &user));

    let server = word(cluster, "server")?.context("the cluster has no server")?;
    let url = server.parse().with_context(|| format!("the server {server} is no URL; write https://HOST:PORT"))?;
    let mut config = Config::new(url);
    let authority = path(cluster, "certificate-authority", folder)?;
    let authority = data_or_file(word(cluster, "certificate-authority-data")?.as_deref(), authority.as_deref())
        .context("the certificate authority")?;
    config.root_cert = authority.as_deref().map(certificates).transpose()?;
    config.accept_invalid_certs = flag(cluster, "insecure-skip-tls-verify")?;
    if config.root_cert.is_some() && config.accept_invalid_certs {
        bail!(
            "the cluster has a certificate authority and insecure-skip-tls-verify, which would believe anybody: take one out"
        );
    }
    config.tls_server_name = word(cluster, "tls-server-name")?;
    let of_process = |name: &str| std::env::var(name).ok();
    proxy::refuse(word(cluster, "proxy-url")?.as_deref(), &config.cluster_url, of_process)?;
    if let Some(user) = user {
        config.auth_info = auth_info(user, folder).context("the user")?;
    }
    if let Some(exec) = config.auth_info.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        exec.cluster = Some(ExecAuthCluster {
            server: Some(server),
            insecure_skip_tls_verify: Some(config.accept_invalid_certs),
            certificate_authority_data: authority,
            proxy_url: None,
            tls_server_name: config.tls_server_name.clone(),
            config: entry(cluster, "extensions", FOR_PROGRAMS).and_then(|e| e.get("extension")).map(Node::to_json),
        });
    }
    Ok(config)
}

/// The PEM certificates as the bytes that they stand for.
///
/// # Errors
/// One is damaged.
fn certificates(pem: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    let all = CertificateDer::pem_slice_iter(pem).map(|der| der.map(|der| der.to_vec()));
    all.collect::<Result<_, _>>().ok().context("the certificate authority is no PEM certificate")
}

fn auth_info(user: &Node, folder: &Path) -> anyhow::Result<AuthInfo> {
    let secret = |key| Ok::<_, anyhow::Error>(word(user, key)?.map(Into::into));
    Ok(AuthInfo {
        username: word(user, "username")?,
        password: secret("password")?,
        token: secret("token")?,
        token_file: path(user, "tokenFile", folder)?,
        client_certificate: path(user, "client-certificate", folder)?,
        client_certificate_data: word(user, "client-certificate-data")?,
        client_key: path(user, "client-key", folder)?,
        client_key_data: secret("client-key-data")?,
        impersonate: word(user, "as")?,
        impersonate_uid: word(user, "as-uid")?,
        impersonate_groups: user.get("as-groups").map(|groups| words(groups.items())),
        auth_provider: user.get("auth-provider").map(auth_provider).transpose()?,
        exec: user.get("exec").map(|exec| program(exec, folder)).transpose().context("exec")?,
        ..AuthInfo::default()
    })
}

fn auth_provider(provider: &Node) -> anyhow::Result<AuthProviderConfig> {
    let mut config = HashMap::new();
    for entry in provider.get("config").map(Node::entries).unwrap_or_default() {
        config.extend(entry.node.text().map(|value| (entry.key.to_string(), value.to_owned())));
    }
    let name = word(provider, "name")?.context("the auth-provider has no name")?;
    Ok(AuthProviderConfig { name, config, ..AuthProviderConfig::default() })
}

fn program(exec: &Node, folder: &Path) -> anyhow::Result<ExecConfig> {
    let interactive_mode = match word(exec, "interactiveMode")?.as_deref() {
        None => None,
        Some("Never") => Some(ExecInteractiveMode::Never),
        Some("IfAvailable") => Some(ExecInteractiveMode::IfAvailable),
        Some("Always") => Some(ExecInteractiveMode::Always),
        Some(other) => bail!("interactiveMode {other} is not known: Never, IfAvailable or Always"),
    };
    // A name without a slash is looked for where programs are.
    let command = word(exec, "command")?;
    let command =
        if command.as_ref().is_some_and(|c| c.contains('/')) { path(exec, "command", folder)? } else { command };
    let variable = |of: &Node| of.entries().iter().map(|e| (e.key.to_string(), said(&e.node))).collect();
    Ok(ExecConfig {
        api_version: word(exec, "apiVersion")?,
        command,
        args: exec.get("args").map(|args| words(args.items())),
        env: exec.get("env").map(|env| env.items().iter().map(variable).collect()),
        install_hint: word(exec, "installHint")?,
        interactive_mode,
        provide_cluster_info: flag(exec, "provideClusterInfo")?,
        ..ExecConfig::default()
    })
}

/// The entry of this name in any of the documents' lists, the first one.
fn named<'a>(file: &'a [Node], list: &str, what: &str, name: &str) -> Option<&'a Node> {
    file.iter().find_map(|document| entry(document, list, name))?.get(what)
}

fn entry<'a>(of: &'a Node, list: &str, name: &str) -> Option<&'a Node> {
    let is = |item: &&Node| item.get("name").is_some_and(|found| said(found) == name);
    of.get(list)?.items().iter().find(is)
}

/// A text; none if it is empty or not there. What YAML reads as a number is refused: it may have been a password whose
/// zeros count.
fn word(of: &Node, key: &str) -> anyhow::Result<Option<String>> {
    match of.get(key).map(|node| (&node.value, node.mark.line)) {
        None | Some((Value::Null, _)) => Ok(None),
        Some((Value::Text(text), _)) => Ok(Some(text.to_string()).filter(|text| !text.is_empty())),
        Some((_, line)) => bail!("line {line}: {key} must be a text; a number wants quotes"),
    }
}

/// A path from the file's folder.
fn path(of: &Node, key: &str, folder: &Path) -> anyhow::Result<Option<String>> {
    Ok(word(of, key)?.map(|path| folder.join(path).display().to_string()))
}

fn flag(of: &Node, key: &str) -> anyhow::Result<bool> {
    match of.get(key).map(|node| (&node.value, node.mark.line)) {
        None | Some((Value::Null, _)) => Ok(false),
        Some((Value::Bool(flag), _)) => Ok(*flag),
        Some((_, line)) => bail!("line {line}: {key} must be true or false"),
    }
}

fn words(items: &[Node]) -> Vec<String> {
    items.iter().map(said).collect()
}

/// A scalar as a program is given it.
fn said(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use kube::config::ExecInteractiveMode;
    use secrecy::ExposeSecret;

    use super::*;

    const FILE: &str = "
apiVersion: v1
kind: Config
preferences: {}
current-context: work
contexts:
- {name: home, context: {cluster: home, user: me}}
- {name: work, context: {cluster: plant, user: gateway, namespace: line-3}}
clusters:
- name: plant
  cluster:
    server: https://plant.example.com:6443
    tls-server-name: kubernetes
    insecure-skip-tls-verify: true
    proxy-url: ''
    extensions:
    - {name: client.authentication.k8s.io/exec, extension: {audience: plant}}
users:
- name: gateway
  user:
    tokenFile: secrets/token
    client-certificate: /etc/client.crt
    client-key: client.key
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: ./bin/login
      args: [--port, 8080, --quiet, true]
      env: [{name: LEVEL, value: 3}]
      installHint: ask the operator
      interactiveMode: Never
      provideClusterInfo: true
- {name: gateway, user: {token: of-the-second}}
";

    fn refusal(text: &str) -> String {
        format!("{:#}", settings(text, Path::new("/etc/k")).expect_err("it is refused"))
    }

    #[test]
    fn the_current_context_is_read_with_paths_from_the_files_folder() {
        let config = settings(FILE, Path::new("/etc/k")).unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://plant.example.com:6443/");
        assert_eq!(config.tls_server_name.as_deref(), Some("kubernetes"));
        assert!(config.accept_invalid_certs && config.root_cert.is_none());
        let user = config.auth_info;
        assert!(user.token.is_none(), "the first of a name");
        assert_eq!(user.token_file.as_deref(), Some("/etc/k/secrets/token"));
        assert_eq!(user.client_certificate.as_deref(), Some("/etc/client.crt"));
        assert_eq!(user.client_key.as_deref(), Some("/etc/k/client.key"));
        let exec = user.exec.unwrap();
        assert_eq!(exec.command.as_deref(), Some("/etc/k/./bin/login"));
        assert_eq!(exec.args.unwrap(), ["--port", "8080", "--quiet", "true"]);
        assert_eq!(exec.env.unwrap()[0]["value"], "3");
        assert_eq!(exec.interactive_mode, Some(ExecInteractiveMode::Never));
        let cluster = exec.cluster.unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://plant.example.com:6443"));
        assert_eq!(cluster.config, Some(serde_json::json!({"audience": "plant"})));
    }

    #[test]
    fn a_program_by_its_bare_name_is_looked_for_where_programs_are() {
        let config = settings(&FILE.replace("./bin/login", "login"), Path::new("/etc/k")).unwrap();
        assert_eq!(config.auth_info.exec.unwrap().command.as_deref(), Some("login"));
    }

    #[test]
    fn a_user_that_is_not_there_is_nobody_and_json_and_several_documents_are_read() {
        let config = settings(&FILE.replace("user: gateway", "user: nobody"), Path::new("/")).unwrap();
        assert!(config.auth_info.token_file.is_none() && config.auth_info.exec.is_none());
        let two = "\u{feff}current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n---\n\
                   {\"clusters\": [{\"name\": \"c\", \"cluster\": {\"server\": \"http://127.0.0.1:8001\"}}], \
                    \"users\": [{\"name\": \"u\", \"user\": {\"username\": \"a\", \"password\": \"b\", \"as\": \"root\", \
                    \"auth-provider\": {\"name\": \"oidc\", \"config\": {\"id-token\": \"t\"}}}}]}";
        let user = settings(two, Path::new("/")).unwrap().auth_info;
        assert_eq!(user.password.unwrap().expose_secret(), "b");
        assert_eq!(user.impersonate.as_deref(), Some("root"));
        assert_eq!(user.auth_provider.unwrap().config["id-token"], "t");
    }

    #[test]
    fn what_is_wrong_is_named_without_what_is_secret() {
        let changed = |from: &str, to: &str| refusal(&FILE.replace(from, to));
        for (error, words) in [
            (refusal(""), "it has no current-context"),
            (refusal("{\"kind\": \"Config\""), "line 1: no YAML"),
            (changed("current-context: work", "current-context: play"), "no context play"),
            (changed("cluster: plant", "cluster: desert"), "no cluster desert"),
            (changed("    server: https://plant.example.com:6443\n", ""), "the cluster has no server"),
            (changed("https://plant.example.com:6443", "https://a b"), "https://a b is no URL"),
            (changed("tokenFile: secrets/token", "token: 5234567890"), "line 21: token must be a text"),
            (changed("tokenFile: secrets/token", "token: 1e5234567890"), "line 21: no YAML that can be read here"),
            (changed("skip-tls-verify: true", "skip-tls-verify: perhaps"), "must be true or false"),
            (changed("interactiveMode: Never", "interactiveMode: Often"), "Never, IfAvailable or Always"),
            (changed("proxy-url: ''", "certificate-authority: ca.crt"), "/etc/k/ca.crt"),
            (changed("proxy-url: ''", "certificate-authority-data: IA=="), "which would believe anybody"),
            (changed("proxy-url: ''", "proxy-url: http://u:5234567890@proxy:3128"), "the proxy proxy:3128"),
            (changed("proxy-url: ''", "proxy-url: 'http://u:5234567890@a b'"), "the proxy in proxy-url is no URL"),
        ] {
            assert!(error.contains(words) && !error.contains("5234567890"), "{words}: {error}");
        }
    }
}
