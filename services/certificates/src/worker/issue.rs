//! Carries one order between its state machine, the CA and the stores.

use std::collections::BTreeMap;
use std::time::Instant;

use nuncio_renewal::bundle::Leaf;
use nuncio_renewal::order::{Event, Flow, Inflight, Offer, Step};
use nuncio_renewal::plan::{SecretId, Wanted};
use nuncio_renewal::problem::{Class, Failure};
use nuncio_renewal::schedule::Validity;
use nuncio_renewal::store::{self, History};

use super::Deps;
use super::account::Opened;
use crate::challenge::Published;
use crate::issuer::OpenOrder;
use crate::keys;
use crate::outbox::SecretText;
use crate::records::{RecordsError, Shelf};

/// One attempt for one certificate.
pub(crate) struct Issue {
    pub(crate) wanted: Wanted,
    pub(crate) account: Opened,
    pub(crate) history: History,
    /// The certificate in use.
    pub(crate) current: Option<Validity>,
}

/// What came of an attempt.
pub(crate) struct Ended {
    pub(crate) history: History,
    pub(crate) result: Result<Leaf, Failure>,
}

/// What one run holds while it lasts.
struct Run<'a> {
    deps: &'a Deps,
    issue: &'a Issue,
    flow: Flow,
    order: Option<Box<dyn OpenOrder>>,
    published: Option<Published>,
}

impl Issue {
    /// Goes on with the issue a former run left behind, or begins one; notes
    /// what came of it, durably, before the order is forgotten.
    pub(crate) async fn run(mut self, deps: &Deps) -> Ended {
        let began = Instant::now();
        let id = self.wanted.secret.clone();
        self.history.wished(&self.wanted.digest());
        let result = match self.flow(deps).await {
            Ok(flow) => {
                Run { deps, issue: &self, flow, order: None, published: None }.until_over().await
            }
            Err(failure) => Err(failure),
        };
        let now = deps.clock.now();
        let directory = &self.wanted.directory;
        let forget = match &result {
            Ok(leaf) => {
                self.history.succeeded(directory, &leaf.fingerprint, now);
                deps.metrics.order(directory, "issued", Some(began.elapsed()));
                true
            }
            Err(failure) => {
                self.history.failed(failure, &id.to_string(), now, self.current);
                deps.metrics.order(directory, failure.class.as_str(), None);
                !failure.class.keeps_order()
            }
        };
        let kept = close(deps, &id, &self.history, forget).await;
        if let Err(error) = kept {
            tracing::error!(certificate = %id, error = nuncio_process::chain(&error), "history not kept");
        }
        Ended { history: self.history, result }
    }

    async fn flow(&self, deps: &Deps) -> Result<Flow, Failure> {
        let now = deps.clock.now();
        let account = self.account.authority.account();
        let bytes = deps
            .records
            .take(Shelf::Inflight, &self.wanted.secret)
            .await
            .map_err(|e| unkept(&e))?;
        let former = bytes.and_then(|bytes| match store::decode::<Inflight>(&bytes) {
            Ok(record) => Some(record),
            Err(fault) => {
                let certificate = self.wanted.secret.to_string();
                tracing::warn!(certificate, error = nuncio_process::chain(&fault), "order lost");
                None
            }
        });
        let former = former
            .filter(|one| one.serves(&self.wanted.names, &self.wanted.directory, account, now));
        if let Some(record) = former
            && let Ok(public) = keys::public_key(record.key.reveal())
        {
            tracing::info!(certificate = %self.wanted.secret, order = record.order(), "resuming");
            return Ok(Flow::resume(record, public, now));
        }
        let internal =
            |fault: keys::KeyFault| Failure::new(Class::Store, nuncio_process::chain(&fault));
        let key = keys::generate().map_err(internal)?;
        let public = keys::public_key(key.reveal()).map_err(internal)?;
        let names = self.wanted.names.clone();
        let record = Inflight::new(names, &self.wanted.directory, account, key, now);
        Ok(Flow::begin(record, public, now))
    }
}

impl Run<'_> {
    async fn until_over(mut self) -> Result<Leaf, Failure> {
        let mut leaf = None;
        loop {
            let step = self.flow.step().clone();
            tracing::debug!(certificate = %self.issue.wanted.secret, step = word(&step), "step");
            let event = match step {
                Step::Done => {
                    return leaf.ok_or_else(|| Failure::new(Class::Protocol, "no certificate"));
                }
                Step::Failed(failure) => return Err(failure),
                Step::Store(chain) => {
                    let pair = SecretText::pair(&chain.pem, &self.flow.record().key);
                    leaf = Some(chain.leaf);
                    let written = self.deps.outbox.secret(&self.issue.wanted.secret, pair).await;
                    written
                        .map(|()| Event::Stored)
                        .map_err(|error| Failure::new(Class::Store, nuncio_process::chain(&error)))
                }
                step => self.perform(step).await,
            };
            let event = event.unwrap_or_else(Event::Failed);
            self.flow.apply(event, self.deps.clock.now());
        }
    }

    async fn perform(&mut self, step: Step) -> Result<Event, Failure> {
        let deps = self.deps;
        let authority = &self.issue.account.authority;
        match step {
            Step::Save => {
                let bytes = store::encode(self.flow.record());
                let secret = &self.issue.wanted.secret;
                deps.records.put(Shelf::Inflight, secret, bytes).await.map_err(|e| unkept(&e))?;
                Ok(Event::Saved)
            }
            Step::Create => {
                let mut order = authority.new_order(&self.flow.record().names).await?;
                let view = order.view();
                tracing::info!(certificate = %self.issue.wanted.secret, order = view.url, "ordered");
                self.order = Some(order);
                Ok(Event::Order(view))
            }
            Step::Read if self.order.is_none() => {
                let url = self.flow.record().order().unwrap_or_default().to_owned();
                let mut order = authority.order(&url).await?;
                let view = order.view();
                self.order = Some(order);
                Ok(Event::Order(view))
            }
            Step::Read => Ok(Event::Order(self.order()?.refresh().await?)),
            Step::Authorizations => {
                Ok(Event::Authorizations(self.order()?.authorizations().await?))
            }
            Step::Publish(offers) => {
                self.publish(&offers).await;
                Ok(Event::Published)
            }
            Step::Accept(token) => {
                self.order()?.accept(&token).await?;
                Ok(Event::Accepted)
            }
            Step::Wait(span) => {
                tokio::time::sleep(span).await;
                Ok(Event::Waited)
            }
            Step::Finalize => {
                let record = self.flow.record();
                let csr = keys::request(&record.names, &record.key)
                    .map_err(|fault| Failure::new(Class::BadKey, nuncio_process::chain(&fault)))?;
                Ok(Event::Order(self.order()?.finalize(&csr).await?))
            }
            Step::Download => Ok(Event::Chain(self.order()?.certificate().await?)),
            Step::Store(_) | Step::Done | Step::Failed(_) => Ok(Event::Waited),
        }
    }

    fn order(&mut self) -> Result<&mut Box<dyn OpenOrder>, Failure> {
        self.order.as_mut().ok_or_else(|| Failure::new(Class::OrderNotReady, "no order is open"))
    }

    async fn publish(&mut self, offers: &[Offer]) {
        let thumbprint = &self.issue.account.thumbprint;
        let tokens: BTreeMap<String, String> = offers
            .iter()
            .map(|offer| (offer.token.clone(), thumbprint.key_authorization(&offer.token)))
            .collect();
        self.published = Some(self.deps.answers.publish(&tokens));
        for Offer { name, token } in offers {
            let answer = &tokens[token];
            if !self.deps.probe.until_answered(name, token, answer).await {
                tracing::warn!(
                    name,
                    "the gateway does not answer the challenge, asking the CA all the same"
                );
            }
        }
    }
}

async fn close(
    deps: &Deps,
    id: &SecretId,
    history: &History,
    forget: bool,
) -> Result<(), RecordsError> {
    deps.records.put(Shelf::History, id, store::encode(history)).await?;
    if forget {
        deps.records.remove(Shelf::Inflight, id).await?;
    }
    Ok(())
}

fn unkept(error: &RecordsError) -> Failure {
    Failure::new(Class::Store, nuncio_process::chain(error))
}

fn word(step: &Step) -> &'static str {
    match step {
        Step::Save => "save",
        Step::Create => "create",
        Step::Read => "read",
        Step::Authorizations => "authorizations",
        Step::Publish(_) => "publish",
        Step::Accept(_) => "accept",
        Step::Wait(_) => "wait",
        Step::Finalize => "finalize",
        Step::Download => "download",
        Step::Store(_) => "store",
        Step::Done => "done",
        Step::Failed(_) => "failed",
    }
}
