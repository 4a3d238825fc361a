//! The tree as bytes, with the routes' encodings spliced in.
//!
//! The generated messages would copy every route four times, and their map has
//! no order. The list of each key is encoded by itself, so that a changed route
//! costs no more than the lists it stands in.

use super::super::wire::{field_len, head, text};

/// `envoy.config.route.v3.VirtualHost.matcher`.
const MATCHER: u32 = 21;
/// `xds.type.matcher.v3.Matcher.matcher_tree`.
const MATCHER_TREE: u32 = 2;
/// `xds.type.matcher.v3.Matcher.on_no_match`.
const ON_NO_MATCH: u32 = 3;
/// `xds.type.matcher.v3.Matcher.MatcherTree.input`.
const INPUT: u32 = 1;
/// `xds.type.matcher.v3.Matcher.MatcherTree.prefix_match_map`.
const PREFIX_MATCH_MAP: u32 = 3;
/// `xds.type.matcher.v3.Matcher.MatcherTree.MatchMap.map`.
const MAP: u32 = 1;
/// Key of an entry of a map field.
const KEY: u32 = 1;
/// Value of an entry of a map field.
const VALUE: u32 = 2;
/// `xds.type.matcher.v3.Matcher.OnMatch.action`.
const ACTION: u32 = 2;
/// `envoy.config.route.v3.RouteList.routes`.
pub(super) const ROUTES: u32 = 1;
/// `xds.core.v3.TypedExtensionConfig.name`, and its `typed_config`.
const NAME: u32 = 1;
const TYPED_CONFIG: u32 = 2;
/// `google.protobuf.Any.type_url`, and its `value`.
const TYPE_URL: u32 = 1;
const ANY_VALUE: u32 = 2;
/// `envoy.type.matcher.v3.HttpRequestHeaderMatchInput.header_name`.
const HEADER_NAME: u32 = 1;

const INPUT_URL: &str = "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput";
const LIST_URL: &str = "type.googleapis.com/envoy.config.route.v3.RouteList";
const PATH: &str = ":path";

/// Returns the length of what [`append_list`] appends.
pub(crate) fn list_len<'a>(tag: u32, routes: impl Iterator<Item = &'a [u8]>) -> usize {
    routes.map(|route| field_len(tag, route.len())).sum()
}

/// Appends routes as the repeated field `tag` of a message, in the given order.
pub(crate) fn append_list<'a>(
    tag: u32,
    routes: impl Iterator<Item = &'a [u8]> + Clone,
    out: &mut Vec<u8>,
) {
    out.reserve(list_len(tag, routes.clone()));
    for route in routes {
        head(tag, route.len(), out);
        out.extend_from_slice(route);
    }
}

/// Lengths of the messages around the lists.
struct Lengths {
    header: usize,
    input: usize,
    tree: usize,
    matcher: usize,
}

impl Lengths {
    /// Of a map of this length, and the list of the empty key.
    fn new(map: usize, rest: &[u8]) -> Self {
        let header = field_len(HEADER_NAME, PATH.len());
        let input = extension_len("path", INPUT_URL, header);
        let tree = field_len(INPUT, input) + field_len(PREFIX_MATCH_MAP, map);
        let fallback =
            if rest.is_empty() { 0 } else { field_len(ON_NO_MATCH, on_match_len(rest.len())) };
        Self { header, input, tree, matcher: field_len(MATCHER_TREE, tree) + fallback }
    }
}

/// Returns the length of the whole field `matcher`.
pub(super) fn matcher_len(map: usize, rest: &[u8]) -> usize {
    field_len(MATCHER, Lengths::new(map, rest).matcher)
}

/// Appends the field `matcher` up to the entries of the map, which are `map`
/// bytes long.
pub(super) fn begin_matcher(map: usize, rest: &[u8], out: &mut Vec<u8>) {
    let Lengths { header, input, tree, matcher } = Lengths::new(map, rest);
    head(MATCHER, matcher, out);
    head(MATCHER_TREE, tree, out);
    head(INPUT, input, out);
    extension_head("path", INPUT_URL, header, out);
    text(HEADER_NAME, PATH, out);
    head(PREFIX_MATCH_MAP, map, out);
}

/// Appends what comes behind the map: the list of the empty key, encoded.
pub(super) fn end_matcher(rest: &[u8], out: &mut Vec<u8>) {
    if !rest.is_empty() {
        head(ON_NO_MATCH, on_match_len(rest.len()), out);
        begin_on_match(rest.len(), out);
        out.extend_from_slice(rest);
    }
}

/// Appends an entry of the map: a key and the routes of its list.
pub(super) fn append_entry<'a>(
    key: &str,
    routes: impl Iterator<Item = &'a [u8]> + Clone,
    out: &mut Vec<u8>,
) {
    let list = list_len(ROUTES, routes.clone());
    let length = field_len(KEY, key.len()) + field_len(VALUE, on_match_len(list));
    head(MAP, length, out);
    text(KEY, key, out);
    head(VALUE, on_match_len(list), out);
    begin_on_match(list, out);
    append_list(ROUTES, routes, out);
}

/// Returns the length of a `Matcher.OnMatch` whose action is a `RouteList` of
/// this length.
fn on_match_len(list: usize) -> usize {
    field_len(ACTION, extension_len("routes", LIST_URL, list))
}

fn begin_on_match(list: usize, out: &mut Vec<u8>) {
    head(ACTION, extension_len("routes", LIST_URL, list), out);
    extension_head("routes", LIST_URL, list, out);
}

/// Returns the length of a `TypedExtensionConfig` around a message.
fn extension_len(name: &str, url: &str, message: usize) -> usize {
    field_len(NAME, name.len()) + field_len(TYPED_CONFIG, any_len(url, message))
}

fn any_len(url: &str, message: usize) -> usize {
    field_len(TYPE_URL, url.len()) + field_len(ANY_VALUE, message)
}

/// Writes a `TypedExtensionConfig` up to the message inside.
fn extension_head(name: &str, url: &str, message: usize, out: &mut Vec<u8>) {
    text(NAME, name, out);
    head(TYPED_CONFIG, any_len(url, message), out);
    text(TYPE_URL, url, out);
    head(ANY_VALUE, message, out);
}
