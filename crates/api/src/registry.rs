//! Services that a registry outside the objects knows.

use std::sync::Arc;

/// A service in Consul whose instances are wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsulService {
    /// The name under which its instances are to be told, as the service of a
    /// [`Change::Registered`](crate::Change::Registered).
    pub name: Arc<str>,
    /// Where Consul is: `host:port` or a URL, as the ConsulResolver says.
    pub address: String,
    /// Datacenter.
    pub datacenter: String,
    /// Name of the service in Consul.
    pub service: String,
}
