//! Routes.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::http::cors::v3::CorsPolicy;
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3 as ext_authz;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::envoy::r#type::v3 as kind;
use envoy_types::pb::google::protobuf::Any;
use prost::Message;

use super::{any, any_encoded, append_any_map, append_encoded, append_text_map};
use super::{bool_value, error_response, http_filter, millis, u32_value};
use crate::ir::group_id::GroupId;
use crate::ir::route::{
    Action, AuthOverride, Cors, Forward, HashKey, HeaderEdit, HostRewrite, NamedMatch, PathMatch,
    PathRewrite, RateLimitAction, RateLimitEntry, Redirect, RedirectPath, Retry, Route, RouteMatch,
    TextMatch,
};
use crate::ir::service::Scheme;

/// `Route.typed_per_filter_config`.
const PER_FILTER: u32 = 13;
/// `CheckSettings.context_extensions`.
const CONTEXT_EXTENSIONS: u32 = 1;
/// `ExtAuthzPerRoute.check_settings`.
const CHECK_SETTINGS: u32 = 2;

/// Encodes one route.
pub(crate) fn encode(route: &Route) -> Vec<u8> {
    let message = pb::Route {
        name: route.name.clone(),
        r#match: Some(route_match(&route.matches, route)),
        request_headers_to_add: header_edits(&route.add_request_headers),
        request_headers_to_remove: route.remove_request_headers.clone(),
        response_headers_to_add: header_edits(&route.add_response_headers),
        response_headers_to_remove: route.remove_response_headers.clone(),
        action: Some(match &route.action {
            Action::Forward(forward) => {
                pb::route::Action::Route(forward_action(forward, &route.matches))
            }
            Action::Redirect(redirect) => {
                pb::route::Action::Redirect(redirect_action(redirect, &route.matches))
            }
        }),
        ..Default::default()
    };
    let mut filters: Vec<(&str, Any)> = Vec::new();
    if let Some((cors, group)) = &route.cors {
        filters.push((http_filter::CORS, any(&cors_policy(cors, *group))));
    }
    if let Some(auth) = auth_override(&route.auth) {
        filters.push((http_filter::EXT_AUTHZ, auth));
    }
    filters.extend(error_response::on_route(&route.errors));
    let mut encoded = message.encode_to_vec();
    append_any_map(PER_FILTER, filters, &mut encoded);
    encoded
}

fn route_match(matches: &RouteMatch, route: &Route) -> pb::RouteMatch {
    pb::RouteMatch {
        case_sensitive: if matches.case_sensitive { None } else { bool_value(false) },
        runtime_fraction: route.share.as_ref().filter(|share| share.percent < 100).map(|share| {
            core::RuntimeFractionalPercent {
                default_value: Some(percent(share.percent)),
                runtime_key: match &route.action {
                    Action::Forward(forward) => {
                        format!("routing.traffic_shift.{}", forward.cluster)
                    }
                    _ => String::new(),
                },
            }
        }),
        headers: matches.headers.iter().filter_map(header_match).collect(),
        query_parameters: matches.queries.iter().map(query_match).collect(),
        path_specifier: Some(match &matches.path {
            PathMatch::Prefix(prefix) => pb::route_match::PathSpecifier::Prefix(prefix.clone()),
            PathMatch::Exact(path) => pb::route_match::PathSpecifier::Path(path.clone()),
            PathMatch::Regex(pattern) => pb::route_match::PathSpecifier::SafeRegex(regex(pattern)),
        }),
        ..Default::default()
    }
}

/// RE2's program size is limited by runtime keys of the bootstrap, not by the
/// deprecated field that Emissary sets.
fn regex(pattern: &str) -> matcher::RegexMatcher {
    matcher::RegexMatcher { regex: pattern.to_owned(), ..Default::default() }
}

fn text_match(text: &TextMatch) -> Option<matcher::StringMatcher> {
    use matcher::string_matcher::MatchPattern;
    let pattern = match text {
        TextMatch::Exact(value) => MatchPattern::Exact(value.clone()),
        TextMatch::Regex(value) => MatchPattern::SafeRegex(regex(value)),
        TextMatch::Prefix(value) => MatchPattern::Prefix(value.clone()),
        TextMatch::Suffix(value) => MatchPattern::Suffix(value.clone()),
        TextMatch::Any => return None,
    };
    Some(matcher::StringMatcher { match_pattern: Some(pattern), ..Default::default() })
}

fn header_match(header: &NamedMatch) -> Option<pb::HeaderMatcher> {
    use pb::header_matcher::HeaderMatchSpecifier;
    Some(pb::HeaderMatcher {
        name: header.name.clone(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(text_match(&header.value)?)),
        ..Default::default()
    })
}

fn query_match(query: &NamedMatch) -> pb::QueryParameterMatcher {
    use pb::query_parameter_matcher::QueryParameterMatchSpecifier;
    pb::QueryParameterMatcher {
        name: query.name.clone(),
        query_parameter_match_specifier: Some(match text_match(&query.value) {
            Some(text) => QueryParameterMatchSpecifier::StringMatch(text),
            None => QueryParameterMatchSpecifier::PresentMatch(true),
        }),
    }
}

pub(super) fn header_edits(edits: &[HeaderEdit]) -> Vec<core::HeaderValueOption> {
    use core::header_value_option::HeaderAppendAction;
    edits
        .iter()
        .map(|edit| core::HeaderValueOption {
            header: Some(core::HeaderValue {
                key: edit.name.clone(),
                value: edit.value.clone(),
                ..Default::default()
            }),
            append_action: if edit.append {
                HeaderAppendAction::AppendIfExistsOrAdd as i32
            } else {
                HeaderAppendAction::OverwriteIfExistsOrAdd as i32
            },
            keep_empty_value: edit.value.is_empty(),
            ..Default::default()
        })
        .collect()
}

fn rewrite(pattern: &str, substitution: &str) -> matcher::RegexMatchAndSubstitute {
    matcher::RegexMatchAndSubstitute {
        pattern: Some(regex(pattern)),
        substitution: substitution.to_owned(),
    }
}

fn forward_action(forward: &Forward, matches: &RouteMatch) -> pb::RouteAction {
    use pb::route_action::{ClusterSpecifier, HostRewriteSpecifier, UpgradeConfig};
    let (prefix_rewrite, regex_rewrite) = match (&forward.path, &matches.path) {
        (PathRewrite::Keep, _) => (String::new(), None),
        // Envoy has no prefix to replace in a regex match: the whole path is.
        (PathRewrite::Prefix(text), PathMatch::Regex(pattern)) => {
            (String::new(), Some(rewrite(pattern, &literal(text))))
        }
        (PathRewrite::Prefix(text), _) => (text.clone(), None),
        (PathRewrite::Regex { pattern, substitution }, _) => {
            (String::new(), Some(rewrite(pattern, substitution)))
        }
    };
    pb::RouteAction {
        prefix_rewrite,
        regex_rewrite,
        timeout: millis(forward.timeout_ms),
        idle_timeout: forward.idle_timeout_ms.and_then(millis),
        retry_policy: forward.retry.as_ref().map(|retry| retry_policy(retry)),
        request_mirror_policies: forward
            .mirror
            .iter()
            .map(|(cluster, share)| mirror(cluster, *share))
            .collect(),
        priority: i32::from(forward.high_priority),
        rate_limits: forward.rate_limits.iter().map(rate_limit).collect(),
        hash_policy: forward.hash.iter().map(hash_policy).collect(),
        upgrade_configs: forward
            .upgrades
            .iter()
            .map(|name| UpgradeConfig { upgrade_type: name.clone(), ..Default::default() })
            .collect(),
        cluster_specifier: Some(ClusterSpecifier::Cluster(forward.cluster.to_string())),
        host_rewrite_specifier: match &forward.host {
            HostRewrite::Keep => None,
            HostRewrite::Literal(host) => {
                Some(HostRewriteSpecifier::HostRewriteLiteral(host.clone()))
            }
            HostRewrite::Auto => bool_value(true).map(HostRewriteSpecifier::AutoHostRewrite),
        },
        ..Default::default()
    }
}

/// Escapes a text so that a substitution yields it as it is.
fn literal(text: &str) -> String {
    text.replace('\\', "\\\\")
}

fn redirect_action(redirect: &Redirect, matches: &RouteMatch) -> pb::RedirectAction {
    use pb::redirect_action::{
        PathRewriteSpecifier, RedirectResponseCode as Code, SchemeRewriteSpecifier,
    };
    let code = match redirect.code {
        302 => Code::Found,
        303 => Code::SeeOther,
        307 => Code::TemporaryRedirect,
        308 => Code::PermanentRedirect,
        _ => Code::MovedPermanently,
    };
    pb::RedirectAction {
        host_redirect: redirect.host.clone(),
        response_code: code as i32,
        scheme_rewrite_specifier: redirect.scheme.map(|scheme| match scheme {
            Scheme::Https => SchemeRewriteSpecifier::HttpsRedirect(true),
            Scheme::Http => SchemeRewriteSpecifier::SchemeRedirect("http".to_owned()),
        }),
        path_rewrite_specifier: match (&redirect.path, &matches.path) {
            (RedirectPath::Keep, _) => None,
            (RedirectPath::Whole(path), _) => {
                Some(PathRewriteSpecifier::PathRedirect(path.clone()))
            }
            (RedirectPath::Prefix(text), PathMatch::Regex(pattern)) => {
                Some(PathRewriteSpecifier::RegexRewrite(rewrite(pattern, &literal(text))))
            }
            (RedirectPath::Prefix(text), _) => {
                Some(PathRewriteSpecifier::PrefixRewrite(text.clone()))
            }
            (RedirectPath::Regex { pattern, substitution }, _) => {
                Some(PathRewriteSpecifier::RegexRewrite(rewrite(pattern, substitution)))
            }
        },
        ..Default::default()
    }
}

fn retry_policy(retry: &Retry) -> pb::RetryPolicy {
    pb::RetryPolicy {
        retry_on: retry.retry_on.clone(),
        num_retries: retry.num_retries.and_then(u32_value),
        per_try_timeout: retry.per_try_timeout_ms.and_then(millis),
        ..Default::default()
    }
}

fn percent(numerator: u32) -> kind::FractionalPercent {
    kind::FractionalPercent {
        numerator,
        denominator: kind::fractional_percent::DenominatorType::Hundred as i32,
    }
}

fn mirror(cluster: &str, share: u32) -> pb::route_action::RequestMirrorPolicy {
    pb::route_action::RequestMirrorPolicy {
        cluster: cluster.to_owned(),
        runtime_fraction: Some(core::RuntimeFractionalPercent {
            default_value: Some(percent(share)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn hash_policy(key: &HashKey) -> pb::route_action::HashPolicy {
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

fn rate_limit(entry: &RateLimitEntry) -> pb::RateLimit {
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

fn cors_policy(cors: &Cors, group: GroupId) -> CorsPolicy {
    let origins = cors.origins.iter().map(|origin| {
        use matcher::string_matcher::MatchPattern;
        let pattern = if origin == "*" {
            MatchPattern::SafeRegex(regex(".*"))
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

fn auth_override(auth: &AuthOverride) -> Option<Any> {
    match auth {
        AuthOverride::Inherit => None,
        AuthOverride::Disabled => Some(any(&ext_authz::ExtAuthzPerRoute {
            r#override: Some(ext_authz::ext_authz_per_route::Override::Disabled(true)),
        })),
        AuthOverride::Context(pairs) => {
            let mut settings = Vec::new();
            append_text_map(CONTEXT_EXTENSIONS, pairs, &mut settings);
            let mut encoded = Vec::new();
            append_encoded(CHECK_SETTINGS, &settings, &mut encoded);
            Some(any_encoded::<ext_authz::ExtAuthzPerRoute>(encoded))
        }
    }
}
