//! Mappings: what matches, in which order, and what reaches the backend.

use nuncio_integration_tests::{Client, Stack};
use reqwest::Method;

/// Two backends and Mappings that differ by everything a request has.
const MAPPINGS: &str = r#"
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: plain}
spec: {hostname: "*", prefix: /api/, service: first}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: longer}
spec: {hostname: "*", prefix: /api/v2/, service: second}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: header}
spec:
  hostname: "*"
  prefix: /api/
  service: second
  headers: {x-version: "2"}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: query}
spec:
  hostname: "*"
  prefix: /api/
  service: second
  query_parameters: {version: "2"}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: method}
spec: {hostname: "*", prefix: /api/, method: DELETE, service: second}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: exact}
spec: {hostname: "*", prefix: /exact, prefix_exact: true, rewrite: "", service: first}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: regex}
spec:
  hostname: "*"
  prefix: "/user/[0-9]+"
  prefix_regex: true
  rewrite: ""
  service: first
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: regex-rewrite}
spec:
  hostname: "*"
  prefix: /swap/
  regex_rewrite: {pattern: "/swap/([^/]+)/([^/]+)", substitution: '/\2/\1'}
  service: first
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: kept}
spec: {hostname: "*", prefix: /kept/, rewrite: /new/, service: first}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: named-host}
spec: {hostname: a.test, prefix: /host/, service: first}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: wild-host}
spec: {hostname: "*.b.test", prefix: /host/, service: second}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: urgent}
spec: {hostname: "*", prefix: /, precedence: 10, headers: {x-urgent: "1"}, service: second}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: moved}
spec:
  hostname: "*"
  prefix: /old/
  service: new.test
  host_redirect: true
  path_redirect: /there
  redirect_response_code: 307
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: edited}
spec:
  hostname: "*"
  prefix: /edited/
  service: first
  host_rewrite: rewritten.test
  add_request_headers: {x-added: {value: "yes"}}
  remove_request_headers: [x-secret]
  add_response_headers: {x-answer: {value: "42"}}
  remove_response_headers: [x-echo-backend]
"#;

async fn stack() -> Stack {
    let builder = Stack::builder().backend("first").await.backend("second").await;
    builder.file("mappings.yaml", MAPPINGS).start().await
}

#[tokio::test]
async fn requests_reach_the_backend_that_emissarys_rules_choose() {
    let stack = stack().await;
    let get = |path: &str| stack.request(Method::GET, path);
    let cases = [
        (get("/api/x"), "first", "/x"),
        (get("/api/v2/x"), "second", "/x"),
        (get("/api/x").header("x-version", "2"), "second", "/x"),
        (get("/api/x?version=2"), "second", "/x"),
        (stack.request(Method::DELETE, "/api/x"), "second", "/x"),
        (get("/exact"), "first", "/exact"),
        (get("/user/17"), "first", "/user/17"),
        (get("/swap/a/b"), "first", "/b/a"),
        (get("/kept/x"), "first", "/new/x"),
        (get("/host/x").header("host", "a.test"), "first", "/x"),
        (get("/host/x").header("host", "c.b.test"), "second", "/x"),
        (get("/api/x").header("x-urgent", "1"), "second", "/api/x"),
    ];
    for (request, backend, path) in cases {
        let asked = format!("{request:?}");
        let reply = Client::send(request).await.unwrap();
        assert_eq!(reply.status, 200, "{asked}");
        let answer = reply.echo();
        assert_eq!((answer.backend.as_str(), answer.path.as_str()), (backend, path), "{asked}");
    }
}

#[tokio::test]
async fn requests_that_no_mapping_matches_are_not_found() {
    let stack = stack().await;
    for path in ["/nothing", "/exact/more", "/user/x", "/host/x"] {
        assert_eq!(stack.get(path).await.unwrap().status, 404, "{path}");
    }
}

#[tokio::test]
async fn headers_are_edited_on_the_way_in_and_out() {
    let stack = stack().await;
    let request = stack.request(Method::GET, "/edited/").header("x-secret", "1");
    let reply = Client::send(request).await.unwrap();
    let answer = reply.echo();
    assert_eq!(answer.authority, "rewritten.test");
    assert_eq!(answer.header("x-added"), Some("yes"));
    assert_eq!(answer.header("x-secret"), None);
    assert_eq!(reply.header("x-answer"), Some("42"));
    assert_eq!(reply.header("x-echo-backend"), None);
}

#[tokio::test]
async fn redirects_answer_with_the_new_place() {
    let stack = stack().await;
    let reply = stack.get("/old/x").await.unwrap();
    assert_eq!(reply.status, 307);
    let location = reply.header("location").unwrap();
    assert!(location.ends_with("/there") && location.contains("new.test"), "{location}");
}

#[tokio::test]
async fn weights_share_requests_between_backends() {
    let canary = r#"
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: canary}
spec: {hostname: "*", prefix: /shared/, service: second, weight: 30}
"#;
    let builder = Stack::builder().backend("first").await.backend("second").await;
    let builder = builder.mapping("main", "/shared/", "first").file("canary.yaml", canary);
    let stack = builder.start().await;
    for _ in 0..300 {
        assert_eq!(stack.get("/shared/").await.unwrap().status, 200);
    }
    // Five standard deviations of 300 draws at 30 %.
    let share = stack.backend("second").requests();
    assert!((50..=130).contains(&share), "{share} of 300 requests, expected about 90");
    assert_eq!(stack.backend("first").requests() + share, 300);
}

#[tokio::test]
async fn a_failing_backend_is_tried_again_and_a_slow_one_is_given_up() {
    let mappings = r#"
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: retried}
spec:
  hostname: "*"
  prefix: /retried/
  service: first
  retry_policy: {retry_on: 5xx, num_retries: 3}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: slow}
spec: {hostname: "*", prefix: /slow/, service: first, timeout_ms: 200}
"#;
    let stack = Stack::builder().backend("first").await.file("m.yaml", mappings).start().await;
    assert_eq!(stack.get("/retried/?status=503").await.unwrap().status, 503);
    assert_eq!(stack.backend("first").requests(), 4);
    assert_eq!(stack.get("/slow/?delay-ms=5000").await.unwrap().status, 504);
}

#[tokio::test]
async fn cross_origin_requests_are_answered_as_the_mapping_says() {
    let mapping = r#"
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: cors}
spec:
  hostname: "*"
  prefix: /cors/
  service: first
  cors: {origins: ["https://a.test"], methods: [GET, PUT], max_age: "60", credentials: true}
"#;
    let stack = Stack::builder().backend("first").await.file("m.yaml", mapping).start().await;
    let preflight = |origin: &str| {
        let request = stack.request(Method::OPTIONS, "/cors/").header("origin", origin);
        request.header("access-control-request-method", "PUT")
    };
    let reply = Client::send(preflight("https://a.test")).await.unwrap();
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://a.test"));
    assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(stack.backend("first").requests(), 0);
    let reply = Client::send(preflight("https://b.test")).await.unwrap();
    assert_eq!(reply.header("access-control-allow-origin"), None);
}
