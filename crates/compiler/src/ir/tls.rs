//! TLS settings as listeners and clusters use them.

use std::sync::Arc;

/// Versions, ciphers and curves, as Envoy spells them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Parameters {
    pub(crate) min: Option<Version>,
    pub(crate) max: Option<Version>,
    pub(crate) cipher_suites: Vec<String>,
    pub(crate) ecdh_curves: Vec<String>,
}

/// Cipher suites below TLS 1.3 that Envoy knows, in either spelling.
const CIPHERS: [&str; 46] = [
    "AES128-GCM-SHA256",
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA",
    "DES-CBC3-SHA",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-PSK-AES128-CBC-SHA",
    "ECDHE-PSK-AES256-CBC-SHA",
    "ECDHE-PSK-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "PSK-AES128-CBC-SHA",
    "PSK-AES256-CBC-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_PSK_WITH_AES_128_CBC_SHA",
    "TLS_PSK_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "ALL",
    "HIGH",
];

/// Curves that Envoy knows.
const CURVES: [&str; 10] = [
    "MLKEM1024",
    "P-256",
    "P-384",
    "P-521",
    "X25519",
    "X25519MLKEM768",
    "prime256v1",
    "secp384r1",
    "secp521r1",
    "x25519",
];

impl Parameters {
    /// Returns the field that Envoy would refuse or no handshake could meet,
    /// and why.
    pub(crate) fn fault(&self) -> Option<(&'static str, String)> {
        // `[A|B]` is a choice of equal rank.
        let names = |given: &str| -> Vec<String> {
            let choice = given.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            choice.unwrap_or(given).split('|').map(str::to_owned).collect()
        };
        let mut ciphers = self.cipher_suites.iter().flat_map(|given| names(given));
        if let Some(name) = ciphers.find(|name| !CIPHERS.contains(&name.as_str())) {
            return Some(("spec.cipher_suites", format!("`{name}` is no cipher suite of Envoy's")));
        }
        let mut curves = self.ecdh_curves.iter();
        if let Some(name) = curves.find(|name| !CURVES.contains(&name.as_str())) {
            return Some(("spec.ecdh_curves", format!("`{name}` is no curve of Envoy's")));
        }
        match (self.min, self.max) {
            (Some(min), Some(max)) if min > max => {
                Some(("spec.max_tls_version", "is below min_tls_version".to_owned()))
            }
            _ => None,
        }
    }
}

/// A TLS version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Version {
    V1_0,
    V1_1,
    V1_2,
    V1_3,
}

impl Version {
    /// Parses `v1.0` to `v1.3`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.trim_start_matches(['v', 'V']) {
            "1.0" => Some(Self::V1_0),
            "1.1" => Some(Self::V1_1),
            "1.2" => Some(Self::V1_2),
            "1.3" => Some(Self::V1_3),
            _ => None,
        }
    }
}

/// Settings that both directions share.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Common {
    pub(crate) parameters: Parameters,
    /// Certificate and key, sent by SDS under this name.
    pub(crate) identity: Option<Arc<str>>,
    /// What a peer's certificate is verified with, sent by SDS under this name.
    pub(crate) trust: Option<Arc<str>>,
    pub(crate) alpn: Vec<String>,
}

/// TLS towards clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct DownstreamTls {
    pub(crate) common: Common,
    pub(crate) require_client_certificate: bool,
}

/// TLS towards upstreams.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct UpstreamTls {
    pub(crate) common: Common,
    pub(crate) sni: Option<String>,
}

/// Splits Emissary's one ALPN string: `h2, http/1.1`.
pub(crate) fn split_alpn(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
