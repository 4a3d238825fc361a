//! Numbers, under envoyproxy/ratelimit's names where it has one, so that its
//! dashboards keep working.
//!
//! Names are written without the `_total` that counters get elsewhere, hence
//! the type `unknown`. Label values of rules come from configuration; those
//! that come from requests (detailed metrics, limits in requests) are kept up
//! to a number, the rest is counted as `other`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nuncio_limits::{Request, Rule, Tally};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::counters::{Store, StoreError};

/// Sets of labels made of what requests say.
const MAX_RUNTIME: usize = 1_000;

/// Domain, first level, further levels joined with dots.
type Labels = (String, String, String);

/// Hits of one rule.
#[derive(Debug, Default)]
pub(crate) struct RuleStats {
    total: AtomicU64,
    over: AtomicU64,
    near: AtomicU64,
    within: AtomicU64,
    shadow: AtomicU64,
    cached: AtomicU64,
}

/// All numbers of the service.
#[derive(Debug)]
pub(crate) struct Metrics {
    rules: Mutex<BTreeMap<Labels, Arc<RuleStats>>>,
    runtime: Mutex<BTreeMap<Labels, Arc<RuleStats>>>,
    requests: AtomicU64,
    malformed: AtomicU64,
    domain_unknown: AtomicU64,
    store_errors: [AtomicU64; StoreError::ALL.len()],
    load_success: AtomicU64,
    load_error: AtomicU64,
    rule_count: AtomicU64,
    /// Seconds of checks.
    pub(crate) seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            rules: Mutex::default(),
            runtime: Mutex::default(),
            requests: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            domain_unknown: AtomicU64::new(0),
            store_errors: Default::default(),
            load_success: AtomicU64::new(0),
            load_error: AtomicU64::new(0),
            rule_count: AtomicU64::new(0),
            // 10 µs to 0.3 s.
            seconds: Histogram::new(exponential_buckets(0.000_01, 2.0, 16)),
        }
    }
}

impl Metrics {
    /// Registers everything; `store` adds its own.
    pub(crate) fn register(self: &Arc<Self>, registry: &mut Registry, store: &Arc<Store>) {
        registry.register(
            "ratelimit_service_response_time_seconds",
            "Time of checks",
            self.seconds.clone(),
        );
        // The store must not outlive the service because its numbers do.
        let store = Arc::downgrade(store);
        registry.register_collector(Box::new(Exporter { metrics: Arc::clone(self), store }));
    }

    /// Returns the numbers of a rule, kept across reloads.
    pub(crate) fn rule(&self, rule: &Rule) -> Arc<RuleStats> {
        let levels: Vec<&str> = rule.levels.iter().map(|level| level.label.as_str()).collect();
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(rules.entry(labels(&rule.domain, &levels)).or_default())
    }

    /// Adds what a check did to its rules' numbers.
    pub(crate) fn tally(&self, request: &Request<'_>, stats: &[Arc<RuleStats>], tally: &Tally<'_>) {
        let entries = &request.descriptors[tally.descriptor].entries;
        let runtime = match tally.rule {
            Some(rule) => rule.detailed_labels(entries),
            None => Some(entries.iter().map(|(key, value)| format!("{key}_{value}")).collect()),
        };
        match (runtime, tally.rule.and_then(|rule| stats.get(rule.index))) {
            (None, Some(stats)) => stats.add(tally),
            (Some(levels), _) => {
                let levels: Vec<&str> = levels.iter().map(String::as_str).collect();
                self.runtime(labels(request.domain, &levels)).add(tally);
            }
            (None, None) => {}
        }
    }

    fn runtime(&self, labels: Labels) -> Arc<RuleStats> {
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        let known = runtime.len() < MAX_RUNTIME || runtime.contains_key(&labels);
        let labels = if known { labels } else { ("other".into(), "other".into(), String::new()) };
        Arc::clone(runtime.entry(labels).or_default())
    }

    pub(crate) fn request(&self) {
        add(&self.requests, 1);
    }

    pub(crate) fn malformed(&self) {
        add(&self.malformed, 1);
    }

    pub(crate) fn domain_unknown(&self) {
        add(&self.domain_unknown, 1);
    }

    pub(crate) fn store_error(&self, error: StoreError) {
        let place = StoreError::ALL.iter().position(|known| *known == error);
        add(&self.store_errors[place.expect("every reason is listed")], 1);
    }

    pub(crate) fn loaded(&self, rules: usize) {
        add(&self.load_success, 1);
        self.rule_count.store(rules as u64, Ordering::Relaxed);
    }

    pub(crate) fn load_failed(&self) {
        add(&self.load_error, 1);
    }
}

impl RuleStats {
    fn add(&self, tally: &Tally<'_>) {
        add(&self.total, tally.total);
        add(&self.over, tally.over);
        add(&self.near, tally.near);
        add(&self.within, tally.within);
        add(&self.shadow, tally.shadow);
        add(&self.cached, tally.cached);
    }
}

#[derive(Debug)]
struct Exporter {
    metrics: Arc<Metrics>,
    store: std::sync::Weak<Store>,
}

type Field = fn(&RuleStats) -> &AtomicU64;

const RULE_METRICS: [(&str, &str, Field); 6] = [
    ("total_hits", "Hits", |s| &s.total),
    ("over_limit", "Hits above the limit", |s| &s.over),
    ("near_limit", "Hits near the limit", |s| &s.near),
    ("within_limit", "Hits within the limit", |s| &s.within),
    ("shadow_mode", "Hits let through by shadow mode", |s| &s.shadow),
    ("over_limit_with_local_cache", "Hits denied without asking the store", |s| &s.cached),
];

impl Collector for Exporter {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let metrics = &self.metrics;
        let collect = |map: &Mutex<BTreeMap<Labels, Arc<RuleStats>>>| {
            map.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        let mut rules = collect(&metrics.runtime);
        rules.extend(collect(&metrics.rules));
        for (name, help, field) in RULE_METRICS {
            let name = format!("ratelimit_service_rate_limit_{name}");
            let mut metric = encoder.encode_descriptor(&name, help, None, MetricType::Unknown)?;
            for ((domain, first, rest), stats) in &rules {
                let labels = [
                    ("domain", domain.as_str()),
                    ("key1", first.as_str()),
                    ("key2", rest.as_str()),
                ];
                let value = ConstGauge::new(load(field(stats)));
                value.encode(metric.encode_family(&labels)?)?;
            }
        }
        let store_errors: u64 = metrics.store_errors.iter().map(load).sum();
        labelled(
            &mut encoder,
            "ratelimit_service_should_rate_limit_error",
            "Failed checks",
            &[
                ("err_type", "redis_error", store_errors),
                ("err_type", "service_error", load(&metrics.malformed)),
            ],
        )?;
        let requests = load(&metrics.requests);
        labelled(
            &mut encoder,
            "ratelimit_service_total_requests",
            "Checks",
            &[("grpc_method", "ShouldRateLimit", requests)],
        )?;
        let reasons: Vec<_> = StoreError::ALL
            .iter()
            .zip(&metrics.store_errors)
            .map(|(error, count)| ("reason", error.reason(), load(count)))
            .collect();
        labelled(
            &mut encoder,
            "nuncio_ratelimit_store_errors",
            "Checks the store failed",
            &reasons,
        )?;
        for (name, help, value) in [
            (
                "ratelimit_service_config_load_success",
                "Loads of limits",
                load(&metrics.load_success),
            ),
            ("ratelimit_service_config_load_error", "Refused loads", load(&metrics.load_error)),
            ("nuncio_ratelimit_rules", "Rules in force", load(&metrics.rule_count)),
            (
                "nuncio_ratelimit_domain_not_found",
                "Checks of a domain without configuration",
                load(&metrics.domain_unknown),
            ),
        ] {
            plain(&mut encoder, name, help, value)?;
        }
        self.store(&mut encoder)
    }
}

impl Exporter {
    fn store(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(store) = self.store.upgrade() else { return Ok(()) };
        let numbers = match store.as_ref() {
            Store::Memory(memory) => vec![
                ("nuncio_ratelimit_counters", "Counters in memory", memory.len() as u64),
                ("nuncio_ratelimit_evictions", "Counters dropped early", memory.evicted()),
            ],
            Store::Redis(redis) => {
                let (commands, batches) = redis.link().traffic();
                let up = u64::from(redis.link().is_up());
                vec![
                    ("nuncio_ratelimit_store_up", "Whether Redis answers", up),
                    ("nuncio_ratelimit_store_charges", "Counters charged in Redis", commands),
                    ("nuncio_ratelimit_store_batches", "Pipelines sent to Redis", batches),
                    (
                        "nuncio_ratelimit_store_ambiguous",
                        "Checks that gave up while their charges were on the way",
                        redis.link().ambiguous(),
                    ),
                ]
            }
        };
        numbers.into_iter().try_for_each(|(name, help, value)| plain(encoder, name, help, value))
    }
}

fn plain(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), std::fmt::Error> {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Unknown)?;
    ConstGauge::new(value).encode(metric)
}

fn labelled(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[(&str, &str, u64)],
) -> Result<(), std::fmt::Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Unknown)?;
    for (label, text, value) in values {
        ConstGauge::new(*value).encode(metric.encode_family(&[(*label, *text)])?)?;
    }
    Ok(())
}

fn labels(domain: &str, levels: &[&str]) -> Labels {
    let (first, rest) = levels.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
    (domain.to_owned(), first.to_owned(), rest.join("."))
}

fn add(counter: &AtomicU64, by: u64) {
    if by > 0 {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
