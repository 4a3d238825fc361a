//! What the control plane counts, under its own names and, where the meaning
//! is equal, under Emissary's.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use nuncio_process::Context;
use nuncio_xds::TypeUrl;
use nuncio_xds::session::{Event, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;

/// Short names of the types we serve; anything else is `other`, so that a
/// client cannot invent label values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeLabel {
    resource: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SeverityLabel {
    severity: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// What the control plane counts. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    streams: Gauge,
    responses: Family<TypeLabel, Counter>,
    resources: Family<TypeLabel, Counter>,
    acknowledged: Family<TypeLabel, Counter>,
    refused: Family<TypeLabel, Counter>,
    served: Family<TypeLabel, Gauge>,
    compiles: Counter,
    compiler_panics: Counter,
    compile_seconds: Seconds,
    publish_seconds: Seconds,
    findings: Family<SeverityLabel, Gauge>,
    errors: Gauge,
    notices: Gauge,
}

// === impl Metrics ===

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(context: &Context, ambassador_id: &str, namespace: &str) -> Self {
        let metrics = Self::default();
        let mut registry = context.registry();
        let own = registry.sub_registry_with_prefix("nuncio_control_plane");
        own.register("streams", "Open ADS streams", metrics.streams.clone());
        own.register("responses", "Responses sent", metrics.responses.clone());
        own.register("resources_sent", "Resources sent", metrics.resources.clone());
        own.register("acknowledged", "Resources acknowledged", metrics.acknowledged.clone());
        own.register("refused", "Resources refused by clients", metrics.refused.clone());
        own.register("resources", "Resources served", metrics.served.clone());
        own.register("compiles", "Compilations", metrics.compiles.clone());
        let panics = metrics.compiler_panics.clone();
        own.register("compiler_panics", "Changes left out because the compiler panicked", panics);
        let seconds = metrics.compile_seconds.clone();
        own.register("compile_seconds", "Duration of the latest compilation", seconds);
        let seconds = metrics.publish_seconds.clone();
        own.register("publish_seconds", "From a change's arrival to its publication", seconds);
        own.register("findings", "Present diagnostics", metrics.findings.clone());
        let emissary = registry.sub_registry_with_prefix("ambassador");
        let seconds = metrics.publish_seconds.clone();
        emissary.register("reconfiguration_time_seconds", "Latest reconfiguration", seconds);
        let seconds = metrics.compile_seconds.clone();
        emissary.register("ir_time_seconds", "Latest compilation", seconds);
        emissary.register("diagnostics_errors", "Present errors", metrics.errors.clone());
        emissary.register("diagnostics_notices", "Present notices", metrics.notices.clone());
        let info = Info::new(vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("ambassador_id", ambassador_id.to_owned()),
            ("namespace", namespace.to_owned()),
        ]);
        emissary.register("diagnostics", "Identity of this installation", info);
        drop(registry);
        metrics
    }

    pub(crate) fn connected(&self, difference: i64) {
        self.streams.inc_by(difference);
    }

    pub(crate) fn sent(&self, response: &Response) {
        let label = label(&response.type_url);
        self.responses.get_or_create(&label).inc();
        self.resources.get_or_create(&label).inc_by(response.resources.len() as u64);
    }

    pub(crate) fn answers(&self, events: &[Event]) {
        for event in events {
            match event {
                Event::Accepted { type_url, payloads, .. } => {
                    let counter = self.acknowledged.get_or_create(&label(type_url));
                    counter.inc_by(payloads.len() as u64);
                }
                Event::Refused { type_url, .. } => {
                    self.refused.get_or_create(&label(type_url)).inc();
                }
            }
        }
    }

    pub(crate) fn compiled(&self, compile: Duration, since_arrival: Duration) {
        self.compiles.inc();
        self.compile_seconds.set(compile.as_secs_f64());
        self.publish_seconds.set(since_arrival.as_secs_f64());
    }

    pub(crate) fn compiler_panicked(&self) {
        self.compiler_panics.inc();
    }

    pub(crate) fn served(&self, type_url: &TypeUrl, count: usize) {
        self.served.get_or_create(&label(type_url)).set(as_gauge(count));
    }

    pub(crate) fn findings(&self, errors: usize, warnings: usize, notices: usize) {
        for (severity, count) in [("error", errors), ("warning", warnings), ("notice", notices)] {
            self.findings.get_or_create(&SeverityLabel { severity }).set(as_gauge(count));
        }
        self.errors.set(as_gauge(errors));
        self.notices.set(as_gauge(warnings + notices));
    }
}

fn as_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn label(type_url: &TypeUrl) -> TypeLabel {
    let resource = match type_url {
        url if *url == TypeUrl::CLUSTER => "cluster",
        url if *url == TypeUrl::ENDPOINTS => "endpoints",
        url if *url == TypeUrl::SECRET => "secret",
        url if *url == TypeUrl::LISTENER => "listener",
        url if *url == TypeUrl::ROUTES => "routes",
        url if *url == TypeUrl::RATE_LIMITS => "rate_limits",
        url if *url == TypeUrl::FILTER => "filter",
        url if *url == TypeUrl::FILTER_POLICY => "filter_policy",
        _ => "other",
    };
    TypeLabel { resource }
}
