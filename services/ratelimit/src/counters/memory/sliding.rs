//! A sliding window in memory: hits of each part that is not forgotten yet.

use std::collections::VecDeque;

use nuncio_limits::{Act, Charge, Count, STEPS};

use super::bounded::Aging;

/// At most `STEPS + 1` parts, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    parts: VecDeque<(u64, u64)>,
    /// Length of a part in milliseconds.
    length: u64,
    saturated: bool,
}

impl Parts {
    pub(super) fn apply(&mut self, charge: &Charge) -> Count {
        self.length = charge.span.end - charge.span.start;
        let newest = self.parts.back().map_or(0, |(index, _)| *index);
        let index = charge.span.index.max(newest);
        while self.parts.front().is_some_and(|(part, _)| part + STEPS < index) {
            self.parts.pop_front();
        }
        let total = self.total();
        let after = match charge.act {
            Act::Look => total,
            Act::Add(1) if total >= charge.limit => total.saturating_add(1),
            Act::Add(hits) => {
                match self.parts.back_mut() {
                    Some((part, count)) if *part == index => *count = count.saturating_add(hits),
                    _ => self.parts.push_back((index, hits)),
                }
                total.saturating_add(hits)
            }
            Act::Refund(hits) => {
                let left = total.min(charge.limit).saturating_sub(hits);
                self.give_back(total - left);
                left
            }
        };
        self.saturated = self.total() >= charge.limit;
        Count { after, relief: self.relief(), cached: false }
    }

    fn total(&self) -> u64 {
        self.parts.iter().fold(0, |total, (_, hits)| total.saturating_add(*hits))
    }

    /// Takes hits from the newest parts: those would be forgotten last.
    fn give_back(&mut self, mut hits: u64) {
        while let Some((_, count)) = self.parts.back_mut() {
            let taken = hits.min(*count);
            *count -= taken;
            hits -= taken;
            if *count > 0 {
                break;
            }
            self.parts.pop_back();
        }
    }

    /// Returns when the oldest part is forgotten.
    fn relief(&self) -> u64 {
        self.parts.front().map_or(0, |(index, _)| (index + STEPS + 1) * self.length)
    }
}

impl Aging for Parts {
    fn end(&self) -> u64 {
        self.parts.back().map_or(0, |(index, _)| (index + STEPS + 1) * self.length)
    }

    fn is_saturated(&self) -> bool {
        self.saturated
    }
}
