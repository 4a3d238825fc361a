//! When to compile: the first change at once, a burst in growing steps.
//!
//! ```text
//! changes   x        x x x x x x x x x x x x x x x            x
//! compile   ^        ^ ^  ^    ^         ^                ^   ^
//!           at once  5 ms gap, doubled up to 100 ms       at once again
//! ```

use std::time::{Duration, Instant};

/// Gap after the first compile of a burst.
const FIRST_GAP: Duration = Duration::from_millis(5);
/// Largest gap; far below what a person notices, and no change waits longer
/// than this and the compile before it.
const LARGEST_GAP: Duration = Duration::from_millis(100);
/// Silence that ends a burst.
const CALM: Duration = Duration::from_millis(250);

/// When to compile.
#[derive(Debug, Default)]
pub(crate) struct Debounce {
    last: Option<Instant>,
    gap: Duration,
}

// === impl Debounce ===

impl Debounce {
    /// Returns when a change that is waiting now should be compiled.
    pub(crate) fn due(&self, now: Instant) -> Instant {
        self.last.map_or(now, |last| (last + self.gap).max(now))
    }

    /// Notes that everything waiting was compiled, ending `now`.
    pub(crate) fn compiled(&mut self, now: Instant) {
        let burst = self.last.is_some_and(|last| now.saturating_duration_since(last) < CALM);
        self.gap = if burst { (self.gap * 2).min(LARGEST_GAP) } else { FIRST_GAP };
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_change_does_not_wait() {
        let now = Instant::now();
        let mut debounce = Debounce::default();
        assert_eq!(debounce.due(now), now);
        debounce.compiled(now);
        assert_eq!(debounce.due(now + CALM), now + CALM);
    }

    #[test]
    fn gaps_grow_in_a_burst_and_stay_bounded() {
        let mut now = Instant::now();
        let mut debounce = Debounce::default();
        debounce.compiled(now);
        let mut gaps = Vec::new();
        for _ in 0..8 {
            let due = debounce.due(now);
            gaps.push((due - now).as_millis());
            now = due;
            debounce.compiled(now);
        }
        assert_eq!(gaps, [5, 10, 20, 40, 80, 100, 100, 100]);
        now += CALM;
        debounce.compiled(now);
        assert_eq!(debounce.due(now) - now, FIRST_GAP);
    }
}
