//! One part of the counters in memory.

use std::collections::HashMap;

use nuncio_limits::{Act, Charge, Count, Now, Window};

use super::bounded::{Aging, Bounded};
use super::sliding::Parts;

/// Sliding counters take several times the memory of fixed ones.
const SLIDING_SHARE: usize = 8;

#[derive(Debug)]
pub(super) struct Shard {
    fixed: Bounded<Slot>,
    sliding: Bounded<Parts>,
    /// Counters of strangers, one a rule and kind of window; there are only as
    /// many as rules.
    shared: HashMap<(u64, Window), Either>,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    count: u64,
    /// Unix seconds.
    end: u32,
    saturated: bool,
}

#[derive(Debug)]
enum Either {
    Fixed(Slot),
    Sliding(Parts),
}

impl Shard {
    pub(super) fn new(max: usize) -> Self {
        Self {
            fixed: Bounded::new(max),
            sliding: Bounded::new((max / SLIDING_SHARE).max(1)),
            shared: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.fixed.slots.len() + self.sliding.slots.len()
    }

    /// Applies a charge and says how many counters had to go for it.
    pub(super) fn apply(&mut self, charge: &Charge, now: Now) -> (Count, u64) {
        let shared = (charge.rule, charge.window);
        match charge.window {
            Window::Fixed { .. } => {
                if let Some(slot) = self.fixed.slots.get_mut(&charge.key) {
                    return (slot.apply(charge), 0);
                }
                if !matches!(charge.act, Act::Add(_)) {
                    return (Count::fixed(0), 0);
                }
                let (slot, evicted) = self.fixed.insert(charge.key, now);
                let slot = match slot {
                    Some(slot) => slot,
                    None => {
                        match self.shared.entry(shared).or_insert(Either::Fixed(Slot::default())) {
                            Either::Fixed(slot) => slot,
                            Either::Sliding(_) => unreachable!("the entry's key names its kind"),
                        }
                    }
                };
                (slot.apply(charge), evicted)
            }
            Window::Sliding { .. } => {
                if let Some(parts) = self.sliding.slots.get_mut(&charge.key) {
                    return (parts.apply(charge), 0);
                }
                if !matches!(charge.act, Act::Add(_)) {
                    return (Count::fixed(0), 0);
                }
                let (parts, evicted) = self.sliding.insert(charge.key, now);
                let parts = match parts {
                    Some(parts) => parts,
                    None => {
                        match self.shared.entry(shared).or_insert(Either::Sliding(Parts::default()))
                        {
                            Either::Sliding(parts) => parts,
                            Either::Fixed(_) => unreachable!("the entry's key names its kind"),
                        }
                    }
                };
                (parts.apply(charge), evicted)
            }
        }
    }
}

impl Slot {
    fn apply(&mut self, charge: &Charge) -> Count {
        // Seconds since the epoch fit until 2106, and saturate after.
        let end = u32::try_from(charge.span.end / 1_000).unwrap_or(u32::MAX);
        // Two threads may read the clock on two sides of a boundary: the later
        // window, once begun, takes the earlier thread's hit.
        if end > self.end {
            *self = Self { count: 0, end, saturated: false };
        }
        let after = match charge.act {
            Act::Look => self.count,
            Act::Add(1) if self.count >= charge.limit => self.count.saturating_add(1),
            Act::Add(hits) => {
                self.count = self.count.saturating_add(hits);
                self.count
            }
            Act::Refund(hits) => {
                self.count = self.count.min(charge.limit).saturating_sub(hits);
                self.count
            }
        };
        self.saturated = self.count >= charge.limit;
        Count::fixed(after)
    }
}

impl Aging for Slot {
    fn end(&self) -> u64 {
        u64::from(self.end) * 1_000
    }

    fn is_saturated(&self) -> bool {
        self.saturated
    }
}
