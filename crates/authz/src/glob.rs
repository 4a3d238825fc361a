//! Globs of hosts and paths: `*` stands for any text, `/` included; every
//! other character for itself.

/// A glob.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Glob {
    /// Literal parts between the stars; one part means no star.
    parts: Vec<String>,
}

impl Glob {
    /// Reads a glob; any text is one.
    pub(crate) fn new(pattern: &str) -> Self {
        Self { parts: pattern.split('*').map(str::to_owned).collect() }
    }

    /// Returns the text before the first star.
    pub(crate) fn prefix(&self) -> &str {
        self.parts.first().map_or("", String::as_str)
    }

    /// Returns the text after the last star.
    pub(crate) fn suffix(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }

    /// Tells whether it has no star.
    pub(crate) fn is_literal(&self) -> bool {
        self.parts.len() == 1
    }

    /// Tells whether a text matches. Cost: linear in the text for each part.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.parts.as_slice() else {
            return self.parts.first().is_some_and(|only| only == text);
        };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        // The leftmost place for each part leaves the most for the others.
        for part in middle {
            match rest.find(part.as_str()) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "/a/b", true),
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a*", "/a/b/c", true),
            ("/a/*", "/a", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("/*/x/*", "/a/b/x/c", true),
            ("/*/x/*", "/x/c", false),
            ("a*a", "a", false),
            ("/a?[b]", "/a?[b]", true),
            ("*a*b*", "xxaxxbxx", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }
}
