//! `RateLimit`: how many requests with which labels are too many.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::common::{AmbassadorId, non_empty};

/// Limits of one domain. Source: Edge Stack `RateLimit`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimit {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(alias = "ambassadorId", skip_serializing_if = "AmbassadorId::is_default")]
    pub ambassador_id: AmbassadorId,
    /// Domain of the labels. Default: `ambassador`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The limits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
}

/// One limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Limit {
    /// Name in dynamic metadata. Default: `<name>.<namespace>-<index>`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `Enforce` or `LogOnly`, in any case. Default: `Enforce`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Labels that a request's label group must begin with, in order. Each
    /// item holds alternatives; the value `""` or `*` stands for any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pattern: Vec<BTreeMap<String, String>>,
    /// Requests per `unit`; required, 0 refuses all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// `second`, `minute`, `hour` or `day`, in any case; required.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Units whose unused requests may still be spent. Default: unset, a plain
    /// wall-clock window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_factor: Option<u32>,
    /// Headers for the service, by Go template.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inject_request_headers: Vec<TemplatedHeader>,
    /// Headers for the client, by Go template.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inject_response_headers: Vec<TemplatedHeader>,
    /// The answer to a limited request. Default: a JSON body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_response: Option<LimitErrorResponse>,
}

/// A header whose value is a Go template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TemplatedHeader {
    /// Name of the header; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Template of the value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// The answer to a limited request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LimitErrorResponse {
    /// Headers, by Go template.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<TemplatedHeader>,
    /// Body, as Go template. Default: a JSON object.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub body_template: Option<String>,
}
