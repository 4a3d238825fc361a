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
        let (name, ip, port) = (self.name(), self.address().ip(), self.address().port());
        let mut text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\n\
             spec:\n  ports:\n"
        );
        for (label, number) in [("plain", 80), ("secure", 443)] {
            let _ = writeln!(text, "  - {{name: {label}, port: {number}, targetPort: {port}}}");
        }
        let _ = write!(
            text,
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata:\n  name: {name}-1\n  namespace: default\n  \
             labels: {{kubernetes.io/service-name: {name}}}\n\
             addressType: IPv4\nports:\n\
             - {{name: plain, port: {port}}}\n- {{name: secure, port: {port}}}\n\
             endpoints:\n- addresses: [\"{ip}\"]\n"
        );
        text
    }
}
