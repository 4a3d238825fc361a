//! gRPC serving: no delay, keepalive, health, drain.

use std::net::SocketAddr;
use std::time::Duration;

use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::Context;
use crate::http::{BindError, bind};

/// How often an idle connection is probed; a peer that vanished without a word
/// is noticed after this plus [`KEEPALIVE_TIMEOUT`].
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves gRPC until the drain, as an owned task, and returns the real address.
///
/// The standard health service answers for the empty name and for each of
/// `health_names`: SERVING from readiness to drain, NOT_SERVING otherwise.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    context: &Context,
    purpose: &'static str,
    address: SocketAddr,
    routes: Routes,
    health_names: &'static [&'static str],
) -> Result<SocketAddr, BindError> {
    let listener = bind(purpose, address).await?;
    let local = listener.local_addr().map_err(|source| BindError { purpose, address, source })?;
    let (reporter, health) = tonic_health::server::health_reporter();
    let watched = context.clone();
    context.tasks.spawn("health", async move {
        let set = async |status| {
            for name in std::iter::once(&"").chain(health_names) {
                reporter.set_service_status(name, status).await;
            }
        };
        set(tonic_health::ServingStatus::NotServing).await;
        tokio::select! {
            () = watched.ready.ready() => set(tonic_health::ServingStatus::Serving).await,
            () = watched.drain.stopping() => {}
        }
        watched.drain.stopping().await;
        set(tonic_health::ServingStatus::NotServing).await;
        Ok(())
    });
    let stopping = context.drain.stopping_owned();
    context.tasks.spawn(purpose, async move {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .add_routes(routes.add_service(health))
            .serve_with_incoming_shutdown(incoming, stopping)
            .await?;
        Ok(())
    });
    Ok(local)
}
