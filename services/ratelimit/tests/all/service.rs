//! What Envoy and people see.

use std::time::Duration;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::RateLimitOverride;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code as Overall;
use envoy_types::pb::google::protobuf::UInt64Value;
use nuncio_testing::redis::Redis;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::stack::{Stack, request, until};

const LIMITS: &str = "
domain: d
descriptors:
- key: k
  rate_limit: {unit: year, requests_per_unit: 3, name: three}
- key: u
  rate_limit: {unlimited: true}
- key: s
  shadow_mode: true
  rate_limit: {unit: year, requests_per_unit: 0}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_admits_its_hits_and_fills_every_status() {
    let stack = Stack::start(LIMITS, |_| {}).await;
    for remaining in [2, 1, 0] {
        let response = stack.check(request("d", &[&[("k", "v")], &[("x", "y")]])).await.unwrap();
        assert_eq!(response.overall_code(), Overall::Ok);
        assert_eq!(response.statuses.len(), 2);
        let status = &response.statuses[0];
        let limit = status.current_limit.as_ref().unwrap();
        assert_eq!((limit.name.as_str(), limit.requests_per_unit), ("three", 3));
        assert_eq!(status.limit_remaining, remaining);
        assert!(status.duration_until_reset.as_ref().unwrap().seconds > 0);
        assert_eq!(response.statuses[1].code(), Overall::Ok);
        assert_eq!(response.statuses[1].current_limit, None);
        assert!(response.response_headers_to_add.is_empty());
    }
    assert!(!stack.admits("d", &[("k", "v")]).await);
    assert!(stack.admits("d", &[("k", "other")]).await, "values are counted apart");
    assert!(stack.admits("d", &[("s", "v")]).await, "shadow mode lets through");
    assert!(stack.admits("elsewhere", &[("k", "v")]).await, "nothing limits another domain");
    let unlimited = stack.check(request("d", &[&[("u", "v")]])).await.unwrap();
    assert_eq!(unlimited.statuses[0].limit_remaining, u32::MAX);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hits_are_weighed_looked_at_and_given_back() {
    let stack = Stack::start(LIMITS, |_| {}).await;
    let with = |hits: Option<u64>, refund: bool| {
        let mut request = request("d", &[&[("k", "v")]]);
        request.descriptors[0].hits_addend = hits.map(|value| UInt64Value { value });
        request.descriptors[0].is_negative_hits = refund;
        request
    };
    let remaining = async |request| {
        let response = stack.check(request).await.unwrap();
        (response.overall_code(), response.statuses[0].limit_remaining)
    };
    assert_eq!(remaining(with(Some(2), false)).await, (Overall::Ok, 1));
    assert_eq!(remaining(with(Some(0), false)).await, (Overall::Ok, 1));
    assert_eq!(remaining(with(None, false)).await, (Overall::Ok, 0));
    assert_eq!(remaining(with(Some(0), false)).await, (Overall::OverLimit, 0));
    assert_eq!(remaining(with(Some(1), true)).await, (Overall::Ok, 1));
    assert_eq!(remaining(with(Some(99), true)).await, (Overall::Ok, 3));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_and_harm_nobody() {
    let stack = Stack::start(LIMITS, |_| {}).await;
    let refused = async |request| stack.check(request).await.unwrap_err().code();
    assert_eq!(refused(request("", &[&[("k", "v")]])).await, Code::InvalidArgument);
    assert_eq!(refused(request("d", &[])).await, Code::InvalidArgument);
    assert_eq!(refused(request("d", &[&[]])).await, Code::InvalidArgument);
    assert_eq!(refused(request("d", &[&[("", "v")]])).await, Code::InvalidArgument);
    let long = "x".repeat(5_000);
    assert_eq!(refused(request("d", &[&[("k", long.as_str())]])).await, Code::InvalidArgument);
    assert_eq!(refused(request("d", &vec![&[("k", "v")][..]; 65])).await, Code::InvalidArgument);
    for unit in [0, 7, 99] {
        let mut unknown = request("d", &[&[("k", "v")]]);
        unknown.descriptors[0].limit = Some(RateLimitOverride { requests_per_unit: 1, unit });
        assert_eq!(refused(unknown).await, Code::InvalidArgument, "unit {unit}");
    }
    assert!(stack.admits("d", &[("k", "v")]).await);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_cannot_be_made_to_share_a_counter() {
    let limits = "
domain: d
descriptors:
- key: a
  rate_limit: {unit: year, requests_per_unit: 1}
  descriptors:
  - {key: b, rate_limit: {unit: year, requests_per_unit: 1}}
";
    let redis = Redis::start().unwrap();
    let url = redis.url();
    let stack = Stack::start(limits, |s| s.store.redis_url = Some(url.into())).await;
    let look =
        async || stack.check(request("d", &[&[("x", "y")], &[("a", "probe")]])).await.is_ok();
    until("redis is up", look).await;
    let values = ["1_b_2", "1", "{1}", "1\n", "1\0", "1\r\nSET x 1", "", "é"];
    for value in values {
        assert!(stack.admits("d", &[("a", value)]).await, "{value:?}");
        assert!(!stack.admits("d", &[("a", value)]).await, "{value:?}");
    }
    assert!(stack.admits("d", &[("a", "1"), ("b", "2")]).await);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_on_one_redis_admit_exactly_the_limit() {
    let limits =
        "domain: d\ndescriptors:\n- {key: k, rate_limit: {unit: year, requests_per_unit: 200}}\n";
    let redis = Redis::start().unwrap();
    let (url, unix) = (redis.url(), redis.unix_url());
    let one = Stack::start(limits, |s| s.store.redis_url = Some(url.into())).await;
    let two = Stack::start(limits, |s| s.store.redis_url = Some(unix.into())).await;
    for stack in [&one, &two] {
        let probe = request("d", &[&[("k", "probe")]]);
        until("redis is up", async || stack.check(probe.clone()).await.is_ok()).await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..32 {
        let mut client = if task % 2 == 0 { one.client.clone() } else { two.client.clone() };
        tasks.spawn(async move {
            let mut admitted = 0;
            for _ in 0..20 {
                let response = client.should_rate_limit(request("d", &[&[("k", "hot")]])).await;
                admitted += i32::from(response.unwrap().get_ref().overall_code() == Overall::Ok);
            }
            admitted
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<i32>(), 200);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_answers_with_the_status_that_fits() {
    let stack = Stack::start(LIMITS, |_| {}).await;
    let post = async |body: &str| Stack::http(stack.bound.http, "POST", "/json", body).await;
    let body = r#"{"domain":"d","descriptors":[{"entries":[{"key":"k","value":"v"}]}]}"#;
    let (status, answer) = post(body).await;
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["overallCode"], "OK");
    assert_eq!(answer["statuses"][0]["currentLimit"]["unit"], "YEAR");
    assert_eq!(answer["statuses"][0]["limitRemaining"], 2);
    assert_eq!(post(body).await.0, 200);
    assert_eq!(post(body).await.0, 200);
    let (status, answer) = post(body).await;
    assert_eq!(status, 429);
    assert!(answer.contains("\"overallCode\":\"OVER_LIMIT\""), "{answer}");
    assert_eq!(post("{").await.0, 400);
    assert_eq!(post(r#"{"domain":"d"}"#).await.0, 400);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_added_when_asked_for() {
    let stack = Stack::start(LIMITS, |s| {
        s.answer.headers = true;
        s.answer.limit_header = "X-Limit".into();
    })
    .await;
    let headers = async || {
        let response = stack.check(request("d", &[&[("k", "v")]])).await.unwrap();
        let header = |h: &envoy_types::pb::envoy::config::core::v3::HeaderValue| {
            (h.key.clone(), h.value.clone())
        };
        response.response_headers_to_add.iter().map(header).collect::<Vec<_>>()
    };
    let first = headers().await;
    assert_eq!(first[0], ("X-Limit".into(), "3".into()));
    assert_eq!(first[1], ("RateLimit-Remaining".into(), "2".into()));
    assert_eq!(first[2].0, "RateLimit-Reset");
    assert_eq!(first.len(), 3);
    headers().await;
    headers().await;
    assert!(headers().await.iter().any(|(name, _)| name == "retry-after"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_port_shows_rules_and_numbers() {
    let stack = Stack::start(LIMITS, |_| {}).await;
    for _ in 0..4 {
        stack.admits("d", &[("k", "v")]).await;
    }
    stack.admits("elsewhere", &[("k", "v")]).await;
    let (_, rules) = Stack::http(stack.bound.admin, "GET", "/rlconfig", "").await;
    assert!(
        rules.contains(
            "d.k: unit=YEAR requests_per_unit=3, shadow_mode: false, quota_mode: false\n"
        ),
        "{rules}"
    );
    let labels = "{domain=\"d\",key1=\"k\",key2=\"\"}";
    for (name, wanted) in [("total_hits", 4.0), ("over_limit", 1.0), ("within_limit", 3.0)] {
        let value = stack.metric(&format!("ratelimit_service_rate_limit_{name}{labels}")).await;
        assert_eq!(value, wanted, "{name}");
    }
    assert_eq!(stack.metric("nuncio_ratelimit_domain_not_found ").await, 1.0);
    assert_eq!(
        stack.metric("ratelimit_service_total_requests{grpc_method=\"ShouldRateLimit\"}").await,
        5.0
    );
    assert_eq!(stack.metric("nuncio_ratelimit_counters ").await, 1.0);
    let (status, body) = Stack::http(stack.bound.http, "GET", "/healthcheck", "").await;
    assert_eq!((status, body.as_str()), (200, "OK"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_made_of_requests_are_bounded() {
    let limits = "
domain: d
descriptors:
- {key: k, detailed_metric: true, rate_limit: {unit: year, requests_per_unit: 3}}
";
    let stack = Stack::start(limits, |_| {}).await;
    for value in 0..1_100 {
        stack.admits("d", &[("k", &value.to_string())]).await;
    }
    let (_, text) = Stack::http(stack.bound.admin, "GET", "/metrics", "").await;
    let lines =
        text.lines().filter(|l| l.starts_with("ratelimit_service_rate_limit_total_hits{")).count();
    assert!((1_000..1_010).contains(&lines), "{lines}");
    let other =
        "ratelimit_service_rate_limit_total_hits{domain=\"other\",key1=\"other\",key2=\"\"}";
    assert_eq!(stack.metric(other).await, 100.0);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_answers_for_both_names_and_a_drain_fails_no_check() {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let stack = Stack::start(LIMITS, |_| {}).await;
    let mut health = HealthClient::new(
        Endpoint::from_shared(format!("http://{}", stack.bound.grpc)).unwrap().connect_lazy(),
    );
    for service in ["", "ratelimit"] {
        let mut watch = health
            .watch(HealthCheckRequest { service: service.into() })
            .await
            .unwrap()
            .into_inner();
        loop {
            let update = watch.message().await.unwrap().unwrap();
            if update.status() == ServingStatus::Serving {
                break;
            }
        }
    }
    let checks: Vec<_> = (0..16)
        .map(|_| {
            let mut client = stack.client.clone();
            tokio::spawn(async move {
                let mut answered = 0;
                loop {
                    match client.should_rate_limit(request("d", &[&[("u", "v")]])).await {
                        Ok(_) => answered += 1,
                        // A connection that said goodbye takes no new checks.
                        Err(status) => return (answered, status),
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    stack.context.drain.start();
    for check in checks {
        let (answered, last) = check.await.unwrap();
        assert!(answered > 0);
        // Refused before it was sent: the server never saw it.
        let text = nuncio_process::chain(&last);
        assert!(!text.contains("CANCEL") && !text.contains("INTERNAL"), "{text}");
    }
    drop(health);
    stack.stop().await;
}
