//! One issue, from its key to the stored pair, as a state machine.
//!
//! [`Flow::step`] says what is to be done next, [`Flow::apply`] takes what came
//! of it. What must survive a crash is in [`Inflight`], and the machine asks
//! for it to be saved before each step that could not be repeated without it:
//!
//! | crash after | the next run |
//! |---|---|
//! | the key was made | begins again, nothing was sent |
//! | newOrder, before its URL was saved | orders again with the same key |
//! | the URL was saved | reads the order and goes on where it stands |
//! | challenges were offered | offers again those still pending |
//! | finalize | reads the order; `ready` is finalized again with the same key |
//! | the download | downloads again |
//!
//! So at most one order is lost by a crash, and only by one in the moment
//! between a CA's answer to newOrder and the write of its URL.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bundle::{self, Chain};
use crate::name::Name;
use crate::problem::{Class, Failure};
use crate::secret::KeyPem;
use crate::time::UnixTime;

mod events;
#[cfg(test)]
mod tests;

pub use events::{AuthorizationView, Event, Offer, OrderStatus, OrderView};

/// What is persisted of an issue under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inflight {
    /// Names ordered, sorted.
    pub names: BTreeSet<Name>,
    /// Directory URL of the CA.
    pub directory: String,
    /// Account URL the order belongs to.
    pub account: String,
    /// Private key of the certificate to come, PKCS#8 PEM.
    pub key: KeyPem,
    /// When the issue began.
    pub started: UnixTime,
    /// How far it has come.
    pub stage: Stage,
}

/// How far an issue has come, as far as it is worth remembering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum Stage {
    /// An order is about to be placed, or was and its URL is not known.
    Ordering,
    /// The order exists.
    Ordered {
        /// Its URL.
        order: String,
    },
    /// Its challenges can be answered.
    Published {
        /// URL of the order.
        order: String,
        /// Tokens that are answered.
        tokens: Vec<String>,
    },
    /// Its certificate has been, or is about to be, asked for.
    Finalizing {
        /// URL of the order.
        order: String,
    },
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Persist [`Flow::record`]; answer [`Event::Saved`].
    Save,
    /// Place an order for the record's names; [`Event::Order`].
    Create,
    /// Read the order again; [`Event::Order`].
    Read,
    /// Read the authorizations of the order; [`Event::Authorizations`].
    Authorizations,
    /// See to it that these tokens are answered everywhere; [`Event::Published`].
    Publish(Vec<Offer>),
    /// Tell the CA that the challenge with this token is ready; [`Event::Accepted`].
    Accept(String),
    /// Wait this long; [`Event::Waited`].
    Wait(Duration),
    /// Send the CSR; [`Event::Order`].
    Finalize,
    /// Fetch the certificate; [`Event::Chain`].
    Download,
    /// Store the pair, if it is not stored already; [`Event::Stored`].
    Store(Chain),
    /// The pair is stored: forget the record.
    Done,
    /// This attempt is over; the record is kept if its class keeps the order.
    Failed(Failure),
}

/// One run of an issue.
#[derive(Debug)]
pub struct Flow {
    record: Inflight,
    public_key: Vec<u8>,
    next: Step,
    after_save: Step,
    offers: VecDeque<String>,
    accepted: BTreeSet<String>,
    invalid: Option<Failure>,
    polls: u32,
    reordered: bool,
    begun: UnixTime,
}

impl Inflight {
    /// Makes the record of a new issue with a fresh key.
    pub fn new(
        names: BTreeSet<Name>,
        directory: impl Into<String>,
        account: impl Into<String>,
        key: KeyPem,
        now: UnixTime,
    ) -> Self {
        Self {
            names,
            directory: directory.into(),
            account: account.into(),
            key,
            started: now,
            stage: Stage::Ordering,
        }
    }

    /// Tells whether an attempt for these names can go on with this record.
    pub fn serves(
        &self,
        names: &BTreeSet<Name>,
        directory: &str,
        account: &str,
        now: UnixTime,
    ) -> bool {
        self.names == *names
            && self.directory == directory
            && self.account == account
            && self.started.until(now) < MAX_AGE
    }

    /// Returns the URL of the order, once there is one.
    pub fn order(&self) -> Option<&str> {
        match &self.stage {
            Stage::Ordering => None,
            Stage::Ordered { order }
            | Stage::Published { order, .. }
            | Stage::Finalizing { order } => Some(order),
        }
    }
}

impl Flow {
    /// Begins a new issue. `public_key` is the SubjectPublicKeyInfo (DER) of
    /// the record's key, against which the certificate is judged.
    pub fn begin(record: Inflight, public_key: Vec<u8>, now: UnixTime) -> Self {
        let mut flow = Self::resume(record, public_key, now);
        flow.save_then(Step::Create);
        flow
    }

    /// Goes on with an issue that a former run left behind.
    pub fn resume(record: Inflight, public_key: Vec<u8>, now: UnixTime) -> Self {
        let next = if record.order().is_some() { Step::Read } else { Step::Create };
        Self {
            record,
            public_key,
            next,
            after_save: Step::Create,
            offers: VecDeque::new(),
            accepted: BTreeSet::new(),
            invalid: None,
            polls: 0,
            reordered: false,
            begun: now,
        }
    }

    /// Returns what is to be persisted.
    pub fn record(&self) -> &Inflight {
        &self.record
    }

    /// Returns what is to be done next.
    pub fn step(&self) -> &Step {
        &self.next
    }

    /// Takes what came of the present step. An event that does not belong to
    /// it changes nothing.
    pub fn apply(&mut self, event: Event, now: UnixTime) {
        match (self.next.clone(), event) {
            (Step::Done | Step::Failed(_), _) => {}
            (_, Event::Failed(failure)) => self.fail(failure),
            (Step::Save, Event::Saved) => self.next = self.after_save.clone(),
            (Step::Create, Event::Order(view)) => {
                self.record.stage = Stage::Ordered { order: view.url.clone() };
                self.read(view, now);
                // An order that is ready at once is saved as such already.
                if self.next != Step::Save {
                    let then = self.next.clone();
                    self.save_then(then);
                }
            }
            (Step::Read | Step::Finalize, Event::Order(view)) => self.read(view, now),
            (Step::Authorizations, Event::Authorizations(list)) => self.authorize(list),
            (Step::Publish(offers), Event::Published) => {
                self.offers = offers.into_iter().map(|offer| offer.token).collect();
                self.accept_next();
            }
            (Step::Accept(token), Event::Accepted) => {
                self.accepted.insert(token);
                self.accept_next();
            }
            (Step::Wait(_), Event::Waited) => self.next = Step::Read,
            (Step::Download, Event::Chain(text)) => self.judge(&text, now),
            (Step::Store(_), Event::Stored) => self.next = Step::Done,
            _ => {}
        }
    }

    fn save_then(&mut self, then: Step) {
        self.next = Step::Save;
        self.after_save = then;
    }

    fn read(&mut self, view: OrderView, now: UnixTime) {
        let was_finalized = self.next == Step::Finalize;
        match view.status {
            OrderStatus::Pending if self.accepted.is_empty() => self.next = Step::Authorizations,
            // Some authorities let an order stay pending although one of its
            // authorizations has failed: look at those now and then.
            OrderStatus::Pending if self.polls % 8 == 7 => {
                self.polls += 1;
                self.next = Step::Authorizations;
            }
            OrderStatus::Ready if !was_finalized => self.finalize(),
            OrderStatus::Pending | OrderStatus::Processing | OrderStatus::Ready => {
                self.poll(view.status, view.retry_after, now);
            }
            OrderStatus::Valid => self.next = Step::Download,
            OrderStatus::Invalid => {
                self.invalid = Some(view.error.unwrap_or_else(|| {
                    Failure::new(Class::Validation, "the CA declared the order invalid")
                }));
                self.next = Step::Authorizations;
            }
        }
    }

    fn finalize(&mut self) {
        let order = self.record.order().unwrap_or_default().to_owned();
        let stage = Stage::Finalizing { order };
        if self.record.stage == stage {
            self.next = Step::Finalize;
        } else {
            self.record.stage = stage;
            self.save_then(Step::Finalize);
        }
    }

    fn poll(&mut self, status: OrderStatus, asked: Option<Duration>, now: UnixTime) {
        if self.begun.until(now) >= PATIENCE {
            let reason = format!("the order is still {} after ten minutes", status.as_str());
            self.next = Step::Failed(Failure::new(Class::OrderNotReady, reason));
            return;
        }
        let own = FIRST_POLL.saturating_mul(1 << self.polls.min(10)).min(MAX_POLL);
        self.polls = self.polls.saturating_add(1);
        self.next = Step::Wait(asked.map_or(own, |asked| asked.clamp(own, MAX_ASKED)));
    }

    fn authorize(&mut self, list: Vec<AuthorizationView>) {
        let failed = list.iter().find_map(|one| one.failure.clone());
        if let Some(failure) = failed.or_else(|| self.invalid.take()) {
            self.next = Step::Failed(failure);
            return;
        }
        let mut offers = Vec::new();
        for one in list.into_iter().filter(|one| !one.valid) {
            let Some(challenge) = one.http01 else {
                let reason = format!("the CA offers no HTTP-01 challenge for {}", one.name);
                self.next = Step::Failed(Failure::new(Class::Rejected, reason));
                return;
            };
            if one.untouched && !self.accepted.contains(&challenge) {
                offers.push(Offer { name: one.name, token: challenge });
            }
        }
        if offers.is_empty() {
            let own = FIRST_POLL.saturating_mul(1 << self.polls.min(10)).min(MAX_POLL);
            self.polls = self.polls.saturating_add(1);
            self.next = Step::Wait(own);
            return;
        }
        self.record.stage = Stage::Published {
            order: self.record.order().unwrap_or_default().to_owned(),
            tokens: offers.iter().map(|offer| offer.token.clone()).collect(),
        };
        self.save_then(Step::Publish(offers));
    }

    fn accept_next(&mut self) {
        self.next = match self.offers.pop_front() {
            Some(token) => Step::Accept(token),
            None => Step::Wait(FIRST_POLL),
        };
    }

    fn judge(&mut self, text: &str, now: UnixTime) {
        self.next = match bundle::check(text, &self.record.names, &self.public_key, now) {
            Ok(chain) => Step::Store(chain),
            Err(fault) => Step::Failed(Failure::new(
                Class::Quarantine,
                format!("the CA issued a certificate that must not be used: {fault}"),
            )),
        };
    }

    fn fail(&mut self, failure: Failure) {
        match failure.class {
            // What we believed of the order was out of date.
            Class::OrderNotReady if self.next == Step::Finalize => {
                self.polls = self.polls.saturating_add(1);
                self.next = Step::Wait(MAX_POLL);
            }
            Class::OrderGone if self.record.order().is_some() && !self.reordered => {
                self.reordered = true;
                self.accepted.clear();
                self.invalid = None;
                self.record.stage = Stage::Ordering;
                self.save_then(Step::Create);
            }
            _ => self.next = Step::Failed(failure),
        }
    }
}

/// An order older than this is not worth reading again: no CA in use keeps
/// one longer.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long one run waits for a CA before it gives its place to others.
const PATIENCE: Duration = Duration::from_secs(600);

const FIRST_POLL: Duration = Duration::from_millis(50);
const MAX_POLL: Duration = Duration::from_secs(5);
const MAX_ASKED: Duration = Duration::from_secs(300);
