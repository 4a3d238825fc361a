//! Adversarial tables of routes, and what Envoy makes of them.

use proptest::prelude::*;
use regex::Regex;

use super::{PathCondition, RouteEntry};

/// A condition that owns its text.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// In the order of the variants of [`PathCondition`].
    pub(crate) kind: u8,
    pub(crate) text: String,
    pub(crate) case_sensitive: bool,
}

impl Condition {
    pub(crate) fn path(&self) -> PathCondition<'_> {
        match self.kind {
            0 => PathCondition::Prefix(&self.text),
            1 => PathCondition::Exact(&self.text),
            2 => PathCondition::SeparatedPrefix(&self.text),
            3 => PathCondition::Regex(&self.text),
            _ => PathCondition::Other,
        }
    }

    pub(crate) fn entry(&self) -> RouteEntry<'_> {
        RouteEntry { path: self.path(), case_sensitive: self.case_sensitive, encoded: &[] }
    }

    /// Returns whether Envoy finds that a `:path` satisfies the condition.
    pub(crate) fn model(&self) -> Box<dyn Fn(&str) -> bool + '_> {
        let (text, exact_case) = (self.text.as_bytes(), self.case_sensitive);
        let same =
            move |a: &[u8]| if exact_case { a == text } else { a.eq_ignore_ascii_case(text) };
        let begins = move |path: &str| path.as_bytes().get(..text.len()).is_some_and(same);
        match self.kind {
            0 => Box::new(move |path| begins(without_query(path))),
            1 => Box::new(move |path| same(without_query(path).as_bytes())),
            2 => Box::new(move |path| {
                let path = without_query(path);
                begins(path) && matches!(path.as_bytes().get(text.len()), None | Some(b'/'))
            }),
            3 => {
                let regex = Regex::new(&format!("^(?:{})$", self.text)).unwrap();
                Box::new(move |path| regex.is_match(without_query(path)))
            }
            _ => Box::new(|_| true),
        }
    }
}

fn without_query(path: &str) -> &str {
    path.find(['?', '#']).map_or(path, |end| &path[..end])
}

fn text() -> impl Strategy<Value = String> {
    let group = prop::sample::select(vec!["/svc-0", "/svc-1", "/svc-2", "/svc-22", "/u"]);
    let piece = prop::sample::select(vec![
        "/", "/", "/a", "/b", "/ab", "a", "b", "aa", "A", "1", "%2F", "%", "?", "#", ".", "-", "é",
    ]);
    let rooted = prop::bool::weighted(0.95);
    (prop::option::weighted(0.9, group), rooted, prop::collection::vec(piece, 0..5)).prop_map(
        |(group, rooted, pieces)| {
            let text = group.unwrap_or_default().to_owned() + &pieces.concat();
            if rooted && !text.starts_with('/') { format!("/{text}") } else { text }
        },
    )
}

fn pattern() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "", ".*", "b?", "[ab]+", "(a|b)", r"\.", "/b*", "a{0,2}", r"\d", "a+", "[?]?",
    ]);
    (any::<bool>(), text(), part.clone(), part).prop_map(|(anchor, text, a, b)| {
        let literal = without_query(&text);
        format!("{}{literal}{a}{b}", if anchor { "^" } else { "" })
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let literal = (0..3u8, text(), prop::bool::weighted(0.96))
        .prop_map(|(kind, text, case_sensitive)| Condition { kind, text, case_sensitive });
    let regex = pattern().prop_map(|text| Condition { kind: 3, text, case_sensitive: true });
    let other = Just(Condition { kind: 4, text: String::new(), case_sensitive: true });
    prop_oneof![190 => literal, 8 => regex, 1 => other]
}

/// Returns tables, each with paths that come close to their conditions.
pub(crate) fn table(
    size: impl Into<prop::collection::SizeRange>,
) -> impl Strategy<Value = (Vec<Condition>, Vec<String>)> {
    prop::collection::vec(condition(), size).prop_flat_map(|table| {
        let texts: Vec<String> = table.iter().map(|condition| condition.text.clone()).collect();
        let near = (prop::sample::select(texts), text(), any::<bool>())
            .prop_map(|(begin, end, whole)| if whole { begin } else { begin + &end });
        (Just(table), prop::collection::vec(prop_oneof![3 => near, 1 => text()], 80))
    })
}
