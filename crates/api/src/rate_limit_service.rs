//! `RateLimitService`: who counts requests.

use serde::{Deserialize, Serialize};

use crate::common::{AmbassadorId, non_empty};

/// An external service that counts requests. Source: Emissary
/// `RateLimitService`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimitService {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(alias = "ambassadorId", skip_serializing_if = "AmbassadorId::is_default")]
    pub ambassador_id: AmbassadorId,
    /// `[scheme://]host[:port]`, spoken to by gRPC; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// Must be `v3`. Default: `v2`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<String>,
    /// Domain of the labels. Default: the Module's `default_label_domain`,
    /// else `ambassador`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Limit on one check, in milliseconds. Default: 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Deny requests while the service fails. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_mode_deny: Option<bool>,
    /// Answers to gRPC clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<RateLimitGrpc>,
    /// TLSContext to originate TLS with.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// Name of the cluster in statistics. Default: made from `service`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub stats_name: Option<String>,
}

/// Answers to gRPC clients over their limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimitGrpc {
    /// RESOURCE_EXHAUSTED instead of UNAVAILABLE. Default: false.
    #[serde(alias = "rate_limited_as_resource_exhausted", skip_serializing_if = "Option::is_none")]
    pub use_resource_exhausted_code: Option<bool>,
}
