//! ext_authz over HTTP: the request comes as it is, 200 lets it through. And
//! what the admin port tells about policy.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderName, HeaderValue, StatusCode};
use nuncio_authz::filter::external::REMOVE_HEADER;
use nuncio_authz::{Decision, Denial, Host, Peer, Request, failure};
use serde_json::json;

use crate::effects::Decider;
use crate::policies::Policies;

/// Most bytes of a body that Envoy is told to send.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Serves the HTTP form on every path.
pub(crate) fn router(decider: Arc<Decider>) -> Router {
    Router::new().fallback(check).with_state(decider)
}

async fn check(
    State(decider): State<Arc<Decider>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: axum::extract::Request,
) -> Response {
    let decision = match read(request, peer).await {
        Some(request) => decider.decide(request).await,
        None => Decision::Deny(failure(StatusCode::BAD_REQUEST, "")),
    };
    answer(decision)
}

async fn read(request: axum::extract::Request, peer: SocketAddr) -> Option<Request> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY).await.ok()?.to_vec();
    let mut headers = parts.headers;
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (parts.uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), _, _) => Host::parse(authority.as_str()).ok()?,
        (None, Some(host), None) => Host::parse(host.to_str().ok()?).ok()?,
        _ => return None,
    };
    headers.remove(HOST);
    let text = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    Some(Request {
        id: text("x-request-id"),
        scheme: text("x-forwarded-proto"),
        body_is_partial: text("x-envoy-auth-partial-body") == "true",
        method: parts.method.as_str().to_owned(),
        host,
        path: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        protocol: String::new(),
        headers,
        body,
        source: Peer { address: peer.ip().to_string(), port: peer.port(), ..Peer::default() },
        ..Request::default()
    })
}

fn answer(decision: Decision) -> Response {
    match decision {
        Decision::Allow(allow) => {
            let changes = allow.changes();
            let mut response = Response::new(Body::empty());
            let headers = response.headers_mut();
            for (name, value) in changes.headers_set().iter().chain(changes.response_headers()) {
                headers.append(name.clone(), value.clone());
            }
            let removed: Vec<_> =
                changes.headers_removed().iter().map(HeaderName::as_str).collect();
            if !removed.is_empty()
                && let Ok(value) = HeaderValue::from_str(&removed.join(","))
            {
                headers.insert(REMOVE_HEADER, value);
            }
            response
        }
        Decision::Deny(denial) => denied(denial),
    }
}

/// Here 200 means "allowed", so a denial can never say it.
fn denied(denial: Denial) -> Response {
    let mut response = Response::new(Body::from(denial.body));
    *response.status_mut() = match denial.status {
        status if status.is_success() || status.is_informational() => StatusCode::FORBIDDEN,
        status => status,
    };
    for (name, value) in denial.headers {
        if name != CONTENT_LENGTH {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// Adds what the admin port tells: `GET /config` the filters, rules and
/// findings in use; `GET /explain?host=&path=` the rule a request falls under.
pub(crate) fn admin(policies: Arc<Policies>) -> Router {
    Router::new().route("/config", get(config)).route("/explain", get(explain)).with_state(policies)
}

async fn config(State(policies): State<Arc<Policies>>) -> Response {
    let Some(config) = policies.current() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no configuration yet\n").into_response();
    };
    let filters: Vec<_> = config
        .filters()
        .iter()
        .map(|(name, filter)| {
            json!({
                "name": name.to_string(),
                "type": filter.type_name(),
                "rejected": filter.rejected(),
            })
        })
        .collect();
    let findings: Vec<_> = config
        .findings()
        .iter()
        .map(|finding| {
            json!({
                "kind": finding.kind,
                "name": finding.name.to_string(),
                "field": finding.field,
                "message": finding.message,
                "error": finding.is_error,
            })
        })
        .collect();
    let rules: Vec<_> = config.table().rules().iter().map(|rule| rule.name.as_str()).collect();
    axum::Json(json!({ "filters": filters, "rules": rules, "findings": findings })).into_response()
}

async fn explain(
    State(policies): State<Arc<Policies>>,
    Query(query): Query<std::collections::BTreeMap<String, String>>,
) -> Response {
    let part = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let Ok(host) = Host::parse(part("host")) else {
        return (StatusCode::BAD_REQUEST, "host is not a host name\n").into_response();
    };
    let Some(config) = policies.current() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no configuration yet\n").into_response();
    };
    let path = part("path").split(['?', '#']).next().unwrap_or_default();
    let rule = config.table().find(&host, path);
    let filters: Vec<_> = rule
        .iter()
        .flat_map(|rule| &rule.chain)
        .map(|link| json!({"name": link.filter.name.to_string(), "type": link.filter.type_name()}))
        .collect();
    axum::Json(json!({ "rule": rule.map(|rule| &rule.name), "filters": filters })).into_response()
}
