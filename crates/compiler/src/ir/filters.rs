//! Plug-in services and Module settings, as the filters of every listener.

use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Kind, ObjectKey, Spec};

use super::cluster::Target;
use super::cluster::{Balance, Cluster, Discovery, Family, HeaderCase, NameParts};
use super::defaults;
use super::discovery::{self, Request};
use super::error_response::ErrorResponses;
use super::http::{HttpFilter, HttpSettings};
use super::input::Input;
use super::item::Item;
use super::notes::Notes;
use super::resolver::Resolver;
use super::service::{Scheme, Service};
use super::stage::{Origination, Stage};
use super::tls::UpstreamTls;
use crate::{Address, names};

mod auth;
pub(crate) mod compression;
mod module;
mod observe;
mod rate_limit;

/// Settles the filters and the connection manager, and tells the stage which
/// of them Mappings must heed.
pub(crate) fn settings(
    input: &Input<'_>,
    module: &api::AmbassadorModule,
    error_responses: ErrorResponses,
    stage: &mut Stage,
    notes: &mut Notes,
) -> HttpSettings {
    let mut settings = module::settings(module);
    let mut filters = error_filters(error_responses, input.mapping_error_responses);
    filters.extend(module::filters(module));
    filters.push(HttpFilter::Cors);
    if let Some(auth) = auth::emit(input, stage, notes) {
        stage.auth = true;
        stage.auth_closed = auth.closed_by.is_some();
        settings.auth_closed_by = auth.closed_by;
        filters.push(HttpFilter::Auth(auth.filter));
    }
    if let Some(limit) = rate_limit::emit(input, stage, notes) {
        stage.label_domain = Some(limit.domain.clone());
        filters.push(HttpFilter::RateLimit(limit));
    }
    settings.tracing = observe::tracing(input, stage, notes);
    filters.push(HttpFilter::Router {
        suppress_envoy_headers: module.suppress_envoy_headers.unwrap_or(false),
    });
    settings.filters = filters;
    settings.access_logs = observe::access_logs(input, module, stage, notes);
    settings.header_case = defaults::header_case(module);
    settings
}

/// Filters that see an answer last, when all others have. A gateway without
/// such bodies has none of them.
fn error_filters(of_module: ErrorResponses, of_mappings: bool) -> Vec<HttpFilter> {
    let module = (!of_module.is_empty()).then_some(HttpFilter::ErrorResponses(of_module));
    let mappings = of_mappings.then_some(HttpFilter::MappingErrorResponses);
    let kept = module.as_ref().or(mappings.as_ref()).map(|_| HttpFilter::KeptHeaders);
    [module, mappings, kept].into_iter().flatten().collect()
}

/// A plug-in service to make a cluster of.
struct Plugin<'a> {
    item: &'a Item,
    marker: &'a str,
    field: &'static str,
    service: &'a str,
    tls: Option<&'a str>,
    stats_name: Option<&'a str>,
    http2: bool,
}

/// A plug-in service's cluster: name, scheme and authority to call it by.
struct Plugged {
    target: Target,
    uri: String,
}

impl Plugin<'_> {
    /// Makes the cluster; `None` when the service cannot be used.
    fn target(&self, input: &Input<'_>, stage: &Stage, notes: &mut Notes) -> Option<Plugged> {
        let (mut service, fault) = Service::parse(self.service);
        if let Some(fault) = fault {
            notes.findings.push(self.item.error(
                "invalid-service",
                self.field,
                fault.to_string(),
                "write it as [scheme://]host[:port]",
            ));
            return None;
        }
        // Nobody chose the Module's resolver for this service: where that cannot
        // find it, DNS does.
        let resolver = discovery::resolver(self.item, &service, None, stage);
        let resolver = resolver.unwrap_or(&Resolver::Service);
        let consul = matches!(resolver, Resolver::Consul(_));
        if !consul && !stage.defaults.own_namespace_resolution {
            service.qualify(self.item.namespace(), &stage.namespace);
        }
        let tls = match self.tls.map(|name| (name, stage.contexts.get(name))) {
            Some((_, Some(Origination::Usable(tls)))) => Some(tls.clone()),
            Some((name, _)) => {
                notes.findings.push(self.item.error(
                    "unusable-tls-context",
                    "spec.tls",
                    format!("TLSContext `{name}` does not exist or is not usable"),
                    "name a TLSContext that exists and holds certificates",
                ));
                return None;
            }
            None => (service.scheme == Some(Scheme::Https)).then(Arc::default),
        };
        let family = Family::of(stage.defaults.enable_ipv4, stage.defaults.enable_ipv6);
        let port = service.port_or_default(tls.is_some());
        let request = Request {
            item: self.item,
            field: self.field,
            service: &service,
            port,
            resolver,
            family,
            logical: false,
            respect_ttl: false,
        };
        let found = discovery::discover(&request, stage, input.services, &mut notes.findings);
        notes.depends_on.extend(found.depends_on);
        let text = service.text();
        let name = NameParts {
            marker: Some(self.marker),
            service: &text,
            tls: tls.is_some(),
            context: self.tls.filter(|_| service.scheme.is_none()),
            namespace: self.item.namespace(),
            ..Default::default()
        }
        .full_name();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let uri = format!("{scheme}://{}:{port}", service.bracketed());
        let stat =
            self.stats_name.map_or_else(|| names::sanitise(&service.authority()), str::to_owned);
        Some(Plugged {
            target: Target::new(name, cluster(found.discovery, stat, tls, self.http2)),
            uri,
        })
    }
}

fn cluster(
    discovery: Discovery,
    stat_name: String,
    tls: Option<Arc<UpstreamTls>>,
    http2: bool,
) -> Cluster {
    Cluster {
        discovery,
        stat_name,
        connect_timeout_ms: 3000,
        idle_timeout_ms: None,
        max_lifetime_ms: None,
        breakers: Vec::new(),
        keepalive: None,
        balance: Balance::RoundRobin,
        http2,
        tls,
        health_checks: Vec::new(),
        outliers: None,
        header_case: HeaderCase::Lower,
    }
}

/// A cluster of one of our own services.
fn built_in(name: &str, address: &Address, http2: bool) -> Target {
    let discovery = Discovery::Dns {
        host: address.host.clone(),
        port: address.port,
        logical: false,
        respect_ttl: false,
        family: Family::Both,
    };
    Target::new(
        format!("cluster_nuncio_{name}"),
        cluster(discovery, format!("nuncio_{name}"), None, http2),
    )
}

/// Identity under which built-in clusters are accounted.
fn built_in_source(kind: Kind, namespace: &str) -> ObjectKey {
    ObjectKey::new(kind, namespace, "nuncio")
}

/// Whether the first item of a list is alone; later ones get an error.
fn only<'a>(
    items: &'a [&'a Item],
    notes: &mut Notes,
    code: &'static str,
    what: &str,
) -> Option<&'a Item> {
    match items {
        [] => None,
        [only] => Some(only),
        several => {
            for item in several {
                notes.findings.push(item.error(
                    code,
                    "",
                    format!("there are several {what}s; none of them is in effect"),
                    "keep one of them",
                ));
            }
            None
        }
    }
}

fn spec_of<'a, T>(item: &'a Item, pick: impl Fn(&'a Spec) -> Option<&'a T>) -> Option<&'a T> {
    pick(&item.object.spec)
}

/// Parses one address range of `ip_allow` and `ip_deny`.
pub(crate) fn address_range(text: &str) -> Option<super::http::AddressRange> {
    module::range(text, false)
}
