//! Counters that never take more room than they were given.

use std::collections::HashMap;

use nuncio_limits::{CounterKey, Now};

/// What both kinds of counters have in common when room is needed.
pub(super) trait Aging {
    /// Unix milliseconds from which the counter means nothing.
    fn end(&self) -> u64;
    /// The counter denies.
    fn is_saturated(&self) -> bool;
}

/// A map that never holds more than `max`.
#[derive(Debug)]
pub(super) struct Bounded<V> {
    pub(super) slots: HashMap<CounterKey, V>,
    max: usize,
    /// Making room failed; do not search again before this time.
    hopeless_until: u64,
}

/// How long a search for room that found none is taken as final: under a flood
/// every stranger would search the whole shard.
const HOPELESS_MILLIS: u64 = 1_000;

impl<V: Aging + Default> Bounded<V> {
    pub(super) fn new(max: usize) -> Self {
        Self { slots: HashMap::new(), max, hopeless_until: 0 }
    }

    /// Makes a new slot, `None` if there is no room and none can be made.
    pub(super) fn insert(&mut self, key: CounterKey, now: Now) -> (Option<&mut V>, u64) {
        let mut evicted = 0;
        if self.slots.len() >= self.max {
            if now.millis() < self.hopeless_until {
                return (None, 0);
            }
            evicted = self.make_room(now);
            if self.slots.len() >= self.max {
                self.hopeless_until = now.millis() + HOPELESS_MILLIS;
                return (None, evicted);
            }
        }
        (Some(self.slots.entry(key).or_default()), evicted)
    }

    /// Frees an eighth at once, so that the search is paid for by many inserts.
    fn make_room(&mut self, now: Now) -> u64 {
        self.slots.retain(|_, slot| slot.end() > now.millis());
        let wanted = self.max - self.max.div_ceil(8);
        let Some(excess @ 1..) = self.slots.len().checked_sub(wanted) else { return 0 };
        let mut victims: Vec<(u64, CounterKey)> = self
            .slots
            .iter()
            .filter(|(_, slot)| !slot.is_saturated())
            .map(|(key, slot)| (slot.end(), *key))
            .collect();
        if victims.len() > excess {
            victims.select_nth_unstable(excess - 1);
            victims.truncate(excess);
        }
        for (_, key) in &victims {
            self.slots.remove(key);
        }
        victims.len() as u64
    }
}
