//! When to try again after a failure.

use std::time::Duration;

use crate::problem::{Class, Failure};
use crate::schedule::{Validity, hash};
use crate::time::UnixTime;

/// What follows from a failed attempt for one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Try again at this time.
    At(UnixTime),
    /// Do not try again until the Host changes.
    Never,
}

/// What a decision about the next attempt depends on.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Identity of the certificate; seeds the jitter.
    pub id: &'a str,
    /// Failed attempts in a row, this one included; at least 1.
    pub failures: u32,
    /// Now.
    pub now: UnixTime,
    /// The certificate in use, if there is one.
    pub current: Option<Validity>,
}

/// Decides when to try again.
///
/// Faults of the CA follow its own wish, else double from a short start;
/// faults of the name follow a ladder of 1 min, 5 min, 30 min, 2 h, 8 h, then
/// 24 h, spread by a fifth either way and capped at an eighth of the remaining
/// life, though never under 15 min: the longer nobody repairs the name, the
/// less a CA is bothered, and a certificate about to end is tried more often.
pub fn again(failure: &Failure, attempt: Attempt<'_>) -> Again {
    let wait = match failure.class {
        Class::Rejected => return Again::Never,
        // A second key did no better than the first: no third one will.
        Class::BadKey if attempt.failures > 1 => return Again::Never,
        Class::BadNonce | Class::OrderNotReady | Class::AccountGone => {
            doubling(Duration::from_secs(1), Duration::from_secs(600), attempt.failures)
        }
        Class::RateLimited | Class::Unavailable => failure.retry_after.unwrap_or_else(|| {
            doubling(Duration::from_secs(60), Duration::from_secs(3600), attempt.failures)
        }),
        Class::Transport | Class::Store => {
            doubling(Duration::from_secs(5), Duration::from_secs(600), attempt.failures)
        }
        Class::UserAction => Duration::from_secs(3600),
        Class::Quarantine => Duration::from_secs(24 * 3600),
        Class::Caa => rung(attempt, CAA_START),
        Class::Validation | Class::OrderGone | Class::BadKey | Class::Protocol => rung(attempt, 0),
    };
    Again::At(attempt.now.plus(wait.max(failure.retry_after.unwrap_or_default())))
}

/// Doubles `start` with each failure after the first, up to `most`.
pub fn doubling(start: Duration, most: Duration, failures: u32) -> Duration {
    start.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(most)
}

fn rung(attempt: Attempt<'_>, skip: usize) -> Duration {
    let step = usize::try_from(attempt.failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let base = LADDER[step.saturating_add(skip).min(LADDER.len() - 1)];
    // 80 % to 120 %, a function of the certificate and the count alone.
    let percent = 80 + hash(&format!("{}#{}", attempt.id, attempt.failures)) % 41;
    let spread = base * u32::try_from(percent).expect("at most 120") / 100;
    match attempt.current {
        Some(current) if current.holds(attempt.now) => {
            let cap = (attempt.now.until(current.not_after) / 8).max(CAP_FLOOR);
            spread.min(cap)
        }
        _ => spread,
    }
}

const LADDER: [Duration; 6] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(8 * 3600),
    Duration::from_secs(24 * 3600),
];

/// A CAA record is not changed within minutes: begin at 2 h, less the spread.
const CAA_START: usize = 3;

const CAP_FLOOR: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attempt(failures: u32, current: Option<Validity>) -> Attempt<'static> {
        Attempt { id: "default/web", failures, now: UnixTime(1_000_000), current }
    }

    fn wait(class: Class, retry_after: Option<u64>, attempt: Attempt<'_>) -> Option<u64> {
        let failure = Failure {
            retry_after: retry_after.map(Duration::from_secs),
            ..Failure::new(class, "")
        };
        match again(&failure, attempt) {
            Again::At(at) => Some(attempt.now.until(at).as_secs()),
            Again::Never => None,
        }
    }

    #[test]
    fn failed_validations_climb_the_ladder() {
        for (failures, base) in [(1, 60), (2, 300), (3, 1800), (4, 7200), (5, 28_800), (60, 86_400)]
        {
            let wait = wait(Class::Validation, None, attempt(failures, None)).unwrap();
            assert!((base * 8 / 10..=base * 12 / 10).contains(&wait), "{failures}: {wait}");
        }
    }

    #[test]
    fn three_validations_fit_into_an_hour_and_no_fourth() {
        let waits: u64 =
            (1..=3).map(|n| wait(Class::Validation, None, attempt(n, None)).unwrap()).sum();
        let three: u64 =
            (1..=2).map(|n| wait(Class::Validation, None, attempt(n, None)).unwrap()).sum();
        assert!(
            three < 3600 && waits + wait(Class::Validation, None, attempt(4, None)).unwrap() > 3600
        );
    }

    #[test]
    fn the_wish_of_the_ca_is_honoured_and_never_shortened() {
        assert_eq!(wait(Class::RateLimited, Some(120), attempt(1, None)), Some(120));
        assert_eq!(wait(Class::Unavailable, Some(5), attempt(9, None)), Some(5));
        assert_eq!(wait(Class::RateLimited, None, attempt(1, None)), Some(60));
        assert_eq!(wait(Class::RateLimited, None, attempt(30, None)), Some(3600));
        assert!(wait(Class::Validation, Some(7200), attempt(1, None)).unwrap() >= 7200);
    }

    #[test]
    fn an_unreachable_ca_is_asked_again_soon_then_rarely() {
        assert_eq!(wait(Class::Transport, None, attempt(1, None)), Some(5));
        assert_eq!(wait(Class::Transport, None, attempt(2, None)), Some(10));
        assert_eq!(wait(Class::Transport, None, attempt(u32::MAX, None)), Some(600));
    }

    #[test]
    fn what_a_ca_will_never_issue_is_not_asked_again() {
        assert_eq!(wait(Class::Rejected, None, attempt(1, None)), None);
        assert!(wait(Class::BadKey, None, attempt(1, None)).is_some());
        assert_eq!(wait(Class::BadKey, None, attempt(2, None)), None);
    }

    #[test]
    fn a_certificate_near_its_end_is_tried_more_often() {
        let ends_in = |seconds: i64| {
            Some(Validity { not_before: UnixTime(0), not_after: UnixTime(1_000_000 + seconds) })
        };
        assert_eq!(wait(Class::Validation, None, attempt(6, ends_in(24_000))), Some(3000));
        assert_eq!(wait(Class::Validation, None, attempt(6, ends_in(60))), Some(900));
    }

    proptest! {
        #[test]
        fn a_wait_is_never_zero_and_never_over_a_day_and_a_fifth(
            failures in 1u32.., left in -1000i64..100_000_000, class in 0usize..9,
        ) {
            const CLASSES: [Class; 9] = [
                Class::BadNonce, Class::RateLimited, Class::Unavailable, Class::Transport,
                Class::Validation, Class::Caa, Class::OrderGone, Class::UserAction, Class::Quarantine,
            ];
            let current = Validity { not_before: UnixTime(0), not_after: UnixTime(1_000_000 + left) };
            let wait = wait(CLASSES[class], None, attempt(failures, Some(current))).unwrap();
            prop_assert!((1..=86_400 * 12 / 10).contains(&wait), "{wait}");
        }
    }
}
