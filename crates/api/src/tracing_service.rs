//! `TracingService`: who receives traces.

use serde::{Deserialize, Serialize};

use crate::common::{AmbassadorId, non_empty};

/// A collector of traces. Source: Emissary `TracingService`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TracingService {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(alias = "ambassadorId", skip_serializing_if = "AmbassadorId::is_default")]
    pub ambassador_id: AmbassadorId,
    /// Protocol of the collector; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<TracingDriver>,
    /// `[scheme://]host[:port]`; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// Shares of requests to trace. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// Tags to add to each span.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub custom_tags: Vec<CustomTag>,
    /// Deprecated: request headers to add as tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tag_headers: Vec<String>,
    /// Settings of the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<TracingConfig>,
    /// Name of the cluster in statistics. Default: made from `service`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub stats_name: Option<String>,
}

/// Protocols of collectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TracingDriver {
    /// Zipkin.
    Zipkin,
    /// Datadog.
    Datadog,
    /// OpenTelemetry.
    Opentelemetry,
    /// Not supported: error.
    Lightstep,
}

/// Shares of requests to trace, each in percent. Default of each: 100.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// Of requests that ask to be traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<u32>,
    /// Of requests that do not ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random: Option<u32>,
    /// Of all that were chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overall: Option<u32>,
}

/// A tag of each span; exactly one source of its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomTag {
    /// Name of the tag; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// A constant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub literal: Option<TagLiteral>,
    /// From Envoy's environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<TagSource>,
    /// From a request header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_header: Option<TagSource>,
}

/// A constant tag.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TagLiteral {
    /// The value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// A tag read from elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TagSource {
    /// Name of the variable or header.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Value when it is missing. Default: no tag.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub default_value: Option<String>,
}

/// Settings of the tracing driver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TracingConfig {
    /// Lightstep: without effect.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub access_token_file: Option<String>,
    /// Zipkin: cluster name; without effect, the service's is used.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub collector_cluster: Option<String>,
    /// Zipkin: path of spans. Default: `/api/v2/spans`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub collector_endpoint: Option<String>,
    /// Zipkin: `HTTP_JSON` or `HTTP_PROTO`. Default: `HTTP_JSON`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub collector_endpoint_version: Option<String>,
    /// Zipkin: `Host` to send. Default: the cluster's name.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub collector_hostname: Option<String>,
    /// Lightstep: without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub propagation_modes: Vec<String>,
    /// Zipkin: trace ids of 128 bits. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id_128bit: Option<bool>,
    /// Zipkin: client and server share a span. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_span_context: Option<bool>,
    /// Datadog, OpenTelemetry: name of the service. Default: `ambassador`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
}
