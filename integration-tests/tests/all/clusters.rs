//! Names, statistics and options of clusters, as dashboards know them.

use std::collections::BTreeMap;

use nuncio_integration_tests::{Stack, service};
use serde_json::Value;

/// Returns the clusters that Envoy has got from the control plane, by name.
async fn clusters(stack: &Stack) -> BTreeMap<String, Value> {
    let dump = stack.ask_envoy("/config_dump?resource=dynamic_active_clusters").await.body;
    let dump: Value = serde_json::from_str(&dump).unwrap();
    let all = dump["configs"].as_array().unwrap().iter();
    all.map(|entry| {
        (entry["cluster"]["name"].as_str().unwrap().to_owned(), entry["cluster"].clone())
    })
    .collect()
}

fn named<'a>(clusters: &'a BTreeMap<String, Value>, name: &str) -> &'a Value {
    clusters.get(name).unwrap_or_else(|| panic!("no {name} among {:?}", clusters.keys()))
}

#[tokio::test]
async fn clusters_have_emissarys_names() {
    let long = "a-service-whose-name-is-so-long-that-it-must-be-shortened.default";
    let spec =
        |prefix: &str, more: &str| format!("{{hostname: \"*\", prefix: /{prefix}/, {more}}}");
    let stack = Stack::builder()
        .backend("first")
        .await
        .object("Mapping", "plain", &spec("plain", "service: first"))
        .object("Mapping", "port", &spec("port", "service: \"first.default:80\""))
        .object("Mapping", "secure", &spec("secure", "service: \"https://first\""))
        .object("Mapping", "tag", &spec("tag", "service: first, cluster_tag: tag-1"))
        .object("Mapping", "tag-too", &spec("tag-too", "service: first, cluster_tag: a-tag-that-is-much-longer-than-any-cluster-name-may-be"))
        .object("Mapping", "shadow-main", &spec("mirrored", "service: first"))
        .object("Mapping", "shadow", &spec("mirrored", "service: first, shadow: true"))
        .object("Mapping", "breaker", &spec("breaker", "service: first, circuit_breakers: [{max_connections: 2, max_retries: 3, priority: high}]"))
        .object("Mapping", "long", &spec("long", &format!("service: {long}")))
        .object("Mapping", "balanced", &spec("balanced", "service: first, resolver: endpoint, load_balancer: {policy: ring_hash, header: x-user}"))
        .start()
        .await;
    let clusters = clusters(&stack).await;
    for name in [
        "cluster_first_default",
        "cluster_first_default_80_default",
        "cluster_https___first_otls_default",
        "cluster_tag_1_first_default",
        "cluster_shadow_first_default",
        "cluster_first_default_cbhc2t3",
        "cluster_first_default_er_ring_hash_hdr_x_user",
    ] {
        named(&clusters, name);
    }
    let compressed: Vec<_> = clusters.keys().filter(|name| name.contains('-')).collect();
    assert_eq!(compressed.len(), 2, "{compressed:?}");
    for name in compressed {
        let (head, rest) = name.split_at(40);
        assert!(name.len() <= 60 && head.starts_with("cluster_a_"), "{name}");
        let hash = rest.trim_start_matches('-').split('-').next().unwrap();
        assert!(hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
    }
    // Long names work like short ones.
    assert_eq!(stack.get("/tag-too/").await.unwrap().status, 200);
    assert_eq!(stack.get("/tag/").await.unwrap().status, 200);
}

#[tokio::test]
async fn statistics_go_by_the_stats_name_or_the_service() {
    let spec =
        |prefix: &str, more: &str| format!("{{hostname: \"*\", prefix: /{prefix}/, {more}}}");
    let stack = Stack::builder()
        .backend("first")
        .await
        .object("Mapping", "plain", &spec("plain", "service: \"http://first.default:80\""))
        .object("Mapping", "named", &spec("named", "service: first, stats_name: my_stats"))
        .start()
        .await;
    for _ in 0..3 {
        assert_eq!(stack.get("/plain/").await.unwrap().status, 200);
        assert_eq!(stack.get("/named/").await.unwrap().status, 200);
    }
    for stat in ["first_default_80", "my_stats"] {
        let completed = format!("cluster.{stat}.upstream_rq_completed");
        assert_eq!(stack.statistic(&completed).await, Some(3), "{stat}");
    }
    // The same in Prometheus' form on the admin port.
    let metrics = stack.ask_admin("/metrics").await.body;
    let line = "envoy_cluster_upstream_rq_completed{envoy_cluster_name=\"my_stats\"} 3";
    assert!(metrics.contains(line), "no {line}");
}

#[tokio::test]
async fn dns_and_connection_options_reach_the_cluster() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .object("Mapping", "logical", r#"{hostname: "*", prefix: /logical/, service: "localhost:1", dns_type: logical_dns, respect_dns_ttl: true}"#)
        .object("Mapping", "strict", r#"{hostname: "*", prefix: /strict/, service: "localhost:2", enable_ipv6: true}"#)
        .object("Mapping", "unknown", r#"{hostname: "*", prefix: /unknown/, service: "localhost:3", dns_type: strict_dns, enable_ipv4: false, enable_ipv6: true}"#)
        .object("Mapping", "endpoints", r#"{hostname: "*", prefix: /endpoints/, service: first, resolver: endpoint, dns_type: logical_dns}"#)
        .object("Mapping", "timed", r#"{hostname: "*", prefix: /timed/, service: "localhost:4", connect_timeout_ms: 1500,
            cluster_idle_timeout_ms: 2000, cluster_max_connection_lifetime_ms: 4000,
            keepalive: {idle_time: 10, interval: 20, probes: 30}}"#)
        .start()
        .await;
    let clusters = clusters(&stack).await;
    let logical = named(&clusters, "cluster_localhost_1_default");
    assert_eq!(
        (&logical["type"], &logical["respect_dns_ttl"]),
        (&"LOGICAL_DNS".into(), &true.into())
    );
    assert_eq!(logical["dns_lookup_family"], "V4_ONLY");
    let strict = named(&clusters, "cluster_localhost_2_default");
    assert_eq!(strict["type"], "STRICT_DNS");
    // AUTO is the default, which a dump leaves out.
    assert!(strict["dns_lookup_family"].is_null() || strict["dns_lookup_family"] == "AUTO");
    assert_eq!(named(&clusters, "cluster_localhost_3_default")["dns_lookup_family"], "V6_ONLY");
    let endpoints = named(&clusters, "cluster_first_default");
    assert_eq!(endpoints["type"], "EDS", "endpoints beat DNS");
    assert_eq!(endpoints["eds_cluster_config"]["service_name"], "k8s/default/first/80");
    let timed = named(&clusters, "cluster_localhost_4_default");
    assert_eq!(timed["connect_timeout"], "1.500s");
    let keepalive = &timed["upstream_connection_options"]["tcp_keepalive"];
    assert_eq!(keepalive["keepalive_time"], 10);
    assert_eq!(
        (&keepalive["keepalive_interval"], &keepalive["keepalive_probes"]),
        (&20.into(), &30.into())
    );
    let options = timed["typed_extension_protocol_options"].as_object().unwrap();
    let common = &options.values().next().unwrap()["common_http_protocol_options"];
    assert_eq!(
        (&common["idle_timeout"], &common["max_connection_duration"]),
        (&"2s".into(), &"4s".into())
    );
    assert_eq!(stack.get("/endpoints/").await.unwrap().status, 200);
}

#[tokio::test]
async fn mappings_of_one_name_in_two_namespaces_reach_two_services() {
    let mapping = |namespace: &str| {
        format!(
            "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\n\
             metadata: {{name: same, namespace: {namespace}}}\n\
             spec: {{hostname: \"*\", prefix: /{namespace}/, service: target}}\n"
        )
    };
    let here = nuncio_integration_tests::Backend::start(nuncio::echo::Options::named("here")).await;
    let there =
        nuncio_integration_tests::Backend::start(nuncio::echo::Options::named("there")).await;
    let elsewhere = service("target", std::slice::from_ref(&there))
        .replace("namespace: default", "namespace: other");
    let stack = Stack::builder()
        .file("here.yaml", &service("target", std::slice::from_ref(&here)))
        .file("there.yaml", &elsewhere)
        .file("mappings.yaml", &[mapping("default"), mapping("other")].join("---\n"))
        .start()
        .await;
    assert_eq!(stack.get("/default/").await.unwrap().echo().backend, "here");
    assert_eq!(stack.get("/other/").await.unwrap().echo().backend, "there");
    let clusters = clusters(&stack).await;
    named(&clusters, "cluster_target_default");
    named(&clusters, "cluster_target_other_other");
}
