//! What a path condition says about how a path begins.

use std::borrow::Cow;

use super::PathCondition;

/// Below which longer keys a route's condition can still hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Below none: the stem is the whole path.
    Nowhere,
    /// Below those that go on with a slash.
    Segments,
    /// Below all.
    Everywhere,
}

/// The text that every `:path` satisfying a condition begins with.
///
/// Shape: ASCII without `?` and `#`. Envoy compares conditions with the path
/// before these two, but the tree with the whole of `:path`; a stem that ends
/// before them holds for both. Staying within ASCII keeps every common
/// beginning of two stems a valid text.
#[derive(Debug)]
pub(super) struct Stem<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) reach: Reach,
}

impl<'a> Stem<'a> {
    pub(super) fn of(path: PathCondition<'a>, case_sensitive: bool) -> Self {
        let (literal, reach) = match path {
            PathCondition::Prefix(literal) => (literal, Reach::Everywhere),
            PathCondition::SeparatedPrefix(literal) => (literal, Reach::Segments),
            PathCondition::Exact(literal) => (literal, Reach::Nowhere),
            // Envoy ignores `case_sensitive` beside a regex.
            PathCondition::Regex(pattern) => {
                return Self { text: regex_stem(pattern), reach: Reach::Everywhere };
            }
            PathCondition::Other => ("", Reach::Everywhere),
        };
        let usable = |byte: u8| is_path(byte) && (case_sensitive || !byte.is_ascii_alphabetic());
        let end = literal.bytes().position(|byte| !usable(byte)).unwrap_or(literal.len());
        // What follows a cut is unknown to the tree.
        let reach = if end == literal.len() { reach } else { Reach::Everywhere };
        Self { text: Cow::Borrowed(&literal[..end]), reach }
    }
}

fn is_path(byte: u8) -> bool {
    byte.is_ascii() && byte != b'?' && byte != b'#'
}

/// Returns the literal that a pattern for the whole path begins with.
///
/// Errs on the short side: any alternative in the pattern, nested or not,
/// gives the empty stem, and an escape of a letter or a digit ends it.
fn regex_stem(pattern: &str) -> Cow<'_, str> {
    if pattern.contains('|') {
        return Cow::Borrowed("");
    }
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let bytes = pattern.as_bytes();
    let plain = |byte: &u8| is_path(*byte) && !br"\.+*?()[]{}^$|".contains(byte);
    let end = bytes.iter().position(|byte| !plain(byte)).unwrap_or(bytes.len());
    if bytes.get(end) != Some(&b'\\') {
        let optional = matches!(bytes.get(end), Some(b'*' | b'?' | b'{'));
        return Cow::Borrowed(&pattern[..end.saturating_sub(usize::from(optional))]);
    }
    let mut text = pattern[..end].to_owned();
    let mut rest = bytes[end..].iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => match rest.next() {
                Some(escaped) if escaped.is_ascii_punctuation() && is_path(*escaped) => {
                    text.push(char::from(*escaped));
                }
                _ => break,
            },
            b'*' | b'?' | b'{' => {
                text.pop();
                break;
            }
            byte if plain(byte) => text.push(char::from(*byte)),
            _ => break,
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_begins_with_what_every_match_of_it_begins_with() {
        for (pattern, stem) in [
            ("/api/v[12]/.*", "/api/v"),
            ("^/api/", "/api/"),
            ("/ab*", "/a"),
            ("/ab?c", "/a"),
            ("/ab{0,2}", "/a"),
            ("/ab+", "/ab"),
            (r"/v1\.2/\d+", "/v1.2/"),
            (r"/v1\.*", "/v1"),
            (r"/a\?b", "/a"),
            ("/a|/b", ""),
            ("/(a|b)", ""),
            ("(?i)/a", ""),
            (".*", ""),
            ("", ""),
            ("*", ""),
            ("/é", "/"),
            (r"/a\", "/a"),
        ] {
            assert_eq!(regex_stem(pattern), stem, "{pattern}");
        }
    }

    #[test]
    fn a_literal_is_cut_where_the_tree_and_the_condition_part() {
        for (path, case_sensitive, text, reach) in [
            (PathCondition::Prefix("/a/"), true, "/a/", Reach::Everywhere),
            (PathCondition::Exact("/a"), true, "/a", Reach::Nowhere),
            (PathCondition::SeparatedPrefix("/a"), true, "/a", Reach::Segments),
            (PathCondition::Exact("/a?b"), true, "/a", Reach::Everywhere),
            (PathCondition::Exact("/é"), true, "/", Reach::Everywhere),
            (PathCondition::Exact("/1a"), false, "/1", Reach::Everywhere),
            (PathCondition::Exact("/12"), false, "/12", Reach::Nowhere),
            (PathCondition::Other, true, "", Reach::Everywhere),
        ] {
            let stem = Stem::of(path, case_sensitive);
            assert_eq!((&*stem.text, stem.reach), (text, reach), "{path:?}");
        }
    }
}
