//! What follows from a refusal on the stream of the client that refused.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::google::rpc::Status;
use nuncio_xds::session::{DeltaSession, Event, Response};
use nuncio_xds::{Cache, Payload, Rules, TypeUrl, nack};

const GRACE: Duration = Duration::from_secs(30);

struct Client {
    cache: Cache,
    session: DeltaSession,
    now: Instant,
}

impl Client {
    /// Subscribes to all clusters and listeners.
    fn new() -> Self {
        let cache = Cache::new();
        let rules = Rules { grace: GRACE, ..Rules::default() };
        let session = DeltaSession::new(&cache, rules);
        let mut client = Self { cache, session, now: Instant::now() };
        for type_url in [TypeUrl::CLUSTER, TypeUrl::LISTENER] {
            let request = DeltaDiscoveryRequest {
                type_url: type_url.to_string(),
                ..DeltaDiscoveryRequest::default()
            };
            client.session.receive(&request, client.now).unwrap();
        }
        client
    }

    fn put(&mut self, type_url: &TypeUrl, name: &str, version: u64) {
        let payload = Payload::new(type_url, name.into(), version, b"");
        self.cache.put(type_url, Arc::new(payload));
    }

    fn poll(&mut self) -> Vec<Response> {
        self.session.poll(&self.cache, self.now)
    }

    fn answer(&mut self, response: &Response, error: Option<&str>) -> Vec<Event> {
        let request = DeltaDiscoveryRequest {
            type_url: response.type_url.to_string(),
            response_nonce: response.nonce.to_string(),
            error_detail: error.map(|message| Status { message: message.into(), ..<_>::default() }),
            ..DeltaDiscoveryRequest::default()
        };
        let events = self.session.receive(&request, self.now).unwrap();
        nack::settle(&mut self.cache, events.clone());
        events
    }

    /// Takes everything until there is no more. Returns names that were deleted.
    fn take_all(&mut self) -> Vec<String> {
        let mut removed = Vec::new();
        loop {
            let responses = self.poll();
            if responses.is_empty() {
                return removed;
            }
            for response in responses {
                removed.extend(response.removed.iter().map(ToString::to_string));
                self.answer(&response, None);
            }
        }
    }

    fn refuse(&mut self, message: &str) -> Vec<Event> {
        let response = self.poll().pop().unwrap();
        assert_eq!(response.type_url, TypeUrl::LISTENER);
        self.answer(&response, Some(message))
    }
}

#[test]
fn clusters_go_when_a_refused_listener_is_put_back() {
    let mut client = Client::new();
    client.put(&TypeUrl::CLUSTER, "c", 1);
    client.put(&TypeUrl::LISTENER, "l", 1);
    client.take_all();
    client.put(&TypeUrl::LISTENER, "l", 2);
    client.refuse("l: not to my taste");
    client.put(&TypeUrl::LISTENER, "l", 1);
    client.cache.remove(&TypeUrl::CLUSTER, "c", client.now);
    client.take_all();
    client.now += GRACE;
    assert_eq!(client.take_all(), ["c"]);
}

#[test]
fn a_listener_that_is_taken_after_its_port_was_freed_is_told_of() {
    let mut client = Client::new();
    client.put(&TypeUrl::LISTENER, "l", 1);
    // The empty answer for clusters comes first.
    let clusters = client.poll().remove(0);
    client.answer(&clusters, None);
    let events = client.refuse("l: cannot bind '127.0.0.1:80': Address already in use");
    assert!(matches!(&events[..], [Event::Refused { passing: true, .. }]), "{events:?}");
    assert!(client.poll().is_empty());
    client.now = client.session.wake().unwrap();
    let response = client.poll().pop().unwrap();
    let events = client.answer(&response, None);
    let [Event::Accepted { recovered, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(recovered[..], ["l".into()]);
}
