//! Secrets that Envoy is sent: what they are made of, and under which name.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Kind, Object, ObjectKey};

use crate::names;

/// Secrets by namespace and name.
pub(crate) type Secrets = BTreeMap<(String, String), Arc<Object>>;

/// One Secret: namespace and name.
pub(crate) type SecretName = (String, String);

/// What a resource sent by SDS is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretUse {
    /// Certificate chain and key of a Secret.
    Certificate(SecretName),
    /// Certificate chain and key in files that Envoy reads.
    CertificateFiles { chain: String, key: String, named_by: ObjectKey },
    /// Trust anchors, revocation lists.
    Validation { anchors: Anchors, crl: Option<SecretName> },
}

/// Where trust anchors come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Anchors {
    /// A Secret that holds authorities.
    Authority(SecretName),
    /// `root-cert.pem` of the Secret that holds the certificate, too.
    Root(SecretName),
    /// A file that Envoy reads.
    File { path: String, named_by: ObjectKey },
}

impl SecretUse {
    /// Returns the name of the resource.
    ///
    /// Shape: `<use>/<name>.<namespace>`, or `<use>-file/<path>`, a key's path
    /// after a comma; then `/<name>.<namespace>` of the revocation lists.
    pub(crate) fn resource_name(&self) -> Arc<str> {
        let dotted = |(namespace, name): &SecretName| names::dotted(name, namespace);
        match self {
            Self::Certificate(at) => format!("certificate/{}", dotted(at)),
            Self::CertificateFiles { chain, key, .. } => format!("certificate-file/{chain},{key}"),
            Self::Validation { anchors, crl } => {
                let mut name = match anchors {
                    Anchors::Authority(at) => format!("validation/{}", dotted(at)),
                    Anchors::Root(at) => format!("root/{}", dotted(at)),
                    Anchors::File { path, .. } => format!("validation-file/{path}"),
                };
                if let Some(crl) = crl {
                    name.push('/');
                    name.push_str(&dotted(crl));
                }
                name
            }
        }
        .into()
    }

    /// Returns the objects that the resource comes from, sorted.
    pub(crate) fn sources(&self) -> Vec<ObjectKey> {
        let key = |(namespace, name): &SecretName| ObjectKey::new(Kind::Secret, namespace, name);
        let mut keys: Vec<_> = match self {
            Self::Certificate(at) => vec![key(at)],
            Self::CertificateFiles { named_by, .. } => vec![named_by.clone()],
            Self::Validation { anchors, crl } => {
                let first = match anchors {
                    Anchors::Authority(at) | Anchors::Root(at) => key(at),
                    Anchors::File { named_by, .. } => named_by.clone(),
                };
                std::iter::once(first).chain(crl.iter().map(key)).collect()
            }
        };
        keys.sort();
        keys.dedup();
        keys
    }
}

/// Returns certificate chain and key of a Secret.
pub(crate) fn key_pair(secret: &api::core::Secret) -> Option<(&[u8], &[u8])> {
    let chain = secret.bytes("tls.crt").or_else(|| secret.bytes("cert-chain.pem"))?;
    let key = secret.bytes("tls.key").or_else(|| secret.bytes("key.pem"))?;
    (is_pem(chain, "CERTIFICATE") && is_pem(key, "PRIVATE KEY")).then_some((chain, key))
}

/// Returns the authorities that a Secret holds.
pub(crate) fn authorities(secret: &api::core::Secret) -> Option<&[u8]> {
    let keys = ["tls.crt", ROOT, "cert-chain.pem", "ca.crt"];
    keys.into_iter().find_map(|key| secret.bytes(key)).filter(|pem| is_pem(pem, "CERTIFICATE"))
}

/// Whether a Secret holds authorities and no key. One of type
/// `kubernetes.io/tls` must have `tls.key` all the same, which is then empty.
pub(crate) fn is_authority_alone(secret: &api::core::Secret) -> bool {
    authorities(secret).is_some() && secret.bytes("tls.key").is_none_or(<[u8]>::is_empty)
}

/// Returns the trust anchor that stands beside a certificate, where one does.
pub(crate) fn root(secret: &api::core::Secret) -> Option<&[u8]> {
    secret.bytes(ROOT).filter(|pem| is_pem(pem, "CERTIFICATE"))
}

/// Returns the revocation lists of a Secret.
pub(crate) fn revocations(secret: &api::core::Secret) -> Option<&[u8]> {
    secret.bytes("crl.pem").filter(|pem| is_pem(pem, "X509 CRL"))
}

/// Whether the bytes hold at least one PEM block of that kind, and only
/// well-formed blocks.
fn is_pem(bytes: &[u8], kind: &str) -> bool {
    match pem::parse_many(bytes) {
        Ok(blocks) => blocks.iter().any(|block| block.tag().ends_with(kind)),
        Err(_) => false,
    }
}

/// Istio's name of the trust anchor.
const ROOT: &str = "root-cert.pem";
