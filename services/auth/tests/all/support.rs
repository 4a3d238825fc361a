//! A started service, and servers for it to talk to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use clap::Parser as _;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use nuncio_auth::{Bound, Extensions, Settings};
use nuncio_process::Context;
use serde_json::{Value, json};

/// A running auth service with its policy file.
pub(crate) struct Service {
    pub(crate) bound: Bound,
    pub(crate) context: Context,
    folder: tempfile::TempDir,
    client: AuthorizationClient<tonic::transport::Channel>,
}

impl Service {
    pub(crate) async fn start(objects: &[Value]) -> Self {
        Self::start_with(objects, Extensions::default(), &[]).await
    }

    pub(crate) async fn start_with(
        objects: &[Value],
        extensions: Extensions,
        arguments: &[&str],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("policy.yaml"), objects);
        let config = folder.path().to_str().unwrap();
        let fixed = ["auth", "--grpc=127.0.0.1:0", "--http=127.0.0.1:0", "--admin=127.0.0.1:0"];
        let given = ["--config", config].into_iter().chain(arguments.iter().copied());
        let settings = Settings::parse_from(fixed.into_iter().chain(given));
        let context = Context::new("auth");
        let bound = nuncio_auth::start_with(settings, &context, extensions).await.unwrap();
        let client = AuthorizationClient::connect(format!("http://{}", bound.grpc)).await.unwrap();
        Self { bound, context, folder, client }
    }

    /// Replaces the policy and waits until it is in use.
    pub(crate) async fn replace(&self, objects: &[Value]) {
        let before = self.configurations().await;
        write(&self.folder.path().join("policy.yaml"), objects);
        until(async || self.configurations().await > before).await;
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("policy.yaml")
    }

    async fn configurations(&self) -> u64 {
        let text = self.metrics().await;
        let line = text.lines().find(|line| line.starts_with("nuncio_auth_configurations_total"));
        line.and_then(|line| line.split(' ').nth(1)).and_then(|n| n.parse().ok()).unwrap()
    }

    pub(crate) async fn metrics(&self) -> String {
        reqwest::get(format!("http://{}/metrics", self.bound.admin))
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    pub(crate) async fn check(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.check_host("example.com", path, headers).await
    }

    pub(crate) async fn check_host(
        &self,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        self.send(check_request(host, path, headers)).await
    }

    pub(crate) async fn send(&self, request: CheckRequest) -> Answer {
        Answer(self.client.clone().check(request).await.unwrap().into_inner())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.context.drain.force();
    }
}

/// What Envoy sends with `encode_raw_headers`.
pub(crate) fn check_request(host: &str, path: &str, headers: &[(&str, &str)]) -> CheckRequest {
    let entry = |name: &str, value: &str| HeaderValue {
        key: name.to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    };
    let pseudo = [(":method", "GET"), (":path", path), (":authority", host)];
    let entries = pseudo.iter().chain(headers).map(|(name, value)| entry(name, value)).collect();
    let http = HttpRequest {
        method: "GET".into(),
        path: path.into(),
        host: host.into(),
        scheme: "http".into(),
        header_map: Some(HeaderMap { headers: entries }),
        ..HttpRequest::default()
    };
    CheckRequest {
        attributes: Some(AttributeContext {
            request: Some(Request { http: Some(http), ..Request::default() }),
            ..AttributeContext::default()
        }),
    }
}

/// Envoy's view of an answer.
pub(crate) struct Answer(pub(crate) CheckResponse);

impl Answer {
    /// 200 when allowed. Panics on an answer that Envoy could misread.
    pub(crate) fn status(&self) -> i32 {
        let code = self.0.status.as_ref().expect("every answer has a status").code;
        match self.0.http_response.as_ref().expect("every answer has a body of its kind") {
            HttpResponse::OkResponse(_) => {
                assert_eq!(code, 0);
                200
            }
            HttpResponse::DeniedResponse(denied) => {
                assert_ne!(code, 0);
                assert!(denied.headers.iter().all(|header| {
                    #[expect(deprecated, reason = "what must not be set")]
                    header.append.is_none()
                }));
                denied.status.as_ref().expect("every denial has a status").code
            }
            HttpResponse::ErrorResponse(_) => panic!("never sent"),
        }
    }

    /// Request headers set on an allowed request.
    pub(crate) fn set(&self) -> BTreeMap<String, String> {
        let Some(HttpResponse::OkResponse(ok)) = &self.0.http_response else { panic!("denied") };
        let headers = ok.headers.iter().filter_map(|option| option.header.clone());
        headers.map(|header| (header.key, header.value)).collect()
    }

    pub(crate) fn body(&self) -> &str {
        match &self.0.http_response {
            Some(HttpResponse::DeniedResponse(denied)) => &denied.body,
            _ => "",
        }
    }
}

fn write(path: &std::path::Path, objects: &[Value]) {
    let documents: Vec<_> = objects.iter().map(Value::to_string).collect();
    std::fs::write(path, documents.join("\n---\n")).unwrap();
}

pub(crate) fn filter(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Filter",
        "metadata": {"name": name}, "spec": spec,
    })
}

pub(crate) fn policy(rules: &Value) -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "FilterPolicy",
        "metadata": {"name": "policy"}, "spec": {"rules": rules},
    })
}

pub(crate) fn secret(name: &str, entries: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": entries,
    })
}

/// Waits for a state, at most ten seconds.
pub(crate) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("the state is reached");
}

/// Serves a router on a free port of loopback, for the length of the test.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A key server whose answer can be changed; counts what it is asked.
#[derive(Clone, Default)]
pub(crate) struct KeyServer {
    state: Arc<Mutex<(Option<String>, usize)>>,
}

impl KeyServer {
    pub(crate) async fn start(&self) -> String {
        let server = self.clone();
        let handler = async move || {
            let mut state = server.state.lock().unwrap();
            state.1 += 1;
            match &state.0 {
                Some(keys) => Ok(keys.clone()),
                None => Err(http::StatusCode::BAD_GATEWAY),
            }
        };
        let router = Router::new().route("/keys", axum::routing::get(handler));
        format!("http://{}/keys", serve(router).await)
    }

    /// Sets the answer; `None` is an outage.
    pub(crate) fn answer(&self, keys: Option<&Value>) {
        self.state.lock().unwrap().0 = keys.map(Value::to_string);
    }

    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().1
    }
}
