//! TCPMappings: connections to weighted clusters.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Kind, ObjectKey, Spec};

use super::cluster::{Balance, Cluster, Family, NameParts};
use super::filters::plugin_discovery;
use super::glob;
use super::host::Host;
use super::item::Item;
use super::mapping::Target;
use super::scene::{Input, Notes, Origination, Stage};
use super::service::{Scheme, Service};
use super::tls::DownstreamTls;
use super::tls_context::Contexts;
use super::upstream;
use crate::names;

/// TCPMappings that share a port and a server name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TcpGroup {
    /// `<name>.<namespace>` of the first member.
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    /// Server name; `None` takes the whole port.
    pub(crate) host: Option<String>,
    pub(crate) tls: Option<Arc<DownstreamTls>>,
    pub(crate) clusters: Vec<(Arc<str>, u32)>,
    pub(crate) idle_timeout_ms: Option<u64>,
    pub(crate) stats_name: Option<String>,
    pub(crate) sources: Vec<ObjectKey>,
}

type Identity = (IpAddr, u16, Option<String>);

/// Merges TCPMappings into groups, sorted by port and server name.
pub(crate) fn groups(
    input: &Input<'_>,
    hosts: &[Host],
    contexts: &Contexts,
    stage: &Stage,
    notes: &mut Notes,
) -> Vec<TcpGroup> {
    let mut members: BTreeMap<Identity, Vec<(&Item, &api::TcpMapping)>> = BTreeMap::new();
    for item in input.of(Kind::TcpMapping) {
        let Spec::TcpMapping(spec) = &item.object.spec else { continue };
        let Ok(port @ 1..) = u16::try_from(spec.port) else {
            notes.findings.push(item.error(
                "invalid-port",
                "spec.port",
                "is no port",
                "give a number from 1 to 65535",
            ));
            continue;
        };
        let address = match &spec.address {
            None => input.settings.bind_address,
            Some(text) => match text.parse() {
                Ok(address) => address,
                Err(_) => {
                    notes.findings.push(item.error(
                        "invalid-address",
                        "spec.address",
                        format!("`{text}` is no IP address"),
                        "give an IP address of this machine",
                    ));
                    continue;
                }
            },
        };
        let host = spec.host.as_ref().filter(|h| *h != "*").map(|h| h.to_ascii_lowercase());
        members.entry((address, port, host)).or_default().push((item, spec));
    }
    members
        .into_iter()
        .filter_map(|(identity, members)| {
            group(identity, &members, input, hosts, contexts, stage, notes)
        })
        .collect()
}

fn group(
    (address, port, host): Identity,
    members: &[(&Item, &api::TcpMapping)],
    input: &Input<'_>,
    hosts: &[Host],
    contexts: &Contexts,
    stage: &Stage,
    notes: &mut Notes,
) -> Option<TcpGroup> {
    let (first, first_spec) = members.first()?;
    let tls = match &host {
        None => None,
        Some(name) => match termination(name, hosts) {
            Some(tls) => Some(tls),
            None => {
                let known = contexts.iter().any(|(_, context)| context.spec.hosts.contains(name));
                notes.findings.push(first.error(
                    "tcp-host-without-tls",
                    "spec.host",
                    format!(
                        "no Host with TLS matches `{name}`{}",
                        if known { "; a TLSContext alone is not supported yet" } else { "" }
                    ),
                    "add a Host for it with a tlsSecret",
                ));
                return None;
            }
        },
    };
    let agreed: Vec<_> = members
        .iter()
        .filter(|(item, spec)| {
            let same = spec.circuit_breakers.is_empty()
                || spec.circuit_breakers == first_spec.circuit_breakers;
            let same = same && (spec.tls.is_none() || spec.tls == first_spec.tls);
            if !same {
                notes.findings.push(item.error(
                    "group-disagreement",
                    "spec",
                    format!("differs from {}, which has the same port", first.id.source),
                    "make the fields equal",
                ));
            }
            same
        })
        .collect();
    let weights = weights(&agreed.iter().map(|(_, spec)| spec.weight).collect::<Vec<_>>());
    let mut clusters = Vec::new();
    for ((item, spec), weight) in agreed.iter().zip(weights) {
        let target = target(item, spec, input, stage, notes);
        let name = notes.clusters.add(target, &item.id.source);
        if weight > 0 {
            clusters.push((name, weight));
        }
    }
    if clusters.is_empty() {
        return None;
    }
    let idle = members.iter().find_map(|(item, spec)| idle_timeout(item, spec, notes));
    Some(TcpGroup {
        name: names::dotted(first.name(), first.namespace()),
        address,
        port,
        host,
        tls,
        clusters,
        idle_timeout_ms: idle,
        stats_name: first_spec.stats_name.clone(),
        sources: members.iter().map(|(item, _)| (*item.id.source).clone()).collect(),
    })
}

/// The settings of the first Host (by hostname) that has TLS and overlaps.
fn termination(name: &str, hosts: &[Host]) -> Option<Arc<DownstreamTls>> {
    hosts
        .iter()
        .filter(|host| glob::overlap(&host.hostname, name))
        .find_map(|host| host.tls.clone())
}

fn idle_timeout(item: &Item, spec: &api::TcpMapping, notes: &mut Notes) -> Option<u64> {
    let text = spec.idle_timeout_ms.as_deref()?;
    let parsed = text.trim().parse().ok();
    if parsed.is_none() {
        notes.findings.push(item.error(
            "invalid-idle-timeout",
            "spec.idle_timeout_ms",
            format!("`{text}` is no number"),
            "give milliseconds",
        ));
    }
    parsed
}

/// True shares: stated weights as they are, the rest of the hundred split over
/// the others.
fn weights(given: &[Option<u32>]) -> Vec<u32> {
    if let [_] = given {
        return vec![100];
    }
    let stated: u32 = given.iter().flatten().sum();
    let open = u32::try_from(given.iter().filter(|w| w.is_none()).count()).unwrap_or(u32::MAX);
    let rest = 100_u32.saturating_sub(stated);
    let mut left = open;
    given
        .iter()
        .map(|weight| {
            weight.unwrap_or_else(|| {
                left -= 1;
                // What division leaves over goes to the last one.
                let each = rest / open;
                if left == 0 { rest - each * (open - 1) } else { each }
            })
        })
        .collect()
}

fn target(
    item: &Item,
    spec: &api::TcpMapping,
    input: &Input<'_>,
    stage: &Stage,
    notes: &mut Notes,
) -> Target {
    let (mut service, fault) = Service::parse(&spec.service);
    if let Some(fault) = fault {
        notes.findings.push(item.error(
            "invalid-service",
            "spec.service",
            fault.to_string(),
            "write it as [scheme://]host[:port]",
        ));
    }
    if !stage.defaults.own_namespace_resolution {
        service.qualify(item.namespace(), &stage.namespace);
    }
    let context = spec.tls.as_ref().map(|name| (name, stage.contexts.get(name)));
    let (tls, closed) = match (context, service.scheme) {
        (Some((_, Some(Origination::Usable(tls)))), _) => (Some(tls.clone()), false),
        (Some((name, _)), _) => {
            notes.findings.push(item.error(
                "unusable-tls-context",
                "spec.tls",
                format!(
                    "TLSContext `{name}` does not exist or is not usable; connections are closed"
                ),
                "name a TLSContext that exists and holds certificates",
            ));
            (None, true)
        }
        (None, Some(Scheme::Https)) => (Some(Arc::default()), false),
        (None, _) => (None, false),
    };
    let breakers: Vec<_> = if spec.circuit_breakers.is_empty() {
        stage.defaults.breakers.clone()
    } else {
        spec.circuit_breakers.iter().map(upstream::breaker).collect()
    };
    let family = Family::of(
        spec.enable_ipv4.unwrap_or(stage.defaults.enable_ipv4),
        spec.enable_ipv6.unwrap_or(stage.defaults.enable_ipv6),
    );
    let text = service.text();
    let name = NameParts {
        marker: spec.cluster_tag.as_deref(),
        service: &text,
        tls: tls.is_some(),
        context: spec.tls.as_deref().filter(|_| service.scheme.is_none()),
        namespace: item.namespace(),
        breakers: &breakers,
        ..Default::default()
    }
    .full_name();
    let port = service.port_or_default(tls.is_some());
    let resolver = spec.resolver.as_deref();
    let cluster = Cluster {
        discovery: if closed {
            super::cluster::Discovery::Closed
        } else {
            plugin_discovery(
                &service,
                port,
                item.namespace(),
                resolver,
                family,
                input,
                stage,
                notes,
            )
        },
        stat_name: spec.stats_name.clone().unwrap_or_else(|| names::sanitise(&text)),
        connect_timeout_ms: 3000,
        idle_timeout_ms: None,
        max_lifetime_ms: None,
        breakers,
        keepalive: stage.defaults.keepalive.clone(),
        balance: Balance::RoundRobin,
        http2: false,
        tls,
        health_checks: Vec::new(),
        header_case: super::cluster::HeaderCase::Lower,
    };
    Target::new(name, cluster)
}
