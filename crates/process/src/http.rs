//! Plain HTTP serving with drain.

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;

use crate::Context;

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {purpose}: is the port in use or reserved?")]
pub struct BindError {
    /// What the port is for.
    pub purpose: &'static str,
    /// The address as configured.
    pub address: SocketAddr,
    /// What the system says.
    #[source]
    pub source: std::io::Error,
}

/// Opens a listening socket; port 0 takes any free port.
///
/// # Errors
/// When the address cannot be bound.
pub async fn bind(purpose: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { purpose, address, source })
}

/// Serves HTTP until the drain, as an owned task, and returns the real address.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    context: &Context,
    purpose: &'static str,
    address: SocketAddr,
    router: Router,
) -> Result<SocketAddr, BindError> {
    let listener = bind(purpose, address).await?;
    let local = listener.local_addr().map_err(|source| BindError { purpose, address, source })?;
    let stopping = context.drain.stopping_owned();
    context.tasks.spawn(purpose, async move {
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            // Answers are small: waiting for more bytes only adds latency.
            let _best_effort = stream.set_nodelay(true);
        });
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).with_graceful_shutdown(stopping).await?;
        Ok(())
    });
    Ok(local)
}
