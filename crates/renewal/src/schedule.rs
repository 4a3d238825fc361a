//! When a certificate is due for renewal.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::time::UnixTime;

/// The period in which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second of validity.
    pub not_before: UnixTime,
    /// Last second of validity.
    pub not_after: UnixTime,
}

impl Validity {
    /// Returns the length of the period; zero when it is inverted.
    pub fn life(self) -> Duration {
        self.not_before.until(self.not_after)
    }

    /// Tells whether `now` lies in the period.
    pub fn holds(self, now: UnixTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// Tells whether more than a quarter of the life is left, up to which a
    /// failing renewal is not yet worth alarming anybody.
    pub fn is_comfortable(self, now: UnixTime) -> bool {
        now.until(self.not_after) > self.life() / 4
    }

    /// Returns when to renew.
    ///
    /// A third of the life before its end, half for lives under ten days,
    /// earlier by up to a fiftieth of the life: where in that fiftieth depends
    /// on `id` alone, so that certificates issued together are not renewed
    /// together and a restart changes nothing.
    pub fn renew_at(self, id: &str) -> UnixTime {
        let life = self.life();
        let before_end = if life < SHORT { life / 2 } else { life / 3 };
        let spread = (life / 50).as_secs();
        let jitter = Duration::from_secs(hash(id) % (spread + 1));
        self.not_after.minus(before_end).minus(jitter)
    }
}

/// Returns a number that depends on the text alone and is evenly spread.
pub fn hash(id: &str) -> u64 {
    let digest = Sha256::digest(id.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

/// Lives shorter than this are renewed at half time.
const SHORT: Duration = Duration::from_secs(10 * 24 * 3600);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn validity(life: i64) -> Validity {
        Validity { not_before: UnixTime(1000), not_after: UnixTime(1000 + life) }
    }

    #[test]
    fn long_lives_are_renewed_at_two_thirds_and_short_ones_at_half() {
        const DAY: i64 = 24 * 3600;
        let elapsed = |life: i64| (validity(life).renew_at("id").0 - 1000) as f64 / life as f64;
        assert!((0.64..=0.667).contains(&elapsed(90 * DAY)), "{}", elapsed(90 * DAY));
        assert!((0.48..=0.5).contains(&elapsed(6 * DAY)), "{}", elapsed(6 * DAY));
        assert!((0.48..=0.5).contains(&elapsed(600)), "{}", elapsed(600));
    }

    proptest! {
        #[test]
        fn renewal_falls_within_the_life_and_leaves_a_third(
            life in 1i64..400 * 24 * 3600, id in "[a-z]{0,8}",
        ) {
            let validity = validity(life);
            let at = validity.renew_at(&id);
            prop_assert!(at >= validity.not_before);
            prop_assert!(at.until(validity.not_after) >= validity.life() / 3);
            prop_assert_eq!(at, validity.renew_at(&id));
        }

        #[test]
        fn any_period_is_survived(from: i64, to: i64, now: i64) {
            let validity = Validity { not_before: UnixTime(from), not_after: UnixTime(to) };
            let _ = validity.renew_at("x");
            let _ = validity.is_comfortable(UnixTime(now));
        }
    }
}
