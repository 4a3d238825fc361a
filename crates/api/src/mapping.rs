//! `Mapping`: which requests go where.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::common::{AddedHeader, AmbassadorId, non_empty, one_or_many};
use crate::error_response::ErrorResponseOverride;
use crate::labels::LabelGroup;
use crate::outlier_detection::{self, OutlierDetection};
use crate::upstream::{
    CircuitBreaker, Cors, HealthCheck, Keepalive, LoadBalancer, RegexMap, RetryPolicy,
};

/// Sends requests that match to a service. Source: Emissary `Mapping`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mapping {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(alias = "ambassadorId", skip_serializing_if = "AmbassadorId::is_default")]
    pub ambassador_id: AmbassadorId,

    // What matches.
    /// Path prefix, as plain text; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// `prefix` is an RE2 pattern for the whole path. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_regex: Option<bool>,
    /// `prefix` must equal the path. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_exact: Option<bool>,
    /// Case of the path counts. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case_sensitive: Option<bool>,
    /// Glob on the host: `*`, `*.x`, `x.*` or exact. Wins over `host`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Exact host, or a pattern with `host_regex`. Deprecated.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `host` is an RE2 pattern. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_regex: Option<bool>,
    /// Request method. Default: any.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// `method` is an RE2 pattern. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method_regex: Option<bool>,
    /// Headers that must have these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Headers whose values must match these RE2 patterns.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub regex_headers: BTreeMap<String, String>,
    /// Query parameters that must have these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query_parameters: BTreeMap<String, String>,
    /// Query parameters whose values must match these RE2 patterns.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub regex_query_parameters: BTreeMap<String, String>,
    /// Higher goes first, before any other criterion. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precedence: Option<i64>,

    // Where it goes.
    /// `[scheme://]host[:port]`; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// Share of requests among Mappings that match the same, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Send a copy instead of the request. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<bool>,
    /// Resolver by name. Default: the Module's.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub resolver: Option<String>,
    /// TLSContext to originate TLS with.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// `strict_dns` or `logical_dns`, in any case. Default: `strict_dns`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub dns_type: Option<String>,
    /// Heed the lifetime in DNS answers. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respect_dns_ttl: Option<bool>,
    /// Use IPv4 addresses. Default: the Module's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv4: Option<bool>,
    /// Use IPv6 addresses. Default: the Module's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// Speak HTTP/2 to the service. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<bool>,
    /// Inserted into the cluster's name.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub cluster_tag: Option<String>,
    /// Name of the cluster in statistics. Default: made from `service`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub stats_name: Option<String>,

    // How it is rewritten.
    /// Replaces `prefix` in the path; the empty string, which survives, and
    /// null leave the path alone. Default: `/`.
    #[serde(deserialize_with = "Option::deserialize", skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<String>,
    /// Rewrites the path by pattern; disables `rewrite`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex_rewrite: Option<RegexMap>,
    /// Replaces the host.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub host_rewrite: Option<String>,
    /// Replaces the host by the endpoint's name. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_host_rewrite: Option<bool>,
    /// Answer with a redirect to `service`. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_redirect: Option<bool>,
    /// Path of the redirect.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub path_redirect: Option<String>,
    /// Replaces `prefix` in the path of the redirect.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub prefix_redirect: Option<String>,
    /// Rewrites the path of the redirect by pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex_redirect: Option<RegexMap>,
    /// 301, 302, 303, 307 or 308. Default: 301.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_response_code: Option<u32>,
    /// Request headers to add, by name; the empty map survives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_request_headers: Option<BTreeMap<String, AddedHeader>>,
    /// Response headers to add, by name; the empty map survives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_response_headers: Option<BTreeMap<String, AddedHeader>>,
    /// Request headers to remove; the empty list survives.
    #[serde(deserialize_with = "some_list", skip_serializing_if = "Option::is_none")]
    pub remove_request_headers: Option<Vec<String>>,
    /// Response headers to remove; the empty list survives.
    #[serde(deserialize_with = "some_list", skip_serializing_if = "Option::is_none")]
    pub remove_response_headers: Option<Vec<String>>,
    /// Add Linkerd's `l5d-dst-override`. Default: the Module's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_linkerd_headers: Option<bool>,

    // How long it may take, and how much at once.
    /// Limit on the whole request, in milliseconds; 0 for none. Default: the
    /// Module's, else 3000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Limit on silence within a request, in milliseconds. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
    /// Limit on connecting, in milliseconds. Default: 3000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout_ms: Option<u64>,
    /// Close idle upstream connections after this, in milliseconds; 0 counts
    /// as unset. Default: the Module's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_idle_timeout_ms: Option<u64>,
    /// Close upstream connections of this age, in milliseconds; 0 counts as
    /// unset. Default: the Module's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_max_connection_lifetime_ms: Option<u64>,
    /// Retries. Default: the Module's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// Limits on connections and requests. Default: the Module's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub circuit_breakers: Vec<CircuitBreaker>,
    /// How an endpoint is chosen. Default: the Module's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
    /// Active health checks; endpoint and Consul resolvers only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub health_checks: Vec<HealthCheck>,
    /// Ejection of endpoints that answer badly. Default: none.
    #[serde(
        deserialize_with = "outlier_detection::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub outlier_detection: Option<OutlierDetection>,
    /// TCP keepalive. Default: the Module's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Keepalive>,
    /// `DEFAULT` or `HIGH`, in any case. Default: `DEFAULT`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,

    // What else happens to it.
    /// Cross-origin rules. Default: the Module's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Protocols that a request may upgrade to, such as `websocket`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_upgrade: Vec<String>,
    /// Deprecated form of `allow_upgrade: [websocket]`. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_websocket: Option<bool>,
    /// Skip authentication. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypass_auth: Option<bool>,
    /// Told to a gRPC auth service with each check.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub auth_context_extensions: BTreeMap<String, String>,
    /// Rate-limit labels by domain.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Vec<LabelGroup>>,
    /// API documentation; for developer portals only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docs: Option<MappingDocs>,

    /// Bodies of error answers; replaces all of the Module's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub error_response_overrides: Vec<ErrorResponseOverride>,
    /// Leave error answers as they are. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypass_error_response_overrides: Option<bool>,

    // What Emissary accepts and does not do.
    /// Without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy_override: Option<Value>,
    /// Without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<Value>,
}

/// Where a service's API documentation is. No effect on traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MappingDocs {
    /// Path of the document at the service.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// URL of the document.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Leave this Mapping out. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignored: Option<bool>,
    /// Name to show.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Limit on fetching, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

fn some_list<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    one_or_many(deserializer).map(Some)
}
