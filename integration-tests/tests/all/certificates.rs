//! ACME: a Host gets its certificate from a real authority, through Envoy.

use std::net::SocketAddr;
use std::time::Duration;

use nuncio_integration_tests::{Client, Process, Stack, binary, envoy, eventually, free_port};
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
async fn secure(https: SocketAddr, root: &str) -> Option<u16> {
    let client = Client::trusting(root, "acme.test", https);
    let url = format!("https://acme.test:{}/", https.port());
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
    let served = async || secure(stack.https(), &root).await.filter(|status| *status == 200);
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

/// Returns how often Envoy has taken up a changed listener.
async fn listener_updates(stack: &Stack) -> u64 {
    let url =
        format!("http://{}/stats?filter=listener_manager.listener_modified", stack.envoy_admin());
    let stats = stack.client().get(&url).await.expect("envoy's admin interface answers").body;
    stats.trim().rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_change_of_the_listener() {
    let http = free_port();
    // Renewed after half of it, as certificates of less than ten days are.
    let validity = Duration::from_secs(12);
    let pebble = Pebble::start_with(Options { validity, ..Options::new(http) }).unwrap();
    let stack = stack(&pebble, http).await;
    let root =
        eventually("the authority tells its root", async || issuing_root(&pebble).await).await;
    let served = async || secure(stack.https(), &root).await.filter(|status| *status == 200);
    eventually("the certificate is served", served).await;
    let secret = stack.files().state().join("secrets/default/acme-tls.json");
    let (first, updates) = (std::fs::read(&secret).unwrap(), listener_updates(&stack).await);
    let renewed = async || (std::fs::read(&secret).unwrap() != first).then_some(());
    eventually("the certificate is renewed", renewed).await;
    // The first one ends while the second is served: nobody is turned away.
    let end = std::time::Instant::now() + validity;
    while std::time::Instant::now() < end {
        assert_eq!(secure(stack.https(), &root).await, Some(200));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(listener_updates(&stack).await, updates);
}

#[tokio::test]
async fn a_gateway_killed_again_and_again_gets_its_certificate_and_one_account() {
    let http = free_port();
    let pebble = Pebble::start(http).unwrap();
    let first = stack(&pebble, http).await;
    let https = first.https();
    let (mut process, files, _backends) = first.into_parts();
    let secret = files.state().join("secrets/default/acme-tls.json");
    // Later each time, so that every step is cut short once.
    for cut in 1_u32.. {
        tokio::time::sleep(Duration::from_millis(30) * cut).await;
        let done = secret.is_file();
        process.signal("KILL");
        drop(process.ended().await);
        process = Process::start(binary(), |command| {
            command.arg("run").arg(files.objects()).arg("--state").arg(files.state());
            command.args(["--admin-address", "127.0.0.1:0", "--envoy-admin", "127.0.0.1:0"]);
            command.args(["--bind-address", "127.0.0.1", "--envoy-concurrency", "1"]);
            command.arg("--acme-ca-bundle").arg(pebble.ca_bundle()).arg("--envoy").arg(envoy());
        });
        process.line("ready").await;
        if done {
            break;
        }
    }
    let root =
        eventually("the authority tells its root", async || issuing_root(&pebble).await).await;
    let served = async || secure(https, &root).await.filter(|status| *status == 200);
    eventually("the certificate is served", served).await;
    let accounts = files.state().join("certificates/accounts/default");
    let kept = std::fs::read_dir(&accounts).unwrap().count();
    assert_eq!(kept, 1, "accounts in {}", accounts.display());
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
    let served = async || secure(stack.https(), &root).await.filter(|status| *status == 200);
    eventually("the certificate is served", served).await;
}
