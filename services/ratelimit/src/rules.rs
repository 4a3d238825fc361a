//! The rules in force, swapped whole. A check holds on to one set from
//! beginning to end.

use std::sync::Arc;

use arc_swap::ArcSwap;
use nuncio_limits::Table;
use nuncio_limits::config::{ConfigError, DomainConfig};
use tokio::sync::watch;

use crate::metrics::{Metrics, RuleStats};

pub(crate) mod files;
pub(crate) mod xds;

/// A table and the numbers of its rules.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// The table.
    pub(crate) table: Table,
    /// By rule's index.
    pub(crate) stats: Vec<Arc<RuleStats>>,
}

/// The rules in force. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    rules: Arc<ArcSwap<Rules>>,
    metrics: Arc<Metrics>,
    /// Number of domains with limits.
    domains: Arc<watch::Sender<usize>>,
}

impl Live {
    /// Starts without rules.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { rules: Arc::default(), metrics, domains: Arc::new(watch::Sender::new(0)) }
    }

    /// Follows the number of domains that have configuration.
    pub(crate) fn changes(&self) -> watch::Receiver<usize> {
        self.domains.subscribe()
    }

    /// Returns the rules in force.
    pub(crate) fn load(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Puts new configuration in force, counting success and failure.
    ///
    /// # Errors
    /// When it cannot be used; what was in force stays.
    pub(crate) fn replace(&self, configs: &[DomainConfig], merge: bool) -> Result<(), ConfigError> {
        let table = Table::build(configs, merge).inspect_err(|_| self.count_failure())?;
        let stats = table.rules().iter().map(|rule| self.metrics.rule(rule)).collect();
        tracing::info!(rules = table.rules().len(), "limits loaded");
        self.metrics.loaded(table.rules().len());
        let domains = table.domains().count();
        self.rules.store(Arc::new(Rules { table, stats }));
        self.domains.send_replace(domains);
        Ok(())
    }

    /// Counts a load that failed before it came to a table.
    pub(crate) fn count_failure(&self) {
        self.metrics.load_failed();
    }
}
