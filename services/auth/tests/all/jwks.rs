//! Key sets by URL: rotation, outage, and how often their server is asked.

use std::sync::Arc;

use nuncio_testing::tokens::Issuer;
use serde_json::{Value, json};

use crate::support::{KeyServer, Service, filter, policy};

fn objects(url: &str) -> Vec<Value> {
    vec![
        filter("token", &json!({"JWT": {"jwksURI": url}})),
        policy(&json!([{"filters": [{"name": "token"}]}])),
    ]
}

async fn status(service: &Service, token: &str) -> i32 {
    service.check("/", &[("authorization", &format!("Bearer {token}"))]).await.status()
}

#[tokio::test]
async fn many_requests_share_one_fetch() {
    let issuer = Issuer::new("a");
    let keys = KeyServer::default();
    keys.answer(Some(&issuer.jwks()));
    let service = Arc::new(Service::start(&objects(&keys.start().await)).await);
    let token = issuer.sign(&json!({}));
    let checks = (0..20).map(|_| {
        let (service, token) = (Arc::clone(&service), token.clone());
        tokio::spawn(async move { status(&service, &token).await })
    });
    for check in checks.collect::<Vec<_>>() {
        assert_eq!(check.await.unwrap(), 200);
    }
    assert_eq!(keys.asked(), 1);
}

#[tokio::test]
async fn a_rotated_key_is_fetched_at_once_and_unknown_ones_cannot_flood_the_server() {
    let (old, new) = (Issuer::new("old"), Issuer::new("new"));
    let keys = KeyServer::default();
    keys.answer(Some(&old.jwks()));
    let service = Service::start(&objects(&keys.start().await)).await;
    assert_eq!(status(&service, &old.sign(&json!({}))).await, 200);
    keys.answer(Some(&json!({"keys": [old.jwk(), new.jwk()]})));
    assert_eq!(status(&service, &new.sign(&json!({}))).await, 200);
    assert_eq!(keys.asked(), 2);
    for n in 0..50 {
        let stranger = Issuer::new(&format!("stranger-{n}"));
        assert_eq!(status(&service, &stranger.sign(&json!({}))).await, 401);
    }
    assert_eq!(keys.asked(), 2, "at most one extra fetch in thirty seconds");
    assert_eq!(status(&service, &old.sign(&json!({}))).await, 200);
}

#[tokio::test]
async fn without_keys_nothing_passes_until_the_server_is_back() {
    let issuer = Issuer::new("a");
    let keys = KeyServer::default();
    let service = Service::start(&objects(&keys.start().await)).await;
    let token = issuer.sign(&json!({}));
    assert_eq!(status(&service, &token).await, 503);
    keys.answer(Some(&issuer.jwks()));
    crate::support::until(async || status(&service, &token).await == 200).await;
    keys.answer(None);
    let unknown = Issuer::new("unknown").sign(&json!({}));
    assert_eq!(status(&service, &unknown).await, 401, "this makes a fetch fail");
    assert_eq!(status(&service, &token).await, 200, "known keys stay while the server is away");
    assert!(
        service.metrics().await.contains(r#"nuncio_auth_jwks_fetches_total{result="failure"}"#)
    );
}

#[tokio::test]
async fn a_server_that_never_answers_ends_in_a_denial_within_the_deadline() {
    // Accepts and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let objects = objects(&url);
    let service = Service::start_with(&objects, Default::default(), &["--timeout", "300ms"]).await;
    let begun = std::time::Instant::now();
    assert_eq!(status(&service, &Issuer::new("a").sign(&json!({}))).await, 504);
    assert!(begun.elapsed().as_secs() < 4);
}

#[tokio::test]
async fn key_sets_that_cannot_be_trusted_are_not_used() {
    let issuer = Issuer::new("a");
    for answer in
        [json!({"keys": []}), json!([]), json!({"keys": [{"kty": "oct", "kid": "a", "k": "AAAA"}]})]
    {
        let keys = KeyServer::default();
        keys.answer(Some(&answer));
        let service = Service::start(&objects(&keys.start().await)).await;
        assert_eq!(status(&service, &issuer.sign(&json!({}))).await, 503, "{answer}");
    }
}
