//! Encoded bytes in chunks that versions of a resource share.
//!
//! A route configuration of ten thousand routes is a few megabytes, of which a
//! change of one route touches a few kilobytes. Kept in chunks, a new version
//! costs the chunks that differ: the others are shared with the former version,
//! and their hashes are known.
//!
//! Where chunks end is up to whoever writes them, and must depend on the content
//! alone: then equal content has equal chunks and an equal hash, whatever edits
//! led to it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Shorter pieces are copied into their neighbour instead of being shared: a
/// chunk of its own would cost every stream and every version more than that.
const SHARED_LEAST: usize = 4096;

/// The encoding of one message.
///
/// Cheap to clone. Equality looks at the bytes.
#[derive(Clone, Default)]
pub struct Rope {
    chunks: Arc<[Chunk]>,
    len: usize,
}

/// A run of bytes, not empty, with its hash (XXH3, 64 bit).
#[derive(Clone)]
pub(crate) struct Chunk {
    bytes: Bytes,
    hash: u64,
}

/// Writes a rope from front to end.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    chunks: Vec<Chunk>,
    /// Written and not yet in a chunk.
    open: Vec<u8>,
    len: usize,
}

// === impl Rope ===

impl Rope {
    /// Returns the length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no bytes, which is a message of defaults.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the bytes in order, in chunks none of which is empty.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.chunks.iter().map(|chunk| &chunk.bytes)
    }

    /// Returns all bytes in one piece; copies them when there are several
    /// chunks.
    pub fn to_bytes(&self) -> Bytes {
        match &*self.chunks {
            [] => Bytes::new(),
            [chunk] => chunk.bytes.clone(),
            chunks => {
                let mut bytes = Vec::with_capacity(self.len);
                chunks.iter().for_each(|chunk| bytes.extend_from_slice(&chunk.bytes));
                bytes.into()
            }
        }
    }

    /// Returns the hash of the only chunk, or that of the hashes of several.
    pub(crate) fn hash(&self) -> u64 {
        match &*self.chunks {
            [] => xxh3_64(&[]),
            [chunk] => chunk.hash,
            chunks => {
                let mut hash = Xxh3::new();
                chunks.iter().for_each(|chunk| hash.update(&chunk.hash.to_le_bytes()));
                hash.digest()
            }
        }
    }
}

impl From<Bytes> for Rope {
    fn from(bytes: Bytes) -> Self {
        let len = bytes.len();
        let chunks: Arc<[Chunk]> =
            if len == 0 { Arc::default() } else { [Chunk::new(bytes)].into() };
        Self { chunks, len }
    }
}

impl From<Vec<u8>> for Rope {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl PartialEq for Rope {
    fn eq(&self, other: &Self) -> bool {
        if self.len != other.len {
            return false;
        }
        let alike = self.chunks.len() == other.chunks.len()
            && self.chunks.iter().zip(&*other.chunks).all(|(a, b)| a == b);
        alike || self.to_bytes() == other.to_bytes()
    }
}

impl Eq for Rope {}

impl fmt::Debug for Rope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the bytes: they may be a private key.
        f.debug_struct("Rope")
            .field("len", &self.len)
            .field("chunks", &self.chunks.len())
            .finish_non_exhaustive()
    }
}

// === impl Chunk ===

impl Chunk {
    pub(crate) fn new(bytes: Bytes) -> Self {
        let hash = xxh3_64(&bytes);
        Self { bytes, hash }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl PartialEq for Chunk {
    fn eq(&self, other: &Self) -> bool {
        let shared =
            self.bytes.as_ptr() == other.bytes.as_ptr() && self.bytes.len() == other.bytes.len();
        shared || (self.hash == other.hash && self.bytes == other.bytes)
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk").field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}

// === impl Writer ===

impl Writer {
    /// Returns the buffer for what is too short to be shared.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.open
    }

    /// Appends a chunk.
    pub(crate) fn share(&mut self, chunk: &Chunk) {
        if chunk.len() < SHARED_LEAST {
            self.open.extend_from_slice(&chunk.bytes);
            return;
        }
        self.close();
        self.len += chunk.len();
        self.chunks.push(chunk.clone());
    }

    /// Appends a whole rope.
    pub(crate) fn share_all(&mut self, rope: &Rope) {
        rope.chunks.iter().for_each(|chunk| self.share(chunk));
    }

    /// Ends.
    pub(crate) fn finish(mut self) -> Rope {
        self.close();
        Rope { chunks: self.chunks.into(), len: self.len }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            let bytes = std::mem::take(&mut self.open);
            self.len += bytes.len();
            self.chunks.push(Chunk::new(bytes.into_boxed_slice().into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pieces: &[&[u8]]) -> Rope {
        let mut writer = Writer::default();
        for piece in pieces {
            writer.share(&Chunk::new(Bytes::copy_from_slice(piece)));
        }
        writer.finish()
    }

    #[test]
    fn a_rope_is_its_bytes() {
        let (long, short) = (vec![7; SHARED_LEAST], vec![8; 10]);
        let rope = written(&[&short, &long, &short, &short, &long]);
        assert_eq!(rope.chunks().len(), 4);
        let whole = Rope::from([&short[..], &long, &short, &short, &long].concat());
        assert_eq!(rope.len(), whole.len());
        assert_eq!(rope.to_bytes(), whole.to_bytes());
        assert_eq!(rope, whole);
        assert_ne!(rope, written(&[&long, &short, &short, &short, &long]));
    }

    #[test]
    fn equal_chunks_have_an_equal_hash() {
        let (long, short) = (vec![7; SHARED_LEAST], vec![8; 10]);
        let rope = written(&[&short, &long]);
        assert_eq!(rope.hash(), written(&[&short[..4], &short[4..], &long]).hash());
        assert_ne!(rope.hash(), written(&[&long, &short]).hash());
        assert_eq!(written(&[&long]).hash(), Rope::from(long).hash());
        assert!(Rope::from(Vec::new()).is_empty());
        assert_eq!(Rope::from(Vec::new()), Rope::default());
    }
}
