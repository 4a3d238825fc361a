//! Typed objects of every kind Nuncio reads.
//!
//! One file a kind, fields as users spell them, each with unit, default and
//! source. This crate decides what is well-formed; what a field means is the
//! compiler's business.
//!
//! An absent field is `None` (or an empty list or map); so is one with an
//! empty string or list. What is written out otherwise survives, even where it
//! equals the default: `false`, `0` and, in an `Option` of a map, `{}`.

mod auth_service;
mod change;
mod codes;
mod common;
mod compression;
pub mod core;
mod decode;
mod dev_portal;
mod diagnostic;
mod environment;
mod envoy_text;
mod error_response;
mod fault;
pub mod filter;
pub mod filter_policy;
mod host;
mod identity;
mod ip_rules;
mod labels;
mod listener;
mod log_service;
pub mod manifest;
mod mapping;
mod module;
mod object;
mod outlier_detection;
mod path;
mod rate_limit;
mod rate_limit_service;
mod reading;
mod registry;
mod required;
mod resolver;
mod selector;
mod spec;
mod tcp_mapping;
mod tls_context;
mod tracing_service;
mod upstream;
mod versions;

pub use auth_service::{AuthProto, AuthService, IncludeBody, StatusOnError};
pub use change::{Change, FileText};
pub use codes::{
    BAD_VALUE, NOT_AN_OBJECT, REQUIRED_FIELD, UNKNOWN_FIELD, UNKNOWN_KIND, UNSUPPORTED_VERSION,
    WRONG_TYPE,
};
pub use common::{
    AUTOMATIC_ID, AddedHeader, AmbassadorId, DEFAULT_ID, DurationText, LabelSelector, ObjectRef,
};
pub use compression::{Brotli, Gzip, Zstd};
pub use decode::{Decoded, decode};
pub use dev_portal::{
    DevPortal, DevPortalContent, DevPortalDocs, DevPortalSearch, DevPortalSelector,
};
pub use diagnostic::{Diagnostic, Severity};
pub use environment::{Environment, Variables, WITHHELD_VARIABLE};
pub use envoy_text::EnvoyText;
pub use error_response::{
    ErrorResponseOverride, ErrorResponseOverrideBody, ErrorResponseTextFormatSource,
};
pub use filter::Filter;
pub use filter_policy::FilterPolicy;
pub use host::{
    AcmeProvider, Host, HostTls, InsecureAction, InsecurePolicy, PreviewUrl, RequestPolicy,
    default_tls_secret,
};
pub use ip_rules::{IpRule, IpRules};
pub use labels::{
    DefaultLabels, FixedKey, GenericKey, LabelGroup, LabelSpecifier, RequestHeaderLabel,
};
pub use listener::{
    HostBinding, Listener, ListenerProtocol, NamespaceBinding, NamespaceFrom, SecurityModel,
    StackProtocol,
};
pub use log_service::{LogDriver, LogDriverConfig, LogHeader, LogService};
pub use mapping::{Mapping, MappingDocs};
pub use module::{
    AmbassadorModule, Buffer, ClientCertDetails, ForwardClientCert, GrpcService, GrpcStats,
    InternalRoute, MappingDefaults, Module, ModuleConfig, ModuleDefaults, TlsModule,
    TlsModuleContext, UnderscoresAction,
};
pub use object::{Carrier, Kind, Meta, Object, ObjectKey, Origin};
pub use outlier_detection::OutlierDetection;
pub use rate_limit::{Limit, LimitErrorResponse, RateLimit, TemplatedHeader};
pub use rate_limit_service::{RateLimitGrpc, RateLimitService};
pub use reading::{Reading, Selection};
pub use registry::ConsulService;
pub use resolver::{ConsulResolver, KubernetesEndpointResolver, KubernetesServiceResolver};
pub use selector::{FieldQuery, LabelQuery, SelectorError};
pub use spec::Spec;
pub use tcp_mapping::TcpMapping;
pub use tls_context::TlsContext;
pub use tracing_service::{
    CustomTag, Sampling, TagLiteral, TagSource, TracingConfig, TracingDriver, TracingService,
};
pub use upstream::{
    BreakerPriority, CircuitBreaker, Cors, GrpcHealthCheck, HealthCheck, HealthCheckKind,
    HttpHealthCheck, Keepalive, LoadBalancer, LoadBalancerCookie, LoadBalancerPolicy, RegexMap,
    RetryOn, RetryPolicy, StatusRange,
};
