//! Denials remembered in this process: a counter over its limit stays so until
//! its window ends, so the store need not be asked again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use nuncio_limits::{Act, Charge, Count, CounterKey, Now, Window};

/// Bytes of one remembered denial, with the map's own.
const ENTRY_BYTES: usize = 64;

/// Remembered denials, at most so many bytes.
#[derive(Debug)]
pub(super) struct Denials {
    max: usize,
    known: Mutex<HashMap<CounterKey, Denial>>,
}

#[derive(Debug, Clone, Copy)]
struct Denial {
    /// The count that was seen; a larger limit is not denied by it.
    count: u64,
    window: u64,
    end: u64,
}

impl Denials {
    pub(super) fn new(bytes: usize) -> Self {
        Self { max: bytes / ENTRY_BYTES, known: Mutex::default() }
    }

    /// Returns the count of a charge that is denied without asking. Only hits
    /// are: a look wants the truth, and hits given back change it.
    pub(super) fn recall(&self, charge: &Charge) -> Option<Count> {
        if self.max == 0 {
            return None;
        }
        let (Act::Add(hits), Window::Fixed { .. }) = (charge.act, charge.window) else {
            return None;
        };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let denial = known.get(&charge.key)?;
        // A single hit would not have been kept; several would have.
        let fits = hits == 1 && denial.window == charge.span.index && denial.count >= charge.limit;
        fits.then(|| Count { after: denial.count + 1, relief: 0, cached: true })
    }

    /// Takes note of what the store answered.
    pub(super) fn note(&self, charge: &Charge, count: Count, now: Now) {
        if self.max == 0 || !matches!(charge.window, Window::Fixed { .. }) {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(charge.act, Act::Refund(_)) {
            known.remove(&charge.key);
        } else if count.after > charge.limit {
            if known.len() >= self.max && !known.contains_key(&charge.key) {
                known.retain(|_, denial| denial.end > now.millis());
                if known.len() >= self.max {
                    // Forgetting a denial costs a question, never a hit.
                    known.clear();
                }
            }
            // The hit itself was counted above the limit and may be returned.
            let denial =
                Denial { count: charge.limit, window: charge.span.index, end: charge.span.end };
            known.insert(charge.key, denial);
        }
    }
}
