//! `AuthService`: who decides whether a request may pass.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::common::{AmbassadorId, non_empty, one_or_many};
use crate::upstream::CircuitBreaker;

/// An external service that admits or denies requests. Source: Emissary
/// `AuthService`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthService {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(alias = "ambassadorId", skip_serializing_if = "AmbassadorId::is_default")]
    pub ambassador_id: AmbassadorId,
    /// `[scheme://]host[:port]`; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub auth_service: String,
    /// How to ask. Default: http.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proto: Option<AuthProto>,
    /// `v2` or `v3`; gRPC needs `v3`. Default: `v2`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<String>,
    /// Put before the request's path; HTTP only. Default: nothing.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// Limit on one check, in milliseconds. Default: 5000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// TLSContext to originate TLS with.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// Request headers to show to the service beside the usual ones; HTTP
    /// only.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub allowed_request_headers: Vec<String>,
    /// Headers of the answer to pass on beside the usual ones; HTTP only.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub allowed_authorization_headers: Vec<String>,
    /// Constant headers to send to the service; HTTP only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub add_auth_headers: BTreeMap<String, String>,
    /// Add Linkerd's `l5d-dst-override`. Default: the Module's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_linkerd_headers: Option<bool>,
    /// Send the request's body too. Default: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_body: Option<IncludeBody>,
    /// Older spelling: 4096 bytes, partial allowed. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_request_body: Option<bool>,
    /// Let requests pass while the service fails. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_mode_allow: Option<bool>,
    /// The answer while the service fails. Default: 403.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_on_error: Option<StatusOnError>,
    /// Name of the cluster in statistics. Default: made from `auth_service`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub stats_name: Option<String>,
    /// Limits on connections and requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub circuit_breakers: Vec<CircuitBreaker>,
}

/// How an AuthService is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthProto {
    /// By an HTTP request like the client's.
    #[default]
    Http,
    /// By `envoy.service.auth.v3.Authorization/Check`.
    Grpc,
}

/// How much of the body an AuthService sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IncludeBody {
    /// Bytes at most; required.
    pub max_bytes: u32,
    /// Send the beginning of a longer body instead of answering 413; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_partial: Option<bool>,
}

/// The answer while an AuthService fails.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusOnError {
    /// HTTP status code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
}
