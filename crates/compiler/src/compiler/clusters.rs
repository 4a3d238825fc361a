//! Clusters: who uses which, under which name, with which options.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use nuncio_api::ObjectKey;

use super::index::{Few, Lookup, Number, Slab};
use super::publish::Published;
use crate::envoy;
use crate::ir::cluster::Target;
use crate::ir::cluster::{Cluster, Discovery};
use crate::ir::item::ItemId;
use crate::ir::notes::SceneClusters;
use crate::{ResourceName, Rope, TypeUrl, names, parallel};

/// Clusters of one full name. The plain name stays with the options of the
/// first user in processing order; others get names of their own.
#[derive(Debug)]
struct Name {
    full: Arc<str>,
    variants: Vec<Variant>,
}

/// One set of options.
#[derive(Debug)]
struct Variant {
    options: u64,
    cluster: Arc<Cluster>,
    /// Mappings in processing order, with their numbers.
    users: Few<(ItemId, Number)>,
    published: Option<Arc<str>>,
}

/// Every cluster in use.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    names: Slab<Name>,
    by_full: Lookup<Arc<str>, Number>,
    /// Full name and options by number of the Mapping.
    used: Vec<Option<(Number, u64)>>,
    /// Plug-in services and TCPMappings: published name, target, user.
    scene: Vec<(Arc<str>, Target, ObjectKey)>,
    dirty: BTreeSet<Number>,
    /// Names of which the scene has one, or had.
    reserved: BTreeSet<Number>,
    /// EDS service names with the number of clusters that ask for them.
    eds: BTreeMap<Arc<str>, usize>,
    /// Those that came into use or went out of it.
    eds_touched: BTreeSet<Arc<str>>,
}

/// A cluster that Mappings use.
pub(super) struct OfMappings<'a> {
    /// Full name, without the suffix of further options.
    pub(super) name: &'a Arc<str>,
    pub(super) options: u64,
    pub(super) published: &'a Arc<str>,
    pub(super) originates_tls: bool,
    pub(super) first_user: Number,
}

// === impl Clusters ===

impl Clusters {
    /// Sets or removes a Mapping's cluster.
    pub(super) fn set(&mut self, number: Number, item: &ItemId, target: Option<&Target>) {
        let at = number as usize;
        if self.used.len() <= at {
            self.used.resize(at + 1, None);
        }
        let known = self.used[at];
        let wanted = target.map(|target| (self.name(&target.name), target.options));
        if known == wanted {
            return;
        }
        if let Some((name, options)) = known
            && let Some(entry) = self.names.get_mut(name)
        {
            let with = entry.variants.iter_mut().find(|variant| variant.options == options);
            with.into_iter().for_each(|variant| variant.users.remove(&(item.clone(), number)));
            self.dirty.insert(name);
        }
        if let (Some(target), Some((name, _))) = (target, wanted)
            && let Some(entry) = self.names.get_mut(name)
        {
            entry.variant(target).users.insert((item.clone(), number));
            self.dirty.insert(name);
        }
        self.used[at] = wanted;
    }

    /// Returns the number of a full name, made if it is not there.
    fn name(&mut self, full: &Arc<str>) -> Number {
        if let Some(number) = self.by_full.get(full) {
            return *number;
        }
        let number = self.names.insert(Name { full: full.clone(), variants: Vec::new() });
        self.by_full.insert(full.clone(), number);
        number
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
            published.set(name, bytes, [user.clone()]);
            self.take_eds(&target.cluster);
            self.touch(&target.name);
        }
        self.scene = clusters.list.clone();
    }

    fn touch(&mut self, name: &Arc<str>) {
        if let Some(number) = self.by_full.get(name) {
            self.dirty.insert(*number);
            self.reserved.insert(*number);
        }
    }

    /// Returns the published name of a Mapping's cluster.
    pub(super) fn published(&self, number: Number) -> Arc<str> {
        let find = || {
            let (name, options) = (*self.used.get(number as usize)?)?;
            let variants = &self.names.get(name)?.variants;
            variants.iter().find(|variant| variant.options == options)?.published.clone()
        };
        find().unwrap_or_default()
    }

    /// Returns the Mappings that use a published cluster.
    pub(super) fn users(&self, published: &str) -> impl Iterator<Item = &ItemId> {
        let variants = self.names.values().flat_map(|name| &name.variants);
        variants
            .filter(move |variant| variant.published.as_deref() == Some(published))
            .flat_map(|variant| variant.users.iter().map(|(item, _)| item))
    }

    /// The clusters of plug-in services and TCPMappings: published name, target,
    /// user.
    pub(super) fn of_scene(&self) -> &[(Arc<str>, Target, ObjectKey)] {
        &self.scene
    }

    /// The clusters that Mappings use, in no order.
    pub(super) fn of_mappings(&self) -> impl Iterator<Item = OfMappings<'_>> {
        let variants = self
            .names
            .values()
            .flat_map(|name| name.variants.iter().map(move |variant| (&name.full, variant)));
        variants.filter_map(|(name, variant)| {
            Some(OfMappings {
                name,
                options: variant.options,
                published: variant.published.as_ref()?,
                originates_tls: variant.cluster.tls.is_some(),
                first_user: variant.users.iter().next()?.1,
            })
        })
    }

    /// Names and emits what changed; returns the Mappings whose cluster has
    /// another name now.
    pub(super) fn flush(
        &mut self,
        published: &mut Published,
        threads: NonZeroUsize,
    ) -> Vec<Number> {
        let mut renamed = Vec::new();
        let mut changed: Vec<(Arc<str>, Arc<Cluster>)> = Vec::new();
        let reserved = std::mem::take(&mut self.reserved);
        for number in std::mem::take(&mut self.dirty) {
            let Some(name) = self.names.get_mut(number) else { continue };
            let full = name.full.clone();
            let mut variants = std::mem::take(&mut name.variants);
            let gone: Vec<Variant> = variants.extract_if(.., |v| v.users.is_empty()).collect();
            let mut stale: Vec<Arc<str>> = Vec::new();
            let owner = self.owner(&full, &variants);
            for variant in &mut variants {
                let wanted = if Some(variant.options) == owner {
                    names::published_cluster(&full)
                } else {
                    names::published_cluster(&names::variant_cluster(&full, variant.options))
                };
                let same = variant.published.as_deref() == Some(&*wanted);
                if !same {
                    let wanted: Arc<str> = wanted.into();
                    match variant.published.replace(wanted) {
                        Some(old) => stale.push(old),
                        None => self.take_eds(&variant.cluster),
                    }
                    renamed.extend(variant.users.iter().map(|(_, number)| *number));
                }
                if (!same || reserved.contains(&number))
                    && let Some(name) = &variant.published
                {
                    changed.push((name.clone(), variant.cluster.clone()));
                }
            }
            for variant in gone {
                if let Some(old) = variant.published {
                    self.drop_eds(&variant.cluster);
                    stale.push(old);
                }
            }
            stale.retain(|old| variants.iter().all(|kept| kept.published.as_ref() != Some(old)));
            for old in stale {
                self.retire(old, published);
            }
            if variants.is_empty() {
                self.names.remove(number);
                self.by_full.remove(&full);
            } else if let Some(name) = self.names.get_mut(number) {
                name.variants = variants;
            }
        }
        self.publish(changed, published, threads);
        renamed
    }

    /// Removes a cluster that no Mapping uses any more.
    fn retire(&self, name: Arc<str>, published: &mut Published) {
        let resource = ResourceName::new(TypeUrl::Cluster, name);
        match self.scene.iter().find(|(other, ..)| *other == resource.name) {
            // From now on it is the scene's alone.
            Some((name, target, user)) => {
                let bytes = envoy::cluster::encode(name, &target.cluster);
                published.set(resource, bytes, [user.clone()]);
            }
            None => published.remove(&resource),
        }
    }

    /// Returns the options that have the plain name.
    fn owner(&self, full: &Arc<str>, variants: &[Variant]) -> Option<u64> {
        let reserved = self.scene.iter().find(|(_, target, _)| target.name == *full);
        reserved.map(|(_, target, _)| target.options).or_else(|| {
            let first = variants.iter().min_by_key(|variant| variant.users.iter().next());
            first.map(|variant| variant.options)
        })
    }

    fn publish(
        &self,
        mut changed: Vec<(Arc<str>, Arc<Cluster>)>,
        published: &mut Published,
        threads: NonZeroUsize,
    ) {
        // What is inserted in order finds its place at once.
        changed.sort_by(|(a, _), (b, _)| a.cmp(b));
        let encode = |(name, cluster): &(Arc<str>, Arc<Cluster>)| {
            Rope::from(envoy::cluster::encode(name, cluster))
        };
        let encoded = parallel::map(&changed, threads, encode);
        for ((name, _), bytes) in changed.into_iter().zip(encoded) {
            let scene = self.scene.iter().filter(|(other, ..)| *other == name);
            let sources: Vec<ObjectKey> = scene.map(|(.., user)| user.clone()).collect();
            published.set(ResourceName::new(TypeUrl::Cluster, name), bytes, sources);
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

// === impl Name ===

impl Name {
    /// Returns the variant of these options, made if it is not there.
    fn variant(&mut self, target: &Target) -> &mut Variant {
        let known = self.variants.iter().position(|variant| variant.options == target.options);
        let at = known.unwrap_or_else(|| {
            self.variants.push(Variant {
                options: target.options,
                cluster: target.cluster.clone(),
                users: Few::None,
                published: None,
            });
            self.variants.len() - 1
        });
        &mut self.variants[at]
    }
}
