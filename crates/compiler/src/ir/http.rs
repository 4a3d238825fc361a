//! Settings that every HTTP listener shares, and the filters in their order.

use std::sync::Arc;

use nuncio_api::ObjectKey;

use super::cluster::HeaderCase;
use super::error_response::ErrorResponses;

/// Connection manager settings of the whole gateway.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct HttpSettings {
    pub(crate) server_name: String,
    pub(crate) use_remote_address: bool,
    pub(crate) allow_chunked_length: bool,
    pub(crate) enable_http10: bool,
    pub(crate) idle_timeout_ms: Option<u64>,
    pub(crate) underscores: Underscores,
    pub(crate) max_request_headers_kb: Option<u32>,
    pub(crate) merge_slashes: bool,
    pub(crate) strip_matching_host_port: bool,
    pub(crate) reject_escaped_slashes: bool,
    pub(crate) preserve_external_request_id: bool,
    pub(crate) client_certificate: ClientCertificate,
    pub(crate) header_case: HeaderCase,
    pub(crate) buffer_limit_bytes: Option<u32>,
    pub(crate) access_logs: Vec<AccessLog>,
    pub(crate) tracing: Option<Tracing>,
    pub(crate) filters: Vec<HttpFilter>,
    /// The object that cannot be used, for which ext_authz refuses everything.
    pub(crate) auth_closed_by: Option<ObjectKey>,
}

/// What happens to header names with underscores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Underscores {
    #[default]
    Allow,
    Reject,
    Drop,
}

/// `x-forwarded-client-cert`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ClientCertificate {
    /// Envoy's number of the enum value; 0 sanitises.
    pub(crate) forward: Forwarding,
    pub(crate) subject: Option<bool>,
    pub(crate) cert: bool,
    pub(crate) chain: bool,
    pub(crate) dns: bool,
    pub(crate) uri: bool,
    /// Any of the details above is set.
    pub(crate) detailed: bool,
}

/// What happens to a `x-forwarded-client-cert` that comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Forwarding {
    #[default]
    Sanitize,
    ForwardOnly,
    AppendForward,
    SanitizeSet,
    AlwaysForwardOnly,
}

/// One access log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AccessLog {
    File {
        path: String,
        format: LogFormat,
    },
    Grpc {
        name: String,
        cluster: Arc<str>,
        tcp: bool,
        flush_ms: u64,
        buffer_bytes: u32,
        request_headers: Vec<String>,
        response_headers: Vec<String>,
        response_trailers: Vec<String>,
    },
}

/// Format of a file access log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LogFormat {
    Text(String),
    Json(serde_json::Map<String, serde_json::Value>),
    TypedJson(serde_json::Map<String, serde_json::Value>),
}

/// Tracing of every listener.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tracing {
    pub(crate) provider: Provider,
    /// Percent.
    pub(crate) client: Option<u32>,
    pub(crate) random: Option<u32>,
    pub(crate) overall: Option<u32>,
    pub(crate) tags: Vec<(String, Tag)>,
}

/// Where spans go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Provider {
    Zipkin {
        cluster: Arc<str>,
        endpoint: String,
        proto: bool,
        trace_id_128bit: bool,
        shared_span_context: Option<bool>,
        hostname: String,
    },
    Datadog {
        cluster: Arc<str>,
        service_name: String,
    },
    OpenTelemetry {
        cluster: Arc<str>,
        service_name: String,
    },
}

/// Value of a span tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tag {
    Literal(String),
    Environment { name: String, default: String },
    RequestHeader { name: String, default: String },
}

/// One HTTP filter; the list stands in chain order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HttpFilter {
    /// The Module's bodies of error answers.
    ErrorResponses(ErrorResponses),
    /// Those of Mappings: on routes alone.
    MappingErrorResponses,
    /// Keeps headers of answers for the two above.
    KeptHeaders,
    GrpcBridge,
    GrpcWeb,
    GrpcStats {
        services: Vec<(String, Vec<String>)>,
        all_methods: bool,
        upstream: bool,
    },
    Lua(String),
    Compressor(Compressor),
    Buffer {
        max_bytes: u32,
    },
    Rbac(AddressRules),
    Cors,
    Auth(Auth),
    RateLimit(RateLimit),
    Router {
        suppress_envoy_headers: bool,
    },
}

/// Compression of responses by one encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compressor {
    pub(crate) encoding: Encoding,
    /// Chosen where a client accepts several alike.
    pub(crate) preferred: bool,
    pub(crate) min_content_length: Option<u32>,
    pub(crate) content_types: Vec<String>,
    pub(crate) disable_on_etag_header: bool,
    pub(crate) remove_accept_encoding_header: bool,
}

/// An encoding with its settings; words as Envoy's numbers of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip { memory_level: Option<u32>, level: i32, strategy: i32, window_bits: Option<u32> },
    Brotli { quality: Option<u32>, mode: i32, window_bits: Option<u32> },
    Zstd { level: Option<u32>, strategy: i32, checksum: bool },
}

/// `ip_allow` or `ip_deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddressRules {
    pub(crate) deny: bool,
    /// Nobody listed under `allow` means nobody.
    pub(crate) ranges: Vec<AddressRange>,
}

/// One range of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddressRange {
    /// Address of the connection instead of the forwarded one.
    pub(crate) direct: bool,
    pub(crate) address: String,
    pub(crate) prefix: u32,
}

/// ext_authz.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Auth {
    pub(crate) cluster: Arc<str>,
    pub(crate) timeout_ms: u64,
    pub(crate) protocol: AuthProtocol,
    /// Bytes, partial allowed.
    pub(crate) body: Option<(u32, bool)>,
    pub(crate) failure_mode_allow: bool,
    pub(crate) status_on_error: Option<u32>,
}

/// How ext_authz speaks to its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuthProtocol {
    Grpc {
        /// Headers go as a list of bytes, repeated ones apart, instead of the
        /// map of texts that auth services commonly read.
        raw_headers: bool,
    },
    Http {
        /// `scheme://host:port`.
        uri: String,
        path_prefix: String,
        request_headers: Vec<String>,
        authorization_headers: Vec<String>,
        add_headers: Vec<(String, String)>,
    },
}

/// Global rate limiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RateLimit {
    pub(crate) cluster: Arc<str>,
    pub(crate) domain: String,
    pub(crate) timeout_ms: u64,
    pub(crate) failure_mode_deny: bool,
    pub(crate) resource_exhausted: bool,
}
