//! Compiled resources into the cache.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use nuncio_api::ObjectKey;
use nuncio_compiler::{Delta, ResourceName, TypeUrl as CompiledType};
use nuncio_xds::{Payload, Put, TypeUrl};

use crate::Fleet;
use crate::guarded::Outcome;
use crate::report::BLAMED_MOST;

/// Puts compiled resources into a fleet's cache and remembers which objects
/// changed when each of them did.
#[derive(Debug, Default)]
pub(crate) struct Publisher {
    /// The batch of objects that last changed a resource, empty for a large one;
    /// shared by all resources of a batch.
    changed_with: BTreeMap<ResourceName, Arc<BTreeSet<ObjectKey>>>,
    counts: BTreeMap<CompiledType, usize>,
}

/// A resource whose new version cannot be served: a client refused the same
/// bytes before.
#[derive(Debug, Clone)]
pub(crate) struct KnownBad {
    pub(crate) name: ResourceName,
    pub(crate) version: u64,
    pub(crate) reason: Arc<str>,
}

// === impl Publisher ===

impl Publisher {
    /// Publishes one result of the compiler, of which only what differs from
    /// what is published is left afterwards. `batch` are the objects that
    /// changed. Returns resources that stay back.
    pub(crate) fn publish(
        &mut self,
        fleet: &Fleet,
        outcome: &mut Outcome,
        batch: BTreeSet<ObjectKey>,
        now: Instant,
    ) -> Vec<KnownBad> {
        let delta = &mut outcome.delta;
        if outcome.whole {
            delta.removed = self.missing(delta);
        }
        if delta.changed.is_empty() && delta.removed.is_empty() {
            return Vec::new();
        }
        // Nobody is blamed for a change of many objects.
        let batch = Arc::new(if batch.len() > BLAMED_MOST { BTreeSet::new() } else { batch });
        // Encoded before the cache is locked: streams go on meanwhile.
        let payloads: Vec<_> = delta
            .changed
            .iter()
            .map(|resource| {
                let type_url = type_url(resource.name.type_url);
                let name = Arc::clone(&resource.name.name);
                let chunks = resource.bytes.chunks().cloned();
                let payload = Payload::shared(&type_url, name, resource.version, chunks);
                (resource, type_url, Arc::new(payload))
            })
            .collect();
        let (known_bad, changed) = fleet.change(|cache| {
            let (mut known_bad, mut changed) = (Vec::new(), Vec::new());
            for (resource, type_url, payload) in payloads {
                match cache.put(&type_url, payload) {
                    Put::Same => continue,
                    Put::New => {}
                    Put::Refused(reason) => {
                        let (name, version) = (resource.name.clone(), resource.version);
                        known_bad.push(KnownBad { name, version, reason });
                    }
                }
                changed.push(Arc::clone(resource));
            }
            for name in &delta.removed {
                cache.remove(&type_url(name.type_url), &name.name, now);
            }
            (known_bad, changed)
        });
        delta.changed = changed;
        for resource in &delta.changed {
            let earlier = self.changed_with.insert(resource.name.clone(), Arc::clone(&batch));
            if earlier.is_none() {
                *self.counts.entry(resource.name.type_url).or_default() += 1;
            }
        }
        for name in &delta.removed {
            if self.changed_with.remove(name).is_some() {
                *self.counts.entry(name.type_url).or_default() -= 1;
            }
        }
        for (compiled, count) in &self.counts {
            fleet.metrics().served(&type_url(*compiled), *count);
        }
        known_bad
    }

    /// Returns what was published and is not in a whole result.
    fn missing(&self, whole: &Delta) -> Vec<ResourceName> {
        let there: BTreeSet<_> = whole.changed.iter().map(|resource| &resource.name).collect();
        self.changed_with.keys().filter(|name| !there.contains(name)).cloned().collect()
    }

    /// Returns the objects that changed together with a resource.
    pub(crate) fn changed_with(&self, name: &ResourceName) -> Option<&BTreeSet<ObjectKey>> {
        self.changed_with.get(name).map(AsRef::as_ref)
    }
}

/// Returns a compiled type as the protocol names it.
pub(crate) fn type_url(compiled: CompiledType) -> TypeUrl {
    TypeUrl::from(compiled.as_str())
}
