//! Backends and the Services that stand for them.

use std::fmt::Write as _;
use std::net::SocketAddr;

use nuncio::echo::{Echo, Options};

/// An echo backend behind a Service of its name in namespace `default`.
#[derive(Debug)]
pub struct Backend {
    echo: Echo,
}

impl Backend {
    /// Starts a backend.
    ///
    /// # Panics
    ///
    /// When its port cannot be bound.
    pub async fn start(options: Options) -> Self {
        Self { echo: Echo::start(options).await.expect("a free port can be bound") }
    }

    /// Returns how many requests have arrived so far.
    pub fn requests(&self) -> u64 {
        self.echo.requests()
    }

    /// Returns where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.echo.address()
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        self.echo.name()
    }

    /// Returns its Service and EndpointSlice as YAML, reachable at the
    /// Service's port 80 and 443.
    pub fn manifest(&self) -> String {
        service(self.name(), std::slice::from_ref(self))
    }
}

/// Returns a Service with ports 80 and 443, and the slices of the backends
/// that stand behind it, as YAML.
pub fn service(name: &str, backends: &[Backend]) -> String {
    let addresses: Vec<SocketAddr> = backends.iter().map(Backend::address).collect();
    service_at(name, &addresses)
}

/// Returns a Service with ports 80 and 443, and an EndpointSlice for each
/// address that stands behind it, as YAML.
///
/// A slice has one port for all its addresses, hence one for each.
pub fn service_at(name: &str, addresses: &[SocketAddr]) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\n\
         spec:\n  ports:\n  - {{name: plain, port: 80, targetPort: plain}}\n  \
         - {{name: secure, port: 443, targetPort: secure}}\n"
    );
    for (number, address) in addresses.iter().enumerate() {
        let (ip, port) = (address.ip(), address.port());
        let _ = write!(
            text,
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata:\n  name: {name}-{number}\n  namespace: default\n  \
             labels: {{kubernetes.io/service-name: {name}}}\n\
             addressType: IPv4\nports:\n\
             - {{name: plain, port: {port}}}\n- {{name: secure, port: {port}}}\n\
             endpoints:\n- addresses: [\"{ip}\"]\n"
        );
    }
    text
}
