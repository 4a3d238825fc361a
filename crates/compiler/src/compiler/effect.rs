//! The store of objects in effect, and what a new version of one touches.

use nuncio_api::{Kind, Meta, Object, ObjectKey, Spec};

use super::{Compiler, Dirty, Status, Subject};
use crate::ir::endpoints::service_of;
use crate::ir::expand;
use crate::ir::item::{Item, ItemId};
use crate::ir::repair;

impl Compiler {
    /// Replaces the version in effect.
    pub(super) fn put(&mut self, key: &ObjectKey, item: Option<Item>, dirty: &mut Dirty) {
        let object = item.as_ref().map(|item| item.object.clone());
        self.carried |= key.carrier.is_some();
        let entry = self.entries.entry(key.clone()).or_default();
        entry.broken = None;
        let old = std::mem::replace(&mut entry.good, object.clone());
        match (&old, &object) {
            (None, None) => return,
            (Some(old), Some(new)) if means_the_same(old, new) => {
                if old.origin != new.origin {
                    self.reports.moved(&Subject::Object(key.clone()));
                }
                return;
            }
            _ => {}
        }
        dirty.ingress |= expand::INPUTS.contains(&key.kind);
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
            _ => self.enact(key, item, dirty),
        }
    }

    /// Puts the version of an object that counts in, or takes it out.
    pub(super) fn put_item(&mut self, key: &ObjectKey, item: Option<Item>, dirty: &mut Dirty) {
        let kind = key.kind;
        let id = item.as_ref().map_or_else(|| ItemId::own(key.clone()), |item| item.id.clone());
        let sound = |item: Item| match kind {
            Kind::Module => {
                let doubt = self.entries.get(key).and_then(|entry| entry.doubt.as_ref());
                let earlier = doubt.map(|doubt| doubt.earlier()).unwrap_or_default();
                let usable = repair::usable(&item.object, &self.doubts.refused, &earlier);
                Item { object: usable.unwrap_or(item.object), ..item }
            }
            _ => item,
        };
        let item = item.map(sound);
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
}

/// Whether two versions differ at most in where they were read and in how the
/// source counts them: nothing is compiled of these.
pub(super) fn means_the_same(old: &Object, new: &Object) -> bool {
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

/// Whether a kind decides about more than its own objects.
pub(super) const fn matters_to_scene(kind: Kind) -> bool {
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
