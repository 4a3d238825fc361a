//! The admin port: is it alive, is it ready, what are its numbers.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};

use crate::{Context, chain, telemetry};

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the routes every service has on its admin port; services merge
/// their own.
///
/// `GET /live` 200 while the process answers; `GET /ready` 200 or 503 with what
/// is waited for, one a line; `GET /metrics` `OpenMetrics` text; `PUT /log` sets
/// the log filter to the body.
pub fn router(context: &Context) -> Router {
    Router::new()
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/log", put(log))
        .with_state(context.clone())
}

/// Returns this service's metrics as `OpenMetrics` text.
pub fn metrics_text(context: &Context) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _infallible = prometheus_client::encoding::text::encode(&mut text, &context.registry());
    text
}

async fn live() -> &'static str {
    "live\n"
}

async fn ready(State(context): State<Context>) -> Response {
    if context.drain.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    let waiting = context.ready.waiting();
    if waiting.is_empty() {
        return "ready\n".into_response();
    }
    let body = format!("waiting for\n{}\n", waiting.join("\n"));
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

async fn metrics(State(context): State<Context>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], metrics_text(&context)).into_response()
}

async fn log(body: String) -> Response {
    match telemetry::set_filter(body.trim()) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{}\n", chain(&error))).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn status(context: &Context, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router(context).oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn ready_follows_the_guards_and_the_drain() {
        let context = Context::new("test");
        let guard = context.ready.guard("first sync");
        assert_eq!(status(&context, "/live").await, StatusCode::OK);
        assert_eq!(status(&context, "/ready").await, StatusCode::SERVICE_UNAVAILABLE);
        drop(guard);
        assert_eq!(status(&context, "/ready").await, StatusCode::OK);
        context.drain.start();
        assert_eq!(status(&context, "/ready").await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(&context, "/live").await, StatusCode::OK);
    }
}
