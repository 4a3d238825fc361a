//! A delta stream.

use std::collections::BTreeSet;
use std::time::Instant;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;

use super::stream::Stream;
use super::subscription::{Held, Subscription};
use super::{Event, Form, NAMES_MOST, ProtocolError, Response};
use crate::order::Rules;
use crate::payload::{parse_version, version_text};
use crate::{Cache, TypeUrl};

/// A delta stream.
#[derive(Debug)]
pub struct DeltaSession {
    stream: Stream,
}

// === impl DeltaSession ===

impl DeltaSession {
    /// Opens a stream whose client has asked for nothing yet.
    pub fn new(cache: &Cache, rules: Rules) -> Self {
        Self { stream: Stream::new(cache, rules) }
    }

    /// Takes a request. Changes of the subscription count whatever else the
    /// request says; an answer counts when it answers the response in flight.
    ///
    /// # Errors
    /// When the client asks for more than any client may; the stream should end.
    pub fn receive(
        &mut self,
        request: &DeltaDiscoveryRequest,
        now: Instant,
    ) -> Result<Vec<Event>, ProtocolError> {
        let type_url = TypeUrl::from(request.type_url.as_str());
        let awaited = if type_url == TypeUrl::ENDPOINTS && !self.stream.asks_for(&type_url) {
            self.stream.awaited()
        } else {
            BTreeSet::new()
        };
        let (subscription, first) = self.stream.subscription(&type_url)?;
        if subscription.names.len() + request.resource_names_subscribe.len() > NAMES_MOST {
            return Err(ProtocolError::TooManyNames);
        }
        if first {
            claim(subscription, request)?;
            // The form of a wildcard from before there was a name for it. Not
            // for types whose resources are always named by others: there, a
            // first request without names is a client that needs none yet.
            let named = [TypeUrl::ENDPOINTS, TypeUrl::SECRET, TypeUrl::ROUTES].contains(&type_url);
            if request.resource_names_subscribe.is_empty()
                && request.resource_names_unsubscribe.is_empty()
                && !named
            {
                subscription.subscribe_all();
                subscription.unanswered = request.initial_resource_versions.is_empty();
            }
        }
        for name in &request.resource_names_subscribe {
            if name == "*" {
                subscription.unanswered = !first || request.initial_resource_versions.is_empty();
                subscription.subscribe_all();
            } else {
                subscription.subscribe(name);
                if first
                    && request.initial_resource_versions.contains_key(name)
                    && !awaited.contains(name.as_str())
                {
                    // Not a question: a client that comes back with what it has.
                    // Unless a cluster changed meanwhile, which is cold until
                    // its endpoints come again.
                    subscription.asked.remove(name.as_str());
                    subscription.dirty.insert(name.as_str().into());
                }
            }
        }
        for name in &request.resource_names_unsubscribe {
            if name == "*" {
                subscription.unsubscribe_all();
            } else {
                subscription.unsubscribe(name);
            }
        }
        let error = request.error_detail.as_ref().map(|status| status.message.as_str());
        Ok(self.stream.answered(&type_url, &request.response_nonce, error, now))
    }

    /// Returns what to send now, in this order.
    pub fn poll(&mut self, cache: &Cache, now: Instant) -> Vec<Response> {
        self.stream.follow(cache);
        let plans = self.stream.plan(cache, now).into_iter();
        plans
            .map(|(type_url, nonce, plan)| Response {
                form: Form::Delta,
                type_url,
                nonce,
                version: version_text(cache.end()),
                resources: plan.send,
                removed: plan.remove,
            })
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
}

/// Takes over what a client that comes back says it has. Versions that are not
/// ours equal none of ours, so these resources are sent again.
fn claim(
    subscription: &mut Subscription,
    request: &DeltaDiscoveryRequest,
) -> Result<(), ProtocolError> {
    if request.initial_resource_versions.len() > NAMES_MOST {
        return Err(ProtocolError::TooManyNames);
    }
    for (name, version) in &request.initial_resource_versions {
        let version = parse_version(version).unwrap_or_default();
        subscription.held.insert(name.as_str().into(), Held { version, payload: None });
    }
    subscription.compare = !subscription.held.is_empty();
    Ok(())
}
