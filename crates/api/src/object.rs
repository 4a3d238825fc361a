//! What every object has in common: identity, metadata, where it was read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Spec;

/// The annotation of Services and Ingresses that holds objects as YAML.
pub const CONFIG_ANNOTATION: &str = "getambassador.io/config";

/// One object as it was read, with its typed spec.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Name, namespace, labels and the like.
    pub meta: Meta,
    /// Where the object was read.
    pub origin: Origin,
    /// The kind's own part.
    pub spec: Spec,
}

impl Object {
    /// Returns the identity of this object.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            kind: self.spec.kind(),
            namespace: self.meta.namespace.clone(),
            name: self.meta.name.clone(),
            carrier: self.origin.carrier.clone(),
        }
    }
}

/// Kubernetes `ObjectMeta`, the fields a gateway needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Name, unique within kind and namespace.
    pub name: String,
    /// Namespace; empty only for cluster-scoped kinds.
    pub namespace: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Counts changes of the spec; 0 where the source keeps no count.
    pub generation: i64,
    /// Opaque version for optimistic writes; empty in folder mode.
    pub resource_version: String,
    /// Server-assigned identity; empty in folder mode.
    pub uid: String,
    /// RFC 3339 time; empty in folder mode.
    pub creation_timestamp: String,
}

/// Where an object was read, for people and for Emissary's resource keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Origin {
    /// Path relative to the watched folder; `None` for the Kubernetes API.
    pub file: Option<Arc<str>>,
    /// First line of the object in `file`, from 1; 0 when unknown.
    pub line: u32,
    /// Set when the object stood in an annotation of another object.
    pub carrier: Option<Carrier>,
}

/// The object whose `getambassador.io/config` annotation holds another object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Carrier {
    /// Kind of the carrier: Service or Ingress.
    pub kind: Kind,
    /// Namespace of the carrier.
    pub namespace: String,
    /// Name of the carrier.
    pub name: String,
    /// Position of the document in the annotation, from 1.
    pub index: u32,
}

/// Identity of one object across its versions.
///
/// Objects of annotations carry their carrier: an object of the same kind and
/// name that stands elsewhere is another object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectKey {
    /// Kind.
    pub kind: Kind,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Set for objects of annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier: Option<Carrier>,
}

impl ObjectKey {
    /// Makes the identity of a free-standing object.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into(), carrier: None }
    }

    /// Tells whether this object stands in an annotation of `other`.
    pub fn is_carried_by(&self, other: &Self) -> bool {
        self.carrier.as_ref().is_some_and(|carrier| {
            carrier.kind == other.kind
                && carrier.namespace == other.namespace
                && carrier.name == other.name
        })
    }

    /// Returns Emissary's resource key.
    ///
    /// Shape: `<name>.<namespace>.<n>`; objects of annotations use their
    /// carrier's name and namespace, `n` counting documents, others use 1.
    /// All kinds are processed in string order of this key.
    pub fn resource_key(&self) -> String {
        match &self.carrier {
            Some(carrier) => format!("{}.{}.{}", carrier.name, carrier.namespace, carrier.index),
            None => format!("{}.{}.1", self.name, self.namespace),
        }
    }
}

/// Shape: `Kind namespace/name`.
impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// Every kind that Nuncio reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Kind {
    /// `getambassador.io` AuthService.
    AuthService,
    /// Core ConfigMap.
    ConfigMap,
    /// `getambassador.io` ConsulResolver.
    ConsulResolver,
    /// `getambassador.io` DevPortal.
    DevPortal,
    /// `discovery.k8s.io` EndpointSlice.
    EndpointSlice,
    /// Core Endpoints.
    Endpoints,
    /// `getambassador.io` Filter.
    Filter,
    /// `getambassador.io` FilterPolicy.
    FilterPolicy,
    /// `getambassador.io` Host.
    Host,
    /// `networking.k8s.io` Ingress.
    Ingress,
    /// `networking.k8s.io` IngressClass.
    IngressClass,
    /// `getambassador.io` KubernetesEndpointResolver.
    KubernetesEndpointResolver,
    /// `getambassador.io` KubernetesServiceResolver.
    KubernetesServiceResolver,
    /// `getambassador.io` Listener.
    Listener,
    /// `getambassador.io` LogService.
    LogService,
    /// `getambassador.io` Mapping.
    Mapping,
    /// `getambassador.io` Module.
    Module,
    /// Core Namespace.
    Namespace,
    /// `getambassador.io` RateLimit.
    RateLimit,
    /// `getambassador.io` RateLimitService.
    RateLimitService,
    /// Core Secret.
    Secret,
    /// Core Service.
    Service,
    /// `getambassador.io` TCPMapping.
    #[serde(rename = "TCPMapping")]
    TcpMapping,
    /// `getambassador.io` TLSContext.
    #[serde(rename = "TLSContext")]
    TlsContext,
    /// `getambassador.io` TracingService.
    TracingService,
}

impl Kind {
    /// Every kind, in alphabetical order of its name.
    pub const ALL: [Self; 25] = [
        Self::AuthService,
        Self::ConfigMap,
        Self::ConsulResolver,
        Self::DevPortal,
        Self::EndpointSlice,
        Self::Endpoints,
        Self::Filter,
        Self::FilterPolicy,
        Self::Host,
        Self::Ingress,
        Self::IngressClass,
        Self::KubernetesEndpointResolver,
        Self::KubernetesServiceResolver,
        Self::Listener,
        Self::LogService,
        Self::Mapping,
        Self::Module,
        Self::Namespace,
        Self::RateLimit,
        Self::RateLimitService,
        Self::Secret,
        Self::Service,
        Self::TcpMapping,
        Self::TlsContext,
        Self::TracingService,
    ];

    /// Tells whether the kind belongs to Emissary's API groups, not to
    /// Kubernetes itself.
    pub const fn is_emissary(self) -> bool {
        !matches!(
            self,
            Self::ConfigMap
                | Self::EndpointSlice
                | Self::Endpoints
                | Self::Ingress
                | Self::IngressClass
                | Self::Namespace
                | Self::Secret
                | Self::Service
        )
    }

    /// Tells whether the kind's own part is `spec` alone.
    pub(crate) const fn has_spec(self) -> bool {
        self.is_emissary() || matches!(self, Self::Ingress | Self::IngressClass)
    }

    /// Returns the kind as `kind:` spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthService => "AuthService",
            Self::ConfigMap => "ConfigMap",
            Self::ConsulResolver => "ConsulResolver",
            Self::DevPortal => "DevPortal",
            Self::EndpointSlice => "EndpointSlice",
            Self::Endpoints => "Endpoints",
            Self::Filter => "Filter",
            Self::FilterPolicy => "FilterPolicy",
            Self::Host => "Host",
            Self::Ingress => "Ingress",
            Self::IngressClass => "IngressClass",
            Self::KubernetesEndpointResolver => "KubernetesEndpointResolver",
            Self::KubernetesServiceResolver => "KubernetesServiceResolver",
            Self::Listener => "Listener",
            Self::LogService => "LogService",
            Self::Mapping => "Mapping",
            Self::Module => "Module",
            Self::Namespace => "Namespace",
            Self::RateLimit => "RateLimit",
            Self::RateLimitService => "RateLimitService",
            Self::Secret => "Secret",
            Self::Service => "Service",
            Self::TcpMapping => "TCPMapping",
            Self::TlsContext => "TLSContext",
            Self::TracingService => "TracingService",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
