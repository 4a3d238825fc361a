//! Bad input: every row of `docs/errors.md`. A clear message with object, field
//! and remedy; other objects unharmed; the last good state serves.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use nuncio_integration_tests::{Client, Process, Stack, binary, eventually, free_port, mapping};
use reqwest::Method;
use serde_json::Value;

/// A gateway with one good Mapping; what else is in the folder may be bad.
async fn beside(name: &str, text: &str) -> Stack {
    let builder = Stack::builder().backend("first").await.mapping("good", "/good/", "first");
    builder.file(name, text).start().await
}

/// Runs `nuncio check` on the stack's folder and returns its JSON report.
async fn report(stack: &Stack) -> Value {
    let process = Process::start(binary(), |command| {
        command.arg("check").arg(stack.files().objects());
        command.arg("--state").arg(stack.files().state()).args(["--format", "json"]);
    });
    let ended = process.ended().await;
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"))
}

/// Asserts that a bad file beside a good one is reported under `code`, with
/// object, field and remedy as far as each is known, and harms nothing.
/// Returns the finding.
async fn is_reported(name: &str, text: &str, code: &str, expected: &[&str]) -> Value {
    let stack = beside(name, text).await;
    assert_eq!(stack.get("/good/").await.unwrap().status, 200);
    let report = report(&stack).await;
    let found = report["diagnostics"].as_array().unwrap().iter().find(|found| {
        let text = found.to_string();
        found["code"] == code && expected.iter().all(|part| text.contains(part))
    });
    let found = found.unwrap_or_else(|| panic!("{code} with {expected:?} in {report:#}"));
    assert!(!found["remedy"].as_str().unwrap().is_empty(), "no remedy: {found}");
    assert_eq!(found["origin"]["file"], name, "{found}");
    assert!(found["origin"]["line"].as_u64().unwrap() > 0, "no line: {found}");
    found.clone()
}

/// Waits until the gateway's log says all of `parts` in one line.
async fn is_logged(stack: &mut Stack, parts: &[&str]) {
    let process = stack.process();
    eventually(&format!("{parts:?} is logged"), async || {
        let lines = process.stderr();
        lines.iter().any(|line| parts.iter().all(|part| line.contains(part))).then_some(())
    })
    .await;
}

fn object(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\n\
         spec: {spec}\n"
    )
}

#[tokio::test]
async fn text_that_is_not_yaml_is_reported_with_its_line() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: [\n";
    let found = is_reported("bad.yaml", text, "syntax", &["column"]).await;
    assert_eq!((&found["severity"], &found["origin"]["line"]), (&"error".into(), &4.into()));
}

#[tokio::test]
async fn a_wrong_type_is_reported_with_its_field() {
    let text = object("Mapping", "bad", "{hostname: \"*\", prefix: [1], service: a}");
    is_reported("bad.yaml", &text, "wrong-type", &["\"bad\"", "spec.prefix"]).await;
}

#[tokio::test]
async fn an_object_that_becomes_wrong_keeps_its_last_good_version() {
    let mut stack = beside("kept.yaml", &mapping("kept", "/kept/", "first")).await;
    assert_eq!(stack.get("/kept/").await.unwrap().status, 200);
    let wrong = object("Mapping", "kept", "{hostname: \"*\", prefix: [1], service: a}");
    stack.files().write("kept.yaml", format!("{wrong}---\n{}", mapping("next", "/next/", "first")));
    stack.until_status("/next/", 200).await;
    assert_eq!(stack.get("/kept/").await.unwrap().status, 200);
    is_logged(&mut stack, &["kept.yaml:4", "Mapping default/kept", "spec.prefix"]).await;
}

#[tokio::test]
async fn a_missing_field_is_reported() {
    let text = object("Mapping", "bad", "{hostname: \"*\", prefix: /bad/}");
    is_reported("bad.yaml", &text, "required-field", &["\"bad\"", "spec.service"]).await;
}

#[tokio::test]
async fn an_unknown_kind_of_our_group_is_reported() {
    let text = object("Maping", "bad", "{}");
    let found = is_reported("bad.yaml", &text, "unknown-kind", &["Maping"]).await;
    assert!(found["remedy"].as_str().unwrap().contains("`Mapping`"), "{found}");
}

#[tokio::test]
async fn an_unknown_field_is_a_warning_and_the_object_works() {
    let text =
        object("Mapping", "odd", "{hostname: \"*\", prefix: /odd/, service: first, pref: 1}");
    let stack = beside("odd.yaml", &text).await;
    assert_eq!(stack.get("/odd/").await.unwrap().status, 200);
    drop(stack);
    let found = is_reported("odd.yaml", &text, "unknown-field", &["\"odd\"", "spec.pref"]).await;
    assert_eq!(found["severity"], "warning");
}

#[tokio::test]
async fn what_has_no_effect_yet_is_said_and_harms_nothing() {
    let text = object("DevPortal", "portal", "{content: {url: https://example.com/a.git}}");
    let code = "dev-portal-not-supported";
    let found = is_reported("portal.yaml", &text, code, &["\"portal\""]).await;
    assert_eq!(found["severity"], "warning");
}

#[tokio::test]
async fn a_missing_secret_is_reported_and_harms_only_its_host() {
    let host = object("Host", "bad", "{hostname: bad.test, tlsSecret: {name: absent}}");
    let good =
        object("Host", "good", "{hostname: \"*\", requestPolicy: {insecure: {action: Route}}}");
    let text = format!("{host}---\n{good}");
    is_reported("hosts.yaml", &text, "host-without-tls", &["\"bad\"", "absent"]).await;
}

#[tokio::test]
async fn a_secret_without_a_key_is_reported() {
    let host = object("Host", "bad", "{hostname: bad.test, tlsSecret: {name: half}}");
    let good =
        object("Host", "good", "{hostname: \"*\", requestPolicy: {insecure: {action: Route}}}");
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: half}\n\
                  stringData: {tls.crt: none}\n";
    let text = [host, good, secret.to_owned()].join("---\n");
    is_reported("hosts.yaml", &text, "host-without-tls", &["\"bad\"", "half"]).await;
}

#[tokio::test]
async fn a_regular_expression_that_envoy_refuses_is_reported_first() {
    for pattern in ["'/(unclosed'", "'/(?=ahead)'"] {
        let spec =
            format!("{{hostname: \"*\", prefix: {pattern}, prefix_regex: true, service: a}}");
        let text = object("Mapping", "bad", &spec);
        is_reported("bad.yaml", &text, "invalid-regex", &["\"bad\"", "spec.prefix"]).await;
    }
}

#[tokio::test]
async fn a_bad_service_string_is_reported() {
    for service in ["a:port", "http://"] {
        let spec = format!("{{hostname: \"*\", prefix: /bad/, service: \"{service}\"}}");
        let text = object("Mapping", "bad", &spec);
        is_reported("bad.yaml", &text, "invalid-service", &["\"bad\"", "spec.service"]).await;
    }
}

#[tokio::test]
async fn two_objects_of_one_name_are_reported() {
    let stack = beside("a-twin.yaml", &mapping("good", "/other/", "first")).await;
    // By name of file the last one counts.
    assert_eq!(stack.get("/good/").await.unwrap().status, 200);
    assert_eq!(stack.get("/other/").await.unwrap().status, 404);
    let report = report(&stack).await;
    let found = &report["diagnostics"][0];
    assert_eq!((&found["code"], &report["errors"]), (&"duplicate-object".into(), &1.into()));
    let message = found["message"].as_str().unwrap();
    assert!(
        message.contains("a-twin.yaml:1") && message.contains("mapping-good.yaml:1"),
        "{found}"
    );
}

#[tokio::test]
async fn listeners_that_want_one_port_are_reported() {
    let port = free_port();
    let spec = format!(
        "{{port: {port}, protocol: HTTP, securityModel: XFP, hostBinding: {{namespace: {{from: ALL}}}}}}"
    );
    let text =
        format!("{}---\n{}", object("Listener", "one", &spec), object("Listener", "two", &spec));
    let code = "listener-port-conflict";
    is_reported("two-listeners.yaml", &text, code, &["\"two\"", "spec.port"]).await;
}

#[tokio::test]
async fn an_alias_bomb_is_reported_and_not_expanded() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        let many = vec![alias; 10].join(",");
        text.push_str(&format!("a{level}: &a{level} [{many}]\n"));
    }
    is_reported("bomb.yaml", &text, "too-large", &["too many values"]).await;
}

#[tokio::test]
async fn a_hundred_megabytes_of_yaml_are_refused_or_read_but_harm_nothing() {
    let line = "# a comment that goes on for a while and says nothing at all, as long as it is\n";
    let mut text = line.repeat((100 << 20) / line.len());
    text.push_str(&object("Mapping", "after", "{hostname: \"*\", prefix: /after/, service: 7}"));
    let stack = beside("huge.yaml", &text).await;
    assert_eq!(stack.get("/good/").await.unwrap().status, 200);
    stack.files().write("mapping-next.yaml", mapping("next", "/next/", "first"));
    stack.until_status("/next/", 200).await;
    let report = report(&stack).await;
    let found = &report["diagnostics"][0];
    assert_eq!(
        (&found["code"], &found["origin"]["file"]),
        (&"too-large".into(), &"huge.yaml".into())
    );
}

#[tokio::test]
async fn a_file_that_stops_parsing_keeps_its_last_good_objects() {
    let stack = beside("file.yaml", &mapping("kept", "/kept/", "first")).await;
    assert_eq!(stack.get("/kept/").await.unwrap().status, 200);
    stack.files().write("file.yaml", "spec: {prefix: [\n");
    stack.files().write("mapping-next.yaml", mapping("next", "/next/", "first"));
    stack.until_status("/next/", 200).await;
    assert_eq!(stack.get("/kept/").await.unwrap().status, 200);
    stack.files().write("file.yaml", mapping("kept", "/moved/", "first"));
    stack.until_status("/moved/", 200).await;
    assert_eq!(stack.get("/kept/").await.unwrap().status, 404);
}

#[tokio::test]
async fn what_a_broken_filter_guards_stays_closed() {
    let policy = object(
        "FilterPolicy",
        "p",
        "{rules: [{host: \"*\", path: /closed/*, filters: [{name: absent}]}]}",
    );
    let stack =
        beside("policy.yaml", &format!("{policy}---\n{}", mapping("closed", "/closed/", "first")))
            .await;
    assert!(stack.get("/closed/").await.unwrap().status >= 400);
    assert_eq!(stack.get("/good/").await.unwrap().status, 200);
    assert_eq!(stack.backend("first").requests(), 1);
}

#[tokio::test]
async fn unreachable_keys_refuse_tokens_and_nothing_else() {
    let dead = free_port();
    let filter = object(
        "Filter",
        "tokens",
        &format!("{{JWT: {{jwksURI: \"http://127.0.0.1:{dead}/keys\"}}}}"),
    );
    let policy = object(
        "FilterPolicy",
        "p",
        "{rules: [{host: \"*\", path: /closed/*, filters: [{name: tokens}]}]}",
    );
    let text = [filter, policy, mapping("closed", "/closed/", "first")].join("---\n");
    let mut stack = beside("tokens.yaml", &text).await;
    let request = stack.request(Method::GET, "/closed/");
    let token = "eyJhbGciOiJFUzI1NiIsImtpZCI6Im9uZSJ9.eyJzdWIiOiJhIn0.AAAA";
    let request = request.header("authorization", format!("Bearer {token}"));
    let reply = Client::send(request).await.unwrap();
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(stack.get("/good/").await.unwrap().status, 200);
    assert_eq!(stack.backend("first").requests(), 1);
    is_logged(&mut stack, &["WARN nuncio_auth", &format!("127.0.0.1:{dead}"), "fetched"]).await;
}

#[tokio::test]
async fn a_port_in_use_is_named_when_the_gateway_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let stack = Stack::builder().argument("--admin-address").argument(&address).launch();
    let (process, _files, _backends) = stack.into_parts();
    let ended = process.ended().await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains(&address) && ended.stderr.contains("in use"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_listeners_port_in_use_is_reported_and_the_other_listeners_serve() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let spec = format!(
        "{{port: {port}, protocol: HTTP, securityModel: XFP, hostBinding: {{namespace: {{from: ALL}}}}}}"
    );
    let mut stack = beside("listener.yaml", &object("Listener", "taken", &spec)).await;
    assert_eq!(stack.get("/good/").await.unwrap().status, 200);
    is_logged(&mut stack, &["taken", &port.to_string()]).await;
}

#[tokio::test]
async fn a_missing_envoy_and_a_wrong_one_are_named() {
    let stack = Stack::builder().argument("--envoy").argument("/nowhere/envoy").launch();
    let (process, _files, _backends) = stack.into_parts();
    let ended = process.ended().await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended.stderr.contains("/nowhere/envoy") && ended.stderr.contains("--envoy"),
        "{}",
        ended.stderr
    );

    let stack = Stack::builder().argument("--envoy").argument("/bin/true").launch();
    let (process, _files, _backends) = stack.into_parts();
    let ended = process.ended().await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("is not Envoy"), "{}", ended.stderr);

    let stack = Stack::builder();
    let old = stack.files().aside("envoy");
    std::fs::write(&old, "#!/bin/sh\necho 'envoy  version: 0a1b/1.36.0/Clean/RELEASE/BoringSSL'\n")
        .unwrap();
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o755)).unwrap();
    let stack = stack.argument("--envoy").argument(old).launch();
    let (process, _files, _backends) = stack.into_parts();
    let ended = process.ended().await;
    assert_eq!(ended.status.code(), Some(1));
    let told = ["is version 1.36.0", "1.37 to 1.40", "--envoy"];
    assert!(told.iter().all(|part| ended.stderr.contains(part)), "{}", ended.stderr);
}

#[tokio::test]
async fn an_envoy_that_ends_by_itself_is_started_again() {
    let mut stack =
        Stack::builder().backend("first").await.mapping("m", "/", "first").start().await;
    let started = stack.process().stderr();
    let pid = started.iter().find_map(|line| line.split_once("envoy started pid="));
    let pid = pid.unwrap().1.split(' ').next().unwrap().to_owned();
    let killed = std::process::Command::new("kill").args(["-s", "KILL", &pid]).status().unwrap();
    assert!(killed.success());
    is_logged(&mut stack, &["envoy ended by itself", "restart_in"]).await;
    let again = async || stack.get("/").await.filter(|reply| reply.status == 200);
    eventually("the next Envoy serves", again).await;
}

#[tokio::test]
async fn an_acme_directory_out_of_reach_is_told_and_harms_only_its_host() {
    let dead = free_port();
    let host = format!(
        "{{hostname: acme.test, acmeProvider: {{authority: \"https://127.0.0.1:{dead}/dir\"}}}}"
    );
    let good =
        object("Host", "good", "{hostname: \"*\", requestPolicy: {insecure: {action: Route}}}");
    let mut stack =
        beside("hosts.yaml", &format!("{}---\n{good}", object("Host", "bad", &host))).await;
    assert_eq!(stack.get("/good/").await.unwrap().status, 200);
    let path = stack.files().state().join("status/Host/default/bad.json");
    let told = async || {
        let status: Value = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        (status["state"] == "Error").then_some(status)
    };
    let status = eventually("the Host's status tells it", told).await;
    assert!(status["errorReason"].as_str().unwrap().contains("onnect"), "{status}");
    assert_eq!(status["errorBackoff"], "5s", "{status}");
    is_logged(&mut stack, &["nuncio_certificates", "account not opened", &dead.to_string()]).await;
}

#[tokio::test]
async fn redis_that_is_down_lets_requests_pass_until_it_is_up() {
    let mut redis = nuncio_testing::redis::Redis::start().unwrap();
    let url = redis.url();
    redis.stop();
    let limited = r#"
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: limited}
spec:
  hostname: "*"
  prefix: /limited/
  service: first
  labels: {ambassador: [{group: [{generic_key: {value: all}}]}]}
---
apiVersion: getambassador.io/v3alpha1
kind: RateLimit
metadata: {name: limit}
spec: {domain: ambassador, limits: [{pattern: [{generic_key: all}], rate: 0, unit: day}]}
"#;
    let builder = Stack::builder().backend("first").await.file("limited.yaml", limited);
    let mut stack = builder.argument("--redis").argument(url).start().await;
    assert_eq!(stack.get("/limited/").await.unwrap().status, 200);
    is_logged(&mut stack, &["redis is unreachable"]).await;
    redis.restart().unwrap();
    stack.until_status("/limited/", 429).await;
    is_logged(&mut stack, &["redis is answering"]).await;
    redis.stop();
    stack.until_status("/limited/", 200).await;
    is_logged(&mut stack, &["redis is not answering"]).await;
}
