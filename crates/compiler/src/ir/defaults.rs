//! Module settings that Mappings and clusters fall back to.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api as api;

use super::cluster::{Breaker, HeaderCase, Keepalive};
use super::route::{Cors, Retry};
use super::upstream::{self, LoadBalancer};

/// Timeout of a request where neither Mapping nor Module says.
const REQUEST_TIMEOUT_MS: u64 = 3000;

/// What the `ambassador` Module says about Mappings and clusters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Defaults {
    pub(crate) request_timeout_ms: u64,
    pub(crate) idle_timeout_ms: Option<u64>,
    pub(crate) max_lifetime_ms: Option<u64>,
    pub(crate) enable_ipv4: bool,
    pub(crate) enable_ipv6: bool,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) breakers: Vec<Breaker>,
    pub(crate) load_balancer: Option<LoadBalancer>,
    pub(crate) resolver: String,
    pub(crate) own_namespace_resolution: bool,
    pub(crate) add_linkerd_headers: bool,
    pub(crate) retry: Option<Arc<Retry>>,
    pub(crate) cors: Option<Arc<Cors>>,
    pub(crate) label_domain: String,
    pub(crate) labels: BTreeMap<String, Vec<api::LabelSpecifier>>,
    pub(crate) add_request_headers: BTreeMap<String, api::AddedHeader>,
    pub(crate) add_response_headers: BTreeMap<String, api::AddedHeader>,
    pub(crate) remove_request_headers: Vec<String>,
    pub(crate) remove_response_headers: Vec<String>,
    pub(crate) stats_name: Option<String>,
    pub(crate) header_case: HeaderCase,
    pub(crate) secret_namespacing: bool,
}

impl Defaults {
    /// Reads the Module; what is invalid in it is left out (its diagnostics
    /// come from [`super::check`]).
    pub(crate) fn of(module: &api::AmbassadorModule) -> Self {
        let defaults = module.defaults.clone().unwrap_or_default();
        let http = defaults.httpmapping.clone().unwrap_or_default();
        let first = |a: Vec<String>, b: Vec<String>| if a.is_empty() { b } else { a };
        Self {
            request_timeout_ms: module.cluster_request_timeout_ms.unwrap_or(REQUEST_TIMEOUT_MS),
            idle_timeout_ms: module.cluster_idle_timeout_ms.filter(|ms| *ms > 0),
            max_lifetime_ms: module.cluster_max_connection_lifetime_ms.filter(|ms| *ms > 0),
            enable_ipv4: module.enable_ipv4.unwrap_or(true),
            enable_ipv6: module.enable_ipv6.unwrap_or(false),
            keepalive: module.keepalive.as_ref().map(upstream::keepalive),
            breakers: module.circuit_breakers.iter().map(upstream::breaker).collect(),
            load_balancer: module
                .load_balancer
                .as_ref()
                .and_then(|given| upstream::load_balancer(given).ok()),
            resolver: module.resolver.clone().unwrap_or_else(|| "kubernetes-service".into()),
            own_namespace_resolution: module
                .use_ambassador_namespace_for_service_resolution
                .unwrap_or(false),
            add_linkerd_headers: module.add_linkerd_headers.unwrap_or(false),
            retry: module.retry_policy.as_ref().and_then(upstream::retry),
            cors: module.cors.as_ref().map(upstream::cors),
            label_domain: module
                .default_label_domain
                .clone()
                .unwrap_or_else(|| "ambassador".into()),
            labels: module
                .default_labels
                .iter()
                .map(|(domain, labels)| (domain.clone(), labels.defaults.clone()))
                .collect(),
            add_request_headers: http
                .add_request_headers
                .or(defaults.add_request_headers)
                .unwrap_or_default(),
            add_response_headers: http
                .add_response_headers
                .or(defaults.add_response_headers)
                .unwrap_or_default(),
            remove_request_headers: first(
                http.remove_request_headers,
                defaults.remove_request_headers,
            ),
            remove_response_headers: first(
                http.remove_response_headers,
                defaults.remove_response_headers,
            ),
            stats_name: http.stats_name.or(defaults.stats_name),
            // Source: Emissary, where proper_case is for clients only.
            header_case: match header_case(module) {
                HeaderCase::Proper => HeaderCase::Lower,
                other => other,
            },
            secret_namespacing: defaults.tls_secret_namespacing.unwrap_or(true),
        }
    }
}

/// `proper_case` wins over `header_case_overrides`.
pub(crate) fn header_case(module: &api::AmbassadorModule) -> HeaderCase {
    if module.proper_case == Some(true) {
        HeaderCase::Proper
    } else if module.header_case_overrides.is_empty() {
        HeaderCase::Lower
    } else {
        let spelling = |name: &String| (name.to_ascii_lowercase(), name.clone());
        let table: BTreeMap<_, _> = module.header_case_overrides.iter().map(spelling).collect();
        HeaderCase::Custom(table.into_iter().collect())
    }
}
