//! What a route does to a request that it takes.

use envoy_types::pb::envoy::config::core::v3::HeaderValueOption;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::route::v3::rate_limit::action::ActionSpecifier;
use envoy_types::pb::envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, SchemeRewriteSpecifier,
};
use envoy_types::pb::envoy::config::route::v3::route::Action as RouteAction;
use envoy_types::pb::envoy::config::route::v3::route_action::{
    ClusterSpecifier, HostRewriteSpecifier,
};
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::{self as pb, Route, RouteConfiguration};
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3::{
    ExtAuthzPerRoute, ext_authz_per_route,
};
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;
use prost::Message as _;
use regex::Regex;

use super::{Action, HeaderEdit, Outcome, Seen, vhost};

/// Returns what a route of a configuration does to a request.
pub(super) fn outcome(
    configuration: &RouteConfiguration,
    route: &Route,
    share: u32,
    seen: &Seen,
) -> Outcome {
    let (action, limits) = match &route.action {
        Some(RouteAction::Route(forward)) => {
            (forwarded(route, forward, seen), forward.rate_limits.as_slice())
        }
        Some(RouteAction::Redirect(redirect)) => (redirected(route, redirect, seen), &[][..]),
        Some(RouteAction::DirectResponse(response)) => {
            let status = u16::try_from(response.status).unwrap_or(500);
            (Action::Respond { status }, &[][..])
        }
        _ => (Action::Respond { status: 500 }, &[][..]),
    };
    let cluster = match &action {
        Action::Forward { cluster, .. } => cluster.as_str(),
        _ => "",
    };
    let descriptors = limits.iter().filter_map(|limit| descriptor(limit, cluster, seen)).collect();
    let request_headers = match &action {
        Action::Forward { .. } => {
            edits(&route.request_headers_to_remove, &route.request_headers_to_add)
        }
        _ => Vec::new(),
    };
    let mut response_headers =
        edits(&route.response_headers_to_remove, &route.response_headers_to_add);
    response_headers.extend(edits(
        &configuration.response_headers_to_remove,
        &configuration.response_headers_to_add,
    ));
    Outcome {
        request_headers,
        response_headers,
        route: vhost::label(route),
        share,
        disabled_filters: disabled(route),
        descriptors,
        action,
    }
}

fn forwarded(route: &Route, forward: &pb::RouteAction, seen: &Seen) -> Action {
    let cluster = match &forward.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => name.clone(),
        Some(ClusterSpecifier::WeightedClusters(weighted)) => {
            let named = |part: &pb::weighted_cluster::ClusterWeight| {
                format!("{}*{}", part.name, part.weight.unwrap_or_default().value)
            };
            weighted.clusters.iter().map(named).collect::<Vec<_>>().join(" + ")
        }
        _ => String::new(),
    };
    let authority = match &forward.host_rewrite_specifier {
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => Some(host.clone()),
        Some(HostRewriteSpecifier::AutoHostRewrite(value)) if value.value => None,
        _ => Some(seen.authority.clone()),
    };
    let path = match &forward.regex_rewrite {
        Some(rewrite) => substitute(rewrite, &seen.path),
        None if forward.prefix_rewrite.is_empty() => seen.path.clone(),
        None => replace_matched(route, &forward.prefix_rewrite, &seen.path),
    };
    Action::Forward { cluster, authority, path: format!("{path}{}", seen.query) }
}

fn redirected(route: &Route, redirect: &pb::RedirectAction, seen: &Seen) -> Action {
    let status = [301, 302, 303, 307, 308]
        .get(usize::try_from(redirect.response_code).unwrap_or_default())
        .copied()
        .unwrap_or(301);
    let was = seen.header(":scheme").unwrap_or_else(|| "http".to_owned());
    let scheme = match &redirect.scheme_rewrite_specifier {
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => "https",
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => scheme,
        _ => &was,
    };
    let mut host = match redirect.host_redirect.is_empty() {
        true => seen.authority.clone(),
        false => redirect.host_redirect.clone(),
    };
    // A port that was the default of the old scheme makes no sense to the new.
    // The old scheme is what `x-forwarded-proto` says, letter by letter.
    let proto = seen.header("x-forwarded-proto").unwrap_or_default();
    let default = match proto.to_ascii_lowercase().as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => "",
    };
    if scheme != proto && redirect.host_redirect.is_empty() {
        host = host.strip_suffix(default).unwrap_or(&host).to_owned();
    }
    if redirect.port_redirect != 0 {
        let bare = super::path::without_port_if(&host, |_| true);
        host = format!("{bare}:{}", redirect.port_redirect);
    }
    let query = if redirect.strip_query { "" } else { seen.query.as_str() };
    let target = match &redirect.path_rewrite_specifier {
        None => format!("{}{query}", seen.path),
        Some(
            PathRewriteSpecifier::PathRedirect(path) | PathRewriteSpecifier::PathRewrite(path),
        ) => match path.contains('?') {
            true => path.clone(),
            false => format!("{path}{query}"),
        },
        Some(PathRewriteSpecifier::PrefixRewrite(text)) => {
            format!("{}{query}", replace_matched(route, text, &seen.path))
        }
        Some(PathRewriteSpecifier::RegexRewrite(rewrite)) => {
            format!("{}{query}", substitute(rewrite, &seen.path))
        }
    };
    Action::Redirect { status, location: format!("{scheme}://{host}{target}") }
}

/// Replaces what the route matched: the prefix, or the whole path where the
/// route names it by text or pattern.
fn replace_matched(route: &Route, text: &str, path: &str) -> String {
    let matched = match route.r#match.as_ref().and_then(|matches| matches.path_specifier.as_ref()) {
        Some(PathSpecifier::Prefix(prefix) | PathSpecifier::PathSeparatedPrefix(prefix)) => {
            prefix.len()
        }
        _ => path.len(),
    };
    format!("{text}{}", path.get(matched..).unwrap_or_default())
}

/// Replaces every match of a pattern, `\1` standing for its first group.
fn substitute(rewrite: &RegexMatchAndSubstitute, path: &str) -> String {
    let pattern = rewrite.pattern.as_ref().map_or("", |pattern| pattern.regex.as_str());
    let Ok(regex) = Regex::new(pattern) else { return path.to_owned() };
    let expand = |captures: &regex::Captures<'_>| {
        let mut out = String::new();
        let mut rest = rewrite.substitution.chars();
        while let Some(character) = rest.next() {
            match (character, if character == '\\' { rest.next() } else { None }) {
                ('\\', Some(escaped)) => match escaped.to_digit(10) {
                    Some(group) => {
                        let group = captures.get(group as usize);
                        out.push_str(group.map_or("", |group| group.as_str()));
                    }
                    None => out.push(escaped),
                },
                (plain, _) => out.push(plain),
            }
        }
        out
    };
    regex.replace_all(path, expand).into_owned()
}

/// Returns the edits of one level; Envoy takes away before it adds.
fn edits(removed: &[String], added: &[HeaderValueOption]) -> Vec<HeaderEdit> {
    let remove = removed.iter().map(|name| HeaderEdit::Remove { name: name.clone() });
    let add = added.iter().filter_map(|option| {
        let header = option.header.as_ref()?;
        let (name, value) = (header.key.clone(), header.value.clone());
        Some(match option.append_action() {
            HeaderAppendAction::AppendIfExistsOrAdd => HeaderEdit::Append { name, value },
            _ => HeaderEdit::Set { name, value },
        })
    });
    remove.chain(add).collect()
}

/// Returns one descriptor, or nothing when Envoy would send none.
fn descriptor(limit: &pb::RateLimit, cluster: &str, seen: &Seen) -> Option<Vec<(String, String)>> {
    let mut entries = Vec::new();
    for action in &limit.actions {
        let entry = match action.action_specifier.as_ref()? {
            ActionSpecifier::SourceCluster(_) => ("source_cluster", "(this gateway)".into()),
            ActionSpecifier::DestinationCluster(_) => ("destination_cluster", cluster.to_owned()),
            ActionSpecifier::RemoteAddress(_) => ("remote_address", "(the client)".into()),
            ActionSpecifier::GenericKey(key) => {
                let name = match key.descriptor_key.as_str() {
                    "" => "generic_key",
                    name => name,
                };
                (name, key.descriptor_value.clone())
            }
            ActionSpecifier::RequestHeaders(header) => match seen.header(&header.header_name) {
                Some(value) => (header.descriptor_key.as_str(), value),
                None if header.skip_if_absent => continue,
                None => return None,
            },
            _ => return None,
        };
        entries.push((entry.0.to_owned(), entry.1));
    }
    Some(entries)
}

/// Returns the filters that a route turns off.
fn disabled(route: &Route) -> Vec<String> {
    let mut names: Vec<_> = route
        .typed_per_filter_config
        .iter()
        .filter(|(_, any)| any.type_url.ends_with(".ExtAuthzPerRoute"))
        .filter(|(_, any)| {
            let config = ExtAuthzPerRoute::decode(any.value.as_slice()).unwrap_or_default();
            matches!(config.r#override, Some(ext_authz_per_route::Override::Disabled(true)))
        })
        .map(|(name, _)| name.clone())
        .collect();
    names.sort();
    names
}
