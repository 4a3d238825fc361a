//! What a rate-limit service of the user's own is told, and what its answer
//! does.

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use nuncio_integration_tests::{Client, Fake, Stack, free_port, until};
use reqwest::Method;

const MAPPINGS: &str = r#"
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: shapes}
spec:
  hostname: "*"
  prefix: /shapes/
  service: first
  labels:
    other-domain:
    - ignored: [{generic_key: {value: never}}]
    limits:
    - all:
      - source_cluster: {key: source_cluster}
      - destination_cluster: {key: destination_cluster}
      - remote_address: {key: remote_address}
    - pair:
      - generic_key: {value: plain}
      - generic_key: {key: tier, value: gold}
    - user:
      - request_headers: {key: user, header_name: x-user}
    - optional:
      - request_headers: {key: team, header_name: x-team, omit_if_not_present: true}
      - generic_key: {value: kept}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: bare}
spec: {hostname: "*", prefix: /bare/, service: first}
"#;

fn service(address: impl std::fmt::Display, more: &str) -> String {
    format!(
        "{{service: \"{address}\", protocol_version: v3, domain: limits, timeout_ms: 5000{more}}}"
    )
}

/// Everything that says `user: greedy` is over its limit.
async fn limited(more: &str) -> (Fake<RateLimitRequest>, Stack) {
    let fake = Fake::limits(|request| {
        let entries = request.descriptors.iter().flat_map(|descriptor| &descriptor.entries);
        entries.into_iter().any(|entry| entry.value == "greedy")
    })
    .await;
    let stack = Stack::builder()
        .backend("first")
        .await
        .file("mappings.yaml", MAPPINGS)
        .module(
            "{default_label_domain: limits, \
             default_labels: {limits: {defaults: [{generic_key: {key: gateway, value: edge}}]}}}",
        )
        .object("RateLimitService", "own", &service(fake.address(), more))
        .start()
        .await;
    (fake, stack)
}

/// Descriptors as `key=value` lists.
fn descriptors(request: &RateLimitRequest) -> Vec<String> {
    let descriptors = request.descriptors.iter().map(|descriptor| {
        let entries = descriptor.entries.iter();
        entries.map(|entry| format!("{}={}", entry.key, entry.value)).collect::<Vec<_>>().join(",")
    });
    descriptors.collect()
}

#[tokio::test]
async fn each_group_of_labels_becomes_a_descriptor_after_the_default_labels() {
    let (fake, stack) = limited("").await;
    let request = stack.request(Method::GET, "/shapes/").header("x-user", "alice");
    assert_eq!(Client::send(request).await.unwrap().status, 200);
    let seen = fake.seen();
    assert_eq!(seen[0].domain, "limits");
    assert_eq!(
        descriptors(&seen[0]),
        [
            "gateway=edge,source_cluster=ambassador-default,\
             destination_cluster=cluster_first_default,remote_address=127.0.0.1",
            "gateway=edge,generic_key=plain,tier=gold",
            "gateway=edge,user=alice",
            "gateway=edge,generic_key=kept",
        ]
    );
}

#[tokio::test]
async fn a_missing_header_takes_its_descriptor_away_unless_it_may_be_omitted() {
    let (fake, stack) = limited("").await;
    assert_eq!(stack.get("/shapes/").await.unwrap().status, 200);
    let request = stack.request(Method::GET, "/shapes/").header("x-team", "red");
    assert_eq!(Client::send(request).await.unwrap().status, 200);
    let seen: Vec<_> =
        fake.seen().iter().map(|request| descriptors(request).split_off(2)).collect();
    assert_eq!(seen[0], ["gateway=edge,generic_key=kept"]);
    assert_eq!(seen[1], ["gateway=edge,team=red,generic_key=kept"]);
}

#[tokio::test]
async fn a_mapping_without_labels_has_the_default_ones() {
    let (fake, stack) = limited("").await;
    assert_eq!(stack.get("/bare/").await.unwrap().status, 200);
    assert_eq!(descriptors(&fake.seen()[0]), ["gateway=edge"]);
    // Neither redirects nor unknown paths are counted.
    assert_eq!(stack.get("/unknown/").await.unwrap().status, 404);
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_request_over_its_limit_is_refused_before_it_reaches_the_backend() {
    let (_fake, stack) = limited("").await;
    let request = stack.request(Method::GET, "/shapes/").header("x-user", "greedy");
    let reply = Client::send(request).await.unwrap();
    assert_eq!((reply.status, reply.header("x-envoy-ratelimited")), (429, Some("true")));
    assert_eq!(stack.backend("first").requests(), 0);
    let call = |stack: &Stack| {
        let request = stack.request(Method::POST, "/shapes/").header("x-user", "greedy");
        request.header("content-type", "application/grpc")
    };
    // A gRPC call is answered in gRPC: UNAVAILABLE, or RESOURCE_EXHAUSTED if wanted.
    let reply = Client::send(call(&stack)).await.unwrap();
    assert_eq!((reply.status, reply.header("grpc-status")), (200, Some("14")));
    let (_fake, stack) = limited(", grpc: {use_resource_exhausted_code: true}").await;
    let reply = Client::send(call(&stack)).await.unwrap();
    assert_eq!((reply.status, reply.header("grpc-status")), (200, Some("8")));
}

#[tokio::test]
async fn a_silent_rate_limit_service_lets_requests_pass_unless_told_otherwise() {
    let nobody = format!("127.0.0.1:{}", free_port());
    let builder = Stack::builder().backend("first").await.file("mappings.yaml", MAPPINGS);
    let stack = builder.object("RateLimitService", "own", &service(&nobody, "")).start().await;
    assert_eq!(stack.get("/shapes/").await.unwrap().status, 200);
    stack.put("RateLimitService", "own", &service(&nobody, ", failure_mode_deny: true"));
    stack.until_status("/shapes/", 500).await;
}

#[tokio::test]
async fn one_rate_limit_service_is_asked_and_of_several_none() {
    let (fake, stack) = limited("").await;
    assert_eq!(stack.get("/shapes/").await.unwrap().status, 200);
    stack.put("RateLimitService", "second", &service(fake.address(), ""));
    let look = async || {
        let before = fake.seen().len();
        assert_eq!(stack.get("/shapes/").await.unwrap().status, 200);
        fake.seen().len() - before
    };
    until("nobody is asked any more", look, |asked| *asked == 0).await;
    let errors = stack.ask_admin("/ambassador/v0/diag/?json=true&filter=errors").await.body;
    assert!(errors.contains("several RateLimitService"), "{errors}");
}
