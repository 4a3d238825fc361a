//! Upstreams: what a cluster is made of, and the name it gets.

use std::sync::Arc;

use nuncio_api::{BreakerPriority, OutlierDetection};

use crate::names;

use super::tls::UpstreamTls;

/// One upstream with all its options.
///
/// Two users with equal values share one cluster; users of one service with
/// different options get clusters of their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Cluster {
    pub(crate) discovery: Discovery,
    pub(crate) stat_name: String,
    pub(crate) connect_timeout_ms: u64,
    pub(crate) idle_timeout_ms: Option<u64>,
    pub(crate) max_lifetime_ms: Option<u64>,
    pub(crate) breakers: Vec<Breaker>,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) balance: Balance,
    pub(crate) http2: bool,
    pub(crate) tls: Option<Arc<UpstreamTls>>,
    pub(crate) health_checks: Vec<HealthCheck>,
    pub(crate) outliers: Option<OutlierDetection>,
    pub(crate) header_case: HeaderCase,
}

/// A cluster with its name.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Full cluster name, before variants and shortening.
    pub(crate) name: Arc<str>,
    pub(crate) cluster: Arc<Cluster>,
    /// Hash of the options, for comparison and for names of variants.
    pub(crate) options: u64,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.options == other.options
    }
}

/// Where the endpoints come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Discovery {
    /// DNS, or a literal address.
    Dns { host: String, port: u16, logical: bool, respect_ttl: bool, family: Family },
    /// Several DNS names or addresses, balanced together.
    Several { targets: Vec<(String, u16)>, family: Family },
    /// Endpoints sent by us under this service name.
    Eds { service: Arc<str> },
    /// Nobody: every request fails. Stands where answering would be unsafe.
    Closed,
}

/// Address families asked of DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    V4,
    V6,
    Both,
}

impl Family {
    /// Both wanted or v6 alone; otherwise v4, also when neither is wanted.
    pub(crate) const fn of(ipv4: bool, ipv6: bool) -> Self {
        match (ipv4, ipv6) {
            (true, true) => Self::Both,
            (false, true) => Self::V6,
            _ => Self::V4,
        }
    }
}

/// Load balancing policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Balance {
    #[default]
    RoundRobin,
    LeastRequest,
    RingHash,
    Maglev,
}

/// Thresholds of one priority.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Breaker {
    /// As written: the default one, stated, has another code in the name.
    pub(crate) priority: Option<BreakerPriority>,
    pub(crate) max_connections: Option<u32>,
    pub(crate) max_pending_requests: Option<u32>,
    pub(crate) max_requests: Option<u32>,
    pub(crate) max_retries: Option<u32>,
}

/// TCP keep-alive; seconds, seconds, count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Keepalive {
    pub(crate) time: Option<u32>,
    pub(crate) interval: Option<u32>,
    pub(crate) probes: Option<u32>,
}

/// Spelling of header names on HTTP/1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) enum HeaderCase {
    #[default]
    Lower,
    Proper,
    /// Lower-case name to its spelling, sorted.
    Custom(Vec<(String, String)>),
}

/// An active health check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HealthCheck {
    pub(crate) timeout_ms: u64,
    pub(crate) interval_ms: u64,
    pub(crate) healthy: u32,
    pub(crate) unhealthy: u32,
    pub(crate) probe: Probe,
}

/// What a health check sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Probe {
    Http {
        path: String,
        host: String,
        /// Name, value, append.
        add: Vec<(String, String, bool)>,
        remove: Vec<String>,
        /// First and last status, both inclusive.
        expected: Vec<(u32, u32)>,
    },
    Grpc {
        service: String,
        authority: String,
    },
}

/// What goes into Emissary's cluster name.
#[derive(Debug, Default)]
pub(crate) struct NameParts<'a> {
    /// `cluster_tag`, or `shadow`, `extauth`, `logging` and the like.
    pub(crate) marker: Option<&'a str>,
    /// Qualified service text, scheme included.
    pub(crate) service: &'a str,
    /// TLS is originated.
    pub(crate) tls: bool,
    /// Context that originates TLS, where the service has no scheme.
    pub(crate) context: Option<&'a str>,
    /// `host_rewrite`, in the name only with TLS.
    pub(crate) host_rewrite: Option<&'a str>,
    /// Namespace of the Mapping.
    pub(crate) namespace: &'a str,
    pub(crate) breakers: &'a [Breaker],
    /// Policy, then header, cookie or source address as far as hashed.
    pub(crate) balance: Option<String>,
}

impl NameParts<'_> {
    /// Returns the full name, before shortening. Source: Emissary.
    pub(crate) fn full_name(&self) -> String {
        let mut name = String::with_capacity(64);
        name.push_str("cluster");
        if let Some(marker) = self.marker {
            push(&mut name, marker);
        }
        push(&mut name, self.service);
        if self.tls {
            push(&mut name, "otls");
            if let Some(context) = self.context {
                push(&mut name, context);
            }
            if let Some(host) = self.host_rewrite {
                push(&mut name, "hr-");
                name.push_str(host);
            }
        }
        push(&mut name, self.namespace);
        for breaker in self.breakers {
            push(&mut name, &breaker_code(breaker));
        }
        if let Some(balance) = &self.balance {
            push(&mut name, "er-");
            name.push_str(balance);
        }
        names::sanitise(&name)
    }
}

fn push(name: &mut String, part: &str) {
    name.push('_');
    name.push_str(part);
}

/// `cb`, initial of the priority (`n` for none), then `c`, `p`, `r`, `t` with
/// the numbers given.
fn breaker_code(breaker: &Breaker) -> String {
    let priority = match breaker.priority {
        None => 'n',
        Some(BreakerPriority::Default) => 'd',
        Some(BreakerPriority::High) => 'h',
    };
    let mut code = format!("cb{priority}");
    let numbers = [
        ('c', breaker.max_connections),
        ('p', breaker.max_pending_requests),
        ('r', breaker.max_requests),
        ('t', breaker.max_retries),
    ];
    for (letter, number) in numbers {
        if let Some(number) = number {
            code.push(letter);
            code.push_str(&number.to_string());
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_names_are_emissarys() {
        let plain = NameParts { service: "s1.foo:8080", namespace: "foo", ..Default::default() };
        assert_eq!(plain.full_name(), "cluster_s1_foo_8080_foo");
        let tls = NameParts {
            service: "https://s1",
            tls: true,
            namespace: "default",
            ..Default::default()
        };
        assert_eq!(tls.full_name(), "cluster_https___s1_otls_default");
    }
}
