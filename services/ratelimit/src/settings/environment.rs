//! Variables of envoyproxy/ratelimit that this service does not have: a
//! setting that would change nothing is refused, not swallowed.

/// A variable whose value asks for something this service cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value}: {why}")]
pub struct Refused {
    /// The variable.
    pub name: &'static str,
    /// Its value; hidden where it may be a secret.
    pub value: String,
    /// What is missing and what to do.
    pub why: &'static str,
}

/// Returns every variable that asks for something this service cannot do, in
/// the order of the table below. `lookup` reads the environment.
pub fn check_environment(lookup: impl Fn(&str) -> Option<String>) -> Vec<Refused> {
    UNSUPPORTED
        .iter()
        .filter_map(|(name, harmless, why)| {
            let value = lookup(name)?;
            let fine = harmless.iter().any(|h| value.eq_ignore_ascii_case(h));
            (!value.is_empty() && !fine).then_some(Refused { name, value, why })
        })
        .collect()
}

type Row = (&'static str, &'static [&'static str], &'static str);

const OFF: &[&str] = &["false", "0", "f"];

const UNSUPPORTED: &[Row] = &[
    (
        "BACKEND_TYPE",
        &["redis", "memory"],
        "counters live in Redis or in process; memcache cannot count exactly and is not supported",
    ),
    (
        "REDIS_TYPE",
        &["single"],
        "only a single Redis is supported; give REDIS_URL the address of one server",
    ),
    ("REDIS_TLS", OFF, "TLS to Redis is not supported; use a private network or a local proxy"),
    (
        "REDIS_PERSECOND",
        OFF,
        "a second Redis is not supported; unset it, all units share REDIS_URL",
    ),
    ("GRPC_UDS", &[], "gRPC is served on TCP only; use GRPC_HOST and GRPC_PORT"),
    ("GRPC_SERVER_USE_TLS", OFF, "TLS is not served; unset it or put a TLS proxy in front"),
    ("GRPC_CLIENT_TLS_CACERT", &[], "client certificates cannot be checked without TLS; unset it"),
    ("GRPC_CLIENT_TLS_SAN", &[], "client certificates cannot be checked without TLS; unset it"),
    ("CONFIG_GRPC_XDS_SERVER_USE_TLS", OFF, "the control plane is reached without TLS; unset it"),
    (
        "STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT",
        OFF,
        "it would cost a second round trip and is racy; unset it",
    ),
    ("USE_STATSD", OFF, "metrics are served on the admin port at /metrics; unset it"),
    ("USE_DOG_STATSD", OFF, "metrics are served on the admin port at /metrics; unset it"),
    ("TRACING_ENABLED", OFF, "traces are not exported; unset it"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> Vec<Refused> {
        check_environment(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn memcache_is_refused_with_a_reason() {
        let refused = check("BACKEND_TYPE", "memcache");
        assert_eq!(refused.len(), 1);
        assert!(refused[0].to_string().starts_with("BACKEND_TYPE=memcache: "));
    }

    #[test]
    fn harmless_values_pass() {
        assert!(check("BACKEND_TYPE", "redis").is_empty());
        assert!(check("REDIS_TYPE", "SINGLE").is_empty());
        assert!(check("USE_STATSD", "false").is_empty());
        assert!(check("GRPC_UDS", "").is_empty());
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let refused = check_environment(|_| Some("true".into()));
        assert_eq!(refused.len(), UNSUPPORTED.len());
    }
}
