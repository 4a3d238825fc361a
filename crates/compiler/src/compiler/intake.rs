//! Changes into the store: which version of each object is in effect.

use std::sync::Arc;

use nuncio_api::core::LoadBalancerStatus;
use nuncio_api::{Change, Diagnostic, Kind, Meta, Object, ObjectKey, Severity, Spec};

use super::reports::Pass;
use super::{Compiler, Dirty, Status, Subject};
use crate::ir::check;
use crate::ir::endpoints::service_of;
use crate::ir::expand;
use crate::ir::item::{Item, ItemId};
use crate::ir::repair;

impl Compiler {
    /// Takes one change over.
    pub(super) fn take(&mut self, change: Change, dirty: &mut Dirty) {
        match change {
            Change::Apply { object, findings } => self.take_object(object, findings, dirty),
            Change::Broken { key, findings, .. } => self.take_broken(key, findings, dirty),
            Change::Delete(key) => {
                self.report(&key, Vec::new());
                self.put(key.clone(), None, dirty);
                self.entries.remove(&key);
                self.mark_broken(key, false, dirty);
            }
            Change::Registered { service, endpoints } => {
                self.take_registered(service, endpoints, dirty);
            }
            Change::Input { name, findings } => {
                self.reports.set(Subject::Input(name), (Pass::Decode, 0), findings);
            }
            Change::File { name, text } => {
                if self.files.get(&name) != Some(&text) {
                    Arc::make_mut(&mut self.files).insert(name, text);
                    dirty.scene = true;
                }
            }
        }
    }

    fn report(&mut self, key: &ObjectKey, findings: Vec<Diagnostic>) {
        self.reports.set(Subject::Object(key.clone()), (Pass::Decode, 0), findings);
    }

    fn take_object(
        &mut self,
        object: Arc<Object>,
        mut findings: Vec<Diagnostic>,
        dirty: &mut Dirty,
    ) {
        let key = object.key();
        if !object.spec.is_for(&self.settings.ambassador_id) {
            self.report(&key, Vec::new());
            self.put(key.clone(), None, dirty);
            self.entries.remove(&key);
            self.mark_broken(key, false, dirty);
            return;
        }
        let own = check::check(&Item::own(object.clone()));
        // Whoever applies an object has judged its text usable, whatever was
        // found in parts of it; what counts here is what the rules say.
        // A Module is many settings, of which the good ones are in force.
        let unusable = check::is_unusable(&own) && repair::usable(&object).is_none();
        findings.extend(own);
        if unusable && self.is_better_than_nothing(&object) {
            self.take_closed(object, findings, dirty);
            return;
        }
        if unusable {
            self.take_broken(key, findings, dirty);
            return;
        }
        self.report(&key, findings);
        self.put(key.clone(), Some(object), dirty);
        self.entries.entry(key.clone()).or_default().broken = None;
        self.mark_broken(key, false, dirty);
    }

    /// Whether an object with errors does more good in effect than absent, and
    /// no version without errors is there to keep: a RateLimit's bad limits
    /// refuse, while without it everything would pass.
    fn is_better_than_nothing(&self, object: &Arc<Object>) -> bool {
        let good = self.entries.get(&object.key()).and_then(|entry| entry.good.as_ref());
        object.spec.kind() == Kind::RateLimit
            && good.is_none_or(|good| check::is_unusable(&check::check(&Item::own(good.clone()))))
    }

    fn take_closed(
        &mut self,
        object: Arc<Object>,
        mut findings: Vec<Diagnostic>,
        dirty: &mut Dirty,
    ) {
        let key = object.key();
        let first = findings.iter().find(|finding| finding.severity == Severity::Error).cloned();
        findings.extend(first.map(|model| Diagnostic {
            severity: Severity::Notice,
            code: "closed-until-corrected",
            field: String::new(),
            message: "requests that match its faulty limits are refused".to_owned(),
            remedy: "correct the errors".to_owned(),
            ..model
        }));
        self.report(&key, findings);
        self.put(key.clone(), Some(object), dirty);
        self.mark_broken(key, false, dirty);
    }

    /// Keeps the last good version; says so, and remembers objects that never
    /// had one.
    fn take_broken(&mut self, key: ObjectKey, mut findings: Vec<Diagnostic>, dirty: &mut Dirty) {
        let first = findings.iter().find(|finding| finding.severity == Severity::Error);
        let reason = first
            .map_or_else(String::new, |finding| format!("{}: {}", finding.field, finding.message));
        let kept = self.entries.get(&key).is_some_and(|entry| entry.good.is_some());
        if kept && let Some(model) = first.cloned() {
            findings.push(Diagnostic {
                severity: Severity::Notice,
                code: "last-good-kept",
                field: String::new(),
                message: "the last good version stays in effect".to_owned(),
                remedy: "correct the errors".to_owned(),
                ..model
            });
        }
        self.report(&key, findings);
        self.entries.entry(key.clone()).or_default().broken = Some(reason);
        self.mark_broken(key, !kept, dirty);
    }

    fn mark_broken(&mut self, key: ObjectKey, broken: bool, dirty: &mut Dirty) {
        let kind = key.kind;
        let changed = if broken { self.broken.insert(key) } else { self.broken.remove(&key) };
        if changed || broken {
            dirty.scene |= matters_to_scene(kind);
            dirty.policies |= matches!(kind, Kind::Filter | Kind::FilterPolicy);
            dirty.limits |= kind == Kind::RateLimit;
        }
    }

    /// Replaces the version in effect.
    fn put(&mut self, key: ObjectKey, object: Option<Arc<Object>>, dirty: &mut Dirty) {
        let old = self.entries.get(&key).and_then(|entry| entry.good.clone());
        match (&old, &object) {
            (None, None) => return,
            (Some(old), Some(new)) if means_the_same(old, new) => {
                if old.origin != new.origin {
                    self.reports.moved(&Subject::Object(key.clone()));
                }
                self.entries.entry(key).or_default().good = object;
                return;
            }
            _ => {}
        }
        match key.kind {
            Kind::Service | Kind::Endpoints | Kind::EndpointSlice => {
                for version in old.iter().chain(&object) {
                    if let Some(name) = service_of(version) {
                        let before = self.services.fingerprint(&name.0, &name.1);
                        dirty.services.entry(name).or_insert(before);
                    }
                }
                if let Some(old) = &old {
                    self.services.remove(old);
                }
                if let Some(new) = &object {
                    self.services.insert(new);
                }
            }
            Kind::Secret => {
                let name = (key.namespace.clone(), key.name.clone());
                match &object {
                    Some(new) => self.secrets.insert(name.clone(), new.clone()),
                    None => self.secrets.remove(&name),
                };
                dirty.secrets.insert(name);
            }
            Kind::ConfigMap | Kind::Namespace | Kind::DevPortal => {}
            _ => {
                dirty.ingress |= expand::INPUTS.contains(&key.kind);
                self.entries.entry(key.clone()).or_default().good.clone_from(&object);
                self.enact(&key, object, dirty);
                return;
            }
        }
        dirty.ingress |= expand::INPUTS.contains(&key.kind);
        self.entries.entry(key).or_default().good = object;
    }

    pub(super) fn put_item(
        &mut self,
        kind: Kind,
        key: &ObjectKey,
        object: Option<Arc<Object>>,
        dirty: &mut Dirty,
    ) {
        let id =
            ItemId { order: key.resource_key().into(), source: Arc::new(key.clone()), index: 0 };
        let sound = |object| match kind {
            Kind::Module => repair::usable(&object).unwrap_or(object),
            _ => object,
        };
        let item = object.map(|object| Item { id: id.clone(), object: sound(object) });
        if kind == Kind::Mapping {
            if self.settings.mapping_status {
                self.statuses.set(key, item.as_ref().map(|_| Status::Running));
            }
            // The first of these brings a filter along, the last one takes it away.
            let had_any = !self.error_responses.is_empty();
            if item.as_ref().is_some_and(has_error_responses) {
                self.error_responses.insert(id.clone());
            } else {
                self.error_responses.remove(&id);
            }
            dirty.scene |= had_any == self.error_responses.is_empty();
            dirty.mappings.insert(self.routes.set_item(&id, item));
            return;
        }
        let items = self.items.entry(kind).or_default();
        match item {
            Some(item) => items.insert(id, item),
            None => items.remove(&id),
        };
        dirty.scene |= matters_to_scene(kind);
        dirty.policies |= matches!(kind, Kind::Filter | Kind::FilterPolicy);
        dirty.limits |= kind == Kind::RateLimit;
    }

    /// Returns where the gateway's own Service is reached.
    fn own_service(&self) -> Option<LoadBalancerStatus> {
        let namespace = &self.settings.namespace;
        let start = ObjectKey::new(Kind::Service, namespace, "");
        let services = self
            .entries
            .range(start..)
            .take_while(|(key, _)| key.kind == Kind::Service && key.namespace == *namespace);
        let own = services.filter_map(|(_, entry)| {
            let object = entry.good.as_ref()?;
            match &object.spec {
                Spec::Service(service) if expand::is_own(&object.meta, service, &self.settings) => {
                    Some(&service.status.load_balancer)
                }
                _ => None,
            }
        });
        own.last().filter(|status| !status.ingress.is_empty()).cloned()
    }

    /// Turns Ingresses into Mappings and Hosts anew, and marks what differs.
    pub(super) fn expand(&mut self, dirty: &mut Dirty) {
        let none = std::collections::BTreeMap::new();
        let classes = self.items.get(&Kind::IngressClass).unwrap_or(&none);
        let mut derived = std::collections::BTreeMap::new();
        let mut ours = std::collections::BTreeSet::new();
        let mut findings = Vec::new();
        for item in self.items.get(&Kind::Ingress).into_iter().flat_map(|items| items.values()) {
            let Spec::Ingress(ingress) = &item.object.spec else { continue };
            if !expand::is_ours(item, ingress, classes, &self.settings) {
                continue;
            }
            ours.insert((*item.id.source).clone());
            let expansion = expand::ingress(item, ingress, &self.services);
            findings.extend(expansion.findings);
            derived.extend(expansion.items.into_iter().map(|item| (item.id.clone(), item)));
        }
        self.reports.replace(Pass::Ingress, findings);
        let addresses = self.own_service().map(Status::LoadBalancer);
        self.statuses.set_ingresses(addresses.as_ref(), &ours);
        let ids: std::collections::BTreeSet<ItemId> =
            self.derived.keys().chain(derived.keys()).cloned().collect();
        for id in ids {
            let (old, new) = (self.derived.get(&id), derived.get(&id));
            if old == new {
                continue;
            }
            let is_host = |item: Option<&Item>| {
                item.is_some_and(|item| item.object.spec.kind() == Kind::Host)
            };
            if is_host(old) || is_host(new) {
                let hosts = self.items.entry(Kind::Host).or_default();
                hosts.remove(&id);
                if let Some(item) = new.filter(|_| is_host(new)) {
                    hosts.insert(id.clone(), item.clone());
                }
                dirty.scene = true;
            }
            if !is_host(old) || !is_host(new) {
                let mapping = new.filter(|_| !is_host(new)).cloned();
                dirty.mappings.insert(self.routes.set_item(&id, mapping));
            }
        }
        self.derived = derived;
    }
}

/// Whether two versions differ at most in where they were read and in how the
/// source counts them: nothing is compiled of these.
fn means_the_same(old: &Object, new: &Object) -> bool {
    // Every field is named, lest one that is added later be overlooked.
    let Meta {
        name,
        namespace,
        labels,
        annotations,
        generation,
        resource_version: _,
        uid,
        creation_timestamp,
    } = &old.meta;
    *name == new.meta.name
        && *namespace == new.meta.namespace
        && *labels == new.meta.labels
        && *annotations == new.meta.annotations
        && *generation == new.meta.generation
        && *uid == new.meta.uid
        && *creation_timestamp == new.meta.creation_timestamp
        && old.spec == new.spec
}

fn has_error_responses(item: &Item) -> bool {
    matches!(&item.object.spec, Spec::Mapping(spec) if !spec.error_response_overrides.is_empty())
}

const fn matters_to_scene(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Mapping
            | Kind::Service
            | Kind::Endpoints
            | Kind::EndpointSlice
            | Kind::Secret
            | Kind::ConfigMap
            | Kind::Namespace
            | Kind::DevPortal
            | Kind::Ingress
            | Kind::IngressClass
    )
}
