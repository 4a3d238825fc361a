//! The tree as bytes, with the routes' encodings spliced in.
//!
//! Lengths are summed from the inside out, then everything is written once.
//! The generated messages would copy every route four times, and their map has
//! no order.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use super::{Leaf, RouteEntry};

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
const ROUTES: u32 = 1;
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

pub(super) fn append_matcher(leaves: &[Leaf], routes: &[RouteEntry<'_>], out: &mut Vec<u8>) {
    let (rest, keyed) = leaves.split_first().expect("the leaf of the empty key always exists");
    let rest = OnMatch::new(rest, routes);
    let keyed: Vec<OnMatch<'_>> = keyed.iter().map(|leaf| OnMatch::new(leaf, routes)).collect();

    let header = field_len(HEADER_NAME, PATH.len());
    let input = extension_len("path", INPUT_URL, header);
    let map: usize = keyed.iter().map(|on| field_len(MAP, on.entry())).sum();
    let tree = field_len(INPUT, input) + field_len(PREFIX_MATCH_MAP, map);
    let fallback = if rest.list == 0 { 0 } else { field_len(ON_NO_MATCH, rest.length()) };
    let matcher = field_len(MATCHER_TREE, tree) + fallback;

    out.reserve(field_len(MATCHER, matcher));
    head(MATCHER, matcher, out);
    head(MATCHER_TREE, tree, out);
    head(INPUT, input, out);
    extension_head("path", INPUT_URL, header, out);
    text(HEADER_NAME, PATH, out);
    head(PREFIX_MATCH_MAP, map, out);
    for on in &keyed {
        head(MAP, on.entry(), out);
        text(KEY, &on.leaf.key, out);
        head(VALUE, on.length(), out);
        on.write(routes, out);
    }
    if rest.list != 0 {
        head(ON_NO_MATCH, rest.length(), out);
        rest.write(routes, out);
    }
}

/// A `Matcher.OnMatch` whose action is the `RouteList` of a leaf.
struct OnMatch<'a> {
    leaf: &'a Leaf,
    /// Length of the encoded `RouteList`.
    list: usize,
}

impl<'a> OnMatch<'a> {
    fn new(leaf: &'a Leaf, routes: &[RouteEntry<'_>]) -> Self {
        let length = |route: &usize| field_len(ROUTES, routes[*route].encoded.len());
        Self { leaf, list: leaf.routes.iter().map(length).sum() }
    }

    fn length(&self) -> usize {
        field_len(ACTION, extension_len("routes", LIST_URL, self.list))
    }

    /// Length of the entry of the map.
    fn entry(&self) -> usize {
        field_len(KEY, self.leaf.key.len()) + field_len(VALUE, self.length())
    }

    fn write(&self, routes: &[RouteEntry<'_>], out: &mut Vec<u8>) {
        head(ACTION, extension_len("routes", LIST_URL, self.list), out);
        extension_head("routes", LIST_URL, self.list, out);
        for route in &self.leaf.routes {
            let encoded = routes[*route].encoded;
            head(ROUTES, encoded.len(), out);
            out.extend_from_slice(encoded);
        }
    }
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

fn field_len(tag: u32, length: usize) -> usize {
    key_len(tag) + encoded_len_varint(length as u64) + length
}

fn head(tag: u32, length: usize, out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

fn text(tag: u32, text: &str, out: &mut Vec<u8>) {
    head(tag, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}
