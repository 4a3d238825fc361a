//! `Listener`: a port that the gateway accepts on.

use serde::{Deserialize, Serialize};

use crate::common::{AmbassadorId, LabelSelector, non_empty};

/// A port that the gateway accepts on. Source: Emissary `Listener`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Listener {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(
        rename = "ambassador_id",
        alias = "ambassadorId",
        skip_serializing_if = "AmbassadorId::is_default"
    )]
    pub ambassador_id: AmbassadorId,
    /// Port, 1–65535; required.
    pub port: u32,
    /// A usual protocol stack by name; this or `protocolStack` is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ListenerProtocol>,
    /// Protocols from the inside out, ending with TCP or UDP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub protocol_stack: Vec<StackProtocol>,
    /// How it is decided whether a request is secure; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_model: Option<SecurityModel>,
    /// Hosts of this Listener; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_binding: Option<HostBinding>,
    /// Trusted proxies before the gateway. Default: 0.
    #[serde(rename = "l7Depth", skip_serializing_if = "Option::is_none")]
    pub l7_depth: Option<u32>,
    /// Prefix of its statistics. Default: made from the stack and the port.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub stats_prefix: Option<String>,
    /// Concurrent HTTP/2 streams of one client at most. Default: Envoy's.
    #[serde(rename = "http2MaxConcurrentStreams", skip_serializing_if = "Option::is_none")]
    pub http2_max_concurrent_streams: Option<u32>,
}

/// Usual protocol stacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ListenerProtocol {
    /// HTTP over TCP.
    Http,
    /// HTTP over TLS over TCP.
    Https,
    /// HTTP over TCP with PROXY headers.
    HttpProxy,
    /// HTTP over TLS over TCP with PROXY headers.
    HttpsProxy,
    /// Bytes over TCP.
    Tcp,
    /// Bytes over TLS over TCP.
    Tls,
    /// In the schema, but refused: a Listener cannot be only this.
    Udp,
}

/// One protocol of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StackProtocol {
    /// HTTP/1.1, HTTP/2, or HTTP/3 over UDP.
    Http,
    /// PROXY headers.
    Proxy,
    /// TLS.
    Tls,
    /// TCP; must come last.
    Tcp,
    /// UDP; must come last.
    Udp,
}

/// Ways to decide whether a request is secure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SecurityModel {
    /// By `x-forwarded-proto`.
    Xfp,
    /// Every request is.
    Secure,
    /// No request is.
    Insecure,
}

/// Hosts of a Listener; at least one of the two is required.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostBinding {
    /// By namespace. Default: SELF when only a selector is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceBinding>,
    /// By label; must have `matchLabels`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Namespaces of the Hosts of a Listener.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamespaceBinding {
    /// Default: SELF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<NamespaceFrom>,
}

/// Which namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum NamespaceFrom {
    /// The Listener's own.
    #[serde(rename = "SELF")]
    SelfNamespace,
    /// All.
    All,
    /// Not supported: error, then as SELF.
    Selector,
}
