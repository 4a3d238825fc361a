//! The control plane against simulated Envoys, over real connections.

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

async fn control_plane(context: &Context) -> (Bound, mpsc::Sender<Event>) {
    let (events, source) = mpsc::channel(1);
    let settings = Settings::parse_from([
        "control-plane",
        "--grpc-host=127.0.0.1",
        "--grpc-port=0",
        "--admin-host=127.0.0.1",
        "--admin-port=0",
    ]);
    let bound = start(settings, context, source).await.unwrap();
    events.send(Event::Synced).await.unwrap();
    let put = |type_url: TypeUrl, name: &str, bytes: Vec<u8>| {
        let version = bytes.len() as u64 + 7;
        let payload = Arc::new(Payload::new(&type_url, name.into(), version, &bytes));
        bound.fleet.change(|cache| cache.put(&type_url, payload));
    };
    for number in 0..50 {
        let name = format!("c{number}");
        put(TypeUrl::ENDPOINTS, &name, samples::endpoints(&name, 8000));
        put(TypeUrl::CLUSTER, &name, samples::cluster(&name, ""));
    }
    put(TypeUrl::ROUTES, "r", samples::routes("r", "host", &[("/", "c1"), ("/b", "c2")]));
    put(TypeUrl::LISTENER, "l", samples::listener("l", 8080, "r", "l"));
    (bound, events)
}

fn complete(envoy: &Envoy) -> bool {
    envoy.versions(ads::CLUSTER).len() == 50
        && envoy.versions(ads::ENDPOINTS).len() == 50
        && envoy.versions(ads::LISTENER).len() == 1
        && envoy.versions(ads::ROUTES).len() == 1
}

#[tokio::test]
async fn an_envoy_is_sent_nothing_again_by_a_control_plane_that_restarted() {
    let first = Context::new("first");
    let (bound, _events) = control_plane(&first).await;
    let driver = Driver::connect(format!("http://{}", bound.grpc), Envoy::default()).await.unwrap();
    driver.until(complete).await.unwrap();
    let envoy = driver.disconnect();
    assert_eq!(envoy.violations, Vec::<String>::new());
    let received = envoy.received;
    assert_eq!(received, 102);

    let second = Context::new("second");
    let (bound, _events) = control_plane(&second).await;
    let driver = Driver::connect(format!("http://{}", bound.grpc), envoy).await.unwrap();
    // A change that the Envoy must hear of shows that it heard nothing before.
    let bytes = samples::routes("r", "host", &[("/", "c3")]);
    let payload = Arc::new(Payload::new(&TypeUrl::ROUTES, "r".into(), 1, &bytes));
    bound.fleet.change(|cache| cache.put(&TypeUrl::ROUTES, payload));
    driver
        .until(|envoy| envoy.versions(ads::ROUTES).values().any(|v| v == "0000000000000001"))
        .await
        .unwrap();
    assert_eq!(driver.envoy().received, received + 1);
    assert_eq!(driver.envoy().violations, Vec::<String>::new());
}

#[tokio::test]
async fn subscribers_keep_the_last_good_version_of_what_they_refuse() {
    for protocol in [Protocol::Delta, Protocol::Sotw] {
        let context = Context::new("server");
        let (bound, _events) = control_plane(&context).await;
        let put = |domain: &str, version: u64| {
            let config = RateLimitConfig {
                name: "limits".into(),
                domain: domain.into(),
                ..RateLimitConfig::default()
            };
            let bytes = config.encode_to_vec();
            let name = "limits".into();
            let payload = Payload::new(&TypeUrl::RATE_LIMITS, name, version, &bytes);
            bound.fleet.change(|cache| cache.put(&TypeUrl::RATE_LIMITS, Arc::new(payload)));
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
