//! Encoded resources and their names.

use std::fmt;
use std::sync::Arc;

use nuncio_api::ObjectKey;

use crate::Rope;

/// Type of a resource, as xDS names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TypeUrl {
    /// `envoy.config.cluster.v3.Cluster`.
    Cluster,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`.
    ClusterLoadAssignment,
    /// `envoy.extensions.transport_sockets.tls.v3.Secret`.
    Secret,
    /// `envoy.config.listener.v3.Listener`.
    Listener,
    /// `envoy.config.route.v3.RouteConfiguration`.
    RouteConfiguration,
    /// `ratelimit.config.ratelimit.v3.RateLimitConfig`; the same bytes decode
    /// as `nuncio.ratelimit.v1.RateLimitConfigOverlay`.
    RateLimitConfig,
    /// `nuncio.auth.v1.Filter`.
    Filter,
    /// `nuncio.auth.v1.FilterPolicy`.
    FilterPolicy,
}

impl TypeUrl {
    /// Every type, in the order in which additions are best sent.
    pub const ALL: [Self; 8] = [
        Self::Cluster,
        Self::ClusterLoadAssignment,
        Self::Secret,
        Self::Listener,
        Self::RouteConfiguration,
        Self::RateLimitConfig,
        Self::Filter,
        Self::FilterPolicy,
    ];

    /// Returns the URL that stands in xDS messages and in `Any`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::ClusterLoadAssignment => {
                "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
            }
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::RouteConfiguration => {
                "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
            }
            Self::RateLimitConfig => {
                "type.googleapis.com/ratelimit.config.ratelimit.v3.RateLimitConfig"
            }
            Self::Filter => "type.googleapis.com/nuncio.auth.v1.Filter",
            Self::FilterPolicy => "type.googleapis.com/nuncio.auth.v1.FilterPolicy",
        }
    }

    /// Returns the type that has this URL.
    pub fn parse(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == url)
    }
}

impl fmt::Display for TypeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Identity of a resource across its versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName {
    /// Type.
    pub type_url: TypeUrl,
    /// Name, unique within the type.
    pub name: Arc<str>,
}

impl ResourceName {
    /// Makes a name.
    pub fn new(type_url: TypeUrl, name: impl Into<Arc<str>>) -> Self {
        Self { type_url, name: name.into() }
    }
}

/// Shape: `<message> <name>`, the message without its package.
impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.type_url.as_str();
        let message = url.rsplit('.').next().unwrap_or(url);
        write!(f, "{message} {}", self.name)
    }
}

/// One encoded resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Identity.
    pub name: ResourceName,
    /// Hash of `bytes` (XXH3, 64 bit; of large ones in chunks, then of the
    /// hashes): equal on every replica and after every restart for equal
    /// objects, whatever edits led to them.
    pub version: u64,
    /// The encoded message, without the `Any` around it. Versions share the
    /// chunks in which they agree.
    pub bytes: Rope,
    /// Objects that this resource was made of, sorted, the Mappings left out:
    /// [`Compiler::sources`](crate::Compiler::sources) adds them.
    pub sources: Arc<[ObjectKey]>,
}

impl Resource {
    /// Makes a resource of encoded bytes.
    pub fn new(name: ResourceName, bytes: impl Into<Rope>, sources: Arc<[ObjectKey]>) -> Self {
        let bytes = bytes.into();
        Self { name, version: bytes.hash(), bytes, sources }
    }
}
