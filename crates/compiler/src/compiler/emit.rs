//! From settled units to encoded resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api::{Kind, ObjectKey, Spec};

use super::edits::Edits;
use super::encoded::{Piece, Place};
use super::{Compiler, Dirty};
use crate::envoy;
use crate::envoy::secret::Text;
use crate::ir::error_response::ErrorOverride;
use crate::ir::limits;
use crate::ir::policies::Policy;
use crate::ir::route::{Action, AuthOverride, Forward, PathMatch, Route, RouteMatch};
use crate::ir::scene::{self, Scene};
use crate::ir::secret::{self, Anchors, SecretName, SecretUse};
use crate::ir::stage::Stage;
use crate::rope::Rope;
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

    /// Emits the route configurations whose Hosts were edited, or all of a new
    /// scene.
    pub(super) fn emit_tables(&mut self, scene: &Scene, edits: &Edits, all: bool) {
        let challenge = self.settings.challenges.as_ref().map(|address| {
            let (prefix, target) = scene::challenge_target(address);
            let route = challenge_route(prefix, &target.name, &scene.stage);
            Arc::new(Piece::of(&route, Place::Challenge, 0))
        });
        let (tables, challenge) = (&scene.tables, challenge.as_ref());
        let changed: Vec<(usize, Rope)> = if all {
            let ropes = self.tables.remake(edits, tables, challenge, &self.routes);
            ropes.into_iter().enumerate().collect()
        } else {
            self.tables.edit(edits, tables, challenge, &self.routes)
        };
        for (position, rope) in changed {
            let table = &tables[position];
            let name = ResourceName::new(TypeUrl::RouteConfiguration, table.name.clone());
            self.published.set(name, rope, table.sources.clone());
        }
        self.report_broad(scene, edits, all);
    }

    /// Emits endpoint sets of touched Services and of new clusters; removes those
    /// that no cluster asks for any more.
    pub(super) fn emit_endpoints(&mut self, scene: &Scene, dirty: &Dirty) {
        let mut touched = self.clusters.drain_eds();
        for (namespace, name) in dirty.services.keys() {
            touched.extend(self.clusters.eds_of(namespace, name).cloned());
        }
        touched.extend(dirty.registered.iter().cloned());
        for service in touched {
            let resource = ResourceName::new(TypeUrl::ClusterLoadAssignment, service.clone());
            if !self.clusters.uses_eds(&service) {
                self.published.remove(&resource);
                continue;
            }
            if service.starts_with(names::CONSUL) {
                self.emit_registered(scene, &service, resource);
                continue;
            }
            let (mut endpoints, mut sources) = (BTreeSet::new(), Vec::new());
            for (namespace, name, port) in names::eds_parts(&service).filter_map(parse_eds) {
                endpoints.extend(self.services.resolve(namespace, name, port));
                sources.extend(self.services.sources(namespace, name));
            }
            let bytes = envoy::endpoint::encode(&service, &endpoints);
            self.published.set(resource, bytes, sources);
        }
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
            self.published.set(resource, bytes, of.sources());
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
                let (chain, key) = secret::key_pair(find(at)?)?;
                Some(envoy::secret::certificate(name, Text::Here(chain), Text::Here(key)))
            }
            SecretUse::CertificateFiles { chain, key, .. } => {
                Some(envoy::secret::certificate(name, Text::File(chain), Text::File(key)))
            }
            SecretUse::Validation { anchors, crl } => {
                let trusted = match anchors {
                    Anchors::Authority(at) => Text::Here(secret::authorities(find(at)?)?),
                    Anchors::Root(at) => Text::Here(secret::root(find(at)?)?),
                    Anchors::File { path, .. } => Text::File(path),
                };
                let crl = match crl {
                    Some(at) => Some(secret::revocations(find(at)?)?),
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

fn challenge_route(prefix: &str, cluster: &Arc<str>, stage: &Stage) -> Route {
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
        auth: if stage.auth { AuthOverride::Disabled } else { AuthOverride::Inherit },
        errors: ErrorOverride::bypass(stage.error_responses),
        cors: None,
    }
}
