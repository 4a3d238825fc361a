//! HTTP/3 over QUIC, beside HTTP/1.1 and HTTP/2 over TCP on the same port.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Buf as _;
use http::Request;
use nuncio::Bundle;
use nuncio::echo::Answer;
use nuncio_integration_tests::{Client, Stack, eventually};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

fn objects(bundle: &Bundle, port: u16) -> String {
    format!(
        r#"
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {{name: quic}}
spec:
  port: {port}
  protocolStack: [TLS, HTTP, UDP]
  securityModel: XFP
  hostBinding: {{namespace: {{from: ALL}}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {{name: h3}}
spec: {{hostname: h3.test, tlsSecret: {{name: h3}}, tls: {{alpn_protocols: "h2, http/1.1"}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: h3}}
type: kubernetes.io/tls
stringData: {{tls.crt: {}, tls.key: {}}}
"#,
        serde_json::to_string(&bundle.chain).unwrap(),
        serde_json::to_string(&bundle.key).unwrap()
    )
}

/// Asks over HTTP/3; `None` when there is no such connection.
async fn ask(bundle: &Bundle, address: SocketAddr, path: &str) -> Option<(u16, Answer)> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(bundle.authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(tls)));
    let connection = endpoint.connect(address, "h3.test").unwrap().await.ok()?;
    let (mut driver, mut sender) =
        h3::client::new(h3_quinn::Connection::new(connection)).await.ok()?;
    let driver = tokio::spawn(async move {
        // Ends with the connection.
        let _closed = poll_fn(|context| driver.poll_close(context)).await;
    });
    let request = Request::get(format!("https://h3.test{path}")).body(()).unwrap();
    let mut stream = sender.send_request(request).await.ok()?;
    stream.finish().await.ok()?;
    let response = stream.recv_response().await.ok()?;
    let mut body = Vec::new();
    while let Some(mut part) = stream.recv_data().await.ok()? {
        body.extend_from_slice(&part.copy_to_bytes(part.remaining()));
    }
    drop(sender);
    driver.abort();
    Some((response.status().as_u16(), serde_json::from_slice(&body).ok()?))
}

#[tokio::test]
async fn one_port_serves_http_1_2_and_3() {
    let bundle = Bundle::generate(&["h3.test".to_owned()]).unwrap();
    let builder = Stack::builder().backend("first").await.mapping("m", "/m/", "first");
    // Over HTTP/2 a client names the port that it connects to.
    let builder = builder.module("{strip_matching_host_port: true}");
    let port = builder.https_port();
    let stack = builder.file("quic.yaml", &objects(&bundle, port)).start().await;
    let (status, answer) =
        eventually("HTTP/3 is answered", async || ask(&bundle, stack.https(), "/m/x").await).await;
    assert_eq!((status, answer.path.as_str()), (200, "/x"));
    assert_eq!(answer.header("x-forwarded-proto"), Some("https"));

    let url = format!("https://h3.test:{port}/m/");
    let clients = [
        Client::trusting(&bundle.authority, "h3.test", stack.https()),
        Client::with(|builder| {
            let authority = reqwest::Certificate::from_pem(bundle.authority.as_bytes()).unwrap();
            builder.tls_certs_only([authority]).resolve("h3.test", stack.https()).http1_only()
        }),
    ];
    for (client, version) in clients.iter().zip([http::Version::HTTP_2, http::Version::HTTP_11]) {
        let request = client.request(reqwest::Method::GET, &url).header("host", "h3.test");
        let reply = Client::send(request).await.unwrap();
        assert_eq!((reply.status, reply.version), (200, version));
        // Tells clients that they may come by HTTP/3 next time.
        let offer = reply.header("alt-svc").unwrap();
        assert!(offer.starts_with("h3=\":443\"; ma=86400"), "{offer}");
    }
}
