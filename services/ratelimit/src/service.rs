//! One check, and the gRPC method that carries it.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitService;
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use nuncio_limits::{Malformed, Now, Options, plan, settle};
use tonic::{Request, Response, Status};

use crate::counters::{Counters, Store, StoreError};
use crate::metrics::Metrics;
use crate::rules::Live;
use crate::wire;

/// Answers checks. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Checker {
    rules: Live,
    store: Arc<Store>,
    options: Arc<Options>,
    metrics: Arc<Metrics>,
}

/// Why a check has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CheckError {
    /// The caller's fault.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The store's fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Checker {
    /// Makes a checker of its parts.
    pub(crate) fn new(
        rules: Live,
        store: Arc<Store>,
        options: Options,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { rules, store, options: Arc::new(options), metrics }
    }

    /// Answers one check.
    ///
    /// # Errors
    /// When the request is malformed or the store failed.
    pub(crate) async fn check(
        &self,
        message: &RateLimitRequest,
    ) -> Result<RateLimitResponse, CheckError> {
        let begun = Instant::now();
        self.metrics.request();
        let outcome = self.answer(message).await;
        match &outcome {
            Ok(_) => {}
            Err(CheckError::Malformed(_)) => self.metrics.malformed(),
            Err(CheckError::Store(error)) => self.metrics.store_error(*error),
        }
        self.metrics.seconds.observe(begun.elapsed().as_secs_f64());
        outcome
    }

    async fn answer(&self, message: &RateLimitRequest) -> Result<RateLimitResponse, CheckError> {
        let rules = self.rules.load();
        let request = wire::request(message);
        let plan = plan(&rules.table, &request, now(), &self.options)?;
        if plan.domain_unknown {
            self.metrics.domain_unknown();
        }
        let counts = if plan.charges.is_empty() {
            Vec::new()
        } else {
            self.store.charge(&plan.charges, plan.now()).await?
        };
        let verdict = settle(&plan, &counts, &self.options);
        for tally in &verdict.tallies {
            self.metrics.tally(&request, &rules.stats, tally);
        }
        Ok(wire::response(verdict))
    }
}

fn now() -> Now {
    // A clock before 1970 is as wrong as it can be; windows still have ends.
    Now::since_epoch(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default())
}

#[tonic::async_trait]
impl RateLimitService for Checker {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        self.check(request.get_ref()).await.map(Response::new).map_err(status)
    }
}

/// A store that fails must surface as UNAVAILABLE: Envoy's failure mode then
/// decides, and not we.
fn status(error: CheckError) -> Status {
    match error {
        CheckError::Malformed(error) => Status::invalid_argument(error.to_string()),
        CheckError::Store(error) => Status::unavailable(error.to_string()),
    }
}
