//! HTTP connection managers.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as pb;

use super::{
    access_log, ads, bool_value, cluster, http_filter, local_reply, millis, tracing, u32_value,
};
use crate::ir::http::{ClientCertificate, Forwarding, HttpSettings, Underscores};
use crate::ir::listener::HttpChain;

/// Emits the connection manager of one chain.
pub(super) fn emit(chain: &HttpChain) -> pb::HttpConnectionManager {
    use pb::http_connection_manager::{CodecType, PathWithEscapedSlashesAction, RouteSpecifier};
    let settings = &*chain.settings;
    let codec = if chain.http3 { CodecType::Http3 } else { CodecType::Auto };
    let slashes = if settings.reject_escaped_slashes {
        PathWithEscapedSlashesAction::RejectRequest
    } else {
        PathWithEscapedSlashesAction::ImplementationSpecificDefault
    };
    pb::HttpConnectionManager {
        codec_type: codec as i32,
        stat_prefix: chain.stat_prefix.clone(),
        local_reply_config: local_reply::emit(settings),
        http_filters: settings.filters.iter().map(http_filter::emit).collect(),
        tracing: settings.tracing.as_ref().map(tracing::emit),
        common_http_protocol_options: common(settings),
        http_protocol_options: Some(core::Http1ProtocolOptions {
            accept_http_10: settings.enable_http10,
            allow_chunked_length: settings.allow_chunked_length,
            header_key_format: cluster::header_key_format(&settings.header_case),
            ..Default::default()
        }),
        http2_protocol_options: chain.http2_max_concurrent_streams.map(|limit| {
            core::Http2ProtocolOptions {
                max_concurrent_streams: u32_value(limit),
                ..Default::default()
            }
        }),
        http3_protocol_options: chain.http3.then(core::Http3ProtocolOptions::default),
        server_name: settings.server_name.clone(),
        max_request_headers_kb: settings.max_request_headers_kb.and_then(u32_value),
        access_log: settings.access_logs.iter().map(access_log::emit).collect(),
        use_remote_address: bool_value(settings.use_remote_address),
        xff_num_trusted_hops: chain.trusted_hops,
        preserve_external_request_id: settings.preserve_external_request_id,
        forward_client_cert_details: forwarding(settings.client_certificate.forward),
        set_current_client_cert_details: details(&settings.client_certificate),
        normalize_path: bool_value(true),
        merge_slashes: settings.merge_slashes,
        path_with_escaped_slashes_action: slashes as i32,
        strip_matching_host_port: settings.strip_matching_host_port,
        route_specifier: Some(RouteSpecifier::Rds(pb::Rds {
            config_source: ads(),
            route_config_name: chain.routes.to_string(),
        })),
        ..Default::default()
    }
}

fn common(settings: &HttpSettings) -> Option<core::HttpProtocolOptions> {
    use core::http_protocol_options::HeadersWithUnderscoresAction as Action;
    let action = match settings.underscores {
        Underscores::Allow => Action::Allow,
        Underscores::Reject => Action::RejectRequest,
        Underscores::Drop => Action::DropHeader,
    };
    let options = core::HttpProtocolOptions {
        idle_timeout: settings.idle_timeout_ms.and_then(millis),
        headers_with_underscores_action: action as i32,
        ..Default::default()
    };
    (options != core::HttpProtocolOptions::default()).then_some(options)
}

fn forwarding(forwarding: Forwarding) -> i32 {
    use pb::http_connection_manager::ForwardClientCertDetails as Details;
    let details = match forwarding {
        Forwarding::Sanitize => Details::Sanitize,
        Forwarding::ForwardOnly => Details::ForwardOnly,
        Forwarding::AppendForward => Details::AppendForward,
        Forwarding::SanitizeSet => Details::SanitizeSet,
        Forwarding::AlwaysForwardOnly => Details::AlwaysForwardOnly,
    };
    details as i32
}

fn details(
    certificate: &ClientCertificate,
) -> Option<pb::http_connection_manager::SetCurrentClientCertDetails> {
    certificate.detailed.then(|| pb::http_connection_manager::SetCurrentClientCertDetails {
        subject: certificate.subject.and_then(bool_value),
        cert: certificate.cert,
        chain: certificate.chain,
        dns: certificate.dns,
        uri: certificate.uri,
        ..Default::default()
    })
}
