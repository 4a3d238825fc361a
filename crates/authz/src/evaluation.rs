//! One request through its chain: events in, a decision or a wanted effect
//! out.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use nuncio_api::filter::Dialect;

use crate::Request;
use crate::built_filter::{BuiltFilter, Kind};
use crate::config::Config;
use crate::decision::{Allow, Decision, Denial, Mutations};
use crate::filter::error_response::{Refusal, json_body};
use crate::filter::external::{
    ExternalAnswer, ExternalCall, ExternalFailure, ExternalFilter, ExternalOutcome,
};
use crate::filter::jwks::KeySet;
use crate::filter::jwt::{KeySource, KnownKeys, Outcome};
use crate::filter::{Ctx, Filter, FilterError, Verdict};
use crate::path;
use crate::policy::{Link, Rule};

/// What the shell tells.
#[derive(Debug)]
pub enum Event {
    /// Begin.
    Start,
    /// The keys asked for, or why there are none.
    Keys(Result<Arc<KeySet>, KeysUnavailable>),
    /// What the external service said.
    External(Result<ExternalAnswer, ExternalFailure>),
    /// What the custom filter said.
    Custom(Verdict),
    /// The time for the whole chain is over.
    Elapsed,
}

/// Why there are no keys. The text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeysUnavailable(pub String);

/// What happens next.
#[derive(Debug)]
pub enum Step {
    /// The decision; the evaluation is over.
    Done(Decision),
    /// Something to be done, its outcome to be told by the event of its name.
    Need(Effect),
}

/// Something only the shell can do.
pub enum Effect {
    /// Find keys.
    Keys {
        /// Where they are.
        source: Arc<KeySource>,
        /// A key that the set at hand lacks: fetch again if that is due.
        missing: Option<String>,
    },
    /// Call an external service.
    External {
        /// The filter.
        filter: Arc<ExternalFilter>,
        /// What to send.
        call: Box<ExternalCall>,
    },
    /// Run a filter of this build's own.
    Custom {
        /// The filter.
        filter: Arc<dyn Filter>,
        /// What to hand it beside the request.
        context: Ctx,
    },
}

/// Shape: the kind of effect; no request data.
impl std::fmt::Debug for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keys { .. } => "Keys",
            Self::External { .. } => "External",
            Self::Custom { .. } => "Custom",
        })
    }
}

/// One request on its way through its chain.
#[derive(Debug)]
pub struct Evaluation {
    config: Arc<Config>,
    request: Request,
    rule: Option<Arc<Rule>>,
    position: usize,
    changes: Mutations,
    waiting: Waiting,
    failure: Option<String>,
    external: Vec<(ExternalOutcome, Option<StatusCode>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Start,
    Keys { renewed: bool },
    External,
    Custom,
    Nothing,
}

impl Evaluation {
    /// Begins the evaluation of a request.
    pub fn new(config: Arc<Config>, request: Request) -> Self {
        Self {
            config,
            request,
            rule: None,
            position: 0,
            changes: Mutations::new(),
            waiting: Waiting::Start,
            failure: None,
            external: Vec::new(),
        }
    }

    /// Returns the request as the filters so far left it.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Returns the rule chosen, once it is.
    pub fn rule(&self) -> Option<&Rule> {
        self.rule.as_deref()
    }

    /// Returns why the decision is a failure of ours, for the log.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Returns how calls of external services went, for metrics.
    pub fn external_outcomes(&self) -> &[(ExternalOutcome, Option<StatusCode>)] {
        &self.external
    }

    /// Takes the next step. `now` is the time since the Unix epoch.
    ///
    /// An event that was not asked for ends the evaluation with a 500.
    pub fn step(&mut self, event: Event, now: Duration) -> Step {
        let waiting = std::mem::replace(&mut self.waiting, Waiting::Nothing);
        match (waiting, event) {
            (_, Event::Elapsed) => {
                self.fail_with(StatusCode::GATEWAY_TIMEOUT, "the time for all filters is over")
            }
            (Waiting::Start, Event::Start) => match self.choose() {
                Ok(()) => self.run(now, None),
                Err(denial) => Step::Done(Decision::Deny(*denial)),
            },
            (Waiting::Keys { renewed }, Event::Keys(keys)) => match keys {
                Ok(keys) => self.run(now, Some((keys, renewed))),
                Err(error) => {
                    let text = error.to_string();
                    self.fail_with(StatusCode::SERVICE_UNAVAILABLE, &text)
                }
            },
            (Waiting::External, Event::External(answer)) => self.external_answer(answer, now),
            (Waiting::Custom, Event::Custom(verdict)) => match self.settle(verdict) {
                Some(step) => step,
                None => self.run(now, None),
            },
            (waiting, event) => {
                self.fail(&format!("event {event:?} came while waiting for {waiting:?}"))
            }
        }
    }

    /// Chooses the rule.
    fn choose(&mut self) -> Result<(), Box<Denial>> {
        let config = Arc::clone(&self.config);
        let path = self.request.path.clone();
        let forms = match path::read(&path) {
            Ok(forms) => forms,
            Err(error) => return Err(self.bad_request(&error.to_string())),
        };
        let chosen = config.table().choose(&self.request.host, &forms, config.strict_paths());
        match chosen {
            Ok(rule) => {
                self.rule = rule.map(Arc::clone);
                Ok(())
            }
            Err(_ambiguous) => Err(self.bad_request("the path is ambiguous")),
        }
    }

    /// Runs filters until one needs something or the chain is over.
    fn run(&mut self, now: Duration, mut keys: Option<(Arc<KeySet>, bool)>) -> Step {
        let Some(rule) = self.rule.clone() else { return self.pass() };
        while let Some(link) = rule.chain.get(self.position) {
            // Keys in hand mean that this filter was begun already.
            let applies = keys.is_some() || self.applies(&rule, link);
            if !applies {
                self.position += 1;
                continue;
            }
            let verdict = match self.look(link, keys.take().as_ref(), now) {
                Ok(verdict) => verdict,
                Err(effect) => return Step::Need(*effect),
            };
            if let Some(step) = self.settle(verdict) {
                return step;
            }
        }
        self.pass()
    }

    fn applies(&self, rule: &Rule, link: &Link) -> bool {
        let Some(condition) = &link.condition else { return true };
        let earlier = &rule.chain[..self.position];
        condition.holds(&self.request, |name| {
            earlier.iter().flat_map(|link| link.filter.injectable()).any(|injected| {
                injected.as_str() == name
                    && !crate::filter::is_credential(injected)
                    && !self.changes.sets(injected)
            })
        })
    }

    fn look(
        &mut self,
        link: &Link,
        keys: Option<&(Arc<KeySet>, bool)>,
        now: Duration,
    ) -> Result<Verdict, Box<Effect>> {
        match &link.filter.kind {
            Kind::Rejected(reason) => Ok(Verdict::Fail(FilterError::new(reason.as_str()))),
            Kind::ApiKey(filter) => Ok(filter.judge(&self.request)),
            Kind::Jwt(filter) => {
                let known = match keys {
                    Some((keys, renewed)) => KnownKeys::Set { keys, renewed: *renewed },
                    None => KnownKeys::Unknown,
                };
                match filter.judge(&self.request, &known, &link.scopes, now) {
                    Outcome::Verdict(verdict) => Ok(verdict),
                    Outcome::NeedKeys { source, missing } => {
                        self.waiting = Waiting::Keys { renewed: missing.is_some() };
                        Err(Box::new(Effect::Keys { source, missing }))
                    }
                }
            }
            Kind::External(filter) => match filter.call(&self.request) {
                Err(verdict) => Ok(*verdict),
                Ok(call) => {
                    self.waiting = Waiting::External;
                    let filter = Arc::clone(filter);
                    Err(Box::new(Effect::External { filter, call: Box::new(call) }))
                }
            },
            Kind::Custom(filter) => {
                self.waiting = Waiting::Custom;
                let context = Ctx { now, arguments: link.arguments.clone() };
                Err(Box::new(Effect::Custom { filter: Arc::clone(filter), context }))
            }
        }
    }

    fn external_answer(
        &mut self,
        answer: Result<ExternalAnswer, ExternalFailure>,
        now: Duration,
    ) -> Step {
        let Some(filter) = self.link().map(|link| Arc::clone(&link.filter)) else {
            return self.fail("an external answer came outside a chain");
        };
        let Kind::External(external) = &filter.kind else {
            return self.fail("an external answer came to another filter");
        };
        let status = match &answer {
            Ok(ExternalAnswer::Http(response)) => Some(response.status()),
            Ok(ExternalAnswer::Grpc(Verdict::Respond(denial))) => Some(denial.status),
            Ok(ExternalAnswer::Grpc(Verdict::Continue(_))) => Some(StatusCode::OK),
            Ok(ExternalAnswer::Grpc(Verdict::Fail(_))) | Err(_) => None,
        };
        let (verdict, outcome) = external.settle(&self.request, answer);
        self.external.push((outcome, status));
        match self.settle(verdict) {
            Some(step) => step,
            None => self.run(now, None),
        }
    }

    fn link(&self) -> Option<&Link> {
        self.rule.as_ref().and_then(|rule| rule.chain.get(self.position))
    }

    /// Draws the consequence of a verdict; `None` goes on with the next filter.
    fn settle(&mut self, verdict: Verdict) -> Option<Step> {
        let Some(link) = self.link() else {
            return Some(self.fail("a verdict came outside a chain"));
        };
        let (on_deny, on_allow) = (link.break_on_deny, link.break_on_allow);
        match verdict {
            Verdict::Continue(changes) => {
                let filter = Arc::clone(&link.filter);
                self.take_over(&filter, changes);
                self.position += 1;
                on_allow.then(|| self.pass())
            }
            Verdict::Respond(denial) if on_deny => Some(Step::Done(Decision::Deny(denial))),
            Verdict::Respond(_forgotten) => {
                self.position += 1;
                None
            }
            Verdict::Fail(error) => {
                let text = format!("filter {}: {error}", link.filter.name);
                Some(self.fail(&text))
            }
        }
    }

    /// Adds a filter's changes; what only it may set and it did not set is
    /// taken from the request, so that later filters do not believe it.
    fn take_over(&mut self, filter: &BuiltFilter, changes: Mutations) {
        let mut all = changes;
        for name in filter.injectable() {
            if !all.sets(name) && !self.changes.sets(name) {
                all.remove(name.clone());
            }
        }
        all.apply(&mut self.request.headers);
        self.changes.extend(all);
    }

    /// Ends with "allowed".
    fn pass(&mut self) -> Step {
        let mut changes = std::mem::take(&mut self.changes);
        if let Some(rule) = &self.rule {
            for name in &rule.injectable {
                if !changes.sets(name) {
                    changes.remove(name.clone());
                }
            }
            // Backends that read `_` as `-` must not find a second spelling.
            let twins: Vec<HeaderName> = self
                .request
                .headers
                .keys()
                .filter(|name| name.as_str().contains('_') || has_underscore(&rule.injectable))
                .filter(|name| rule.injectable.iter().any(|own| own != *name && is_twin(own, name)))
                .filter(|name| !changes.sets(name))
                .cloned()
                .collect();
            twins.into_iter().for_each(|name| changes.remove(name));
        }
        Step::Done(Decision::Allow(Allow::new(changes)))
    }

    fn fail(&mut self, reason: &str) -> Step {
        self.fail_with(StatusCode::INTERNAL_SERVER_ERROR, reason)
    }

    /// Ends with a failure of ours; the reason is for the log alone.
    fn fail_with(&mut self, status: StatusCode, reason: &str) -> Step {
        self.failure = Some(reason.to_owned());
        Step::Done(Decision::Deny(failure(status, &self.request.id)))
    }

    fn bad_request(&self, message: &str) -> Box<Denial> {
        let status = StatusCode::BAD_REQUEST;
        let refusal = Refusal { status, message, request_id: &self.request.id, golang_bits: 0 };
        Box::new(Denial::new(status).json(json_body(Dialect::Classic, &refusal)))
    }
}

/// Makes the answer to a request that could not be decided.
pub fn failure(status: StatusCode, request_id: &str) -> Denial {
    let message = match status {
        StatusCode::BAD_REQUEST => "bad request",
        StatusCode::GATEWAY_TIMEOUT => "authorization took too long",
        StatusCode::SERVICE_UNAVAILABLE => "authorization is not available",
        _ => "authorization failed",
    };
    let refusal = Refusal { status, message, request_id, golang_bits: 0 };
    let mut denial = Denial::new(status).json(json_body(Dialect::Classic, &refusal));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let soon = http::HeaderValue::from_static("5");
        denial.headers.push((http::header::RETRY_AFTER, soon));
    }
    denial
}

fn has_underscore(names: &[HeaderName]) -> bool {
    names.iter().any(|name| name.as_str().contains('_'))
}

/// Tells whether two names are one once `_` is read as `-`.
fn is_twin(a: &HeaderName, b: &HeaderName) -> bool {
    let same = |a: u8, b: u8| a == b || matches!((a, b), (b'_', b'-') | (b'-', b'_'));
    let (a, b) = (a.as_str().as_bytes(), b.as_str().as_bytes());
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(*a, *b))
}

#[cfg(test)]
mod tests;
