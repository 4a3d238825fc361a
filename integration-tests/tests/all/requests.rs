//! What the gateway adds to requests and answers, and what it takes away.

use nuncio_integration_tests::{Client, Stack, until};
use reqwest::Method;

async fn stack(module: &str) -> Stack {
    let builder = Stack::builder().backend("first").await.module(module);
    builder.mapping("m", "/", "first").start().await
}

#[tokio::test]
async fn the_request_id_of_a_client_is_kept_where_the_module_says_so() {
    let stack = stack("{preserve_external_request_id: true}").await;
    let given = "a4f1c6ee-0000-4000-8000-000000000000";
    let ask = async || {
        let request = stack.request(Method::GET, "/").header("x-request-id", given);
        Client::send(request).await.unwrap().echo().header("x-request-id").map(str::to_owned)
    };
    assert_eq!(ask().await.as_deref(), Some(given));
    assert!(stack.get("/").await.unwrap().echo().header("x-request-id").is_some());
    stack.put_module("{}");
    until("requests from outside get an id of their own", ask, |id| {
        id.as_deref().is_some_and(|id| id != given)
    })
    .await;
}

#[tokio::test]
async fn envoys_headers_are_shown_unless_suppressed() {
    let stack = stack("{}").await;
    let reply = stack.get("/").await.unwrap();
    assert!(reply.header("x-envoy-upstream-service-time").is_some());
    assert_eq!(reply.echo().header("x-envoy-expected-rq-timeout-ms"), Some("3000"));
    stack.put_module("{suppress_envoy_headers: true}");
    let look = async || stack.get("/").await.unwrap();
    let reply = until("envoy's headers are gone", look, |reply| {
        reply.header("x-envoy-upstream-service-time").is_none()
    })
    .await;
    assert_eq!(reply.echo().header("x-envoy-expected-rq-timeout-ms"), None);
}

#[tokio::test]
async fn the_backend_learns_where_a_request_came_from() {
    let stack = stack("{}").await;
    let request = stack.request(Method::GET, "/").header("x-forwarded-for", "192.0.2.1");
    let answer = Client::send(request.header("x-forwarded-proto", "https")).await.unwrap().echo();
    // Envoy names a client on its own machine by an address of that machine.
    let forwarded = answer.header("x-forwarded-for").unwrap();
    let (claimed, added) = forwarded.split_once(',').unwrap();
    assert_eq!(claimed, "192.0.2.1");
    assert!(added.parse::<std::net::IpAddr>().is_ok(), "{forwarded}");
    assert_eq!(answer.header("x-forwarded-proto"), Some("http"), "what it was, not what is said");
}

#[tokio::test]
async fn headers_are_added_and_removed_by_defaults_and_by_mappings() {
    let defaults = r#"{defaults: {
        httpmapping: {add_request_headers: {x-default: {value: module}}, remove_response_headers: [x-gone]},
        add_response_headers: {x-marked: {value: module}}}}"#;
    let own = r#"{hostname: "*", prefix: /own/, service: first,
        add_request_headers: {x-own: {value: mapping}, x-set: {value: once, append: false}},
        add_response_headers: {}, remove_request_headers: [x-secret]}"#;
    let stack = Stack::builder()
        .backend("first")
        .await
        .module(defaults)
        .mapping("plain", "/plain/", "first")
        .object("Mapping", "own", own)
        .start()
        .await;
    let ask = async |path: &str| {
        let request = stack.request(Method::GET, path);
        let request = request.header("x-own", "client").header("x-set", "client");
        let request = request.header("x-secret", "1").header("x-echo-header", "x-gone: 1");
        Client::send(request).await.unwrap()
    };
    let reply = ask("/plain/").await;
    assert_eq!(reply.echo().header("x-default"), Some("module"));
    assert_eq!((reply.header("x-marked"), reply.header("x-gone")), (Some("module"), None));
    assert_eq!(reply.echo().header("x-secret"), Some("1"));
    let reply = ask("/own/").await;
    let answer = reply.echo();
    // Whatever a Mapping says, even nothing, replaces the default.
    assert_eq!((answer.header("x-default"), reply.header("x-marked")), (None, None));
    assert_eq!(answer.all("x-own"), ["client", "mapping"], "appended unless told otherwise");
    assert_eq!(answer.all("x-set"), ["once"]);
    assert_eq!((answer.header("x-secret"), reply.header("x-gone")), (None, None));
}

#[tokio::test]
async fn linkerd_learns_the_destination_where_it_is_wanted() {
    let mapping = |prefix: &str, more: &str| {
        format!("{{hostname: \"*\", prefix: /{prefix}/, service: {more}}}")
    };
    let stack = Stack::builder()
        .backend("first")
        .await
        .module(
            "{add_linkerd_headers: true, \
             defaults: {httpmapping: {add_request_headers: {x-default: {value: module}}}}}",
        )
        .object("Mapping", "qualified", &mapping("qualified", "\"first.default:80\""))
        .object("Mapping", "bare", &mapping("bare", "first"))
        .object("Mapping", "unwanted", &mapping("unwanted", "first, add_linkerd_headers: false"))
        .start()
        .await;
    let seen = async |path: &str| stack.get(path).await.unwrap().echo();
    let qualified = seen("/qualified/").await;
    assert_eq!(qualified.header("l5d-dst-override"), Some("first.default:80"));
    let bare = seen("/bare/").await;
    assert_eq!(bare.header("l5d-dst-override"), Some("first:80"));
    assert_eq!(bare.header("x-default"), Some("module"), "beside the other headers");
    assert_eq!(seen("/unwanted/").await.header("l5d-dst-override"), None);
}

#[tokio::test]
async fn the_host_of_a_request_is_kept_or_rewritten() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("kept", "/kept/", "first")
        .object(
            "Mapping",
            "literal",
            r#"{hostname: "*", prefix: /literal/, service: first, host_rewrite: inner.test}"#,
        )
        .start()
        .await;
    let port = stack.backend("first").address().port();
    let auto = format!(
        "{{hostname: \"*\", prefix: /auto/, service: \"localhost:{port}\", auto_host_rewrite: true}}"
    );
    stack.put("Mapping", "auto", &auto);
    stack.until_status("/auto/", 200).await;
    let seen = async |path: &str| stack.get_host("outer.test", path).await.echo().authority;
    assert_eq!(seen("/kept/").await, "outer.test");
    assert_eq!(seen("/literal/").await, "inner.test");
    assert!(seen("/auto/").await.starts_with("localhost"));
}

#[tokio::test]
async fn query_parameters_choose_by_value_pattern_or_presence() {
    let spec = |more: &str| format!("{{hostname: \"*\", prefix: /q/, service: second, {more}}}");
    let stack = Stack::builder()
        .backend("first")
        .await
        .backend("second")
        .await
        .mapping("plain", "/q/", "first")
        .object("Mapping", "exact", &spec("query_parameters: {exact: value}"))
        .object("Mapping", "pattern", &spec("regex_query_parameters: {pattern: \"^[a-z].*\"}"))
        .object("Mapping", "present", &spec("regex_query_parameters: {present: \".*\"}"))
        .object("Mapping", "both", &spec("query_parameters: {a: \"1\", b: \"2\"}"))
        .start()
        .await;
    let cases = [
        ("", "first"),
        ("?exact=value", "second"),
        ("?exact=other", "first"),
        ("?exact=value&more=1", "second"),
        ("?pattern=abc", "second"),
        ("?pattern=1abc", "first"),
        ("?present=", "second"),
        ("?present=anything", "second"),
        ("?a=1", "first"),
        ("?b=2&a=1", "second"),
    ];
    for (query, backend) in cases {
        let reply = stack.get(&format!("/q/{query}")).await.unwrap();
        assert_eq!(reply.echo().backend, backend, "{query}");
    }
}
