//! Everything but Mappings, settled: what Mappings depend on, Hosts, listeners
//! and their chains, plug-in services.
//!
//! These objects are few, so a scene is made anew when one of them changes;
//! the caller compares it with the former one and redoes only what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Diagnostic, Kind, Object, ObjectKey, Spec};

use super::cluster::Target;
use super::defaults::Defaults;
use super::error_response::{self, ErrorResponses, Sources};
use super::group::ACME_PREFIX;
use super::host::Host;
use super::http::HttpSettings;
use super::input::Input;
use super::item::Item;
use super::listener::Listener;
use super::notes::{Notes, SceneClusters};
use super::route_table::RouteTable;
use super::secret::{SecretName, SecretUse};
use super::stage::Stage;
use super::tls_context::Contexts;
use super::{bind, filters, host, resolver, tcp};
use crate::{Address, Settings};

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
        refused: input.refused.clone(),
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
        let sources = Sources { files: input.files, refused: input.refused };
        let rules = error_response::read(item, field, given, sources, &mut notes.findings);
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
