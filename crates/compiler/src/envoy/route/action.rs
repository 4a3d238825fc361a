//! What a route does: `envoy.config.route.v3.RouteAction` and `RedirectAction`.

use envoy_types::pb::envoy::config::route::v3::redirect_action::RedirectResponseCode as Code;

use super::super::wire::{nested, number, plain_number, plain_text, text};
use super::super::{append_message, append_millis, u32_value};
use super::extras::{hash_policy, mirror, rate_limit};
use super::matching;
use crate::ir::route::{
    Forward, HostRewrite, PathMatch, PathRewrite, Redirect, RedirectPath, Retry,
};
use crate::ir::service::Scheme;

/// Fields of `RouteAction`.
const CLUSTER: u32 = 1;
const PREFIX_REWRITE: u32 = 5;
const HOST_REWRITE_LITERAL: u32 = 6;
const AUTO_HOST_REWRITE: u32 = 7;
const TIMEOUT: u32 = 8;
const RETRY_POLICY: u32 = 9;
const PRIORITY: u32 = 11;
const RATE_LIMITS: u32 = 13;
const HASH_POLICY: u32 = 15;
const IDLE_TIMEOUT: u32 = 24;
const UPGRADE_CONFIGS: u32 = 25;
const REQUEST_MIRROR_POLICIES: u32 = 30;
const REGEX_REWRITE: u32 = 32;
/// `google.protobuf.BoolValue.value`.
const BOOL: u32 = 1;
/// `RouteAction.UpgradeConfig.upgrade_type`.
const UPGRADE_TYPE: u32 = 1;
/// Fields of `RetryPolicy`.
const RETRY_ON: u32 = 1;
const NUM_RETRIES: u32 = 2;
const PER_TRY_TIMEOUT: u32 = 3;
/// Fields of `envoy.type.matcher.v3.RegexMatchAndSubstitute`.
const PATTERN: u32 = 1;
const SUBSTITUTION: u32 = 2;
/// Fields of `RedirectAction`.
const HOST_REDIRECT: u32 = 1;
const PATH_REDIRECT: u32 = 2;
const REDIRECT_PREFIX_REWRITE: u32 = 5;
const REDIRECT_REGEX_REWRITE: u32 = 9;
const RESPONSE_CODE: u32 = 3;
const HTTPS_REDIRECT: u32 = 4;
const SCHEME_REDIRECT: u32 = 7;

/// Appends the fields of a `RouteAction`. `path` is what the route matches.
pub(super) fn forward(forward: &Forward, path: &PathMatch, out: &mut Vec<u8>) {
    text(CLUSTER, &forward.cluster, out);
    if let (PathRewrite::Prefix(text), PathMatch::Prefix(_) | PathMatch::Exact(_)) =
        (&forward.path, path)
    {
        plain_text(PREFIX_REWRITE, text, out);
    }
    match &forward.host {
        HostRewrite::Keep => {}
        HostRewrite::Literal(host) => text(HOST_REWRITE_LITERAL, host, out),
        HostRewrite::Auto => nested(AUTO_HOST_REWRITE, out, |out| number(BOOL, 1, out)),
    }
    append_millis(TIMEOUT, forward.timeout_ms, out);
    if let Some(retry) = &forward.retry {
        nested(RETRY_POLICY, out, |out| retry_policy(retry, out));
    }
    plain_number(PRIORITY, u64::from(forward.high_priority), out);
    for entry in &forward.rate_limits {
        append_message(RATE_LIMITS, &rate_limit(entry), out);
    }
    if let Some(key) = &forward.hash {
        append_message(HASH_POLICY, &hash_policy(key), out);
    }
    if let Some(timeout) = forward.idle_timeout_ms {
        append_millis(IDLE_TIMEOUT, timeout, out);
    }
    for name in &forward.upgrades {
        nested(UPGRADE_CONFIGS, out, |out| plain_text(UPGRADE_TYPE, name, out));
    }
    if let Some((cluster, share)) = &forward.mirror {
        append_message(REQUEST_MIRROR_POLICIES, &mirror(cluster, *share), out);
    }
    match (&forward.path, path) {
        // Envoy has no prefix to replace in a regex match: the whole path is.
        (PathRewrite::Prefix(text), PathMatch::Regex(pattern)) => {
            rewrite(REGEX_REWRITE, pattern, &literal(text), out);
        }
        (PathRewrite::Regex { pattern, substitution }, _) => {
            rewrite(REGEX_REWRITE, pattern, substitution, out);
        }
        _ => {}
    }
}

fn retry_policy(retry: &Retry, out: &mut Vec<u8>) {
    plain_text(RETRY_ON, &retry.retry_on, out);
    if let Some(count) = retry.num_retries.and_then(u32_value) {
        append_message(NUM_RETRIES, &count, out);
    }
    if let Some(timeout) = retry.per_try_timeout_ms {
        append_millis(PER_TRY_TIMEOUT, timeout, out);
    }
}

/// Appends the fields of a `RedirectAction`. `path` is what the route matches.
pub(super) fn redirect(redirect: &Redirect, path: &PathMatch, out: &mut Vec<u8>) {
    plain_text(HOST_REDIRECT, &redirect.host, out);
    match (&redirect.path, path) {
        (RedirectPath::Keep, _) => {}
        (RedirectPath::Whole(path), _) => text(PATH_REDIRECT, path, out),
        (RedirectPath::Prefix(text), PathMatch::Regex(pattern)) => {
            rewrite(REDIRECT_REGEX_REWRITE, pattern, &literal(text), out);
        }
        (RedirectPath::Prefix(prefix), _) => text(REDIRECT_PREFIX_REWRITE, prefix, out),
        (RedirectPath::Regex { pattern, substitution }, _) => {
            rewrite(REDIRECT_REGEX_REWRITE, pattern, substitution, out);
        }
    }
    let code = match redirect.code {
        302 => Code::Found,
        303 => Code::SeeOther,
        307 => Code::TemporaryRedirect,
        308 => Code::PermanentRedirect,
        _ => Code::MovedPermanently,
    };
    plain_number(RESPONSE_CODE, code as u64, out);
    match redirect.scheme {
        None => {}
        Some(Scheme::Https) => number(HTTPS_REDIRECT, 1, out),
        Some(Scheme::Http) => text(SCHEME_REDIRECT, "http", out),
    }
}

fn rewrite(tag: u32, pattern: &str, substitution: &str, out: &mut Vec<u8>) {
    nested(tag, out, |out| {
        matching::regex(PATTERN, pattern, out);
        plain_text(SUBSTITUTION, substitution, out);
    });
}

/// Escapes a text so that a substitution yields it as it is.
fn literal(text: &str) -> String {
    text.replace('\\', "\\\\")
}
