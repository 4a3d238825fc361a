//! What both protocols share: following the cache, order, acknowledgements.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::subscription::{Held, InFlight, Leave, Plan, Refused, Subscription, UNKNOWN};
use super::{Event, ProtocolError, TYPES_MOST};
use crate::order::{Progress, Rank, Rules};
use crate::payload::Payload;
use crate::{Cache, TypeUrl, nack};

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) types: BTreeMap<TypeUrl, Subscription>,
    rules: Rules,
    cursor: u64,
    nonce: u64,
    polled_at: Option<Instant>,
    /// New and changed clusters, and the endpoints each of them waits for.
    warming: BTreeMap<Arc<str>, Arc<str>>,
    /// Whether any of them is to be waited for.
    cold: bool,
}

/// Looks of one poll: one for each rank that may wait for a later one.
const LOOKS_MOST: usize = 4;

// === impl Stream ===

impl Stream {
    pub(super) fn new(cache: &Cache, rules: Rules) -> Self {
        Self {
            types: BTreeMap::new(),
            rules,
            cursor: cache.end(),
            nonce: 0,
            polled_at: None,
            warming: BTreeMap::new(),
            cold: false,
        }
    }

    /// Returns a type's subscription, and whether it is new on this stream.
    pub(super) fn subscription(
        &mut self,
        type_url: &TypeUrl,
    ) -> Result<(&mut Subscription, bool), ProtocolError> {
        if type_url.as_str().is_empty() {
            return Err(ProtocolError::NoType);
        }
        let new = !self.types.contains_key(type_url);
        if new && self.types.len() == TYPES_MOST {
            return Err(ProtocolError::TooManyTypes);
        }
        Ok((self.types.entry(type_url.clone()).or_default(), new))
    }

    /// Returns the endpoints that new and changed clusters wait for.
    pub(super) fn awaited(&self) -> BTreeSet<Arc<str>> {
        self.warming.values().cloned().collect()
    }

    /// Marks what changed in the cache since the last look.
    pub(super) fn follow(&mut self, cache: &Cache) {
        match cache.since(self.cursor) {
            Some(changes) => {
                for (type_url, name) in changes {
                    if let Some(subscription) = self.types.get_mut(type_url)
                        && subscription.covers(name)
                    {
                        subscription.dirty.insert(Arc::clone(name));
                    }
                }
            }
            None => {
                for subscription in self.types.values_mut() {
                    subscription.compare = true;
                }
            }
        }
        self.cursor = cache.end();
    }

    /// Decides what to send now, in the order in which it is to be written.
    pub(super) fn plan(&mut self, cache: &Cache, now: Instant) -> Vec<(TypeUrl, u64, Plan)> {
        self.polled_at = Some(now);
        let mut plans = Vec::new();
        // A look may find that a late type has nothing to say after all, for
        // which an early one waited.
        for _ in 0..LOOKS_MOST {
            let before = self.progress();
            self.look(cache, now, &mut plans);
            if self.progress() == before {
                break;
            }
        }
        plans
    }

    fn look(&mut self, cache: &Cache, now: Instant, plans: &mut Vec<(TypeUrl, u64, Plan)>) {
        let mut types: Vec<_> = self.types.keys().cloned().collect();
        types.sort_by_key(Rank::of);
        for type_url in types {
            // Endpoints that do not exist, or no longer, are not waited for.
            let exists = |name: &Arc<str>| cache.served(&TypeUrl::ENDPOINTS, name).is_some();
            self.cold = self.warming.values().any(exists);
            let leave = self.leave(&type_url, now);
            if leave.impatient {
                // Whatever was waited for did not come: no later change shall
                // wait for it again.
                self.warming.clear();
            }
            let nonce = self.nonce + 1;
            let Some(subscription) = self.types.get_mut(&type_url) else { continue };
            let plan = subscription.plan(&type_url, cache, leave, nonce, now);
            subscription.waiting_since = if subscription.in_flight.is_some() || leave.send {
                None
            } else if subscription.is_pending() {
                subscription.waiting_since.or(Some(now))
            } else {
                None
            };
            let Some(plan) = plan else { continue };
            self.nonce = nonce;
            if type_url == TypeUrl::CLUSTER {
                self.clusters_sent(&plan.send);
            }
            plans.push((type_url, nonce, plan));
        }
    }

    /// Takes a client's answer to a response. A nonce that is not the one in
    /// flight says nothing any more.
    pub(super) fn answered(
        &mut self,
        type_url: &TypeUrl,
        nonce: &str,
        error: Option<&str>,
        now: Instant,
    ) -> Vec<Event> {
        let Some(subscription) = self.types.get_mut(type_url) else { return Vec::new() };
        let current = subscription.in_flight.as_ref().map(|flight| flight.nonce.to_string());
        if current.as_deref() != Some(nonce) {
            return Vec::new();
        }
        let Some(flight) = subscription.in_flight.take() else { return Vec::new() };
        match error {
            None => self.accepted(type_url, flight),
            Some(message) => self.refused(type_url, flight, message, now),
        }
    }

    /// When this stream wants to be looked at again without anything happening.
    pub(super) fn wake(&self) -> Option<Instant> {
        // What was due at the last look and did not happen waits for an answer
        // of the client, not for time.
        let wakes =
            self.types.values().flat_map(|subscription| subscription.wakes(self.rules.hold));
        wakes.filter(|at| self.polled_at.is_none_or(|polled_at| *at > polled_at)).min()
    }

    /// Says whether the client has been sent, and has answered, everything.
    pub(super) fn is_settled(&self) -> bool {
        self.types.values().all(Subscription::is_quiet)
    }

    /// Says whether the client has asked for a type.
    pub(super) fn asks_for(&self, type_url: &TypeUrl) -> bool {
        self.types.contains_key(type_url)
    }

    fn accepted(&mut self, type_url: &TypeUrl, flight: InFlight) -> Vec<Event> {
        self.details_answered(type_url, &flight);
        let Some(subscription) = self.types.get_mut(type_url) else { return Vec::new() };
        let mut recovered = Vec::new();
        for payload in &flight.sent {
            let name = payload.name();
            subscription.suspects.remove(name);
            if subscription.refused.remove(name).is_some() {
                recovered.push(Arc::clone(name));
            }
            if subscription.covers(name) {
                let held = Held { version: payload.version(), payload: Some(Arc::clone(payload)) };
                subscription.held.insert(Arc::clone(name), held);
            }
        }
        for name in &flight.removed {
            subscription.held.remove(name);
            subscription.refused.remove(name);
        }
        if *type_url == TypeUrl::CLUSTER {
            for name in &flight.removed {
                self.warming.remove(name);
            }
        }
        if flight.sent.is_empty() {
            return Vec::new();
        }
        vec![Event::Accepted { type_url: type_url.clone(), payloads: flight.sent, recovered }]
    }

    fn refused(
        &mut self,
        type_url: &TypeUrl,
        flight: InFlight,
        message: &str,
        now: Instant,
    ) -> Vec<Event> {
        self.details_answered(type_url, &flight);
        if *type_url == TypeUrl::CLUSTER {
            for payload in &flight.sent {
                self.warming.remove(payload.name());
            }
        }
        let Some(subscription) = self.types.get_mut(type_url) else { return Vec::new() };
        let names: Vec<_> = flight.sent.iter().map(|payload| Arc::clone(payload.name())).collect();
        let mut guilty: BTreeSet<_> = nack::blame(message, &names).into_iter().cloned().collect();
        match names.as_slice() {
            // Nothing but deletions: there is no version to take back.
            [] => flight.removed.iter().for_each(|name| {
                subscription.held.remove(name);
            }),
            [only] => drop(guilty.insert(Arc::clone(only))),
            several if guilty.is_empty() => subscription.suspects.extend(several.iter().cloned()),
            _ => {}
        }
        // What the client made of the rest is unknown: it is sent again.
        subscription.dirty.extend(flight.removed);
        let passing = nack::is_passing(message);
        let mut events = Vec::new();
        for payload in flight.sent {
            let name = Arc::clone(payload.name());
            if !guilty.contains(&name) {
                if subscription.covers(&name) {
                    // Perhaps taken: sent again, or deleted when it is gone.
                    let held = Held { version: UNKNOWN, payload: Some(payload) };
                    subscription.held.insert(Arc::clone(&name), held);
                    subscription.dirty.insert(name);
                }
                continue;
            }
            subscription.suspects.remove(&name);
            let version = payload.version();
            let retry_at = passing.then(|| now + self.rules.retry);
            subscription.refused.insert(Arc::clone(&name), Refused { version, retry_at });
            let (type_url, message) = (type_url.clone(), message.to_owned());
            events.push(Event::Refused { type_url, name, version, message, passing });
        }
        events
    }

    fn leave(&self, type_url: &TypeUrl, now: Instant) -> Leave {
        let rank = Rank::of(type_url);
        let progress = self.progress();
        let impatient = self.types.get(type_url).is_some_and(|subscription| {
            subscription.waiting_since.is_some_and(|since| now >= since + self.rules.hold)
        });
        let grace = if rank == Rank::Clusters { self.rules.grace } else { Default::default() };
        Leave {
            send: impatient || rank.may_send(progress),
            impatient,
            remove: rank.may_remove(progress),
            grace,
        }
    }

    fn progress(&self) -> Progress {
        let all = |type_url: &TypeUrl, is: fn(&Subscription) -> bool| {
            self.types.get(type_url).is_none_or(is)
        };
        Progress {
            clusters: all(&TypeUrl::CLUSTER, Subscription::is_quiet),
            details: !self.cold
                && all(&TypeUrl::ENDPOINTS, Subscription::is_answered)
                && all(&TypeUrl::SECRET, Subscription::is_answered),
            listeners: all(&TypeUrl::LISTENER, Subscription::is_quiet),
            routes: all(&TypeUrl::ROUTES, Subscription::is_quiet),
            no_cluster_leaving: all(&TypeUrl::CLUSTER, |clusters| clusters.leaving.is_empty()),
            nothing_refused: [TypeUrl::LISTENER, TypeUrl::ROUTES]
                .iter()
                .all(|type_url| all(type_url, Subscription::is_up_to_date)),
        }
    }

    /// Follows which clusters become cold. Of endpoints that are subscribed to
    /// already the client does not ask again when their cluster changes, and
    /// a running Envoy acknowledges no cluster before it is warm: so they are offered
    /// again, right behind the cluster.
    fn clusters_sent(&mut self, sent: &[Arc<Payload>]) {
        let mut details = self.types.get_mut(&TypeUrl::ENDPOINTS);
        for payload in sent {
            let Some(endpoints) = payload.endpoints() else {
                self.warming.remove(payload.name());
                continue;
            };
            self.warming.insert(Arc::clone(payload.name()), Arc::clone(endpoints));
            if let Some(details) = details.as_deref_mut().filter(|d| d.covers(endpoints)) {
                details.asked.insert(Arc::clone(endpoints));
            }
        }
    }

    fn details_answered(&mut self, type_url: &TypeUrl, flight: &InFlight) {
        if *type_url != TypeUrl::ENDPOINTS || self.warming.is_empty() {
            return;
        }
        let sent = flight.sent.iter().map(|payload| payload.name());
        let answered: BTreeSet<_> = sent.chain(&flight.removed).collect();
        self.warming.retain(|_, endpoints| !answered.contains(endpoints));
    }
}
