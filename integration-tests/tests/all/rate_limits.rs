//! Labels, RateLimit objects and the built-in rate-limit service.

use nuncio_integration_tests::{Client, Stack};
use reqwest::Method;

const LIMITED: &str = r#"
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: limited}
spec:
  hostname: "*"
  prefix: /limited/
  service: first
  labels:
    ambassador:
    - group:
      - request_headers: {key: user, header_name: x-user}
---
apiVersion: getambassador.io/v3alpha1
kind: RateLimit
metadata: {name: limit}
spec:
  domain: ambassador
  limits:
  - {pattern: [{user: "*"}], rate: 2, unit: day}
  - {pattern: [{user: banned}], rate: 0, unit: day}
"#;

async fn ask(stack: &Stack, user: &str) -> u16 {
    let request = stack.request(Method::GET, "/limited/").header("x-user", user);
    Client::send(request).await.unwrap().status
}

async fn limited() -> Stack {
    let builder = Stack::builder().backend("first").await.file("limited.yaml", LIMITED);
    builder.mapping("free", "/free/", "first").start().await
}

/// Users are told apart by a number, so that looks while the limit is not yet
/// in effect do not use it up.
async fn until_limited(stack: &Stack) {
    for attempt in 0.. {
        let user = format!("probe-{attempt}");
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(ask(stack, &user).await);
        }
        if statuses == [200, 200, 429] {
            return;
        }
        assert!(attempt < 200, "the limit never came into effect: {statuses:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn each_label_value_has_a_limit_of_its_own() {
    let stack = limited().await;
    until_limited(&stack).await;
    for user in ["alice", "bob"] {
        assert_eq!(ask(&stack, user).await, 200);
        assert_eq!(ask(&stack, user).await, 200);
        assert_eq!(ask(&stack, user).await, 429, "{user}'s third request");
    }
    assert_eq!(ask(&stack, "banned").await, 429);
    for _ in 0..10 {
        assert_eq!(stack.get("/free/").await.unwrap().status, 200);
        // Without the header there is no descriptor, hence no limit.
        assert_eq!(stack.get("/limited/").await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_changed_limit_takes_effect() {
    let stack = limited().await;
    until_limited(&stack).await;
    stack.files().write("limited.yaml", LIMITED.replace("rate: 2", "rate: 0"));
    let look = async || ask(&stack, "late").await;
    nuncio_integration_tests::until("everybody is refused", look, |status| *status == 429).await;
}
