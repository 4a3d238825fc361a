//! How a gateway talks to what stands behind it: settings shared by Mapping,
//! TCPMapping, Module and AuthService.

use std::collections::BTreeMap;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use crate::common::{AddedHeader, DurationText, non_empty, one_or_many, text_or_number};

/// Limits on connections and requests of one priority. Source: Envoy
/// `CircuitBreakers.Thresholds`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CircuitBreaker {
    /// Which requests count. Default: `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<BreakerPriority>,
    /// Connections at most. Default: Envoy's 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// Requests waiting for a connection at most. Default: Envoy's 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pending_requests: Option<u32>,
    /// Requests in flight at most. Default: Envoy's 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<u32>,
    /// Retries in flight at most. Default: Envoy's 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
}

/// The two classes of requests that Envoy counts apart; in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BreakerPriority {
    /// Ordinary requests.
    #[default]
    Default,
    /// Requests of routes with `priority: HIGH`.
    High,
}

impl<'de> Deserialize<'de> for BreakerPriority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.to_ascii_lowercase().as_str() {
            "default" => Ok(Self::Default),
            "high" => Ok(Self::High),
            _ => Err(D::Error::unknown_variant(&text, &["default", "high"])),
        }
    }
}

/// How one of several endpoints is chosen. Source: Envoy `Cluster.lb_policy`
/// and the route's `hash_policy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancer {
    /// The method; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<LoadBalancerPolicy>,
    /// Hash on a cookie; only with `ring_hash` and `maglev`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<LoadBalancerCookie>,
    /// Hash on this request header; only with `ring_hash` and `maglev`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Hash on the client's address; only with `ring_hash` and `maglev`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<bool>,
}

/// Methods to choose an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadBalancerPolicy {
    /// One after another.
    RoundRobin,
    /// The one with fewest requests in flight.
    LeastRequest,
    /// Consistent hashing on a ring.
    RingHash,
    /// Consistent hashing on Maglev's table.
    Maglev,
}

impl LoadBalancerPolicy {
    /// Returns the word as users write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::LeastRequest => "least_request",
            Self::RingHash => "ring_hash",
            Self::Maglev => "maglev",
        }
    }
}

/// A cookie to hash on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancerCookie {
    /// Name of the cookie; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Path of the cookie when Envoy has to make it. Default: none.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Lifetime of the cookie when Envoy has to make it; without it Envoy
    /// makes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<DurationText>,
}

/// TCP keepalive towards the upstream. Source: Envoy `TcpKeepalive`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Keepalive {
    /// Idle time before the first probe, in seconds. `time` is the Module's
    /// spelling. Default: the system's.
    #[serde(alias = "time", skip_serializing_if = "Option::is_none")]
    pub idle_time: Option<u32>,
    /// Time between probes, in seconds. Default: the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<u32>,
    /// Unanswered probes before the connection counts as dead. Default: the
    /// system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<u32>,
}

/// When and how often a request is tried again. Source: Envoy `RetryPolicy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryPolicy {
    /// The condition; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<RetryOn>,
    /// Retries at most. Default: Envoy's 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_retries: Option<u32>,
    /// Limit on each try. Default: the route's timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_try_timeout: Option<DurationText>,
}

/// Conditions for a retry, in Envoy's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    /// Any answer of the 500s, or none.
    #[serde(rename = "5xx")]
    FiveXx,
    /// 502, 503 or 504.
    GatewayError,
    /// The connection could not be made.
    ConnectFailure,
    /// 409.
    #[serde(rename = "retriable-4xx")]
    Retriable4xx,
    /// The upstream reset the stream as refused.
    RefusedStream,
    /// Status codes named in a request header.
    RetriableStatusCodes,
}

impl RetryOn {
    /// Returns Envoy's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FiveXx => "5xx",
            Self::GatewayError => "gateway-error",
            Self::ConnectFailure => "connect-failure",
            Self::Retriable4xx => "retriable-4xx",
            Self::RefusedStream => "refused-stream",
            Self::RetriableStatusCodes => "retriable-status-codes",
        }
    }
}

/// Cross-origin resource sharing. Source: Envoy `CorsPolicy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cors {
    /// Exact origins that may call; `*` allows all.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// Methods that may be used.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Request headers that may be sent.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Whether credentials may be sent. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<bool>,
    /// Response headers that scripts may read.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub exposed_headers: Vec<String>,
    /// How long a preflight answer may be kept, in seconds.
    #[serde(deserialize_with = "text_or_number", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
}

/// A regular expression and what replaces its match. Source: Envoy
/// `RegexMatchAndSubstitute`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegexMap {
    /// RE2 pattern.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pattern: String,
    /// Replacement; `\1` and so on stand for groups.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub substitution: String,
}

/// One active health check. Source: Envoy `HealthCheck`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    /// Limit on one check. Default: 3 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationText>,
    /// Time between checks. Default: 5 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<DurationText>,
    /// Good answers before an endpoint counts as healthy. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_threshold: Option<u32>,
    /// Bad answers before an endpoint counts as unhealthy. Default: 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_threshold: Option<u32>,
    /// What is asked; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheckKind>,
}

/// What a health check asks: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheckKind {
    /// An HTTP request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpHealthCheck>,
    /// The gRPC health protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcHealthCheck>,
}

/// A health check by HTTP request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpHealthCheck {
    /// Path to ask for; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// `Host` to send. Default: the cluster's name.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Headers to add.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub add_request_headers: BTreeMap<String, AddedHeader>,
    /// Headers to leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_request_headers: Vec<String>,
    /// Status codes that count as good. Default: 200.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected_statuses: Vec<StatusRange>,
}

/// Status codes from `min` to `max`, both included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusRange {
    /// First code.
    pub min: u32,
    /// Last code.
    pub max: u32,
}

/// A health check by gRPC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrpcHealthCheck {
    /// Service name in the health request; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub upstream_name: String,
    /// `:authority` to send. Default: the cluster's name.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}
