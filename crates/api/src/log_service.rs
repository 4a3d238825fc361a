//! `LogService`: who receives access logs.

use serde::{Deserialize, Serialize};

use crate::common::{AmbassadorId, non_empty};

/// An external service that receives access logs. Source: Emissary
/// `LogService`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogService {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(alias = "ambassadorId", skip_serializing_if = "AmbassadorId::is_default")]
    pub ambassador_id: AmbassadorId,
    /// `[scheme://]host[:port]`; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// What is logged; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<LogDriver>,
    /// Headers to log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_config: Option<LogDriverConfig>,
    /// Send at least this often, in seconds. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flush_interval_time: Option<u64>,
    /// Send when this many bytes wait. Default: 16384.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flush_interval_byte_size: Option<u32>,
    /// Speak HTTP/2 to the service; must be true in practice. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<bool>,
    /// Must be `v3`. Default: `v2`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<String>,
    /// Name of the cluster in statistics. Default: made from `service`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub stats_name: Option<String>,
}

/// What a LogService receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogDriver {
    /// HTTP requests.
    Http,
    /// TCP connections.
    Tcp,
}

/// Headers to log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogDriverConfig {
    /// The headers; HTTP only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_log_headers: Vec<LogHeader>,
}

/// A header to log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogHeader {
    /// Name of the header; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub header_name: String,
    /// Log it from the request. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub during_request: Option<bool>,
    /// Log it from the response. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub during_response: Option<bool>,
    /// Log it from the trailers. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub during_trailer: Option<bool>,
}
