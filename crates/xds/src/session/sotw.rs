//! A state-of-the-world stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;

use super::stream::Stream;
use super::subscription::{Held, Plan, Subscription};
use super::{Event, Form, NAMES_MOST, ProtocolError, Response};
use crate::order::Rules;
use crate::payload::{Payload, version_text};
use crate::{Cache, TypeUrl};

/// A state-of-the-world stream.
///
/// Responses carry the full set of their type, in which an absent resource is a
/// deleted one; only endpoints, routes and keys, which Envoy drops by itself,
/// travel alone.
#[derive(Debug)]
pub struct SotwSession {
    stream: Stream,
    /// Nonces of the latest responses. Requests with an older one are stale.
    latest: BTreeMap<TypeUrl, u64>,
    /// Versions that clients said they had when the stream began.
    claims: BTreeMap<TypeUrl, String>,
    /// Types of which clients came back with a set that is not served and have
    /// taken none since: what they hold is unknown.
    unsure: BTreeSet<TypeUrl>,
}

// === impl SotwSession ===

impl SotwSession {
    /// Opens a stream whose client has asked for nothing yet.
    pub fn new(cache: &Cache, rules: Rules) -> Self {
        let stream = Stream::new(cache, rules);
        Self { stream, latest: BTreeMap::new(), claims: BTreeMap::new(), unsure: BTreeSet::new() }
    }

    /// Takes a request; one that answers an older response than the latest is
    /// stale and says nothing.
    ///
    /// # Errors
    /// When the client asks for more than any client may; the stream should end.
    pub fn receive(
        &mut self,
        request: &DiscoveryRequest,
        now: Instant,
    ) -> Result<Vec<Event>, ProtocolError> {
        let type_url = TypeUrl::from(request.type_url.as_str());
        if request.resource_names.len() > NAMES_MOST {
            return Err(ProtocolError::TooManyNames);
        }
        if let Some(latest) = self.latest.get(&type_url)
            && !request.response_nonce.is_empty()
            && request.response_nonce != latest.to_string()
        {
            return Ok(Vec::new());
        }
        let (subscription, first) = self.stream.subscription(&type_url)?;
        change_interest(subscription, request, first, is_full(&type_url));
        if first && !request.version_info.is_empty() {
            self.claims.insert(type_url.clone(), request.version_info.clone());
        }
        let error = request.error_detail.as_ref().map(|status| status.message.as_str());
        let events = self.stream.answered(&type_url, &request.response_nonce, error, now);
        self.make_sure(&events);
        Ok(events)
    }

    /// Returns what to send now, in this order.
    pub fn poll(&mut self, cache: &Cache, now: Instant) -> Vec<Response> {
        self.stream.follow(cache);
        self.honour_claims(cache);
        let plans = self.stream.plan(cache, now);
        plans
            .into_iter()
            .filter_map(|(type_url, nonce, plan)| self.respond(type_url, nonce, plan))
            .collect()
    }

    /// Says whether the client has been sent, and has answered, everything.
    pub fn is_settled(&self) -> bool {
        self.stream.is_settled()
    }

    /// Says whether the client has asked for a type.
    pub fn asks_for(&self, type_url: &TypeUrl) -> bool {
        self.stream.asks_for(type_url)
    }

    /// Returns when to poll again even if nothing happens before.
    pub fn wake(&self) -> Option<Instant> {
        self.stream.wake()
    }

    /// A client that comes back with the very set that is served is sent
    /// nothing.
    fn honour_claims(&mut self, cache: &Cache) {
        for (type_url, claimed) in std::mem::take(&mut self.claims) {
            let Some(subscription) = self.stream.types.get_mut(&type_url) else { continue };
            let served: BTreeMap<_, _> = cache
                .all(&type_url)
                .filter(|payload| subscription.covers(payload.name()))
                .map(|payload| (Arc::clone(payload.name()), Arc::clone(payload)))
                .collect();
            if set_version(served.values()) != claimed {
                if is_full(&type_url) {
                    self.unsure.insert(type_url);
                }
                continue;
            }
            subscription.asked.clear();
            subscription.compare = false;
            subscription.unanswered = false;
            subscription.held = served
                .into_iter()
                .map(|(name, payload)| {
                    (name, Held { version: payload.version(), payload: Some(payload) })
                })
                .collect();
        }
    }

    /// A client of unknown holdings that refuses a set is sent the rest of it in
    /// any case: else it would keep what was deleted while it was away.
    fn make_sure(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Accepted { type_url, .. } => {
                    self.unsure.remove(type_url);
                }
                Event::Refused { type_url, .. } if self.unsure.contains(type_url) => {
                    if let Some(subscription) = self.stream.types.get_mut(type_url) {
                        subscription.unanswered = true;
                    }
                }
                Event::Refused { .. } => {}
            }
        }
    }

    fn respond(&mut self, type_url: TypeUrl, nonce: u64, plan: Plan) -> Option<Response> {
        let subscription = self.stream.types.get_mut(&type_url)?;
        let full = is_full(&type_url);
        if !full && plan.send.is_empty() {
            // The protocol has no word for it; the client drops it by itself.
            subscription.in_flight = None;
            for name in &plan.remove {
                subscription.held.remove(name);
            }
            return None;
        }
        let mut set: BTreeMap<Arc<str>, Arc<Payload>> = subscription
            .held
            .iter()
            .filter(|(name, _)| !plan.remove.contains(name))
            .filter_map(|(name, held)| Some((Arc::clone(name), held.payload.clone()?)))
            .collect();
        set.extend(
            plan.send.iter().map(|payload| (Arc::clone(payload.name()), Arc::clone(payload))),
        );
        let version = set_version(set.values());
        let resources = if full { set.into_values().collect() } else { plan.send };
        self.latest.insert(type_url.clone(), nonce);
        let removed = Vec::new();
        Some(Response { form: Form::Sotw, type_url, nonce, version, resources, removed })
    }
}

/// Says whether responses of a type carry the full set.
fn is_full(type_url: &TypeUrl) -> bool {
    ![TypeUrl::ENDPOINTS, TypeUrl::ROUTES, TypeUrl::SECRET].contains(type_url)
}

/// Takes over the names of a request.
fn change_interest(
    subscription: &mut Subscription,
    request: &DiscoveryRequest,
    first: bool,
    full: bool,
) {
    let wildcard = request.resource_names.iter().any(|name| name == "*")
        || (request.resource_names.is_empty() && full && (first || subscription.wildcard));
    let names: BTreeSet<&str> =
        request.resource_names.iter().map(String::as_str).filter(|name| *name != "*").collect();
    if wildcard && !subscription.wildcard {
        subscription.subscribe_all();
        subscription.unanswered = true;
    } else if !wildcard && subscription.wildcard {
        subscription.unsubscribe_all();
    }
    let added: Vec<String> = names
        .iter()
        .filter(|name| !subscription.names.contains(**name))
        .map(ToString::to_string)
        .collect();
    let gone: Vec<String> = subscription
        .names
        .iter()
        .filter(|name| !names.contains(&***name))
        .map(ToString::to_string)
        .collect();
    for name in &added {
        subscription.subscribe(name);
    }
    for name in &gone {
        subscription.unsubscribe(name);
    }
}

/// Returns the version of a set: the same for the same names and versions, on
/// every replica. FNV-1a over both.
fn set_version<'a>(set: impl Iterator<Item = &'a Arc<Payload>>) -> String {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    let hash = set.fold(OFFSET, |hash, payload| {
        let hash = payload.name().as_bytes().iter().fold(hash, step);
        payload.version().to_be_bytes().iter().fold(hash, step)
    });
    version_text(hash)
}
