//! Core `Endpoints` and `discovery.k8s.io` `EndpointSlice`.

use serde::{Deserialize, Serialize};

use crate::common::non_empty;

/// The addresses behind the Service of the same name, older form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoints {
    /// Sets of addresses with the same ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subsets: Vec<EndpointSubset>,
}

/// Addresses with the same ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointSubset {
    /// Addresses that take requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<EndpointAddress>,
    /// Addresses that do not take requests yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_ready_addresses: Vec<EndpointAddress>,
    /// The ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<EndpointPort>,
}

/// One address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointAddress {
    /// Address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// Name of the host.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Name of the node.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
}

/// One port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointPort {
    /// Name, as in the Service.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Number; absent in a slice: every port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u32>,
    /// `TCP`, `UDP` or `SCTP`. Default: `TCP`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// What is spoken, such as `kubernetes.io/h2c`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// Some of the addresses behind the Service that the label
/// `kubernetes.io/service-name` names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointSlice {
    /// `IPv4`, `IPv6` or `FQDN`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address_type: String,
    /// The addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// The ports of all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<EndpointPort>,
}

/// One endpoint of a slice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Endpoint {
    /// Its addresses, all of the same endpoint.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Its state.
    pub conditions: EndpointConditions,
    /// Name of the host.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Name of the node.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Zone.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// State of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// Takes requests. Absent: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Takes requests, though perhaps about to end. Absent: as `ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<bool>,
    /// About to end. Absent: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminating: Option<bool>,
}
