//! From settled units to encoded resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api::{Kind, ObjectKey, Spec};

use super::routes::Piece;
use super::{Compiler, Dirty};
use crate::envoy;
use crate::ir::item::ItemId;
use crate::ir::limits;
use crate::ir::policies::Policy;
use crate::ir::route::{Action, AuthOverride, Forward, PathMatch, Route, RouteMatch};
use crate::ir::scene::{self, RouteTable, Scene, VirtualHost};
use crate::ir::tls_context::{self, SecretName, SecretUse};
use crate::{ResourceName, TypeUrl, names};

/// Timeout of a challenge request.
const CHALLENGE_TIMEOUT_MS: u64 = 5000;

impl Compiler {
    /// Emits every listener of a new scene.
    pub(super) fn emit_listeners(&mut self, scene: &Scene) {
        let mut kept = BTreeSet::new();
        for (listener, sources) in &scene.listeners {
            kept.insert(listener.name.clone());
            let name = ResourceName::new(TypeUrl::Listener, listener.name.clone());
            self.published.set(name, envoy::listener::encode(listener), sources.clone());
        }
        self.published.retain(TypeUrl::Listener, |name| kept.contains(name));
        let tables: BTreeSet<&str> = scene.tables.iter().map(|table| &*table.name).collect();
        self.published.retain(TypeUrl::RouteConfiguration, |name| tables.contains(name));
        self.emit_challenges(scene);
    }

    fn emit_challenges(&mut self, scene: &Scene) {
        let used = scene.tables.iter().any(|t| t.virtual_hosts.iter().any(|h| h.challenges));
        let Some(address) = &self.settings.challenges else { return };
        let (_, target) = scene::challenge_target(address);
        let name = ResourceName::new(TypeUrl::Cluster, target.name.clone());
        if used {
            let bytes = envoy::cluster::encode(&target.name, &target.cluster);
            self.published.set(name, bytes, Vec::new());
        } else {
            self.published.remove(&name);
        }
    }

    /// Emits the route configurations that hold one of the Hosts.
    pub(super) fn emit_tables(&mut self, scene: &Scene, hosts: &BTreeSet<ItemId>, all: bool) {
        if all {
            self.bodies.clear();
        } else {
            self.bodies.retain(|(host, ..), _| !hosts.contains(host));
        }
        let challenge = self.settings.challenges.as_ref().map(|address| {
            let (prefix, target) = scene::challenge_target(address);
            Piece::of(&challenge_route(prefix, &target.name, scene.stage.auth))
        });
        for table in &scene.tables {
            let mut members = table.virtual_hosts.iter().filter_map(|host| host.host.as_ref());
            if all || members.any(|host| hosts.contains(host)) {
                let bytes = self.table(table, challenge.as_ref());
                let name = ResourceName::new(TypeUrl::RouteConfiguration, table.name.clone());
                self.published.set(name, bytes, table.sources.clone());
            }
        }
    }

    fn table(&mut self, table: &RouteTable, challenge: Option<&Piece>) -> Vec<u8> {
        let mut bytes = envoy::route::begin_configuration(&table.name, table.offers_http3);
        for host in &table.virtual_hosts {
            let body = self.body(host, challenge.filter(|_| host.challenges));
            envoy::route::append_virtual_host(&host.name, &host.domain, &body, &mut bytes);
        }
        bytes
    }

    /// The routes of a virtual host; chains that want the same share them.
    fn body(&mut self, host: &VirtualHost, challenge: Option<&Piece>) -> Arc<Vec<u8>> {
        let key = host.host.clone().map(|id| (id, host.profile, challenge.is_some()));
        if let Some(body) = key.as_ref().and_then(|key| self.bodies.get(key)) {
            return body.clone();
        }
        let held = host.host.iter().flat_map(|id| self.routes.encoded(id));
        let entries: Vec<_> = challenge
            .into_iter()
            .chain(held.flat_map(|encoded| encoded.get(host.profile)))
            .map(Piece::entry)
            .collect();
        let body = Arc::new(envoy::route::body(&entries));
        if let Some(key) = key {
            self.bodies.insert(key, body.clone());
        }
        body
    }

    /// Emits endpoint sets of touched Services and of new clusters.
    pub(super) fn emit_endpoints(&mut self, dirty: &Dirty) {
        let mut wanted = self.clusters.drain_eds();
        if !dirty.services.is_empty() {
            let touched = |service: &&Arc<str>| {
                parse_eds(service).is_some_and(|(namespace, name, _)| {
                    dirty.services.contains_key(&(namespace.to_owned(), name.to_owned()))
                })
            };
            wanted.extend(self.clusters.eds().filter(touched).cloned());
        }
        for service in wanted {
            let Some((namespace, name, port)) = parse_eds(&service) else { continue };
            if !self.clusters.uses_eds(&service) {
                continue;
            }
            let endpoints = self.services.resolve(namespace, name, port);
            let bytes = envoy::endpoint::encode(&service, &endpoints);
            let sources = self.services.sources(namespace, name);
            let resource = ResourceName::new(TypeUrl::ClusterLoadAssignment, service.clone());
            self.published.set(resource, bytes, sources);
        }
        let clusters = &self.clusters;
        self.published.retain(TypeUrl::ClusterLoadAssignment, |name| clusters.uses_eds(name));
    }

    /// Emits Secrets, Filters, FilterPolicies and limits.
    pub(super) fn emit_policies(&mut self, scene: &Scene, dirty: &Dirty, remade: bool) {
        if dirty.policies {
            self.emit_filters();
        }
        if dirty.policies || remade || !dirty.secrets.is_empty() {
            self.emit_secrets(scene);
        }
        if dirty.limits {
            self.emit_limits();
        }
    }

    fn policies(&self, kind: Kind) -> Vec<(Policy, ObjectKey)> {
        let good = self.items.get(&kind).into_iter().flat_map(BTreeMap::values);
        let broken = self.broken.iter().filter(|key| key.kind == kind);
        let rejected = |key: &ObjectKey| {
            let reason = self.entries.get(key).and_then(|entry| entry.broken.clone());
            let reason = reason.filter(|text| !text.is_empty());
            (Policy::rejected(key, reason.unwrap_or_else(|| "not readable".into())), key.clone())
        };
        good.map(|item| (Policy::of(item), (*item.id.source).clone()))
            .chain(broken.map(rejected))
            .collect()
    }

    fn emit_filters(&mut self) {
        type Encode = fn(&Policy) -> Vec<u8>;
        let kinds: [(Kind, TypeUrl, Encode); 2] = [
            (Kind::Filter, TypeUrl::Filter, envoy::policy::filter),
            (Kind::FilterPolicy, TypeUrl::FilterPolicy, envoy::policy::filter_policy),
        ];
        for (kind, type_url, encode) in kinds {
            let mut kept = BTreeSet::new();
            for (policy, source) in self.policies(kind) {
                let name = policy.resource_name();
                kept.insert(name.clone());
                let resource = ResourceName::new(type_url, name);
                self.published.set(resource, encode(&policy), vec![source]);
            }
            self.published.retain(type_url, |name| kept.contains(name));
        }
    }

    fn emit_secrets(&mut self, scene: &Scene) {
        let mut kept: BTreeSet<Arc<str>> = BTreeSet::new();
        for (name, of) in &scene.secrets {
            let Some(bytes) = self.secret(name, of) else { continue };
            kept.insert(name.clone());
            let resource = ResourceName::new(TypeUrl::Secret, name.clone());
            self.published.set(resource, bytes, tls_context::sources(of));
        }
        let filters = self.items.get(&Kind::Filter).into_iter().flat_map(BTreeMap::values);
        let wanted: BTreeSet<SecretName> =
            filters.flat_map(|item| Policy::of(item).secrets).collect();
        for at in wanted {
            let Some(Spec::Secret(secret)) = self.secrets.get(&at).map(|object| &object.spec)
            else {
                continue;
            };
            let name: Arc<str> = names::dotted(&at.1, &at.0).into();
            let bytes = envoy::secret::generic(&name, &secret.data);
            kept.insert(name.clone());
            let source = ObjectKey::new(Kind::Secret, at.0, at.1);
            self.published.set(ResourceName::new(TypeUrl::Secret, name), bytes, vec![source]);
        }
        self.published.retain(TypeUrl::Secret, |name| kept.contains(name));
    }

    fn secret(&self, name: &str, of: &SecretUse) -> Option<Vec<u8>> {
        let find = |at: &SecretName| match &self.secrets.get(at)?.spec {
            Spec::Secret(secret) => Some(&**secret),
            _ => None,
        };
        match of {
            SecretUse::Certificate(at) => {
                let (chain, key) = tls_context::key_pair(find(at)?)?;
                Some(envoy::secret::certificate(name, chain, key))
            }
            SecretUse::Validation { anchors, crl } => {
                let trusted = tls_context::anchors(find(anchors)?)?;
                let crl = match crl {
                    Some(at) => Some(tls_context::revocations(find(at)?)?),
                    None => None,
                };
                Some(envoy::secret::validation(name, trusted, crl))
            }
        }
    }

    fn emit_limits(&mut self) {
        let items = self.items.get(&Kind::RateLimit).into_iter().flat_map(BTreeMap::values);
        let domains = limits::read(items);
        for (name, domain) in &domains {
            let bytes = envoy::limits::encode(name, domain);
            let mut sources = domain.sources.clone();
            sources.sort();
            let resource = ResourceName::new(TypeUrl::RateLimitConfig, name.as_str());
            self.published.set(resource, bytes, sources);
        }
        self.published.retain(TypeUrl::RateLimitConfig, |name| domains.contains_key(name));
    }
}

/// Splits `k8s/<namespace>/<service>/<port>`.
fn parse_eds(service: &str) -> Option<(&str, &str, &str)> {
    let mut parts = service.strip_prefix("k8s/")?.splitn(3, '/');
    Some((parts.next()?, parts.next()?, parts.next()?))
}

fn challenge_route(prefix: &str, cluster: &Arc<str>, auth: bool) -> Route {
    Route {
        name: "challenges".to_owned(),
        matches: RouteMatch {
            path: PathMatch::Prefix(prefix.to_owned()),
            case_sensitive: true,
            headers: Vec::new(),
            queries: Vec::new(),
        },
        share: None,
        action: Action::Forward(Box::new(Forward {
            cluster: cluster.clone(),
            timeout_ms: CHALLENGE_TIMEOUT_MS,
            ..Default::default()
        })),
        add_request_headers: Vec::new(),
        add_response_headers: Vec::new(),
        remove_request_headers: Vec::new(),
        remove_response_headers: Vec::new(),
        auth: if auth { AuthOverride::Disabled } else { AuthOverride::Inherit },
        cors: None,
    }
}
