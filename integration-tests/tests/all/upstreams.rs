//! Sick endpoints and failed tries.

use nuncio_integration_tests::{Backend, Fake, Stack, eventually, service_at};
use reqwest::StatusCode;

const CHECK: &str = "health_checks: [{interval: 0.1s, timeout: 1s, unhealthy_threshold: 1, \
                     health_check: {http: {path: /health, hostname: checked.test, \
                     expected_statuses: [{min: 200, max: 299}]}}}]";

#[tokio::test]
async fn a_sick_endpoint_gets_no_requests_where_health_is_checked() {
    let well = Backend::start(nuncio::echo::Options::named("well")).await;
    let sick = Fake::http(StatusCode::INTERNAL_SERVER_ERROR).await;
    let pool = service_at("pool", &[well.address(), sick.address()]);
    let spec = |prefix: &str, more: &str| {
        format!("{{hostname: \"*\", prefix: /{prefix}/, service: pool, resolver: endpoint{more}}}")
    };
    let stack = Stack::builder()
        .file("pool.yaml", &pool)
        .object("Mapping", "checked", &spec("checked", &format!(", stats_name: checked, {CHECK}")))
        .object("Mapping", "unchecked", &spec("unchecked", ""))
        .start()
        .await;
    let known = async || {
        let healthy = stack.statistic("cluster.checked.membership_healthy").await;
        let checks = stack.statistic("cluster.checked.health_check.failure").await;
        (healthy == Some(1) && checks > Some(0)).then_some(())
    };
    eventually("the sick endpoint is known", known).await;
    for _ in 0..20 {
        assert_eq!(stack.get("/checked/").await.unwrap().status, 200);
    }
    let asked = sick.seen();
    assert!(asked.iter().all(|seen| seen.head.uri.path() == "/health"), "{asked:?}");
    assert_eq!(asked[0].head.headers["host"], "checked.test");
    let mut failed = 0;
    for _ in 0..20 {
        failed += u32::from(stack.get("/unchecked/").await.unwrap().status == 500);
    }
    assert_eq!(failed, 10, "every other request meets it otherwise");
}

#[tokio::test]
async fn grpc_endpoints_are_checked_in_grpc() {
    // It knows no health service: every check fails.
    let sick = Fake::http(StatusCode::NOT_FOUND).await;
    let stack = Stack::builder()
        .file("pool.yaml", &service_at("pool", &[sick.address()]))
        .object(
            "Mapping",
            "checked",
            r#"{hostname: "*", prefix: /checked/, service: pool, resolver: endpoint, grpc: true,
                health_checks: [{interval: 0.1s, timeout: 1s, health_check: {grpc: {upstream_name: echo.Echo}}}]}"#,
        )
        .start()
        .await;
    eventually("the health service is asked for", async || {
        let seen = sick.seen();
        let check =
            seen.iter().find(|seen| seen.head.uri.path() == "/grpc.health.v1.Health/Check")?;
        check.body.ends_with(b"echo.Echo").then_some(())
    })
    .await;
    let sick = async || {
        let healthy = stack.statistic("cluster.pool.membership_healthy").await;
        (healthy == Some(0)).then_some(())
    };
    eventually("the endpoint is known to be sick", sick).await;
}

#[tokio::test]
async fn retries_follow_the_mapping_then_the_module() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .module("{retry_policy: {retry_on: 5xx, num_retries: 2}}")
        .mapping("global", "/global/", "first")
        .object("Mapping", "own", r#"{hostname: "*", prefix: /own/, service: first, retry_policy: {retry_on: 5xx, num_retries: 4}}"#)
        .object("Mapping", "other", r#"{hostname: "*", prefix: /other/, service: first, retry_policy: {retry_on: connect-failure, num_retries: 4}}"#)
        .object("Mapping", "impatient", r#"{hostname: "*", prefix: /impatient/, service: first, timeout_ms: 20000,
            retry_policy: {retry_on: 5xx, num_retries: 2, per_try_timeout: 0.2s}}"#)
        .start()
        .await;
    let mut before = 0;
    for (path, tries, status) in [
        ("/global/?status=503", 3, 503),
        ("/own/?status=503", 5, 503),
        ("/other/?status=503", 1, 503),
        ("/global/?status=404", 1, 404),
        ("/impatient/?delay-ms=60000", 3, 504),
    ] {
        let began = std::time::Instant::now();
        assert_eq!(stack.get(path).await.unwrap().status, status, "{path}");
        let after = stack.backend("first").requests();
        assert_eq!(after - before, tries, "{path}");
        before = after;
        // Far from the timeout of the whole request: each try had its own.
        assert!(began.elapsed().as_secs() < 15, "{path} took {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_request_may_take_as_long_as_its_mapping_or_the_module_says() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .module("{cluster_request_timeout_ms: 200}")
        .mapping("global", "/global/", "first")
        .object("Mapping", "own", r#"{hostname: "*", prefix: /own/, service: first, timeout_ms: 20000}"#)
        .object("Mapping", "endless", r#"{hostname: "*", prefix: /endless/, service: first, timeout_ms: 0}"#)
        .object("Mapping", "idle", r#"{hostname: "*", prefix: /idle/, service: first, timeout_ms: 20000, idle_timeout_ms: 200}"#)
        .start()
        .await;
    assert_eq!(stack.get("/global/?delay-ms=60000").await.unwrap().status, 504);
    assert_eq!(stack.get("/own/?delay-ms=400").await.unwrap().status, 200);
    assert_eq!(stack.get("/endless/?delay-ms=400").await.unwrap().status, 200);
    assert_eq!(stack.get("/idle/?delay-ms=60000").await.unwrap().status, 504);
}

#[tokio::test]
async fn an_endpoint_that_answers_badly_is_left_out_where_outliers_are_detected() {
    let well = Backend::start(nuncio::echo::Options::named("well")).await;
    let sick = Fake::http(StatusCode::INTERNAL_SERVER_ERROR).await;
    let pool = service_at("pool", &[well.address(), sick.address()]);
    let spec = |prefix: &str, more: &str| {
        format!("{{hostname: \"*\", prefix: /{prefix}/, service: pool, resolver: endpoint{more}}}")
    };
    let detection = ", outlier_detection: '{consecutive_5xx: 1, base_ejection_time: 5m, \
                     max_ejection_percent: 100}'";
    let stack = Stack::builder()
        .file("pool.yaml", &pool)
        .object("Mapping", "careful", &spec("careful", detection))
        .object("Mapping", "careless", &spec("careless", ""))
        .start()
        .await;
    let failures = async |path: &str| {
        let mut failures = 0;
        for _ in 0..20 {
            failures += u32::from(stack.get(path).await.unwrap().status == 500);
        }
        failures
    };
    let quiet = async || (failures("/careful/").await == 0).then_some(());
    eventually("the sick endpoint is left out", quiet).await;
    assert_eq!(failures("/careless/").await, 10, "every other request meets it otherwise");
}
