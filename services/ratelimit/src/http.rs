//! Checks and health over plain HTTP.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use nuncio_process::Context;

use crate::json;
use crate::rules::Live;
use crate::service::{CheckError, Checker};

/// Largest request body: a request within the core's bounds fits.
const MAX_BODY: usize = 256 * 1024;

/// Returns the routes of the HTTP port.
///
/// `POST /json` one check as JSON: 200 admitted, 429 denied, 400 malformed,
/// 500 the store failed. `GET /healthcheck` 200 `OK`, or 500 before readiness
/// and from the drain on.
pub(crate) fn router(checker: Checker, context: &Context) -> Router {
    Router::new()
        .route("/json", post(check).layer(DefaultBodyLimit::max(MAX_BODY)))
        .with_state(checker)
        .route("/healthcheck", get(health).with_state(context.clone()))
}

/// Returns what the admin port has of our own: `GET /rlconfig` the rules in
/// force, a line each; `GET /stats` the numbers.
pub(crate) fn admin(rules: Live, context: &Context) -> Router {
    Router::new()
        .route("/rlconfig", get(dump).with_state(rules))
        .route("/stats", get(stats).with_state(context.clone()))
}

async fn check(State(checker): State<Checker>, body: Bytes) -> Response {
    let request = match json::read(&body) {
        Ok(request) => request,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    match checker.check(&request).await {
        Ok(response) => {
            let status = match response.overall_code() {
                Code::Ok => StatusCode::OK,
                Code::OverLimit => StatusCode::TOO_MANY_REQUESTS,
                Code::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, axum::Json(json::write(response))).into_response()
        }
        Err(error @ CheckError::Malformed(_)) => {
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
        Err(error @ CheckError::Store(_)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    }
}

async fn health(State(context): State<Context>) -> Response {
    if context.ready.is_ready() && !context.drain.is_stopping() {
        "OK".into_response()
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "NOT OK").into_response()
    }
}

async fn dump(State(rules): State<Live>) -> String {
    rules.load().table.rules().iter().map(|rule| format!("{rule}\n")).collect()
}

async fn stats(State(context): State<Context>) -> String {
    nuncio_process::admin::metrics_text(&context)
}
