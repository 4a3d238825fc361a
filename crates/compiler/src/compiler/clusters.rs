//! Clusters: who uses which, under which name, with which options.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api::ObjectKey;

use super::publish::Published;
use crate::envoy;
use crate::ir::cluster::{Cluster, Discovery};
use crate::ir::item::ItemId;
use crate::ir::mapping::Target;
use crate::ir::scene::SceneClusters;
use crate::{ResourceName, TypeUrl, names};

/// Users and clusters of one full name. The plain name stays with the options
/// of the first user in processing order; others get names of their own.
#[derive(Debug, Default)]
struct Name {
    users: BTreeMap<ItemId, (u64, Arc<Cluster>)>,
    /// Published names and clusters by options.
    published: BTreeMap<u64, (Arc<str>, Arc<Cluster>)>,
}

/// Every cluster in use.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    names: BTreeMap<Arc<str>, Name>,
    user_names: BTreeMap<ItemId, (Arc<str>, u64)>,
    /// Plug-in services and TCPMappings: published name, target, user.
    scene: Vec<(Arc<str>, Target, ObjectKey)>,
    dirty: BTreeSet<Arc<str>>,
    /// EDS service names with the number of clusters that ask for them.
    eds: BTreeMap<Arc<str>, usize>,
    /// Those that came into use or went out of it.
    eds_touched: BTreeSet<Arc<str>>,
}

impl Clusters {
    /// Sets or removes an item's cluster.
    pub(super) fn set(&mut self, item: &ItemId, target: Option<&Target>) {
        let wanted = target.map(|target| (target.name.clone(), target.options));
        if self.user_names.get(item) == wanted.as_ref() {
            return;
        }
        if let Some((name, _)) = self.user_names.remove(item)
            && let Some(entry) = self.names.get_mut(&name)
        {
            entry.users.remove(item);
            self.dirty.insert(name);
        }
        if let (Some(target), Some(wanted)) = (target, wanted) {
            let entry = self.names.entry(target.name.clone()).or_default();
            entry.users.insert(item.clone(), (target.options, target.cluster.clone()));
            self.dirty.insert(target.name.clone());
            self.user_names.insert(item.clone(), wanted);
        }
    }

    /// Replaces the clusters of the scene.
    pub(super) fn set_scene(&mut self, clusters: &SceneClusters, published: &mut Published) {
        let stale = std::mem::take(&mut self.scene);
        for (name, target, _) in &stale {
            if !clusters.list.iter().any(|(kept, ..)| kept == name) {
                published.remove(&ResourceName::new(TypeUrl::Cluster, name.clone()));
            }
            self.drop_eds(&target.cluster);
            self.touch(&target.name);
        }
        for (name, target, user) in &clusters.list {
            let bytes = envoy::cluster::encode(name, &target.cluster);
            let name = ResourceName::new(TypeUrl::Cluster, name.clone());
            published.set(name, bytes, vec![user.clone()]);
            self.take_eds(&target.cluster);
            self.touch(&target.name);
        }
        self.scene = clusters.list.clone();
    }

    fn touch(&mut self, name: &Arc<str>) {
        if self.names.contains_key(name) {
            self.dirty.insert(name.clone());
        }
    }

    /// Returns the published name of an item's cluster.
    pub(super) fn published(&self, item: &ItemId) -> Arc<str> {
        self.user_names
            .get(item)
            .and_then(|(name, options)| self.names.get(name)?.published.get(options))
            .map(|(published, _)| published.clone())
            .unwrap_or_default()
    }

    /// Names and emits what changed; returns the items whose cluster has
    /// another name now.
    pub(super) fn flush(&mut self, published: &mut Published) -> BTreeSet<ItemId> {
        let mut renamed = BTreeSet::new();
        for full in std::mem::take(&mut self.dirty) {
            let Some(mut entry) = self.names.remove(&full) else { continue };
            let before = std::mem::take(&mut entry.published);
            let reserved = self.scene.iter().find(|(_, target, _)| target.name == full);
            let owner = reserved
                .map(|(_, target, _)| target.options)
                .or_else(|| entry.users.values().next().map(|(options, _)| *options));
            let mut by_options: BTreeMap<u64, (Arc<Cluster>, Vec<ObjectKey>)> = BTreeMap::new();
            for (user, (options, cluster)) in &entry.users {
                by_options
                    .entry(*options)
                    .or_insert_with(|| (cluster.clone(), Vec::new()))
                    .1
                    .push((*user.source).clone());
            }
            for (options, (cluster, mut sources)) in by_options {
                let name: Arc<str> = if Some(options) == owner {
                    names::published_cluster(&full).into()
                } else {
                    names::published_cluster(&names::variant_cluster(&full, options)).into()
                };
                let scene = self.scene.iter().filter(|(shared, ..)| *shared == name);
                sources.extend(scene.map(|(.., user)| user.clone()));
                sources.sort();
                sources.dedup();
                if !before.contains_key(&options) {
                    self.take_eds(&cluster);
                }
                let bytes = envoy::cluster::encode(&name, &cluster);
                published.set(ResourceName::new(TypeUrl::Cluster, name.clone()), bytes, sources);
                entry.published.insert(options, (name, cluster));
            }
            self.retire(&before, &entry, published);
            renamed.extend(
                entry
                    .users
                    .iter()
                    .filter(|(_, (options, _))| {
                        let name = |map: &BTreeMap<u64, (Arc<str>, Arc<Cluster>)>| {
                            map.get(options).map(|(name, _)| name.clone())
                        };
                        name(&before) != name(&entry.published)
                    })
                    .map(|(user, _)| user.clone()),
            );
            if !entry.users.is_empty() {
                self.names.insert(full, entry);
            }
        }
        renamed
    }

    /// Removes clusters that nobody uses any more under their former name.
    fn retire(
        &mut self,
        before: &BTreeMap<u64, (Arc<str>, Arc<Cluster>)>,
        entry: &Name,
        published: &mut Published,
    ) {
        for (options, (name, cluster)) in before {
            if !entry.published.contains_key(options) {
                self.drop_eds(cluster);
            }
            if entry.published.values().any(|(other, _)| other == name) {
                continue;
            }
            let resource = ResourceName::new(TypeUrl::Cluster, name.clone());
            match self.scene.iter().find(|(other, ..)| other == name) {
                // From now on it is the scene's alone.
                Some((_, target, user)) => {
                    let bytes = envoy::cluster::encode(name, &target.cluster);
                    published.set(resource, bytes, vec![user.clone()]);
                }
                None => published.remove(&resource),
            }
        }
    }

    fn take_eds(&mut self, cluster: &Cluster) {
        if let Discovery::Eds { service } = &cluster.discovery {
            let count = self.eds.entry(service.clone()).or_default();
            *count += 1;
            if *count == 1 {
                self.eds_touched.insert(service.clone());
            }
        }
    }

    fn drop_eds(&mut self, cluster: &Cluster) {
        if let Discovery::Eds { service } = &cluster.discovery
            && let Some(count) = self.eds.get_mut(service)
        {
            *count -= 1;
            if *count == 0 {
                self.eds.remove(service);
                self.eds_touched.insert(service.clone());
            }
        }
    }

    /// EDS service names in use that hold ports of a Service.
    pub(super) fn eds_of(&self, namespace: &str, service: &str) -> impl Iterator<Item = &Arc<str>> {
        let first = names::eds_service(namespace, service, "");
        let later = first.clone();
        // Only plug-in services are joined: the first part is found by its
        // place in the order, the others by a look at those few.
        let joined =
            self.scene.iter().filter_map(|(_, target, _)| match &target.cluster.discovery {
                Discovery::Eds { service } => Some(service),
                _ => None,
            });
        let joined = joined.filter(move |name| {
            names::eds_parts(name).skip(1).any(|part| part.starts_with(&*later))
        });
        self.eds_under(first).chain(joined)
    }

    /// EDS service names in use that begin so.
    pub(super) fn eds_under(&self, first: impl Into<Arc<str>>) -> impl Iterator<Item = &Arc<str>> {
        let first = first.into();
        let after = self.eds.range(first.clone()..).map(|(name, _)| name);
        after.take_while(move |name| name.starts_with(&*first))
    }

    /// Whether an EDS service name is in use.
    pub(super) fn uses_eds(&self, service: &str) -> bool {
        self.eds.contains_key(service)
    }

    /// Hands over EDS service names that came into use or went out of it.
    pub(super) fn drain_eds(&mut self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.eds_touched)
    }
}
