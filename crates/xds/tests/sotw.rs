//! What a state-of-the-world stream says: full sets of most types, single
//! resources of those that clients drop by themselves.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;
use envoy_types::pb::google::rpc::Status;
use nuncio_xds::session::{Event, Response, SotwSession};
use nuncio_xds::{Cache, Payload, Rules, TypeUrl, nack};
use proptest::prelude::*;

const RULES: Rules = Rules {
    hold: Duration::from_secs(10_000),
    grace: Duration::ZERO,
    retry: Duration::from_secs(15),
};

/// One client of one type on one stream.
struct Client {
    cache: Cache,
    session: SotwSession,
    type_url: TypeUrl,
    now: Instant,
}

impl Client {
    fn new(type_url: TypeUrl) -> Self {
        let cache = Cache::new();
        let session = SotwSession::new(&cache, RULES);
        Self { cache, session, type_url, now: Instant::now() }
    }

    fn put(&mut self, name: &str, version: u64) -> Weak<Payload> {
        let payload = Payload::new(&self.type_url, name.into(), version, b"bytes");
        let payload = Arc::new(payload);
        let weak = Arc::downgrade(&payload);
        self.cache.put(&self.type_url, payload);
        weak
    }

    fn remove(&mut self, name: &str) {
        self.cache.remove(&self.type_url, name, self.now);
    }

    /// Sends a request and returns what it caused.
    fn request(&mut self, request: DiscoveryRequest) -> Vec<Event> {
        let request = DiscoveryRequest { type_url: self.type_url.to_string(), ..request };
        let events = self.session.receive(&request, self.now).unwrap();
        nack::settle(&mut self.cache, events.clone());
        events
    }

    fn subscribe(&mut self, names: &[&str], version: &str) {
        self.request(DiscoveryRequest {
            version_info: version.into(),
            resource_names: names.iter().map(ToString::to_string).collect(),
            ..DiscoveryRequest::default()
        });
    }

    fn answer(&mut self, response: &Response, names: &[&str], error: Option<&str>) -> Vec<Event> {
        self.request(DiscoveryRequest {
            version_info: response.version.clone(),
            resource_names: names.iter().map(ToString::to_string).collect(),
            response_nonce: response.nonce.to_string(),
            error_detail: error.map(|message| Status { message: message.into(), ..<_>::default() }),
            ..DiscoveryRequest::default()
        })
    }

    fn next(&mut self) -> Option<Response> {
        let mut responses = self.session.poll(&self.cache, self.now);
        assert!(responses.len() <= 1, "one type, one response in flight");
        responses.pop()
    }

    fn reconnect(&mut self) {
        self.session = SotwSession::new(&self.cache, RULES);
    }
}

fn versions(response: &Response) -> Vec<(&str, u64)> {
    response.resources.iter().map(|payload| (&**payload.name(), payload.version())).collect()
}

#[test]
fn a_wildcard_is_answered_with_the_full_set_every_time() {
    let mut client = Client::new(TypeUrl::CLUSTER);
    client.subscribe(&[], "");
    let response = client.next().unwrap();
    assert_eq!(versions(&response), [], "even nothing is an answer");
    client.answer(&response, &[], None);

    client.put("a", 1);
    client.put("b", 1);
    let response = client.next().unwrap();
    assert_eq!(versions(&response), [("a", 1), ("b", 1)]);
    client.answer(&response, &[], None);

    client.put("b", 2);
    let response = client.next().unwrap();
    assert_eq!(versions(&response), [("a", 1), ("b", 2)]);
    client.answer(&response, &[], None);

    client.remove("a");
    let response = client.next().unwrap();
    assert_eq!(versions(&response), [("b", 2)], "what is absent is deleted");
    client.answer(&response, &[], None);
    assert!(client.next().is_none());
    assert!(client.session.is_settled());
}

#[test]
fn named_endpoints_travel_alone() {
    let mut client = Client::new(TypeUrl::ENDPOINTS);
    client.put("a", 1);
    client.put("b", 1);
    client.put("other", 1);
    client.subscribe(&["a", "b"], "");
    let response = client.next().unwrap();
    assert_eq!(versions(&response), [("a", 1), ("b", 1)]);
    client.answer(&response, &["a", "b"], None);
    client.put("b", 2);
    client.put("other", 2);
    let response = client.next().unwrap();
    assert_eq!(versions(&response), [("b", 2)]);
    client.answer(&response, &["a"], None);
    client.put("b", 3);
    assert!(client.next().is_none(), "no longer asked for");
}

#[test]
fn a_request_with_an_old_nonce_says_nothing() {
    let mut client = Client::new(TypeUrl::CLUSTER);
    client.put("a", 1);
    client.subscribe(&[], "");
    let first = client.next().unwrap();
    client.answer(&first, &[], None);
    client.put("a", 2);
    let second = client.next().unwrap();
    assert_eq!(client.answer(&first, &[], Some("a: late")), []);
    client.put("a", 3);
    assert!(client.next().is_none(), "the second response is in flight still");
    assert_eq!(client.answer(&second, &[], None).len(), 1);
    assert_eq!(versions(&client.next().unwrap()), [("a", 3)]);
}

#[test]
fn a_set_after_a_refusal_carries_the_last_good_version() {
    let mut client = Client::new(TypeUrl::CLUSTER);
    client.put("a", 1);
    client.put("b", 1);
    client.subscribe(&[], "");
    let response = client.next().unwrap();
    client.answer(&response, &[], None);
    client.put("b", 2);
    let response = client.next().unwrap();
    let events = client.answer(&response, &[], Some("b: not to my taste"));
    assert!(
        matches!(&events[..], [Event::Refused { name, version: 2, .. }] if &**name == "b"),
        "{events:?}"
    );
    client.put("a", 2);
    while let Some(response) = client.next() {
        assert!(!versions(&response).contains(&("b", 2)), "not offered again");
        client.answer(&response, &[], None);
        if client.session.is_settled() {
            assert_eq!(versions(&response), [("a", 2), ("b", 1)]);
        }
    }
    assert!(client.session.is_settled());
    client.put("b", 3);
    assert_eq!(versions(&client.next().unwrap()), [("a", 2), ("b", 3)]);
}

#[test]
fn a_client_that_comes_back_with_the_served_set_is_sent_nothing() {
    for (type_url, names) in [(TypeUrl::CLUSTER, &[][..]), (TypeUrl::ENDPOINTS, &["a", "b"][..])] {
        let mut client = Client::new(type_url);
        client.put("a", 1);
        client.put("b", 1);
        client.subscribe(names, "");
        let response = client.next().unwrap();
        client.answer(&response, names, None);
        client.reconnect();
        client.subscribe(names, &response.version);
        assert!(client.next().is_none());
        client.put("b", 2);
        assert!(versions(&client.next().unwrap()).contains(&("b", 2)));
        client.reconnect();
        client.subscribe(names, &response.version);
        assert_eq!(versions(&client.next().unwrap()), [("a", 1), ("b", 2)]);
    }
}

#[test]
fn a_client_that_does_not_answer_keeps_no_version_but_the_one_in_flight() {
    let mut client = Client::new(TypeUrl::RATE_LIMITS);
    let first = client.put("a", 0);
    client.subscribe(&[], "");
    let response = client.next().unwrap();
    let mut later = Vec::new();
    // More changes than the cache remembers.
    for version in 1..100_000 {
        later.push(client.put("a", version));
        assert!(client.next().is_none());
    }
    assert!(first.upgrade().is_some(), "in flight");
    let alive = later.iter().filter(|payload| payload.upgrade().is_some()).count();
    assert_eq!(alive, 1, "only what is served now");
    client.answer(&response, &[], None);
    assert_eq!(versions(&client.next().unwrap()), [("a", 99_999)]);
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u64),
    Remove(u8),
    /// The client takes what it is sent.
    Take,
    /// The connection breaks; the client comes back with the set it took last.
    Reconnect,
}

/// Versions that the client refuses.
fn is_bad(version: u64) -> bool {
    version.is_multiple_of(4)
}

/// Takes one response. A refused one changes nothing.
fn take(client: &mut Client, held: &mut BTreeMap<String, u64>, accepted: &mut String) -> bool {
    let Some(response) = client.next() else { return false };
    let bad: Vec<_> =
        versions(&response).into_iter().filter(|(_, version)| is_bad(*version)).collect();
    if bad.is_empty() {
        *held = versions(&response).into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
        accepted.clone_from(&response.version);
        client.answer(&response, &[], None);
    } else {
        let message: Vec<_> = bad.iter().map(|(name, _)| format!("{name}: bad")).collect();
        client.answer(&response, &[], Some(&message.join(", ")));
    }
    true
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..5_u8, 1..10_u64).prop_map(|(name, version)| Step::Put(name, version)),
        2 => (0..5_u8).prop_map(Step::Remove),
        6 => Just(Step::Take),
        1 => Just(Step::Reconnect),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn a_client_ends_with_what_is_served_but_for_what_it_refuses(steps in steps()) {
        let mut client = Client::new(TypeUrl::RATE_LIMITS);
        let (mut held, mut accepted) = (BTreeMap::new(), String::new());
        client.subscribe(&[], "");
        for step in steps {
            match step {
                Step::Put(name, version) => drop(client.put(&format!("n{name}"), version)),
                Step::Remove(name) => client.remove(&format!("n{name}")),
                Step::Take => drop(take(&mut client, &mut held, &mut accepted)),
                Step::Reconnect => {
                    client.reconnect();
                    client.subscribe(&[], &accepted);
                }
            }
        }
        let end = (0..100).position(|_| !take(&mut client, &mut held, &mut accepted));
        prop_assert!(end.is_some(), "it is sent the same for ever");
        let served: BTreeMap<_, _> = client
            .cache
            .all(&TypeUrl::RATE_LIMITS)
            .map(|payload| (payload.name().to_string(), payload.version()))
            .collect();
        let sound: BTreeMap<_, _> = served.clone().into_iter().filter(|(_, v)| !is_bad(*v)).collect();
        held.retain(|name, _| !served.get(name).is_some_and(|version| is_bad(*version)));
        prop_assert_eq!(held, sound);
    }
}
