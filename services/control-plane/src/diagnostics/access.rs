//! Who may see what.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use nuncio_api::{ModuleConfig, Spec};

use crate::Objects;

/// Headers that a proxy adds. A request that has one came through a proxy, so
/// the peer's address says nothing of its origin. A caller can add them and
/// only make itself more of a stranger; it cannot take away what Envoy adds.
const PROXIED: [&str; 5] =
    ["x-forwarded-for", "forwarded", "x-envoy-external-address", "x-envoy-internal", "x-real-ip"];

/// Says whether a request comes from a program on this machine.
pub(super) fn is_local(peer: SocketAddr, headers: &HeaderMap) -> bool {
    peer.ip().to_canonical().is_loopback()
        && !PROXIED.iter().any(|proxied| headers.contains_key(*proxied))
}

/// Says whether a caller may see the diagnostics: those on this machine unless
/// they are disabled, and anybody where the Module says so.
pub(super) fn may_see_diagnostics(
    objects: &Objects,
    ambassador_id: &str,
    peer: SocketAddr,
    headers: &HeaderMap,
) -> bool {
    let mut enabled = true;
    let mut allow_non_local = false;
    for object in objects.all() {
        let Spec::Module(module) = &object.spec else { continue };
        if object.meta.name != "ambassador" || !module.ambassador_id.matches(ambassador_id) {
            continue;
        }
        let ModuleConfig::Ambassador(config) = &module.config else { continue };
        let Some(diagnostics) = &config.diagnostics else { continue };
        enabled = diagnostics.enabled.unwrap_or(enabled);
        allow_non_local = diagnostics.allow_non_local.unwrap_or(allow_non_local);
    }
    allow_non_local || (enabled && is_local(peer, headers))
}

/// The log filter is changed from this machine only.
pub(super) async fn guard_log_level(request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        if !peer.is_some_and(|ConnectInfo(peer)| is_local(*peer, request.headers())) {
            return StatusCode::NOT_FOUND.into_response();
        }
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_came_through_a_proxy_is_not_local() {
        let here: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:4000".parse().unwrap();
        let there: SocketAddr = "192.0.2.1:4000".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-ambassador-diag-ip", "127.0.0.1".parse().unwrap());
        assert!(is_local(here, &headers));
        assert!(is_local(mapped, &headers));
        assert!(!is_local(there, &headers), "a header makes nobody local");
        headers.insert("x-forwarded-for", "127.0.0.1".parse().unwrap());
        assert!(!is_local(here, &headers));
    }
}
