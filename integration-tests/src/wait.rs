//! Waiting for a state, never for a time.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Longest wait for anything: far beyond what a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until `look` finds something, and returns it.
///
/// # Panics
///
/// When nothing was found for [`PATIENCE`].
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain until {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks again and again until what is seen pleases, and returns it.
///
/// # Panics
///
/// When it did not please for [`PATIENCE`]; tells what was seen last.
pub async fn until<T: Debug>(
    what: &str,
    mut look: impl AsyncFnMut() -> T,
    mut pleases: impl FnMut(&T) -> bool,
) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = look().await;
        if pleases(&seen) {
            return seen;
        }
        assert!(Instant::now() < end, "waited in vain until {what}; saw last: {seen:?}");
        tokio::time::sleep(PAUSE).await;
    }
}
