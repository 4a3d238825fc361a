//! Spans of requests, as each kind of collector gets them.

use nuncio_integration_tests::{Arrived, Client, Fake, Stack, eventually};
use reqwest::{Method, StatusCode};
use serde_json::Value;

async fn traced(service: &str) -> Stack {
    let builder = Stack::builder().backend("first").await.mapping("m", "/m/", "first");
    builder.object("TracingService", "tracing", service).start().await
}

async fn ask(stack: &Stack) {
    let request = stack.request(Method::GET, "/m/x").header("x-team", "red");
    let reply = Client::send(request).await.unwrap();
    assert_eq!(reply.status, 200);
}

/// Returns the first request whose path begins so.
async fn sent(collector: &Fake<Arrived>, path: &str) -> Arrived {
    let what = format!("the collector gets {path}");
    eventually(&what, async || {
        let found = |arrived: &Arrived| arrived.head.uri.path().starts_with(path);
        collector.seen().into_iter().find(found)
    })
    .await
}

#[tokio::test]
async fn zipkin_gets_spans_with_the_tags_that_are_asked_for() {
    let collector = Fake::http(StatusCode::ACCEPTED).await;
    let stack = traced(&format!(
        r#"{{service: "{}", driver: zipkin, sampling: {{overall: 100}}, custom_tags: [
            {{tag: fixed, literal: {{value: gold}}}},
            {{tag: team, request_header: {{name: x-team, default_value: none}}}},
            {{tag: missing, request_header: {{name: x-missing, default_value: fallback}}}},
            {{tag: environment, environment: {{name: NO_SUCH_VARIABLE, default_value: unset}}}}]}}"#,
        collector.address()
    ))
    .await;
    ask(&stack).await;
    let arrived = sent(&collector, "/api/v2/spans").await;
    let spans: Value = serde_json::from_slice(&arrived.body).unwrap();
    let spans = spans.as_array().unwrap();
    let tagged = spans
        .iter()
        .find(|span| span["tags"]["http.url"].as_str().is_some_and(|url| url.ends_with("/m/x")));
    let tags = &tagged.unwrap_or_else(|| panic!("{spans:#?}"))["tags"];
    let expected =
        [("fixed", "gold"), ("team", "red"), ("missing", "fallback"), ("environment", "unset")];
    for (tag, value) in expected {
        assert_eq!(tags[tag], value, "{tags:#}");
    }
    assert_eq!(spans[0]["localEndpoint"]["serviceName"], "ambassador-default");
    assert_eq!(spans[0]["traceId"].as_str().unwrap().len(), 32, "128 bits");
    let upstream = spans.iter().any(|span| span["name"] == "router first egress");
    assert!(upstream, "a span of the upstream call: {spans:#?}");
}

#[tokio::test]
async fn a_trace_goes_on_at_the_backend() {
    let collector = Fake::http(StatusCode::ACCEPTED).await;
    let service = format!("{{service: \"{}\", driver: zipkin}}", collector.address());
    let stack = traced(&service).await;
    let trace = "0123456789abcdef0123456789abcdef";
    let request = stack.request(Method::GET, "/m/").header("x-b3-traceid", trace);
    let request = request.header("x-b3-spanid", "0123456789abcdef").header("x-b3-sampled", "1");
    let answer = Client::send(request).await.unwrap().echo();
    assert_eq!(answer.header("x-b3-traceid"), Some(trace));
    assert!(answer.header("x-request-id").is_some());
}

#[tokio::test]
async fn nothing_is_traced_where_sampling_is_nought() {
    let collector = Fake::http(StatusCode::ACCEPTED).await;
    let service = format!(
        "{{service: \"{}\", driver: zipkin, sampling: {{overall: 0}}}}",
        collector.address()
    );
    let stack = traced(&service).await;
    let answer = stack.get("/m/").await.unwrap().echo();
    assert_eq!(answer.header("x-b3-sampled"), Some("0"));
}

#[tokio::test]
async fn open_telemetry_and_datadog_collectors_get_their_own_protocols() {
    let collector = Fake::http(StatusCode::OK).await;
    let open = format!("{{service: \"{}\", driver: opentelemetry}}", collector.address());
    let stack = traced(&open).await;
    ask(&stack).await;
    let method = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let arrived = sent(&collector, method).await;
    assert_eq!(arrived.head.headers["content-type"], "application/grpc");
    assert!(arrived.body.windows(10).any(|bytes| bytes == b"ambassador"), "the service's name");

    let datadog = format!(
        "{{service: \"{}\", driver: datadog, config: {{service_name: test-service}}}}",
        collector.address()
    );
    // The provider changes with the listener: nothing is started anew.
    stack.put("TracingService", "tracing", &datadog);
    let arrived = eventually("datadog's protocol is spoken", async || {
        ask(&stack).await;
        collector.seen().into_iter().find(|seen| seen.head.uri.path().ends_with("/traces"))
    })
    .await;
    assert!(arrived.body.windows(12).any(|bytes| bytes == b"test-service"));
}
