//! Labels, RateLimit objects and the built-in rate-limit service.

use nuncio_integration_tests::{Client, Files, Process, Stack, eventually, free_port, services};
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

/// A rate-limit service alone, with limits from a file and counters in Redis.
async fn service(files: &Files, redis: &str) -> (Process, String) {
    let (http, admin) = (free_port(), free_port());
    let process = Process::start(&services().join("nuncio-ratelimit"), |command| {
        command.args(["--grpc-host=127.0.0.1", "--grpc-port=0", "--http-host=127.0.0.1"]);
        command.arg(format!("--http-port={http}")).arg("--admin-host=127.0.0.1");
        command.arg(format!("--admin-port={admin}"));
        command.arg("--runtime-root").arg(files.objects()).arg("--redis").arg(redis);
        // The deadline is not what this is about, and the machine may be busy.
        command.arg("--store-deadline=10s");
    });
    let url = format!("http://127.0.0.1:{http}/json");
    let free = async || {
        let body = descriptor("free").to_string();
        let request = Client::new().request(Method::POST, &url).body(body);
        Client::send(request).await.filter(|reply| reply.status == 200)
    };
    eventually("the service counts in Redis", free).await;
    (process, url)
}

fn descriptor(key: &str) -> serde_json::Value {
    serde_json::json!({"domain": "d", "descriptors": [{"entries": [{"key": key, "value": "v"}]}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_on_one_redis_admit_exactly_the_limit() {
    const LIMIT: usize = 100;
    const CALLERS: usize = 10;
    let redis = nuncio_testing::redis::Redis::start().unwrap();
    let files = Files::new();
    let limit = |key: &str, limit: usize| {
        format!("- {{key: {key}, rate_limit: {{unit: year, requests_per_unit: {limit}}}}}\n")
    };
    let limits = [limit("shared", LIMIT), limit("free", 1_000_000)].concat();
    files.write("config/limits.yaml", format!("domain: d\ndescriptors:\n{limits}"));
    let (_one, one) = service(&files, &redis.url()).await;
    let (_two, two) = service(&files, &redis.url()).await;
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let url = [&one, &two][caller % 2].clone();
            tokio::spawn(async move {
                let (client, body) = (Client::new(), descriptor("shared").to_string());
                let mut admitted = 0;
                for _ in 0..LIMIT / CALLERS * 2 {
                    let request = client.request(Method::POST, &url).body(body.clone());
                    match Client::send(request).await.unwrap().status {
                        200 => admitted += 1,
                        status => assert_eq!(status, 429),
                    }
                }
                admitted
            })
        })
        .collect();
    let mut admitted = 0;
    for caller in callers {
        admitted += caller.await.unwrap();
    }
    assert_eq!(admitted, LIMIT);
}
