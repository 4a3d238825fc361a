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
