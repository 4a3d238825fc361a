//! `Module`: settings of the whole gateway.
//!
//! A Module's `config` has no schema of its own; what it means goes by the
//! Module's name. A field of the wrong type loses only itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth_service::AuthService;
use crate::common::{AddedHeader, AmbassadorId, bool_like, non_empty, one_or_many};
use crate::compression::{Brotli, Gzip, Zstd};
use crate::error_response::ErrorResponseOverride;
use crate::ip_rules::IpRules;
use crate::labels::DefaultLabels;
use crate::upstream::{CircuitBreaker, Cors, Keepalive, LoadBalancer, RetryPolicy};

/// Settings of the whole gateway. Source: Emissary `Module`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Module {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(skip_serializing_if = "AmbassadorId::is_default")]
    pub ambassador_id: AmbassadorId,
    /// The settings, typed by the Module's name.
    pub config: ModuleConfig,
}

/// The settings of a Module, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ModuleConfig {
    /// Name `ambassador`.
    Ambassador(Box<AmbassadorModule>),
    /// Name `tls`.
    Tls(TlsModule),
    /// Name `authentication`: an older form of AuthService.
    Authentication(Box<AuthService>),
    /// Any other name: a notice, without effect.
    Other(Value),
}

impl Default for ModuleConfig {
    fn default() -> Self {
        Self::Other(Value::Null)
    }
}

/// Settings of the Module `ambassador`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AmbassadorModule {
    // Listeners and HTTP.
    /// Accept `Content-Length` beside chunked encoding. Default: Envoy's false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_chunked_length: Option<bool>,
    /// Accept HTTP/1.0. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_http10: Option<bool>,
    /// Buffer of each connection, in bytes. Default: Envoy's 1 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer_limit_bytes: Option<u32>,
    /// Close idle client connections after this, in milliseconds. Default:
    /// Envoy's 1 h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_idle_timeout_ms: Option<u64>,
    /// What to do with header names that have underscores. Default: ALLOW.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers_with_underscores_action: Option<UnderscoresAction>,
    /// Request headers at most, in KiB. Default: Envoy's 60.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_request_headers_kb: Option<u32>,
    /// Treat several slashes in a path as one. Default: false.
    #[serde(deserialize_with = "bool_like", skip_serializing_if = "Option::is_none")]
    pub merge_slashes: Option<bool>,
    /// Remove the listener's own port from `Host`. Default: false.
    #[serde(deserialize_with = "bool_like", skip_serializing_if = "Option::is_none")]
    pub strip_matching_host_port: Option<bool>,
    /// Answer 400 to paths with `%2F` or `%5C`. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reject_requests_with_escaped_slashes: Option<bool>,
    /// Keep the client's `x-request-id`. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preserve_external_request_id: Option<bool>,
    /// Take the client's address from the connection, not from a header.
    /// Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_remote_address: Option<bool>,
    /// Value of the `server` header. Default: `envoy`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// What to do with `x-forwarded-client-cert`. Default: SANITIZE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_client_cert_details: Option<ForwardClientCert>,
    /// What to put into `x-forwarded-client-cert`. Default: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_current_client_cert_details: Option<ClientCertDetails>,
    /// Write header names To-Clients-Like-This. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proper_case: Option<bool>,
    /// Spellings of header names, towards clients and services.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub header_case_overrides: Vec<String>,
    /// Send no `x-envoy-` headers. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppress_envoy_headers: Option<bool>,
    /// Without effect: a Listener's `protocolStack` replaces it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_proxy_proto: Option<bool>,
    /// Without effect: a Host's `requestPolicy` replaces it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x_forwarded_proto_redirect: Option<bool>,
    /// Without effect: a Listener's `l7Depth` replaces it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xff_num_trusted_hops: Option<u32>,
    /// Without effect: a Listener's `port` replaces it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_port: Option<u32>,
    /// Without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_enabled: Option<bool>,
    /// Without effect.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub regex_type: Option<String>,
    /// Without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prune_unreachable_routes: Option<bool>,
    /// Without effect: environment variables replace it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statsd: Option<Value>,

    // Access log.
    /// `text`, `json` or `typed_json`. Default: `text`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub envoy_log_type: Option<String>,
    /// File of the access log. Default: `/dev/fd/1`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub envoy_log_path: Option<String>,
    /// Text, or a map for the JSON kinds. Default: built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy_log_format: Option<Value>,

    // Defaults of routes and clusters.
    /// Limit on a request, in milliseconds. Default: 3000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_request_timeout_ms: Option<u64>,
    /// Close idle upstream connections after this, in milliseconds; 0 counts
    /// as unset. Default: Envoy's 1 h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_idle_timeout_ms: Option<u64>,
    /// Close upstream connections of this age, in milliseconds; 0 counts as
    /// unset. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_max_connection_lifetime_ms: Option<u64>,
    /// Use IPv4 addresses of services. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv4: Option<bool>,
    /// Use IPv6 addresses of services. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// TCP keepalive towards services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Keepalive>,
    /// Limits on connections and requests of each service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub circuit_breakers: Vec<CircuitBreaker>,
    /// How an endpoint is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
    /// Resolver of services. Default: `kubernetes-service`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub resolver: Option<String>,
    /// Look up unqualified services in the gateway's namespace, not the
    /// Mapping's. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_ambassador_namespace_for_service_resolution: Option<bool>,
    /// Add Linkerd's `l5d-dst-override`. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_linkerd_headers: Option<bool>,
    /// Retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// Cross-origin rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Without effect: patterns are limited in Envoy's bootstrap alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex_max_size: Option<u32>,
    /// Domain of rate-limit labels. Default: `ambassador`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub default_label_domain: Option<String>,
    /// Labels put before those of every group, by domain.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub default_labels: BTreeMap<String, DefaultLabels>,
    /// Defaults of Mappings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defaults: Option<ModuleDefaults>,

    // HTTP filters.
    /// Translate gRPC for HTTP/1.1 clients. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_grpc_http11_bridge: Option<bool>,
    /// Translate gRPC-Web. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_grpc_web: Option<bool>,
    /// Count gRPC calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_stats: Option<GrpcStats>,
    /// Lua code run on every request.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub lua_scripts: Option<String>,
    /// Compress responses by gzip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gzip: Option<Gzip>,
    /// Compress responses by brotli. Not in Emissary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brotli: Option<Brotli>,
    /// Compress responses by zstd. Not in Emissary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zstd: Option<Zstd>,
    /// Buffer whole requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer: Option<Buffer>,
    /// Addresses that alone may pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_allow: Option<IpRules>,
    /// Addresses that may not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_deny: Option<IpRules>,
    /// Bodies of error answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub error_response_overrides: Vec<ErrorResponseOverride>,

    // The process.
    /// Port of Envoy's admin interface. Default: 8001.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_port: Option<u32>,
    /// The diagnostics pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<InternalRoute>,
    /// The liveness probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<InternalRoute>,
    /// The readiness probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<InternalRoute>,
    /// Without effect: configurations are checked in process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy_validation_timeout: Option<u64>,
    /// Show a banner on the diagnostics pages. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug_mode: Option<bool>,
    /// Envoy runtime settings by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub runtime_flags: BTreeMap<String, Value>,
    /// Only an error: TLS settings belong into a TLSContext.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Value>,
}

/// What to do with header names that have underscores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UnderscoresAction {
    /// Let them pass.
    Allow,
    /// Answer 400.
    RejectRequest,
    /// Remove the header.
    DropHeader,
}

/// What to do with `x-forwarded-client-cert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ForwardClientCert {
    /// Remove it.
    Sanitize,
    /// Pass it on over mutual TLS.
    ForwardOnly,
    /// Add to it over mutual TLS.
    AppendForward,
    /// Replace it over mutual TLS.
    SanitizeSet,
    /// Pass it on.
    AlwaysForwardOnly,
}

/// Parts of a client certificate to tell the service. Default of each: false.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientCertDetails {
    /// The subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<bool>,
    /// The certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<bool>,
    /// The chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<bool>,
    /// The DNS names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<bool>,
    /// The URI names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<bool>,
}

/// Defaults of Mappings; those in `httpmapping` come first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModuleDefaults {
    /// Defaults of Mappings only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub httpmapping: Option<MappingDefaults>,
    /// Request headers to add, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_request_headers: Option<BTreeMap<String, AddedHeader>>,
    /// Response headers to add, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_response_headers: Option<BTreeMap<String, AddedHeader>>,
    /// Request headers to remove.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub remove_request_headers: Vec<String>,
    /// Response headers to remove.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub remove_response_headers: Vec<String>,
    /// Name of clusters in statistics.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub stats_name: Option<String>,
    /// Whether a dot in a secret's name parts name and namespace. Default:
    /// true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_secret_namespacing: Option<bool>,
}

/// Defaults of Mappings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MappingDefaults {
    /// Request headers to add, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_request_headers: Option<BTreeMap<String, AddedHeader>>,
    /// Response headers to add, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_response_headers: Option<BTreeMap<String, AddedHeader>>,
    /// Request headers to remove.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub remove_request_headers: Vec<String>,
    /// Response headers to remove.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub remove_response_headers: Vec<String>,
    /// Name of clusters in statistics.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub stats_name: Option<String>,
}

/// Counting of gRPC calls. Source: Envoy `grpc_stats`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrpcStats {
    /// Services and methods to count one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<GrpcService>,
    /// Count every method; ignored with `services`. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_methods: Option<bool>,
    /// Measure the time of the upstream. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_stats: Option<bool>,
}

/// A gRPC service and its methods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrpcService {
    /// Full name of the service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Names of its methods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub method_names: Vec<String>,
}

/// Buffering of whole requests. Source: Envoy `Buffer`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Buffer {
    /// Longest request, in bytes; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_request_bytes: Option<u32>,
    /// Without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_request_time: Option<u64>,
}

/// A route of the gateway to itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InternalRoute {
    /// Whether it is there. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Path prefix. Default: `/ambassador/v0/`, `/ambassador/v0/check_alive`,
    /// `/ambassador/v0/check_ready`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Replaces the prefix. Default: the prefix.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<String>,
    /// Where it goes. Default: `127.0.0.1:8877`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Show diagnostics to callers from elsewhere. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_non_local: Option<bool>,
}

/// Settings of the Module `tls`: contexts by name. `server` and `client` fold
/// into one that terminates for `*`; any other only originates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TlsModule {
    /// The contexts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, TlsModuleContext>,
}

/// One context of the Module `tls`; fields as in a TLSContext.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsModuleContext {
    /// Whether it is used. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Secret with certificate and key, or with the authorities under
    /// `client`. Default: `ambassador-certs`, `ambassador-cacert`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// File with the certificate chain.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub cert_chain_file: Option<String>,
    /// File with the private key.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<String>,
    /// Secret with the authorities to trust.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<String>,
    /// File with the authorities to trust.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub cacert_chain_file: Option<String>,
    /// Refuse clients without a certificate. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_required: Option<bool>,
    /// Protocols to offer, comma-separated.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub alpn_protocols: Option<String>,
    /// Oldest version.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub min_tls_version: Option<String>,
    /// Newest version.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub max_tls_version: Option<String>,
    /// Cipher suites in BoringSSL's words.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<String>,
    /// Curves in BoringSSL's words.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub ecdh_curves: Vec<String>,
    /// Server name to send upstream.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// Without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_cleartext_from: Option<u32>,
}
