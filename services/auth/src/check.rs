//! `envoy.service.auth.v3.Authorization/Check`.

use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use http::StatusCode;
use nuncio_authz::{Decision, failure};
use tonic::{Request, Response, Status};

use crate::effects::Decider;
use crate::wire;

/// Name of the service, for health checks.
pub(crate) const SERVICE: &str = "envoy.service.auth.v3.Authorization";
/// Largest message: a request's headers and as much body as Envoy is told to
/// send.
pub(crate) const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// The gRPC form of the service.
pub(crate) struct Check(pub(crate) Arc<Decider>);

#[tonic::async_trait]
impl Authorization for Check {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let decision = match wire::request(request.into_inner()) {
            Ok(request) => self.0.decide(request).await,
            Err(error) => {
                tracing::debug!(error = nuncio_process::chain(&error), "request cannot be read");
                Decision::Deny(failure(StatusCode::BAD_REQUEST, ""))
            }
        };
        Ok(Response::new(wire::response(&decision)))
    }
}
