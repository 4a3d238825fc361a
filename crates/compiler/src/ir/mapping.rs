//! One Mapping, parsed: its match, its place in the order, its upstream.

use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Diagnostic, Spec};
use sha1::{Digest, Sha1};

use super::cluster::{Balance, Cluster, Discovery, Family, NameParts};
use super::defaults::LoadBalancer;
use super::discovery::{self, Request};
use super::endpoints::Services;
use super::glob;
use super::item::Item;
use super::resolver::Resolver;
use super::route::{NamedMatch, PathMatch, RouteMatch, TextMatch};
use super::scene::{Origination, Stage};
use super::service::{Scheme, Service};
use super::{tls::UpstreamTls, upstream};
use crate::names;

/// Connect timeout where the Mapping does not say.
const CONNECT_TIMEOUT_MS: u64 = 3000;
const AUTHORITY: &str = ":authority";

/// Identity of a group: Mappings with the same match share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupId(pub(crate) [u8; 20]);

/// Which hosts a Mapping is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostMatch {
    /// Says nothing: only Hosts with a selector take it.
    None,
    /// Glob.
    Glob(String),
    /// RE2 pattern: every Host takes it.
    Regex(String),
}

/// Place of a group among the routes of a virtual host; greater goes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    precedence: i64,
    prefix_length: usize,
    header_length: usize,
    query_length: usize,
    prefix: String,
    headers: Vec<String>,
    queries: Vec<String>,
    /// Equal otherwise: the group created later goes first.
    created: Arc<str>,
}

/// A Mapping's upstream.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Full cluster name, before variants and shortening.
    pub(crate) name: Arc<str>,
    pub(crate) cluster: Arc<Cluster>,
    /// Hash of the options, for comparison and for names of variants.
    pub(crate) options: u64,
}

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
    /// Service whose definition decides about the cluster.
    pub(crate) depends_on: Option<(String, String)>,
    /// A probe or the diagnostics of the gateway itself: every Host takes it.
    pub(crate) internal: bool,
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
}

/// Parses a Mapping. `None` when it cannot be used; the findings say why.
pub(crate) fn parse(
    item: &Item,
    stage: &Stage,
    services: &Services,
) -> (Option<Mapping>, Vec<Diagnostic>) {
    let mut findings = Vec::new();
    let Spec::Mapping(spec) = &item.object.spec else { return (None, findings) };
    let host = host_match(spec);
    let matches = route_match(spec, &host);
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
            findings.push(finding);
            return (None, findings);
        }
    };
    if !matches!(resolver, Resolver::Consul(_)) && !stage.defaults.own_namespace_resolution {
        service.qualify(item.namespace(), &stage.namespace);
    }
    let Ok(load_balancer) = load_balancer(item, spec, stage, resolver, &mut findings) else {
        return (None, findings);
    };
    let mut mapping = Mapping {
        role,
        group: group_id(spec, &matches, &host, item, stage),
        rank: Arc::new(rank(spec, &matches, item)),
        host,
        matches,
        target: None,
        load_balancer,
        depends_on: None,
        internal: false,
        linkerd: None,
        service,
        item: item.clone(),
    };
    if role != Role::Redirect {
        target(&mut mapping, spec, stage, resolver, services, &mut findings);
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

fn host_match(spec: &api::Mapping) -> HostMatch {
    if let Some(glob) = &spec.hostname {
        return HostMatch::Glob(glob.clone());
    }
    let exact = spec.host.as_ref().or_else(|| spec.headers.get(AUTHORITY));
    match exact {
        Some(text) if spec.host_regex == Some(true) => HostMatch::Regex(text.clone()),
        Some(text) => HostMatch::Glob(text.clone()),
        None => HostMatch::None,
    }
}

fn route_match(spec: &api::Mapping, host: &HostMatch) -> RouteMatch {
    let path = if spec.prefix_regex == Some(true) {
        PathMatch::Regex(spec.prefix.clone())
    } else if spec.prefix_exact == Some(true) {
        PathMatch::Exact(spec.prefix.clone())
    } else {
        PathMatch::Prefix(spec.prefix.clone())
    };
    let exact = |(name, value): (&String, &String)| NamedMatch {
        name: name.clone(),
        value: TextMatch::Exact(value.clone()),
    };
    let regex = |(name, value): (&String, &String)| NamedMatch {
        name: name.clone(),
        value: TextMatch::Regex(value.clone()),
    };
    let mut headers: Vec<NamedMatch> = spec
        .headers
        .iter()
        .filter(|(name, _)| *name != AUTHORITY)
        .map(exact)
        .chain(spec.regex_headers.iter().map(regex))
        .collect();
    let authority = match host {
        HostMatch::None => None,
        HostMatch::Regex(pattern) => Some(TextMatch::Regex(pattern.clone())),
        HostMatch::Glob(text) => Some(glob_match(text)),
    };
    if let Some(value) = authority {
        headers.push(NamedMatch { name: AUTHORITY.to_owned(), value });
    }
    if let Some(method) = &spec.method {
        let value = if spec.method_regex == Some(true) {
            TextMatch::Regex(method.clone())
        } else {
            TextMatch::Exact(method.clone())
        };
        headers.push(NamedMatch { name: ":method".to_owned(), value });
    }
    RouteMatch {
        path,
        case_sensitive: spec.case_sensitive.unwrap_or(true),
        headers,
        queries: spec
            .query_parameters
            .iter()
            .map(exact)
            .chain(spec.regex_query_parameters.iter().map(regex))
            .collect(),
    }
}

fn glob_match(text: &str) -> TextMatch {
    if text == "*" {
        TextMatch::Any
    } else if let Some(tail) = text.strip_prefix('*') {
        TextMatch::Suffix(tail.to_owned())
    } else if let Some(head) = text.strip_suffix('*') {
        TextMatch::Prefix(head.to_owned())
    } else {
        TextMatch::Exact(text.to_owned())
    }
}

/// Text of a condition as Emissary hashes and sorts it.
fn condition_text(item: &NamedMatch, host: &HostMatch) -> String {
    if item.name == AUTHORITY
        && let HostMatch::Glob(text) | HostMatch::Regex(text) = host
    {
        return text.clone();
    }
    match &item.value {
        TextMatch::Exact(text)
        | TextMatch::Regex(text)
        | TextMatch::Prefix(text)
        | TextMatch::Suffix(text) => text.clone(),
        TextMatch::Any => "*".to_owned(),
    }
}

fn group_id(
    spec: &api::Mapping,
    matches: &RouteMatch,
    host: &HostMatch,
    item: &Item,
    stage: &Stage,
) -> GroupId {
    let mut hash = Sha1::new();
    hash.update("HTTP-GET");
    hash.update(&spec.prefix);
    for condition in matches.headers.iter().chain(&matches.queries) {
        hash.update(&condition.name);
        hash.update(condition_text(condition, host));
    }
    if !matches!(host, HostMatch::Glob(_)) {
        for selector in &stage.selectors {
            if stage.labels_match(selector, &item.meta().labels) {
                for (key, value) in selector {
                    hash.update(key);
                    hash.update(value);
                }
            }
        }
    }
    let precedence = spec.precedence.unwrap_or(0);
    if precedence != 0 {
        hash.update(precedence.to_string());
    }
    GroupId(hash.finalize().into())
}

fn rank(spec: &api::Mapping, matches: &RouteMatch, item: &Item) -> Rank {
    let host = host_match(spec);
    let length = |condition: &NamedMatch| {
        let regex = usize::from(matches!(condition.value, TextMatch::Regex(_)));
        condition.name.len() + condition_text(condition, &host).len().max(1) + regex
    };
    let text =
        |condition: &NamedMatch| format!("{}-{}", condition.name, condition_text(condition, &host));
    Rank {
        precedence: spec.precedence.unwrap_or(0),
        prefix_length: spec.prefix.len(),
        header_length: matches.headers.iter().map(length).sum(),
        query_length: matches.queries.iter().map(length).sum(),
        prefix: spec.prefix.clone(),
        headers: matches.headers.iter().map(text).collect(),
        queries: matches.queries.iter().map(text).collect(),
        created: item.id.order.clone(),
    }
}

fn load_balancer(
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
    match upstream::load_balancer(given) {
        Ok(parsed) => Ok(Some(parsed)),
        Err(message) => {
            findings.push(item.error(
                "invalid-load-balancer",
                "spec.load_balancer",
                message,
                "give a policy and what it needs",
            ));
            Err(())
        }
    }
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

fn target(
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
    let breakers: Vec<_> = if spec.circuit_breakers.is_empty() {
        defaults.breakers.clone()
    } else {
        spec.circuit_breakers.iter().map(upstream::breaker).collect()
    };
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
        breakers: &breakers,
        balance: mapping.load_balancer.as_ref().map(|given| given.name.clone()),
    }
    .full_name();
    let cluster = Cluster {
        discovery,
        stat_name: spec
            .stats_name
            .clone()
            .or_else(|| defaults.stats_name.clone())
            .unwrap_or_else(|| names::sanitise(&text)),
        connect_timeout_ms: spec.connect_timeout_ms.unwrap_or(CONNECT_TIMEOUT_MS).max(1),
        idle_timeout_ms: spec
            .cluster_idle_timeout_ms
            .filter(|ms| *ms > 0)
            .or(defaults.idle_timeout_ms),
        max_lifetime_ms: spec
            .cluster_max_connection_lifetime_ms
            .filter(|ms| *ms > 0)
            .or(defaults.max_lifetime_ms),
        breakers,
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
        header_case: defaults.header_case.clone(),
    };
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

impl HostMatch {
    /// Returns whether a Host of this name can take the Mapping.
    pub(crate) fn overlaps(&self, hostname: &str) -> bool {
        match self {
            Self::None => false,
            Self::Glob(text) => glob::overlap(text, hostname),
            Self::Regex(_) => true,
        }
    }
}
