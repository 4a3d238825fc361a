//! Access logs to files and to services.

use std::path::PathBuf;

use envoy_types::pb::envoy::data::accesslog::v3::HttpAccessLogEntry;
use envoy_types::pb::envoy::service::accesslog::v3::StreamAccessLogsMessage;
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::LogEntries;
use nuncio_integration_tests::{Client, Fake, Stack, eventually, exchange, free_port, head};
use reqwest::Method;
use serde_json::Value;

async fn logged(format: &str) -> (Stack, PathBuf) {
    let builder = Stack::builder().backend("first").await.mapping("m", "/", "first");
    let path = builder.files().aside("access.log");
    let module = format!("{{envoy_log_path: {}{format}}}", path.display());
    (builder.module(&module).start().await, path)
}

/// Asks for a path and waits for a line that mentions it.
async fn line(stack: &Stack, log: &PathBuf, path: &str) -> String {
    let request = stack.request(Method::GET, path).header("user-agent", "test/1");
    assert_eq!(Client::send(request).await.unwrap().status, 200);
    eventually("the request is in the log", async || {
        let text = std::fs::read_to_string(log).ok()?;
        text.lines().find(|line| line.contains(path)).map(str::to_owned)
    })
    .await
}

#[tokio::test]
async fn the_text_log_has_emissarys_form_unless_given_another() {
    let (stack, log) = logged("").await;
    let text = line(&stack, &log, "/usual/path?q=1").await;
    assert!(text.starts_with("ACCESS ["), "{text}");
    assert!(text.contains("\"GET /usual/path?q=1 HTTP/1.1\" 200 - 0 "), "{text}");
    assert!(text.contains("\"test/1\""), "{text}");
    assert!(text.contains(&format!("\"{}\"", stack.http())), "the authority: {text}");
    assert!(text.ends_with(&format!("\"{}\"", stack.backend("first").address())), "{text}");
    stack.put_module(&format!(
        "{{envoy_log_path: {}, envoy_log_format: \"MINE %REQ(:PATH)% %RESPONSE_CODE%\"}}",
        log.display()
    ));
    let mut attempt = 0;
    let mine = async || {
        attempt += 1;
        let path = format!("/mine-{attempt}");
        let text = line(&stack, &log, &path).await;
        (text == format!("MINE {path} 200")).then_some(())
    };
    eventually("the format is in use", mine).await;
}

#[tokio::test]
async fn json_logs_hold_the_fields_that_are_asked_for() {
    let fields = r#"envoy_log_format: {method: "%REQ(:METHOD)%", path: "%REQ(:PATH)%",
        code: "%RESPONSE_CODE%", took: "%DURATION%"}"#;
    let (stack, log) = logged(&format!(", envoy_log_type: json, {fields}")).await;
    let parsed: Value = serde_json::from_str(&line(&stack, &log, "/json").await).unwrap();
    assert_eq!((&parsed["method"], &parsed["path"]), (&"GET".into(), &"/json".into()));
    assert_eq!(parsed.as_object().unwrap().len(), 4, "{parsed}");

    let (stack, log) = logged(", envoy_log_type: json").await;
    let parsed: Value = serde_json::from_str(&line(&stack, &log, "/default").await).unwrap();
    for field in ["start_time", "response_flags", "upstream_cluster", "request_id", "authority"] {
        assert!(parsed.get(field).is_some(), "{field}: {parsed}");
    }

    let (stack, log) = logged(&format!(", envoy_log_type: typed_json, {fields}")).await;
    let parsed: Value = serde_json::from_str(&line(&stack, &log, "/typed").await).unwrap();
    assert!(parsed["took"].is_u64() && parsed["code"] == 200, "numbers stay numbers: {parsed}");
}

fn entries(messages: &[StreamAccessLogsMessage]) -> Vec<HttpAccessLogEntry> {
    let of = |message: &StreamAccessLogsMessage| match &message.log_entries {
        Some(LogEntries::HttpLogs(entries)) => entries.log_entry.clone(),
        _ => Vec::new(),
    };
    messages.iter().flat_map(of).collect()
}

#[tokio::test]
async fn a_log_service_is_told_of_every_request() {
    let sink = Fake::logs().await;
    let service = format!(
        r#"{{service: "{}", driver: http, grpc: true, protocol_version: v3, flush_interval_time: 1,
            flush_interval_byte_size: 1,
            driver_config: {{additional_log_headers: [{{header_name: X-Wanted}},
                {{header_name: x-echo-backend, during_request: false}}]}}}}"#,
        sink.address()
    );
    let builder = Stack::builder().backend("first").await.mapping("m", "/", "first");
    let stack = builder.object("LogService", "sink", &service).start().await;
    let request = stack.request(Method::GET, "/told").header("x-wanted", "1");
    assert_eq!(Client::send(request.header("x-other", "2")).await.unwrap().status, 200);
    let entry = eventually("the request is in the log", async || {
        entries(&sink.seen())
            .into_iter()
            .find(|entry| entry.request.as_ref().is_some_and(|request| request.path == "/told"))
    })
    .await;
    let request = entry.request.unwrap();
    assert_eq!(request.request_headers["x-wanted"], "1");
    assert!(!request.request_headers.contains_key("x-other"));
    let response = entry.response.unwrap();
    assert_eq!(response.response_code.unwrap().value, 200);
    assert_eq!(response.response_headers["x-echo-backend"], "first");
    let first = sink.seen().into_iter().find_map(|message| message.identifier).unwrap();
    assert_eq!(first.log_name, "sink");
    assert_eq!(first.node.unwrap().cluster, "ambassador-default");
}

#[tokio::test]
async fn a_log_service_of_connections_is_told_of_tcp() {
    let (sink, port) = (Fake::logs().await, free_port());
    let service = format!(
        "{{service: \"{}\", driver: tcp, driver_config: {{}}, grpc: true, protocol_version: v3, \
         flush_interval_byte_size: 1}}",
        sink.address()
    );
    let stack = Stack::builder()
        .backend("first")
        .await
        .object("TCPMapping", "tcp", &format!("{{port: {port}, service: first}}"))
        .object("LogService", "sink", &service)
        .start()
        .await;
    let answer = exchange(([127, 0, 0, 1], port).into(), head("a", "/", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    eventually("the connection is in the log", async || {
        let tcp = |message: &StreamAccessLogsMessage| {
            matches!(&message.log_entries, Some(LogEntries::TcpLogs(logs)) if !logs.log_entry.is_empty())
        };
        sink.seen().iter().any(tcp).then_some(())
    })
    .await;
    drop(stack);
}
