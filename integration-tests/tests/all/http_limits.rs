//! What a connection may do: sizes, spellings, idleness.

use nuncio_integration_tests::{Stack, exchange, head, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn stack(module: &str) -> Stack {
    let builder = Stack::builder().backend("first").await.module(module);
    builder.mapping("m", "/", "first").start().await
}

/// Asks again and again until the first line of the answer has this status.
async fn until_answered(stack: &Stack, bytes: &str, status: &str) -> String {
    let wanted = format!(" {status} ");
    let look = async || exchange(stack.http(), bytes).await;
    let first = |answer: &String| answer.lines().next().is_some_and(|line| line.contains(&wanted));
    until(&format!("the answer is {status}"), look, first).await
}

#[tokio::test]
async fn header_names_with_underscores_pass_vanish_or_fail_as_the_module_says() {
    let stack = stack("{headers_with_underscores_action: ALLOW}").await;
    let request = head("a", "/", "x_under_score: 1\r\n");
    let answer = until_answered(&stack, &request, "200").await;
    assert!(answer.contains("x_under_score"), "{answer}");
    stack.put_module("{headers_with_underscores_action: REJECT_REQUEST}");
    until_answered(&stack, &request, "400").await;
    stack.put_module("{headers_with_underscores_action: DROP_HEADER}");
    let answer = until_answered(&stack, &request, "200").await;
    assert!(!answer.contains("x_under_score"), "{answer}");
}

#[tokio::test]
async fn a_length_beside_chunks_is_refused_unless_allowed() {
    let stack = stack("{allow_chunked_length: true}").await;
    let request = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\
                   transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = until_answered(&stack, request, "200").await;
    assert!(answer.contains("\"abc\""), "{answer}");
    stack.put_module("{allow_chunked_length: false}");
    until_answered(&stack, request, "400").await;
}

#[tokio::test]
async fn large_request_headers_are_refused_above_the_limit() {
    let stack = stack("{}").await;
    let large =
        |kilobytes: usize| head("a", "/", &format!("x-large: {}\r\n", "x".repeat(kilobytes << 10)));
    until_answered(&stack, &large(50), "200").await;
    until_answered(&stack, &large(70), "431").await;
    stack.put_module("{max_request_headers_kb: 96}");
    until_answered(&stack, &large(70), "200").await;
    until_answered(&stack, &large(100), "431").await;
}

#[tokio::test]
async fn large_bodies_are_refused_where_a_buffer_is_set() {
    let stack = stack("{buffer: {max_request_bytes: 1000}}").await;
    let post = |length: usize| {
        let body = "x".repeat(length);
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    until_answered(&stack, &post(1000), "200").await;
    until_answered(&stack, &post(1001), "413").await;
}

#[tokio::test]
async fn idle_connections_are_closed_after_the_listeners_time() {
    let stack = stack("{listener_idle_timeout_ms: 300}").await;
    let mut stream = TcpStream::connect(stack.http()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // Keep-alive: the end comes from the gateway, or the test hangs.
    let end = stream.read_to_end(&mut answer);
    tokio::time::timeout(nuncio_integration_tests::PATIENCE, end).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let dump = stack.ask_envoy("/config_dump?resource=dynamic_listeners").await.body;
    assert!(dump.contains("\"idle_timeout\": \"0.300s\""), "{dump}");
}

#[tokio::test]
async fn buffer_limits_reach_every_listener() {
    let stack = stack("{buffer_limit_bytes: 5242880}").await;
    let dump = stack.ask_envoy("/config_dump?resource=dynamic_listeners").await.body;
    assert_eq!(dump.matches("\"per_connection_buffer_limit_bytes\": 5242880").count(), 2, "{dump}");
    let body = "x".repeat(1 << 20);
    let request = stack.request(reqwest::Method::POST, "/").body(body.clone());
    let reply = nuncio_integration_tests::Client::send(request).await.unwrap();
    assert_eq!(reply.echo().body.len(), body.len());
}

#[tokio::test]
async fn http_1_0_is_spoken_where_the_module_allows_it() {
    let stack = stack("{enable_http10: true}").await;
    let request = "GET / HTTP/1.0\r\nhost: a\r\n\r\n";
    until_answered(&stack, request, "200").await;
    stack.put_module("{}");
    until_answered(&stack, request, "426").await;
}

#[tokio::test]
async fn header_names_are_spelled_as_the_module_says() {
    let stack = stack("{}").await;
    let request = head("a", "/", "");
    let answer = until_answered(&stack, &request, "200").await;
    assert!(answer.contains("\r\nx-echo-backend: first"), "{answer}");
    stack.put_module("{proper_case: true}");
    let look = async || exchange(stack.http(), &request).await;
    let proper = |answer: &String| answer.contains("\r\nX-Echo-Backend: first");
    until("the words of names begin with capitals", look, proper).await;
}

#[tokio::test]
async fn the_gateway_calls_itself_as_the_module_says() {
    let stack = stack("{}").await;
    assert_eq!(stack.get("/").await.unwrap().header("server"), Some("envoy"));
    stack.put_module("{server_name: test-server}");
    let look = async || stack.get("/").await.unwrap().header("server").map(str::to_owned);
    until("the name is in use", look, |name| name.as_deref() == Some("test-server")).await;
}
