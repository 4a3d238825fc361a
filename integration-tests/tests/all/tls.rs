//! Where certificates come from, and what a bad one costs.

use std::net::SocketAddr;
use std::path::Path;

use nuncio::Bundle;
use nuncio_integration_tests::{Client, Stack, until};
use reqwest::Method;

fn host(name: &str, secret: &str, context: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {{name: {name}}}\n\
         spec:\n  hostname: {name}.test\n  tlsSecret: {{name: {secret}}}\n{context}"
    )
}

fn secret(name: &str, chain: &str, key: &str) -> String {
    let indent = |pem: &str| pem.trim().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: Opaque\n\
         stringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        indent(chain),
        indent(key)
    )
}

fn bundle(name: &str) -> Bundle {
    Bundle::generate(&[name.to_owned()]).unwrap()
}

async fn status(authority: &str, name: &str, address: SocketAddr) -> Option<u16> {
    let client = Client::trusting(authority, name, address);
    let url = format!("https://{name}:{}/", address.port());
    let request = client.request(Method::GET, &url).header("host", name);
    Client::send(request).await.map(|reply| reply.status)
}

fn write_pair(folder: &Path, bundle: &Bundle) {
    for (name, text) in [("tls.crt", &bundle.chain), ("tls.key", &bundle.key)] {
        let draft = folder.join("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(&draft, folder.join(name)).unwrap();
    }
}

fn context_of_files(name: &str, folder: &Path) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: TLSContext\nmetadata: {{name: {name}}}\n\
         spec:\n  cert_chain_file: {0}/tls.crt\n  private_key_file: {0}/tls.key\n",
        folder.display()
    )
}

#[tokio::test]
async fn certificates_in_files_are_served_and_absent_ones_harm_nobody_else() {
    let (of_file, of_secret) = (bundle("a.test"), bundle("b.test"));
    let builder = Stack::builder().backend("first").await.mapping("m", "/", "first");
    let folder = builder.files().aside("certificates");
    std::fs::create_dir(&folder).unwrap();
    write_pair(&folder, &of_file);
    let stack = builder
        .file(
            "hosts.yaml",
            &[
                host("a", "b-tls", "  tlsContext: {name: files}\n"),
                host("b", "b-tls", ""),
                host("c", "b-tls", "  tlsContext: {name: absent}\n"),
                context_of_files("files", &folder),
                context_of_files("absent", &folder.join("nowhere")),
                secret("b-tls", &of_secret.chain, &of_secret.key),
            ]
            .join("---\n"),
        )
        .start()
        .await;
    let https = stack.https();
    let look = async || status(&of_file.authority, "a.test", https).await;
    until("the certificate of the file is served", look, |it| *it == Some(200)).await;
    assert_eq!(status(&of_secret.authority, "b.test", https).await, Some(200));
    assert_eq!(status(&of_secret.authority, "c.test", https).await, None);
}

#[tokio::test]
async fn a_certificate_that_envoy_refuses_leaves_other_hosts_alone() {
    let good = bundle("b.test");
    // PEM without, nonsense within.
    let nonsense = |tag: &str| format!("-----BEGIN {tag}-----\nAAAA\n-----END {tag}-----\n");
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("m", "/", "first")
        .file(
            "hosts.yaml",
            &[
                host("a", "a-tls", ""),
                host("b", "b-tls", ""),
                secret("a-tls", &nonsense("CERTIFICATE"), &nonsense("PRIVATE KEY")),
                secret("b-tls", &good.chain, &good.key),
            ]
            .join("---\n"),
        )
        .start()
        .await;
    let look = async || status(&good.authority, "b.test", stack.https()).await;
    until("the good certificate is served", look, |it| *it == Some(200)).await;
    assert_eq!(status(&good.authority, "a.test", stack.https()).await, None);
    let mended = bundle("a.test");
    stack.files().write("hosts-a.yaml", secret("a-mended", &mended.chain, &mended.key));
    stack.files().write(
        "hosts.yaml",
        [
            host("a", "a-mended", ""),
            host("b", "b-tls", ""),
            secret("b-tls", &good.chain, &good.key),
        ]
        .join("---\n"),
    );
    let look = async || status(&mended.authority, "a.test", stack.https()).await;
    until("the mended certificate is served", look, |it| *it == Some(200)).await;
}
