//! HTTP filters. Every one carries a typed configuration: Envoy refuses
//! extensions that are only named.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::ratelimit::v3::RateLimitServiceConfig;
use envoy_types::pb::envoy::config::rbac::v3 as rbac;
use envoy_types::pb::envoy::extensions::filters::http;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as manager;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::Any;

use super::{any, bool_value, compressor, error_response, grpc_service, millis, u32_value};
use crate::ir::http::{AddressRules, Auth, AuthProtocol, HttpFilter, RateLimit};

/// Name of the CORS filter, also in per-route settings.
pub(super) const CORS: &str = "envoy.filters.http.cors";
/// Name of the ext_authz filter, also in per-route settings.
pub(super) const EXT_AUTHZ: &str = "envoy.filters.http.ext_authz";

/// Emits one filter.
pub(super) fn emit(filter: &HttpFilter) -> manager::HttpFilter {
    // Routes with bodies of their own switch it on.
    let disabled = matches!(filter, HttpFilter::MappingErrorResponses);
    let (name, config) = match filter {
        HttpFilter::ErrorResponses(rules) => {
            (error_response::OF_MODULE, error_response::rules(rules))
        }
        HttpFilter::MappingErrorResponses => (
            error_response::OF_MAPPINGS,
            any(&http::custom_response::v3::CustomResponse::default()),
        ),
        HttpFilter::KeptHeaders => (error_response::KEEP, error_response::kept_headers()),
        HttpFilter::GrpcBridge => (
            "envoy.filters.http.grpc_http1_bridge",
            any(&http::grpc_http1_bridge::v3::Config::default()),
        ),
        HttpFilter::GrpcWeb => {
            ("envoy.filters.http.grpc_web", any(&http::grpc_web::v3::GrpcWeb::default()))
        }
        HttpFilter::GrpcStats { services, all_methods, upstream } => {
            ("envoy.filters.http.grpc_stats", grpc_stats(services, *all_methods, *upstream))
        }
        HttpFilter::Lua(code) => ("envoy.filters.http.lua", lua(code)),
        HttpFilter::Compressor(settings) => compressor::emit(settings),
        HttpFilter::Buffer { max_bytes } => (
            "envoy.filters.http.buffer",
            any(&http::buffer::v3::Buffer { max_request_bytes: u32_value(*max_bytes) }),
        ),
        HttpFilter::Rbac(rules) => ("envoy.filters.http.rbac", address_rules(rules)),
        HttpFilter::Cors => (CORS, any(&http::cors::v3::Cors::default())),
        HttpFilter::Auth(auth) => (EXT_AUTHZ, any(&ext_authz(auth))),
        HttpFilter::RateLimit(limit) => ("envoy.filters.http.ratelimit", any(&rate_limit(limit))),
        HttpFilter::Router { suppress_envoy_headers } => (
            "envoy.filters.http.router",
            any(&http::router::v3::Router {
                suppress_envoy_headers: *suppress_envoy_headers,
                ..Default::default()
            }),
        ),
    };
    manager::HttpFilter {
        name: name.to_owned(),
        config_type: Some(manager::http_filter::ConfigType::TypedConfig(config)),
        disabled,
        ..Default::default()
    }
}

fn grpc_stats(services: &[(String, Vec<String>)], all_methods: bool, upstream: bool) -> Any {
    use http::grpc_stats::v3::FilterConfig;
    use http::grpc_stats::v3::filter_config::PerMethodStatSpecifier;
    let specifier = if services.is_empty() {
        bool_value(all_methods).map(PerMethodStatSpecifier::StatsForAllMethods)
    } else {
        Some(PerMethodStatSpecifier::IndividualMethodStatsAllowlist(core::GrpcMethodList {
            services: services
                .iter()
                .map(|(name, methods)| core::grpc_method_list::Service {
                    name: name.clone(),
                    method_names: methods.clone(),
                })
                .collect(),
        }))
    };
    any(&FilterConfig {
        emit_filter_state: true,
        enable_upstream_stats: upstream,
        per_method_stat_specifier: specifier,
        ..Default::default()
    })
}

fn lua(code: &str) -> Any {
    any(&http::lua::v3::Lua {
        default_source_code: Some(core::DataSource {
            specifier: Some(core::data_source::Specifier::InlineString(code.to_owned())),
            ..Default::default()
        }),
        ..Default::default()
    })
}

fn address_rules(rules: &AddressRules) -> Any {
    use rbac::{permission, principal};
    let principals = rules.ranges.iter().map(|range| {
        let block = core::CidrRange {
            address_prefix: range.address.clone(),
            prefix_len: u32_value(range.prefix),
        };
        let identifier = if range.direct {
            principal::Identifier::DirectRemoteIp(block)
        } else {
            principal::Identifier::RemoteIp(block)
        };
        rbac::Principal { identifier: Some(identifier) }
    });
    let policy = rbac::Policy {
        permissions: vec![rbac::Permission { rule: Some(permission::Rule::Any(true)) }],
        principals: principals.collect(),
        ..Default::default()
    };
    let (action, name) = if rules.deny {
        (rbac::rbac::Action::Deny, "ambassador-ip-deny")
    } else {
        (rbac::rbac::Action::Allow, "ambassador-ip-allow")
    };
    // ALLOW without a policy lets nobody in, which is what no valid range means.
    let policies = if rules.ranges.is_empty() {
        Default::default()
    } else {
        [(name.to_owned(), policy)].into()
    };
    any(&http::rbac::v3::Rbac {
        rules: Some(rbac::Rbac { action: action as i32, policies, ..Default::default() }),
        ..Default::default()
    })
}

fn ext_authz(auth: &Auth) -> http::ext_authz::v3::ExtAuthz {
    use http::ext_authz::v3::ext_authz::Services;
    let (services, raw) = match &auth.protocol {
        AuthProtocol::Grpc { raw_headers } => {
            (Services::GrpcService(grpc_service(&auth.cluster, auth.timeout_ms)), *raw_headers)
        }
        AuthProtocol::Http { .. } => (Services::HttpService(http_service(auth)), false),
    };
    http::ext_authz::v3::ExtAuthz {
        transport_api_version: core::ApiVersion::V3 as i32,
        failure_mode_allow: auth.failure_mode_allow,
        with_request_body: auth.body.map(|(max_request_bytes, allow_partial_message)| {
            http::ext_authz::v3::BufferSettings {
                max_request_bytes,
                allow_partial_message,
                ..Default::default()
            }
        }),
        clear_route_cache: true,
        status_on_error: auth
            .status_on_error
            .map(|code| HttpStatus { code: i32::try_from(code).unwrap_or(503) }),
        encode_raw_headers: raw,
        allowed_headers: match &auth.protocol {
            AuthProtocol::Grpc { .. } => None,
            AuthProtocol::Http { request_headers, .. } => exact_list(request_headers),
        },
        services: Some(services),
        ..Default::default()
    }
}

fn http_service(auth: &Auth) -> http::ext_authz::v3::HttpService {
    use http::ext_authz::v3 as pb;
    let AuthProtocol::Http { uri, path_prefix, authorization_headers, add_headers, .. } =
        &auth.protocol
    else {
        return pb::HttpService::default();
    };
    pb::HttpService {
        server_uri: Some(core::HttpUri {
            uri: uri.clone(),
            timeout: millis(auth.timeout_ms),
            http_upstream_type: Some(core::http_uri::HttpUpstreamType::Cluster(
                auth.cluster.to_string(),
            )),
        }),
        path_prefix: path_prefix.clone(),
        authorization_request: Some(pb::AuthorizationRequest {
            headers_to_add: add_headers
                .iter()
                .map(|(key, value)| core::HeaderValue {
                    key: key.clone(),
                    value: value.clone(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }),
        authorization_response: Some(pb::AuthorizationResponse {
            allowed_upstream_headers: exact_list(authorization_headers),
            allowed_client_headers: exact_list(authorization_headers),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn exact_list(names: &[String]) -> Option<matcher::ListStringMatcher> {
    if names.is_empty() {
        return None;
    }
    let patterns = names.iter().map(|name| matcher::StringMatcher {
        ignore_case: true,
        match_pattern: Some(matcher::string_matcher::MatchPattern::Exact(name.clone())),
    });
    Some(matcher::ListStringMatcher { patterns: patterns.collect() })
}

fn rate_limit(limit: &RateLimit) -> http::ratelimit::v3::RateLimit {
    http::ratelimit::v3::RateLimit {
        domain: limit.domain.clone(),
        request_type: "both".to_owned(),
        timeout: millis(limit.timeout_ms),
        failure_mode_deny: limit.failure_mode_deny,
        rate_limited_as_resource_exhausted: limit.resource_exhausted,
        rate_limit_service: Some(RateLimitServiceConfig {
            grpc_service: Some(grpc_service(&limit.cluster, limit.timeout_ms)),
            transport_api_version: core::ApiVersion::V3 as i32,
        }),
        ..Default::default()
    }
}
