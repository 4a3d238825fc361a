//! When a route applies: `envoy.config.route.v3.RouteMatch`.

use envoy_types::pb::envoy::config::core::v3 as core;

use super::super::append_message;
use super::super::wire::{nested, number, plain_text, text};
use super::extras::percent;
use crate::ir::route::{Action, NamedMatch, PathMatch, Route, TextMatch};

/// Fields of `RouteMatch`.
const PREFIX: u32 = 1;
const PATH: u32 = 2;
const SAFE_REGEX: u32 = 10;
const CASE_SENSITIVE: u32 = 4;
const HEADERS: u32 = 6;
const QUERY_PARAMETERS: u32 = 7;
const RUNTIME_FRACTION: u32 = 9;
/// Fields of `HeaderMatcher` and of `QueryParameterMatcher`.
const NAME: u32 = 1;
const HEADER_STRING_MATCH: u32 = 13;
const QUERY_STRING_MATCH: u32 = 5;
const QUERY_PRESENT_MATCH: u32 = 6;
/// Fields of `envoy.type.matcher.v3.StringMatcher`.
const TEXT_EXACT: u32 = 1;
const TEXT_PREFIX: u32 = 2;
const TEXT_SUFFIX: u32 = 3;
const TEXT_SAFE_REGEX: u32 = 5;
/// `envoy.type.matcher.v3.RegexMatcher.regex`.
const REGEX: u32 = 2;

/// Appends the fields of a route's match. A oneof stands where its first tag
/// would.
pub(super) fn encode(route: &Route, out: &mut Vec<u8>) {
    let matches = &route.matches;
    match &matches.path {
        PathMatch::Prefix(prefix) => text(PREFIX, prefix, out),
        PathMatch::Exact(path) => text(PATH, path, out),
        PathMatch::Regex(pattern) => regex(SAFE_REGEX, pattern, out),
    }
    if !matches.case_sensitive {
        nested(CASE_SENSITIVE, out, |_no| ());
    }
    matches.headers.iter().for_each(|header| header_match(header, out));
    matches.queries.iter().for_each(|query| query_match(query, out));
    if let Some(share) = route.share.as_ref().filter(|share| share.percent < 100) {
        let fraction = core::RuntimeFractionalPercent {
            default_value: Some(percent(share.percent)),
            runtime_key: match &route.action {
                Action::Forward(forward) => format!("routing.traffic_shift.{}", forward.cluster),
                Action::Redirect(_) => String::new(),
            },
        };
        append_message(RUNTIME_FRACTION, &fraction, out);
    }
}

fn header_match(header: &NamedMatch, out: &mut Vec<u8>) {
    if header.value == TextMatch::Any {
        return;
    }
    nested(HEADERS, out, |out| {
        plain_text(NAME, &header.name, out);
        nested(HEADER_STRING_MATCH, out, |out| text_match(&header.value, out));
    });
}

fn query_match(query: &NamedMatch, out: &mut Vec<u8>) {
    nested(QUERY_PARAMETERS, out, |out| {
        plain_text(NAME, &query.name, out);
        match query.value {
            TextMatch::Any => number(QUERY_PRESENT_MATCH, 1, out),
            _ => nested(QUERY_STRING_MATCH, out, |out| text_match(&query.value, out)),
        }
    });
}

/// Appends the fields of a `StringMatcher`; there is none for any text.
fn text_match(value: &TextMatch, out: &mut Vec<u8>) {
    match value {
        TextMatch::Exact(value) => text(TEXT_EXACT, value, out),
        TextMatch::Regex(value) => regex(TEXT_SAFE_REGEX, value, out),
        TextMatch::Prefix(value) => text(TEXT_PREFIX, value, out),
        TextMatch::Suffix(value) => text(TEXT_SUFFIX, value, out),
        TextMatch::Any => {}
    }
}

/// Appends a `RegexMatcher`. RE2's program size is limited by runtime keys of
/// the bootstrap, not by the deprecated field that Emissary sets.
pub(super) fn regex(tag: u32, pattern: &str, out: &mut Vec<u8>) {
    nested(tag, out, |out| plain_text(REGEX, pattern, out));
}
