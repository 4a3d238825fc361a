//! Binds, wires and starts the service.

use std::net::SocketAddr;

use nuncio_process::Context;

use crate::Settings;

/// The addresses the service listens on.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Envoy's RLS v3 and gRPC health.
    pub grpc: SocketAddr,
    /// `/json` and `/healthcheck`.
    pub http: SocketAddr,
    /// `/rlconfig`, `/metrics`, `/ready`, `/live`.
    pub admin: SocketAddr,
}

/// Starts the service and returns its real addresses.
///
/// # Errors
/// When a port cannot be bound, the settings contradict each other, or the
/// first load of the limits fails and `force_start` is off.
#[allow(clippy::unused_async, reason = "the interface others build against")]
pub async fn start(settings: Settings, _context: &Context) -> anyhow::Result<Bound> {
    anyhow::bail!("not serving yet on {}", settings.listen.grpc())
}
