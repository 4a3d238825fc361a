//! The control plane against simulated Envoys, over real connections.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::sync::Arc;

use clap::Parser as _;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitConfig;
use nuncio_control_plane::{Bound, Event, Settings, start};
use nuncio_process::Context;
use nuncio_process::xds_client::{Options, Protocol, Want, subscribe};
use nuncio_testing::ads::{self, Driver, Envoy, samples};
use nuncio_xds::{Payload, TypeUrl};
use prost::Message as _;
use tokio::sync::mpsc;

/// Starts a control plane whose source of objects has told nothing yet.
async fn silent(context: &Context) -> (Bound, mpsc::Sender<Event>) {
    let (events, source) = mpsc::channel(1);
    let settings = Settings::parse_from([
        "control-plane",
        "--grpc-host=127.0.0.1",
        "--grpc-port=0",
        "--admin-host=127.0.0.1",
        "--admin-port=0",
    ]);
    (start(settings, context, source).await.unwrap(), events)
}

fn put(bound: &Bound, type_url: &TypeUrl, name: &str, version: u64, bytes: &[u8]) {
    let payload = Arc::new(Payload::new(type_url, name.into(), version, bytes));
    bound.fleet.change(|cache| cache.put(type_url, payload));
}

/// Fills a control plane. Besides what is put here it serves the cluster of its
/// own admin port.
fn fill(bound: &Bound) {
    let put = |type_url: TypeUrl, name: &str, bytes: Vec<u8>| {
        put(bound, &type_url, name, bytes.len() as u64 + 7, &bytes);
    };
    for number in 0..50 {
        let name = format!("c{number}");
        put(TypeUrl::ENDPOINTS, &name, samples::endpoints(&name, 8000));
        put(TypeUrl::CLUSTER, &name, samples::cluster(&name, ""));
    }
    put(TypeUrl::ROUTES, "r", samples::routes("r", "host", &[("/", "c1"), ("/b", "c2")]));
    put(TypeUrl::LISTENER, "l", samples::listener("l", 8080, "r", "l"));
}

async fn connect(bound: &Bound, envoy: Envoy) -> Driver {
    Driver::connect(format!("http://{}", bound.grpc), envoy).await.unwrap()
}

fn complete(envoy: &Envoy) -> bool {
    envoy.versions(ads::CLUSTER).len() == 51
        && envoy.versions(ads::ENDPOINTS).len() == 50
        && envoy.versions(ads::LISTENER).len() == 1
        && envoy.versions(ads::ROUTES).len() == 1
}

#[tokio::test]
async fn a_control_plane_that_restarted_resends_nothing_and_deletes_nothing_before_it_knows_all() {
    let first = Context::new("first");
    let (bound, events) = silent(&first).await;
    fill(&bound);
    events.send(Event::Synced).await.unwrap();
    let driver = connect(&bound, Envoy::default()).await;
    driver.until(complete).await.unwrap();
    let envoy = driver.disconnect();
    assert_eq!(envoy.violations, Vec::<String>::new());
    assert_eq!(envoy.received, 103);
    let listeners = envoy.versions(ads::LISTENER);

    let second = Context::new("second");
    let (bound, events) = silent(&second).await;
    let driver = connect(&bound, envoy).await;
    let mut changes = bound.fleet.changes();
    // Its requests are there when it is listed as an Envoy.
    while !bound.fleet.clients().iter().any(|client| client.is_envoy) {
        tokio::task::yield_now().await;
    }
    put(&bound, &TypeUrl::CLUSTER, "half", 1, &samples::cluster("half", ""));
    changes.changed().await.unwrap();
    bound.fleet.change(|cache| cache.remove(&TypeUrl::CLUSTER, "half", std::time::Instant::now()));

    fill(&bound);
    // A change that the Envoy must hear of shows that it heard nothing before.
    put(&bound, &TypeUrl::ROUTES, "r", 1, &samples::routes("r", "host", &[("/", "c3")]));
    events.send(Event::Synced).await.unwrap();
    let admin = format!("cluster_127_0_0_1_{}_default", bound.admin.port());
    driver
        .until(|envoy| {
            envoy.versions(ads::CLUSTER).contains_key(&admin)
                && envoy.versions(ads::ROUTES).values().any(|v| v == "0000000000000001")
        })
        .await
        .unwrap();
    let envoy = driver.envoy();
    assert_eq!(envoy.received, 105);
    assert_eq!(envoy.violations, Vec::<String>::new());
    assert_eq!(envoy.versions(ads::LISTENER), listeners);
    assert!(!envoy.held[ads::CLUSTER].contains_key("half"));
}

#[tokio::test]
async fn subscribers_keep_the_last_good_version_of_what_they_refuse() {
    for protocol in [Protocol::Delta, Protocol::Sotw] {
        let context = Context::new("server");
        let (bound, events) = silent(&context).await;
        fill(&bound);
        events.send(Event::Synced).await.unwrap();
        let put = |domain: &str, version: u64| {
            let config = RateLimitConfig {
                name: "limits".into(),
                domain: domain.into(),
                ..RateLimitConfig::default()
            };
            put(&bound, &TypeUrl::RATE_LIMITS, "limits", version, &config.encode_to_vec());
        };
        put("good", 1);
        let subscriber = Context::new("subscriber");
        let options = Options {
            protocol,
            ..Options::new(bound.grpc.to_string(), "default/limits", "default-default")
        };
        let wants = [(TypeUrl::RATE_LIMITS, Want::All)];
        let mut held = subscribe(&subscriber, options, wants, |_, _, bytes| {
            let config = RateLimitConfig::decode(bytes.clone()).map_err(|e| e.to_string())?;
            if config.domain == "bad" { Err("bad domain".to_owned()) } else { Ok(config.domain) }
        })
        .unwrap();
        subscriber.ready.ready().await;
        held.wait_for(|held| {
            held.answered && held.of(&TypeUrl::RATE_LIMITS).any(|(_, domain)| **domain == "good")
        })
        .await
        .unwrap();

        put("bad", 2);
        held.wait_for(|held| held.refused.values().any(|reason| reason == "bad domain"))
            .await
            .unwrap();
        let domains: Vec<_> =
            held.borrow().of(&TypeUrl::RATE_LIMITS).map(|(_, domain)| (**domain).clone()).collect();
        assert_eq!(domains, ["good"], "{protocol:?}");

        put("better", 3);
        held.wait_for(|held| {
            held.refused.is_empty()
                && held.of(&TypeUrl::RATE_LIMITS).any(|(_, domain)| **domain == "better")
        })
        .await
        .unwrap();
        bound.fleet.change(|cache| {
            cache.remove(&TypeUrl::RATE_LIMITS, "limits", std::time::Instant::now())
        });
        held.wait_for(|held| held.of(&TypeUrl::RATE_LIMITS).next().is_none()).await.unwrap();
    }
}
