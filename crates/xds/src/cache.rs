//! What is served: type and name to version and bytes, and what was good last.
//!
//! A version that an Envoy refused is not offered to others as long as there is
//! an accepted one to offer instead. Deleted resources are kept aside for a
//! while: when a listener or route table falls back to an accepted version, the
//! clusters, endpoints and keys that version names must come back with it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::TypeUrl;
use crate::payload::Payload;

/// Changes that a stream may lag behind before it has to compare everything.
const RING: usize = 65_536;
/// How long a deleted resource is kept aside. Longer than streams take to
/// acknowledge the listeners and routes that stopped naming it.
const KEPT_ASIDE: Duration = Duration::from_secs(300);
/// Most deleted resources kept aside while something falls back.
const KEPT_ASIDE_MOST: usize = 10_000;
/// Versions of one resource that may be on their way to slow clients.
const SUPERSEDED_MOST: usize = 64;
/// Refused versions remembered of one resource.
const REFUSED_MOST: usize = 8;

/// What is served to one fleet.
#[derive(Debug, Default)]
pub struct Cache {
    types: BTreeMap<TypeUrl, BTreeMap<Arc<str>, Entry>>,
    ring: VecDeque<(TypeUrl, Arc<str>)>,
    /// Sequence number after the newest entry of the ring.
    end: u64,
    /// Deleted resources in order of deletion; stale when the entry came back.
    aside: VecDeque<(Instant, TypeUrl, Arc<str>)>,
    /// Listeners and route tables that are served in an older version.
    fallbacks: usize,
}

#[derive(Debug)]
struct Entry {
    payload: Arc<Payload>,
    accepted: bool,
    /// Set when the resource was deleted and is only kept aside.
    deleted: Option<Instant>,
    /// What was accepted last, while `payload` is not.
    good: Option<Arc<Payload>>,
    /// Versions put since `good`, oldest first, `payload` left out. A client may
    /// take one of them after it has been replaced here.
    superseded: VecDeque<u64>,
    /// Versions that were refused, with the reason, oldest first.
    refused: VecDeque<(u64, Arc<str>)>,
}

/// What became of a resource that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It is the version that stood there already.
    Same,
    /// It will be offered.
    New,
    /// An Envoy refused this version before, for this reason; the last accepted
    /// version, if there is one, stays served.
    Refused(Arc<str>),
}

// === impl Cache ===

impl Cache {
    /// Makes an empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a resource; the same version again changes nothing.
    pub fn put(&mut self, type_url: &TypeUrl, payload: Arc<Payload>) -> Put {
        let name = Arc::clone(payload.name());
        let named = self.types.entry(type_url.clone()).or_default();
        let Some(entry) = named.get_mut(&name) else {
            named.insert(Arc::clone(&name), Entry::new(payload));
            self.tell(type_url, name);
            return Put::New;
        };
        if entry.payload.version() == payload.version() && entry.deleted.is_none() {
            return Put::Same;
        }
        let fell_back = entry.falls_back();
        entry.replace(payload);
        let falls_back = entry.falls_back();
        let outcome = entry.refusal().map_or(Put::New, |reason| Put::Refused(Arc::clone(reason)));
        self.tell(type_url, name);
        self.count_fallback(type_url, fell_back, falls_back);
        outcome
    }

    /// Deletes a resource. Says whether there was one.
    pub fn remove(&mut self, type_url: &TypeUrl, name: &str, now: Instant) -> bool {
        let Some((name, entry)) = self.entry_mut(type_url, name) else { return false };
        if entry.deleted.is_some() {
            return false;
        }
        let fell_back = entry.falls_back();
        entry.deleted = Some(now);
        self.aside.push_back((now, type_url.clone(), Arc::clone(&name)));
        self.tell(type_url, name);
        self.count_fallback(type_url, fell_back, false);
        self.purge(now);
        true
    }

    /// Records that an Envoy took this version, which may have been replaced
    /// here meanwhile.
    pub fn accept(&mut self, type_url: &TypeUrl, payload: &Arc<Payload>) {
        let Some((name, entry)) = self.entry_mut(type_url, payload.name()) else { return };
        let (fell_back, before) = (entry.falls_back(), entry.served_version());
        entry.accept(payload);
        let (falls_back, after) = (entry.falls_back(), entry.served_version());
        if before != after {
            self.tell(type_url, name);
        }
        self.count_fallback(type_url, fell_back, falls_back);
    }

    /// Records that an Envoy refused this version. Says whether it is
    /// withdrawn from all; a version that others took stays: the refusal is
    /// then a matter of that one Envoy.
    pub fn refuse(&mut self, type_url: &TypeUrl, name: &str, version: u64, reason: &str) -> bool {
        let Some((name, entry)) = self.entry_mut(type_url, name) else { return false };
        if entry.payload.version() != version || entry.accepted {
            return false;
        }
        if entry.refusal().is_none() {
            if entry.refused.len() == REFUSED_MOST {
                entry.refused.pop_front();
            }
            entry.refused.push_back((version, reason.into()));
            let falls_back = entry.falls_back();
            // Told even of a deleted one, which may be kept for another's sake.
            if entry.good.is_some() {
                self.tell(type_url, name);
            }
            self.count_fallback(type_url, false, falls_back);
        }
        true
    }

    /// Returns what is served under a name.
    pub fn served(&self, type_url: &TypeUrl, name: &str) -> Option<&Arc<Payload>> {
        self.types.get(type_url)?.get(name)?.served(self.fallbacks > 0)
    }

    /// Returns everything served of a type, in order of names.
    pub fn all(&self, type_url: &TypeUrl) -> impl Iterator<Item = &Arc<Payload>> {
        let kept = self.fallbacks > 0;
        let named = self.types.get(type_url).into_iter().flat_map(BTreeMap::values);
        named.filter_map(move |entry| entry.served(kept))
    }

    /// Returns every type that has resources.
    pub fn types(&self) -> impl Iterator<Item = &TypeUrl> {
        self.types.keys()
    }

    /// Returns the resources that are refused now, with the reason.
    pub fn refused(&self) -> impl Iterator<Item = (&TypeUrl, &Arc<str>, &Arc<str>)> {
        self.types.iter().flat_map(|(type_url, named)| {
            named.iter().filter(|(_, entry)| entry.deleted.is_none()).filter_map(
                move |(name, entry)| entry.refusal().map(|reason| (type_url, name, reason)),
            )
        })
    }

    /// Returns the number of the next change; a cursor that starts here sees
    /// every later one.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Returns the changes since a cursor, oldest first; `None` when the cursor
    /// has fallen out of the ring and everything has to be compared.
    pub fn since(&self, cursor: u64) -> Option<impl Iterator<Item = (&TypeUrl, &Arc<str>)>> {
        let behind = usize::try_from(self.end.checked_sub(cursor)?).ok()?;
        let start = self.ring.len().checked_sub(behind)?;
        Some(self.ring.range(start..).map(|(type_url, name)| (type_url, name)))
    }

    fn entry_mut(&mut self, type_url: &TypeUrl, name: &str) -> Option<(Arc<str>, &mut Entry)> {
        let entry = self.types.get_mut(type_url)?.get_mut(name)?;
        Some((Arc::clone(entry.payload.name()), entry))
    }

    fn tell(&mut self, type_url: &TypeUrl, name: Arc<str>) {
        if self.ring.len() == RING {
            self.ring.pop_front();
        }
        self.ring.push_back((type_url.clone(), name));
        self.end += 1;
    }

    /// Follows the number of fallbacks. Deleted resources come back with the
    /// first and go with the last.
    fn count_fallback(&mut self, type_url: &TypeUrl, before: bool, after: bool) {
        if before == after || ![TypeUrl::LISTENER, TypeUrl::ROUTES].contains(type_url) {
            return;
        }
        let none = self.fallbacks == 0;
        if after {
            self.fallbacks += 1;
        } else {
            self.fallbacks -= 1;
        }
        if none != (self.fallbacks == 0) {
            let aside: Vec<_> = self
                .aside
                .iter()
                .map(|(_, type_url, name)| (type_url.clone(), Arc::clone(name)))
                .collect();
            for (type_url, name) in aside {
                self.tell(&type_url, name);
            }
        }
    }

    /// Forgets what was deleted long ago.
    fn purge(&mut self, now: Instant) {
        while let Some((at, _, _)) = self.aside.front() {
            let old = self.fallbacks == 0 && now.saturating_duration_since(*at) > KEPT_ASIDE;
            if !old && self.aside.len() <= KEPT_ASIDE_MOST {
                return;
            }
            let Some((at, type_url, name)) = self.aside.pop_front() else { return };
            let Some(named) = self.types.get_mut(&type_url) else { continue };
            if named.get(&name).is_some_and(|entry| entry.deleted == Some(at)) {
                named.remove(&name);
                if self.fallbacks > 0 {
                    self.tell(&type_url, name);
                }
            }
        }
    }
}

// === impl Entry ===

impl Entry {
    fn new(payload: Arc<Payload>) -> Self {
        Self {
            payload,
            accepted: false,
            deleted: None,
            good: None,
            superseded: VecDeque::new(),
            refused: VecDeque::new(),
        }
    }

    fn replace(&mut self, payload: Arc<Payload>) {
        self.deleted = None;
        if payload.version() == self.payload.version() {
            return;
        }
        let old = std::mem::replace(&mut self.payload, payload);
        if self.accepted {
            self.good = Some(old);
            self.superseded.clear();
        } else {
            if self.superseded.len() == SUPERSEDED_MOST {
                self.superseded.pop_front();
            }
            self.superseded.push_back(old.version());
        }
        // Back to the accepted version: nothing has to be proven again.
        self.accepted =
            self.good.as_ref().is_some_and(|good| good.version() == self.payload.version());
        if self.accepted {
            self.good = None;
            self.superseded.clear();
        }
    }

    fn accept(&mut self, payload: &Arc<Payload>) {
        let version = payload.version();
        if self.payload.version() == version {
            self.accepted = true;
            self.good = None;
            self.superseded.clear();
            self.refused.retain(|(refused, _)| *refused != version);
        } else if let Some(at) = self.superseded.iter().position(|old| *old == version) {
            self.superseded.drain(..=at);
            self.good = Some(Arc::clone(payload));
        }
    }

    fn served_version(&self) -> Option<u64> {
        self.served(false).map(|payload| payload.version())
    }

    fn refusal(&self) -> Option<&Arc<str>> {
        let version = self.payload.version();
        self.refused.iter().find(|(refused, _)| *refused == version).map(|(_, reason)| reason)
    }

    fn falls_back(&self) -> bool {
        self.deleted.is_none() && self.good.is_some() && self.refusal().is_some()
    }

    fn served(&self, keep_deleted: bool) -> Option<&Arc<Payload>> {
        if self.deleted.is_some() && !keep_deleted {
            return None;
        }
        // Without an accepted version there is nothing to lose: the refused one
        // is offered to each Envoy once, and may be taken by another.
        let good = self.good.as_ref().filter(|_| self.refusal().is_some());
        Some(good.unwrap_or(&self.payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(name: &str, version: u64) -> Arc<Payload> {
        Arc::new(Payload::new(&TypeUrl::ROUTES, name.into(), version, &version.to_be_bytes()))
    }

    fn served(cache: &Cache, type_url: &TypeUrl, name: &str) -> Option<u64> {
        cache.served(type_url, name).map(|payload| payload.version())
    }

    #[test]
    fn a_refused_version_gives_way_to_the_accepted_one_until_it_changes() {
        let mut cache = Cache::new();
        let routes = &TypeUrl::ROUTES;
        assert_eq!(cache.put(routes, payload("r", 1)), Put::New);
        cache.accept(routes, &payload("r", 1));
        assert_eq!(cache.put(routes, payload("r", 2)), Put::New);
        assert!(cache.refuse(routes, "r", 2, "bad regex"));
        assert_eq!(served(&cache, routes, "r"), Some(1));
        assert_eq!(cache.put(routes, payload("r", 3)), Put::New);
        assert_eq!(served(&cache, routes, "r"), Some(3));
        assert_eq!(cache.put(routes, payload("r", 2)), Put::Refused("bad regex".into()));
        assert_eq!(served(&cache, routes, "r"), Some(1));
    }

    #[test]
    fn a_version_that_some_envoy_took_is_not_withdrawn() {
        let mut cache = Cache::new();
        cache.put(&TypeUrl::LISTENER, payload("l", 1));
        cache.accept(&TypeUrl::LISTENER, &payload("l", 1));
        assert!(!cache.refuse(&TypeUrl::LISTENER, "l", 1, "cannot bind"));
        assert_eq!(served(&cache, &TypeUrl::LISTENER, "l"), Some(1));
    }

    #[test]
    fn a_first_version_that_is_refused_stays_on_offer() {
        let mut cache = Cache::new();
        cache.put(&TypeUrl::LISTENER, payload("l", 1));
        assert!(cache.refuse(&TypeUrl::LISTENER, "l", 1, "bad"));
        assert_eq!(served(&cache, &TypeUrl::LISTENER, "l"), Some(1));
        assert_eq!(cache.refused().count(), 1);
    }

    #[test]
    fn a_version_taken_late_is_good_too() {
        let mut cache = Cache::new();
        let routes = &TypeUrl::ROUTES;
        cache.put(routes, payload("r", 1));
        cache.put(routes, payload("r", 2));
        cache.accept(routes, &payload("r", 1));
        assert_eq!(served(&cache, routes, "r"), Some(2));
        cache.refuse(routes, "r", 2, "bad");
        assert_eq!(served(&cache, routes, "r"), Some(1));
    }

    #[test]
    fn deleted_clusters_return_while_a_route_table_falls_back() {
        let mut cache = Cache::new();
        let now = Instant::now();
        cache.put(&TypeUrl::CLUSTER, payload("old", 1));
        cache.put(&TypeUrl::ROUTES, payload("r", 1));
        cache.accept(&TypeUrl::ROUTES, &payload("r", 1));
        cache.put(&TypeUrl::ROUTES, payload("r", 2));
        cache.remove(&TypeUrl::CLUSTER, "old", now);
        assert_eq!(served(&cache, &TypeUrl::CLUSTER, "old"), None);
        let cursor = cache.end();
        cache.refuse(&TypeUrl::ROUTES, "r", 2, "bad");
        assert_eq!(served(&cache, &TypeUrl::CLUSTER, "old"), Some(1));
        assert!(cache.since(cursor).unwrap().any(|(_, name)| &**name == "old"));
        cache.put(&TypeUrl::ROUTES, payload("r", 3));
        assert_eq!(served(&cache, &TypeUrl::CLUSTER, "old"), None);
    }

    #[test]
    fn a_lost_cursor_is_told_so() {
        let mut cache = Cache::new();
        let start = cache.end();
        for version in 0..=RING as u64 {
            cache.put(&TypeUrl::ROUTES, payload("r", version));
        }
        assert!(cache.since(start).is_none());
        assert_eq!(cache.since(start + 1).unwrap().count(), RING);
        assert_eq!(cache.since(cache.end()).unwrap().count(), 0);
    }

    #[test]
    fn deleted_resources_are_forgotten_in_the_end() {
        let mut cache = Cache::new();
        let now = Instant::now();
        cache.put(&TypeUrl::CLUSTER, payload("a", 1));
        cache.put(&TypeUrl::CLUSTER, payload("b", 1));
        cache.remove(&TypeUrl::CLUSTER, "a", now);
        cache.remove(&TypeUrl::CLUSTER, "b", now + KEPT_ASIDE * 2);
        assert!(!cache.types[&TypeUrl::CLUSTER].contains_key("a"));
        assert!(cache.types[&TypeUrl::CLUSTER].contains_key("b"));
    }
}
