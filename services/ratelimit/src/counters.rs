//! Stores that count. One contract, stated at [`Counters`], held by
//! `tests/counters.rs` over every store.

use std::fmt;

use nuncio_limits::{Charge, Count, Now};

mod denials;
pub mod memory;
pub mod redis;
mod scripts;
mod writer;

pub use memory::Memory;
pub use redis::Redis;
pub use writer::Link;

/// A store of counters.
///
/// Each charge is applied atomically, and the count it returns includes it:
/// among all charges of one counter in one window, the hits whose count does
/// not exceed the limit are exactly as many as the limit allows. What
/// [`nuncio_limits::Act`] says holds for every store.
pub trait Counters {
    /// Applies charges and returns one count for each, in order.
    ///
    /// # Errors
    /// When the store did not answer in time or refused. Some of the charges
    /// may have been applied; none is tried twice.
    fn charge(
        &self,
        charges: &[Charge],
        now: Now,
    ) -> impl Future<Output = Result<Vec<Count>, StoreError>> + Send;
}

/// Why counters could not be charged. All of these become `UNAVAILABLE`, so
/// that Envoy's failure mode decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum StoreError {
    /// No connection; the store is being tried in the background.
    #[error("the counter store is unreachable")]
    Down,
    /// No answer within the deadline; the charges may have been applied.
    #[error("the counter store did not answer in time")]
    Timeout,
    /// More checks wait than may.
    #[error("too many checks wait for the counter store")]
    Overloaded,
    /// The store answered with an error.
    #[error("the counter store refused")]
    Refused,
}

impl StoreError {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Down, Self::Timeout, Self::Overloaded, Self::Refused];

    /// Returns the reason as a metric label.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
            Self::Refused => "refused",
        }
    }
}

/// The store a service uses.
pub enum Store {
    /// This process alone.
    Memory(Memory),
    /// Shared between replicas.
    Redis(Redis),
}

impl Counters for Store {
    async fn charge(&self, charges: &[Charge], now: Now) -> Result<Vec<Count>, StoreError> {
        match self {
            Self::Memory(memory) => memory.charge(charges, now).await,
            Self::Redis(redis) => redis.charge(charges, now).await,
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory(_) => "Memory",
            Self::Redis(_) => "Redis",
        })
    }
}
