//! Routes, encoded without the generated types: there is one to each Mapping.

use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3 as ext_authz;
use envoy_types::pb::google::protobuf::Any;

use super::header::header_edit;
use super::wire::{nested, plain_text, text};
use super::{any, any_encoded, append_any_map, append_encoded, append_message, append_text_map};
use super::{error_response, http_filter};
use crate::ir::route::{Action, AuthOverride, Route};

mod action;
mod extras;
mod matching;

/// Fields of `envoy.config.route.v3.Route`.
const MATCH: u32 = 1;
const ROUTE: u32 = 2;
const REDIRECT: u32 = 3;
const REQUEST_HEADERS_TO_ADD: u32 = 9;
const RESPONSE_HEADERS_TO_ADD: u32 = 10;
const RESPONSE_HEADERS_TO_REMOVE: u32 = 11;
const REQUEST_HEADERS_TO_REMOVE: u32 = 12;
const PER_FILTER: u32 = 13;
const NAME: u32 = 14;
/// `CheckSettings.context_extensions`.
const CONTEXT_EXTENSIONS: u32 = 1;
/// `ExtAuthzPerRoute.check_settings`.
const CHECK_SETTINGS: u32 = 2;

/// Appends the encoding of one route.
pub(crate) fn encode(route: &Route, out: &mut Vec<u8>) {
    nested(MATCH, out, |out| matching::encode(route, out));
    match &route.action {
        Action::Forward(forward) => {
            nested(ROUTE, out, |out| action::forward(forward, &route.matches.path, out));
        }
        Action::Redirect(redirect) => {
            nested(REDIRECT, out, |out| action::redirect(redirect, &route.matches.path, out));
        }
    }
    for edit in &route.add_request_headers {
        append_message(REQUEST_HEADERS_TO_ADD, &header_edit(edit), out);
    }
    for edit in &route.add_response_headers {
        append_message(RESPONSE_HEADERS_TO_ADD, &header_edit(edit), out);
    }
    for name in &route.remove_response_headers {
        text(RESPONSE_HEADERS_TO_REMOVE, name, out);
    }
    for name in &route.remove_request_headers {
        text(REQUEST_HEADERS_TO_REMOVE, name, out);
    }
    let mut filters: Vec<(&str, Any)> = Vec::new();
    if let Some((cors, group)) = &route.cors {
        filters.push((http_filter::CORS, any(&extras::cors_policy(cors, *group))));
    }
    if let Some(auth) = auth_override(&route.auth) {
        filters.push((http_filter::EXT_AUTHZ, auth));
    }
    filters.extend(error_response::on_route(&route.errors));
    append_any_map(PER_FILTER, filters, out);
    plain_text(NAME, &route.name, out);
}

fn auth_override(auth: &AuthOverride) -> Option<Any> {
    match auth {
        AuthOverride::Inherit => None,
        AuthOverride::Disabled => Some(any(&ext_authz::ExtAuthzPerRoute {
            r#override: Some(ext_authz::ext_authz_per_route::Override::Disabled(true)),
        })),
        AuthOverride::Context(pairs) => {
            let mut settings = Vec::new();
            append_text_map(CONTEXT_EXTENSIONS, pairs, &mut settings);
            let mut encoded = Vec::new();
            append_encoded(CHECK_SETTINGS, &settings, &mut encoded);
            Some(any_encoded::<ext_authz::ExtAuthzPerRoute>(encoded))
        }
    }
}

#[cfg(test)]
mod tests;
