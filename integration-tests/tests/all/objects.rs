//! Which objects count, where they may stand, and what becomes of bad ones.

use nuncio_integration_tests::{Stack, free_port, mapping};
use serde_json::Value;

#[tokio::test]
async fn a_gateway_without_any_object_is_ready_and_routes_nothing() {
    let stack = Stack::builder().without_listeners().start().await;
    let ready = stack.ask_admin("/ambassador/v0/check_ready").await;
    assert_eq!(ready.status, 200);
    assert!(stack.get("/").await.is_none(), "nobody listens without a Listener");
    stack.put(
        "Listener",
        "late",
        &format!(
            "{{port: {}, protocol: HTTP, securityModel: XFP, hostBinding: {{namespace: {{from: ALL}}}}}}",
            stack.http().port()
        ),
    );
    stack.until_status("/", 404).await;
}

#[tokio::test]
async fn envoys_readiness_has_a_port_of_its_own() {
    let port = free_port();
    let builder = Stack::builder().argument("--envoy-ready").argument(format!("127.0.0.1:{port}"));
    let stack = builder.start().await;
    let reply = stack.client().get(&format!("http://127.0.0.1:{port}/ready")).await.unwrap();
    assert_eq!(reply.status, 200);
    let other = stack.client().get(&format!("http://127.0.0.1:{port}/other")).await.unwrap();
    assert_eq!(other.status, 404);
}

#[tokio::test]
async fn objects_are_for_the_gateways_that_their_ids_name() {
    let spec = |id: &str, prefix: &str| {
        format!("{{{id}hostname: \"*\", prefix: /{prefix}/, service: first}}")
    };
    let listener = |id: &str, port: u16| {
        format!(
            "{{ambassador_id: [{id}], port: {port}, protocol: HTTP, securityModel: XFP, \
             hostBinding: {{namespace: {{from: ALL}}}}}}"
        )
    };
    let (ours, theirs) = (free_port(), free_port());
    let stack = Stack::builder()
        .without_listeners()
        .with_http_port(ours)
        .environment("AMBASSADOR_ID", "blue")
        .backend("first")
        .await
        .object("Listener", "ours", &listener("blue", ours))
        .object("Listener", "theirs", &listener("red", theirs))
        .object("Mapping", "one", &spec("ambassador_id: [blue], ", "one"))
        .object("Mapping", "several", &spec("ambassador_id: [red, blue], ", "several"))
        .object("Mapping", "other", &spec("ambassador_id: [red], ", "other"))
        .object("Mapping", "silent", &spec("", "silent"))
        .object("Mapping", "automatic", &spec("ambassador_id: [_automatic_], ", "automatic"))
        .object("Mapping", "alias", &spec("ambassadorId: [blue], ", "alias"))
        .start()
        .await;
    let expected = [
        ("one", 200),
        ("several", 200),
        ("other", 404),
        ("silent", 404),
        ("automatic", 200),
        ("alias", 200),
    ];
    for (path, status) in expected {
        assert_eq!(stack.get(&format!("/{path}/")).await.unwrap().status, status, "{path}");
    }
    assert!(stack.client().get(&format!("http://127.0.0.1:{theirs}/")).await.is_none());
}

#[tokio::test]
async fn bad_objects_are_reported_by_key_while_good_ones_route() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("good", "/good/", "first")
        .object("Mapping", "no-prefix", r#"{hostname: "*", service: first}"#)
        .object("Mapping", "bad-type", r#"{hostname: "*", prefix: /type/, service: first, timeout_ms: soon}"#)
        .object("Mapping", "bad-port", r#"{hostname: "*", prefix: /port/, service: "first:80.invalid"}"#)
        .object("Mapping", "bad-host", r#"{host: "*.test", prefix: /host/, service: first}"#)
        .object("Mapping", "bad-retry", r#"{hostname: "*", prefix: /retry/, service: first, retry_policy: {retry_on: whenever}}"#)
        .object("TCPMapping", "no-port", "{service: first}")
        .start()
        .await;
    assert_eq!(stack.get("/good/").await.unwrap().status, 200);
    for path in ["/type/", "/host/", "/retry/"] {
        assert_eq!(stack.get(path).await.unwrap().status, 404, "{path}");
    }
    let errors = stack.ask_admin("/ambassador/v0/diag/?json=true&filter=errors").await.body;
    let errors: Value = serde_json::from_str(&errors).unwrap();
    let of = |key: &str| -> String {
        let all = errors.as_array().unwrap().iter();
        let texts = all.filter(|error| error[0] == key).filter_map(|error| error[1].as_str());
        texts.collect::<Vec<_>>().join("\n")
    };
    for (key, text) in [
        ("no-prefix.default.1", "spec.prefix in body is required"),
        ("bad-type.default.1", "spec.timeout_ms in body must be of type"),
        ("bad-port.default.1", "found invalid port for service"),
        ("bad-host.default.1", "cannot hold"),
        ("bad-retry.default.1", "retry_on"),
        ("no-port.default.1", "spec.port in body is required"),
    ] {
        assert!(of(key).contains(text), "{key} should say {text}: {errors:#}");
    }
}

#[tokio::test]
async fn objects_in_annotations_are_like_any_other() {
    let service = r#"
apiVersion: v1
kind: Service
metadata:
  name: annotated
  namespace: default
  annotations:
    getambassador.io/config: |
      apiVersion: getambassador.io/v3alpha1
      kind: Mapping
      name: flat
      hostname: "*"
      prefix: /flat/
      service: first
      ---
      apiVersion: getambassador.io/v3alpha1
      kind: Mapping
      metadata: {name: nested}
      spec: {hostname: "*", prefix: /nested/, service: first}
      ---
      apiVersion: ambassador/v1
      kind: Mapping
      name: old
      prefix: /old/
      service: first
      ---
      apiVersion: getambassador.io/v2
      kind: Mapping
      name: older-header
      prefix: /present/
      headers: {x-present: true}
      service: first
      ---
      apiVersion: getambassador.io/v3alpha1
      kind: Mapping
      name: bad
      hostname: "*"
      service: first
spec:
  ports: [{name: http, port: 80}]
"#;
    let builder = Stack::builder().backend("first").await;
    let stack = builder.file("service.yaml", service).start().await;
    for path in ["/flat/", "/nested/", "/old/"] {
        assert_eq!(stack.get(path).await.unwrap().status, 200, "{path}");
    }
    assert_eq!(stack.get("/present/").await.unwrap().status, 404);
    let request = stack.request(reqwest::Method::GET, "/present/").header("x-present", "any");
    assert_eq!(nuncio_integration_tests::Client::send(request).await.unwrap().status, 200);
    let errors = stack.ask_admin("/ambassador/v0/diag/?json=true&filter=errors").await.body;
    assert!(errors.contains("annotated.default.5"), "{errors}");
}

#[tokio::test]
async fn host_headers_and_precedence_decide_between_mappings() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .backend("second")
        .await
        .mapping("any", "/", "first")
        .object("Mapping", "host", "{host: exact.test, prefix: /, service: second}")
        .object("Mapping", "authority", r#"{headers: {":authority": by-header.test}, prefix: /, service: second}"#)
        .object("Mapping", "suffix", r#"{hostname: "*.suffix.test", prefix: /, service: second}"#)
        .object("Mapping", "first-of-all", r#"{hostname: "*", prefix: /, precedence: 1, headers: {x-first: "1"}, service: second}"#)
        .object("Mapping", "methods", r#"{hostname: "*", prefix: /, method: "PUT|PATCH", method_regex: true, service: second}"#)
        .start()
        .await;
    for (host, backend) in [
        ("exact.test", "second"),
        ("by-header.test", "second"),
        ("a.suffix.test", "second"),
        ("suffix.test", "first"),
        ("other.test", "first"),
    ] {
        assert_eq!(stack.get_host(host, "/x").await.echo().backend, backend, "{host}");
    }
    let send = nuncio_integration_tests::Client::send;
    let put = send(stack.request(reqwest::Method::PUT, "/longer/path")).await.unwrap();
    assert_eq!(put.echo().backend, "second");
    let post = send(stack.request(reqwest::Method::POST, "/longer/path")).await.unwrap();
    assert_eq!(post.echo().backend, "first");
}

#[tokio::test]
async fn many_mappings_come_and_go_at_once() {
    let all = |count: usize| {
        let one = |number| mapping(&format!("m-{number}"), &format!("/m-{number}/"), "first");
        (0..count).map(one).collect::<Vec<_>>().join("---\n")
    };
    let builder = Stack::builder().backend("first").await.file("many.yaml", &all(300));
    let stack = builder.start().await;
    for number in [0, 150, 299] {
        assert_eq!(stack.get(&format!("/m-{number}/")).await.unwrap().status, 200, "{number}");
    }
    stack.files().write("many.yaml", all(100));
    stack.until_status("/m-299/", 404).await;
    assert_eq!(stack.get("/m-99/").await.unwrap().status, 200);
    stack.files().remove("many.yaml");
    stack.until_status("/m-0/", 404).await;
    stack.files().write("many.yaml", all(300));
    stack.until_status("/m-299/", 200).await;
}

#[tokio::test]
async fn a_bad_setting_of_the_module_takes_no_other_along() {
    let module = r#"{ip_allow: [{peer: 192.0.2.0/24}], server_name: kept, envoy_log_format: "%REQ(",
        load_balancer: {policy: magic}, defaults: {remove_request_headers: [host]}}"#;
    let builder = Stack::builder().backend("first").await.mapping("m", "/m/", "first");
    let stack = builder.module(module).start().await;
    let reply = stack.get("/m/").await.unwrap();
    assert_eq!((reply.status, reply.header("server")), (403, Some("kept")));
    stack.put_module("{server_name: corrected}");
    assert_eq!(stack.until_status("/m/", 200).await.header("server"), Some("corrected"));
}
