//! Tokens whose signature was verified: the next check of the same token under
//! the same keys costs a digest and a look-up. Times are checked at every use,
//! by the caller.
//!
//! Bounded in number and in bytes by two generations: when the young one is
//! full it becomes the old one, and the old one is dropped; a token that is
//! used moves back to the young one.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

use crate::filter::token::Token;

/// Most tokens of one filter, both generations together.
pub(crate) const MAX_TOKENS: usize = 10_000;
/// Most bytes of encoded tokens of one filter; parsed ones take a few times
/// that.
const MAX_BYTES: usize = 8 * 1024 * 1024;
const SHARDS: usize = 8;

type Digest = [u8; 32];

#[derive(Default)]
pub(crate) struct TokenCache {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    young: HashMap<Digest, Entry>,
    old: HashMap<Digest, Entry>,
    young_bytes: usize,
}

#[derive(Clone)]
struct Entry {
    keys: Digest,
    token: Arc<Token>,
}

impl TokenCache {
    /// Returns the key of a token: its digest, so that no token is kept as one.
    pub(crate) fn digest(raw: &str) -> Digest {
        let mut out = [0; 32];
        out.copy_from_slice(digest(&SHA256, raw.as_bytes()).as_ref());
        out
    }

    /// Finds a token that these keys verified.
    pub(crate) fn find(&self, digest: &Digest, keys: &Digest) -> Option<Arc<Token>> {
        let mut shard = self.shard(digest);
        if let Some(entry) = shard.young.get(digest) {
            return (entry.keys == *keys).then(|| Arc::clone(&entry.token));
        }
        let entry = shard.old.remove(digest)?;
        if entry.keys != *keys {
            return None;
        }
        let token = Arc::clone(&entry.token);
        shard.insert(*digest, entry);
        Some(token)
    }

    /// Remembers a token that these keys verified.
    pub(crate) fn insert(&self, digest: Digest, keys: Digest, token: Arc<Token>) {
        self.shard(&digest).insert(digest, Entry { keys, token });
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap())
            .map(|shard| shard.young.len() + shard.old.len())
            .sum()
    }

    fn shard(&self, digest: &Digest) -> std::sync::MutexGuard<'_, Shard> {
        let at = usize::from(digest[0]) % SHARDS;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn insert(&mut self, digest: Digest, entry: Entry) {
        let bytes = entry.token.raw.len();
        let full = self.young.len() >= MAX_TOKENS / SHARDS / 2
            || self.young_bytes + bytes > MAX_BYTES / SHARDS / 2;
        if full {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        if let Some(replaced) = self.young.insert(digest, entry) {
            self.young_bytes -= replaced.token.raw.len();
        }
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenCache")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Arc<Token> {
        // {"alg":"none"}.{}
        Arc::new(Token::parse("eyJhbGciOiJub25lIn0.e30.").unwrap())
    }

    #[test]
    fn a_token_is_found_only_under_the_keys_that_verified_it() {
        let cache = TokenCache::default();
        cache.insert([1; 32], [7; 32], token());
        assert!(cache.find(&[1; 32], &[7; 32]).is_some());
        assert!(cache.find(&[1; 32], &[8; 32]).is_none());
        assert!(cache.find(&[2; 32], &[7; 32]).is_none());
    }

    #[test]
    fn any_number_of_tokens_keeps_it_bounded_and_used_ones_stay() {
        let cache = TokenCache::default();
        let used = TokenCache::digest("used");
        cache.insert(used, [7; 32], token());
        for n in 0..50_000 {
            cache.insert(TokenCache::digest(&n.to_string()), [7; 32], token());
            assert!(cache.find(&used, &[7; 32]).is_some());
        }
        assert!(cache.len() <= MAX_TOKENS, "{}", cache.len());
    }
}
