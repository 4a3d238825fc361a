//! Bodies of error answers: the Module's, a Mapping's, none.

use nuncio_integration_tests::{Client, Reply, Stack, until};
use reqwest::Method;

/// A Module with bodies, Mappings with their own, one that wants none, and one
/// to a service that is not there.
const OVERRIDES: &str = r#"
apiVersion: getambassador.io/v3alpha1
kind: Module
metadata: {name: ambassador}
spec:
  config:
    error_response_overrides:
    - on_status_code: 401
      body: {text_format: "who are you?"}
    - on_status_code: 404
      body: {content_type: text/html, text_format_source: {filename: pages/404.html}}
    - on_status_code: 503
      body: {json_format: {error: down, status: "%RESPONSE_CODE%"}}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: plain}
spec: {hostname: "*", prefix: /plain/, service: first}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: own}
spec:
  hostname: "*"
  prefix: /own/
  service: first
  error_response_overrides:
  - {on_status_code: 404, body: {text_format: "own %RESPONSE_CODE%, 100%%"}}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: bypass}
spec: {hostname: "*", prefix: /bypass/, service: first, bypass_error_response_overrides: true}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: down}
spec: {hostname: "*", prefix: /down/, service: "127.0.0.1:1"}
"#;

async fn stack() -> Stack {
    let builder = Stack::builder().backend("first").await;
    let builder = builder.file("pages/404.html", "<h1>%RESPONSE_CODE%: nothing here</h1>\n");
    builder.file("overrides.yaml", OVERRIDES).start().await
}

async fn ask(stack: &Stack, path: &str) -> Reply {
    stack.get(path).await.expect("the gateway answers")
}

#[tokio::test]
async fn error_answers_have_the_bodies_that_were_asked_for() {
    let stack = stack().await;
    // (path, status, content type, body); an empty body means the service's own.
    let cases = [
        ("/nowhere", 404, "text/html", "<h1>404: nothing here</h1>\n"),
        ("/plain/?status=404", 404, "text/html", "<h1>404: nothing here</h1>\n"),
        ("/plain/?status=401", 401, "text/plain", "who are you?"),
        ("/plain/?status=500", 500, "application/json", ""),
        ("/plain/", 200, "application/json", ""),
        ("/down/", 503, "application/json", "{\"error\":\"down\",\"status\":503}\n"),
        ("/own/?status=404", 404, "text/plain", "own 404, 100%"),
        // Rules of a Mapping replace all of the Module's.
        ("/own/?status=401", 401, "application/json", ""),
        ("/bypass/?status=404", 404, "application/json", ""),
    ];
    for (path, status, content_type, body) in cases {
        let reply = ask(&stack, path).await;
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(reply.header("content-type"), Some(content_type), "{path}");
        if body.is_empty() {
            assert_eq!(reply.echo().backend, "first", "{path}");
        } else {
            assert_eq!(reply.body, body, "{path}");
        }
    }
}

#[tokio::test]
async fn headers_that_a_client_needs_survive_another_body() {
    let stack = stack().await;
    for path in ["/plain/?status=401", "/own/?status=404"] {
        let request = stack.request(Method::GET, path);
        let wish = request.header("x-echo-header", "www-authenticate: Bearer realm=\"a, b\"");
        let reply = Client::send(wish).await.unwrap();
        assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"a, b\""), "{path}");
        assert_eq!(reply.header("retry-after"), None, "{path}");
    }
}

#[tokio::test]
async fn a_mapping_alone_can_have_other_bodies() {
    let builder = Stack::builder().backend("first").await.mapping("plain", "/plain/", "first");
    let stack = builder.start().await;
    let own = OVERRIDES.split("---\n").find(|text| text.contains("name: own")).unwrap();
    stack.files().write("own.yaml", own);
    let what = "the Mapping's body comes into effect";
    let look = async || ask(&stack, "/own/?status=404").await.body;
    until(what, look, |body| body == "own 404, 100%").await;
    assert_eq!(ask(&stack, "/plain/?status=404").await.echo().backend, "first");
}

#[tokio::test]
async fn a_changed_page_takes_effect() {
    let stack = stack().await;
    assert!(ask(&stack, "/nowhere").await.body.contains("nothing here"));
    stack.files().write("pages/404.html", "another page");
    let look = async || ask(&stack, "/nowhere").await.body;
    until("the new page is served", look, |body| body == "another page").await;
}
