//! ACME: a Host gets its certificate from a real authority, through Envoy.

use nuncio_integration_tests::{Client, Stack, eventually, free_port};
use nuncio_testing::pebble::{Options, Pebble};
use reqwest::{Certificate, Method};

fn host(directory: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {{name: acme}}\nspec:\n  \
         hostname: acme.test\n  acmeProvider: {{authority: \"{directory}\", email: a@acme.test}}\n  \
         tlsSecret: {{name: acme-tls}}\n"
    )
}

/// Returns the root of the certificates that a Pebble issues.
async fn issuing_root(pebble: &Pebble) -> Option<String> {
    let trusted = std::fs::read(pebble.ca_bundle()).ok()?;
    let trusted = Certificate::from_pem(&trusted).ok()?;
    let client = Client::with(|builder| builder.tls_certs_only([trusted]));
    let reply = client.get(&format!("{}/roots/0", pebble.management())).await?;
    (reply.status == 200).then_some(reply.body)
}

/// Sends a request over TLS that trusts only certificates of `root`.
async fn secure(stack: &Stack, root: &str) -> Option<u16> {
    let client = Client::trusting(root, "acme.test", stack.https());
    let url = format!("https://acme.test:{}/", stack.https().port());
    let request = client.request(Method::GET, &url).header("host", "acme.test");
    Client::send(request).await.map(|reply| reply.status)
}

async fn stack(pebble: &Pebble, http: u16) -> Stack {
    Stack::builder()
        .with_http_port(http)
        .backend("first")
        .await
        .mapping("m", "/", "first")
        .file("host.yaml", &host(&pebble.directory()))
        .argument("--acme-ca-bundle")
        .argument(pebble.ca_bundle())
        .start()
        .await
}

#[tokio::test]
async fn a_host_with_an_acme_provider_gets_its_certificate_through_envoy() {
    let http = free_port();
    let pebble = Pebble::start(http).unwrap();
    let stack = stack(&pebble, http).await;
    let root =
        eventually("the authority tells its root", async || issuing_root(&pebble).await).await;
    let served = async || secure(&stack, &root).await.filter(|status| *status == 200);
    eventually("the certificate is served", served).await;
    let secret = stack.files().state().join("secrets/default/acme-tls.json");
    assert!(secret.is_file(), "the Secret is kept at {}", secret.display());
    let status = stack.files().state().join("status/Host/default/acme.json");
    let ready = async || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        text.contains("\"Ready\"").then_some(())
    };
    eventually("the Host's status is Ready", ready).await;
}

#[tokio::test]
async fn an_authority_that_is_down_at_first_is_asked_again() {
    let http = free_port();
    let mut pebble = Pebble::reserve(Options::new(http)).unwrap();
    let stack = stack(&pebble, http).await;
    // Other paths of the gateway work meanwhile.
    let request = stack.request(Method::GET, "/").header("host", "acme.test");
    assert!(Client::send(request).await.is_some());
    pebble.launch().unwrap();
    let root =
        eventually("the authority tells its root", async || issuing_root(&pebble).await).await;
    let served = async || secure(&stack, &root).await.filter(|status| *status == 200);
    eventually("the certificate is served", served).await;
}
