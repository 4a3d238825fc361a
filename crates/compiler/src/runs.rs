//! Elements of a long sequence, encoded in runs such that an edit of one costs
//! a run and not the sequence.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;

use crate::rope::{Chunk, Writer};

/// A key of elements, in their order.
pub(crate) trait RunKey: Ord + Clone {
    /// Whether a run ends behind the element of this key. It must depend on the
    /// key alone, so that equal sequences have equal runs whatever edits led to
    /// them, and hold for one of many keys, so that runs are short.
    fn ends(&self) -> bool;
}

/// The range of keys of one run.
pub(crate) type Span<'a, K> = (Bound<&'a K>, Bound<&'a K>);

/// The last key of a run; the last run of all is open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum End<K> {
    At(K),
    Open,
}

/// The encoded runs of a sequence, empty ones included.
#[derive(Debug)]
pub(crate) struct Runs<K> {
    runs: BTreeMap<End<K>, Chunk>,
    /// Length of all runs, in bytes.
    len: usize,
}

// === impl End ===

impl<K: RunKey> End<K> {
    fn is_one(&self) -> bool {
        matches!(self, Self::At(key) if key.ends())
    }
}

// === impl Runs ===

impl<K> Default for Runs<K> {
    fn default() -> Self {
        Self { runs: BTreeMap::new(), len: 0 }
    }
}

impl<K: RunKey> Runs<K> {
    /// Encodes a sequence anew. `ends` are those of its keys behind which a run
    /// ends; `encode` appends the elements in a span.
    pub(crate) fn new(
        ends: impl Iterator<Item = K>,
        encode: impl Fn(Span<'_, K>, &mut Vec<u8>),
    ) -> Self {
        let mut runs = Self::default();
        let dirty = ends.map(End::At).chain([End::Open]).collect();
        runs.encode(dirty, encode);
        runs
    }

    /// Follows an edit: `changed` are the keys of elements that came, went or
    /// are encoded otherwise, each with whether it is there now.
    pub(crate) fn edit(
        &mut self,
        changed: impl Iterator<Item = (K, bool)>,
        encode: impl Fn(Span<'_, K>, &mut Vec<u8>),
    ) {
        let mut dirty = BTreeSet::new();
        let mut touched = Vec::new();
        for (key, present) in changed {
            let end = End::At(key);
            if end.is_one() {
                if present {
                    dirty.insert(end.clone());
                } else {
                    self.set(end.clone(), None);
                }
            }
            touched.push(end);
        }
        // Ends may have come and gone: only now is it known which run is whose.
        for key in touched {
            let after = (Bound::Excluded(&key), Bound::Unbounded);
            let old = self.runs.range::<End<K>, _>(after).next().map(|(end, _)| end);
            let new = dirty.range::<End<K>, _>(after).next();
            let next = [old, new].into_iter().flatten().min().unwrap_or(&End::Open).clone();
            dirty.insert(next);
        }
        self.encode(dirty, encode);
    }

    /// Encodes these runs; all others have their ends already.
    fn encode(&mut self, dirty: BTreeSet<End<K>>, encode: impl Fn(Span<'_, K>, &mut Vec<u8>)) {
        let mut run = Vec::new();
        for end in dirty {
            let from = match self.runs.range(..&end).next_back() {
                Some((End::At(key), _)) => Bound::Excluded(key),
                _ => Bound::Unbounded,
            };
            let to = match &end {
                End::At(key) => Bound::Included(key),
                End::Open => Bound::Unbounded,
            };
            run.clear();
            encode((from, to), &mut run);
            self.set(end, Some(Chunk::new(Bytes::copy_from_slice(&run))));
        }
    }

    fn set(&mut self, end: End<K>, run: Option<Chunk>) {
        self.len += run.as_ref().map_or(0, Chunk::len);
        let old = match run {
            Some(run) => self.runs.insert(end, run),
            None => self.runs.remove(&end),
        };
        self.len -= old.map_or(0, |run| run.len());
    }

    /// Returns the length of all runs, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends all runs.
    pub(crate) fn append(&self, out: &mut Writer) {
        self.runs.values().for_each(|run| out.share(run));
    }
}

#[cfg(test)]
mod tests;
