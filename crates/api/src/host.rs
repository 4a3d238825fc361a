//! `Host`: a name that the gateway answers to, and its certificate.

use serde::{Deserialize, Serialize};

use crate::common::{AmbassadorId, LabelSelector, ObjectRef, non_empty};

/// A name that the gateway answers to. Source: Emissary `Host`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Host {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(
        rename = "ambassador_id",
        alias = "ambassadorId",
        skip_serializing_if = "AmbassadorId::is_default"
    )]
    pub ambassador_id: AmbassadorId,
    /// Exact name, `*.x`, `x.*` or `*`, port included if it counts. Default:
    /// `*`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Mappings of this Host, by label. Default: by hostname alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping_selector: Option<LabelSelector>,
    /// Deprecated spelling of `mappingSelector`, used when that is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Secret with the certificate; without it no TLS field has effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_secret: Option<ObjectRef>,
    /// TLSContext with the TLS settings; not together with `tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_context: Option<ObjectRef>,
    /// The TLS settings themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<HostTls>,
    /// What happens to requests in cleartext.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_policy: Option<RequestPolicy>,
    /// How to get a certificate. Default: none is got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme_provider: Option<AcmeProvider>,
    /// Without effect.
    #[serde(alias = "preview_url", skip_serializing_if = "Option::is_none")]
    pub preview_url: Option<PreviewUrl>,
}

/// TLS settings of one Host; each field as in a TLSContext. Both spellings,
/// `min_tls_version` and `minTlsVersion`, are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostTls {
    /// Without effect: the certificate is that of the Host's secret.
    #[serde(
        alias = "certChainFile",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub cert_chain_file: Option<String>,
    /// Without effect: the key is that of the Host's secret.
    #[serde(
        alias = "privateKeyFile",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub private_key_file: Option<String>,
    /// Secret with the authorities that client certificates must come from.
    #[serde(
        alias = "caSecret",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub ca_secret: Option<String>,
    /// File with those authorities.
    #[serde(
        alias = "cacertChainFile",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub cacert_chain_file: Option<String>,
    /// Secret with revoked certificates, key `crl.pem`.
    #[serde(
        alias = "crlSecret",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub crl_secret: Option<String>,
    /// Protocols to offer, comma-separated.
    #[serde(
        alias = "alpnProtocols",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub alpn_protocols: Option<String>,
    /// Refuse clients without a certificate. Default: false.
    #[serde(alias = "certRequired", skip_serializing_if = "Option::is_none")]
    pub cert_required: Option<bool>,
    /// Oldest version: `v1.0` to `v1.3`. Default: Envoy's.
    #[serde(
        alias = "minTlsVersion",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub min_tls_version: Option<String>,
    /// Newest version: `v1.0` to `v1.3`. Default: Envoy's.
    #[serde(
        alias = "maxTlsVersion",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_tls_version: Option<String>,
    /// Cipher suites in BoringSSL's words. Default: Envoy's.
    #[serde(alias = "cipherSuites", skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<String>,
    /// Curves in BoringSSL's words. Default: Envoy's.
    #[serde(alias = "ecdhCurves", skip_serializing_if = "Vec::is_empty")]
    pub ecdh_curves: Vec<String>,
    /// Without effect.
    #[serde(alias = "redirectCleartextFrom", skip_serializing_if = "Option::is_none")]
    pub redirect_cleartext_from: Option<u32>,
    /// Server name to send; meaningless on a terminating context.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
}

/// What happens to requests by how they came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestPolicy {
    /// Requests in cleartext.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure: Option<InsecurePolicy>,
}

/// What happens to requests in cleartext.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InsecurePolicy {
    /// Default: Redirect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<InsecureAction>,
    /// One more port to accept cleartext on; 0 and less for none. A Listener on
    /// the port is used as it is. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_port: Option<i64>,
}

/// Fates of a request in cleartext.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum InsecureAction {
    /// Redirect to HTTPS.
    #[default]
    Redirect,
    /// Answer 404.
    Reject,
    /// Serve.
    Route,
}

/// How to get a certificate by ACME. Source: Edge Stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AcmeProvider {
    /// URL of the ACME directory, or `none` for off. Default: Let's Encrypt's
    /// production directory.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Contact of the account. Default: none.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Secret with the account's key, in the Host's namespace. Default: made
    /// and named by the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key_secret: Option<ObjectRef>,
    /// JSON text with the account's URL, as earlier software left it.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub registration: Option<String>,
}

/// Settings of a preview feature that is not part of the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PreviewUrl {
    /// Without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Without effect.
    #[serde(
        rename = "type",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub kind: Option<String>,
}

/// Returns the name of the Secret in which a Host with ACME, and without
/// `tlsSecret`, keeps its certificate.
///
/// Shape: the hostname in lower case without port and final dot; the colons of
/// an IPv6 address, which no object may have in its name, become `-`.
pub fn default_tls_secret(hostname: &str) -> String {
    let text = hostname.trim();
    let unbracketed = |text: &'_ str| text.trim_matches(['[', ']']).to_owned();
    let bare = match text.rsplit_once(':') {
        _ if unbracketed(text).parse::<std::net::Ipv6Addr>().is_ok() => unbracketed(text),
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => unbracketed(name),
        _ => text.to_owned(),
    };
    bare.trim_end_matches('.').to_ascii_lowercase().replace(':', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_kept_under_the_bare_hostname() {
        for (hostname, secret) in [
            ("WWW.Example.com:8443", "www.example.com"),
            ("example.com.", "example.com"),
            ("2001:db8::1", "2001-db8--1"),
            ("[2001:db8::1]:443", "2001-db8--1"),
            ("192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(default_tls_secret(hostname), secret);
        }
    }
}
