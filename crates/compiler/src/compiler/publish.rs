//! What has been emitted, and how it differs from before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api::ObjectKey;

use crate::{Resource, ResourceName, Rope};

/// Every resource in effect, with those touched since the last delta.
#[derive(Debug, Default)]
pub(super) struct Published {
    resources: BTreeMap<ResourceName, Arc<Resource>>,
    changed: BTreeSet<ResourceName>,
    removed: BTreeSet<ResourceName>,
}

impl Published {
    /// Sets a resource; equal bytes are no change.
    pub(super) fn set(
        &mut self,
        name: ResourceName,
        bytes: impl Into<Rope>,
        sources: impl Into<Arc<[ObjectKey]>>,
    ) {
        let resource = Resource::new(name.clone(), bytes, sources.into());
        match self.resources.get(&name) {
            Some(known) if known.version == resource.version && known.bytes == resource.bytes => {
                if known.sources != resource.sources {
                    self.resources.insert(name, Arc::new(resource));
                }
                return;
            }
            _ => {}
        }
        self.removed.remove(&name);
        self.changed.insert(name.clone());
        self.resources.insert(name, Arc::new(resource));
    }

    /// Removes a resource, if it is there.
    pub(super) fn remove(&mut self, name: &ResourceName) {
        if self.resources.remove(name).is_some() {
            self.changed.remove(name);
            self.removed.insert(name.clone());
        }
    }

    /// Removes every resource of a type whose name the predicate refuses.
    pub(super) fn retain(&mut self, of: crate::TypeUrl, keep: impl Fn(&str) -> bool) {
        let first = ResourceName::new(of, "");
        let gone: Vec<ResourceName> = self
            .resources
            .range(first..)
            .take_while(|(name, _)| name.type_url == of)
            .filter(|(name, _)| !keep(&name.name))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.remove(&name);
        }
    }

    pub(super) fn get(&self, name: &ResourceName) -> Option<&Arc<Resource>> {
        self.resources.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }

    /// Hands over what was touched, sorted.
    pub(super) fn drain(&mut self) -> (Vec<Arc<Resource>>, Vec<ResourceName>) {
        let changed = std::mem::take(&mut self.changed)
            .iter()
            .filter_map(|name| self.resources.get(name).cloned())
            .collect();
        (changed, std::mem::take(&mut self.removed).into_iter().collect())
    }
}
