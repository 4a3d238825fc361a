//! Limits, as rate-limit services read them.

use std::collections::BTreeMap;

use envoy_types::pb::ratelimit::config::ratelimit::v3 as pb;
use nuncio_proto::ratelimit::v1 as overlay;
use prost::Message;

use crate::ir::limits::{Domain, Limit, Unit};

/// Alternatives of one pattern beyond which foreign servers get none of it.
const ALTERNATIVES_MAX: usize = 64;

/// Encodes one domain: the closest form that envoyproxy/ratelimit knows, and
/// after it our own, which says everything.
pub(crate) fn encode(name: &str, domain: &Domain) -> Vec<u8> {
    let mut root = Node::default();
    for limit in &domain.limits {
        for path in paths(limit) {
            root.insert(&path, limit);
        }
    }
    let mut encoded = pb::RateLimitConfig {
        name: name.to_owned(),
        domain: name.to_owned(),
        descriptors: root.descriptors(),
    }
    .encode_to_vec();
    let own =
        overlay::RateLimitConfigOverlay { limits: domain.limits.iter().map(own_limit).collect() };
    encoded.extend(own.encode_to_vec());
    encoded
}

type Pair = (String, String);

/// Every path through the alternatives of a pattern.
fn paths(limit: &Limit) -> Vec<Vec<Pair>> {
    let count = limit.pattern.iter().map(|any| any.len().max(1)).product::<usize>();
    if limit.pattern.is_empty() || count > ALTERNATIVES_MAX {
        return Vec::new();
    }
    let mut paths: Vec<Vec<Pair>> = vec![Vec::new()];
    for any_of in &limit.pattern {
        paths = paths
            .into_iter()
            .flat_map(|path| {
                any_of.iter().map(move |(key, value)| {
                    let value = if value == "*" { String::new() } else { value.clone() };
                    let mut longer = path.clone();
                    longer.push((key.clone(), value));
                    longer
                })
            })
            .collect();
    }
    paths
}

/// A tree of descriptors; the first limit at a place stays.
#[derive(Default)]
struct Node<'a> {
    limit: Option<&'a Limit>,
    children: BTreeMap<Pair, Node<'a>>,
}

impl<'a> Node<'a> {
    fn insert(&mut self, path: &[Pair], limit: &'a Limit) {
        match path {
            [] => {
                self.limit.get_or_insert(limit);
            }
            [first, rest @ ..] => {
                self.children.entry(first.clone()).or_default().insert(rest, limit);
            }
        }
    }

    fn descriptors(&self) -> Vec<pb::RateLimitDescriptor> {
        self.children
            .iter()
            .map(|((key, value), node)| pb::RateLimitDescriptor {
                key: key.clone(),
                value: value.clone(),
                rate_limit: node.limit.map(policy),
                descriptors: node.descriptors(),
                shadow_mode: node.limit.is_some_and(|limit| limit.log_only),
                ..Default::default()
            })
            .collect()
    }
}

fn policy(limit: &Limit) -> pb::RateLimitPolicy {
    let unit = match limit.unit {
        Unit::Second => pb::RateLimitUnit::Second,
        Unit::Minute => pb::RateLimitUnit::Minute,
        Unit::Hour => pb::RateLimitUnit::Hour,
        Unit::Day => pb::RateLimitUnit::Day,
    };
    pb::RateLimitPolicy {
        unit: unit as i32,
        requests_per_unit: u32::try_from(limit.rate).unwrap_or(u32::MAX),
        name: limit.name.clone(),
        ..Default::default()
    }
}

fn own_limit(limit: &Limit) -> overlay::Limit {
    let headers = |list: &[nuncio_api::TemplatedHeader]| {
        list.iter()
            .map(|header| overlay::Header {
                name: header.name.clone(),
                value: header.value.clone(),
            })
            .collect()
    };
    let labels = |any_of: &Vec<Pair>| overlay::Labels {
        any_of: any_of
            .iter()
            .map(|(key, value)| overlay::Label { key: key.clone(), value: value.clone() })
            .collect(),
    };
    overlay::Limit {
        name: limit.name.clone(),
        patterns: vec![overlay::Pattern { labels: limit.pattern.iter().map(labels).collect() }],
        rate: limit.rate,
        unit_seconds: limit.unit.seconds(),
        log_only: limit.log_only,
        burst_factor: limit.burst_factor,
        inject_request_headers: headers(&limit.request_headers),
        inject_response_headers: headers(&limit.response_headers),
        error_response: limit.error_response.as_ref().map(|response| overlay::ErrorResponse {
            headers: headers(&response.headers),
            body_template: response.body_template.clone().unwrap_or_default(),
        }),
    }
}
