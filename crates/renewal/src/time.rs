//! Points in time, as the core is told them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time. Unit: seconds since 1970-01-01 UTC, as certificates count.
///
/// Arithmetic saturates, so that no stored or received number can overflow it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// Returns this time moved forward; parts of a second are rounded up, so
    /// that a wait is never shorter than asked for.
    pub fn plus(self, span: Duration) -> Self {
        let partial = i64::from(span.subsec_nanos() > 0);
        let whole = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(whole.saturating_add(partial)))
    }

    /// Returns this time moved back by whole seconds.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_secs()).unwrap_or(i64::MAX)))
    }

    /// Returns how long it is until `later`; zero when that has passed.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_secs(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// Returns the RFC 3339 text in UTC, as Kubernetes writes times; a time
    /// beyond the year 9999 gives the text of the epoch.
    pub fn rfc3339(self) -> String {
        OffsetDateTime::from_unix_timestamp(self.0)
            .ok()
            .and_then(|time| time.format(&Rfc3339).ok())
            .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// Returns the Go text of a duration in whole seconds, such as `5m0s`, which
/// is how a Host's `errorBackoff` is spelled.
pub fn go_duration(span: Duration) -> String {
    let total = span.as_secs();
    let (hours, minutes, seconds) = (total / 3600, total % 3600 / 60, total % 60);
    if hours > 0 {
        format!("{hours}h{minutes}m{seconds}s")
    } else if minutes > 0 {
        format!("{minutes}m{seconds}s")
    } else {
        format!("{seconds}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_writes_them() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (300, "5m0s"), (7200, "2h0m0s"), (90_061, "25h1m1s")]
        {
            assert_eq!(go_duration(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn arithmetic_saturates_instead_of_overflowing() {
        assert_eq!(UnixTime(i64::MAX).plus(Duration::MAX), UnixTime(i64::MAX));
        assert_eq!(UnixTime(i64::MIN).minus(Duration::MAX), UnixTime(i64::MIN));
        assert_eq!(UnixTime(10).until(UnixTime(3)), Duration::ZERO);
        assert_eq!(UnixTime(0).plus(Duration::from_millis(1)), UnixTime(1));
    }

    #[test]
    fn times_read_as_kubernetes_writes_them() {
        assert_eq!(UnixTime(1_700_000_000).rfc3339(), "2023-11-14T22:13:20Z");
        assert_eq!(UnixTime(i64::MAX).rfc3339(), "1970-01-01T00:00:00Z");
    }
}
