//! `nuncio explain` against Envoy: the same requests, the same answers.

use std::collections::BTreeSet;

use nuncio_integration_tests::{Client, Process, Reply, Stack, binary, envoy_version};
use reqwest::Method;
use serde_json::Value;

/// Conditions of every kind, several of them true of one request.
const MAPPINGS: &str = r#"
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: any}
spec: {hostname: "*", requestPolicy: {insecure: {action: Route}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: named}
spec: {hostname: named.test, requestPolicy: {insecure: {action: Redirect}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: wild}
spec: {hostname: "*.wild.test", requestPolicy: {insecure: {action: Route}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: base}
spec: {hostname: "*", prefix: /api/, service: first}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: longer}
spec: {hostname: "*", prefix: /api/v2/, rewrite: /second/, service: second}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: header}
spec: {hostname: "*", prefix: /api/, headers: {x-a: "1"}, service: second}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: header-regex}
spec: {hostname: "*", prefix: /api/, regex_headers: {x-b: "[0-9]+"}, service: second}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: query}
spec: {hostname: "*", prefix: /api/, query_parameters: {v: "2"}, service: second}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: method}
spec: {hostname: "*", prefix: /api/, method: PUT, service: second}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: exact}
spec: {hostname: "*", prefix: /exact, prefix_exact: true, service: first}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: pattern}
spec: {hostname: "*", prefix: "/p/[a-z]+/x", prefix_regex: true, rewrite: /flat, service: first}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: any-case}
spec: {hostname: "*", prefix: /Case/, case_sensitive: false, rewrite: /c/, service: first}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: swap}
spec:
  hostname: "*"
  prefix: /swap/
  regex_rewrite: {pattern: "^/swap/([^/]+)/(.*)$", substitution: '/\2/\1'}
  service: second
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: hosted}
spec: {hostname: a.wild.test, prefix: /hosted/, host_rewrite: inner.test, service: second}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: moved}
spec:
  hostname: "*"
  prefix: /moved/
  service: there.test
  host_redirect: true
  prefix_redirect: /new/
  redirect_response_code: 308
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: first-of-all}
spec: {hostname: "*", prefix: /api/, precedence: 5, headers: {x-first: "1"}, service: first}
"#;

/// Method, path and headers of the requests.
type Asked = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const REQUESTS: &[Asked] = &[
    ("GET", "/api/x", &[]),
    ("GET", "/api/x?v=2", &[]),
    ("GET", "/api/x?v=2&v=3", &[]),
    ("GET", "/api/x?w=2", &[]),
    ("GET", "/api/v2/x?y=z", &[]),
    ("PUT", "/api/x", &[]),
    ("GET", "/api/x", &[("x-a", "1")]),
    ("GET", "/api/x", &[("x-a", "2")]),
    ("GET", "/api/x", &[("x-a", "1"), ("x-a", "2")]),
    ("GET", "/api/x", &[("x-a", "2"), ("x-a", "1")]),
    ("GET", "/api/x", &[("x-b", "a"), ("x-b", "17")]),
    ("GET", "/api/x", &[("x-b", "17")]),
    ("GET", "/api/x", &[("x-b", "17a")]),
    ("PUT", "/api/v2/x", &[("x-a", "1"), ("x-first", "1")]),
    ("GET", "/exact", &[]),
    ("GET", "/exact?x", &[]),
    ("GET", "/exact/", &[]),
    ("GET", "/p/abc/x", &[]),
    ("GET", "/p/abc/x/y", &[]),
    ("GET", "/cASE/x", &[]),
    ("GET", "/swap/a/b/c?d", &[]),
    ("GET", "/hosted/x", &[("host", "a.wild.test")]),
    ("GET", "/hosted/x", &[("host", "A.wild.test")]),
    ("GET", "/hosted/x", &[("host", "b.wild.test")]),
    ("GET", "/api/x", &[("host", "named.test")]),
    ("GET", "/none", &[("host", "named.test")]),
    ("GET", "/moved/x?y", &[]),
    ("GET", "/none", &[]),
    ("GET", "/", &[]),
];

/// Requests whose outcome is the same in the Envoy at hand: an older one joins
/// the values of a repeated header before it compares them, ours compares each.
async fn requests() -> Vec<&'static Asked> {
    let joins = envoy_version().await.minor < 40;
    let repeats = |asked: &Asked| {
        let names: BTreeSet<&str> = asked.2.iter().map(|(name, _)| *name).collect();
        names.len() < asked.2.len()
    };
    REQUESTS.iter().filter(|asked| !joins || !repeats(asked)).collect()
}

async fn explained(stack: &Stack, asked: &Asked) -> Value {
    let (method, path, headers) = asked;
    let process = Process::start(binary(), |command| {
        command.arg("explain").arg(stack.files().objects());
        command.arg("--state").arg(stack.files().state());
        command.arg(method).arg(format!("http://{}{path}", stack.http()));
        for (name, value) in *headers {
            command.arg("-H").arg(format!("{name}: {value}"));
        }
        command.args(["--format", "json"]);
    });
    let ended = process.ended().await;
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"))
}

async fn sent(stack: &Stack, asked: &Asked) -> Reply {
    let (method, path, headers) = asked;
    let mut request = stack.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
    for (name, value) in *headers {
        request = request.header(*name, *value);
    }
    Client::send(request).await.unwrap()
}

fn assert_agree(asked: &Asked, explained: &Value, reply: &Reply) {
    let context = format!("{asked:?}\nexplained: {explained:#}\nenvoy: {reply:?}");
    if !explained["stopped"].is_null() {
        assert_eq!(explained["stopped"]["status"], reply.status, "{context}");
        return;
    }
    let action = &explained["outcomes"][0]["action"];
    if let Some(forward) = action.get("forward") {
        assert_eq!(reply.status, 200, "{context}");
        let answer = reply.echo();
        let cluster = forward["cluster"].as_str().unwrap();
        assert!(cluster.contains(&answer.backend), "{context}");
        let query =
            if answer.query.is_empty() { String::new() } else { format!("?{}", answer.query) };
        assert_eq!(forward["path"], format!("{}{query}", answer.path), "{context}");
        assert_eq!(forward["authority"], answer.authority, "{context}");
    } else if let Some(redirect) = action.get("redirect") {
        assert_eq!(redirect["status"], reply.status, "{context}");
        assert_eq!(redirect["location"], reply.header("location").unwrap_or_default(), "{context}");
    } else {
        assert_eq!(action["respond"]["status"], reply.status, "{context}");
    }
}

#[tokio::test]
async fn explain_says_what_envoy_does() {
    let builder = Stack::builder().backend("first").await.backend("second").await;
    let stack = builder.file("mappings.yaml", MAPPINGS).start().await;
    for asked in requests().await {
        let (explained, reply) = (explained(&stack, asked).await, sent(&stack, asked).await);
        assert_agree(asked, &explained, &reply);
    }
}

#[tokio::test]
async fn explain_says_what_envoy_does_when_routes_are_indexed() {
    let builder = Stack::builder().backend("first").await.backend("second").await;
    // Enough Mappings for the route table to become a tree.
    let many: Vec<_> = (0..200)
        .map(|number| {
            let prefix = format!("/many/{number}/");
            nuncio_integration_tests::mapping(&format!("many-{number}"), &prefix, "second")
        })
        .collect();
    let builder = builder.file("many.yaml", &many.join("---\n"));
    let stack = builder.file("mappings.yaml", MAPPINGS).start().await;
    let more: &[Asked] = &[("GET", "/many/17/x", &[]), ("GET", "/many/200/", &[])];
    for asked in requests().await.into_iter().chain(more) {
        let (explained, reply) = (explained(&stack, asked).await, sent(&stack, asked).await);
        assert_agree(asked, &explained, &reply);
    }
}

#[tokio::test]
async fn near_misses_name_the_condition_that_failed() {
    let builder = Stack::builder().backend("first").await.backend("second").await;
    let stack = builder.file("mappings.yaml", MAPPINGS).start().await;
    let explained = explained(&stack, &("GET", "/api/x", &[("x-a", "2")])).await;
    let misses = explained["near_misses"].as_array().unwrap();
    let header = misses.iter().find(|miss| miss["failed"].to_string().contains("header x-a is 1"));
    assert!(header.unwrap()["failed"].to_string().contains("has 2"), "{misses:#?}");
    assert_eq!(explained["outcomes"][0]["share"], 100);
}
