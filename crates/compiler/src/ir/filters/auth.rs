//! The auth service. It fails closed: what guards requests and cannot be
//! understood refuses them.

use std::collections::BTreeSet;

use nuncio_api as api;
use nuncio_api::{AuthProto, Kind, ObjectKey, Spec};

use super::{Plugged, Plugin, built_in, built_in_source, cluster};
use crate::ir::cluster::Target;
use crate::ir::cluster::{Discovery, Family};
use crate::ir::http::{Auth, AuthProtocol};
use crate::ir::input::Input;
use crate::ir::item::Item;
use crate::ir::notes::Notes;
use crate::ir::stage::Stage;
use crate::ir::upstream;
use crate::names;

const TIMEOUT_MS: u64 = 5000;
const CLOSED_STATUS: u32 = 500;
const BUILT_IN_STATUS: u32 = 503;
/// Bytes of the body sent with `allow_request_body`.
const BODY_BYTES: u32 = 4096;
/// Sent to an HTTP auth server besides what the object lists.
const REQUEST_HEADERS: [&str; 8] = [
    "authorization",
    "cookie",
    "from",
    "proxy-authorization",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];
/// Taken from its answer besides what the object lists.
const AUTHORIZATION_HEADERS: [&str; 5] =
    ["location", "authorization", "proxy-authenticate", "set-cookie", "www-authenticate"];

/// The filter, and the object because of which it refuses everything.
pub(super) struct Emitted {
    pub(super) filter: Auth,
    pub(super) closed_by: Option<ObjectKey>,
}

/// Emits the filter; without an AuthService object it is ours where
/// FilterPolicies exist.
pub(super) fn emit(input: &Input<'_>, stage: &Stage, notes: &mut Notes) -> Option<Emitted> {
    let specs: Vec<(&Item, &api::AuthService)> = input
        .of(Kind::AuthService)
        .map(|item| (item, &item.object.spec))
        .chain(input.of(Kind::Module).map(|item| (item, &item.object.spec)))
        .filter_map(|(item, spec)| match spec {
            Spec::AuthService(spec) => Some((item, &**spec)),
            Spec::Module(module) => match &module.config {
                api::ModuleConfig::Authentication(spec) => Some((item, &**spec)),
                _ => None,
            },
            _ => None,
        })
        .collect();
    if let Some(broken) = input.broken.iter().find(|key| key.kind == Kind::AuthService) {
        return Some(closed(broken.clone(), stage, notes));
    }
    let Some((first, _)) = specs.first() else {
        if !input.any(Kind::FilterPolicy) {
            return None;
        }
        let by = built_in_source(Kind::AuthService, &stage.namespace);
        return Some(implied(input, stage, notes).unwrap_or_else(|| closed(by, stage, notes)));
    };
    let by = (*first.id.source).clone();
    Some(merged(&specs, input, stage, notes).unwrap_or_else(|| closed(by, stage, notes)))
}

fn closed(by: ObjectKey, stage: &Stage, notes: &mut Notes) -> Emitted {
    let target = Target::new(
        "cluster_extauth_closed".to_owned(),
        cluster(Discovery::Closed, "extauth_closed".to_owned(), None, true),
    );
    let source = built_in_source(Kind::AuthService, &stage.namespace);
    let filter = Auth {
        cluster: notes.clusters.add(target, &source),
        timeout_ms: TIMEOUT_MS,
        protocol: AuthProtocol::Grpc { raw_headers: false },
        body: None,
        failure_mode_allow: false,
        status_on_error: Some(CLOSED_STATUS),
    };
    Emitted { filter, closed_by: Some(by) }
}

fn implied(input: &Input<'_>, stage: &Stage, notes: &mut Notes) -> Option<Emitted> {
    let address = input.settings.auth.as_ref()?;
    let source = built_in_source(Kind::AuthService, &stage.namespace);
    let filter = Auth {
        cluster: notes.clusters.add(built_in("auth", address, true), &source),
        timeout_ms: TIMEOUT_MS,
        protocol: AuthProtocol::Grpc { raw_headers: true },
        body: None,
        failure_mode_allow: false,
        status_on_error: Some(BUILT_IN_STATUS),
    };
    Some(Emitted { filter, closed_by: None })
}

/// Merges several objects into one filter whose cluster balances over all; a
/// later one that differs in what cannot be merged is left out. `None` when
/// nothing usable comes out.
fn merged(
    specs: &[(&Item, &api::AuthService)],
    input: &Input<'_>,
    stage: &Stage,
    notes: &mut Notes,
) -> Option<Emitted> {
    let (first, base) = *specs.first()?;
    let mut members = vec![(first, base)];
    for (item, spec) in &specs[1..] {
        if agrees(base, spec) {
            members.push((*item, *spec));
        } else {
            notes.findings.push(item.error(
                "auth-service-conflict",
                "spec",
                format!("settings differ from {}; this one is not in effect", first.id.source),
                "make them equal, or keep one AuthService",
            ));
        }
    }
    let grpc = base.proto == Some(AuthProto::Grpc);
    if grpc && base.protocol_version.as_deref() != Some("v3") {
        notes.findings.push(first.error(
            "protocol-version",
            "spec.protocol_version",
            "only protocol version v3 is served; guarded requests are answered 500",
            "write protocol_version: v3",
        ));
        return None;
    }
    if base.include_body.is_some() && base.allow_request_body == Some(true) {
        notes.findings.push(first.warning(
            "body-twice",
            "spec.allow_request_body",
            "include_body is in effect; allow_request_body is not",
            "remove allow_request_body",
        ));
    }
    let plugged: Vec<(&Item, Plugged)> = members
        .iter()
        .map(|(item, spec)| Some((*item, plugin(item, spec, grpc).target(input, stage, notes)?)))
        .collect::<Option<_>>()?;
    let uri = plugged.first()?.1.uri.clone();
    let target = join(&plugged, base, stage, notes);
    let body = match &base.include_body {
        Some(body) => Some((body.max_bytes.max(1), body.allow_partial.unwrap_or(false))),
        None => (base.allow_request_body == Some(true)).then_some((BODY_BYTES, true)),
    };
    let filter = Auth {
        cluster: notes.clusters.add(target, &first.id.source),
        timeout_ms: base.timeout_ms.unwrap_or(TIMEOUT_MS),
        protocol: if grpc {
            AuthProtocol::Grpc { raw_headers: false }
        } else {
            http(&members, uri, stage)
        },
        body,
        failure_mode_allow: base.failure_mode_allow.unwrap_or(false),
        status_on_error: base.status_on_error.as_ref().and_then(|status| status.code),
    };
    Some(Emitted { filter, closed_by: None })
}

fn agrees(a: &api::AuthService, b: &api::AuthService) -> bool {
    a.proto.unwrap_or_default() == b.proto.unwrap_or_default()
        && a.path_prefix == b.path_prefix
        && a.timeout_ms == b.timeout_ms
        && a.allow_request_body == b.allow_request_body
        && a.include_body == b.include_body
        && a.failure_mode_allow == b.failure_mode_allow
        && a.status_on_error == b.status_on_error
        && a.tls == b.tls
        && a.protocol_version == b.protocol_version
}

fn plugin<'a>(item: &'a Item, spec: &'a api::AuthService, grpc: bool) -> Plugin<'a> {
    Plugin {
        item,
        marker: "extauth",
        field: "spec.auth_service",
        service: &spec.auth_service,
        tls: spec.tls.as_deref(),
        stats_name: spec.stats_name.as_deref(),
        http2: grpc,
    }
}

/// One cluster with the endpoints of all; several are balanced. What is found
/// in another way than the first cannot join it.
fn join(
    plugged: &[(&Item, Plugged)],
    base: &api::AuthService,
    stage: &Stage,
    notes: &mut Notes,
) -> Target {
    let (mut targets, mut services) = (Vec::new(), Vec::new());
    for (_, one) in plugged {
        match &one.target.cluster.discovery {
            Discovery::Dns { host, port, .. } => targets.push((host.clone(), *port)),
            Discovery::Eds { service } => services.push(&**service),
            Discovery::Several { .. } | Discovery::Closed => {}
        }
    }
    let (first, rest) = plugged.split_first().expect("merging begins with one object");
    let mut cluster = (*first.1.target.cluster).clone();
    let balanced = 1 + rest.len();
    if targets.len() == balanced && balanced > 1 {
        let family = Family::of(stage.defaults.enable_ipv4, stage.defaults.enable_ipv6);
        cluster.discovery = Discovery::Several { targets, family };
    } else if services.len() == balanced {
        cluster.discovery = Discovery::Eds { service: names::join_eds(&services).into() };
    } else {
        for (item, _) in rest {
            notes.findings.push(item.warning(
                "auth-service-not-joined",
                "spec.auth_service",
                format!(
                    "a DNS name and the endpoints of a Service cannot share the load; {} is asked alone",
                    first.0.id.source
                ),
                "name Services in all of them, or DNS names",
            ));
        }
    }
    cluster.breakers = if base.circuit_breakers.is_empty() {
        stage.defaults.breakers.clone()
    } else {
        base.circuit_breakers.iter().map(upstream::breaker).collect()
    };
    Target::new(first.1.target.name.to_string(), cluster)
}

/// Source: Emissary, which takes the first segment of a `path_prefix` for the
/// name of the service.
fn linkerd_destination(spec: &api::AuthService, uri: &str) -> String {
    let prefix = spec.path_prefix.as_deref().unwrap_or_default().trim_start_matches('/');
    match prefix.split('/').next() {
        Some(segment) if !segment.is_empty() => {
            format!("{segment}:{}", if uri.starts_with("https:") { 443 } else { 80 })
        }
        _ => uri.split("://").nth(1).unwrap_or_default().to_owned(),
    }
}

fn http(members: &[(&Item, &api::AuthService)], uri: String, stage: &Stage) -> AuthProtocol {
    let union = |base: &[&str], pick: fn(&api::AuthService) -> &Vec<String>| -> Vec<String> {
        let mut names: BTreeSet<String> = base.iter().map(|name| (*name).to_owned()).collect();
        for (_, spec) in members {
            names.extend(pick(spec).iter().map(|name| name.to_ascii_lowercase()));
        }
        names.into_iter().collect()
    };
    let (_, base) = members[0];
    let mut add: Vec<(String, String)> =
        base.add_auth_headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let linkerd = |(_, spec): &(&Item, &api::AuthService)| {
        spec.add_linkerd_headers.unwrap_or(stage.defaults.add_linkerd_headers)
    };
    if members.iter().any(linkerd) {
        add.push(("l5d-dst-override".to_owned(), linkerd_destination(base, &uri)));
    }
    AuthProtocol::Http {
        path_prefix: base.path_prefix.clone().unwrap_or_default(),
        request_headers: union(&REQUEST_HEADERS, |spec| &spec.allowed_request_headers),
        authorization_headers: union(&AUTHORIZATION_HEADERS, |spec| {
            &spec.allowed_authorization_headers
        }),
        add_headers: add,
        uri,
    }
}
