//! The configuration in use, swapped whole.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use nuncio_authz::{Config, Environment, Finding, Sources};

use crate::external::ExternalPool;
use crate::keys::KeyStore;
use crate::metrics::Metrics;

/// The configuration in use.
pub(crate) struct Policies {
    current: ArcSwapOption<Config>,
    environment: Environment,
    keys: Arc<KeyStore>,
    external: Arc<ExternalPool>,
    metrics: Metrics,
    told: Mutex<Vec<Finding>>,
}

impl Policies {
    pub(crate) fn new(
        environment: Environment,
        keys: Arc<KeyStore>,
        external: Arc<ExternalPool>,
        metrics: Metrics,
    ) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            environment,
            keys,
            external,
            metrics,
            told: Mutex::default(),
        }
    }

    /// Returns the configuration in use; `None` before the first.
    pub(crate) fn current(&self) -> Option<Arc<Config>> {
        self.current.load_full()
    }

    /// Builds a configuration and takes it into use.
    pub(crate) fn apply(&self, sources: &Sources) {
        let previous = self.current();
        let config = Config::build(sources, &self.environment, previous.as_deref());
        self.tell(config.findings());
        let key_sources: BTreeSet<_> =
            config.filters().values().filter_map(|filter| filter.key_source()).cloned().collect();
        let targets: BTreeSet<_> =
            config.filters().values().filter_map(|filter| filter.target()).cloned().collect();
        // Keys are asked for before the first request needs them.
        self.keys.retain(&key_sources);
        self.metrics.configured(&config);
        self.current.store(Some(Arc::new(config)));
        self.external.retain(&targets);
    }

    /// Logs what is wrong, once for each change.
    fn tell(&self, findings: &[Finding]) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told == findings {
            return;
        }
        for Finding { kind, name, field, message, is_error } in findings {
            if *is_error {
                tracing::error!(kind, %name, field, message, "object is not in effect as written");
            } else {
                tracing::warn!(kind, %name, field, message, "object has an oddity");
            }
        }
        *told = findings.to_vec();
    }
}
