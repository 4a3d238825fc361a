//! What the `ambassador` Module says about listeners and filters.

use nuncio_api as api;
use nuncio_api::{ForwardClientCert, IpRule, IpRules, UnderscoresAction};

use super::compression;
use crate::ir::http::{
    AddressRange, AddressRules, ClientCertificate, Forwarding, HttpFilter, HttpSettings,
    Underscores,
};

/// Connection manager settings, without logs, tracing and filters.
pub(super) fn settings(module: &api::AmbassadorModule) -> HttpSettings {
    HttpSettings {
        server_name: module.server_name.clone().unwrap_or_else(|| "envoy".to_owned()),
        use_remote_address: module.use_remote_address.unwrap_or(true),
        allow_chunked_length: module.allow_chunked_length.unwrap_or(false),
        enable_http10: module.enable_http10.unwrap_or(false),
        idle_timeout_ms: module.listener_idle_timeout_ms,
        underscores: match module.headers_with_underscores_action {
            Some(UnderscoresAction::RejectRequest) => Underscores::Reject,
            Some(UnderscoresAction::DropHeader) => Underscores::Drop,
            Some(UnderscoresAction::Allow) | None => Underscores::Allow,
        },
        // Envoy refuses more than 8192 and 0.
        max_request_headers_kb: module.max_request_headers_kb.map(|kb| kb.clamp(1, 8192)),
        merge_slashes: module.merge_slashes.unwrap_or(false),
        strip_matching_host_port: module.strip_matching_host_port.unwrap_or(false),
        reject_escaped_slashes: module.reject_requests_with_escaped_slashes.unwrap_or(false),
        preserve_external_request_id: module.preserve_external_request_id.unwrap_or(false),
        client_certificate: client_certificate(module),
        buffer_limit_bytes: module.buffer_limit_bytes,
        ..Default::default()
    }
}

fn client_certificate(module: &api::AmbassadorModule) -> ClientCertificate {
    let details = module.set_current_client_cert_details.clone();
    let given = details.clone().unwrap_or_default();
    ClientCertificate {
        forward: match module.forward_client_cert_details {
            None | Some(ForwardClientCert::Sanitize) => Forwarding::Sanitize,
            Some(ForwardClientCert::ForwardOnly) => Forwarding::ForwardOnly,
            Some(ForwardClientCert::AppendForward) => Forwarding::AppendForward,
            Some(ForwardClientCert::SanitizeSet) => Forwarding::SanitizeSet,
            Some(ForwardClientCert::AlwaysForwardOnly) => Forwarding::AlwaysForwardOnly,
        },
        subject: given.subject,
        cert: given.cert.unwrap_or(false),
        chain: given.chain.unwrap_or(false),
        dns: given.dns.unwrap_or(false),
        uri: given.uri.unwrap_or(false),
        detailed: details.is_some(),
    }
}

/// Filters that stand before CORS, in chain order.
pub(super) fn filters(module: &api::AmbassadorModule) -> Vec<HttpFilter> {
    let mut filters = Vec::new();
    if module.enable_grpc_http11_bridge == Some(true) {
        filters.push(HttpFilter::GrpcBridge);
    }
    if module.enable_grpc_web == Some(true) {
        filters.push(HttpFilter::GrpcWeb);
    }
    if let Some(stats) = &module.grpc_stats {
        let service =
            |service: &api::GrpcService| (service.name.clone(), service.method_names.clone());
        filters.push(HttpFilter::GrpcStats {
            services: stats.services.iter().map(service).collect(),
            all_methods: stats.all_methods.unwrap_or(false),
            upstream: stats.upstream_stats.unwrap_or(false),
        });
    }
    if let Some(code) = module.lua_scripts.as_ref().filter(|code| !code.trim().is_empty()) {
        filters.push(HttpFilter::Lua(code.clone()));
    }
    filters.extend(compression::compressors(module).map(HttpFilter::Compressor));
    if let Some(bytes) = module.buffer.as_ref().and_then(|buffer| buffer.max_request_bytes) {
        filters.push(HttpFilter::Buffer { max_bytes: bytes.max(1) });
    }
    let rules = match (&module.ip_allow, &module.ip_deny) {
        (Some(rules), _) => Some((rules, false)),
        (None, Some(rules)) => Some((rules, true)),
        (None, None) => None,
    };
    if let Some((rules, deny)) = rules {
        filters.push(HttpFilter::Rbac(AddressRules { deny, ranges: ranges(rules) }));
    }
    filters
}

/// The ranges that can be understood. When none can, the filter stands without
/// one: an allow list then lets nobody in.
fn ranges(rules: &IpRules) -> Vec<AddressRange> {
    rules
        .0
        .iter()
        .filter_map(|rule| match rule {
            IpRule::Remote(text) => range(text, false),
            IpRule::Peer(text) => range(text, true),
            IpRule::Invalid(_) => None,
        })
        .collect()
}

/// Parses an address or a range in CIDR notation.
pub(crate) fn range(text: &str, direct: bool) -> Option<AddressRange> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: std::net::IpAddr = address.trim().parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(digits) => digits.trim().parse().ok().filter(|length| *length <= longest)?,
        None => longest,
    };
    Some(AddressRange { direct, address: address.to_string(), prefix })
}
