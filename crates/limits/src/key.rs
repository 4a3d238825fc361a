//! Names of counters.

use blake3::Hasher;

/// Version of the key format; a change of anything hashed below counts it up,
/// so that old and new counters cannot be taken for each other.
const VERSION: u8 = 1;

/// Identity of one counter across windows: a rule and the values it counts
/// apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey(pub [u8; 16]);

impl CounterKey {
    /// Hashes rule and values. Each value goes in with its length before it,
    /// so no value can pretend to be two.
    pub(crate) fn new<'v>(rule: u64, values: impl Iterator<Item = &'v str>) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&[VERSION]);
        hasher.update(&rule.to_le_bytes());
        for value in values {
            feed(&mut hasher, value);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(key)
    }

    /// Returns the name of this counter's window in a shared store.
    ///
    /// Shape: `<prefix>{<22 letters>}<window index>`, the letters URL-safe
    /// base64 of the key; the braces keep all windows of a counter on one slot
    /// of a cluster and spread counters over all slots.
    pub fn name(&self, prefix: &str, window: u64) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut name = String::with_capacity(prefix.len() + 24 + 12);
        name.push_str(prefix);
        name.push('{');
        let bits = u128::from_be_bytes(self.0);
        for shift in (0..22).rev() {
            let digit = (bits >> (shift * 6)) & 63;
            name.push(char::from(DIGITS[digit as usize]));
        }
        name.push('}');
        name.push_str(&window.to_string());
        name
    }
}

/// Hashes what makes a rule's counters its own.
pub(crate) fn rule_id(form: &str, domain: &str, seconds: u64, path: &[(String, String)]) -> u64 {
    let mut hasher = Hasher::new();
    hasher.update(&[VERSION]);
    feed(&mut hasher, form);
    feed(&mut hasher, domain);
    hasher.update(&seconds.to_le_bytes());
    for (key, value) in path {
        feed(&mut hasher, key);
        feed(&mut hasher, value);
    }
    let mut id = [0; 8];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(id)
}

fn feed(hasher: &mut Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

/// Returns envoyproxy/ratelimit's name of a counter.
///
/// Shape: `<prefix><domain>_<key>_<value>_…_<window start, Unix seconds>`.
/// Values of different clients can collide in it; it exists to share counters
/// with envoyproxy/ratelimit during a migration.
pub(crate) fn text_key(
    prefix: &str,
    domain: &str,
    entries: impl Iterator<Item = (impl AsRef<str>, impl AsRef<str>)>,
    start: u64,
) -> String {
    let mut name = format!("{prefix}{domain}_");
    for (key, value) in entries {
        name.push_str(key.as_ref());
        name.push('_');
        name.push_str(value.as_ref());
        name.push('_');
    }
    name.push_str(&start.to_string());
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn different_values_have_different_keys(
            a in proptest::collection::vec("[\\x00-\\x7f]{0,6}", 0..4),
            b in proptest::collection::vec("[\\x00-\\x7f]{0,6}", 0..4),
        ) {
            let key = |values: &[String]| CounterKey::new(1, values.iter().map(String::as_str));
            prop_assert_eq!(a == b, key(&a) == key(&b));
        }
    }

    #[test]
    fn names_are_pinned_because_replicas_share_them() {
        let name = CounterKey([0xff; 16]).name("p:", 7);
        assert_eq!(name, "p:{D_____________________}7");
        assert_eq!(CounterKey([0; 16]).name("", 0), "{AAAAAAAAAAAAAAAAAAAAAA}0");
        let key = CounterKey::new(rule_id("tree", "d", 1, &[]), ["a"].into_iter());
        assert_eq!(
            key.name("", 1),
            CounterKey::new(rule_id("tree", "d", 1, &[]), ["a"].into_iter()).name("", 1)
        );
    }

    #[test]
    fn the_text_key_is_that_of_envoyproxy_ratelimit() {
        let name = text_key("", "domain", [("key", "value"), ("sub", "x")].into_iter(), 1234);
        assert_eq!(name, "domain_key_value_sub_x_1234");
    }
}
