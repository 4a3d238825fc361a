//! Each service as a program of its own, beside an Envoy that knows nothing
//! but its bootstrap: the gateway as it runs in a cluster.

use nuncio_integration_tests::{
    Backend, Client, Files, Parts, Process, free_port, listener, mapping, services, until,
};
use reqwest::Method;

const POLICY: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {alice: key-of-alice}
---
apiVersion: getambassador.io/v3alpha1
kind: Filter
metadata: {name: keys}
spec: {APIKey: {keys: [{secretName: keys}]}}
---
apiVersion: getambassador.io/v3alpha1
kind: FilterPolicy
metadata: {name: policy}
spec: {rules: [{host: "*", path: /keys/*, filters: [{name: keys}]}]}
---
apiVersion: getambassador.io/v3alpha1
kind: RateLimit
metadata: {name: limit}
spec: {domain: ambassador, limits: [{pattern: [{generic_key: none}], rate: 0, unit: day}]}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: limited}
spec:
  hostname: "*"
  prefix: /limited/
  service: first
  labels: {ambassador: [{group: [{generic_key: {value: none}}]}]}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: all}
spec: {hostname: "*", requestPolicy: {insecure: {action: Route}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: acme}
spec: {hostname: acme.test, acmeProvider: {authority: "https://127.0.0.1:1/dir"}}
"#;

#[tokio::test]
async fn four_programs_and_an_envoy_make_a_gateway() {
    let files = Files::new();
    let backend = Backend::start(nuncio::echo::Options::named("first")).await;
    let port = free_port();
    files.write("backend.yaml", backend.manifest());
    files.write("listener.yaml", listener("http", port, "HTTP"));
    files.write("policy.yaml", POLICY);
    files.write("open.yaml", mapping("open", "/open/", "first"));
    files.write("keys.yaml", mapping("keys", "/keys/", "first"));
    let mut parts = Parts::start(&files, &[]).await;
    let client = Client::new();
    let ask = async |path: &str, key: Option<&str>| {
        let request = client.request(Method::GET, &format!("http://127.0.0.1:{port}{path}"));
        let request = key.into_iter().fold(request, |it, key| it.header("x-api-key", key));
        Client::send(request).await.map_or(0, |reply| reply.status)
    };
    let is = |status: u16| move |seen: &u16| *seen == status;
    until("the control plane routes", async || ask("/open/", None).await, is(200)).await;
    until("ratelimit limits", async || ask("/limited/", None).await, is(429)).await;
    until("auth lets a key in", async || ask("/keys/", Some("key-of-alice")).await, is(200)).await;
    assert_eq!(ask("/keys/", Some("another")).await, 403);
    let challenge = "/.well-known/acme-challenge/DGyRejmCefe7v4NfDGDKfA";
    assert_eq!(ask(challenge, None).await, 404, "certificates answers that it knows no token");
    let (asked, metrics) = (parts.admin("nuncio-certificates"), "challenge_requests_total");
    let numbers = client.get(&format!("http://{asked}/metrics")).await.unwrap().body;
    let counted = numbers.lines().any(|line| line.contains(metrics) && line.contains("404"));
    assert!(counted, "{numbers}");

    // Without the control plane Envoy and the others go on as they are.
    assert_eq!(parts.stop("nuncio-control-plane").await, Some(0));
    assert_eq!(ask("/open/", None).await, 200);
    assert_eq!(ask("/limited/", None).await, 429);
    assert_eq!(ask("/keys/", Some("key-of-alice")).await, 200);
    // Envoy's failure modes: what cannot be counted passes, what cannot be
    // judged does not.
    assert_eq!(parts.stop("nuncio-ratelimit").await, Some(0));
    until("nothing is limited", async || ask("/limited/", None).await, is(200)).await;
    assert_eq!(parts.stop("nuncio-auth").await, Some(0));
    let guarded = async || ask("/keys/", Some("key-of-alice")).await;
    until("the guarded path is closed", guarded, |seen| *seen >= 400).await;
    assert_eq!(parts.stop("nuncio-certificates").await, Some(0));
}

#[tokio::test]
async fn a_service_without_what_it_needs_says_what_to_set() {
    let cases: [(&str, &[&str], &str); 6] = [
        ("nuncio-control-plane", &[], "--config-dir"),
        ("nuncio-auth", &[], "--control-plane or --config"),
        ("nuncio-auth", &["--grpc=nowhere"], "--grpc"),
        ("nuncio-ratelimit", &["--config-type=NONE", "--near-limit-ratio=2"], "NEAR_LIMIT_RATIO"),
        ("nuncio-ratelimit", &["--config-type=NONE", "--redis=://"], "REDIS_URL"),
        ("nuncio-certificates", &[], "--config-dir"),
    ];
    for (service, arguments, wanted) in cases {
        let process = Process::start(&services().join(service), |command| {
            command.args(arguments).env_clear();
        });
        let ended = process.ended().await;
        assert_eq!(ended.status.code(), Some(64), "{service}: {}", ended.stderr);
        assert!(ended.stderr.contains(wanted), "{service}: {}", ended.stderr);
    }
}
