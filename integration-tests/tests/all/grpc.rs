//! gRPC for clients that cannot speak it, and its statistics.

use nuncio_integration_tests::{Client, Stack, exchange, until};
use reqwest::{Method, RequestBuilder};

/// One message, `hi`, with its prefix: uncompressed, two bytes.
const MESSAGE: &[u8] = b"\0\0\0\0\x02hi";
const MAPPING: &str = r#"{hostname: "*", prefix: /echo.Echo/, rewrite: "", grpc: true, service: first, stats_name: echo}"#;

async fn stack(module: &str) -> Stack {
    let builder = Stack::builder().backend("first").await.module(module);
    builder.object("Mapping", "grpc", MAPPING).start().await
}

fn call(stack: &Stack, kind: &str) -> RequestBuilder {
    let request = stack.request(Method::POST, "/echo.Echo/Say").body(MESSAGE);
    request.header("content-type", kind)
}

#[tokio::test]
async fn browsers_speak_grpc_web() {
    let stack = stack("{enable_grpc_web: true}").await;
    let answer = call(&stack, "application/grpc-web+proto").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/grpc-web+proto");
    let body = answer.bytes().await.unwrap();
    let rest = body.strip_prefix(MESSAGE).unwrap_or_else(|| panic!("{body:?}"));
    // The trailers follow as a message of their own kind.
    assert!(rest[0] == 0x80 && rest.ends_with(b"grpc-status:0\r\n"), "{rest:?}");
    let failing = call(&stack, "application/grpc-web+proto").header("x-echo-grpc-status", "7");
    let body = failing.send().await.unwrap().bytes().await.unwrap();
    assert!(body.ends_with(b"grpc-status:7\r\n"), "{body:?}");
    // Without the filter the backend gets what it does not understand.
    stack.put_module("{enable_grpc_web: false}");
    let look = async || {
        let answer = call(&stack, "application/grpc-web+proto").send().await.unwrap();
        answer.headers()["content-type"].clone()
    };
    until("false means false", look, |kind| kind == "application/json").await;
}

#[tokio::test]
async fn http_1_clients_are_bridged_to_grpc() {
    let stack = stack("{enable_grpc_http11_bridge: true}").await;
    let mut request = b"POST /echo.Echo/Say HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                        content-type: application/grpc\r\ncontent-length: 7\r\n\r\n"
        .to_vec();
    request.extend_from_slice(MESSAGE);
    let answer = exchange(stack.http(), &request).await;
    // What are trailers elsewhere is part of the head here, with a length.
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    assert!(head.contains("grpc-status: 0") && head.contains("content-length: 7"), "{answer}");
    assert!(answer.ends_with("hi"), "{answer}");
}

#[tokio::test]
async fn grpc_calls_are_counted_by_service_and_method() {
    let stack = stack("{grpc_stats: {all_methods: true, upstream_stats: true}}").await;
    let count = async |status: &str| {
        let name = format!("cluster.echo.grpc.echo.Echo.Say.{status}");
        stack.statistic(&name).await.unwrap_or(0)
    };
    let h2 = Client::with(reqwest::ClientBuilder::http2_prior_knowledge);
    let url = format!("http://{}/echo.Echo/Say", stack.http());
    let ask = async |status: &str| {
        let request = h2.request(Method::POST, &url).body(MESSAGE).header("te", "trailers");
        let request = request.header("content-type", "application/grpc");
        Client::send(request.header("x-echo-grpc-status", status)).await.unwrap()
    };
    for _ in 0..3 {
        assert_eq!(ask("0").await.status, 200);
    }
    ask("5").await;
    let counted = async || (count("success").await, count("failure").await, count("total").await);
    until("all calls are counted", counted, |counts| *counts == (3, 1, 4)).await;
    assert_eq!(count("request_message_count").await, 4);

    stack.put_module("{grpc_stats: {services: [{name: other.Service, method_names: [Other]}]}}");
    let look = async || {
        let before = count("total").await;
        ask("0").await;
        count("total").await - before
    };
    until("only the methods on the list are counted", look, |more| *more == 0).await;
}

#[tokio::test]
async fn grpc_reaches_endpoints_that_a_resolver_finds() {
    let stack = Stack::builder()
        .backends("pool", &["one", "two"])
        .await
        .object(
            "Mapping",
            "grpc",
            r#"{hostname: "*", prefix: /echo.Echo/, rewrite: /echo.Echo/, grpc: true, service: pool,
                resolver: endpoint, load_balancer: {policy: round_robin}}"#,
        )
        .start()
        .await;
    let mut met = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let answer = call(&stack, "application/grpc").send().await.unwrap();
        assert_eq!(answer.headers()["x-echo-path"], "/echo.Echo/Say");
        met.insert(answer.headers()["x-echo-backend"].to_str().unwrap().to_owned());
    }
    assert_eq!(met.len(), 2, "{met:?}");
}
