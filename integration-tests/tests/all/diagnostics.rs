//! The diagnostics: who sees them, and what tools read there.

use nuncio_integration_tests::{Client, Stack, until};
use reqwest::Method;
use serde_json::{Value, json};

const PAGE: &str = "/ambassador/v0/diag/?json=true";

async fn stack(module: &str) -> Stack {
    let builder = Stack::builder().backend("first").await.module(module);
    builder.mapping("m", "/m/", "first").start().await
}

/// Status of the page on the admin port as it looks from this machine, from
/// elsewhere, and through Envoy.
async fn seen(stack: &Stack) -> [u16; 3] {
    let url = format!("http://{}{PAGE}", stack.admin());
    let elsewhere =
        stack.client().request(Method::GET, &url).header("x-forwarded-for", "192.0.2.1");
    [
        stack.ask_admin(PAGE).await.status,
        Client::send(elsewhere).await.unwrap().status,
        stack.get(PAGE).await.unwrap().status,
    ]
}

#[tokio::test]
async fn who_sees_the_diagnostics_is_the_modules_choice() {
    let stack = stack("{diagnostics: {enabled: false}}").await;
    assert_eq!(seen(&stack).await, [404, 404, 404]);
    stack.put_module("{diagnostics: {enabled: false, allow_non_local: true}}");
    until("everybody sees them", async || seen(&stack).await, |seen| *seen == [200, 200, 404])
        .await;
    stack.put_module("{diagnostics: {enabled: true, allow_non_local: true}}");
    until("envoy routes them", async || seen(&stack).await, |seen| *seen == [200, 200, 200]).await;
    stack.put_module("{}");
    until("only neighbours see them", async || seen(&stack).await, |seen| *seen == [200, 404, 404])
        .await;
    // Whatever they are, the probes answer.
    for probe in ["/ambassador/v0/check_alive", "/ambassador/v0/check_ready"] {
        assert_eq!(stack.ask_admin(probe).await.status, 200, "{probe}");
        assert_eq!(stack.get(probe).await.unwrap().status, 200, "{probe}");
    }
}

#[tokio::test]
async fn probes_can_be_moved_or_switched_off_in_envoy() {
    let stack = stack(
        "{liveness_probe: {prefix: /live, rewrite: /ambassador/v0/check_alive}, readiness_probe: {enabled: false}}",
    )
    .await;
    assert_eq!(stack.get("/live").await.unwrap().status, 200);
    assert_eq!(stack.get("/ambassador/v0/check_ready").await.unwrap().status, 404);
    assert_eq!(stack.ask_admin("/ambassador/v0/check_ready").await.status, 200);
}

#[tokio::test]
async fn tools_find_clusters_and_their_targets_by_emissarys_names() {
    const LONG: &str = "a_really_long_tag_that_makes_the_name_of_its_cluster_too_long_for_envoy";
    let spec = |prefix: &str, more: &str| {
        format!("{{hostname: \"*\", prefix: /{prefix}/, cluster_tag: {prefix}, {more}}}")
    };
    let stack = Stack::builder()
        .backend("first")
        .await
        .object("Mapping", "sent", &spec("sent", "service: first"))
        .object("Mapping", "found", &spec("found", "service: first, resolver: endpoint"))
        .object("Mapping", "long", &spec(LONG, "service: first"))
        .object(
            "Mapping",
            "asked",
            &spec("asked", "service: \"quote.default.svc.cluster.local:8080\""),
        )
        .object("TCPMapping", "tcp", "{port: 9000, service: \"first:443\"}")
        .start()
        .await;
    let page = stack.ask_admin(&format!("{PAGE}&filter=cluster_info")).await.body;
    let clusters: Value = serde_json::from_str(&page).unwrap();
    let backend = stack.backend("first").address();
    let address = json!({"ip": "127.0.0.1", "port": backend.port()});
    let service = json!({"ip": "first", "port": 80});
    // Where a service is, as its Mapping says it; where Envoy was sent instead,
    // beside it.
    let sent = &clusters["cluster_sent_first_default"];
    assert_eq!((&sent["targets"], &sent["addresses"]), (&json!([service]), &json!([address])));
    let found = &clusters["cluster_found_first_default"];
    assert_eq!((&found["targets"], &found["addresses"]), (&json!([address]), &json!([address])));
    let asked = &clusters["cluster_asked_quote_default_svc_cluster_local_8080_default"];
    assert_eq!(asked["targets"], json!([{"ip": "quote.default.svc.cluster.local", "port": 8080}]));
    let tcp = &clusters["cluster_first_443_default"];
    assert_eq!(tcp["targets"], json!([{"ip": "first", "port": 443}]));
    // Long names are shortened for Envoy alone.
    let full = format!("cluster_{LONG}_first_default");
    let long = &clusters[&full];
    assert_eq!((&long["name"], &long["targets"]), (&json!(full), &json!([service])));
    let shortened = long["envoy_name"].as_str().unwrap();
    assert!(shortened.len() <= 60 && full.starts_with(&shortened[..40]), "{shortened}");
    assert!(stack.ask_envoy("/clusters").await.body.contains(shortened));
}

#[tokio::test]
async fn the_page_has_emissarys_keys() {
    let stack = stack("{}").await;
    stack.put("RateLimitService", "limits", "{service: limits, protocol_version: v3}");
    stack.put("KubernetesEndpointResolver", "endpoints", "{}");
    stack.put("Mapping", "bad", r#"{hostname: "*", service: first}"#);
    let look =
        async || -> Value { serde_json::from_str(&stack.ask_admin(PAGE).await.body).unwrap() };
    let page = until("the new objects are shown", look, |page| {
        page["ambassador_services"].as_array().is_some_and(|list| !list.is_empty())
            && page["errors"].as_array().is_some_and(|list| !list.is_empty())
    })
    .await;
    let system = &page["system"];
    assert_eq!(system["ambassador_id"], "default");
    assert_eq!(system["ambassador_namespace"], "default");
    assert!(system["hr_uptime"].is_string() && system["version"].is_string(), "{system}");
    assert_eq!(page["envoy_status"]["ready"], true);
    let routes = page["route_info"].as_array().unwrap();
    let route = routes.iter().find(|route| route["key"] == "m.default.1").unwrap();
    assert_eq!((&route["prefix"], &route["rewrite"]), (&"/m/".into(), &"/".into()));
    assert_eq!(route["clusters"][0]["service"], "first");
    let service = &page["ambassador_services"][0];
    assert_eq!(
        (&service["type"], &service["_source"]),
        (&"RateLimitService".into(), &"limits.default.1".into())
    );
    assert_eq!(page["ambassador_resolvers"][0]["name"], "endpoints");
    let errors = page["errors"].as_array().unwrap();
    let bad = errors.iter().find(|error| error[0] == "bad.default.1").unwrap();
    assert!(bad[1].as_str().unwrap().contains("spec.prefix"), "{bad}");
    assert!(page["source_map"].get("m.default.1").is_some());
    // One key at a time, as tools ask for it.
    let only = stack.ask_admin(&format!("{PAGE}&filter=envoy_status")).await.body;
    let only: Value = serde_json::from_str(&only).unwrap();
    assert_eq!(only["alive"], true);
}
