//! Where a Mapping sends requests: endpoints, TLS, and the cluster of both.

use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::Diagnostic;

use super::{Mapping, Role};
use crate::ir::cluster::{Balance, Cluster, Discovery, Family, NameParts, Target};
use crate::ir::discovery::{self, Request};
use crate::ir::endpoints::Services;
use crate::ir::item::Item;
use crate::ir::resolver::Resolver;
use crate::ir::service::Scheme;
use crate::ir::stage::{Origination, Stage};
use crate::ir::tls::UpstreamTls;
use crate::ir::upstream::{self, LoadBalancer};
use crate::names;

/// Connect timeout where the Mapping does not say.
const CONNECT_TIMEOUT_MS: u64 = 3000;

/// Returns the load balancer in effect; `Err` when the Mapping cannot have the
/// one it asks for.
pub(super) fn load_balancer(
    item: &Item,
    spec: &api::Mapping,
    stage: &Stage,
    resolver: &Resolver,
    findings: &mut Vec<Diagnostic>,
) -> Result<Option<LoadBalancer>, ()> {
    let Some(given) = &spec.load_balancer else {
        return Ok(stage.defaults.load_balancer.clone());
    };
    if *resolver == Resolver::Service {
        findings.push(item.error(
            "load-balancer-needs-endpoints",
            "spec.load_balancer",
            "load_balancer has no effect with the KubernetesServiceResolver",
            "set `resolver` to an endpoint resolver",
        ));
        return Err(());
    }
    if !stage.endpoint_routing {
        findings.push(item.error(
            "endpoint-routing-disabled",
            "spec.load_balancer",
            "endpoint routing is switched off; the Module's load balancer is used",
            "unset AMBASSADOR_DISABLE_ENDPOINTS",
        ));
        return Ok(stage.defaults.load_balancer.clone());
    }
    // A bad shape never comes this far.
    upstream::load_balancer(given).map(Some).map_err(|_fault| ())
}

/// Decides whether and how TLS is originated; `Err` when answering would be
/// unsafe.
fn origination(
    mapping: &Mapping,
    spec: &api::Mapping,
    stage: &Stage,
    findings: &mut Vec<Diagnostic>,
) -> Result<Option<Arc<UpstreamTls>>, ()> {
    let item = &mapping.item;
    let context = match &spec.tls {
        None => None,
        Some(name) => match stage.contexts.get(name) {
            Some(Origination::Usable(tls)) => Some(tls.clone()),
            found => {
                let what = if found.is_some() { "is not usable" } else { "does not exist" };
                findings.push(item.error(
                    "unusable-tls-context",
                    "spec.tls",
                    format!("TLSContext `{name}` {what}; requests are answered 503"),
                    "name a TLSContext that exists and holds certificates",
                ));
                return Err(());
            }
        },
    };
    Ok(match (mapping.service.scheme, context) {
        (Some(Scheme::Http), Some(tls)) => {
            findings.push(item.error(
                "tls-with-http-scheme",
                "spec.service",
                "service says http:// but `tls` names a context; TLS is used",
                "write https:// or leave the scheme out",
            ));
            Some(tls)
        }
        (Some(Scheme::Https), None) => Some(Arc::default()),
        (_, context) => context,
    })
}

pub(super) fn target(
    mapping: &mut Mapping,
    spec: &api::Mapping,
    stage: &Stage,
    resolver: &Resolver,
    services: &Services,
    findings: &mut Vec<Diagnostic>,
) {
    let defaults = &stage.defaults;
    let tls = origination(mapping, spec, stage, findings);
    let originates = matches!(tls, Ok(Some(_)));
    let port = mapping.service.port_or_default(originates);
    if spec.add_linkerd_headers.unwrap_or(defaults.add_linkerd_headers) {
        mapping.linkerd = Some(format!("{}:{port}", mapping.service.bracketed()));
    }
    let family = Family::of(
        spec.enable_ipv4.unwrap_or(defaults.enable_ipv4),
        spec.enable_ipv6.unwrap_or(defaults.enable_ipv6),
    );
    let text = mapping.service.text();
    let discovery = match &tls {
        Err(()) => Discovery::Closed,
        Ok(_) => {
            let request = Request {
                item: &mapping.item,
                field: "spec.service",
                service: &mapping.service,
                port,
                resolver,
                family,
                logical: spec
                    .dns_type
                    .as_deref()
                    .is_some_and(|kind| kind.eq_ignore_ascii_case("logical_dns")),
                respect_ttl: spec.respect_dns_ttl.unwrap_or(false),
            };
            let found = discovery::discover(&request, stage, services, findings);
            mapping.depends_on = found.depends_on;
            found.discovery
        }
    };
    let dns = !matches!(discovery, Discovery::Eds { .. });
    let name = NameParts {
        marker: match mapping.role {
            Role::Shadow => Some("shadow"),
            _ => spec.cluster_tag.as_deref(),
        },
        service: &text,
        tls: originates,
        context: spec.tls.as_deref().filter(|_| mapping.service.scheme.is_none()),
        host_rewrite: spec.host_rewrite.as_deref(),
        namespace: mapping.item.namespace(),
        breakers: &mapping.breakers,
        balance: mapping
            .load_balancer
            .as_ref()
            .filter(|_| stage.endpoint_routing)
            .map(|given| given.name.clone()),
    }
    .full_name();
    let cluster = Cluster {
        discovery,
        stat_name: spec
            .stats_name
            .clone()
            .or_else(|| defaults.stats_name.clone())
            .unwrap_or_else(|| names::sanitise(&mapping.service.authority())),
        connect_timeout_ms: spec.connect_timeout_ms.unwrap_or(CONNECT_TIMEOUT_MS).max(1),
        idle_timeout_ms: spec
            .cluster_idle_timeout_ms
            .filter(|ms| *ms > 0)
            .or(defaults.idle_timeout_ms),
        max_lifetime_ms: spec
            .cluster_max_connection_lifetime_ms
            .filter(|ms| *ms > 0)
            .or(defaults.max_lifetime_ms),
        breakers: mapping.breakers.clone(),
        keepalive: spec
            .keepalive
            .as_ref()
            .map(upstream::keepalive)
            .or_else(|| defaults.keepalive.clone()),
        balance: mapping.load_balancer.as_ref().map_or(Balance::RoundRobin, |lb| lb.balance),
        http2: spec.grpc == Some(true),
        tls: tls.unwrap_or_default(),
        health_checks: if dns {
            Vec::new()
        } else {
            spec.health_checks.iter().filter_map(upstream::health_check).collect()
        },
        outliers: spec.outlier_detection.clone(),
        header_case: defaults.header_case.clone(),
    };
    if !dns && *resolver != Resolver::Service {
        findings.extend(idle_beside_endpoints(&mapping.item, spec));
    }
    if dns && !spec.health_checks.is_empty() && stage.endpoint_routing {
        findings.push(mapping.item.warning(
            "health-checks-need-endpoints",
            "spec.health_checks",
            "health_checks have no effect on a service reached by DNS",
            "set `resolver` to an endpoint resolver",
        ));
    }
    mapping.target = Some(Target::new(name, cluster));
}

impl Target {
    /// Makes a target of a full name and options.
    pub(crate) fn new(name: String, cluster: Cluster) -> Self {
        use std::hash::{Hash, Hasher};
        // Seedless, hence the same in every process.
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        cluster.hash(&mut hasher);
        Self { name: name.into(), options: hasher.finish(), cluster: Arc::new(cluster) }
    }
}

/// Says which settings of name resolution nobody heeds.
fn idle_beside_endpoints(item: &Item, spec: &api::Mapping) -> Vec<Diagnostic> {
    let settings = [
        ("spec.dns_type", spec.dns_type.is_some()),
        ("spec.respect_dns_ttl", spec.respect_dns_ttl.is_some()),
        ("spec.enable_ipv4", spec.enable_ipv4.is_some()),
        ("spec.enable_ipv6", spec.enable_ipv6.is_some()),
    ];
    let given = settings.into_iter().filter(|(_, given)| *given);
    let remedy = "an endpoint resolver asks no DNS: remove the field";
    given.map(|(field, _)| item.notice("no-effect", field, "has no effect", remedy)).collect()
}
