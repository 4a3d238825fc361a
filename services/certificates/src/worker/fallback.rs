//! The self-signed pair for Hosts that wait for their certificate.

use std::time::Duration;

use nuncio_renewal::plan::SecretId;
use nuncio_renewal::time::UnixTime;

use super::Worker;
use crate::keys;
use crate::outbox::{FALLBACK, SecretText};

impl Worker {
    /// Makes the pair when somebody may need it and it is missing or about to
    /// end; one that somebody else put there is left alone.
    pub(super) async fn ensure_fallback(&mut self, now: UnixTime) {
        if self.plan.wanted.is_empty() || self.fallback_at.is_some_and(|at| now < at) {
            return;
        }
        let id =
            SecretId { namespace: self.deps.rules.namespace.clone(), name: FALLBACK.to_owned() };
        let there = self.world.pair(&id);
        let serves = there.and_then(|current| current.leaf.as_ref()).is_some_and(|leaf| {
            leaf.validity.holds(now) && now.until(leaf.validity.not_after) > RENEW
        });
        self.fallback_at = Some(now.plus(LOOK_AGAIN));
        if serves || there.is_some_and(|current| !current.ours) {
            return;
        }
        let written = match keys::self_signed(now) {
            Ok((chain, key)) => self
                .deps
                .outbox
                .secret(&id, SecretText::pair(&chain, &key))
                .await
                .map_err(|error| nuncio_process::chain(&error)),
            Err(fault) => Err(nuncio_process::chain(&fault)),
        };
        if let Err(error) = written {
            tracing::warn!(secret = %id, error, "fallback pair not written");
            self.fallback_at = Some(now.plus(Duration::from_secs(10)));
        }
    }
}

const RENEW: Duration = Duration::from_secs(30 * 24 * 3600);
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
