//! The part of an object that differs by kind.

use serde::Serialize;

use crate::common;
use crate::core::{
    ConfigMap, EndpointSlice, Endpoints, Ingress, IngressClass, Namespace, Secret, Service,
};
use crate::{
    AuthService, ConsulResolver, DevPortal, Filter, FilterPolicy, Host, Kind,
    KubernetesEndpointResolver, KubernetesServiceResolver, Listener, LogService, Mapping, Module,
    ModuleConfig, RateLimit, RateLimitService, TcpMapping, TlsContext, TracingService,
};

/// The kind's own part of an object.
///
/// Serialises to the text of that part alone, without the kind's name.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Spec {
    /// `AuthService`.
    AuthService(Box<AuthService>),
    /// `ConfigMap`.
    ConfigMap(Box<ConfigMap>),
    /// `ConsulResolver`.
    ConsulResolver(Box<ConsulResolver>),
    /// `DevPortal`.
    DevPortal(Box<DevPortal>),
    /// `EndpointSlice`.
    EndpointSlice(Box<EndpointSlice>),
    /// `Endpoints`.
    Endpoints(Box<Endpoints>),
    /// `Filter`.
    Filter(Box<Filter>),
    /// `FilterPolicy`.
    FilterPolicy(Box<FilterPolicy>),
    /// `Host`.
    Host(Box<Host>),
    /// `Ingress`.
    Ingress(Box<Ingress>),
    /// `IngressClass`.
    IngressClass(Box<IngressClass>),
    /// `KubernetesEndpointResolver`.
    KubernetesEndpointResolver(Box<KubernetesEndpointResolver>),
    /// `KubernetesServiceResolver`.
    KubernetesServiceResolver(Box<KubernetesServiceResolver>),
    /// `Listener`.
    Listener(Box<Listener>),
    /// `LogService`.
    LogService(Box<LogService>),
    /// `Mapping`.
    Mapping(Box<Mapping>),
    /// `Module`.
    Module(Box<Module>),
    /// `Namespace`.
    Namespace(Box<Namespace>),
    /// `RateLimit`.
    RateLimit(Box<RateLimit>),
    /// `RateLimitService`.
    RateLimitService(Box<RateLimitService>),
    /// `Secret`.
    Secret(Box<Secret>),
    /// `Service`.
    Service(Box<Service>),
    /// `TCPMapping`.
    TcpMapping(Box<TcpMapping>),
    /// `TLSContext`.
    TlsContext(Box<TlsContext>),
    /// `TracingService`.
    TracingService(Box<TracingService>),
}

impl Spec {
    /// Returns the names of files that the object takes text from: what they
    /// hold is told as [`Change::File`](crate::Change::File).
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let rules = match self {
            Self::Mapping(mapping) => mapping.error_response_overrides.as_slice(),
            Self::Module(module) => match &module.config {
                ModuleConfig::Ambassador(config) => config.error_response_overrides.as_slice(),
                _ => &[],
            },
            _ => &[],
        };
        let sources =
            rules.iter().filter_map(|rule| rule.body.as_ref()?.text_format_source.as_ref());
        sources.map(|source| source.filename.as_str())
    }

    /// Returns the kind this spec belongs to.
    pub fn kind(&self) -> Kind {
        match self {
            Self::AuthService(_) => Kind::AuthService,
            Self::ConfigMap(_) => Kind::ConfigMap,
            Self::ConsulResolver(_) => Kind::ConsulResolver,
            Self::DevPortal(_) => Kind::DevPortal,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Endpoints(_) => Kind::Endpoints,
            Self::Filter(_) => Kind::Filter,
            Self::FilterPolicy(_) => Kind::FilterPolicy,
            Self::Host(_) => Kind::Host,
            Self::Ingress(_) => Kind::Ingress,
            Self::IngressClass(_) => Kind::IngressClass,
            Self::KubernetesEndpointResolver(_) => Kind::KubernetesEndpointResolver,
            Self::KubernetesServiceResolver(_) => Kind::KubernetesServiceResolver,
            Self::Listener(_) => Kind::Listener,
            Self::LogService(_) => Kind::LogService,
            Self::Mapping(_) => Kind::Mapping,
            Self::Module(_) => Kind::Module,
            Self::Namespace(_) => Kind::Namespace,
            Self::RateLimit(_) => Kind::RateLimit,
            Self::RateLimitService(_) => Kind::RateLimitService,
            Self::Secret(_) => Kind::Secret,
            Self::Service(_) => Kind::Service,
            Self::TcpMapping(_) => Kind::TcpMapping,
            Self::TlsContext(_) => Kind::TlsContext,
            Self::TracingService(_) => Kind::TracingService,
        }
    }

    /// Tells whether the gateway with this id uses the object; kinds of
    /// Kubernetes' own are for every gateway.
    pub fn is_for(&self, id: &str) -> bool {
        self.ambassador_ids().is_none_or(|ids| common::ids_match(ids, id))
    }

    /// Returns which gateways the object is for, empty standing for
    /// `["default"]`; `None` for kinds of Kubernetes' own, which say it
    /// otherwise or not at all.
    pub fn ambassador_ids(&self) -> Option<&[String]> {
        match self {
            Self::AuthService(spec) => Some(&spec.ambassador_id.0),
            Self::ConsulResolver(spec) => Some(&spec.ambassador_id.0),
            Self::DevPortal(spec) => Some(&spec.ambassador_id.0),
            Self::Filter(spec) => Some(spec.ambassador_ids()),
            Self::FilterPolicy(spec) => Some(spec.ambassador_ids()),
            Self::Host(spec) => Some(&spec.ambassador_id.0),
            Self::KubernetesEndpointResolver(spec) => Some(&spec.ambassador_id.0),
            Self::KubernetesServiceResolver(spec) => Some(&spec.ambassador_id.0),
            Self::Listener(spec) => Some(&spec.ambassador_id.0),
            Self::LogService(spec) => Some(&spec.ambassador_id.0),
            Self::Mapping(spec) => Some(&spec.ambassador_id.0),
            Self::Module(spec) => Some(&spec.ambassador_id.0),
            Self::RateLimit(spec) => Some(&spec.ambassador_id.0),
            Self::RateLimitService(spec) => Some(&spec.ambassador_id.0),
            Self::TcpMapping(spec) => Some(&spec.ambassador_id.0),
            Self::TlsContext(spec) => Some(&spec.ambassador_id.0),
            Self::TracingService(spec) => Some(&spec.ambassador_id.0),
            Self::ConfigMap(_)
            | Self::EndpointSlice(_)
            | Self::Endpoints(_)
            | Self::Ingress(_)
            | Self::IngressClass(_)
            | Self::Namespace(_)
            | Self::Secret(_)
            | Self::Service(_) => None,
        }
    }
}
