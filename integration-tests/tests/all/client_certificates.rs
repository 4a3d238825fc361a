//! Certificates that clients show: demanded, checked, revoked, passed on.

use nuncio::Bundle;
use nuncio_integration_tests::{Client, Reply, Stack, until};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use reqwest::{Certificate, Identity, Method};

/// An authority that gives out certificates to clients.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A client's certificate with its key, as one PEM.
struct Shown {
    pem: String,
    serial: SerialNumber,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, name: &str, serial: u64) -> Shown {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let serial = SerialNumber::from(serial);
        params.serial_number = Some(serial.clone());
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Shown { pem: format!("{}{}", certificate.pem(), key.serialize_pem()), serial }
    }

    fn revoking(&self, revoked: &[&Shown]) -> String {
        let (from, to) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2100, 1, 1));
        let revoked = revoked.iter().map(|shown| RevokedCertParams {
            serial_number: shown.serial.clone(),
            revocation_time: from,
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: from,
            next_update: to,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

fn secret(name: &str, namespace: &str, entries: &[(&str, &str)]) -> String {
    let entries: Vec<_> = entries
        .iter()
        .map(|(key, value)| format!("{key}: {}", serde_json::to_string(value).unwrap()))
        .collect();
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         stringData: {{{}}}\n",
        entries.join(", ")
    )
}

/// Asks with a certificate or without; `None` when the handshake fails.
async fn ask(stack: &Stack, server: &Bundle, shown: Option<&Shown>) -> Option<Reply> {
    let client = Client::with(|builder| {
        let authority = Certificate::from_pem(server.authority.as_bytes()).unwrap();
        let builder = builder.tls_certs_only([authority]).resolve("a.test", stack.https());
        match shown {
            Some(shown) => builder.identity(Identity::from_pem(shown.pem.as_bytes()).unwrap()),
            None => builder,
        }
    });
    let url = format!("https://a.test:{}/", stack.https().port());
    Client::send(client.request(Method::GET, &url).header("host", "a.test")).await
}

async fn stack(server: &Bundle, authority: &Authority, context: &str, host: &str) -> Stack {
    Stack::builder()
        .backend("first")
        .await
        .mapping("m", "/", "first")
        .module("{forward_client_cert_details: SANITIZE_SET, set_current_client_cert_details: {subject: true, dns: true}}")
        .file("server.yaml", &secret("server", "default", &[("tls.crt", &server.chain), ("tls.key", &server.key)]))
        .file("clients.yaml", &secret("clients", "default", &[("tls.crt", &authority.pem)]))
        .object("TLSContext", "context", context)
        .object("Host", "a", host)
        .start()
        .await
}

const HOST: &str = "{hostname: a.test, tlsSecret: {name: server}, tlsContext: {name: context}}";

#[tokio::test]
async fn a_certificate_of_the_right_authority_is_demanded() {
    let server = Bundle::generate(&["a.test".to_owned()]).unwrap();
    let (authority, other) = (Authority::new("ours"), Authority::new("other"));
    let context = "{hosts: [a.test], secret: server, ca_secret: clients, cert_required: true}";
    let stack = stack(&server, &authority, context, HOST).await;
    let good = authority.issue("client.test", 7);
    let reply = ask(&stack, &server, Some(&good)).await.unwrap();
    assert_eq!(reply.status, 200);
    let answer = reply.echo();
    let passed = answer.header("x-forwarded-client-cert").unwrap();
    assert!(passed.contains("Subject=\"CN=client.test\""), "{passed}");
    assert!(passed.contains("DNS=client.test"), "{passed}");
    assert!(ask(&stack, &server, None).await.is_none(), "none shown");
    let stranger = other.issue("client.test", 7);
    assert!(ask(&stack, &server, Some(&stranger)).await.is_none(), "of another authority");
}

#[tokio::test]
async fn a_certificate_may_be_left_out_where_it_is_not_demanded() {
    let server = Bundle::generate(&["a.test".to_owned()]).unwrap();
    let (authority, other) = (Authority::new("ours"), Authority::new("other"));
    let host = "{hostname: a.test, tlsSecret: {name: server}, tls: {ca_secret: clients}}";
    let stack = stack(&server, &authority, "{secret: server}", host).await;
    assert_eq!(ask(&stack, &server, None).await.unwrap().status, 200);
    let good = authority.issue("client.test", 7);
    assert_eq!(ask(&stack, &server, Some(&good)).await.unwrap().status, 200);
    let stranger = other.issue("client.test", 7);
    assert!(ask(&stack, &server, Some(&stranger)).await.is_none(), "a wrong one is not");
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_as_soon_as_the_list_says_so() {
    let server = Bundle::generate(&["a.test".to_owned()]).unwrap();
    let authority = Authority::new("ours");
    let (kept, lost) = (authority.issue("kept.test", 7), authority.issue("lost.test", 8));
    let context = "{hosts: [a.test], secret: server, ca_secret: clients, crl_secret: revoked, cert_required: true}";
    let list = |revoked: &[&Shown]| {
        secret("revoked", "default", &[("crl.pem", &authority.revoking(revoked))])
    };
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("m", "/", "first")
        .file(
            "server.yaml",
            &secret("server", "default", &[("tls.crt", &server.chain), ("tls.key", &server.key)]),
        )
        .file("clients.yaml", &secret("clients", "default", &[("tls.crt", &authority.pem)]))
        .file("revoked.yaml", &list(&[]))
        .object("TLSContext", "context", context)
        .object("Host", "a", HOST)
        .start()
        .await;
    assert!(ask(&stack, &server, Some(&kept)).await.is_some());
    assert!(ask(&stack, &server, Some(&lost)).await.is_some());
    stack.files().write("revoked.yaml", list(&[&lost]));
    let look = async || ask(&stack, &server, Some(&lost)).await.map(|reply| reply.status);
    until("the revoked certificate is refused", look, Option::is_none).await;
    assert!(ask(&stack, &server, Some(&kept)).await.is_some());
}

#[tokio::test]
async fn secrets_of_another_namespace_are_named_with_a_dot() {
    let server = Bundle::generate(&["a.test".to_owned()]).unwrap();
    let authority = Authority::new("ours");
    let context =
        "{hosts: [a.test], secret: server.other, ca_secret: clients.other, cert_required: true}";
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("m", "/", "first")
        .file("server.yaml", &secret("server", "other", &[("tls.crt", &server.chain), ("tls.key", &server.key)]))
        .file("clients.yaml", &secret("clients", "other", &[("tls.crt", &authority.pem)]))
        .object("TLSContext", "context", context)
        .object("Host", "a", "{hostname: a.test, tlsSecret: {name: server, namespace: other}, tlsContext: {name: context}}")
        .start()
        .await;
    let good = authority.issue("client.test", 7);
    assert_eq!(ask(&stack, &server, Some(&good)).await.map(|reply| reply.status), Some(200));
    assert!(ask(&stack, &server, None).await.is_none());
}
