//! The upstream of a TCPMapping.

use std::sync::Arc;

use nuncio_api as api;

use crate::ir::cluster::Target;
use crate::ir::cluster::{Balance, Cluster, Discovery, Family, HeaderCase, NameParts};
use crate::ir::discovery::{self, Request};
use crate::ir::input::Input;
use crate::ir::item::Item;
use crate::ir::notes::Notes;
use crate::ir::resolver::Resolver;
use crate::ir::service::{Scheme, Service};
use crate::ir::stage::{Origination, Stage};
use crate::ir::tls::UpstreamTls;
use crate::ir::upstream;
use crate::names;

/// Returns where the connections go; `None` when they cannot go anywhere.
pub(super) fn of(
    item: &Item,
    spec: &api::TcpMapping,
    input: &Input<'_>,
    stage: &Stage,
    notes: &mut Notes,
) -> Option<Target> {
    let (mut service, fault) = Service::parse(&spec.service);
    if let Some(fault) = fault {
        notes.findings.push(item.error(
            "invalid-service",
            "spec.service",
            fault.to_string(),
            "write it as [scheme://]host[:port]",
        ));
    }
    let resolver = match discovery::resolver(item, &service, spec.resolver.as_deref(), stage) {
        Ok(resolver) => resolver,
        Err(finding) => {
            notes.findings.push(*finding);
            return None;
        }
    };
    if !matches!(resolver, Resolver::Consul(_)) && !stage.defaults.own_namespace_resolution {
        service.qualify(item.namespace(), &stage.namespace);
    }
    let tls = originated(item, spec, &service, stage, notes);
    let originates = matches!(tls, Ok(Some(_)));
    let breakers = upstream::breakers(&spec.circuit_breakers, &stage.defaults.breakers);
    let text = service.text();
    let name = NameParts {
        marker: spec.cluster_tag.as_deref(),
        service: &text,
        tls: originates,
        context: spec.tls.as_deref().filter(|_| service.scheme.is_none()),
        namespace: item.namespace(),
        breakers: &breakers,
        ..Default::default()
    }
    .full_name();
    let request = Request {
        item,
        field: "spec.service",
        service: &service,
        port: service.port_or_default(originates),
        resolver,
        family: Family::of(
            spec.enable_ipv4.unwrap_or(stage.defaults.enable_ipv4),
            spec.enable_ipv6.unwrap_or(stage.defaults.enable_ipv6),
        ),
        logical: false,
        respect_ttl: false,
    };
    let discovery = match &tls {
        Err(()) => Discovery::Closed,
        Ok(_) => {
            let found = discovery::discover(&request, stage, input.services, &mut notes.findings);
            notes.depends_on.extend(found.depends_on);
            found.discovery
        }
    };
    let cluster = Cluster {
        discovery,
        stat_name: spec.stats_name.clone().unwrap_or_else(|| names::sanitise(&service.authority())),
        connect_timeout_ms: 3000,
        idle_timeout_ms: None,
        max_lifetime_ms: None,
        breakers,
        keepalive: stage.defaults.keepalive.clone(),
        balance: Balance::RoundRobin,
        http2: false,
        tls: tls.unwrap_or_default(),
        health_checks: Vec::new(),
        outliers: None,
        header_case: HeaderCase::Lower,
    };
    Some(Target::new(name, cluster))
}

/// Decides whether and how TLS is originated; `Err` when connecting would be
/// unsafe.
fn originated(
    item: &Item,
    spec: &api::TcpMapping,
    service: &Service,
    stage: &Stage,
    notes: &mut Notes,
) -> Result<Option<Arc<UpstreamTls>>, ()> {
    let Some(name) = &spec.tls else {
        return Ok((service.scheme == Some(Scheme::Https)).then(Arc::default));
    };
    let Some(Origination::Usable(tls)) = stage.contexts.get(name) else {
        notes.findings.push(item.error(
            "unusable-tls-context",
            "spec.tls",
            format!("TLSContext `{name}` does not exist or is not usable; connections are closed"),
            "name a TLSContext that exists and holds certificates",
        ));
        return Err(());
    };
    if service.scheme == Some(Scheme::Http) {
        notes.findings.push(item.error(
            "tls-with-http-scheme",
            "spec.service",
            "service says http:// but `tls` names a context; TLS is used",
            "write https:// or leave the scheme out",
        ));
    }
    Ok(Some(tls.clone()))
}
