//! Filters that the Module switches on: compression, Lua, address rules.

use std::net::{IpAddr, Ipv4Addr};

use nuncio_integration_tests::{Client, Stack, until};
use reqwest::Method;

async fn stack(module: &str) -> Stack {
    let builder = Stack::builder().backend("first").await.module(module);
    builder.mapping("m", "/", "first").start().await
}

async fn encoding(stack: &Stack, accepts: Option<&str>, wish: &str) -> Option<String> {
    let mut request = stack.request(Method::GET, &format!("/?{wish}"));
    if let Some(accepts) = accepts {
        request = request.header("accept-encoding", accepts);
    }
    let response = request.send().await.unwrap();
    let encoding = response.headers().get("content-encoding").cloned();
    let body = response.bytes().await.unwrap();
    assert_eq!(body.starts_with(&[0x1f, 0x8b]), encoding.is_some(), "what is said and what is");
    encoding.map(|name| name.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn answers_are_compressed_for_clients_that_accept_it() {
    let stack = stack("{gzip: {min_content_length: 32, content_type: [application/json]}}").await;
    assert_eq!(encoding(&stack, Some("gzip"), "").await.as_deref(), Some("gzip"));
    assert_eq!(encoding(&stack, None, "").await, None);
    assert_eq!(encoding(&stack, Some("br"), "").await, None);
    // The backend cannot compress again: it does not learn that it might.
    stack.put_module("{gzip: {min_content_length: 100000, content_type: [application/json]}}");
    let look = async || encoding(&stack, Some("gzip"), "").await;
    until("short answers stay as they are", look, Option::is_none).await;
    stack.put_module("{gzip: {min_content_length: 32, content_type: [text/plain]}}");
    assert_eq!(encoding(&stack, Some("gzip"), "").await, None, "of another type");
}

#[tokio::test]
async fn lua_scripts_see_requests_and_answers() {
    let script = r#"
      function envoy_on_request(handle)
        handle:headers():add("x-lua", "in")
        if handle:headers():get("x-stop") then
          handle:respond({[":status"] = "418"}, "stopped")
        end
      end
      function envoy_on_response(handle)
        handle:headers():add("x-lua", "out")
      end
"#;
    let script = serde_json::to_string(script).unwrap();
    let stack = stack(&format!("{{lua_scripts: {script}}}")).await;
    let reply = stack.get("/").await.unwrap();
    assert_eq!(reply.echo().header("x-lua"), Some("in"));
    assert_eq!(reply.header("x-lua"), Some("out"));
    let reply = Client::send(stack.request(Method::GET, "/").header("x-stop", "1")).await.unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (418, "stopped"));
}

/// Asks from an address of this machine.
async fn from(stack: &Stack, last: u8, headers: &[(&str, &str)]) -> u16 {
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    let client = Client::with(|builder| builder.local_address(address));
    let mut request = client.request(Method::GET, &format!("http://{}/", stack.http()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Client::send(request).await.unwrap().status
}

async fn until_from(stack: &Stack, last: u8, status: u16) {
    let look = async || from(stack, last, &[]).await;
    until(&format!("127.0.0.{last} gets {status}"), look, |seen| *seen == status).await;
}

#[tokio::test]
async fn addresses_are_let_in_or_kept_out() {
    let stack = stack("{ip_allow: [{peer: 127.0.0.2}, {remote: 127.0.0.16/28}]}").await;
    for (last, status) in [(2, 200), (17, 200), (31, 200), (3, 403), (32, 403)] {
        assert_eq!(from(&stack, last, &[]).await, status, "127.0.0.{last}");
    }
    // Behind no proxy that is trusted, a header is no address.
    assert_eq!(from(&stack, 3, &[("x-forwarded-for", "127.0.0.17")]).await, 403);
    stack.put_module("{ip_deny: [{remote: 127.0.0.16/28}, {peer: 127.0.0.2}]}");
    until_from(&stack, 3, 200).await;
    assert_eq!(from(&stack, 17, &[]).await, 403);
    assert_eq!(from(&stack, 2, &[]).await, 403);
    // Nothing but nonsense on the list of the welcome: nobody is.
    stack.put_module("{ip_allow: [{peer: nonsense}]}");
    until_from(&stack, 3, 403).await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_address_is_the_forwarded_one() {
    let port = nuncio_integration_tests::free_port();
    let listener = format!(
        "{{port: {port}, protocol: HTTP, securityModel: XFP, l7Depth: 1, \
         hostBinding: {{namespace: {{from: ALL}}}}}}"
    );
    let stack = Stack::builder()
        .without_listeners()
        .with_http_port(port)
        .backend("first")
        .await
        .mapping("m", "/", "first")
        .object("Listener", "deep", &listener)
        .module("{ip_allow: [{remote: 192.0.2.0/24}, {peer: 127.0.0.9}]}")
        .start()
        .await;
    assert_eq!(from(&stack, 1, &[("x-forwarded-for", "192.0.2.7")]).await, 200);
    assert_eq!(from(&stack, 1, &[("x-forwarded-for", "198.51.100.7")]).await, 403);
    assert_eq!(from(&stack, 9, &[("x-forwarded-for", "198.51.100.7")]).await, 200);
}
