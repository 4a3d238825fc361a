//! A request as the rules see it, and its bounds.

use crate::Unit;

/// A check: Envoy's `RateLimitRequest`.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// Domain.
    pub domain: &'a str,
    /// Hits of descriptors that name none; 0 means 1.
    pub hits_addend: u32,
    /// Descriptors, each answered in order.
    pub descriptors: Vec<Descriptor<'a>>,
}

/// One descriptor of a check.
#[derive(Debug, Clone, Default)]
pub struct Descriptor<'a> {
    /// Keys and values in order.
    pub entries: Vec<(&'a str, &'a str)>,
    /// A limit that replaces the configured one.
    pub limit: Option<Override>,
    /// Hits of this descriptor; 0 looks without counting.
    pub hits_addend: Option<u64>,
    /// The hits are given back.
    pub refund: bool,
}

/// A limit in a request; `None` units are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Override {
    /// Hits per unit.
    pub requests_per_unit: u32,
    /// Unit; `None` when the request names no unit we know.
    pub unit: Option<Unit>,
}

/// What a request may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Descriptors of a request.
    pub descriptors: usize,
    /// Entries of a descriptor.
    pub entries: usize,
    /// Bytes of a key.
    pub key: usize,
    /// Bytes of a value.
    pub value: usize,
    /// Hits of a descriptor; Envoy's own cap.
    pub hits: u64,
    /// Bytes of all keys and values.
    pub total: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            descriptors: 64,
            entries: 16,
            key: 256,
            value: 4 * 1024,
            hits: 1_000_000_000,
            total: 64 * 1024,
        }
    }
}

/// Why a request is refused (`INVALID_ARGUMENT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No domain.
    #[error("rate limit domain must not be empty")]
    NoDomain,
    /// No descriptors.
    #[error("rate limit descriptor list must not be empty")]
    NoDescriptors,
    /// Too many descriptors.
    #[error("more than {0} descriptors")]
    Descriptors(usize),
    /// A descriptor without entries.
    #[error("descriptor {0} has no entries")]
    NoEntries(usize),
    /// A descriptor with too many entries.
    #[error("descriptor {0} has more than {1} entries")]
    Entries(usize, usize),
    /// An entry without key.
    #[error("descriptor {0} has an entry with an empty key")]
    EmptyKey(usize),
    /// A key that is too long.
    #[error("descriptor {0} has a key of more than {1} bytes")]
    Key(usize, usize),
    /// A value that is too long.
    #[error("descriptor {0} has a value of more than {1} bytes")]
    Value(usize, usize),
    /// Too much text in all.
    #[error("more than {0} bytes of keys and values")]
    Total(usize),
    /// Too many hits.
    #[error("descriptor {0} has more than {1} hits")]
    Hits(usize, u64),
    /// A limit over an unknown unit.
    #[error("descriptor {0} overrides the limit with an unknown unit")]
    OverrideUnit(usize),
}

impl Request<'_> {
    /// Checks a request against the bounds.
    ///
    /// # Errors
    /// The first thing that is out of bounds.
    pub fn check(&self, bounds: &Bounds) -> Result<(), Malformed> {
        if self.domain.is_empty() {
            return Err(Malformed::NoDomain);
        }
        if self.descriptors.is_empty() {
            return Err(Malformed::NoDescriptors);
        }
        if self.descriptors.len() > bounds.descriptors {
            return Err(Malformed::Descriptors(bounds.descriptors));
        }
        let mut total = self.domain.len();
        for (index, descriptor) in self.descriptors.iter().enumerate() {
            total += descriptor.check(index, bounds)?;
            if total > bounds.total {
                return Err(Malformed::Total(bounds.total));
            }
            if self.hits_of(descriptor) > bounds.hits {
                return Err(Malformed::Hits(index, bounds.hits));
            }
        }
        Ok(())
    }

    /// Returns the hits of a descriptor: its own, else the request's, of which
    /// 0 means 1.
    pub fn hits_of(&self, descriptor: &Descriptor<'_>) -> u64 {
        descriptor.hits_addend.unwrap_or_else(|| self.hits_addend.max(1).into())
    }
}

impl Descriptor<'_> {
    /// Checks one descriptor and returns the bytes of its keys and values.
    fn check(&self, index: usize, bounds: &Bounds) -> Result<usize, Malformed> {
        if self.entries.is_empty() {
            return Err(Malformed::NoEntries(index));
        }
        if self.entries.len() > bounds.entries {
            return Err(Malformed::Entries(index, bounds.entries));
        }
        let mut total = 0;
        for (key, value) in &self.entries {
            total += key.len() + value.len();
            if key.is_empty() {
                return Err(Malformed::EmptyKey(index));
            }
            if key.len() > bounds.key {
                return Err(Malformed::Key(index, bounds.key));
            }
            if value.len() > bounds.value {
                return Err(Malformed::Value(index, bounds.value));
            }
        }
        if self.limit.is_some_and(|limit| limit.unit.is_none()) {
            return Err(Malformed::OverrideUnit(index));
        }
        Ok(total)
    }
}
