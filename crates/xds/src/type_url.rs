//! Names of resource types.

use std::borrow::Cow;
use std::fmt;

/// Name of a resource type, as it travels in `type_url`.
///
/// Shape: `type.googleapis.com/<package>.<Message>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeUrl(Cow<'static, str>);

impl TypeUrl {
    /// `envoy.config.cluster.v3.Cluster` (CDS).
    pub const CLUSTER: Self = Self::known("type.googleapis.com/envoy.config.cluster.v3.Cluster");
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment` (EDS).
    pub const ENDPOINTS: Self =
        Self::known("type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment");
    /// `envoy.extensions.transport_sockets.tls.v3.Secret` (SDS).
    pub const SECRET: Self =
        Self::known("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret");
    /// `envoy.config.listener.v3.Listener` (LDS).
    pub const LISTENER: Self = Self::known("type.googleapis.com/envoy.config.listener.v3.Listener");
    /// `envoy.config.route.v3.RouteConfiguration` (RDS).
    pub const ROUTES: Self =
        Self::known("type.googleapis.com/envoy.config.route.v3.RouteConfiguration");
    /// `ratelimit.config.ratelimit.v3.RateLimitConfig`.
    pub const RATE_LIMITS: Self =
        Self::known("type.googleapis.com/ratelimit.config.ratelimit.v3.RateLimitConfig");
    /// `nuncio.auth.v1.Filter`.
    pub const FILTER: Self = Self::known("type.googleapis.com/nuncio.auth.v1.Filter");
    /// `nuncio.auth.v1.FilterPolicy`.
    pub const FILTER_POLICY: Self = Self::known("type.googleapis.com/nuncio.auth.v1.FilterPolicy");

    /// Makes the name of a type that is known when the program is built.
    pub const fn known(url: &'static str) -> Self {
        Self(Cow::Borrowed(url))
    }

    /// Returns the name as it travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the message's name without package, such as `Cluster`; for logs
    /// and people.
    pub fn short(&self) -> &str {
        self.0.rsplit(['.', '/']).next().unwrap_or(&self.0)
    }
}

/// Types that have a name of their own here; making one costs no allocation.
const KNOWN: [TypeUrl; 8] = [
    TypeUrl::CLUSTER,
    TypeUrl::ENDPOINTS,
    TypeUrl::SECRET,
    TypeUrl::LISTENER,
    TypeUrl::ROUTES,
    TypeUrl::RATE_LIMITS,
    TypeUrl::FILTER,
    TypeUrl::FILTER_POLICY,
];

impl From<&str> for TypeUrl {
    fn from(url: &str) -> Self {
        let known = KNOWN.into_iter().find(|known| known.as_str() == url);
        known.unwrap_or_else(|| Self(Cow::Owned(url.to_owned())))
    }
}

impl From<String> for TypeUrl {
    fn from(url: String) -> Self {
        Self::from(url.as_str())
    }
}

impl fmt::Display for TypeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
