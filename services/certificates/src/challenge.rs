//! Answers to HTTP-01 challenges, on every replica.
//!
//! An answer needs no shared state: whoever watches the Hosts knows which
//! account is at work for which name, and the answer is the token it was asked
//! for and that account's thumbprint, which is public. Only the holder of the
//! account key can gain by it, and only for names that are managed here. The
//! tokens of an issue under way are answered whatever name they come under.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use nuncio_renewal::name::Name;
use nuncio_renewal::thumbprint::{Thumbprint, is_token};

use crate::metrics::Metrics;

/// What is answered. Clones share one state; readers never wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    names: Arc<ArcSwap<BTreeMap<Name, Thumbprint>>>,
    tokens: Arc<ArcSwap<BTreeMap<String, String>>>,
}

/// Tokens answered as long as this lives.
#[derive(Debug)]
pub(crate) struct Published {
    answers: Answers,
    tokens: Vec<String>,
}

impl Answers {
    /// Replaces which account answers for which name.
    pub(crate) fn set_names(&self, names: BTreeMap<Name, Thumbprint>) {
        self.names.store(Arc::new(names));
    }

    /// Answers these tokens, token to answer, until the guard is dropped.
    pub(crate) fn publish(&self, tokens: &BTreeMap<String, String>) -> Published {
        let keys = tokens.keys().cloned().collect();
        self.tokens.rcu(|table| {
            let mut table = BTreeMap::clone(table);
            table.extend(tokens.clone());
            table
        });
        Published { answers: self.clone(), tokens: keys }
    }

    /// Returns the answer to `token` asked for under `host`.
    pub(crate) fn answer(&self, host: &str, token: &str) -> Option<String> {
        if !is_token(token) {
            return None;
        }
        if let Some(answer) = self.tokens.load().get(token) {
            return Some(answer.clone());
        }
        let name = Name::parse(host).ok()?;
        Some(self.names.load().get(&name)?.key_authorization(token))
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.answers.tokens.rcu(|table| {
            let mut table = BTreeMap::clone(table);
            table.retain(|token, _| !self.tokens.contains(token));
            table
        });
    }
}

/// Returns the responder's routes; everything else is 404.
pub(crate) fn router(answers: Answers, metrics: Metrics) -> Router {
    Router::new()
        .route("/.well-known/acme-challenge/{token}", get(respond))
        .with_state((answers, metrics))
}

async fn respond(
    State((answers, metrics)): State<(Answers, Metrics)>,
    Path(token): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let header = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = uri.authority().map(http::uri::Authority::as_str).or(header).unwrap_or_default();
    let answer = answers.answer(host, &token);
    let code = if answer.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    metrics.challenge(code.as_u16());
    let headers = [
        (header::CONTENT_TYPE, "text/plain"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (code, headers, answer.unwrap_or_default()).into_response()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use hyper::Request;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    const TOKEN: &str = "DGyRejmCefe7v4NfDGDKfA_-";

    fn thumbprint() -> Thumbprint {
        crate::keys::account(&crate::keys::generate().unwrap()).unwrap().1
    }

    async fn ask(router: Router, method: &str, host: &str, path: &str) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .body(axum::body::Body::empty())
            .unwrap();
        let response = TowerToHyperService::new(router).call(request).await.unwrap();
        let code = response.status().as_u16();
        assert!(
            code == 405 || code == 404 || response.headers()["x-content-type-options"] == "nosniff"
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    fn setup() -> (Answers, Router, Thumbprint) {
        let answers = Answers::default();
        let print = thumbprint();
        answers.set_names(BTreeMap::from([(Name::parse("a.org").unwrap(), print.clone())]));
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
        (answers.clone(), router(answers, metrics), print)
    }

    #[tokio::test]
    async fn any_token_of_a_managed_name_is_answered_with_its_account() {
        let (_, router, print) = setup();
        let path = format!("/.well-known/acme-challenge/{TOKEN}");
        for host in ["a.org", "A.ORG:80", "a.org."] {
            let answer = (200, format!("{TOKEN}.{print}"));
            assert_eq!(ask(router.clone(), "GET", host, &path).await, answer, "{host}");
        }
        assert_eq!(ask(router.clone(), "HEAD", "a.org", &path).await, (200, String::new()));
    }

    #[tokio::test]
    async fn other_names_tokens_methods_and_paths_are_not_answered() {
        let (_, router, _) = setup();
        let path = |token: &str| format!("/.well-known/acme-challenge/{token}");
        for (method, host, path, code) in [
            ("GET", "b.org", path(TOKEN), 404),
            ("GET", "", path(TOKEN), 404),
            ("GET", "a.org", path("short"), 404),
            ("GET", "a.org", path("%3Cscript%3Ealert(1)%3C/script%3E"), 404),
            ("GET", "a.org", path(&format!("{TOKEN}/more")), 404),
            ("POST", "a.org", path(TOKEN), 405),
            ("GET", "a.org", "/".to_owned(), 404),
        ] {
            let (found, body) = ask(router.clone(), method, host, &path).await;
            assert_eq!((found, body.as_str()), (code, ""), "{method} {host} {path}");
        }
    }

    #[tokio::test]
    async fn published_tokens_come_first_and_end_with_their_guard() {
        let (answers, router, print) = setup();
        let path = format!("/.well-known/acme-challenge/{TOKEN}");
        let guard = answers.publish(&BTreeMap::from([(TOKEN.to_owned(), "other".to_owned())]));
        for host in ["a.org", "elsewhere.org"] {
            assert_eq!(ask(router.clone(), "GET", host, &path).await, (200, "other".to_owned()));
        }
        drop(guard);
        assert_eq!(ask(router.clone(), "GET", "a.org", &path).await.1, format!("{TOKEN}.{print}"));
        assert_eq!(ask(router, "GET", "elsewhere.org", &path).await.0, 404);
    }
}
