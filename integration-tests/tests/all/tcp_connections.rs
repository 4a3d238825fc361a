//! TCPMappings: connections by port and by server name.

use std::net::SocketAddr;
use std::sync::Arc;

use nuncio::Bundle;
use nuncio::echo::{Options, server_config};
use nuncio_integration_tests::{Stack, eventually, exchange, free_port, head};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn secret(name: &str, bundle: &Bundle) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: default}}\n\
         type: kubernetes.io/tls\nstringData: {{tls.crt: {}, tls.key: {}}}\n",
        serde_json::to_string(&bundle.chain).unwrap(),
        serde_json::to_string(&bundle.key).unwrap()
    )
}

/// Asks over TLS for a path; `None` when the handshake fails.
async fn secure(bundle: &Bundle, name: &str, address: SocketAddr) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(bundle.authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.ok()?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.ok()?;
    stream.write_all(head("inner", "/tcp", "").as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    // The end may come without a TLS goodbye.
    let _ = stream.read_to_end(&mut answer).await;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn ports_lead_to_services_with_and_without_a_listener() {
    let (bare, declared) = (free_port(), free_port());
    let stack = Stack::builder()
        .backend("first")
        .await
        .backend("second")
        .await
        .object("TCPMapping", "bare", &format!("{{port: {bare}, service: first}}"))
        .object("TCPMapping", "declared", &format!("{{port: {declared}, service: second, address: 127.0.0.1}}"))
        .object("Listener", "tcp", &format!("{{port: {declared}, protocol: TCP, securityModel: XFP, hostBinding: {{namespace: {{from: ALL}}}}}}"))
        .start()
        .await;
    for (port, backend) in [(bare, "first"), (declared, "second")] {
        let answer = exchange(at(port), head("anything", "/x", "")).await;
        // The bytes pass as they are: no header of the gateway's is among them.
        assert!(answer.contains(&format!("x-echo-backend: {backend}")), "{answer}");
        assert!(!answer.contains("x-forwarded-for"), "{answer}");
    }
    drop(stack);
}

#[tokio::test]
async fn an_address_binds_a_port_to_itself() {
    let port = free_port();
    let stack = Stack::builder()
        .backend("first")
        .await
        .object(
            "TCPMapping",
            "local",
            &format!("{{port: {port}, address: 127.0.0.2, service: first}}"),
        )
        .start()
        .await;
    let there = SocketAddr::from(([127, 0, 0, 2], port));
    assert!(exchange(there, head("a", "/", "")).await.contains("200"));
    assert!(TcpStream::connect(at(port)).await.is_err(), "the port is free elsewhere");
    drop(stack);
}

#[tokio::test]
async fn weights_of_connections_are_true_shares() {
    let port = free_port();
    let one = |service: &str, weight: u32| {
        format!("{{port: {port}, service: {service}, weight: {weight}}}")
    };
    let stack = Stack::builder()
        .backend("first")
        .await
        .backend("second")
        .await
        .object("TCPMapping", "a", &one("first", 30))
        .object("TCPMapping", "b", &one("second", 70))
        .start()
        .await;
    for _ in 0..200 {
        assert!(exchange(at(port), head("a", "/", "")).await.contains("200"));
    }
    let share = stack.backend("first").requests();
    assert!((28..=92).contains(&share), "30 %: {share} of 200");
    assert_eq!(stack.backend("second").requests(), 200 - share);
}

#[tokio::test]
async fn tls_is_originated_towards_the_service() {
    let bundle = Bundle::generate(&["backend.test".to_owned()]).unwrap();
    let config = server_config(bundle.chain.as_bytes(), bundle.key.as_bytes(), None).unwrap();
    let options = Options { tls: Some(config), ..Options::named("safe") };
    let (scheme, context, explicit) = (free_port(), free_port(), free_port());
    let stack = Stack::builder()
        .backend_with(options)
        .await
        .file("secret.yaml", &secret("upstream", &bundle))
        .object("TLSContext", "upstream", "{secret: upstream, sni: backend.test}")
        .object("TCPMapping", "scheme", &format!("{{port: {scheme}, service: \"https://safe\"}}"))
        .object(
            "TCPMapping",
            "context",
            &format!("{{port: {context}, service: safe, tls: upstream}}"),
        )
        .object(
            "TCPMapping",
            "explicit",
            &format!("{{port: {explicit}, service: \"https://safe:443\"}}"),
        )
        .start()
        .await;
    for (port, sni) in [(scheme, "null"), (context, "\"backend.test\""), (explicit, "null")] {
        let answer = exchange(at(port), head("a", "/", "")).await;
        assert!(answer.contains(&format!("\"sni\": {sni}")), "{answer}");
    }
    drop(stack);
}

#[tokio::test]
async fn server_names_share_a_port_with_each_other_and_with_http() {
    let names = ["one.test", "two.test", "web.test"];
    let bundles = names.map(|name| Bundle::generate(&[name.to_owned()]).unwrap());
    let mut builder = Stack::builder().backend("first").await.backend("second").await;
    let port = builder.https_port();
    for (name, bundle) in names.iter().zip(&bundles) {
        let short = name.trim_end_matches(".test");
        builder = builder.file(&format!("secret-{short}.yaml"), &secret(short, bundle)).object(
            "Host",
            short,
            &format!("{{hostname: {name}, tlsSecret: {{name: {short}}}}}"),
        );
    }
    let stack = builder
        .object("TCPMapping", "one", &format!("{{port: {port}, host: one.test, service: first}}"))
        .object("TCPMapping", "two", &format!("{{port: {port}, host: two.test, service: second}}"))
        .mapping("web", "/", "second")
        .start()
        .await;
    let [one, two, web] = &bundles;
    let answer =
        eventually("TLS is up", async || secure(one, "one.test", stack.https()).await).await;
    assert!(
        answer.contains("x-echo-backend: first") && !answer.contains("x-forwarded"),
        "{answer}"
    );
    let answer = secure(two, "two.test", stack.https()).await.unwrap();
    assert!(
        answer.contains("x-echo-backend: second") && !answer.contains("x-forwarded"),
        "{answer}"
    );
    // HTTP on the same port: the gateway reads what is said there.
    let answer = secure(web, "web.test", stack.https()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "the host is not web.test: {answer}");
    assert_eq!(secure(one, "three.test", stack.https()).await, None, "nobody has this name");
}

#[tokio::test]
async fn a_mapping_of_another_namespace_reaches_its_own_service() {
    let port = free_port();
    let backend = nuncio_integration_tests::Backend::start(Options::named("there")).await;
    let service = nuncio_integration_tests::service("target", std::slice::from_ref(&backend));
    let stack = Stack::builder()
        .file("service.yaml", &service.replace("namespace: default", "namespace: other"))
        .file(
            "tcp.yaml",
            &format!(
                "apiVersion: getambassador.io/v3alpha1\nkind: TCPMapping\n\
                 metadata: {{name: cross, namespace: other}}\nspec: {{port: {port}, service: target}}\n"
            ),
        )
        .start()
        .await;
    let answer = exchange(at(port), head("a", "/", "")).await;
    assert!(answer.contains("x-echo-backend: there"), "{answer}");
    drop(stack);
}
