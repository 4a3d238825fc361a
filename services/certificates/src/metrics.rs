//! The numbers of this service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nuncio_renewal::plan::SecretId;
use nuncio_renewal::time::UnixTime;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The numbers of this service. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    not_after: Family<CertificateLabels, Gauge>,
    renew_at: Family<CertificateLabels, Gauge>,
    certificates: Family<StateLabels, Gauge>,
    orders: Family<OrderLabels, Counter>,
    order_duration: Family<IssuerLabels, Histogram, Buckets>,
    requests: Family<RequestLabels, Counter>,
    challenges: Family<ChallengeLabels, Counter>,
    breaker: Family<IssuerLabels, Gauge>,
    queue: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabels {
    namespace: String,
    secret: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IssuerLabels {
    issuer: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OrderLabels {
    issuer: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    issuer: String,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChallengeLabels {
    code: u16,
}

#[derive(Debug, Clone)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new([0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0])
    }
}

impl Metrics {
    /// Makes the numbers and registers them.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let families = Families {
            not_after: Family::default(),
            renew_at: Family::default(),
            certificates: Family::default(),
            orders: Family::default(),
            order_duration: Family::new_with_constructor(Buckets),
            requests: Family::default(),
            challenges: Family::default(),
            breaker: Family::default(),
            queue: Gauge::default(),
        };
        let acme = registry.sub_registry_with_prefix("acme");
        let not_after = "When a certificate ends, Unix time; at most 2000 certificates";
        acme.register_with_unit(
            "certificate_not_after",
            not_after,
            Unit::Seconds,
            families.not_after.clone(),
        );
        let renew_at = "When a certificate is due, Unix time; at most 2000 certificates";
        acme.register_with_unit(
            "certificate_renew_at",
            renew_at,
            Unit::Seconds,
            families.renew_at.clone(),
        );
        acme.register("certificates", "Certificates by state", families.certificates.clone());
        acme.register("orders", "Issues ended, by result", families.orders.clone());
        acme.register_with_unit(
            "order_duration",
            "Time of successful issues, one run each",
            Unit::Seconds,
            families.order_duration.clone(),
        );
        acme.register("requests", "Requests to CAs; code 0: no answer", families.requests.clone());
        acme.register("challenge_requests", "HTTP-01 requests", families.challenges.clone());
        acme.register("breaker_open", "1 while a CA is not asked", families.breaker.clone());
        acme.register("queue_depth", "Issues waiting for a slot", families.queue.clone());
        Self(Arc::new(families))
    }

    /// Counts a request to a CA; `code` 0 stands for no answer.
    pub(crate) fn request(&self, issuer: &str, code: u16) {
        let labels = RequestLabels { issuer: issuer.to_owned(), code };
        self.0.requests.get_or_create(&labels).inc();
    }

    /// Counts a challenge request.
    pub(crate) fn challenge(&self, code: u16) {
        self.0.challenges.get_or_create(&ChallengeLabels { code }).inc();
    }

    /// Counts an issue that ended; `took` is set for a successful one.
    pub(crate) fn order(&self, directory: &str, result: &'static str, took: Option<Duration>) {
        let issuer = host_of(directory);
        if let Some(took) = took {
            let labels = IssuerLabels { issuer: issuer.clone() };
            self.0.order_duration.get_or_create(&labels).observe(took.as_secs_f64());
        }
        self.0.orders.get_or_create(&OrderLabels { issuer, result }).inc();
    }

    /// Says whether a CA is asked at the moment.
    pub(crate) fn breaker(&self, directory: &str, open: bool) {
        let labels = IssuerLabels { issuer: host_of(directory) };
        self.0.breaker.get_or_create(&labels).set(i64::from(open));
    }

    /// Says how many issues wait for a slot.
    pub(crate) fn queue(&self, depth: usize) {
        self.0.queue.set(i64::try_from(depth).unwrap_or(i64::MAX));
    }

    /// Says how many certificates there are by state.
    pub(crate) fn states(&self, states: &BTreeMap<&'static str, usize>) {
        for (state, count) in states {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            self.0.certificates.get_or_create(&StateLabels { state }).set(count);
        }
    }

    /// Says when a certificate ends and is due; `None` forgets it. `known` is
    /// how many certificates there are: past a bound single ones are not shown.
    pub(crate) fn certificate(
        &self,
        id: &SecretId,
        dates: Option<(UnixTime, UnixTime)>,
        known: usize,
    ) {
        let labels = CertificateLabels { namespace: id.namespace.clone(), secret: id.name.clone() };
        match dates.filter(|_| known <= MAX_SERIES) {
            Some((not_after, renew_at)) => {
                self.0.not_after.get_or_create(&labels).set(not_after.0);
                self.0.renew_at.get_or_create(&labels).set(renew_at.0);
            }
            None => {
                self.0.not_after.remove(&labels);
                self.0.renew_at.remove(&labels);
            }
        }
    }
}

fn host_of(directory: &str) -> String {
    let rest = directory.split_once("://").map_or(directory, |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    host.to_owned()
}

/// More series than this cost every scraper more than they tell anybody.
const MAX_SERIES: usize = 2000;
