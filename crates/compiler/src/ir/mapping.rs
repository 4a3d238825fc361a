//! One Mapping, parsed: its match, its place in the order, its upstream.

use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Diagnostic, Spec};

use super::cluster::{Breaker, Discovery, Target};
use super::discovery;
use super::endpoints::Services;
use super::error_response::{ErrorOverride, Sources};
use super::group_id::GroupId;
use super::item::Item;
use super::resolver::Resolver;
use super::route::RouteMatch;
use super::service::Service;
use super::stage::Stage;
use super::upstream::{self, LoadBalancer};

mod matching;
mod target;

pub(crate) use matching::{HostMatch, Rank, authority};

/// What a Mapping is in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Normal,
    Shadow,
    Redirect,
}

/// One Mapping, parsed.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    pub(crate) item: Item,
    pub(crate) role: Role,
    pub(crate) group: GroupId,
    pub(crate) rank: Arc<Rank>,
    pub(crate) host: HostMatch,
    pub(crate) matches: RouteMatch,
    pub(crate) service: Service,
    /// `None` for redirects.
    pub(crate) target: Option<Target>,
    pub(crate) load_balancer: Option<LoadBalancer>,
    /// Its own, or the Module's.
    pub(crate) breakers: Vec<Breaker>,
    /// Service whose definition decides about the cluster.
    pub(crate) depends_on: Option<(String, String)>,
    /// A probe or the diagnostics of the gateway itself: every Host takes it.
    pub(crate) internal: bool,
    /// Bodies of error answers.
    pub(crate) errors: ErrorOverride,
    /// Header added for Linkerd.
    pub(crate) linkerd: Option<String>,
}

impl Mapping {
    /// The object's own part.
    pub(crate) fn spec(&self) -> &api::Mapping {
        match &self.item.object.spec {
            Spec::Mapping(spec) => spec,
            _ => unreachable!("items of Mappings hold Mappings"),
        }
    }

    /// Returns the name that Envoy would know the endpoints by, where they are
    /// told although the resolver says DNS.
    pub(crate) fn dns_name(&self, stage: &Stage) -> Option<&str> {
        let name = self.spec().resolver.as_deref().unwrap_or(&stage.defaults.resolver);
        let by_dns = matches!(stage.resolvers.get(name), Some(Resolver::Service));
        let told = matches!(&self.target.as_ref()?.cluster.discovery, Discovery::Eds { .. });
        (by_dns && told).then_some(self.service.host.as_str())
    }
}

/// Parses a Mapping. `None` when it cannot be used; the findings say why.
pub(crate) fn parse(
    item: &Item,
    stage: &Stage,
    services: &Services,
) -> (Option<Mapping>, Vec<Diagnostic>) {
    let mut findings = Vec::new();
    let Spec::Mapping(spec) = &item.object.spec else { return (None, findings) };
    let host = matching::host_match(spec);
    let matches = matching::route_match(spec, &host);
    let role = role(item, spec, &mut findings);
    let (mut service, fault) = Service::parse(&spec.service);
    if let Some(fault) = fault {
        findings.push(item.error(
            "invalid-service",
            "spec.service",
            fault.to_string(),
            "write it as [scheme://]host[:port]",
        ));
    }
    let resolver = match discovery::resolver(item, &service, spec.resolver.as_deref(), stage) {
        Ok(resolver) => resolver,
        Err(finding) => {
            findings.push(*finding);
            return (None, findings);
        }
    };
    if !matches!(resolver, Resolver::Consul(_)) && !stage.defaults.own_namespace_resolution {
        service.qualify(item.namespace(), &stage.namespace);
    }
    let Ok(load_balancer) = target::load_balancer(item, spec, stage, resolver, &mut findings)
    else {
        return (None, findings);
    };
    let sources = Sources { files: &stage.files, refused: &stage.refused };
    let mut mapping = Mapping {
        role,
        group: matching::group_id(spec, &matches, &host, item, stage),
        rank: Arc::new(matching::rank(spec, &matches, item)),
        host,
        matches,
        target: None,
        load_balancer,
        breakers: upstream::breakers(&spec.circuit_breakers, &stage.defaults.breakers),
        depends_on: None,
        internal: false,
        errors: ErrorOverride::of(item, spec, sources, stage.error_responses, &mut findings),
        linkerd: None,
        service,
        item: item.clone(),
    };
    if role != Role::Redirect {
        target::target(&mut mapping, spec, stage, resolver, services, &mut findings);
    }
    (Some(mapping), findings)
}

fn role(item: &Item, spec: &api::Mapping, findings: &mut Vec<Diagnostic>) -> Role {
    match (spec.shadow == Some(true), spec.host_redirect == Some(true)) {
        (true, true) => {
            findings.push(item.error(
                "shadow-with-redirect",
                "spec.host_redirect",
                "shadow and host_redirect exclude each other; shadow is in effect",
                "remove one of them",
            ));
            Role::Shadow
        }
        (true, false) => Role::Shadow,
        (false, true) => Role::Redirect,
        (false, false) => Role::Normal,
    }
}
