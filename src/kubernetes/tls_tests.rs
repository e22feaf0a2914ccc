//! The way to an API server by TLS: who is believed, and what is shown of us. The server is a real one on loopback, its
//! authority made for the test.

use std::{path::PathBuf, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};
use serde_json::{Value as Json, json};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use super::{
    super::{
        client::{Ask, Link},
        testing::folder,
    },
    *,
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for this name, and its key.
fn signed(by: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    (CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, by).unwrap(), key)
}

struct Server {
    url: String,
    _tasks: JoinSet<()>,
}

/// A server of this name; it asks for a certificate of this authority's, if there is one.
async fn server(by: &Authority, name: &str, clients: Option<&Authority>) -> Server {
    let (certificate, key) = signed(by, name);
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let settings = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let settings = match clients {
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            settings.with_client_cert_verifier(verifier)
        }
        None => settings.with_no_client_auth(),
    };
    let settings = settings.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(settings));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let answer = |_: Request<Incoming>| async {
                    Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from_static(br#"{"gitVersion":"v1.37.2"}"#))))
                };
                // Who is refused ends the handshake.
                if let Ok(stream) = acceptor.accept(stream).await {
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
                }
            });
        }
    });
    Server { url, _tasks: tasks }
}

fn write(cluster: &Json, user: &Json) -> PathBuf {
    let path = folder().join("kubeconfig");
    let config = json!({
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}], "users": [{"name": "u", "user": user}],
    });
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// What comes of asking: nothing, or why not.
async fn ask(cluster: &Json, user: &Json) -> Result<(), String> {
    let link = Link::open(Some(&write(cluster, user))).await.map_err(|error| format!("{error:#}"))?;
    link.ask(&Ask::get("get", "/version")).await.map(drop).map_err(|failure| failure.message)
}

fn encoded(pem: &str) -> String {
    STANDARD.encode(pem)
}

#[tokio::test]
async fn only_a_server_that_the_authority_vouches_for_is_asked() {
    let (ours, other) = (authority(), authority());
    let (here, elsewhere) = (server(&ours, "127.0.0.1", None).await, server(&ours, "api.example.com", None).await);
    let mut of_file = json!({"server": here.url, "certificate-authority": "ca.crt"});
    let file = folder().join("ca.crt");
    std::fs::write(&file, ours.pem()).unwrap();
    of_file["certificate-authority"] = json!(file);
    let both = format!("{}{}", other.pem(), ours.pem());
    let (ours, other) = (encoded(&ours.pem()), encoded(&other.pem()));
    for (what, cluster, expected) in [
        ("its authority", json!({"server": here.url, "certificate-authority-data": ours}), None),
        ("its authority in a file", of_file, None),
        ("one of two", json!({"server": here.url, "certificate-authority-data": encoded(&both)}), None),
        (
            "another authority",
            json!({"server": here.url, "certificate-authority-data": other}),
            Some("invalid peer certificate"),
        ),
        (
            "another name",
            json!({"server": elsewhere.url, "certificate-authority-data": ours}),
            Some("invalid peer certificate"),
        ),
        (
            "the name that it must have",
            json!({"server": elsewhere.url, "certificate-authority-data": ours, "tls-server-name": "api.example.com"}),
            None,
        ),
        (
            "not the name that it must have",
            json!({"server": here.url, "certificate-authority-data": ours, "tls-server-name": "api.example.com"}),
            Some("invalid peer certificate"),
        ),
        ("anybody", json!({"server": elsewhere.url, "insecure-skip-tls-verify": true}), None),
        (
            "no certificate in it",
            json!({"server": here.url, "certificate-authority-data": encoded("none")}),
            Some("no PEM certificate in the certificate authority"),
        ),
        ("no base64", json!({"server": here.url, "certificate-authority-data": "!"}), Some("base64")),
    ] {
        let found = ask(&cluster, &json!({})).await;
        match expected {
            None => assert_eq!(found, Ok(()), "{what}"),
            Some(words) => assert!(found.as_ref().is_err_and(|error| error.contains(words)), "{what}: {found:?}"),
        }
    }
}

#[tokio::test]
async fn an_authority_and_a_client_certificate_that_were_replaced_are_read_again() {
    let (ours, clients, other) = (authority(), authority(), authority());
    let here = server(&ours, "127.0.0.1", Some(&clients)).await;
    let files = folder();
    let put = |authority: &Authority, signer: &Authority| {
        let (certificate, key) = signed(signer, "gw-1");
        std::fs::write(files.join("ca.crt"), authority.pem()).unwrap();
        std::fs::write(files.join("client.crt"), certificate.pem()).unwrap();
        std::fs::write(files.join("client.key"), key.serialize_pem()).unwrap();
    };
    let cluster = json!({"server": here.url, "certificate-authority": files.join("ca.crt")});
    let user = json!({"client-certificate": files.join("client.crt"), "client-key": files.join("client.key")});
    for (what, authority, signer) in [("authority", &other, &clients), ("client certificate", &ours, &other)] {
        put(authority, signer);
        let link = Link::open(Some(&write(&cluster, &user))).await.unwrap();
        put(&ours, &clients);
        let ask = Ask::get("get", "/version");
        assert!(link.ask(&ask).await.is_err(), "{what}: the one that was there at the start");
        assert_eq!(link.ask(&ask).await.map(drop).map_err(|failure| failure.message), Ok(()), "{what}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_from_the_file_from_data_and_from_a_program() {
    let (ours, clients) = (authority(), authority());
    let here = server(&ours, "127.0.0.1", Some(&clients)).await;
    let cluster = json!({"server": here.url, "certificate-authority-data": encoded(&ours.pem())});
    let (certificate, key) = signed(&clients, "gw-1");
    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    let (stranger, strangers_key) = signed(&ours, "gw-1");
    let files = folder();
    std::fs::write(files.join("client.crt"), &certificate).unwrap();
    std::fs::write(files.join("client.key"), &key).unwrap();
    let given = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"clientCertificateData": certificate, "clientKeyData": key},
    });
    std::fs::write(files.join("given"), given.to_string()).unwrap();
    let data = |certificate: &str, key: &str| json!({"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)});
    for (what, user, served) in [
        ("data", data(&certificate, &key), true),
        (
            "files",
            json!({"client-certificate": files.join("client.crt"), "client-key": files.join("client.key")}),
            true,
        ),
        (
            "a program",
            json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
                "command": "cat", "args": [files.join("given")]}}),
            true,
        ),
        ("none", json!({}), false),
        ("of another authority", data(&stranger.pem(), &strangers_key.serialize_pem()), false),
    ] {
        let found = ask(&cluster, &user).await;
        assert_eq!(found.is_ok(), served, "{what}: {found:?}");
    }
    let found = ask(&cluster, &data(&certificate, &strangers_key.serialize_pem())).await;
    assert!(found.as_ref().is_err_and(|error| error.contains("client certificate and its key")), "{found:?}");
    let found = ask(&cluster, &json!({"client-certificate": files.join("client.crt")})).await;
    assert!(found.as_ref().is_err_and(|error| error.contains("without client-key")), "{found:?}");
}
