//! `TCPMapping`: which connections go where.

use serde::{Deserialize, Serialize};

use crate::common::{AmbassadorId, non_empty, text_or_number};
use crate::upstream::CircuitBreaker;

/// Sends the bytes of connections to a service. Source: Emissary `TCPMapping`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TcpMapping {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(alias = "ambassadorId", skip_serializing_if = "AmbassadorId::is_default")]
    pub ambassador_id: AmbassadorId,
    /// Port to accept on, 1–65535; required.
    pub port: u32,
    /// `[scheme://]host[:port]`; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// Server name the client must ask for by TLS; the gateway then terminates
    /// TLS. Default: every connection of the port.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Address to accept on. Default: the gateway's bind address.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// TLSContext to originate TLS with.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// Share of connections among TCPMappings that match the same, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Resolver by name. Default: the Module's.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub resolver: Option<String>,
    /// Limits on connections.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub circuit_breakers: Vec<CircuitBreaker>,
    /// Use IPv4 addresses. Default: the Module's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv4: Option<bool>,
    /// Use IPv6 addresses. Default: the Module's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// Inserted into the cluster's name.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub cluster_tag: Option<String>,
    /// Close a connection after this much silence, in milliseconds. Emissary's
    /// schema wants text; a number is taken too. Default: Envoy's 1 h.
    #[serde(deserialize_with = "text_or_number", skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<String>,
    /// Name of the cluster in statistics. Default: made from `service`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub stats_name: Option<String>,
}
