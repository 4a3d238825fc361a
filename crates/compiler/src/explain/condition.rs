//! Conditions of routes: whether they hold, and how to say them.

use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, QueryParameterMatcher, RouteMatch};
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use regex::Regex;

use super::Seen;

/// One condition of a route.
#[derive(Debug, Clone, Copy)]
pub(super) enum Condition<'a> {
    Path { specifier: &'a PathSpecifier, case_sensitive: bool },
    Header(&'a HeaderMatcher),
    Query(&'a QueryParameterMatcher),
}

/// Returns the conditions of a route in the order in which Envoy looks.
pub(super) fn conditions(matches: &RouteMatch) -> Vec<Condition<'_>> {
    let case_sensitive = matches.case_sensitive.is_none_or(|value| value.value);
    let path = matches.path_specifier.iter();
    let path = path.map(|specifier| Condition::Path { specifier, case_sensitive });
    path.chain(matches.headers.iter().map(Condition::Header))
        .chain(matches.query_parameters.iter().map(Condition::Query))
        .collect()
}

/// Says the conditions of a route in words.
pub(super) fn describe(matches: &RouteMatch) -> String {
    let said: Vec<_> = conditions(matches).iter().map(Condition::describe).collect();
    said.join(", ")
}

impl Condition<'_> {
    /// Tells whether it is about the path.
    pub(super) const fn is_path(&self) -> bool {
        matches!(self, Self::Path { .. })
    }

    /// Tells whether it is about the host.
    pub(super) fn is_host(&self) -> bool {
        matches!(self, Self::Header(header) if header.name.eq_ignore_ascii_case(":authority"))
    }

    /// Tells whether a path misses it by a slip: letter case, a slash at the
    /// end, or more path where none is wanted.
    pub(super) fn almost_holds(&self, seen: &Seen) -> bool {
        let Self::Path { specifier, .. } = self else { return false };
        let with_slash = format!("{}/", seen.path);
        let slips = path_holds(specifier, false, &seen.path)
            || path_holds(specifier, false, &with_slash)
            || path_holds(specifier, false, seen.path.trim_end_matches('/'));
        match specifier {
            PathSpecifier::Path(whole) => slips || seen.path.starts_with(whole),
            _ => slips,
        }
    }

    /// Tells whether a request meets it.
    pub(super) fn holds(&self, seen: &Seen) -> bool {
        match self {
            Self::Path { specifier, case_sensitive } => {
                path_holds(specifier, *case_sensitive, &seen.path)
            }
            Self::Header(header) => header_holds(header, seen),
            Self::Query(query) => query_holds(query, &seen.query),
        }
    }

    /// Says it in words.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Path { specifier, case_sensitive } => {
                let case = if *case_sensitive { "" } else { " in any case" };
                match specifier {
                    PathSpecifier::Prefix(prefix) => format!("path begins with {prefix}{case}"),
                    PathSpecifier::PathSeparatedPrefix(prefix) => {
                        format!("path begins with the segments {prefix}{case}")
                    }
                    PathSpecifier::Path(path) => format!("path is {path}{case}"),
                    PathSpecifier::SafeRegex(regex) => format!("path is like {}", regex.regex),
                    _ => "path is as Envoy's own matcher wants".into(),
                }
            }
            Self::Header(header) => {
                let not = if header.invert_match { "not " } else { "" };
                let what = match header.name.as_str() {
                    ":method" => "method".into(),
                    ":authority" => "host".into(),
                    name => format!("header {name}"),
                };
                match &header.header_match_specifier {
                    Some(HeaderMatchSpecifier::StringMatch(text)) => {
                        format!("{what} {not}{}", describe_text(text))
                    }
                    _ => format!("{what} is {not}there"),
                }
            }
            Self::Query(query) => match &query.query_parameter_match_specifier {
                Some(QueryParameterMatchSpecifier::StringMatch(text)) => {
                    format!("query parameter {} {}", query.name, describe_text(text))
                }
                _ => format!("query parameter {} is there", query.name),
            },
        }
    }

    /// Says what the request has instead.
    pub(super) fn explain_failure(&self, seen: &Seen) -> String {
        let has = match self {
            Self::Path { .. } => format!("the path is {}", seen.path),
            Self::Header(header) => seen.header(&header.name).map_or_else(
                || "the request has none".into(),
                |value| format!("the request has {value}"),
            ),
            Self::Query(query) => parameter(&seen.query, &query.name).map_or_else(
                || "the request has none".into(),
                |value| format!("the request has {value}"),
            ),
        };
        format!("needs {}, but {has}", self.describe())
    }
}

fn path_holds(specifier: &PathSpecifier, case_sensitive: bool, path: &str) -> bool {
    let fold = |text: &str| match case_sensitive {
        true => text.to_owned(),
        false => text.to_ascii_lowercase(),
    };
    let path = fold(path);
    match specifier {
        PathSpecifier::Prefix(prefix) => path.starts_with(&fold(prefix)),
        PathSpecifier::PathSeparatedPrefix(prefix) => path
            .strip_prefix(&fold(prefix))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        PathSpecifier::Path(whole) => path == fold(whole),
        PathSpecifier::SafeRegex(regex) => matches_whole(&regex.regex, &path),
        _ => false,
    }
}

fn header_holds(header: &HeaderMatcher, seen: &Seen) -> bool {
    let values = seen.headers.get(&header.name.to_ascii_lowercase());
    let holds = match (&header.header_match_specifier, values) {
        (Some(HeaderMatchSpecifier::PresentMatch(wanted)), values) => values.is_some() == *wanted,
        (None, values) => values.is_some(),
        (Some(HeaderMatchSpecifier::StringMatch(text)), Some(values)) => {
            values.iter().any(|value| text_holds(text, value))
        }
        // An absent header matches nothing, not even the opposite.
        (Some(_), None) => return false,
        (Some(_), Some(_)) => false,
    };
    holds != header.invert_match
}

fn query_holds(query: &QueryParameterMatcher, text: &str) -> bool {
    let value = parameter(text, &query.name);
    match &query.query_parameter_match_specifier {
        Some(QueryParameterMatchSpecifier::StringMatch(text)) => {
            value.is_some_and(|value| text_holds(text, value))
        }
        Some(QueryParameterMatchSpecifier::PresentMatch(wanted)) => value.is_some() == *wanted,
        None => value.is_some(),
    }
}

/// Returns the first value of a query parameter, as it stands.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.strip_prefix('?').unwrap_or(query).split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

fn text_holds(text: &StringMatcher, value: &str) -> bool {
    let fold = |piece: &str| match text.ignore_case {
        true => piece.to_ascii_lowercase(),
        false => piece.to_owned(),
    };
    let value = fold(value);
    match &text.match_pattern {
        Some(MatchPattern::Exact(wanted)) => value == fold(wanted),
        Some(MatchPattern::Prefix(wanted)) => value.starts_with(&fold(wanted)),
        Some(MatchPattern::Suffix(wanted)) => value.ends_with(&fold(wanted)),
        Some(MatchPattern::Contains(wanted)) => value.contains(&fold(wanted)),
        Some(MatchPattern::SafeRegex(regex)) => matches_whole(&regex.regex, &value),
        _ => false,
    }
}

fn describe_text(text: &StringMatcher) -> String {
    match &text.match_pattern {
        Some(MatchPattern::Exact(wanted)) => format!("is {wanted}"),
        Some(MatchPattern::Prefix(wanted)) => format!("begins with {wanted}"),
        Some(MatchPattern::Suffix(wanted)) => format!("ends with {wanted}"),
        Some(MatchPattern::Contains(wanted)) => format!("contains {wanted}"),
        Some(MatchPattern::SafeRegex(regex)) => format!("is like {}", regex.regex),
        _ => "is as Envoy's own matcher wants".into(),
    }
}

/// Matches the whole text, as RE2 does in Envoy. A pattern that does not
/// compile here matches nothing; the compiler has refused it before.
fn matches_whole(pattern: &str, text: &str) -> bool {
    Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(text))
}
