//! Filters, FilterPolicies and the built-in auth service; AuthServices of the
//! user's own.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use nuncio::echo::{Document, Options};
use nuncio_integration_tests::{Client, Stack};
use reqwest::Method;
use serde_json::json;

/// A key that signs tokens, and its public half as a key set.
struct Issuer {
    key: EncodingKey,
    key_set: String,
}

impl Issuer {
    fn new() -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        let point = pair.public_key_raw();
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let key_set = json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "one",
            "x": encode(&point[1..33]), "y": encode(&point[33..65]),
        }]});
        Self { key: EncodingKey::from_ec_der(&pair.serialize_der()), key_set: key_set.to_string() }
    }

    fn token(&self, claims: &serde_json::Value) -> String {
        let header = Header { kid: Some("one".into()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    fn documents(&self) -> Options {
        let mut options = Options::named("issuer");
        let body = Bytes::from(self.key_set.clone());
        let document = Document { content_type: "application/json", body };
        options.documents.insert("/keys".into(), document);
        options
    }
}

const POLICY: &str = r#"
apiVersion: getambassador.io/v3alpha1
kind: FilterPolicy
metadata: {name: policy}
spec:
  rules:
  - {host: "*", path: /keys/open/*, filters: []}
  - {host: "*", path: /keys/*, filters: [{name: keys}]}
  - {host: "*", path: /tokens/*, filters: [{name: tokens}]}
  - {host: "*", path: /both/*, filters: [{name: keys}, {name: tokens}]}
---
apiVersion: getambassador.io/v3alpha1
kind: Filter
metadata: {name: keys}
spec: {APIKey: {keys: [{secretName: keys}]}}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {alice: key-of-alice}
"#;

fn jwt_filter(uri: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Filter\nmetadata: {{name: tokens}}\n\
         spec:\n  JWT:\n    jwksURI: {uri}\n    issuer: test\n    requireIssuer: true\n    \
         injectRequestHeaders:\n    - name: x-user\n      value: \"{{{{ .token.Claims.sub }}}}\"\n"
    )
}

async fn guarded(issuer: &Issuer) -> Stack {
    let builder = Stack::builder().backend("first").await.backend_with(issuer.documents()).await;
    let uri = format!("http://{}/keys", builder.backend_named("issuer").address());
    let builder = builder.mapping("all", "/", "first").file("policy.yaml", POLICY);
    let stack = builder.file("tokens.yaml", &jwt_filter(&uri)).start().await;
    // Ready means guarded: the very first request is refused.
    assert_eq!(stack.get("/keys/").await.unwrap().status, 403);
    stack
}

async fn status(stack: &Stack, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = stack.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Client::send(request).await.unwrap().status
}

#[tokio::test]
async fn api_keys_open_what_their_policy_guards_and_nothing_is_guarded_otherwise() {
    let stack = guarded(&Issuer::new()).await;
    let key = ("x-api-key", "key-of-alice");
    assert_eq!(status(&stack, "/keys/", &[key]).await, 200);
    assert_eq!(status(&stack, "/keys/", &[("x-api-key", "wrong")]).await, 403);
    assert_eq!(status(&stack, "/keys/open/", &[]).await, 200);
    assert_eq!(status(&stack, "/elsewhere", &[]).await, 200);
}

#[tokio::test]
async fn a_path_in_disguise_is_guarded_all_the_same() {
    let stack = guarded(&Issuer::new()).await;
    for path in ["/keys/open/%2e%2e/", "//keys/", "/%6beys/", "/elsewhere/../keys/", "/keys/./"] {
        let mut stream = tokio::net::TcpStream::connect(stack.http()).await.unwrap();
        // A client library would tidy the path up first.
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
        let code = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["400", "403"].contains(&code), "{path}: {answer}");
    }
    assert_eq!(stack.backend("first").requests(), 0);
}

#[tokio::test]
async fn tokens_are_verified_and_their_claims_reach_the_backend_unspoofed() {
    let issuer = Issuer::new();
    let stack = guarded(&issuer).await;
    let good = issuer.token(&json!({"iss": "test", "sub": "alice", "exp": 4_000_000_000_u64}));
    let bearer = format!("Bearer {good}");
    let request = stack.request(Method::GET, "/tokens/").header("authorization", &bearer);
    let reply = Client::send(request.header("x-user", "root")).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.echo().all("x-user"), ["alice"]);

    let stranger = Issuer::new();
    let claims = |iss: &str, exp: u64| json!({"iss": iss, "sub": "eve", "exp": exp});
    let bad = [
        issuer.token(&claims("test", 1_000_000_000)),
        issuer.token(&claims("other", 4_000_000_000)),
        stranger.token(&claims("test", 4_000_000_000)),
        format!("{good}x"),
    ];
    for token in bad {
        let bearer = format!("Bearer {token}");
        let code = status(&stack, "/tokens/", &[("authorization", &bearer)]).await;
        assert_eq!(code, 401, "{token}");
    }
    // RFC 6750: a malformed request is not an invalid token.
    assert_eq!(status(&stack, "/tokens/", &[("authorization", "Bearer ")]).await, 400);
}

#[tokio::test]
async fn every_filter_of_a_chain_must_agree() {
    let issuer = Issuer::new();
    let stack = guarded(&issuer).await;
    let token = issuer.token(&json!({"iss": "test", "sub": "a", "exp": 4_000_000_000_u64}));
    let bearer = format!("Bearer {token}");
    let (key, token) = (("x-api-key", "key-of-alice"), ("authorization", bearer.as_str()));
    assert_eq!(status(&stack, "/both/", &[key, token]).await, 200);
    assert_eq!(status(&stack, "/both/", &[key]).await, 401);
    assert_eq!(status(&stack, "/both/", &[token]).await, 403);
}

#[tokio::test]
async fn an_external_filter_asks_a_service_and_its_headers_cannot_be_spoofed() {
    let builder = Stack::builder().backend("first").await.backend("judge").await;
    let judge = builder.backend_named("judge").address();
    let objects = format!(
        r#"
apiVersion: getambassador.io/v3alpha1
kind: Filter
metadata: {{name: external}}
spec:
  External:
    auth_service: "{judge}"
    proto: http
    path_prefix: /judge
    allowed_request_headers: [x-echo-status, x-echo-header]
    allowed_authorization_headers: [x-user]
---
apiVersion: getambassador.io/v3alpha1
kind: FilterPolicy
metadata: {{name: policy}}
spec: {{rules: [{{host: "*", path: /judged/*, filters: [{{name: external}}]}}]}}
"#
    );
    let stack = builder.mapping("all", "/", "first").file("external.yaml", &objects).start().await;
    let ask = async |headers: &[(&str, &str)]| {
        let request = stack.request(Method::GET, "/judged/x").header("x-user", "root");
        let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
        Client::send(request).await.unwrap()
    };
    // The judge is an echo: a request chooses its verdict.
    let denied = ask(&[("x-echo-status", "401")]).await;
    assert_eq!((denied.status, denied.echo().path.as_str()), (401, "/judge/judged/x"));
    assert_eq!(stack.backend("first").requests(), 0);
    let named = ask(&[("x-echo-header", "x-user:alice")]).await;
    assert_eq!(named.echo().all("x-user"), ["alice"]);
    let nameless = ask(&[]).await;
    assert_eq!(nameless.echo().all("x-user"), Vec::<String>::new());
    // A judge in trouble lets nobody in.
    assert_eq!(ask(&[("x-echo-status", "503")]).await.status, 403);
    assert_eq!(status(&stack, "/elsewhere", &[]).await, 200);
}

#[tokio::test]
async fn an_auth_service_of_the_users_own_decides_over_http() {
    let service = r#"
apiVersion: getambassador.io/v3alpha1
kind: AuthService
metadata: {name: own}
spec:
  auth_service: judge
  proto: http
  path_prefix: /judge
  allowed_request_headers: [x-echo-status]
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: bypass}
spec: {hostname: "*", prefix: /bypass/, service: first, bypass_auth: true}
"#;
    let stack = Stack::builder().backend("first").await.backend("judge").await;
    let builder = stack.mapping("all", "/", "first").file("own.yaml", service);
    let stack = builder.start().await;
    assert_eq!(stack.get("/x").await.unwrap().echo().backend, "first");
    assert_eq!(stack.backend("judge").requests(), 1);
    // The judge is an echo: a request chooses its verdict.
    let request = stack.request(Method::GET, "/x").header("x-echo-status", "401");
    let reply = Client::send(request).await.unwrap();
    assert_eq!(reply.status, 401);
    let seen = reply.echo();
    assert_eq!((seen.backend.as_str(), seen.path.as_str()), ("judge", "/judge/x"));
    assert_eq!(stack.get("/bypass/").await.unwrap().status, 200);
    assert_eq!(stack.backend("judge").requests(), 2);
}
