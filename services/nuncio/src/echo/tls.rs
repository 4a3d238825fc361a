//! TLS for the echo backend.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use serde::{Deserialize, Serialize};

/// What is known of one TLS session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Server name the client asked for.
    pub sni: Option<String>,
    /// Protocol agreed on by ALPN.
    pub alpn: Option<String>,
    /// Whether the client showed a certificate.
    pub client_certificate: bool,
}

impl Session {
    pub(super) fn of(connection: &ServerConnection) -> Self {
        let alpn = connection.alpn_protocol();
        Self {
            sni: connection.server_name().map(str::to_owned),
            alpn: alpn.map(|name| String::from_utf8_lossy(name).into_owned()),
            client_certificate: connection.peer_certificates().is_some(),
        }
    }
}

/// Why a TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text is not what PEM should hold.
    #[error("failed to read {what} as PEM")]
    Pem {
        /// Which of the texts.
        what: &'static str,
        /// The cause.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The parts do not go together.
    #[error("failed to use the certificate and key")]
    Material(#[source] rustls::Error),
    /// Client certificates cannot be checked against the given authority.
    #[error("failed to use the client authority")]
    ClientAuthority(#[source] rustls::client::VerifierBuilderError),
}

/// Makes a server configuration that offers `h2` and `http/1.1`.
///
/// `chain`, `key` and `client_ca` are PEM. With a `client_ca`, clients may
/// show a certificate of that authority and a bad one is refused.
///
/// # Errors
///
/// Fails when a text is not PEM or the key does not belong to the chain.
pub fn server_config(
    chain: &[u8],
    key: &[u8],
    client_ca: Option<&[u8]>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Material)?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates("the client authority", pem)? {
                roots.add(certificate).map_err(TlsError::Material)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(TlsError::ClientAuthority)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|source| TlsError::Pem { what: "the key", source })?;
    let chain = certificates("the certificate chain", chain)?;
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Material)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    all.map_err(|source| TlsError::Pem { what, source })
}
