//! The loop that turns what is wanted into orders, and outcomes into statuses.
//!
//! It alone decides; jobs carry out, one for each account being opened and
//! each certificate being issued. A certificate is looked at again when
//! something about it has changed or its time has come, never all of them at
//! once, and one that cannot be issued holds up no other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use nuncio_process::{Drain, ReadyGuard};
use nuncio_renewal::gate::Gate;
use nuncio_renewal::plan::{Current, Plan, SecretId, Wanted};
use nuncio_renewal::problem::{Class, Failure};
use nuncio_renewal::store::{self, History};
use nuncio_renewal::time::UnixTime;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::challenge::Answers;
use crate::clock::Clock;
use crate::hosts::{Touched, World};
use crate::issuer::Authorities;
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::probe::Probe;
use crate::records::{Records, RecordsError, Shelf};
use crate::source::Input;

mod account;
mod agenda;
mod fallback;
mod issue;
mod review;
mod standing;
#[cfg(test)]
mod tests;

use account::{AccountId, Known, Opened};
use agenda::Agenda;
use issue::{Ended, Issue};

/// What the work is done with.
pub(crate) struct Deps {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) authorities: Arc<dyn Authorities>,
    pub(crate) answers: Answers,
    pub(crate) probe: Probe,
    pub(crate) metrics: Metrics,
    pub(crate) rules: Rules,
}

/// What the worker is told by settings.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Answer challenges, and do nothing else.
    pub(crate) passive: bool,
    /// Namespace of shared accounts and of the fallback pair.
    pub(crate) namespace: String,
    /// Issues under way at one CA.
    pub(crate) in_flight: usize,
}

/// The state of the loop.
pub(crate) struct Worker {
    deps: Arc<Deps>,
    world: World,
    plan: Plan,
    gates: BTreeMap<String, Gate>,
    accounts: BTreeMap<AccountId, AccountState>,
    histories: BTreeMap<SecretId, History>,
    /// Certificates with a record of an issue under way.
    inflight: BTreeSet<SecretId>,
    written: BTreeMap<SecretId, (Current, UnixTime)>,
    running: BTreeMap<SecretId, Running>,
    jobs: JoinSet<Done>,
    job_names: HashMap<Id, Job>,
    agenda: Agenda,
    waiting: BTreeSet<(UnixTime, SecretId)>,
    dirty: BTreeSet<SecretId>,
    standing: standing::Standing,
    retry_writes: bool,
    fallback_at: Option<UnixTime>,
    notes: (mpsc::Sender<AccountId>, mpsc::Receiver<AccountId>),
}

/// What a former run left.
pub(crate) struct Left {
    histories: BTreeMap<SecretId, History>,
    inflight: BTreeSet<SecretId>,
}

enum AccountState {
    /// Being opened; the key may be stored already.
    Opening {
        stored: bool,
    },
    Open(Opened),
    Failed {
        history: History,
        forget: bool,
    },
}

struct Running {
    abort: AbortHandle,
    wanted: Wanted,
    directory: String,
}

#[derive(Debug, Clone)]
enum Job {
    Account(AccountId),
    Issue(SecretId),
}

enum Done {
    Account(AccountId, Result<Opened, Failure>),
    Issue(SecretId, Box<Ended>),
    /// Nothing to note: the job was cut short on purpose.
    Cut,
}

impl Worker {
    /// Reads what a former run left.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(crate) async fn read(deps: &Deps) -> Result<Left, RecordsError> {
        let mut histories = BTreeMap::new();
        for (id, bytes) in deps.records.all(Shelf::History).await? {
            match store::decode(&bytes) {
                Ok(history) => drop(histories.insert(id, history)),
                Err(fault) => {
                    let error = nuncio_process::chain(&fault);
                    tracing::warn!(certificate = %id, error, "history lost");
                }
            }
        }
        let inflight = deps.records.all(Shelf::Inflight).await?.into_keys().collect();
        Ok(Left { histories, inflight })
    }

    /// Makes the loop.
    pub(crate) fn new(deps: Arc<Deps>, world: World, left: Left) -> Self {
        Self {
            deps,
            world,
            plan: Plan::default(),
            gates: BTreeMap::new(),
            accounts: BTreeMap::new(),
            histories: left.histories,
            inflight: left.inflight,
            written: BTreeMap::new(),
            running: BTreeMap::new(),
            jobs: JoinSet::new(),
            job_names: HashMap::new(),
            agenda: Agenda::default(),
            waiting: BTreeSet::new(),
            dirty: BTreeSet::new(),
            standing: standing::Standing::default(),
            retry_writes: false,
            fallback_at: None,
            // One note for each account being opened, of which there are few;
            // a full channel only makes a status a moment late.
            notes: mpsc::channel(64),
        }
    }

    /// Runs until the drain, or until the inputs end. `ready` is dropped when
    /// everything has been read and planned once.
    pub(crate) async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        ready: ReadyGuard,
        drain: Drain,
    ) {
        let mut ready = Some(ready);
        loop {
            if ready.is_none() {
                self.review_all().await;
            }
            let wake = self.wake();
            let clock = Arc::clone(&self.deps.clock);
            tokio::select! {
                () = drain.stopping() => return,
                input = inputs.recv() => match input {
                    Some(input) => self.take(input, &mut inputs, &mut ready),
                    None => return,
                },
                Some(done) = self.jobs.join_next_with_id() => self.settle(done),
                Some(account) = self.notes.1.recv() => self.account_stored(&account),
                () = clock.sleep_until(wake), if ready.is_none() => self.due(),
            }
        }
    }

    fn wake(&self) -> UnixTime {
        let now = self.deps.clock.now();
        let retry = if self.retry_writes { RETRY_WRITES } else { LOOK_AROUND };
        self.agenda.next().unwrap_or(UnixTime(i64::MAX)).min(now.plus(retry))
    }

    /// Takes one input and all that wait behind it.
    fn take(
        &mut self,
        first: Input,
        inputs: &mut mpsc::Receiver<Input>,
        ready: &mut Option<ReadyGuard>,
    ) {
        let mut touched = Touched::default();
        let mut next = Some(first);
        while let Some(input) = next {
            match input {
                Input::Changes(changes) => {
                    for change in changes {
                        self.world.apply(change, &mut touched);
                    }
                }
                Input::Synced => {
                    if ready.take().is_some() {
                        touched.hosts = true;
                    }
                }
            }
            next = inputs.try_recv().ok();
        }
        if touched.listeners {
            self.deps.probe.set_ports(self.world.cleartext_ports());
        }
        if ready.is_none() {
            self.touch(touched);
        }
    }

    fn touch(&mut self, touched: Touched) {
        for id in &touched.secrets {
            let changed_key: Vec<AccountId> = self
                .accounts
                .iter()
                .filter(|(account, _)| account.secret == *id)
                .filter(|(_, state)| match state {
                    AccountState::Open(opened) => self.world.account_key(id) != Some(&opened.key),
                    AccountState::Opening { .. } => false,
                    AccountState::Failed { .. } => true,
                })
                .map(|(account, _)| account.clone())
                .collect();
            for account in changed_key {
                self.accounts.remove(&account);
                self.touch_users(&account);
            }
        }
        self.dirty
            .extend(touched.secrets.into_iter().filter(|id| self.plan.wanted.contains_key(id)));
        if touched.hosts {
            self.replan();
        }
        self.answer_for_names();
    }

    fn replan(&mut self) {
        let plan = self.world.plan();
        let all: BTreeSet<&SecretId> = self.plan.wanted.keys().chain(plan.wanted.keys()).collect();
        for id in all {
            if self.plan.wanted.get(id) != plan.wanted.get(id) {
                self.dirty.insert(id.clone());
            }
        }
        // What a crash left of certificates nobody wants any more.
        let orphans = self.inflight.iter().filter(|id| !plan.wanted.contains_key(id));
        self.dirty.extend(orphans.cloned());
        self.plan = plan;
        self.standing.refuse(&self.plan, self.deps.clock.now());
        for (id, running) in &self.running {
            let still = self.plan.wanted.get(id).is_some_and(|wanted| {
                wanted.names == running.wanted.names && wanted.directory == running.wanted.directory
            });
            if !still {
                running.abort.abort();
            }
        }
    }

    /// Publishes which account answers for which name.
    fn answer_for_names(&self) {
        let mut names = BTreeMap::new();
        for wanted in self.plan.wanted.values() {
            let account = self.account_of(wanted);
            let thumbprint = match self.accounts.get(&account) {
                Some(AccountState::Open(opened)) => Some(opened.thumbprint.clone()),
                _ => self
                    .world
                    .account_key(&account.secret)
                    .and_then(|key| crate::keys::account(key).ok())
                    .map(|(_, thumbprint)| thumbprint),
            };
            if let Some(thumbprint) = thumbprint {
                for name in &wanted.names {
                    names.insert(name.clone(), thumbprint.clone());
                }
            }
        }
        self.deps.answers.set_names(names);
    }

    fn account_of(&self, wanted: &Wanted) -> AccountId {
        let exists = |id: &SecretId| self.world.account_key(id).is_some();
        let secret = wanted.account(&self.deps.rules.namespace, exists);
        AccountId { secret, directory: wanted.directory.clone() }
    }

    fn touch_users(&mut self, account: &AccountId) {
        let users: Vec<SecretId> = self
            .plan
            .wanted
            .iter()
            .filter(|(_, wanted)| self.account_of(wanted) == *account)
            .map(|(id, _)| id.clone())
            .collect();
        self.dirty.extend(users);
    }

    fn account_stored(&mut self, account: &AccountId) {
        if let Some(AccountState::Opening { stored }) = self.accounts.get_mut(account) {
            *stored = true;
            self.touch_users(account);
        }
    }

    fn due(&mut self) {
        let now = self.deps.clock.now();
        self.dirty.extend(self.agenda.take(now));
    }

    fn settle(&mut self, done: Result<(Id, Done), JoinError>) {
        let done = match done {
            Ok((id, done)) => {
                self.job_names.remove(&id);
                done
            }
            Err(error) => self.cut_short(&error),
        };
        let now = self.deps.clock.now();
        match done {
            Done::Account(account, result) => self.account_opened(&account, result, now),
            Done::Issue(id, ended) => self.issue_ended(&id, *ended, now),
            Done::Cut => {}
        }
    }

    /// A job that panicked is a fault of ours that must not take the others
    /// down; one that was aborted has been replaced by another wish.
    fn cut_short(&mut self, error: &JoinError) -> Done {
        let Some(job) = self.job_names.remove(&error.id()) else { return Done::Cut };
        if !error.is_panic() {
            if let Job::Issue(id) = job {
                self.running.remove(&id);
                self.dirty.insert(id);
            }
            return Done::Cut;
        }
        tracing::error!(?job, "a job panicked, which is a fault of this program");
        let failure = Failure::new(Class::Store, "internal fault, see the log");
        match job {
            Job::Account(account) => Done::Account(account, Err(failure)),
            Job::Issue(id) => {
                let mut history = self.histories.get(&id).cloned().unwrap_or_default();
                history.failed(&failure, &id.to_string(), self.deps.clock.now(), None);
                Done::Issue(id, Box::new(Ended { history, result: Err(failure) }))
            }
        }
    }

    fn account_opened(
        &mut self,
        account: &AccountId,
        result: Result<Opened, Failure>,
        now: UnixTime,
    ) {
        let state = match result {
            Ok(opened) => {
                self.gate(&account.directory, now).succeeded();
                AccountState::Open(opened)
            }
            Err(failure) => {
                tracing::warn!(
                    account = %account.secret,
                    directory = account.directory,
                    error = failure.reason,
                    "account not opened"
                );
                self.gate(&account.directory, now).failed(&failure, now);
                let mut history = match self.standing.account_history(account) {
                    Some(former) => former.clone(),
                    None => History::default(),
                };
                history.failed(&failure, &account.secret.to_string(), now, None);
                self.standing.note_account(account.clone(), history.clone());
                AccountState::Failed { history, forget: failure.class == Class::AccountGone }
            }
        };
        if matches!(state, AccountState::Open(_)) {
            self.standing.forget_account(account);
        }
        self.accounts.insert(account.clone(), state);
        self.answer_for_names();
        self.touch_users(account);
    }

    fn issue_ended(&mut self, id: &SecretId, ended: Ended, now: UnixTime) {
        let Some(running) = self.running.remove(id) else { return };
        match &ended.result {
            Ok(leaf) => {
                self.gate(&running.directory, now).succeeded();
                self.inflight.remove(id);
                let current = Current { leaf: Some(leaf.clone()), ours: true };
                self.written.insert(id.clone(), (current, now));
                tracing::info!(certificate = %id, not_after = %leaf.validity.not_after, "issued");
            }
            Err(failure) => {
                self.gate(&running.directory, now).failed(failure, now);
                let next = ended.history.next.map(UnixTime::rfc3339);
                tracing::warn!(
                    certificate = %id,
                    class = failure.class.as_str(),
                    error = failure.reason,
                    next,
                    "not issued"
                );
                if failure.class == Class::AccountGone {
                    let account = self.account_of(&running.wanted);
                    let history = History { next: Some(now), ..History::default() };
                    self.accounts.insert(account, AccountState::Failed { history, forget: true });
                }
                if !failure.class.keeps_order() {
                    self.inflight.remove(id);
                }
            }
        }
        let open = self.gate(&running.directory, now).closed(now).is_some();
        self.deps.metrics.breaker(&running.directory, open);
        self.histories.insert(id.clone(), ended.history);
        self.dirty.insert(id.clone());
        let slots = self.deps.rules.in_flight;
        let freed: Vec<_> = self.waiting.iter().take(slots).map(|(_, id)| id.clone()).collect();
        self.dirty.extend(freed);
    }

    fn gate(&mut self, directory: &str, now: UnixTime) -> &mut Gate {
        self.gates.entry(directory.to_owned()).or_insert_with(|| Gate::new(directory, now))
    }
}

/// How soon a status that could not be written is written again.
const RETRY_WRITES: Duration = Duration::from_secs(5);

/// How long at most until everything due is looked for: a corrected clock or a
/// suspended machine shows up then.
const LOOK_AROUND: Duration = Duration::from_secs(30);

/// How long after a write the source may still tell of what was there before.
const SETTLE: Duration = Duration::from_secs(10);
