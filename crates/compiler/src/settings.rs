//! What the compiler must know beside the objects.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;

/// Host and port of a service that the gateway itself provides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// IP address or DNS name, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Address {
    /// Makes an address.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

/// Shape: `host:port`, an IPv6 address in brackets.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl From<std::net::SocketAddr> for Address {
    fn from(address: std::net::SocketAddr) -> Self {
        Self::new(address.ip().to_string(), address.port())
    }
}

/// What the compiler must know beside the objects; fixed for its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Objects whose `ambassador_id` lists this (or `_automatic_`) are used.
    /// Source: `AMBASSADOR_ID`. Default: `default`.
    pub ambassador_id: String,
    /// Own namespace: services in it need no qualification, and the
    /// self-signed fallback Secret is looked for here.
    /// Source: `AMBASSADOR_NAMESPACE`. Default: `default`.
    pub namespace: String,
    /// Address that Listeners bind to.
    /// Source: `AMBASSADOR_ENVOY_BIND_ADDRESS`. Default: `0.0.0.0`.
    pub bind_address: IpAddr,
    /// A service name that the objects define, with endpoints, is sent to
    /// these endpoints although its resolver says DNS. For folders, where no
    /// cluster DNS answers. Default: false.
    pub resolve_defined_services: bool,
    /// Whether endpoint resolvers may be used.
    /// Source: `AMBASSADOR_DISABLE_ENDPOINTS`, inverted. Default: true.
    pub endpoint_routing: bool,
    /// Whether all labels of a selector must match.
    /// Source: `DISABLE_STRICT_LABEL_SELECTORS`, inverted. Default: true.
    pub strict_label_selectors: bool,
    /// Folder on the machine of Envoy into which Istio writes a certificate;
    /// it takes the place of the Secret `istio-certs` of the own namespace.
    /// Source: `AMBASSADOR_ISTIO_SECRET_DIR`. Default: none.
    pub istio_secret_dir: Option<String>,
    /// Labels of the gateway's own pod: the Service that selects it is where
    /// Ingresses are reached.
    pub pod_labels: BTreeMap<String, String>,
    /// Whether Mappings in effect get a status.
    /// Source: `AMBASSADOR_UPDATE_MAPPING_STATUS`. Default: false.
    pub mapping_status: bool,
    /// Threads that may work on one batch of changes; the result does not
    /// depend on it. Default: 1.
    pub threads: NonZeroUsize,
    /// Our auth service (ext_authz over gRPC), used where FilterPolicies exist
    /// and no AuthService object does.
    pub auth: Option<Address>,
    /// Our rate-limit service (RLS over gRPC), used where RateLimits exist and
    /// no RateLimitService object does.
    pub rate_limit: Option<Address>,
    /// Our certificates service, which answers HTTP-01 challenges.
    pub challenges: Option<Address>,
    /// Admin address of the control plane: probes and diagnostics are routed
    /// here.
    pub admin: Option<Address>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ambassador_id: "default".into(),
            namespace: "default".into(),
            bind_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            resolve_defined_services: false,
            endpoint_routing: true,
            strict_label_selectors: true,
            istio_secret_dir: None,
            pod_labels: BTreeMap::new(),
            mapping_status: false,
            threads: NonZeroUsize::MIN,
            auth: None,
            rate_limit: None,
            challenges: None,
            admin: None,
        }
    }
}
