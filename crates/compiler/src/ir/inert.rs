//! Settings that are read and mean nothing here: said, so that nobody waits
//! for an effect that does not come.

use nuncio_api as api;
use nuncio_api::{Diagnostic, Spec};

use super::filters::compression::unknown_words;
use super::item::Item;

mod mapping;

/// A field, whether it is given, and what to do instead.
type Setting = (&'static str, bool, &'static str);

const REMOVE: &str = "remove the field";

/// Returns a notice for each field of an object that is set without effect.
pub(crate) fn check(item: &Item) -> Vec<Diagnostic> {
    match &item.object.spec {
        Spec::Module(spec) => match &spec.config {
            api::ModuleConfig::Ambassador(config) => said(item, "spec.config.", &module(config)),
            api::ModuleConfig::Tls(tls) => {
                let ports = tls.contexts.values().map(|context| context.redirect_cleartext_from);
                let given = ports.flatten().next();
                said(item, "spec.config.*.", &[redirect_cleartext(given)])
            }
            api::ModuleConfig::Authentication(_) => Vec::new(),
            api::ModuleConfig::Other(_) => {
                vec![item.notice(
                    "no-effect",
                    "metadata.name",
                    "a Module of this name has no effect",
                    "call it ambassador or tls",
                )]
            }
        },
        Spec::Mapping(spec) => mapping::check(item, spec),
        Spec::AuthService(spec) => said(item, "spec.", &auth(spec)),
        Spec::TracingService(spec) => {
            let config = spec.config.clone().unwrap_or_default();
            let mut found = said(item, "spec.config.", &tracing(&config, spec.driver));
            let tags = !spec.tag_headers.is_empty() && !spec.custom_tags.is_empty();
            found.extend(said(item, "spec.", &[("tag_headers", tags, "use custom_tags alone")]));
            found
        }
        Spec::TlsContext(spec) => said(item, "spec.", &tls_context(spec)),
        Spec::Host(spec) => {
            let tls = spec.tls.clone().unwrap_or_default();
            let mut found = said(item, "spec.tls.", &host_tls(&tls));
            found.extend(said(item, "spec.", &[deprecated_selector(spec)]));
            found
        }
        Spec::IngressClass(spec) if spec.is_ours() => {
            said(item, "spec.", &[("parameters", spec.parameters.is_some(), REMOVE)])
        }
        Spec::Listener(spec) => listener(item, spec),
        _ => Vec::new(),
    }
}

fn said(item: &Item, before: &str, settings: &[Setting]) -> Vec<Diagnostic> {
    let given = settings.iter().filter(|(_, given, _)| *given);
    given
        .map(|(field, _, remedy)| {
            item.notice("no-effect", &format!("{before}{field}"), "has no effect", remedy)
        })
        .collect()
}

fn module(config: &api::AmbassadorModule) -> Vec<Setting> {
    let request_time =
        config.buffer.as_ref().is_some_and(|buffer| buffer.max_request_time.is_some());
    let unconditional = config.retry_policy.as_ref().is_some_and(|retry| retry.retry_on.is_none());
    let mut settings = vec![
        ("retry_policy", unconditional, "set retry_on"),
        ("use_proxy_proto", config.use_proxy_proto.is_some(), "use protocolStack of a Listener"),
        (
            "x_forwarded_proto_redirect",
            config.x_forwarded_proto_redirect.is_some(),
            "use requestPolicy of a Host",
        ),
        (
            "xff_num_trusted_hops",
            config.xff_num_trusted_hops.is_some(),
            "use l7Depth of a Listener",
        ),
        ("service_port", config.service_port.is_some(), "use port of a Listener"),
        ("tls", config.tls.is_some(), "use a Host with a tlsSecret, or a TLSContext"),
        ("auth_enabled", config.auth_enabled.is_some(), REMOVE),
        ("regex_type", config.regex_type.is_some(), REMOVE),
        ("regex_max_size", config.regex_max_size.is_some(), REMOVE),
        ("prune_unreachable_routes", config.prune_unreachable_routes.is_some(), REMOVE),
        ("statsd", config.statsd.is_some(), REMOVE),
        ("admin_port", config.admin_port.is_some(), REMOVE),
        ("envoy_validation_timeout", config.envoy_validation_timeout.is_some(), REMOVE),
        ("debug_mode", config.debug_mode.is_some(), REMOVE),
        ("runtime_flags", !config.runtime_flags.is_empty(), "set them in the bootstrap"),
        ("buffer.max_request_time", request_time, REMOVE),
    ];
    settings.extend(unknown_words(config));
    settings
}

/// Each driver heeds settings of its own.
fn tracing(config: &api::TracingConfig, driver: Option<api::TracingDriver>) -> Vec<Setting> {
    let zipkin = driver == Some(api::TracingDriver::Zipkin);
    let named = "name the collector in spec.service";
    vec![
        ("access_token_file", config.access_token_file.is_some(), REMOVE),
        ("collector_cluster", config.collector_cluster.is_some(), named),
        ("propagation_modes", !config.propagation_modes.is_empty(), REMOVE),
        ("service_name", zipkin && config.service_name.is_some(), REMOVE),
        ("collector_endpoint", !zipkin && config.collector_endpoint.is_some(), REMOVE),
        (
            "collector_endpoint_version",
            !zipkin && config.collector_endpoint_version.is_some(),
            REMOVE,
        ),
        ("collector_hostname", !zipkin && config.collector_hostname.is_some(), REMOVE),
        ("trace_id_128bit", !zipkin && config.trace_id_128bit.is_some(), REMOVE),
        ("shared_span_context", !zipkin && config.shared_span_context.is_some(), REMOVE),
    ]
}

/// What only a service that speaks HTTP is told, or may tell.
fn auth(spec: &api::AuthService) -> Vec<Setting> {
    let grpc = spec.proto == Some(api::AuthProto::Grpc);
    vec![
        ("path_prefix", grpc && spec.path_prefix.is_some(), REMOVE),
        ("allowed_request_headers", grpc && !spec.allowed_request_headers.is_empty(), REMOVE),
        (
            "allowed_authorization_headers",
            grpc && !spec.allowed_authorization_headers.is_empty(),
            REMOVE,
        ),
        ("add_auth_headers", grpc && !spec.add_auth_headers.is_empty(), REMOVE),
        ("add_linkerd_headers", grpc && spec.add_linkerd_headers.is_some(), REMOVE),
    ]
}

/// The deprecated spelling stands back where the other one says something.
fn deprecated_selector(spec: &api::Host) -> Setting {
    let labels = spec.mapping_selector.as_ref().is_some_and(|s| !s.match_labels.is_empty());
    let differs = spec.selector.is_some() && spec.selector != spec.mapping_selector;
    ("selector", labels && differs, "use mappingSelector alone")
}

/// Files stand back where a Secret holds the same.
fn tls_context(spec: &api::TlsContext) -> Vec<Setting> {
    let (secret, authorities) = (spec.secret.is_some(), spec.ca_secret.is_some());
    vec![
        redirect_cleartext(spec.redirect_cleartext_from),
        ("cert_chain_file", secret && spec.cert_chain_file.is_some(), "use secret alone"),
        ("private_key_file", secret && spec.private_key_file.is_some(), "use secret alone"),
        (
            "cacert_chain_file",
            authorities && spec.cacert_chain_file.is_some(),
            "use ca_secret alone",
        ),
    ]
}

fn redirect_cleartext(port: Option<u32>) -> Setting {
    ("redirect_cleartext_from", port.is_some(), "use requestPolicy of a Host")
}

/// The certificate is that of the Host's secret, so files stand back.
fn host_tls(tls: &api::HostTls) -> Vec<Setting> {
    vec![
        ("cert_chain_file", tls.cert_chain_file.is_some(), "use tlsSecret of the Host"),
        ("private_key_file", tls.private_key_file.is_some(), "use tlsSecret of the Host"),
        redirect_cleartext(tls.redirect_cleartext_from),
        ("sni", tls.sni.is_some(), "use a TLSContext in tls of a Mapping"),
    ]
}

fn listener(item: &Item, spec: &api::Listener) -> Vec<Diagnostic> {
    let selector = spec.host_binding.as_ref().and_then(|binding| binding.selector.as_ref());
    let expressions = selector.is_some_and(|selector| !selector.match_expressions.is_empty());
    let finding = expressions.then(|| {
        item.warning(
            "match-expressions-ignored",
            "spec.hostBinding.selector.matchExpressions",
            "matchExpressions have no effect",
            "use matchLabels",
        )
    });
    finding.into_iter().collect()
}
