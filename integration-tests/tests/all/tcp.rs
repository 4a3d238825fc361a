//! TCPMappings that terminate TLS, and those that share a port with HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use nuncio::Bundle;
use nuncio_integration_tests::{Stack, free_port, until};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Answers every connection with one line.
async fn speaker(line: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(line.as_bytes()).await;
        }
    });
    address
}

fn tcp_mapping(name: &str, port: u16, service: SocketAddr, more: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: TCPMapping\nmetadata: {{name: {name}}}\n\
         spec:\n  port: {port}\n  service: \"{service}\"\n{more}"
    )
}

fn context(bundle: &Bundle, host: &str) -> String {
    let indent = |pem: &str| pem.trim().replace('\n', "\n    ");
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: TLSContext\nmetadata: {{name: db}}\n\
         spec: {{hosts: [{host}], secret: db-tls}}\n\
         ---\napiVersion: v1\nkind: Secret\nmetadata: {{name: db-tls}}\ntype: kubernetes.io/tls\n\
         stringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        indent(&bundle.chain),
        indent(&bundle.key)
    )
}

/// What the peer says over TLS; `None` when there is no handshake.
async fn said(bundle: &Bundle, name: &str, address: SocketAddr) -> Option<String> {
    let mut roots = rustls::RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(bundle.authority.as_bytes()) {
        roots.add(authority.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.ok()?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut tls =
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    let mut text = vec![0; 5];
    tls.read_exact(&mut text).await.ok()?;
    String::from_utf8(text).ok()
}

#[tokio::test]
async fn a_context_that_lists_the_host_terminates_tls_without_any_host_object() {
    let bundle = Bundle::generate(&["db.test".to_owned()]).unwrap();
    let (port, db) = (free_port(), speaker("quote").await);
    let files = [
        tcp_mapping("db", port, db, "  host: db.test\n"),
        context(&bundle, "db.test"),
        // TLS of a Host comes first, and this one has none.
        "apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {name: web}\n\
         spec: {hostname: web.test, requestPolicy: {insecure: {action: Route}}}\n"
            .to_owned(),
    ];
    let stack = Stack::builder().file("tcp.yaml", &files.join("---\n")).start().await;
    let address = SocketAddr::new(stack.http().ip(), port);
    let look = async || said(&bundle, "db.test", address).await;
    until("the service speaks", look, |it| it.as_deref() == Some("quote")).await;
    assert_eq!(said(&bundle, "other.test", address).await, None);
}

#[tokio::test]
async fn hosts_keep_the_port_on_which_they_answer_cleartext() {
    let db = speaker("quote").await;
    let builder = Stack::builder().backend("first").await.mapping("m", "/", "first");
    let taken = tcp_mapping("db", builder.http_port(), db, "");
    let stack = builder.file("tcp.yaml", &taken).start().await;
    assert_eq!(stack.get("/").await.unwrap().echo().backend, "first");
    let report = stack.ask_admin("/ambassador/v0/diag/?json=true").await;
    assert!(report.body.contains("Hosts answer cleartext"), "{}", report.body);
}
