//! As whom the API server is asked: the token or password of a request, and the certificate of a connection. It asks
//! nobody, and refuses what it does not know instead of asking as somebody else.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use kube::config::{AuthInfo, AuthProviderConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::plugin;

/// A token in a file is read again when it was read this long ago: a pod's is replaced within its hour.
const REREAD: Duration = Duration::from_secs(50);
/// What ends within this time is to be replaced.
const AHEAD: SignedDuration = SignedDuration::from_secs(60);

/// A certificate with those that vouch for it, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// As whom the API server is asked.
pub struct Credentials {
    proof: Proof,
    /// The certificate that a connection shows.
    pub identity: Option<Identity>,
    expires: Option<Timestamp>,
}

enum Proof {
    None,
    Word(HeaderValue),
    File(TokenFile),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Credentials {
    /// What a kubeconfig's user, or a pod's service account, has. It runs the program that is named for them, and waits.
    ///
    /// # Errors
    /// Something in it cannot be read, or is not known here.
    pub fn read(user: &AuthInfo) -> anyhow::Result<Self> {
        if user.impersonate.is_some() || user.impersonate_groups.is_some() || user.impersonate_uid.is_some() {
            bail!(
                "it asks to act as another (as, as-groups, as-uid), which is not supported: name that user's own credentials"
            );
        }
        let mut identity = identity_of_files(user)?;
        let mut expires = None;
        let proof = if let Some(provider) = &user.auth_provider {
            Proof::Word(bearer(provided(provider)?)?)
        } else if let (Some(name), Some(password)) = (&user.username, &user.password) {
            Proof::Word(secret(&format!("Basic {}", STANDARD.encode(format!("{name}:{}", password.expose_secret()))))?)
        } else if let Some(path) = &user.token_file {
            // The file goes before the token, which stands in until it can be read, as client-go has it.
            let token = user.token.as_ref().map(|token| bearer(token.expose_secret())).transpose()?;
            Proof::File(TokenFile::open(path, token)?)
        } else if let Some(token) = &user.token {
            Proof::Word(bearer(token.expose_secret())?)
        } else if let Some(exec) = &user.exec {
            let given = plugin::run(exec)?;
            identity = given.identity.or(identity);
            expires = given.expires;
            given.token.as_deref().map(bearer).transpose()?.map_or(Proof::None, Proof::Word)
        } else {
            Proof::None
        };
        Ok(Self { proof, identity, expires })
    }

    /// The value of the header `Authorization`.
    pub fn authorization(&self) -> Option<HeaderValue> {
        match &self.proof {
            Proof::None => None,
            Proof::Word(value) => Some(value.clone()),
            Proof::File(file) => Some(file.header()),
        }
    }

    /// Whether they end soon, or have ended, and a program can give others.
    pub fn end_soon(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX) >= at)
    }
}

/// A token that is replaced under its name.
struct TokenFile {
    path: PathBuf,
    read: Mutex<(HeaderValue, Instant)>,
}

impl TokenFile {
    /// With a token for as long as the file cannot be read, if there is one.
    fn open(path: impl Into<PathBuf>, until_then: Option<HeaderValue>) -> anyhow::Result<Self> {
        let path = path.into();
        let header = match (Self::load(&path), until_then) {
            (Err(_), Some(token)) => token,
            (read, _) => read.with_context(|| format!("the token file {}", path.display()))?,
        };
        Ok(Self { path, read: Mutex::new((header, Instant::now())) })
    }

    fn load(path: &Path) -> anyhow::Result<HeaderValue> {
        bearer(&std::fs::read_to_string(path)?)
    }

    /// A file that is gone or half written leaves the token that was read last: some take it away after the start
    /// (kubernetes/kubernetes#68164).
    fn header(&self) -> HeaderValue {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.1.elapsed() >= REREAD {
            if let Ok(header) = Self::load(&self.path) {
                read.0 = header;
            }
            read.1 = Instant::now();
        }
        read.0.clone()
    }
}

/// A token as a request carries it. Space around it, such as the end of a file's line, does not belong to it.
fn bearer(token: &str) -> anyhow::Result<HeaderValue> {
    match token.trim() {
        "" => bail!("the token is empty"),
        token => secret(&format!("Bearer {token}")),
    }
}

fn secret(text: &str) -> anyhow::Result<HeaderValue> {
    // The error would repeat nothing of it, but says nothing either.
    let Ok(mut value) = HeaderValue::try_from(text) else { bail!("it has a character that no HTTP header can carry") };
    value.set_sensitive(true);
    Ok(value)
}

/// The token of a built-in provider. Kubernetes has none but this one any more; a token that has ended is not replaced.
fn provided(provider: &AuthProviderConfig) -> anyhow::Result<&str> {
    if provider.name != "oidc" {
        bail!(
            "the auth-provider {} is not supported, and kubectl has none of this name since 1.26; write exec with a program",
            provider.name
        );
    }
    provider.config.get("id-token").map(String::as_str).context("the auth-provider oidc has no id-token")
}

fn identity_of_files(user: &AuthInfo) -> anyhow::Result<Option<Identity>> {
    let data = user.client_key_data.as_ref().map(ExposeSecret::expose_secret);
    let certificate = data_or_file(user.client_certificate_data.as_deref(), user.client_certificate.as_deref());
    let key = data_or_file(data, user.client_key.as_deref());
    match (certificate.context("the client certificate")?, key.context("the client's key")?) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => identity(&certificate, &key).map(Some),
        (Some(_), None) => bail!("there is a client certificate without client-key or client-key-data"),
        (None, Some(_)) => bail!("there is a client key without client-certificate or client-certificate-data"),
    }
}

/// What stands in a field as base64, or else in a file.
///
/// # Errors
/// It is no base64, or the file cannot be read.
pub fn data_or_file(data: Option<&str>, file: Option<&str>) -> anyhow::Result<Option<Vec<u8>>> {
    match (data.filter(|text| !text.is_empty()), file.filter(|path| !path.is_empty())) {
        // What is no base64 is not repeated: it may be a key.
        // Ends of lines do not count, as `base64` writes them.
        (Some(text), _) => STANDARD.decode(text.replace(['\r', '\n'], "")).ok().context("it is no base64").map(Some),
        (None, Some(path)) => std::fs::read(path).with_context(|| path.to_owned()).map(Some),
        (None, None) => Ok(None),
    }
}

/// A certificate and its key from PEM.
///
/// # Errors
/// There is none in it.
pub fn identity(certificate: &[u8], key: &[u8]) -> anyhow::Result<Identity> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).context("the client certificate is no PEM certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key).ok().context("the client's key is no PEM key")?;
    Ok((chain, key))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::folder, *};

    fn said(user: &AuthInfo) -> String {
        match Credentials::read(user) {
            Ok(credentials) => {
                credentials.authorization().map_or_else(|| "nobody".to_owned(), |v| v.to_str().unwrap().to_owned())
            }
            Err(error) => format!("{error:#}"),
        }
    }

    fn provider(name: &str, token: Option<&str>) -> AuthInfo {
        let config = token.map(|token| ("id-token".to_owned(), token.to_owned())).into_iter().collect();
        let provider = AuthProviderConfig { name: name.into(), config, ..AuthProviderConfig::default() };
        AuthInfo { auth_provider: Some(provider), ..AuthInfo::default() }
    }

    #[test]
    fn what_a_user_has_becomes_a_header_or_is_refused() {
        let none = AuthInfo::default;
        let file = folder().join("token");
        std::fs::write(&file, "of-file\n").unwrap();
        let file = Some(file.display().to_string());
        for (user, expected) in [
            (none(), "nobody"),
            (AuthInfo { token: Some("t".into()), token_file: file.clone(), ..none() }, "Bearer of-file"),
            (AuthInfo { token: Some("t".into()), token_file: Some("/no/such".into()), ..none() }, "Bearer t"),
            (AuthInfo { token: Some("t".into()), ..none() }, "Bearer t"),
            (AuthInfo { token_file: file, ..none() }, "Bearer of-file"),
            (
                AuthInfo { username: Some("Aladdin".into()), password: Some("open sesame".into()), ..none() },
                // RFC 7617, section 2.
                "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            ),
            (provider("oidc", Some("id")), "Bearer id"),
            (provider("oidc", None), "the auth-provider oidc has no id-token"),
            (
                provider("gcp", None),
                "the auth-provider gcp is not supported, and kubectl has none of this name since 1.26; \
                 write exec with a program",
            ),
            (AuthInfo { token_file: Some("/no/such".into()), ..none() }, "the token file /no/such: No such file"),
            (AuthInfo { token: Some("a\nb".into()), ..none() }, "it has a character that no HTTP header can carry"),
            (AuthInfo { token: Some(" ".into()), ..none() }, "the token is empty"),
            (
                AuthInfo { impersonate: Some("boss".into()), token: Some("t".into()), ..none() },
                "it asks to act as another",
            ),
            (
                AuthInfo { client_key_data: Some("c2VjcmV0".into()), ..none() },
                "there is a client key without client-cert",
            ),
            (
                AuthInfo {
                    client_key_data: Some("c2VjcmV0".into()),
                    client_certificate_data: Some("c2VjcmV0".into()),
                    ..none()
                },
                "the client certificate is no PEM certificate",
            ),
        ] {
            let found = said(&user);
            assert!(found.starts_with(expected), "{expected}: {found}");
        }
    }

    #[test]
    fn base64_may_be_broken_into_lines() {
        for (text, expected) in [("YW\nJj\r\n", Some(&b"abc"[..])), ("YWJj", Some(b"abc")), ("YW Jj", None)] {
            assert_eq!(data_or_file(Some(text), None).ok().flatten().as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let user = AuthInfo { token: Some("s3cret".into()), ..AuthInfo::default() };
        let credentials = Credentials::read(&user).unwrap();
        let shown = format!("{credentials:?} {:?}", credentials.authorization());
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_file_is_read_again_and_one_that_is_gone_leaves_the_last_token() {
        let path = folder().join("token");
        std::fs::write(&path, "first").unwrap();
        let file = TokenFile::open(&path, None).unwrap();
        std::fs::write(&path, "second").unwrap();
        tokio::time::advance(REREAD / 2).await;
        assert_eq!(file.header(), "Bearer first", "not read for each request");
        tokio::time::advance(REREAD / 2).await;
        assert_eq!(file.header(), "Bearer second");
        for damaged in [Some(""), None] {
            match damaged {
                Some(text) => std::fs::write(&path, text).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            tokio::time::advance(REREAD).await;
            assert_eq!(file.header(), "Bearer second");
        }
        std::fs::write(&path, "third").unwrap();
        tokio::time::advance(REREAD).await;
        assert_eq!(file.header(), "Bearer third");
    }

    #[test]
    fn what_ends_within_a_minute_is_to_be_replaced() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let ends = |at| Credentials { proof: Proof::None, identity: None, expires: at };
        let end = Some(at("2026-01-01T00:10:00Z"));
        assert!(!ends(end).end_soon(at("2026-01-01T00:08:59Z")));
        assert!(ends(end).end_soon(at("2026-01-01T00:09:00Z")));
        assert!(ends(end).end_soon(at("2027-01-01T00:00:00Z")));
        assert!(!ends(None).end_soon(at("2027-01-01T00:00:00Z")));
    }
}
