//! Takes a request from its arrival to its decision: steps the core and
//! performs what it asks for.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt as _;
use http::StatusCode;
use nuncio_authz::{
    Config, Decision, Effect, Evaluation, Event, FilterError, Request, RequestView, Step, Verdict,
    failure,
};
use tokio::time::Instant;

use crate::external::ExternalPool;
use crate::keys::KeyStore;
use crate::metrics::Metrics;
use crate::policies::Policies;

/// What every request is decided with.
pub(crate) struct Decider {
    pub(crate) policies: Arc<Policies>,
    pub(crate) keys: Arc<KeyStore>,
    pub(crate) external: Arc<ExternalPool>,
    pub(crate) metrics: Metrics,
    /// For the whole chain.
    pub(crate) timeout: Duration,
}

impl Decider {
    /// Decides a request. Whatever goes wrong, the answer is a denial.
    pub(crate) async fn decide(&self, request: Request) -> Decision {
        let started = Instant::now();
        let id = request.id.clone();
        let decision = match self.policies.current() {
            None => Decision::Deny(failure(StatusCode::SERVICE_UNAVAILABLE, &id)),
            Some(config) => {
                let evaluation = self.evaluate(config, request, started + self.timeout);
                AssertUnwindSafe(evaluation).catch_unwind().await.unwrap_or_else(|_panic| {
                    tracing::error!(request = id, "panic while deciding, request refused");
                    Decision::Deny(failure(StatusCode::INTERNAL_SERVER_ERROR, &id))
                })
            }
        };
        self.metrics.decided(&decision, started.elapsed());
        decision
    }

    async fn evaluate(&self, config: Arc<Config>, request: Request, deadline: Instant) -> Decision {
        let mut evaluation = Evaluation::new(config, request);
        let mut step = evaluation.step(Event::Start, now());
        let decision = loop {
            match step {
                Step::Done(decision) => break decision,
                Step::Need(effect) => {
                    let outcome = self.perform(effect, evaluation.request());
                    let event = match tokio::time::timeout_at(deadline, outcome).await {
                        Ok(event) => event,
                        Err(_) => Event::Elapsed,
                    };
                    step = evaluation.step(event, now());
                }
            }
        };
        for (outcome, status) in evaluation.external_outcomes() {
            self.metrics.external(*outcome, *status);
        }
        if let Some(reason) = evaluation.failure() {
            let rule = evaluation.rule().map_or("", |rule| &rule.name);
            let request = &evaluation.request().id;
            tracing::warn!(rule, request, reason, "request refused for a fault of ours");
        }
        decision
    }

    async fn perform(&self, effect: Effect, request: &Request) -> Event {
        match effect {
            Effect::Keys { source, missing } => {
                Event::Keys(self.keys.find(&source, missing.as_deref()).await)
            }
            Effect::External { filter, call } => {
                let answer = self.external.ask(&filter.target, *call, request).await;
                if let Err(error) = &answer {
                    let service = &filter.target.authority;
                    tracing::warn!(service, %error, "external service failed");
                }
                Event::External(answer)
            }
            Effect::Custom { filter, mut context } => {
                let verdict =
                    async { filter.evaluate(RequestView::new(request), &mut context).await };
                let verdict = AssertUnwindSafe(verdict).catch_unwind().await;
                Event::Custom(verdict.unwrap_or_else(|_panic| {
                    Verdict::Fail(FilterError::new("the custom filter panicked"))
                }))
            }
        }
    }
}

/// Time since the Unix epoch; a clock before it reads as the epoch, when every
/// token is not valid yet.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
