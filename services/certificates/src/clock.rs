//! The time, so that tests can move it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use nuncio_renewal::time::UnixTime;

/// Where the service takes the time from.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Returns the present time.
    fn now(&self) -> UnixTime;

    /// Waits until the time has come, or something may have moved the clock:
    /// callers look at [`Clock::now`] again.
    async fn sleep_until(&self, time: UnixTime);
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixTime(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }

    async fn sleep_until(&self, time: UnixTime) {
        let whole = self.now().until(time);
        // The clock counts whole seconds: without this the first wake-up would
        // come up to a second early and find nothing to do.
        let partial = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(Duration::ZERO, |since| Duration::from_nanos(since.subsec_nanos().into()));
        tokio::time::sleep(whole.saturating_sub(partial).min(RECHECK)).await;
    }
}

/// Suspended machines and corrected clocks are noticed within this time.
const RECHECK: Duration = Duration::from_secs(30);
