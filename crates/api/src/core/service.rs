//! Core `Service`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::common::non_empty;

/// A name for a set of endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// What is wanted.
    pub spec: ServiceSpec,
    /// What a load balancer made of it.
    pub status: ServiceStatus,
}

/// What is wanted of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSpec {
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`. Default:
    /// `ClusterIP`.
    #[serde(
        rename = "type",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub kind: Option<String>,
    /// Virtual address; `None` for a headless Service.
    #[serde(
        rename = "clusterIP",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub cluster_ip: Option<String>,
    /// Name that an `ExternalName` Service stands for.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub external_name: Option<String>,
    /// The ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
    /// Labels of the pods behind it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
}

/// One port of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServicePort {
    /// Name; required when there are several ports.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Port that clients use, 1–65535.
    pub port: u32,
    /// Port of the pods. Default: `port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_port: Option<PortRef>,
    /// `TCP`, `UDP` or `SCTP`. Default: `TCP`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// What is spoken, such as `kubernetes.io/h2c`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// A port by number or by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PortRef {
    /// By number.
    Number(u32),
    /// By name.
    Name(String),
}

/// What a load balancer made of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Its addresses.
    pub load_balancer: LoadBalancerStatus,
}

/// Addresses of a load balancer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancerStatus {
    /// The addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<LoadBalancerIngress>,
}

/// One address of a load balancer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancerIngress {
    /// Address.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Name.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
}
