//! AuthServices of the user's own, over gRPC and HTTP.

use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::rpc::Status;
use nuncio::Bundle;
use nuncio::echo::{Options, server_config};
use nuncio::envoy::Version;
use nuncio_integration_tests::{Client, Fake, Reply, Stack, envoy_version, free_port, until};
use reqwest::Method;

fn option(name: &str, value: &str) -> HeaderValueOption {
    let header = HeaderValue { key: name.into(), value: value.into(), ..Default::default() };
    HeaderValueOption { header: Some(header), ..Default::default() }
}

fn header<'a>(request: &'a CheckRequest, name: &str) -> Option<&'a str> {
    let http = request.attributes.as_ref()?.request.as_ref()?.http.as_ref()?;
    http.headers.get(name).map(String::as_str)
}

/// Denies what says `x-verdict: deny`, names the user of everything else.
fn judge(request: &CheckRequest) -> CheckResponse {
    let (code, response) = if header(request, "x-verdict") == Some("deny") {
        let denied = DeniedHttpResponse {
            status: Some(HttpStatus { code: 401 }),
            headers: vec![option("www-authenticate", "Judge")],
            body: "not today".into(),
        };
        (16, HttpResponse::DeniedResponse(denied))
    } else {
        let ok = OkHttpResponse {
            headers: vec![option("x-user", "alice"), option("x-version", "2")],
            headers_to_remove: vec!["x-secret".into()],
            response_headers_to_add: vec![option("x-judged", "yes")],
            ..Default::default()
        };
        (0, HttpResponse::OkResponse(ok))
    };
    CheckResponse {
        status: Some(Status { code, ..Default::default() }),
        http_response: Some(response),
        ..Default::default()
    }
}

async fn judged(more: &str) -> (Fake<CheckRequest>, Stack) {
    let fake = Fake::auth(judge).await;
    let builder = Stack::builder().backend("first").await.backend("second").await;
    let spec = format!(
        "{{auth_service: \"{}\", proto: grpc, protocol_version: v3{more}}}",
        fake.address()
    );
    let stack = builder
        .mapping("all", "/", "first")
        .object("Mapping", "bypass", r#"{hostname: "*", prefix: /open/, service: first, bypass_auth: true}"#)
        .object("Mapping", "told", r#"{hostname: "*", prefix: /told/, service: first, auth_context_extensions: {first: "1", second: two}}"#)
        .object("Mapping", "moved", r#"{hostname: "*", prefix: /moved/, service: new.test, host_redirect: true}"#)
        .object("Mapping", "versioned", r#"{hostname: "*", prefix: /x/, service: second, headers: {x-version: "2"}}"#)
        .object("Mapping", "socket", r#"{hostname: "*", prefix: /socket/, service: first, allow_upgrade: [websocket]}"#)
        .object("AuthService", "own", &spec)
        .start()
        .await;
    (fake, stack)
}

async fn post(stack: &Stack, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut request = stack.request(Method::POST, path).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Client::send(request).await.unwrap()
}

#[tokio::test]
async fn a_grpc_server_edits_what_it_lets_through_and_answers_what_it_denies() {
    let (_fake, stack) = judged("").await;
    let reply = post(&stack, "/", &[("x-user", "root"), ("x-secret", "1")], "").await;
    let answer = reply.echo();
    assert_eq!(answer.all("x-user"), ["alice"], "what the client says does not count");
    assert_eq!(answer.header("x-secret"), None);
    assert_eq!(reply.header("x-judged"), Some("yes"));

    let reply = post(&stack, "/", &[("x-verdict", "deny")], "").await;
    assert_eq!((reply.status, reply.body.as_str()), (401, "not today"));
    assert_eq!(reply.header("www-authenticate"), Some("Judge"));
    assert_eq!(stack.backend("first").requests(), 1);
}

#[tokio::test]
async fn a_grpc_server_is_asked_about_everything_but_bypasses_and_redirects() {
    let (fake, stack) = judged("").await;
    assert_eq!(post(&stack, "/open/", &[("x-verdict", "deny")], "").await.status, 200);
    assert_eq!(post(&stack, "/moved/", &[("x-verdict", "deny")], "").await.status, 301);
    assert!(fake.seen().is_empty());
    assert_eq!(post(&stack, "/told/", &[], "").await.status, 200);
    let seen = fake.seen();
    let attributes = seen[0].attributes.as_ref().unwrap();
    let told = &attributes.context_extensions;
    assert_eq!((told["first"].as_str(), told["second"].as_str()), ("1", "two"));
    let http = attributes.request.as_ref().unwrap().http.as_ref().unwrap();
    assert_eq!((http.method.as_str(), http.path.as_str()), ("POST", "/told/"));
    assert_eq!(http.host, stack.http().to_string());
}

#[tokio::test]
async fn headers_that_the_auth_server_adds_decide_about_the_route() {
    let (_fake, stack) = judged("").await;
    assert_eq!(post(&stack, "/x/", &[], "").await.echo().backend, "second");
}

#[tokio::test]
async fn websockets_are_opened_when_the_auth_server_agrees() {
    let (_fake, stack) = judged("").await;
    let url = format!("ws://{}/socket/", stack.http());
    tokio_tungstenite::connect_async(&url).await.unwrap();
    let mut request =
        tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(&url)
            .unwrap();
    request.headers_mut().insert("x-verdict", "deny".parse().unwrap());
    let error = tokio_tungstenite::connect_async(request).await.unwrap_err().to_string();
    assert!(error.contains("401"), "{error}");
}

#[tokio::test]
async fn the_body_is_shown_to_a_grpc_server_as_far_as_it_was_asked_for() {
    let (fake, stack) = judged(", include_body: {max_bytes: 5, allow_partial: true}").await;
    let reply = post(&stack, "/", &[], "hello, world").await;
    assert_eq!(reply.echo().body, "hello, world", "the backend gets all of it");
    let shown = |request: &CheckRequest| {
        let http = request.attributes.as_ref().unwrap().request.as_ref().unwrap().http.clone();
        let http = http.unwrap();
        (http.body, http.raw_body)
    };
    let (text, raw) = shown(&fake.seen()[0]);
    assert_eq!(format!("{text}{}", String::from_utf8_lossy(&raw)), "hello");

    stack.put(
        "AuthService",
        "own",
        &format!(
            "{{auth_service: \"{}\", proto: grpc, protocol_version: v3, \
             include_body: {{max_bytes: 5, allow_partial: false}}}}",
            fake.address()
        ),
    );
    let look = async || post(&stack, "/", &[], "hello, world").await.status;
    until("a body that is too long is refused", look, |status| *status == 413).await;
    assert_eq!(post(&stack, "/", &[], "hello").await.status, 200);
}

fn http_service(more: &str) -> String {
    format!("{{auth_service: judge, proto: http, path_prefix: /judge{more}}}")
}

async fn http_judged(more: &str) -> Stack {
    let builder = Stack::builder().backend("first").await.backend("judge").await;
    let builder = builder.mapping("all", "/", "first");
    builder.object("AuthService", "own", &http_service(more)).start().await
}

#[tokio::test]
async fn an_http_server_sees_the_usual_headers_and_those_it_asks_for() {
    let stack = http_judged(
        ", allowed_request_headers: [x-echo-status, x-mine], add_auth_headers: {x-constant: c}",
    )
    .await;
    let headers = [
        ("x-echo-status", "403"),
        ("x-mine", "1"),
        ("x-other", "2"),
        ("authorization", "Basic a"),
        ("cookie", "b=c"),
        ("user-agent", "test"),
    ];
    let reply = post(&stack, "/some/path?q=1", &headers, "a body").await;
    assert_eq!(reply.status, 403);
    let seen = reply.echo();
    assert_eq!((seen.backend.as_str(), seen.path.as_str()), ("judge", "/judge/some/path"));
    assert_eq!((seen.method.as_str(), seen.query.as_str()), ("POST", "q=1"));
    for (name, value) in
        [("x-mine", "1"), ("authorization", "Basic a"), ("cookie", "b=c"), ("user-agent", "test")]
    {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    assert_eq!(seen.header("x-constant"), Some("c"));
    assert_eq!(seen.header("x-other"), None);
    assert_eq!(seen.body, "", "the body stays here unless asked for");
    assert_eq!(stack.backend("first").requests(), 0);
}

#[tokio::test]
async fn headers_of_an_http_servers_answer_pass_both_ways_when_they_are_allowed() {
    let stack = http_judged(
        ", allowed_request_headers: [x-echo-status, x-echo-header], \
         allowed_authorization_headers: [x-user]",
    )
    .await;
    // The judge is an echo: it answers with the headers that a request wishes.
    let wish = |value: &'static str| ("x-echo-header", value);
    let answer = post(&stack, "/", &[wish("x-user: alice"), ("x-user", "root")], "").await.echo();
    assert_eq!(answer.all("x-user"), ["alice"]);
    let answer = post(&stack, "/", &[wish("x-stranger: bob")], "").await.echo();
    assert_eq!(answer.header("x-stranger"), None);

    let found = [wish("location: https://login.test/"), ("x-echo-status", "302")];
    let reply = post(&stack, "/", &found, "").await;
    assert_eq!((reply.status, reply.header("location")), (302, Some("https://login.test/")));
    let denied = [wish("x-stranger: bob"), ("x-echo-status", "401")];
    let reply = post(&stack, "/", &denied, "").await;
    assert_eq!((reply.status, reply.header("x-stranger")), (401, None));
}

#[tokio::test]
async fn an_http_server_gets_the_body_when_it_asks_for_it() {
    let stack = http_judged(
        ", allowed_request_headers: [x-echo-status], include_body: {max_bytes: 4096, allow_partial: true}",
    )
    .await;
    let reply = post(&stack, "/", &[("x-echo-status", "401")], "all of it").await;
    assert_eq!(reply.echo().body, "all of it");
    stack.put(
        "AuthService",
        "own",
        &http_service(", allow_request_body: true, allowed_request_headers: [x-echo-status]"),
    );
    // The old spelling says the same; 4096 bytes at most.
    let long = "x".repeat(5000);
    let look =
        async || post(&stack, "/", &[("x-echo-status", "401")], &long).await.echo().body.len();
    until("the old spelling is in effect", look, |length| *length == 4096).await;
}

#[tokio::test]
async fn a_silent_auth_server_closes_the_gateway_unless_told_otherwise() {
    let nobody = free_port();
    let service =
        |more: &str| format!("{{auth_service: \"127.0.0.1:{nobody}\", proto: http{more}}}");
    let builder = Stack::builder().backend("first").await.mapping("all", "/", "first");
    let stack = builder.object("AuthService", "own", &service("")).start().await;
    assert_eq!(stack.get("/").await.unwrap().status, 403);
    // Envoy 1.37.0 answers 403 all the same.
    if envoy_version().await > (Version { major: 1, minor: 37, patch: 0 }) {
        stack.put("AuthService", "own", &service(", status_on_error: {code: 502}"));
        stack.until_status("/", 502).await;
    }
    assert_eq!(stack.backend("first").requests(), 0);
    stack.put("AuthService", "own", &service(", failure_mode_allow: true"));
    stack.until_status("/", 200).await;
}

#[tokio::test]
async fn an_auth_service_of_an_old_protocol_refuses_everything_but_the_probes() {
    let fake = Fake::auth(judge).await;
    let spec = format!("{{auth_service: \"{}\", proto: grpc}}", fake.address());
    let builder = Stack::builder().backend("first").await.mapping("all", "/", "first");
    let stack = builder.object("AuthService", "own", &spec).start().await;
    assert_eq!(stack.get("/").await.unwrap().status, 500);
    for probe in ["/ambassador/v0/check_alive", "/ambassador/v0/check_ready"] {
        assert_eq!(stack.get(probe).await.unwrap().status, 200, "{probe}");
    }
    assert!(fake.seen().is_empty());
    let errors = stack.ask_admin("/ambassador/v0/diag/?json=true&filter=errors").await.body;
    assert!(errors.contains("protocol_version: v3") || errors.contains("v3"), "{errors}");
}

#[tokio::test]
async fn several_auth_services_that_agree_share_the_questions() {
    let stack =
        Stack::builder().backend("first").await.backend("judge").await.backend("jury").await;
    let one = |name: &str| format!("{{auth_service: {name}, proto: http, path_prefix: /same}}");
    let stack = stack
        .mapping("all", "/", "first")
        .object("AuthService", "a", &one("judge"))
        .object("AuthService", "b", &one("jury"))
        .start()
        .await;
    for _ in 0..20 {
        assert_eq!(stack.get("/").await.unwrap().status, 200);
    }
    let asked = (stack.backend("judge").requests(), stack.backend("jury").requests());
    assert_eq!(asked.0 + asked.1, 20);
    assert!(asked.0 > 0 && asked.1 > 0, "{asked:?}");
}

#[tokio::test]
async fn cleartext_that_is_redirected_is_nobodys_question() {
    let fake = Fake::auth(judge).await;
    let service =
        format!("{{auth_service: \"{}\", proto: grpc, protocol_version: v3}}", fake.address());
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("all", "/", "first")
        .object("Host", "any", r#"{hostname: "*", requestPolicy: {insecure: {action: Redirect}}}"#)
        .object("AuthService", "own", &service)
        .start()
        .await;
    let reply = post(&stack, "/x", &[("x-verdict", "deny"), ("host", "a.test")], "").await;
    assert_eq!((reply.status, reply.header("location")), (301, Some("https://a.test/x")));
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn an_auth_server_is_asked_over_tls_by_its_scheme_or_by_a_context() {
    let bundle = Bundle::generate(&["judge.test".to_owned()]).unwrap();
    let config = server_config(bundle.chain.as_bytes(), bundle.key.as_bytes(), None).unwrap();
    let judge = Options { tls: Some(config), ..Options::named("judge") };
    let authority = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: judge-ca, namespace: default}}\n\
         stringData: {{tls.crt: {}}}\n",
        serde_json::to_string(&bundle.authority).unwrap()
    );
    let service = |address: &str, more: &str| {
        format!(
            "{{auth_service: {address}, proto: http, allowed_request_headers: [x-echo-status]{more}}}"
        )
    };
    let stack = Stack::builder()
        .backend("first")
        .await
        .backend_with(judge)
        .await
        .mapping("all", "/", "first")
        .file("authority.yaml", &authority)
        .object("TLSContext", "judge", "{ca_secret: judge-ca, sni: judge.test}")
        .object("AuthService", "own", &service("\"https://judge\"", ""))
        .start()
        .await;
    let sni = async || {
        let reply = post(&stack, "/", &[("x-echo-status", "401")], "").await;
        assert_eq!(reply.status, 401);
        reply.echo().tls.map(|session| session.sni)
    };
    assert_eq!(sni().await, Some(None), "by the scheme alone no name is sent");
    stack.put("AuthService", "own", &service("judge", ", tls: judge"));
    let named = |seen: &Option<Option<String>>| *seen == Some(Some("judge.test".to_owned()));
    until("the context is in use", sni, named).await;
}
