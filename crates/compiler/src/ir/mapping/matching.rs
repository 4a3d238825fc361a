//! What a Mapping matches: its conditions, its place in the order, its group.

use std::borrow::Cow;
use std::sync::Arc;

use nuncio_api as api;
use sha1::{Digest, Sha1};

use crate::ir::glob;
use crate::ir::group_id::GroupId;
use crate::ir::item::Item;
use crate::ir::route::{NamedMatch, PathMatch, RouteMatch, TextMatch};
use crate::ir::stage::Stage;

const AUTHORITY: &str = ":authority";

/// Which hosts a Mapping is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostMatch {
    /// Says nothing: only Hosts with a selector take it.
    None,
    /// Glob.
    Glob(String),
    /// RE2 pattern: every Host takes it.
    Regex(String),
}

/// Place of a group among the routes of a virtual host; greater goes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    precedence: i64,
    prefix_length: usize,
    header_length: usize,
    query_length: usize,
    prefix: String,
    headers: Vec<String>,
    queries: Vec<String>,
    /// Equal otherwise: the group created later goes first.
    created: Arc<str>,
}
impl HostMatch {
    /// Returns whether a Host of this name can take the Mapping.
    pub(crate) fn overlaps(&self, hostname: &str) -> bool {
        match self {
            Self::None => false,
            Self::Glob(text) => glob::overlap(text, hostname),
            Self::Regex(_) => true,
        }
    }
}

/// The value of an exact match on the authority: it stands for `host`.
pub(crate) fn authority(spec: &api::Mapping) -> Option<&String> {
    spec.headers.iter().find(|(name, _)| is_authority(name)).map(|(_, value)| value)
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case(AUTHORITY)
}

pub(super) fn host_match(spec: &api::Mapping) -> HostMatch {
    if let Some(glob) = &spec.hostname {
        return HostMatch::Glob(glob.clone());
    }
    match (&spec.host, authority(spec)) {
        (Some(text), _) if spec.host_regex == Some(true) => HostMatch::Regex(text.clone()),
        (Some(text), _) | (None, Some(text)) => HostMatch::Glob(text.clone()),
        (None, None) => HostMatch::None,
    }
}

pub(super) fn route_match(spec: &api::Mapping, host: &HostMatch) -> RouteMatch {
    let path = if spec.prefix_regex == Some(true) {
        PathMatch::Regex(spec.prefix.clone())
    } else if spec.prefix_exact == Some(true) {
        PathMatch::Exact(spec.prefix.clone())
    } else {
        PathMatch::Prefix(spec.prefix.clone())
    };
    let exact = |(name, value): (&String, &String)| NamedMatch {
        name: name.clone(),
        value: TextMatch::Exact(value.clone()),
    };
    let regex = |(name, value): (&String, &String)| NamedMatch {
        name: name.clone(),
        value: TextMatch::Regex(value.clone()),
    };
    let mut headers: Vec<NamedMatch> = spec
        .headers
        .iter()
        .filter(|(name, _)| !is_authority(name))
        .map(exact)
        .chain(spec.regex_headers.iter().map(regex))
        .collect();
    let authority = match host {
        HostMatch::None => None,
        HostMatch::Regex(pattern) => Some(TextMatch::Regex(pattern.clone())),
        HostMatch::Glob(text) => Some(glob_match(text)),
    };
    if let Some(value) = authority {
        headers.push(NamedMatch { name: AUTHORITY.to_owned(), value });
    }
    if let Some(method) = &spec.method {
        let value = if spec.method_regex == Some(true) {
            TextMatch::Regex(method.clone())
        } else {
            TextMatch::Exact(method.clone())
        };
        headers.push(NamedMatch { name: ":method".to_owned(), value });
    }
    RouteMatch {
        path,
        case_sensitive: spec.case_sensitive.unwrap_or(true),
        headers,
        queries: spec
            .query_parameters
            .iter()
            .map(exact)
            .chain(spec.regex_query_parameters.iter().map(regex))
            .collect(),
    }
}

fn glob_match(text: &str) -> TextMatch {
    if text == "*" {
        TextMatch::Any
    } else if let Some(tail) = text.strip_prefix('*') {
        TextMatch::Suffix(tail.to_owned())
    } else if let Some(head) = text.strip_suffix('*') {
        TextMatch::Prefix(head.to_owned())
    } else {
        TextMatch::Exact(text.to_owned())
    }
}

/// Text of a condition as Emissary hashes and sorts it: globs as written.
fn condition_text(condition: &NamedMatch) -> Cow<'_, str> {
    match &condition.value {
        TextMatch::Exact(text) | TextMatch::Regex(text) => Cow::Borrowed(text),
        TextMatch::Prefix(head) => Cow::Owned(format!("{head}*")),
        TextMatch::Suffix(tail) => Cow::Owned(format!("*{tail}")),
        TextMatch::Any => Cow::Borrowed("*"),
    }
}

pub(super) fn group_id(
    spec: &api::Mapping,
    matches: &RouteMatch,
    host: &HostMatch,
    item: &Item,
    stage: &Stage,
) -> GroupId {
    let mut hash = Sha1::new();
    hash.update("HTTP-GET");
    hash.update(&spec.prefix);
    for condition in matches.headers.iter().chain(&matches.queries) {
        hash.update(&condition.name);
        hash.update(condition_text(condition).as_bytes());
    }
    if !matches!(host, HostMatch::Glob(_)) {
        for selector in &stage.selectors {
            if stage.labels_match(selector, &item.meta().labels) {
                for (key, value) in selector {
                    hash.update(key);
                    hash.update(value);
                }
            }
        }
    }
    let precedence = spec.precedence.unwrap_or(0);
    if precedence != 0 {
        hash.update(precedence.to_string());
    }
    GroupId(hash.finalize().into())
}

/// The text by which a condition is sorted: no value counts as `*`.
fn sort_text(condition: &NamedMatch) -> Cow<'_, str> {
    let text = condition_text(condition);
    if text.is_empty() { Cow::Borrowed("*") } else { text }
}

/// The length of a condition, in characters; a pattern counts one more.
fn length(condition: &NamedMatch) -> usize {
    let regex = usize::from(matches!(condition.value, TextMatch::Regex(_)));
    condition.name.chars().count() + sort_text(condition).chars().count() + regex
}

pub(super) fn rank(spec: &api::Mapping, matches: &RouteMatch, item: &Item) -> Rank {
    let key = |condition: &NamedMatch| format!("{}-{}", condition.name, sort_text(condition));
    Rank {
        precedence: spec.precedence.unwrap_or(0),
        prefix_length: spec.prefix.chars().count(),
        header_length: matches.headers.iter().map(length).sum(),
        query_length: matches.queries.iter().map(length).sum(),
        prefix: spec.prefix.clone(),
        headers: matches.headers.iter().map(key).collect(),
        queries: matches.queries.iter().map(key).collect(),
        created: item.id.order.clone(),
    }
}
