//! The program of a kubeconfig that gives credentials (client.authentication.k8s.io, `exec`). It is run as it is named,
//! by no shell, and waited for; what it prints is repeated nowhere, since it is a secret.

use std::{
    io::IsTerminal,
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde_json::json;

use super::{
    credentials::{Identity, identity},
    failure::shorten,
};
use crate::control::yaml::{self, Node};

/// What a program gave.
pub struct Given {
    /// A token,
    pub token: Option<String>,
    /// or a certificate, or both.
    pub identity: Option<Identity>,
    /// When they end.
    pub expires: Option<Timestamp>,
}

/// Runs it, and waits until it ends.
///
/// # Errors
/// It does not run, does not succeed, or gives nothing.
pub fn run(exec: &ExecConfig) -> anyhow::Result<Given> {
    let name = exec.command.as_deref().filter(|name| !name.is_empty()).context("exec names no command")?;
    let program = || format!("the program {name} that gives credentials");
    let output = command(exec, name).with_context(program)?.output().with_context(|| {
        let hint = exec.install_hint.as_deref().map(|hint| format!(" ({})", shorten(hint))).unwrap_or_default();
        format!("{} cannot be run{hint}", program())
    })?;
    if !output.status.success() {
        let said = shorten(&String::from_utf8_lossy(&output.stderr));
        bail!("{} ended with {}{}{said}", program(), output.status, if said.is_empty() { "" } else { ": " });
    }
    read(&output.stdout).with_context(program)
}

fn command(exec: &ExecConfig, name: &str) -> anyhow::Result<Command> {
    let person = std::io::stdin().is_terminal();
    let interactive = match exec.interactive_mode {
        Some(ExecInteractiveMode::Never) => false,
        Some(ExecInteractiveMode::Always) if !person => bail!("it wants a terminal (interactiveMode: Always)"),
        _ => person,
    };
    let mut spec = json!({"interactive": interactive});
    if exec.provide_cluster_info {
        spec["cluster"] = serde_json::to_value(&exec.cluster)?;
    }
    let info = json!({"apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec});
    let mut command = Command::new(name);
    command.args(exec.args.iter().flatten());
    for variable in exec.env.iter().flatten() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
            command.env(name, value);
        }
    }
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    if interactive {
        command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
    } else {
        command.stdin(Stdio::null());
    }
    Ok(command)
}

/// The answer is JSON, and may be YAML as kubectl takes it.
fn read(answer: &[u8]) -> anyhow::Result<Given> {
    // The parser's error could repeat a token.
    let documents = std::str::from_utf8(answer).ok().and_then(|text| yaml::parse(text, 0).ok());
    let answer = documents.and_then(|documents| documents.roots.into_iter().next());
    let status = answer.as_ref().and_then(|answer| answer.get("status"));
    let status = status.context("it answered no ExecCredential with a status")?;
    let word = |key| status.get(key).and_then(Node::text).filter(|text| !text.is_empty());
    let expires = word("expirationTimestamp").map(str::parse).transpose().context("its expirationTimestamp")?;
    let identity = match (word("clientCertificateData"), word("clientKeyData")) {
        (Some(certificate), Some(key)) => Some(identity(certificate.as_bytes(), key.as_bytes())?),
        (None, None) => None,
        _ => bail!("it gives one of clientCertificateData and clientKeyData without the other"),
    };
    let token = word("token").map(str::to_owned);
    if token.is_none() && identity.is_none() {
        bail!("it gives neither a token nor a client certificate");
    }
    Ok(Given { token, identity, expires })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use kube::config::ExecAuthCluster;
    use serde_json::Value as Json;

    use super::*;

    fn exec(script: &str) -> ExecConfig {
        ExecConfig {
            api_version: Some("client.authentication.k8s.io/v1".into()),
            command: Some("sh".into()),
            args: Some(vec!["-c".into(), script.into()]),
            interactive_mode: Some(ExecInteractiveMode::Never),
            ..ExecConfig::default()
        }
    }

    fn refused(exec: &ExecConfig) -> String {
        format!("{:#}", run(exec).err().expect("it is refused"))
    }

    #[test]
    fn answers_of_programs() {
        for (answer, expected) in [
            (r#"{"kind":"ExecCredential","status":{"token":"t"}}"#, Ok(("t", None))),
            (
                r#"{"status":{"token":"t","expirationTimestamp":"2030-05-01T10:00:00Z"}}"#,
                Ok(("t", Some("2030-05-01T10:00:00Z"))),
            ),
            ("kind: ExecCredential\nstatus:\n  token: yaml\n", Ok(("yaml", None))),
            (r#"{"kind":"ExecCredential"}"#, Err("no ExecCredential with a status")),
            ("s3cret: [", Err("no ExecCredential with a status")),
            ("", Err("no ExecCredential with a status")),
            (r#"{"status":{}}"#, Err("neither a token nor a client certificate")),
            (r#"{"status":{"token":"s3cret","expirationTimestamp":"soon"}}"#, Err("expirationTimestamp")),
            (r#"{"status":{"clientKeyData":"s3cret"}}"#, Err("without the other")),
            (
                r#"{"status":{"clientKeyData":"s3cret","clientCertificateData":"c"}}"#,
                Err("the client certificate is no PEM certificate"),
            ),
        ] {
            match (read(answer.as_bytes()), expected) {
                (Ok(given), Ok((token, expires))) => {
                    assert_eq!(given.token.as_deref(), Some(token), "{answer}");
                    assert_eq!(given.expires, expires.map(|at| at.parse().unwrap()), "{answer}");
                }
                (Err(error), Err(words)) => {
                    let error = format!("{error:#}");
                    assert!(error.contains(words) && !error.contains("s3cret"), "{answer}: {error}");
                }
                (found, expected) => panic!("{answer}: {:?}, not {expected:?}", found.map(|given| given.token)),
            }
        }
    }

    #[test]
    fn a_program_is_told_who_asks_and_gets_its_arguments_and_variables() {
        let mut exec = exec(
            r#"printf '{"status":{"token":"%s %s"}}' "$GREETING" "$(printf %s "$KUBERNETES_EXEC_INFO" | base64 | tr -d '\n')""#,
        );
        let variable = [("name", "GREETING"), ("value", "hello")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        exec.env = Some(vec![HashMap::from(variable)]);
        exec.provide_cluster_info = true;
        exec.cluster = Some(ExecAuthCluster {
            server: Some("https://10.0.0.1".into()),
            certificate_authority_data: Some(b"pem".to_vec()),
            ..ExecAuthCluster::default()
        });
        let token = run(&exec).unwrap().token.unwrap();
        let (greeting, info) = token.split_once(' ').unwrap();
        assert_eq!(greeting, "hello");
        let info = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, info).unwrap();
        let info: Json = serde_json::from_slice(&info).unwrap();
        let expected = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "spec": {
                "interactive": false,
                "cluster": {"server": "https://10.0.0.1", "certificate-authority-data": "cGVt"},
            },
        });
        assert_eq!(info, expected);
    }

    #[test]
    fn a_program_that_fails_is_named_with_what_it_complains_of_but_not_with_what_it_gave() {
        let error = refused(&exec("echo s3cret; echo log in first >&2; exit 3"));
        assert!(
            error.contains("the program sh that gives credentials ended with exit status: 3: log in first"),
            "{error}"
        );
        assert!(!error.contains("s3cret"), "{error}");
        let missing = ExecConfig {
            command: Some("no-such-program".into()),
            install_hint: Some("apt-get install it".into()),
            ..ExecConfig::default()
        };
        let error = refused(&missing);
        assert!(error.contains("no-such-program") && error.contains("apt-get install it"), "{error}");
        assert!(refused(&ExecConfig::default()).contains("exec names no command"));
    }

    #[test]
    fn a_program_that_wants_a_person_is_not_run_without_one() {
        if std::io::stdin().is_terminal() {
            return;
        }
        let exec = ExecConfig { interactive_mode: Some(ExecInteractiveMode::Always), ..exec("exit 0") };
        assert!(refused(&exec).contains("it wants a terminal"));
    }
}
