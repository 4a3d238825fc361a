//! Values with `*`.

/// A value pattern; each `*` stands for any text, also none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    parts: Vec<Box<str>>,
}

impl Glob {
    /// Returns the pattern, `None` for text without `*`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.contains('*').then(|| Self { parts: text.split('*').map(Into::into).collect() })
    }

    /// Says whether `text` matches. Linear in practice and quadratic at worst:
    /// each part is looked for once, leftmost first, which is enough because a
    /// later `*` can always take what was skipped.
    pub(super) fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.parts.as_slice() else {
            return false;
        };
        let Some(mut rest) = text.strip_prefix(&**first) else { return false };
        for part in middle {
            let Some(at) = rest.find(&**part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.len() >= last.len() && rest.ends_with(&**last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(text)
    }

    #[test]
    fn stars_stand_anywhere_and_for_nothing() {
        assert!(matches("*", ""));
        assert!(matches("/api/*", "/api/"));
        assert!(matches("*.jpg", "a.jpg"));
        assert!(matches("a*b*c", "a--b--c"));
        assert!(matches("**", "x"));
        assert!(!matches("ab*ba", "aba"));
        assert!(!matches("a*b*c", "a--c"));
        assert!(Glob::parse("plain").is_none());
    }

    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| slow(rest, &text[skip..])),
            Some((byte, rest)) => text.first() == Some(byte) && slow(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn equals_the_textbook_definition(pattern in "[ab*]{0,4}\\*[ab*]{0,3}", text in "[ab]{0,8}") {
            prop_assert_eq!(matches(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
