//! Metrics of the auth service, and the names that existing dashboards know.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::StatusCode;
use nuncio_authz::filter::external::ExternalOutcome;
use nuncio_authz::{Config, Decision};
use nuncio_process::Context;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// Metrics; clones share one state.
#[derive(Clone)]
pub(crate) struct Metrics {
    decisions: Family<Outcome, Counter>,
    seconds: Histogram,
    jwks: Family<Success, Counter>,
    filters: Gauge,
    filters_rejected: Gauge,
    rules: Gauge,
    configurations: Counter,
    // Gauges, since a counter's name would get `_total` at its end, and
    // dashboards of Edge Stack ask for these exact names.
    external_allowed: Gauge<u64, AtomicU64>,
    external_denied: Gauge<u64, AtomicU64>,
    external_error: Gauge<u64, AtomicU64>,
    external_class: Family<Class, Gauge<u64, AtomicU64>>,
    external_status: Family<Code, Gauge<u64, AtomicU64>>,
    handler_error: Gauge<u64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Success {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Class {
    class: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    status: u16,
}

/// Seconds: from a look-up in memory to Envoy's patience.
const BUCKETS: [f64; 12] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 4.0];

impl Metrics {
    pub(crate) fn register(context: &Context) -> Self {
        let metrics = Self {
            decisions: Family::default(),
            seconds: Histogram::new(BUCKETS),
            jwks: Family::default(),
            filters: Gauge::default(),
            filters_rejected: Gauge::default(),
            rules: Gauge::default(),
            configurations: Counter::default(),
            external_allowed: Gauge::default(),
            external_denied: Gauge::default(),
            external_error: Gauge::default(),
            external_class: Family::default(),
            external_status: Family::default(),
            handler_error: Gauge::default(),
        };
        let mut registry = context.registry();
        let own = [
            ("nuncio_auth_filters", "Filters known", metrics.filters.clone()),
            (
                "nuncio_auth_filters_rejected",
                "Filters that refuse every request",
                metrics.filters_rejected.clone(),
            ),
            ("nuncio_auth_rules", "Policy rules", metrics.rules.clone()),
        ];
        for (name, help, gauge) in own {
            registry.register(name, help, gauge);
        }
        registry.register("nuncio_auth_decisions", "Requests decided", metrics.decisions.clone());
        registry.register("nuncio_auth_check_seconds", "Time to decide", metrics.seconds.clone());
        registry.register("nuncio_auth_jwks_fetches", "Key sets fetched", metrics.jwks.clone());
        registry.register(
            "nuncio_auth_configurations",
            "Configurations taken into use",
            metrics.configurations.clone(),
        );
        let edge_stack = [
            ("filter_allowed", "External calls that allowed", &metrics.external_allowed),
            ("filter_denied", "External calls that denied", &metrics.external_denied),
            ("filter_error", "External calls that failed", &metrics.external_error),
            ("handler_error", "External calls without an answer", &metrics.handler_error),
        ];
        for (name, help, gauge) in edge_stack {
            let name = format!("ambassador_edge_stack_external_{name}");
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "ambassador_edge_stack_external_filter_rq_class",
            "Answers of external services by class",
            metrics.external_class.clone(),
        );
        registry.register(
            "ambassador_edge_stack_external_filter_rq_status",
            "Answers of external services by status",
            metrics.external_status.clone(),
        );
        drop(registry);
        metrics
    }

    pub(crate) fn decided(&self, decision: &Decision, took: Duration) {
        let outcome = match decision {
            Decision::Allow(_) => "allowed",
            Decision::Deny(denial) if denial.status.is_server_error() => "error",
            Decision::Deny(_) => "denied",
        };
        self.decisions.get_or_create(&Outcome { outcome }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn jwks_fetch(&self, succeeded: bool) {
        let result = if succeeded { "success" } else { "failure" };
        self.jwks.get_or_create(&Success { result }).inc();
    }

    pub(crate) fn configured(&self, config: &Config) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let rejected = config.filters().values().filter(|filter| filter.rejected().is_some());
        self.filters.set(number(config.filters().len()));
        self.filters_rejected.set(number(rejected.count()));
        self.rules.set(number(config.table().rules().len()));
        self.configurations.inc();
    }

    pub(crate) fn external(&self, outcome: ExternalOutcome, status: Option<StatusCode>) {
        match outcome {
            ExternalOutcome::Allowed => self.external_allowed.inc(),
            ExternalOutcome::Denied => self.external_denied.inc(),
            ExternalOutcome::Error => self.external_error.inc(),
        };
        match status {
            Some(status) => {
                let class = format!("{}xx", status.as_u16() / 100);
                self.external_class.get_or_create(&Class { class }).inc();
                self.external_status.get_or_create(&Code { status: status.as_u16() }).inc();
            }
            None => {
                self.handler_error.inc();
            }
        }
    }
}
