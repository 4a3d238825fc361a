//! The routes of a virtual host that Envoy tries for one path, whether they
//! stand in a list or in a tree.

use std::borrow::Cow;

use envoy_types::pb::envoy::config::route::v3::{Route, RouteList, VirtualHost};
use envoy_types::pb::xds::r#type::matcher::v3::matcher::matcher_tree::TreeType;
use envoy_types::pb::xds::r#type::matcher::v3::matcher::{MatcherType, OnMatch, on_match};
use prost::Message as _;

use super::Seen;

/// Returns the routes in the order in which Envoy tries them.
pub(super) fn routes<'a>(host: &'a VirtualHost, seen: &Seen) -> Cow<'a, [Route]> {
    let Some(matcher) = &host.matcher else { return Cow::Borrowed(&host.routes) };
    let tree = match &matcher.matcher_type {
        Some(MatcherType::MatcherTree(tree)) => tree.tree_type.as_ref(),
        _ => None,
    };
    // The tree looks at the path with its query.
    let path = format!("{}{}", seen.path, seen.query);
    let longest = match tree {
        Some(TreeType::PrefixMatchMap(keys)) => keys
            .map
            .iter()
            .filter(|(key, _)| path.starts_with(key.as_str()))
            .max_by_key(|(key, _)| key.len())
            .map(|(_, found)| found),
        _ => None,
    };
    let found = longest.or(matcher.on_no_match.as_deref());
    Cow::Owned(found.map(list).unwrap_or_default())
}

fn list(found: &OnMatch) -> Vec<Route> {
    let Some(on_match::OnMatch::Action(action)) = &found.on_match else { return Vec::new() };
    let Some(any) = &action.typed_config else { return Vec::new() };
    RouteList::decode(any.value.as_slice()).map(|list| list.routes).unwrap_or_default()
}
