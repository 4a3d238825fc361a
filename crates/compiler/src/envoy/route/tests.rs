//! What is encoded by hand is what the generated message would encode.

use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3 as pb;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;

use super::{Action, AuthOverride, Route, encode};
use crate::ir::error_response::ErrorOverride;
use crate::ir::group_id::GroupId;
use crate::ir::route::{
    Cors, Forward, HashKey, HeaderEdit, HostRewrite, NamedMatch, PathMatch, PathRewrite,
    RateLimitAction, RateLimitEntry, Redirect, RedirectPath, Retry, RouteMatch, Share, TextMatch,
};
use crate::ir::service::Scheme;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z/\\\\]{0,12}", 1 => "[a-z]{120,140}"]
}

fn millis() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..5000_u64, any::<u64>()]
}

fn named() -> impl Strategy<Value = NamedMatch> {
    let value = prop_oneof![
        text().prop_map(TextMatch::Exact),
        text().prop_map(TextMatch::Regex),
        text().prop_map(TextMatch::Prefix),
        text().prop_map(TextMatch::Suffix),
        Just(TextMatch::Any),
    ];
    (text(), value).prop_map(|(name, value)| NamedMatch { name, value })
}

fn matches() -> impl Strategy<Value = RouteMatch> {
    let path = prop_oneof![
        text().prop_map(PathMatch::Prefix),
        text().prop_map(PathMatch::Exact),
        text().prop_map(PathMatch::Regex),
    ];
    (path, any::<bool>(), vec(named(), 0..3), vec(named(), 0..3)).prop_map(
        |(path, case_sensitive, headers, queries)| RouteMatch {
            path,
            case_sensitive,
            headers,
            queries,
        },
    )
}

fn hash_key() -> impl Strategy<Value = HashKey> {
    prop_oneof![
        (text(), option::of(text()), option::of(millis()))
            .prop_map(|(name, path, ttl_ms)| HashKey::Cookie { name, path, ttl_ms }),
        text().prop_map(HashKey::Header),
        Just(HashKey::SourceIp),
    ]
}

fn rate_limit() -> impl Strategy<Value = RateLimitEntry> {
    let action = prop_oneof![
        Just(RateLimitAction::SourceCluster),
        Just(RateLimitAction::DestinationCluster),
        Just(RateLimitAction::RemoteAddress),
        (text(), text()).prop_map(|(key, value)| RateLimitAction::GenericKey { key, value }),
        (text(), text(), any::<bool>()).prop_map(|(key, header, skip_if_absent)| {
            RateLimitAction::RequestHeader { key, header, skip_if_absent }
        }),
    ];
    vec(action, 0..3).prop_map(|actions| RateLimitEntry { actions })
}

fn retry() -> impl Strategy<Value = Arc<Retry>> {
    (text(), option::of(any::<u32>()), option::of(millis())).prop_map(
        |(retry_on, num_retries, per_try_timeout_ms)| {
            Arc::new(Retry { retry_on, num_retries, per_try_timeout_ms })
        },
    )
}

fn forward() -> impl Strategy<Value = Action> {
    let path = prop_oneof![
        Just(PathRewrite::Keep),
        text().prop_map(PathRewrite::Prefix),
        (text(), text())
            .prop_map(|(pattern, substitution)| PathRewrite::Regex { pattern, substitution }),
    ];
    let host = prop_oneof![
        Just(HostRewrite::Keep),
        text().prop_map(HostRewrite::Literal),
        Just(HostRewrite::Auto),
    ];
    let mirror = option::of((text().prop_map(Arc::from), 0..=100_u32));
    let first = (text(), path, host, millis(), option::of(millis()), option::of(retry()));
    let rest =
        (any::<bool>(), mirror, vec(text(), 0..2), option::of(hash_key()), vec(rate_limit(), 0..3));
    (first, rest).prop_map(|(first, rest)| {
        let (cluster, path, host, timeout_ms, idle_timeout_ms, retry) = first;
        let (high_priority, mirror, upgrades, hash, rate_limits) = rest;
        Action::Forward(Box::new(Forward {
            cluster: cluster.into(),
            path,
            host,
            timeout_ms,
            idle_timeout_ms,
            retry,
            high_priority,
            mirror,
            upgrades,
            hash,
            rate_limits,
        }))
    })
}

fn redirect() -> impl Strategy<Value = Action> {
    let path = prop_oneof![
        Just(RedirectPath::Keep),
        text().prop_map(RedirectPath::Whole),
        text().prop_map(RedirectPath::Prefix),
        (text(), text())
            .prop_map(|(pattern, substitution)| RedirectPath::Regex { pattern, substitution }),
    ];
    let code = prop_oneof![Just(301_u16), Just(302), Just(303), Just(307), Just(308)];
    let scheme = option::of(prop_oneof![Just(Scheme::Http), Just(Scheme::Https)]);
    (text(), path, code, scheme).prop_map(|(host, path, code, scheme)| {
        Action::Redirect(Redirect { host, path, code, scheme })
    })
}

fn edits() -> impl Strategy<Value = Vec<HeaderEdit>> {
    let edit = (text(), text(), any::<bool>()).prop_map(|(name, value, append)| HeaderEdit {
        name,
        value,
        append,
    });
    vec(edit, 0..3)
}

prop_compose! {
    fn route()(
        name in text(),
        matches in matches(),
        share in option::of((0..=100_u32).prop_map(|percent| Share { percent })),
        action in prop_oneof![3 => forward(), 1 => redirect()],
        edits in (edits(), edits()),
        removed in (vec(text(), 0..3), vec(text(), 0..3)),
        auth in option::of(btree_map(text(), text(), 0..3)),
        cors in any::<bool>(),
    ) -> Route {
        let policy = Cors { origins: vec!["*".to_owned(), "a".to_owned()], ..Cors::default() };
        // The generated type is a map without order: one entry at most.
        let auth = match auth.filter(|_| !cors) {
            None => AuthOverride::Inherit,
            Some(pairs) if pairs.is_empty() => AuthOverride::Disabled,
            Some(pairs) => AuthOverride::Context(pairs),
        };
        Route {
            name,
            matches,
            share,
            action,
            add_request_headers: edits.0,
            add_response_headers: edits.1,
            remove_request_headers: removed.0,
            remove_response_headers: removed.1,
            auth,
            errors: ErrorOverride::Inherit,
            cors: cors.then(|| (Arc::new(policy), GroupId([7; 20]))),
        }
    }
}

proptest! {
    #[test]
    fn a_route_is_encoded_as_the_generated_message_would_be(route in route()) {
        let mut encoded = Vec::new();
        encode(&route, &mut encoded);
        let message = pb::Route::decode(&encoded[..]).expect("it is a message");
        prop_assert_eq!(message.encode_to_vec(), encoded, "{:#?}", message);
    }
}
