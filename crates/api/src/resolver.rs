//! The three resolvers: how a service's name becomes addresses.

use serde::{Deserialize, Serialize};

use crate::common::{AmbassadorId, non_empty};

/// Resolves names by DNS, to the cluster address of a Service. Source:
/// Emissary `KubernetesServiceResolver`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KubernetesServiceResolver {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(alias = "ambassadorId", skip_serializing_if = "AmbassadorId::is_default")]
    pub ambassador_id: AmbassadorId,
}

/// Resolves names to the endpoints of a Service. Source: Emissary
/// `KubernetesEndpointResolver`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KubernetesEndpointResolver {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(alias = "ambassadorId", skip_serializing_if = "AmbassadorId::is_default")]
    pub ambassador_id: AmbassadorId,
}

/// Resolves names in Consul's catalogue. Source: Emissary `ConsulResolver`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsulResolver {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(alias = "ambassadorId", skip_serializing_if = "AmbassadorId::is_default")]
    pub ambassador_id: AmbassadorId,
    /// `host:port` of Consul; environment variables are expanded; required.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Datacenter; required.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub datacenter: Option<String>,
}
