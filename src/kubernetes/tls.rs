//! TLS to the API server: whom it believes, and what it shows of itself. Without a configured authority it believes whom
//! this machine believes, as kubectl does.

use std::sync::Arc;

use anyhow::{Context, bail};
use http::uri::Scheme;
use kube::Config;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::credentials::Identity;

/// How connections are made to this cluster.
///
/// # Errors
/// There is nobody to believe, or the certificate and its key do not fit.
pub fn settings(config: &Config, identity: Option<Identity>) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let trusting = if config.accept_invalid_certs {
        tracing::warn!("The kubeconfig file says insecure-skip-tls-verify: whoever answers passes for the API server.");
        versions.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(schemes)))
    } else {
        versions.with_root_certificates(authorities(config)?)
    };
    match identity {
        Some((chain, key)) => trusting.with_client_auth_cert(chain, key).context("the client certificate and its key"),
        None => Ok(trusting.with_no_client_auth()),
    }
}

/// The name that the API server's certificate must carry, if it is not that of its address.
///
/// # Errors
/// It is no name.
pub fn name(config: &Config) -> anyhow::Result<Option<ServerName<'static>>> {
    let name = config.tls_server_name.as_ref().filter(|name| !name.is_empty());
    name.map(|name| ServerName::try_from(name.clone()).with_context(|| format!("tls-server-name {name}"))).transpose()
}

fn authorities(config: &Config) -> anyhow::Result<RootCertStore> {
    let mut believed = RootCertStore::empty();
    if let Some(certificates) = &config.root_cert {
        for certificate in certificates {
            believed.add(certificate.clone().into()).context("the certificate authority")?;
        }
        if believed.is_empty() {
            bail!("there is no PEM certificate in the certificate authority");
        }
    } else if config.cluster_url.scheme() == Some(&Scheme::HTTPS) {
        // Those of a machine are many, and some may be of a kind that nobody uses any more.
        let (_, _) = believed.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if believed.is_empty() {
            bail!(
                "no certificate authority is named, and this machine has none either (SSL_CERT_FILE names a file of them)"
            );
        }
    }
    Ok(believed)
}

/// Believes anybody, as a kubeconfig may ask: a certificate that nobody vouches for proves nothing, whoever signs with it.
#[derive(Debug)]
struct Anybody(Vec<SignatureScheme>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
