//! What is encoded by hand is what the generated message would encode.

use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3 as pb;
use nuncio_api::{BreakerPriority, OutlierDetection};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;

use super::{Balance, Cluster, Discovery, Family, encode};
use crate::ir::cluster::{Breaker, HeaderCase, HealthCheck, Keepalive, Probe};
use crate::ir::tls::UpstreamTls;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z.]{0,12}", 1 => "[a-z]{120,140}"]
}

fn millis() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..5000_u64, any::<u64>()]
}

fn discovery() -> impl Strategy<Value = Discovery> {
    let family = || prop_oneof![Just(Family::V4), Just(Family::V6), Just(Family::Both)];
    prop_oneof![
        (text(), any::<u16>(), any::<bool>(), any::<bool>(), family()).prop_map(
            |(host, port, logical, respect_ttl, family)| Discovery::Dns {
                host,
                port,
                logical,
                respect_ttl,
                family
            }
        ),
        (vec((text(), any::<u16>()), 0..3), family())
            .prop_map(|(targets, family)| Discovery::Several { targets, family }),
        text().prop_map(|service| Discovery::Eds { service: service.into() }),
        Just(Discovery::Closed),
    ]
}

fn breaker() -> impl Strategy<Value = Breaker> {
    let priority =
        option::of(prop_oneof![Just(BreakerPriority::Default), Just(BreakerPriority::High)]);
    let number = || option::of(any::<u32>());
    (priority, number(), number()).prop_map(|(priority, max_connections, max_retries)| Breaker {
        priority,
        max_connections,
        max_pending_requests: None,
        max_requests: None,
        max_retries,
    })
}

fn health_check() -> impl Strategy<Value = HealthCheck> {
    (text(), millis(), 1..9_u32).prop_map(|(service, interval_ms, healthy)| HealthCheck {
        timeout_ms: 3000,
        interval_ms,
        healthy,
        unhealthy: 2,
        probe: Probe::Grpc { service, authority: String::new() },
    })
}

prop_compose! {
    fn cluster()(
        discovery in discovery(),
        stat_name in text(),
        times in (millis(), option::of(millis()), option::of(millis())),
        breakers in vec(breaker(), 0..3),
        keepalive in option::of((option::of(any::<u32>()), option::of(any::<u32>()))),
        balance in prop_oneof![
            Just(Balance::RoundRobin),
            Just(Balance::LeastRequest),
            Just(Balance::RingHash),
            Just(Balance::Maglev),
        ],
        flags in (any::<bool>(), any::<bool>(), any::<bool>()),
        health_checks in vec(health_check(), 0..3),
        outliers in option::of(option::of(any::<u32>())),
    ) -> Cluster {
        let (http2, tls, proper) = flags;
        Cluster {
            discovery,
            stat_name,
            connect_timeout_ms: times.0,
            idle_timeout_ms: times.1,
            max_lifetime_ms: times.2,
            breakers,
            keepalive: keepalive.map(|(time, interval)| Keepalive { time, interval, probes: None }),
            balance,
            http2,
            tls: tls.then(|| Arc::new(UpstreamTls::default())),
            health_checks,
            outliers: outliers.map(|max_ejection_percent| OutlierDetection {
                max_ejection_percent,
                ..OutlierDetection::default()
            }),
            header_case: if proper { HeaderCase::Proper } else { HeaderCase::Lower },
        }
    }
}

proptest! {
    #[test]
    fn a_cluster_is_encoded_as_the_generated_message_would_be(
        name in text(),
        cluster in cluster(),
    ) {
        let encoded = encode(&name, &cluster);
        let message = pb::Cluster::decode(&encoded[..]).expect("it is a message");
        prop_assert_eq!(message.encode_to_vec(), encoded, "{:#?}", message);
    }
}
