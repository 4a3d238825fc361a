//! A Consul of one endpoint: the health of services, with blocking queries.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// A server that speaks the documented form of `/v1/health/service/:service`,
/// stopped when dropped.
#[derive(Debug)]
pub struct Consul {
    address: SocketAddr,
    state: watch::Sender<Catalogue>,
    server: AbortHandle,
}

/// One instance of a service.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Address of the service; empty where it is that of the node.
    pub address: String,
    /// Address of the node.
    pub node: String,
    /// Port.
    pub port: u16,
    /// Whether its checks pass.
    pub passing: bool,
}

#[derive(Debug, Clone, Default)]
struct Catalogue {
    index: u64,
    services: BTreeMap<(String, String), Vec<Instance>>,
    failing: bool,
    /// Queries that were refused.
    failures: u64,
    /// ACL tokens that queries carried.
    tokens: BTreeSet<String>,
}

impl Instance {
    /// Makes a healthy instance at an address.
    pub fn at(address: &str, port: u16) -> Self {
        Self { address: address.into(), node: "192.0.2.1".into(), port, passing: true }
    }

    fn json(&self) -> Value {
        let status = if self.passing { "passing" } else { "critical" };
        json!({
            "Node": {"Node": "node", "Address": self.node},
            "Service": {"Service": "service", "Address": self.address, "Port": self.port},
            "Checks": [{"CheckID": "check", "Status": status}],
        })
    }
}

impl Consul {
    /// Starts one on a free port of loopback.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let state = watch::Sender::new(Catalogue { index: 10, ..Catalogue::default() });
        let router = axum::Router::new()
            .route("/v1/health/service/{service}", axum::routing::get(health))
            .with_state(state.clone());
        let serve = async move { axum::serve(listener, router).await };
        let server = tokio::spawn(serve).abort_handle();
        Self { address, state, server }
    }

    /// Returns where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces the instances of a service.
    pub fn register(&self, datacenter: &str, service: &str, instances: Vec<Instance>) {
        self.state.send_modify(|state| {
            state.index += 1;
            state.services.insert((datacenter.into(), service.into()), instances);
        });
    }

    /// Answers 500 from now on, to waiting queries too, or no longer.
    pub fn fail(&self, failing: bool) {
        self.state.send_modify(|state| state.failing = failing);
    }

    /// Waits until a query has been refused.
    ///
    /// # Panics
    ///
    /// Never: the state lives as long as this.
    pub async fn failed(&self) {
        let mut state = self.state.subscribe();
        state.wait_for(|state| state.failures > 0).await.expect("the state is ours");
    }

    /// Returns the ACL tokens that queries carried so far.
    pub fn tokens(&self) -> BTreeSet<String> {
        self.state.borrow().tokens.clone()
    }

    /// Lets the index go back, as a restored Consul does.
    pub fn restart_index(&self) {
        self.state.send_modify(|state| state.index = 1);
    }
}

impl Drop for Consul {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn health(
    State(state): State<watch::Sender<Catalogue>>,
    Path(service): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Some(token) = headers.get("x-consul-token").and_then(|value| value.to_str().ok()) {
        state.send_modify(|state| {
            state.tokens.insert(token.to_owned());
        });
    }
    let known: u64 = query.get("index").and_then(|text| text.parse().ok()).unwrap_or(0);
    let wait = query.get("wait").and_then(|text| text.strip_suffix('s')?.parse().ok());
    let wait = Duration::from_secs(wait.unwrap_or(300));
    let mut changes = state.subscribe();
    // A wait that ends without a change is answered like any other.
    let news = changes.wait_for(|state| state.failing || known == 0 || state.index != known);
    let _ = tokio::time::timeout(wait, news).await;
    let now = state.borrow().clone();
    if now.failing {
        state.send_modify(|state| state.failures += 1);
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let datacenter = query.get("dc").cloned().unwrap_or_default();
    let instances = now.services.get(&(datacenter, service)).cloned().unwrap_or_default();
    let passing = query.contains_key("passing");
    let shown: Vec<_> =
        instances.iter().filter(|it| it.passing || !passing).map(Instance::json).collect();
    ([("x-consul-index", now.index.to_string())], Json(shown)).into_response()
}
