//! Field types of upstreams, from the user's spelling to ours.

use std::sync::Arc;

use nuncio_api as api;

use super::cluster::{Balance, Breaker, HealthCheck, Keepalive, Probe};
use super::route::{Cors, HashKey, Retry};
use super::syntax;

/// Load balancing as parsed: policy and what it hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LoadBalancer {
    pub(crate) balance: Balance,
    pub(crate) hash: Option<HashKey>,
    /// Part of the cluster name.
    pub(crate) name: String,
}

/// Cookie, header or source address, with the code it has in cluster names.
type Hashed = (HashKey, String);

pub(crate) fn keepalive(given: &api::Keepalive) -> Keepalive {
    Keepalive { time: given.idle_time, interval: given.interval, probes: given.probes }
}

/// Circuit breakers of an object, the Module's where it has none.
pub(crate) fn breakers(given: &[api::CircuitBreaker], default: &[Breaker]) -> Vec<Breaker> {
    if given.is_empty() { default.to_vec() } else { given.iter().map(breaker).collect() }
}

pub(crate) fn breaker(given: &api::CircuitBreaker) -> Breaker {
    Breaker {
        priority: given.priority,
        max_connections: given.max_connections,
        max_pending_requests: given.max_pending_requests,
        max_requests: given.max_requests,
        max_retries: given.max_retries,
    }
}

pub(crate) fn retry(given: &api::RetryPolicy) -> Option<Arc<Retry>> {
    Some(Arc::new(Retry {
        retry_on: given.retry_on?.as_str().to_owned(),
        num_retries: given.num_retries,
        per_try_timeout_ms: given.per_try_timeout.map(millis),
    }))
}

pub(crate) fn cors(given: &api::Cors) -> Arc<Cors> {
    Arc::new(Cors {
        origins: given
            .origins
            .iter()
            .flat_map(|origin| origin.split(','))
            .map(|origin| origin.trim().to_owned())
            .filter(|origin| !origin.is_empty())
            .collect(),
        methods: given.methods.join(", "),
        headers: given.headers.join(", "),
        exposed_headers: given.exposed_headers.join(", "),
        max_age: given.max_age.clone().unwrap_or_default(),
        credentials: given.credentials.unwrap_or(false),
    })
}

pub(crate) fn millis(text: api::DurationText) -> u64 {
    u64::try_from(text.0.as_millis()).unwrap_or(u64::MAX)
}

/// Parses a load balancer; the error says what is wrong with its shape.
pub(crate) fn load_balancer(given: &api::LoadBalancer) -> Result<LoadBalancer, &'static str> {
    let policy = given.policy.ok_or("spec.policy in body is required")?;
    let cookie = match &given.cookie {
        Some(cookie) if cookie.name.is_empty() => return Err("cookie.name in body is required"),
        Some(cookie) => Some((
            HashKey::Cookie {
                name: cookie.name.clone(),
                path: cookie.path.clone(),
                ttl_ms: cookie.ttl.map(millis),
            },
            format!("-cookie-{}", cookie.name),
        )),
        None => None,
    };
    let header = match &given.header {
        Some(name) if !syntax::is_header_name(name) => return Err("header is no header name"),
        Some(name) => Some((HashKey::Header(name.clone()), format!("-hdr-{name}"))),
        None => None,
    };
    let source =
        given.source_ip.filter(|wanted| *wanted).map(|_| (HashKey::SourceIp, "-srcip".to_owned()));
    let mut hashed: Vec<Hashed> = [header, cookie, source].into_iter().flatten().collect();
    let balance = match policy {
        api::LoadBalancerPolicy::RoundRobin => Balance::RoundRobin,
        api::LoadBalancerPolicy::LeastRequest => Balance::LeastRequest,
        api::LoadBalancerPolicy::RingHash => Balance::RingHash,
        api::LoadBalancerPolicy::Maglev => Balance::Maglev,
    };
    let hashes = matches!(balance, Balance::RingHash | Balance::Maglev);
    match (hashes, hashed.len()) {
        (false, 0) => Ok(LoadBalancer { balance, hash: None, name: policy.as_str().to_owned() }),
        (false, _) => Err("this policy takes no cookie, header or source_ip"),
        (true, 1) => {
            let (hash, code) = hashed.remove(0);
            let name = format!("{}{code}", policy.as_str());
            Ok(LoadBalancer { balance, hash: Some(hash), name })
        }
        (true, _) => Err("this policy needs exactly one of cookie, header and source_ip"),
    }
}

/// Returns first and last status, both included; `None` when there is no such
/// range.
pub(crate) fn status_range(given: &api::StatusRange) -> Option<(u32, u32)> {
    let valid = (100..600).contains(&given.min) && (given.min..600).contains(&given.max);
    valid.then_some((given.min, given.max))
}

/// Parses a health check; `None` when it names no probe.
pub(crate) fn health_check(given: &api::HealthCheck) -> Option<HealthCheck> {
    let kind = given.health_check.as_ref()?;
    let probe = match (&kind.http, &kind.grpc) {
        (Some(http), None) if !http.path.is_empty() => Probe::Http {
            path: http.path.clone(),
            host: http.hostname.clone().unwrap_or_default(),
            add: http
                .add_request_headers
                .iter()
                .map(|(name, added)| {
                    (name.clone(), added.value.clone(), added.append.unwrap_or(true))
                })
                .collect(),
            remove: http.remove_request_headers.clone(),
            expected: http.expected_statuses.iter().filter_map(status_range).collect(),
        },
        (None, Some(grpc)) => Probe::Grpc {
            service: grpc.upstream_name.clone(),
            authority: grpc.authority.clone().unwrap_or_default(),
        },
        _ => return None,
    };
    let duration = |text: Option<api::DurationText>, default| {
        text.map(millis).filter(|ms| *ms > 0).unwrap_or(default)
    };
    Some(HealthCheck {
        timeout_ms: duration(given.timeout, 3000),
        interval_ms: duration(given.interval, 5000),
        healthy: given.healthy_threshold.unwrap_or(1).max(1),
        unhealthy: given.unhealthy_threshold.unwrap_or(2).max(1),
        probe,
    })
}
