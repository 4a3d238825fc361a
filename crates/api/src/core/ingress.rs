//! `networking.k8s.io` `Ingress` and `IngressClass`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::PortRef;
use crate::common::non_empty;

/// Routes of HTTP requests, Kubernetes' older way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Ingress {
    /// Name of the IngressClass.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub ingress_class_name: Option<String>,
    /// Where requests go that no rule takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_backend: Option<IngressBackend>,
    /// The rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<IngressRule>,
    /// Certificates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tls: Vec<IngressTls>,
}

/// Rules of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressRule {
    /// Host, exact or `*.x`. Absent: every host.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<IngressHttp>,
}

/// Paths of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressHttp {
    /// The paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<IngressPath>,
}

/// One path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressPath {
    /// The path. Default: `/`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `Exact`, `Prefix` or `ImplementationSpecific`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub path_type: Option<String>,
    /// Where its requests go.
    pub backend: IngressBackend,
}

/// Where requests go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressBackend {
    /// A Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<IngressServiceBackend>,
    /// Another object; without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<Value>,
}

/// A Service and its port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressServiceBackend {
    /// Name of the Service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its port.
    pub port: IngressServicePort,
}

/// A port of a Service: one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressServicePort {
    /// By number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// By name.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl IngressServicePort {
    /// Returns the port, the number first; `None` when neither is given.
    pub fn port_ref(&self) -> Option<PortRef> {
        self.number.map(PortRef::Number).or_else(|| self.name.clone().map(PortRef::Name))
    }
}

/// A certificate for some hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressTls {
    /// The hosts. Default: `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Secret with the certificate.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
}

/// Says which gateway serves the Ingresses of a class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressClass {
    /// The gateway's word, `getambassador.io/ingress-controller` for ours.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
    /// Without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
}

impl IngressClass {
    /// `spec.controller` of the classes that are ours, in any case.
    pub const CONTROLLER: &str = "getambassador.io/ingress-controller";

    /// Returns whether the class is for gateways of this kind.
    pub fn is_ours(&self) -> bool {
        self.controller.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(Self::CONTROLLER))
    }
}
