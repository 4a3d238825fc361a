//! What Hosts are told, and what was told already.

use std::collections::BTreeMap;

use nuncio_renewal::plan::{Decision, HostId, Plan, SecretId, Wanted};
use nuncio_renewal::status::{CertificateSource, HostStatus, Progress, State};
use nuncio_renewal::store::{History, Past};
use nuncio_renewal::time::UnixTime;

use super::account::AccountId;

/// Statuses as they should be and as they were last written.
#[derive(Debug, Default)]
pub(super) struct Standing {
    wanted: BTreeMap<HostId, HostStatus>,
    told: BTreeMap<HostId, HostStatus>,
    accounts: BTreeMap<AccountId, History>,
    states: BTreeMap<SecretId, State>,
    troubles: BTreeMap<SecretId, Trouble>,
}

/// Why a certificate is not being issued although it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) reason: String,
    pub(super) at: UnixTime,
    /// When it is tried again.
    pub(super) next: Option<UnixTime>,
}

impl Trouble {
    /// Trouble that came of a failed attempt.
    pub(super) fn of(past: &Past, next: Option<UnixTime>) -> Self {
        Self { reason: past.reason.clone(), at: past.at, next }
    }
}

impl Standing {
    /// Replaces the statuses of Hosts that get no certificate, and forgets
    /// Hosts that are gone.
    pub(super) fn refuse(&mut self, plan: &Plan, now: UnixTime) {
        let managed: std::collections::BTreeSet<&HostId> =
            plan.wanted.values().flat_map(|wanted| &wanted.hosts).collect();
        let known = |host: &HostId| managed.contains(host) || plan.refused.contains_key(host);
        self.wanted.retain(|host, _| known(host));
        self.told.retain(|host, _| known(host));
        for (host, reason) in &plan.refused {
            let same = self
                .wanted
                .get(host)
                .is_some_and(|status| status.error_reason.as_deref() == Some(reason));
            if !same {
                let source = CertificateSource::None;
                let status = HostStatus::error(Progress::Seen, source, reason.as_str(), now, None);
                self.wanted.insert(host.clone(), status);
            }
        }
    }

    /// Sets the status of all Hosts of a certificate.
    pub(super) fn set(&mut self, wanted: &Wanted, status: &HostStatus) {
        for host in &wanted.hosts {
            self.wanted.insert(host.clone(), status.clone());
        }
        self.states.insert(wanted.secret.clone(), status.state);
    }

    /// Forgets a certificate.
    pub(super) fn forget(&mut self, id: &SecretId) {
        self.states.remove(id);
        self.troubles.remove(id);
    }

    /// Returns the statuses that have not been written as they should be.
    pub(super) fn untold(&self) -> Vec<(HostId, HostStatus)> {
        self.wanted
            .iter()
            .filter(|(host, status)| self.told.get(*host) != Some(*status))
            .map(|(host, status)| (host.clone(), status.clone()))
            .collect()
    }

    /// Notes that a status was written.
    pub(super) fn told(&mut self, host: HostId, status: HostStatus) {
        self.told.insert(host, status);
    }

    /// Counts certificates by state.
    pub(super) fn states(&self) -> BTreeMap<&'static str, usize> {
        let mut states = BTreeMap::from([("pending", 0), ("ready", 0), ("error", 0)]);
        for state in self.states.values() {
            let word = match state {
                State::Initial | State::Pending => "pending",
                State::Ready => "ready",
                State::Error => "error",
            };
            *states.entry(word).or_default() += 1;
        }
        states
    }

    /// Returns since when a certificate has had this trouble.
    pub(super) fn since(&self, id: &SecretId, reason: &str) -> Option<UnixTime> {
        self.troubles.get(id).filter(|trouble| trouble.reason == reason).map(|trouble| trouble.at)
    }

    /// Notes the trouble a certificate has, or that it has none.
    pub(super) fn trouble(&mut self, id: &SecretId, trouble: Option<&Trouble>) {
        match trouble {
            Some(trouble) => drop(self.troubles.insert(id.clone(), trouble.clone())),
            None => drop(self.troubles.remove(id)),
        }
    }

    pub(super) fn account_history(&self, account: &AccountId) -> Option<&History> {
        self.accounts.get(account)
    }

    pub(super) fn note_account(&mut self, account: AccountId, history: History) {
        self.accounts.insert(account, history);
    }

    pub(super) fn forget_account(&mut self, account: &AccountId) {
        self.accounts.remove(account);
    }
}

/// Returns the status of a certificate: a pair with more than a quarter of its
/// life left is in order, whatever troubles its renewal.
pub(super) fn status(
    current: Option<&nuncio_renewal::plan::Current>,
    covered: bool,
    decision: &Decision,
    trouble: Option<Trouble>,
    progress: Progress,
    now: UnixTime,
) -> HostStatus {
    let leaf = current.and_then(|current| current.leaf.as_ref()).filter(|_| covered);
    let validity = leaf.map(|leaf| leaf.validity).filter(|validity| validity.holds(now));
    let source = match (validity, current) {
        (Some(_), Some(current)) if current.ours => CertificateSource::Acme,
        (Some(_), _) => CertificateSource::Other,
        (None, _) => CertificateSource::None,
    };
    let at_ease = validity.is_some_and(|validity| validity.is_comfortable(now));
    match (decision, trouble) {
        (Decision::Foreign(_), _) => HostStatus::ready(CertificateSource::Other),
        (_, Some(trouble)) if !at_ease => {
            let backoff = trouble.next.map(|next| trouble.at.until(next));
            HostStatus::error(progress, source, trouble.reason, trouble.at, backoff)
        }
        _ if validity.is_some() => HostStatus::ready(source),
        _ => HostStatus::pending(progress),
    }
}
