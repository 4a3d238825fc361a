//! Hosts: certificates by name, what happens to cleartext, origination.

use std::net::SocketAddr;

use nuncio::Bundle;
use nuncio::echo::{Options, server_config};
use nuncio_integration_tests::{Client, Stack, tls_secret, until};
use reqwest::Method;

fn host(name: &str, hostname: &str, secret: &str, action: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {{name: {name}}}\n\
         spec:\n  hostname: \"{hostname}\"\n  tlsSecret: {{name: {secret}}}\n  \
         requestPolicy: {{insecure: {{action: {action}}}}}\n"
    )
}

fn secret(name: &str, bundle: &Bundle) -> String {
    tls_secret(name, &bundle.chain, &bundle.key)
}

fn bundle(name: &str) -> Bundle {
    Bundle::generate(&[name.to_owned()]).unwrap()
}

async fn secure(bundle: &Bundle, name: &str, address: SocketAddr, path: &str) -> Option<u16> {
    let client = Client::trusting(&bundle.authority, name, address);
    let url = format!("https://{name}:{}{path}", address.port());
    let request = client.request(Method::GET, &url).header("host", name);
    Client::send(request).await.map(|reply| reply.status)
}

#[tokio::test]
async fn every_host_shows_its_own_certificate() {
    let (a, b) = (bundle("a.test"), bundle("b.test"));
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("m", "/", "first")
        .file(
            "hosts.yaml",
            &[
                host("a", "a.test", "a-tls", "Redirect"),
                host("b", "b.test", "b-tls", "Route"),
                secret("a-tls", &a),
                secret("b-tls", &b),
            ]
            .join("---\n"),
        )
        .start()
        .await;
    assert_eq!(secure(&a, "a.test", stack.https(), "/").await, Some(200));
    assert_eq!(secure(&b, "b.test", stack.https(), "/").await, Some(200));
    assert_eq!(secure(&a, "b.test", stack.https(), "/").await, None, "b shows its own");
    assert_eq!(secure(&a, "c.test", stack.https(), "/").await, None, "no certificate for c");
}

#[tokio::test]
async fn cleartext_requests_are_redirected_routed_or_refused_as_each_host_says() {
    let tls = bundle("a.test");
    let mut files = vec![secret("tls", &tls)];
    for action in ["Redirect", "Route", "Reject"] {
        let name = action.to_lowercase();
        files.push(host(&name, &format!("{name}.test"), "tls", action));
    }
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("m", "/", "first")
        .file("hosts.yaml", &files.join("---\n"))
        .start()
        .await;
    for (name, status) in [("redirect.test", 301), ("route.test", 200), ("reject.test", 404)] {
        let request = stack.request(Method::GET, "/x").header("host", name);
        let reply = Client::send(request).await.unwrap();
        assert_eq!(reply.status, status, "{name}");
        if status == 301 {
            assert_eq!(reply.header("location"), Some("https://redirect.test/x"));
        }
    }
}

#[tokio::test]
async fn a_host_takes_only_the_mappings_that_its_selector_chooses() {
    let files = r#"
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: a}
spec:
  hostname: a.test
  mappingSelector: {matchLabels: {team: a}}
  requestPolicy: {insecure: {action: Route}}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: chosen, labels: {team: a}}
spec: {prefix: /chosen/, service: first}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: other, labels: {team: b}}
spec: {prefix: /other/, service: first}
"#;
    let stack = Stack::builder().backend("first").await.file("a.yaml", files).start().await;
    for (path, status) in [("/chosen/", 200), ("/other/", 404)] {
        let request = stack.request(Method::GET, path).header("host", "a.test");
        assert_eq!(Client::send(request).await.unwrap().status, status, "{path}");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart() {
    let (old, new) = (bundle("a.test"), bundle("a.test"));
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("m", "/", "first")
        .file("host.yaml", &host("a", "a.test", "tls", "Redirect"))
        .file("secret.yaml", &secret("tls", &old))
        .start()
        .await;
    assert_eq!(secure(&old, "a.test", stack.https(), "/").await, Some(200));
    stack.files().write("secret.yaml", secret("tls", &new));
    let look = async || secure(&new, "a.test", stack.https(), "/").await;
    until("the new certificate is served", look, |status| *status == Some(200)).await;
}

#[tokio::test]
async fn tls_is_originated_for_services_that_say_https() {
    let tls = bundle("backend.test");
    let config = server_config(tls.chain.as_bytes(), tls.key.as_bytes(), None).unwrap();
    let options = Options { tls: Some(config), ..Options::named("safe") };
    let context = r#"
apiVersion: getambassador.io/v3alpha1
kind: TLSContext
metadata: {name: upstream}
spec: {secret: upstream-tls, sni: backend.test}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: with-context}
spec: {hostname: "*", prefix: /context/, service: safe, tls: upstream}
"#;
    let stack = Stack::builder()
        .backend_with(options)
        .await
        .mapping("m", "/plain/", "https://safe")
        .file("context.yaml", context)
        .file("secret.yaml", &secret("upstream-tls", &tls))
        .start()
        .await;
    let answer = stack.get("/plain/").await.unwrap().echo();
    assert!(answer.tls.is_some());
    let answer = stack.get("/context/").await.unwrap().echo();
    assert_eq!(answer.tls.unwrap().sni.as_deref(), Some("backend.test"));
}
