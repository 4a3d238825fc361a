//! Settings of a Mapping that another setting of it makes idle.

use nuncio_api as api;
use nuncio_api::Diagnostic;

use super::{REMOVE, Setting, said};
use crate::ir::item::Item;

/// Returns a notice for each field that is set without effect.
pub(super) fn check(item: &Item, spec: &api::Mapping) -> Vec<Diagnostic> {
    let mut settings = always(spec);
    let shadow = spec.shadow == Some(true);
    if shadow {
        settings.extend(answered(spec, "set it on the Mapping that is mirrored"));
    } else if spec.host_redirect == Some(true) {
        let remedy = "a redirect forwards nothing: remove the field";
        settings.extend(forwarded(spec, remedy));
        settings.extend(upstream(spec, remedy));
    } else {
        settings.extend(redirected(spec));
    }
    said(item, "spec.", &settings)
}

fn always(spec: &api::Mapping) -> Vec<Setting> {
    let pattern = spec.prefix_regex == Some(true);
    let bypass = spec.bypass_auth == Some(true);
    let rewritten = spec.host_rewrite.is_some();
    let errors = !spec.error_response_overrides.is_empty();
    vec![
        ("envoy_override", spec.envoy_override.is_some(), REMOVE),
        ("modules", !spec.modules.is_empty(), REMOVE),
        ("docs", spec.docs.is_some(), "leave it to other readers, or remove the field"),
        ("prefix_exact", pattern && spec.prefix_exact == Some(true), "keep prefix_regex alone"),
        ("host_regex", spec.host_regex == Some(true) && spec.host.is_none(), "set host"),
        ("method_regex", spec.method_regex == Some(true) && spec.method.is_none(), "set method"),
        (
            "auto_host_rewrite",
            rewritten && spec.auto_host_rewrite == Some(true),
            "keep one of it and host_rewrite",
        ),
        (
            "error_response_overrides",
            spec.bypass_error_response_overrides == Some(true) && errors,
            "keep one of it and bypass_error_response_overrides",
        ),
        (
            "auth_context_extensions",
            bypass && !spec.auth_context_extensions.is_empty(),
            "keep one of it and bypass_auth",
        ),
    ]
}

/// Fields of redirects, on a Mapping that is none.
fn redirected(spec: &api::Mapping) -> Vec<Setting> {
    const REMEDY: &str = "set host_redirect: true, or remove the field";
    vec![
        ("path_redirect", spec.path_redirect.is_some(), REMEDY),
        ("prefix_redirect", spec.prefix_redirect.is_some(), REMEDY),
        ("regex_redirect", spec.regex_redirect.is_some(), REMEDY),
        ("redirect_response_code", spec.redirect_response_code.is_some(), REMEDY),
    ]
}

/// Fields of a route that forwards.
fn forwarded(spec: &api::Mapping, remedy: &'static str) -> Vec<Setting> {
    vec![
        ("rewrite", spec.rewrite.is_some(), remedy),
        ("regex_rewrite", spec.regex_rewrite.is_some(), remedy),
        ("auto_host_rewrite", spec.auto_host_rewrite.is_some(), remedy),
        ("timeout_ms", spec.timeout_ms.is_some(), remedy),
        ("idle_timeout_ms", spec.idle_timeout_ms.is_some(), remedy),
        ("retry_policy", spec.retry_policy.is_some(), remedy),
        ("priority", spec.priority.is_some(), remedy),
        ("allow_upgrade", !spec.allow_upgrade.is_empty(), remedy),
        ("use_websocket", spec.use_websocket.is_some(), remedy),
        ("add_request_headers", spec.add_request_headers.is_some(), remedy),
        ("remove_request_headers", spec.remove_request_headers.is_some(), remedy),
        ("add_linkerd_headers", spec.add_linkerd_headers.is_some(), remedy),
        ("auth_context_extensions", !spec.auth_context_extensions.is_empty(), remedy),
        ("cors", spec.cors.is_some(), remedy),
        ("error_response_overrides", !spec.error_response_overrides.is_empty(), remedy),
        ("labels", !spec.labels.is_empty(), remedy),
    ]
}

/// Fields of the answer to a request, which a shadow does not give.
fn answered(spec: &api::Mapping, remedy: &'static str) -> Vec<Setting> {
    let mut settings = forwarded(spec, remedy);
    // The labels of the Mapping that comes first count, be it a shadow.
    settings.retain(|(field, ..)| *field != "labels");
    settings.extend([
        ("path_redirect", spec.path_redirect.is_some(), remedy),
        ("prefix_redirect", spec.prefix_redirect.is_some(), remedy),
        ("regex_redirect", spec.regex_redirect.is_some(), remedy),
        ("redirect_response_code", spec.redirect_response_code.is_some(), remedy),
        ("add_response_headers", spec.add_response_headers.is_some(), remedy),
        ("remove_response_headers", spec.remove_response_headers.is_some(), remedy),
    ]);
    settings
}

/// Fields of the way to the service.
fn upstream(spec: &api::Mapping, remedy: &'static str) -> Vec<Setting> {
    let lifetime = spec.cluster_max_connection_lifetime_ms;
    vec![
        ("weight", spec.weight.is_some(), remedy),
        ("tls", spec.tls.is_some(), remedy),
        ("host_rewrite", spec.host_rewrite.is_some(), remedy),
        ("dns_type", spec.dns_type.is_some(), remedy),
        ("respect_dns_ttl", spec.respect_dns_ttl.is_some(), remedy),
        ("enable_ipv4", spec.enable_ipv4.is_some(), remedy),
        ("enable_ipv6", spec.enable_ipv6.is_some(), remedy),
        ("grpc", spec.grpc.is_some(), remedy),
        ("cluster_tag", spec.cluster_tag.is_some(), remedy),
        ("stats_name", spec.stats_name.is_some(), remedy),
        ("connect_timeout_ms", spec.connect_timeout_ms.is_some(), remedy),
        ("cluster_idle_timeout_ms", spec.cluster_idle_timeout_ms.is_some(), remedy),
        ("cluster_max_connection_lifetime_ms", lifetime.is_some(), remedy),
        ("circuit_breakers", !spec.circuit_breakers.is_empty(), remedy),
        ("load_balancer", spec.load_balancer.is_some(), remedy),
        ("health_checks", !spec.health_checks.is_empty(), remedy),
        ("keepalive", spec.keepalive.is_some(), remedy),
        ("outlier_detection", spec.outlier_detection.is_some(), remedy),
    ]
}
