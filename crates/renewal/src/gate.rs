//! Whether a CA may be asked at the moment.

use std::time::Duration;

use crate::backoff::doubling;
use crate::problem::{Class, Failure};
use crate::time::UnixTime;

/// Guards one CA: closed after faults that are the CA's own, and never letting
/// through more new orders than its published limits bear.
#[derive(Debug, Clone)]
pub struct Gate {
    open_at: UnixTime,
    why: Option<String>,
    failures: u32,
    budget: Option<Budget>,
}

/// New orders allowed within a period, as a bucket of whole orders.
#[derive(Debug, Clone)]
struct Budget {
    most: u32,
    refill: Duration,
    left: u32,
    counted: UnixTime,
}

impl Gate {
    /// Makes an open gate for the CA at `directory`.
    ///
    /// Let's Encrypt's published limit of 300 new orders in 3 h is used to
    /// four fifths; the staging environment allows five times as many. Other
    /// CAs publish none: what they answer is the limit.
    pub fn new(directory: &str, now: UnixTime) -> Self {
        let most = match directory {
            url if url.starts_with("https://acme-v02.api.letsencrypt.org/") => Some(240),
            url if url.starts_with("https://acme-staging-v02.api.letsencrypt.org/") => Some(1200),
            _ => None,
        };
        let budget = most.map(|most| Budget {
            most,
            refill: Duration::from_secs(3 * 3600) / most,
            left: most,
            counted: now,
        });
        Self { open_at: UnixTime(i64::MIN), why: None, failures: 0, budget }
    }

    /// Returns when the CA may next be asked, if not now, and why.
    pub fn closed(&self, now: UnixTime) -> Option<(UnixTime, &str)> {
        (now < self.open_at).then(|| (self.open_at, self.why.as_deref().unwrap_or_default()))
    }

    /// Takes one new order from the budget; when there is none left, says when
    /// there will be.
    ///
    /// # Errors
    /// The time of the next free order.
    pub fn take(&mut self, now: UnixTime) -> Result<(), UnixTime> {
        let Some(budget) = &mut self.budget else { return Ok(()) };
        budget.advance(now);
        match budget.left.checked_sub(1) {
            Some(left) => {
                budget.left = left;
                Ok(())
            }
            None => Err(budget.counted.plus(budget.refill)),
        }
    }

    /// Hears of an answer that shows the CA in working order.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.why = None;
        self.open_at = UnixTime(i64::MIN);
    }

    /// Hears of a failure; one that blames the CA closes the gate.
    pub fn failed(&mut self, failure: &Failure, now: UnixTime) {
        if !failure.class.blames_issuer() {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let pause = match failure.class {
            Class::UserAction => Duration::from_secs(3600),
            Class::Transport => {
                doubling(Duration::from_secs(5), Duration::from_secs(600), self.failures)
            }
            _ => failure.retry_after.unwrap_or_else(|| {
                doubling(Duration::from_secs(60), Duration::from_secs(3600), self.failures)
            }),
        };
        self.open_at = self.open_at.max(now.plus(pause));
        self.why = Some(failure.reason.clone());
    }
}

impl Budget {
    fn advance(&mut self, now: UnixTime) {
        // A clock set back must not stop the refill for as long as it was wrong.
        if now < self.counted {
            self.counted = now;
        }
        let refill = self.refill.as_secs().max(1);
        let gained = self.counted.until(now).as_secs() / refill;
        let gained_orders = u32::try_from(gained).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(gained_orders).min(self.most);
        self.counted = self.counted.plus(Duration::from_secs(gained.saturating_mul(refill)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LE: &str = "https://acme-v02.api.letsencrypt.org/directory";

    #[test]
    fn faults_of_one_name_do_not_close_the_gate_for_others() {
        let mut gate = Gate::new("https://ca/dir", UnixTime(0));
        gate.failed(&Failure::new(Class::Validation, "x"), UnixTime(0));
        gate.failed(&Failure::new(Class::RateLimited, "x"), UnixTime(0));
        assert_eq!(gate.closed(UnixTime(0)), None);
    }

    #[test]
    fn an_unreachable_ca_closes_the_gate_for_longer_each_time_until_it_answers() {
        let mut gate = Gate::new("https://ca/dir", UnixTime(0));
        gate.failed(&Failure::new(Class::Transport, "refused"), UnixTime(0));
        assert_eq!(gate.closed(UnixTime(4)), Some((UnixTime(5), "refused")));
        assert_eq!(gate.closed(UnixTime(5)), None);
        gate.failed(&Failure::new(Class::Transport, "refused"), UnixTime(5));
        assert_eq!(gate.closed(UnixTime(5)), Some((UnixTime(15), "refused")));
        gate.succeeded();
        assert_eq!(gate.closed(UnixTime(5)), None);
    }

    #[test]
    fn an_overloaded_ca_says_itself_when_to_come_back() {
        let mut gate = Gate::new("https://ca/dir", UnixTime(0));
        let failure = Failure {
            retry_after: Some(Duration::from_secs(120)),
            ..Failure::new(Class::Unavailable, "busy")
        };
        gate.failed(&failure, UnixTime(0));
        assert_eq!(gate.closed(UnixTime(119)), Some((UnixTime(120), "busy")));
        assert_eq!(gate.closed(UnixTime(120)), None);
    }

    #[test]
    fn only_a_ca_with_published_limits_has_a_budget() {
        let mut free = Gate::new("https://ca/dir", UnixTime(0));
        assert!((0..10_000).all(|_| free.take(UnixTime(0)).is_ok()));
        let mut bound = Gate::new(LE, UnixTime(0));
        assert!((0..240).all(|_| bound.take(UnixTime(0)).is_ok()));
        assert_eq!(bound.take(UnixTime(0)), Err(UnixTime(45)));
        assert_eq!(bound.take(UnixTime(45)), Ok(()));
    }

    proptest! {
        #[test]
        fn the_published_bucket_never_runs_empty(
            steps in proptest::collection::vec(0i64..600, 0..900),
        ) {
            // Let's Encrypt's own bucket: 300 orders, one more every 36 s.
            let (mut left, mut filled_at) = (300, 0);
            let mut gate = Gate::new(LE, UnixTime(0));
            let mut now = 0;
            for step in steps {
                now += step;
                let gained = (now - filled_at) / 36;
                left = (left + gained).min(300);
                filled_at += gained * 36;
                if gate.take(UnixTime(now)).is_ok() {
                    left -= 1;
                    prop_assert!(left >= 0, "refused at {now}");
                }
            }
        }
    }
}
