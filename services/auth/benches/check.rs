//! Checks a second of a cached token, beside a server that decides nothing,
//! in one run: the ratio says what deciding costs over the protocol.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark tells its figures and has nobody to report to"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Parser as _;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::authorization_server::{
    Authorization, AuthorizationServer,
};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    AttributeContext, CheckRequest, CheckResponse, OkHttpResponse,
};
use envoy_types::pb::google::rpc::Status;
use nuncio_process::Context;
use nuncio_testing::tokens::Issuer;
use serde_json::json;

const CALLERS: usize = 16;
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 4;

struct Nothing;

#[tonic::async_trait]
impl Authorization for Nothing {
    async fn check(
        &self,
        _: tonic::Request<CheckRequest>,
    ) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        Ok(tonic::Response::new(CheckResponse {
            status: Some(Status::default()),
            http_response: Some(HttpResponse::OkResponse(OkHttpResponse::default())),
            ..CheckResponse::default()
        }))
    }
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::with("k", "RS256");
    let config = folder.path().join("policy.yaml");
    std::fs::write(&config, policy(&issuer)).unwrap();
    let local = ["auth", "--grpc=127.0.0.1:0", "--http=127.0.0.1:0", "--admin=127.0.0.1:0"];
    let from = ["--config", config.to_str().unwrap()];
    let settings = nuncio_auth::Settings::parse_from(local.into_iter().chain(from));
    let context = Context::new("auth");
    let bound = nuncio_auth::start(settings, &context).await.unwrap();
    let routes = tonic::service::Routes::new(AuthorizationServer::new(Nothing));
    let nothing = "127.0.0.1:0".parse().unwrap();
    let nothing =
        nuncio_process::grpc::serve(&context, "nothing", nothing, routes, &[]).await.unwrap();
    let token = format!("Bearer {}", issuer.sign(&json!({"sub": "ann", "exp": 9_999_999_999_u64})));
    let (mut own, mut floor) = (0.0, 0.0);
    // Taking turns, so that both meet the same machine.
    for round in 0..=ROUNDS {
        let (a, b) = (rate(nothing, &token).await, rate(bound.grpc, &token).await);
        if round > 0 {
            floor += a / ROUNDS as f64;
            own += b / ROUNDS as f64;
        }
    }
    println!("| Server | Checks/s | ÷ no-op | Cost over the no-op |");
    println!("|---|---|---|---|");
    println!("| no-op | {floor:.0} | 1 | |");
    let cost = 1e6 / own - 1e6 / floor;
    println!("| cached RS256 token | {own:.0} | {:.2} | {cost:.1} µs a check |", own / floor);
    context.drain.force();
}

async fn rate(server: SocketAddr, token: &str) -> f64 {
    let begun = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let request = request(token);
            tokio::spawn(async move {
                let url = format!("http://{server}");
                let mut client = AuthorizationClient::connect(url).await.unwrap();
                let mut count = 0_u32;
                while begun.elapsed() < ROUND {
                    let answer = client.check(request.clone()).await.unwrap().into_inner();
                    assert_eq!(answer.status.unwrap().code, 0);
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut total = 0;
    for caller in callers {
        total += caller.await.unwrap();
    }
    f64::from(total) / begun.elapsed().as_secs_f64()
}

fn policy(issuer: &Issuer) -> String {
    let header = json!({"name": "x-user", "value": "{{ .token.Claims.sub }}"});
    let filter = json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Filter", "metadata": {"name": "token"},
        "spec": {"JWT": {"injectRequestHeaders": [header]}, "ext": {"jwks": issuer.jwks()}},
    });
    let policy = json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "FilterPolicy",
        "metadata": {"name": "policy"},
        "spec": {"rules": [{"path": "/api/*", "filters": [{"name": "token"}]}]},
    });
    format!("{filter}\n---\n{policy}\n")
}

/// A browser's headers and the token.
fn request(token: &str) -> CheckRequest {
    let headers = [
        (":method", "GET"),
        (":path", "/api/orders?page=2"),
        (":authority", "shop.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br"),
        ("cookie", "theme=dark; basket=42"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "7f0c1f6e-2f3f-4c3f-9b3b-6f1f0e2d3c4b"),
        ("authorization", token),
    ];
    let headers = headers.map(|(key, value)| HeaderValue {
        key: key.to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    });
    let http = HttpRequest {
        method: "GET".into(),
        path: "/api/orders?page=2".into(),
        host: "shop.example.com".into(),
        scheme: "https".into(),
        header_map: Some(HeaderMap { headers: headers.to_vec() }),
        ..HttpRequest::default()
    };
    let request = Request { http: Some(http), ..Request::default() };
    let attributes = AttributeContext { request: Some(request), ..AttributeContext::default() };
    CheckRequest { attributes: Some(attributes) }
}
