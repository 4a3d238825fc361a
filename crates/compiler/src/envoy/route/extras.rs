//! What few routes have, as generated messages.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::http::cors::v3::CorsPolicy;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::envoy::r#type::v3 as kind;

use super::super::{bool_value, millis};
use crate::ir::group_id::GroupId;
use crate::ir::route::{Cors, HashKey, RateLimitAction, RateLimitEntry};

pub(super) fn percent(numerator: u32) -> kind::FractionalPercent {
    kind::FractionalPercent {
        numerator,
        denominator: kind::fractional_percent::DenominatorType::Hundred as i32,
    }
}

pub(super) fn mirror(cluster: &str, share: u32) -> pb::route_action::RequestMirrorPolicy {
    pb::route_action::RequestMirrorPolicy {
        cluster: cluster.to_owned(),
        runtime_fraction: Some(core::RuntimeFractionalPercent {
            default_value: Some(percent(share)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) fn hash_policy(key: &HashKey) -> pb::route_action::HashPolicy {
    use pb::route_action::hash_policy as hash;
    let specifier = match key {
        HashKey::Cookie { name, path, ttl_ms } => hash::PolicySpecifier::Cookie(hash::Cookie {
            name: name.clone(),
            path: path.clone().unwrap_or_default(),
            ttl: ttl_ms.and_then(millis),
            ..Default::default()
        }),
        HashKey::Header(name) => hash::PolicySpecifier::Header(hash::Header {
            header_name: name.clone(),
            ..Default::default()
        }),
        HashKey::SourceIp => {
            hash::PolicySpecifier::ConnectionProperties(hash::ConnectionProperties {
                source_ip: true,
            })
        }
    };
    pb::route_action::HashPolicy { policy_specifier: Some(specifier), ..Default::default() }
}

pub(super) fn rate_limit(entry: &RateLimitEntry) -> pb::RateLimit {
    use pb::rate_limit::action::{self, ActionSpecifier};
    let actions = entry
        .actions
        .iter()
        .map(|item| {
            let specifier = match item {
                RateLimitAction::SourceCluster => {
                    ActionSpecifier::SourceCluster(action::SourceCluster {})
                }
                RateLimitAction::DestinationCluster => {
                    ActionSpecifier::DestinationCluster(action::DestinationCluster {})
                }
                RateLimitAction::RemoteAddress => {
                    ActionSpecifier::RemoteAddress(action::RemoteAddress {})
                }
                RateLimitAction::GenericKey { key, value } => {
                    ActionSpecifier::GenericKey(action::GenericKey {
                        descriptor_key: key.clone(),
                        descriptor_value: value.clone(),
                        ..Default::default()
                    })
                }
                RateLimitAction::RequestHeader { key, header, skip_if_absent } => {
                    ActionSpecifier::RequestHeaders(action::RequestHeaders {
                        descriptor_key: key.clone(),
                        header_name: header.clone(),
                        skip_if_absent: *skip_if_absent,
                    })
                }
            };
            pb::rate_limit::Action { action_specifier: Some(specifier) }
        })
        .collect();
    pb::RateLimit { actions, ..Default::default() }
}

pub(super) fn cors_policy(cors: &Cors, group: GroupId) -> CorsPolicy {
    let origins = cors.origins.iter().map(|origin| {
        use matcher::string_matcher::MatchPattern;
        let pattern = if origin == "*" {
            MatchPattern::SafeRegex(matcher::RegexMatcher {
                regex: ".*".to_owned(),
                ..Default::default()
            })
        } else {
            MatchPattern::Exact(origin.clone())
        };
        matcher::StringMatcher { match_pattern: Some(pattern), ..Default::default() }
    });
    CorsPolicy {
        allow_origin_string_match: origins.collect(),
        allow_methods: cors.methods.clone(),
        allow_headers: cors.headers.clone(),
        expose_headers: cors.exposed_headers.clone(),
        max_age: cors.max_age.clone(),
        allow_credentials: if cors.credentials { bool_value(true) } else { None },
        filter_enabled: Some(core::RuntimeFractionalPercent {
            default_value: Some(percent(100)),
            runtime_key: format!("routing.cors_enabled.{group}"),
        }),
        ..Default::default()
    }
}
