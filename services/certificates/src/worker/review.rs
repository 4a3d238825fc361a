//! Looks at certificates: what each needs, and what its Hosts are told.

use std::sync::Arc;

use nuncio_renewal::plan::{Current, Decision, SecretId, Wanted};
use nuncio_renewal::schedule::Validity;
use nuncio_renewal::status::Progress;
use nuncio_renewal::store::History;
use nuncio_renewal::time::UnixTime;

use super::standing::{Trouble, status};
use super::{AccountId, AccountState, Done, Issue, Job, Known, Running, SETTLE, Worker, account};
use crate::records::Shelf;

/// What came of wanting to issue.
enum Started {
    Running,
    /// Not before then, and why if somebody should know.
    Later(Option<UnixTime>, Option<Trouble>),
}

impl Worker {
    /// Looks at every certificate that something has happened to, then writes
    /// the statuses that changed.
    pub(super) async fn review_all(&mut self) {
        if self.deps.rules.passive {
            self.dirty.clear();
            return;
        }
        let now = self.deps.clock.now();
        self.ensure_fallback(now).await;
        while let Some(id) = self.dirty.pop_first() {
            self.review(&id, now).await;
        }
        self.deps.metrics.queue(self.waiting.len());
        self.deps.metrics.states(&self.standing.states());
        self.retry_writes = false;
        for (host, status) in self.standing.untold() {
            match self.deps.outbox.status(&host, &status).await {
                Ok(()) => self.standing.told(host, status),
                Err(error) => {
                    self.retry_writes = true;
                    let error = nuncio_process::chain(&error);
                    tracing::warn!(host = %host, error, "status not written");
                }
            }
        }
    }

    async fn review(&mut self, id: &SecretId, now: UnixTime) {
        let current = self.current(id, now);
        let leaf = current.as_ref().and_then(|current| current.leaf.as_ref());
        let dates =
            leaf.map(|leaf| (leaf.validity.not_after, leaf.validity.renew_at(&id.to_string())));
        let Some(wanted) = self.plan.wanted.get(id).cloned() else {
            self.deps.metrics.certificate(id, None, 0);
            return self.forget(id).await;
        };
        self.deps.metrics.certificate(id, dates, self.plan.wanted.len());
        let history = self.histories.get(id).cloned().unwrap_or_default();
        let decision = wanted.decide(current.as_ref(), &history, now);
        let former = history.last.as_ref().filter(|_| history.wish == wanted.digest());
        let former = former.map(|past| Trouble::of(past, history.next));
        let trouble = match &decision {
            Decision::Rest(at) | Decision::Foreign(at) => {
                self.rest(id, *at, now).await;
                None
            }
            Decision::Delayed(at) => {
                self.agenda.set(id, Some(*at));
                former
            }
            Decision::Stopped => former,
            Decision::Held(at) => {
                self.agenda.set(id, Some(*at));
                let at_now = history.issued.back().copied().unwrap_or(now);
                let reason = "issued three times lately, something removes or spoils the Secret";
                Some(Trouble { reason: reason.to_owned(), at: at_now, next: Some(*at) })
            }
            Decision::Blocked => Some(self.blocked(&wanted, now)),
            Decision::Issue => match self.start(&wanted, &history, leaf.map(|l| l.validity), now) {
                Started::Running => former,
                Started::Later(at, trouble) => {
                    self.agenda.set(id, at);
                    trouble.or(former)
                }
            },
        };
        let covered = leaf.is_some_and(|leaf| wanted.covered_by(leaf));
        let progress = self.progress(&wanted);
        let noted = trouble.clone();
        let status = status(current.as_ref(), covered, &decision, trouble, progress, now);
        self.standing.trouble(id, noted.as_ref());
        self.standing.set(&wanted, &status);
    }

    /// The pair as we last wrote it, as long as the source may not have seen
    /// that yet; else as the source has it.
    fn current(&mut self, id: &SecretId, now: UnixTime) -> Option<Current> {
        let seen = self.world.pair(id).cloned().map(|mut current| {
            let fingerprint = current.leaf.as_ref().map(|leaf| leaf.fingerprint.as_str());
            let ours = self.histories.get(id).map(|history| history.fingerprint.as_str());
            current.ours |= fingerprint.is_some() && fingerprint == ours;
            current
        });
        let Some((written, at)) = self.written.get(id) else { return seen };
        let same = seen.as_ref().is_some_and(|seen| seen.leaf == written.leaf);
        if same || at.until(now) >= SETTLE {
            self.written.remove(id);
            return seen;
        }
        Some(written.clone())
    }

    async fn rest(&mut self, id: &SecretId, until: UnixTime, now: UnixTime) {
        // Until the source shows what we wrote, look again when it must have.
        let settled = self.written.get(id).map(|(_, at)| at.plus(SETTLE).max(now));
        self.agenda.set(id, Some(settled.map_or(until, |at| at.min(until))));
        self.waiting.retain(|(_, one)| one != id);
        if self.inflight.contains(id) && !self.running.contains_key(id) {
            self.forget_order(id).await;
        }
    }

    async fn forget(&mut self, id: &SecretId) {
        self.agenda.set(id, None);
        self.waiting.retain(|(_, one)| one != id);
        self.standing.forget(id);
        if !self.running.contains_key(id) {
            self.forget_order(id).await;
        }
    }

    async fn forget_order(&mut self, id: &SecretId) {
        match self.deps.records.remove(Shelf::Inflight, id).await {
            Ok(()) => drop(self.inflight.remove(id)),
            Err(error) => {
                let error = nuncio_process::chain(&error);
                tracing::warn!(certificate = %id, error, "record not removed");
            }
        }
    }

    fn blocked(&self, wanted: &Wanted, now: UnixTime) -> Trouble {
        let reason = format!(
            "Secret {} was made by somebody else and does not serve this Host; delete it, or annotate the Host with `{}: \"true\"` to have it replaced",
            wanted.secret,
            nuncio_renewal::plan::ADOPT,
        );
        self.lasting(&wanted.secret, reason, now, None)
    }

    /// Trouble without an attempt of its own: it lasts since it was first seen.
    fn lasting(
        &self,
        id: &SecretId,
        reason: String,
        now: UnixTime,
        next: Option<UnixTime>,
    ) -> Trouble {
        let at = self.standing.since(id, &reason).unwrap_or(now);
        Trouble { reason, at, next }
    }

    fn progress(&self, wanted: &Wanted) -> Progress {
        match self.accounts.get(&self.account_of(wanted)) {
            Some(AccountState::Open(_)) => Progress::Registered,
            Some(AccountState::Opening { stored: true } | AccountState::Failed { .. }) => {
                Progress::KeyStored
            }
            Some(AccountState::Opening { stored: false }) | None => Progress::Understood,
        }
    }

    fn start(
        &mut self,
        wanted: &Wanted,
        history: &History,
        current: Option<Validity>,
        now: UnixTime,
    ) -> Started {
        let id = wanted.secret.clone();
        if self.running.contains_key(&id) {
            return Started::Running;
        }
        if let Some((at, why)) = self.gate(&wanted.directory, now).closed(now) {
            let why = why.to_owned();
            let trouble = self.lasting(&id, why, now, Some(at));
            return Started::Later(Some(at), Some(trouble));
        }
        let account = match self.open_account(wanted, now) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Started::Later(None, None),
            Err(trouble) => return Started::Later(trouble.next, Some(trouble)),
        };
        let busy = self.running.values().filter(|one| one.directory == wanted.directory).count();
        let priority = current.filter(|v| v.holds(now)).map_or(UnixTime(0), |v| v.not_after);
        if busy >= self.deps.rules.in_flight {
            self.waiting.insert((priority, id));
            return Started::Later(None, None);
        }
        if !self.inflight.contains(&id)
            && let Err(at) = self.gate(&wanted.directory, now).take(now)
        {
            let reason = "waiting for the CA's limit of new orders".to_owned();
            let trouble = self.lasting(&id, reason, now, Some(at));
            return Started::Later(Some(at), Some(trouble));
        }
        self.waiting.retain(|(_, one)| *one != id);
        self.agenda.set(&id, None);
        self.spawn_issue(wanted, account, history, current);
        Started::Running
    }

    fn spawn_issue(
        &mut self,
        wanted: &Wanted,
        account: account::Opened,
        history: &History,
        current: Option<Validity>,
    ) {
        let id = wanted.secret.clone();
        self.inflight.insert(id.clone());
        let issue = Issue { wanted: wanted.clone(), account, history: history.clone(), current };
        let deps = Arc::clone(&self.deps);
        let job = id.clone();
        let abort = self.jobs.spawn(async move {
            let ended = issue.run(&deps).await;
            Done::Issue(job, Box::new(ended))
        });
        self.job_names.insert(abort.id(), Job::Issue(id.clone()));
        let directory = wanted.directory.clone();
        self.running.insert(id, Running { abort, wanted: wanted.clone(), directory });
    }

    /// Returns the account if it is open, and sees to it that it will be.
    fn open_account(
        &mut self,
        wanted: &Wanted,
        now: UnixTime,
    ) -> Result<Option<account::Opened>, Trouble> {
        let id = self.account_of(wanted);
        let forget = match self.accounts.get(&id) {
            Some(AccountState::Open(opened)) => return Ok(Some(opened.clone())),
            Some(AccountState::Opening { .. }) => return Ok(None),
            Some(AccountState::Failed { history, forget }) => {
                if history.next.is_none_or(|next| now < next)
                    && let Some(past) = &history.last
                {
                    return Err(Trouble::of(past, history.next));
                }
                *forget
            }
            None => false,
        };
        self.spawn_account(id, wanted, forget);
        Ok(None)
    }

    fn spawn_account(&mut self, id: AccountId, wanted: &Wanted, forget: bool) {
        let known = Known {
            key: self.world.account_key(&id.secret).cloned(),
            url: wanted.account_url.clone(),
            email: wanted.email.clone(),
            forget,
        };
        self.accounts.insert(id.clone(), AccountState::Opening { stored: false });
        let deps = Arc::clone(&self.deps);
        let notes = self.notes.0.clone();
        let job = id.clone();
        let abort = self.jobs.spawn(async move {
            let stored = async {
                // Only a status depends on it, and the loop outlives its jobs.
                let _best_effort = notes.send(job.clone()).await;
            };
            let opened = account::open(&deps, &job, known, stored).await;
            Done::Account(job.clone(), opened)
        });
        self.job_names.insert(abort.id(), Job::Account(id));
    }
}
