//! Everything but Mappings, settled: what Mappings depend on, Hosts, listeners
//! and their chains, plug-in services.
//!
//! These objects are few, so a scene is made anew when one of them changes;
//! the caller compares it with the former one and redoes only what differs.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Diagnostic, Kind, Object, ObjectKey, Spec};

use super::defaults::Defaults;
use super::endpoints::Services;
use super::error_response::{self, ErrorResponses, Files};
use super::group::ACME_PREFIX;
use super::host::Host;
use super::http::HttpSettings;
use super::item::{Item, ItemId};
use super::listener::Listener;
use super::mapping::Target;
use super::resolver::Resolver;
use super::secret::{SecretName, SecretUse, Secrets};
use super::tls::UpstreamTls;
use super::tls_context::Contexts;
use super::{bind, filters, host, resolver, tcp};
use crate::{Address, Settings, names};

/// Whether a TLSContext can originate TLS.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origination {
    Usable(Arc<UpstreamTls>),
    Unusable,
}

/// What Mappings depend on beside themselves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stage {
    pub(crate) namespace: String,
    pub(crate) resolve_defined_services: bool,
    pub(crate) endpoint_routing: bool,
    pub(crate) strict_labels: bool,
    pub(crate) defaults: Arc<Defaults>,
    pub(crate) resolvers: BTreeMap<String, Resolver>,
    pub(crate) contexts: BTreeMap<String, Origination>,
    /// Domain of the rate-limit service; `None` without one.
    pub(crate) label_domain: Option<String>,
    /// ext_authz stands in the chain.
    pub(crate) auth: bool,
    /// ... and refuses everything, because its object is broken.
    pub(crate) auth_closed: bool,
    /// `matchLabels` of every Host that has a selector, in processing order.
    pub(crate) selectors: Vec<BTreeMap<String, String>>,
    pub(crate) profiles: BTreeSet<Profile>,
    /// The Module has bodies of error answers.
    pub(crate) error_responses: bool,
    /// What the files hold that objects name.
    pub(crate) files: Arc<Files>,
}

impl Stage {
    /// Returns whether labels fulfil a selector, as strictly as is set.
    pub(crate) fn labels_match(
        &self,
        selector: &BTreeMap<String, String>,
        labels: &BTreeMap<String, String>,
    ) -> bool {
        labels_match(self.strict_labels, selector, labels)
    }
}

/// Returns whether labels fulfil a selector: all of it, or any of it where
/// matching is not strict. An empty selector is fulfilled by anything.
pub(crate) fn labels_match(
    strict: bool,
    selector: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
) -> bool {
    let mut holds = selector.iter().map(|(key, value)| labels.get(key) == Some(value));
    if strict || selector.is_empty() { holds.all(|x| x) } else { holds.any(|x| x) }
}

/// How the routes of a virtual host treat secure and insecure requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Profile {
    /// Every request is routed.
    Plain,
    /// `x-forwarded-proto: https` is routed, anything else redirected.
    XfpRedirect,
    /// `x-forwarded-proto: https` is routed, anything else not found.
    XfpOnly,
    /// Every request is redirected.
    Redirect,
    /// Nothing is found.
    Nothing,
}

/// Routes of one filter chain.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RouteTable {
    pub(crate) name: Arc<str>,
    pub(crate) virtual_hosts: Vec<VirtualHost>,
    pub(crate) sources: Arc<[ObjectKey]>,
    /// Clients are told of HTTP/3 on this port.
    pub(crate) offers_http3: bool,
}

/// One Host in one chain.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VirtualHost {
    pub(crate) name: String,
    pub(crate) domain: String,
    /// `None` for a virtual host that holds the challenge route alone.
    pub(crate) host: Option<ItemId>,
    pub(crate) profile: Profile,
    /// Challenges are answered here.
    pub(crate) challenges: bool,
}

/// Objects that a scene is made of.
pub(crate) struct Input<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) items: &'a BTreeMap<Kind, BTreeMap<ItemId, Item>>,
    /// Objects whose text never could be used.
    pub(crate) broken: &'a BTreeSet<ObjectKey>,
    pub(crate) services: &'a Services,
    pub(crate) secrets: &'a Secrets,
    /// What the files hold that objects name.
    pub(crate) files: &'a Arc<Files>,
    /// Some Mapping has bodies of error answers of its own.
    pub(crate) mapping_error_responses: bool,
    /// Secrets that were asked for, found or not.
    pub(crate) looked_at: RefCell<BTreeSet<SecretName>>,
}

impl Input<'_> {
    /// Items of a kind, in processing order.
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &Item> {
        self.items.get(&kind).into_iter().flat_map(BTreeMap::values)
    }

    pub(crate) fn any_broken(&self, kind: Kind) -> bool {
        self.broken.iter().any(|key| key.kind == kind)
    }

    /// Whether any object of this kind exists, usable or not.
    pub(crate) fn any(&self, kind: Kind) -> bool {
        self.of(kind).next().is_some() || self.any_broken(kind)
    }
}

/// Clusters of plug-in services and TCPMappings, by full name.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct SceneClusters {
    /// Full name, options, cluster, user; the first with a name has it plain.
    pub(crate) list: Vec<(Arc<str>, Target, ObjectKey)>,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.options == other.options
    }
}

impl SceneClusters {
    /// Adds a cluster and returns its published name.
    pub(crate) fn add(&mut self, target: Target, user: &ObjectKey) -> Arc<str> {
        let owner = self.list.iter().find(|(_, known, _)| known.name == target.name);
        let full = match owner {
            Some((_, known, _)) if known.options != target.options => {
                names::variant_cluster(&target.name, target.options)
            }
            _ => target.name.to_string(),
        };
        let published: Arc<str> = names::published_cluster(&full).into();
        if !self
            .list
            .iter()
            .any(|(name, known, _)| *name == published && known.options == target.options)
        {
            self.list.push((published.clone(), target, user.clone()));
        }
        published
    }
}

/// The result.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) hosts: Vec<Host>,
    pub(crate) listeners: Vec<(Listener, Vec<ObjectKey>)>,
    pub(crate) tables: Vec<RouteTable>,
    pub(crate) clusters: SceneClusters,
    pub(crate) secrets: BTreeMap<Arc<str>, SecretUse>,
    /// Mappings that the gateway adds of itself.
    pub(crate) internal: Vec<Item>,
    /// Secrets whose change can change the scene.
    pub(crate) looked_at: BTreeSet<SecretName>,
    /// Services that plug-in clusters depend on.
    pub(crate) depends_on: BTreeSet<(String, String)>,
    pub(crate) findings: Vec<Diagnostic>,
}

/// Collects what passes find and use.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) findings: Vec<Diagnostic>,
    pub(crate) clusters: SceneClusters,
    pub(crate) depends_on: BTreeSet<(String, String)>,
}

/// Makes a scene.
pub(crate) fn build(input: &Input<'_>) -> Scene {
    let mut notes = Notes::default();
    let (module, error_responses) = module(input, &mut notes);
    let defaults = Arc::new(Defaults::of(&module));
    let mut contexts = Contexts::read(input, &defaults, &mut notes.findings);
    let hosts = host::read(input, &defaults, &mut contexts, &mut notes.findings);
    let mut stage = Stage {
        namespace: input.settings.namespace.clone(),
        resolve_defined_services: input.settings.resolve_defined_services,
        endpoint_routing: input.settings.endpoint_routing,
        strict_labels: input.settings.strict_label_selectors,
        resolvers: resolver::read(input, &mut notes.findings),
        contexts: contexts.originations(),
        label_domain: None,
        auth: false,
        auth_closed: false,
        selectors: selectors(&hosts),
        profiles: BTreeSet::new(),
        error_responses: !error_responses.is_empty(),
        files: input.files.clone(),
        defaults,
    };
    let settings: Arc<HttpSettings> =
        Arc::new(filters::settings(input, &module, error_responses, &mut stage, &mut notes));
    let tcp = tcp::Grouper {
        input,
        hosts: &hosts,
        contexts: &mut contexts,
        stage: &stage,
        notes: &mut notes,
    }
    .groups();
    let bound = bind::listeners(input, &hosts, &tcp, &settings, &mut notes.findings);
    stage.profiles = bound
        .tables
        .iter()
        .flat_map(|table| table.virtual_hosts.iter().map(|host| host.profile))
        .collect();
    Scene {
        internal: internal_mappings(input.settings, &module),
        stage,
        hosts,
        listeners: bound.listeners,
        tables: bound.tables,
        secrets: contexts.into_uses(),
        clusters: notes.clusters,
        looked_at: input.looked_at.take(),
        depends_on: notes.depends_on,
        findings: notes.findings,
    }
}

/// The labels that Hosts select by, in processing order.
fn selectors(hosts: &[Host]) -> Vec<BTreeMap<String, String>> {
    let mut hosts: Vec<&Host> = hosts.iter().collect();
    hosts.sort_by_key(|host| host.id());
    hosts.into_iter().filter_map(|host| host.selector.clone()).collect()
}

/// The `ambassador` Module, with its bodies of error answers; of several only
/// one gets here.
fn module(input: &Input<'_>, notes: &mut Notes) -> (api::AmbassadorModule, ErrorResponses) {
    let found = input.of(Kind::Module).find_map(|item| match &item.object.spec {
        Spec::Module(module) => match &module.config {
            api::ModuleConfig::Ambassador(config) => Some((item, (**config).clone())),
            _ => None,
        },
        _ => None,
    });
    let found = found.map(|(item, config)| {
        let (field, given) =
            ("spec.config.error_response_overrides", &config.error_response_overrides);
        let rules = error_response::read(item, field, given, input.files, &mut notes.findings);
        (config, rules)
    });
    found.unwrap_or_default()
}

/// Probes, and diagnostics where they are asked for, as Mappings.
fn internal_mappings(settings: &Settings, module: &api::AmbassadorModule) -> Vec<Item> {
    let Some(admin) = &settings.admin else { return Vec::new() };
    let routes = [
        (
            "internal_readiness_probe_mapping",
            "/ambassador/v0/check_ready",
            &module.readiness_probe,
            true,
        ),
        (
            "internal_liveness_probe_mapping",
            "/ambassador/v0/check_alive",
            &module.liveness_probe,
            true,
        ),
        // Off unless asked for: diagnostics tell outsiders too much.
        ("internal_diagnostics_probe_mapping", "/ambassador/v0/", &module.diagnostics, false),
    ];
    let made = routes.into_iter().filter_map(|(name, prefix, route, default)| {
        let route = route.clone().unwrap_or_default();
        if !route.enabled.unwrap_or(default) {
            return None;
        }
        let prefix = route.prefix.clone().unwrap_or_else(|| prefix.to_owned());
        let spec = api::Mapping {
            service: route.service.clone().unwrap_or_else(|| admin.to_string()),
            rewrite: Some(route.rewrite.unwrap_or_else(|| prefix.clone())),
            prefix,
            hostname: Some("*".to_owned()),
            timeout_ms: Some(10_000),
            ..Default::default()
        };
        Some(synthetic(name, &settings.namespace, spec))
    });
    made.collect()
}

fn synthetic(name: &str, namespace: &str, spec: api::Mapping) -> Item {
    let meta =
        api::Meta { name: name.to_owned(), namespace: namespace.to_owned(), ..Default::default() };
    Item::own(Arc::new(Object {
        meta,
        origin: api::Origin::default(),
        spec: Spec::Mapping(Box::new(spec)),
    }))
}

/// The route that answers HTTP-01 challenges, auth and rate limits off.
pub(crate) fn challenge_target(address: &Address) -> (&'static str, Target) {
    use super::cluster::{Balance, Cluster, Discovery, Family, HeaderCase};
    let cluster = Cluster {
        discovery: Discovery::Dns {
            host: address.host.clone(),
            port: address.port,
            logical: false,
            respect_ttl: false,
            family: Family::Both,
        },
        stat_name: String::new(),
        connect_timeout_ms: 3000,
        idle_timeout_ms: None,
        max_lifetime_ms: None,
        breakers: Vec::new(),
        keepalive: None,
        balance: Balance::RoundRobin,
        http2: false,
        tls: None,
        health_checks: Vec::new(),
        outliers: None,
        header_case: HeaderCase::Lower,
    };
    (ACME_PREFIX, Target::new("cluster_nuncio_challenges".to_owned(), cluster))
}
