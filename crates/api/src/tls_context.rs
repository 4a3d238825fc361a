//! `TLSContext`: TLS settings towards clients or services.

use serde::{Deserialize, Serialize};

use crate::common::{AmbassadorId, non_empty, one_or_many};

/// TLS settings towards clients or services. Source: Emissary `TLSContext`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsContext {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(alias = "ambassadorId", skip_serializing_if = "AmbassadorId::is_default")]
    pub ambassador_id: AmbassadorId,
    /// Exact names that this context terminates TLS for; empty for a context
    /// that only originates.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Secret with certificate and key: `name`, or `name.namespace`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// File with the certificate chain; needs `private_key_file`, excludes
    /// `secret`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub cert_chain_file: Option<String>,
    /// File with the private key.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<String>,
    /// Secret with the authorities to trust, key `tls.crt`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<String>,
    /// File with the authorities to trust.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub cacert_chain_file: Option<String>,
    /// Secret with revoked certificates, key `crl.pem`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub crl_secret: Option<String>,
    /// Refuse clients without a certificate. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_required: Option<bool>,
    /// Protocols to offer, comma-separated.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub alpn_protocols: Option<String>,
    /// Oldest version: `v1.0` to `v1.3`. Default: Envoy's.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub min_tls_version: Option<String>,
    /// Newest version: `v1.0` to `v1.3`. Default: Envoy's.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub max_tls_version: Option<String>,
    /// Cipher suites in BoringSSL's words. Default: Envoy's.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<String>,
    /// Curves in BoringSSL's words. Default: Envoy's.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub ecdh_curves: Vec<String>,
    /// Server name to send upstream.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// Whether a dot in a secret's name parts name and namespace. Default: the
    /// Module's `defaults.tls_secret_namespacing`, else true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_namespacing: Option<bool>,
    /// Without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_cleartext_from: Option<u32>,
}
