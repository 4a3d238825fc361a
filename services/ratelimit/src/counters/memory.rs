//! Counters of this process: exact, and bounded in memory whatever clients
//! send.
//!
//! Counters live in shards, each behind a lock held for some tens of
//! nanoseconds. A slot belongs to a counter, not to a window: a new window
//! starts it over, so a steady client takes one slot, not one a second.
//!
//! A full shard makes room: first what has expired, then the counters whose
//! window ends first, but never one that has reached its limit, because
//! forgetting it would let a denied client in. When only such are left,
//! strangers of one rule share one counter: that limits the flood and nobody
//! known.

mod bounded;
mod shard;
mod sliding;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use nuncio_limits::{Charge, Count, CounterKey, Now};

use super::{Counters, StoreError};
use shard::Shard;

/// Enough that two of a machine's cores rarely meet in one.
const SHARDS: usize = 64;

/// Counters in memory.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[Mutex<Shard>]>,
    /// Keyed at random: nobody outside can aim at one shard.
    hasher: RandomState,
    evicted: AtomicU64,
}

impl Memory {
    /// Makes a store of at most about `max` counters, at least one a shard.
    pub fn new(max: usize) -> Self {
        let each = (max / SHARDS).max(1);
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::new(each))).collect(),
            hasher: RandomState::new(),
            evicted: AtomicU64::new(0),
        }
    }

    /// Applies one charge.
    pub fn apply(&self, charge: &Charge, now: Now) -> Count {
        let mut shard = self.shard(&charge.key).lock().unwrap_or_else(PoisonError::into_inner);
        let (count, evicted) = shard.apply(charge, now);
        drop(shard);
        if evicted > 0 {
            self.evicted.fetch_add(evicted, Ordering::Relaxed);
        }
        count
    }

    /// Returns how many counters are kept.
    pub fn len(&self) -> usize {
        let count =
            |shard: &Mutex<Shard>| shard.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.shards.iter().map(count).sum()
    }

    /// Says whether no counter is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many counters were dropped before their window ended.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn shard(&self, key: &CounterKey) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(key);
        &self.shards[(hash >> 58) as usize % SHARDS]
    }
}

impl Counters for Memory {
    async fn charge(&self, charges: &[Charge], now: Now) -> Result<Vec<Count>, StoreError> {
        Ok(charges.iter().map(|charge| self.apply(charge, now)).collect())
    }
}

#[cfg(test)]
mod tests;
