//! When to compile: a change that comes alone at once, a burst in growing steps.
//!
//! ```text
//! changes   x    x    x        x x x x x x x x x x x x x x x x      x
//! compile   ^    ^    ^        ^ ^  ^    ^         ^         ^      ^
//!           each at once       5 ms gap, doubled up to 100 ms       at once again
//! ```

use std::time::{Duration, Instant};

/// Gap after a compile that no gap held up.
const FIRST_GAP: Duration = Duration::from_millis(5);
/// Largest gap; far below what a person notices, and no change waits longer
/// than this and the compile before it.
const LARGEST_GAP: Duration = Duration::from_millis(100);

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

    /// Notes that everything waiting was compiled, ending `now`. The first of it
    /// had `arrived` earlier; where it had to wait, it was part of a burst.
    pub(crate) fn compiled(&mut self, arrived: Instant, now: Instant) {
        let burst = self.last.is_some_and(|last| arrived < last + self.gap);
        self.gap = if burst { (self.gap * 2).min(LARGEST_GAP) } else { FIRST_GAP };
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_further_apart_than_the_gap_do_not_wait() {
        let mut now = Instant::now();
        let mut debounce = Debounce::default();
        for _ in 0..8 {
            assert_eq!(debounce.due(now), now);
            debounce.compiled(now, now);
            now += FIRST_GAP;
        }
    }

    #[test]
    fn gaps_grow_in_a_burst_and_stay_bounded() {
        let mut now = Instant::now();
        let mut debounce = Debounce::default();
        debounce.compiled(now, now);
        let mut gaps = Vec::new();
        for _ in 0..8 {
            let (arrived, due) = (now, debounce.due(now));
            gaps.push((due - arrived).as_millis());
            now = due;
            debounce.compiled(arrived, now);
        }
        assert_eq!(gaps, [5, 10, 20, 40, 80, 100, 100, 100]);
        now += LARGEST_GAP;
        debounce.compiled(now, now);
        assert_eq!(debounce.due(now) - now, FIRST_GAP);
    }
}
