//! The admin port: probes, metrics, and pages for people.

mod access;
mod clusters;
mod dump;
mod overview;
mod page;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use nuncio_process::{Context, admin, chain};
use serde::Deserialize;

use crate::health::Health;
use crate::questions::Questions;
use crate::{Fleet, Objects, Report, envoy_client};

/// Envoy's statistics are left out rather than waited for longer.
const STATISTICS_TIMEOUT: Duration = Duration::from_secs(5);
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the pages show.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    pub(crate) context: Context,
    pub(crate) health: Health,
    pub(crate) fleet: Fleet,
    pub(crate) report: Report,
    pub(crate) objects: Objects,
    pub(crate) questions: Questions,
    pub(crate) ambassador_id: String,
    pub(crate) namespace: String,
    pub(crate) single_namespace: bool,
    pub(crate) endpoints_enabled: bool,
    pub(crate) envoy_admin: Option<SocketAddr>,
}

#[derive(Debug, Deserialize)]
struct Wish {
    #[serde(default)]
    json: String,
    filter: Option<String>,
}

/// Returns the routes of the admin port.
///
/// Open: `/ambassador/v0/check_alive`, `check_ready`, `/metrics`, `/live`,
/// `/ready`. For callers on this machine (and, with `allow_non_local`, others):
/// `/ambassador/v0/diag/`, with `json=true` and `filter=<key>`. For callers on
/// this machine only: `/config_dump`, `/_internal/v0/ping`, `PUT /log`.
pub(crate) fn router(pages: Pages) -> Router {
    // The common admin routes come behind ours, which win.
    let common = admin::router(&pages.context);
    let common = common.layer(axum::middleware::from_fn(access::guard_log_level));
    Router::new()
        .route("/ambassador/v0/check_alive", get(alive))
        .route("/ambassador/v0/check_ready", get(ready))
        .route("/ambassador/v0/diag", get(overview))
        .route("/ambassador/v0/diag/", get(overview))
        .route("/metrics", get(metrics))
        .route("/config_dump", get(config_dump))
        .route("/_internal/v0/ping", get(ping))
        .with_state(pages)
        .fallback_service(common)
}

async fn alive(State(pages): State<Pages>) -> Response {
    if pages.health.is_alive().await {
        "Ambassador is alive and well\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Ambassador is not alive\n").into_response()
    }
}

async fn ready(State(pages): State<Pages>) -> Response {
    if !pages.context.drain.is_stopping() && pages.health.is_ready().await {
        "Ambassador is ready and waiting\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Ambassador is not ready\n").into_response()
    }
}

/// Envoy's statistics first, then ours, as one Prometheus text.
async fn metrics(State(pages): State<Pages>) -> Response {
    let mut text = String::new();
    if let Some(address) = pages.envoy_admin {
        match envoy_client::fetch(address, "/stats/prometheus", STATISTICS_TIMEOUT).await {
            Ok(answer) => text.push_str(&String::from_utf8_lossy(&answer.body)),
            Err(error) => tracing::debug!(error = chain(&error), "no statistics from envoy"),
        }
    }
    let own = admin::metrics_text(&pages.context);
    // The end mark of the newer format is not part of the older, in which
    // Envoy writes.
    text.push_str(own.trim_end().trim_end_matches("# EOF"));
    ([(header::CONTENT_TYPE, TEXT)], text).into_response()
}

async fn overview(
    State(pages): State<Pages>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Response {
    if !access::may_see_diagnostics(&pages.objects, &pages.ambassador_id, peer, &headers) {
        return (StatusCode::NOT_FOUND, "Not found\n").into_response();
    }
    if !pages.health.snapshot.is_published() {
        let text = "Ambassador has no configuration yet\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    let all = overview::overview(&pages).await;
    if !wish.json.eq_ignore_ascii_case("true") {
        return Html(page::page(&all)).into_response();
    }
    let body = match &wish.filter {
        Some(key) => all.get(key).cloned().unwrap_or_default(),
        None => all,
    };
    axum::Json(body).into_response()
}

/// Source: Emissary's `/_internal/v0/ping`, which tells strangers 403.
async fn ping(ConnectInfo(peer): ConnectInfo<SocketAddr>, headers: HeaderMap) -> Response {
    if access::is_local(peer, &headers) {
        "PONG\n".into_response()
    } else {
        (StatusCode::FORBIDDEN, "Forbidden\n").into_response()
    }
}

async fn config_dump(
    State(pages): State<Pages>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if !access::is_local(peer, &headers) {
        return (StatusCode::NOT_FOUND, "Not found\n").into_response();
    }
    axum::Json(dump::dump(&pages.fleet)).into_response()
}
