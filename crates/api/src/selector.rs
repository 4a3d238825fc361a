//! Kubernetes selectors: which objects of every kind count at all.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::Meta;

/// A selector over labels, as `kubectl --selector` takes it.
///
/// Shape: requirements with commas between them, all of which must hold: `a`,
/// `!a`, `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a>1`, `a<1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelQuery(Vec<Requirement>);

/// A selector over fields, as `kubectl --field-selector` takes it.
///
/// Shape: `metadata.name=a,metadata.namespace!=b`. These two are the fields
/// that every kind can be selected by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldQuery(Vec<FieldRequirement>);

/// Why a selector cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// A label requirement that is none.
    #[error("`{0}` is no requirement on labels, such as `a=b`, `a in (b,c)` or `!a`")]
    Label(String),
    /// A field requirement that is none.
    #[error("`{0}` is no requirement on a field, such as `metadata.namespace!=kube-system`")]
    Field(String),
    /// A field that not every kind has.
    #[error("`{0}` is not a field that every kind has: use metadata.name or metadata.namespace")]
    UnknownField(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    field: Field,
    value: String,
    equal: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Namespace,
}

// === impl LabelQuery ===

impl LabelQuery {
    /// Tells whether labels fulfil every requirement.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match &requirement.test {
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
                Test::In(values) => value.is_some_and(|value| values.contains(value)),
                Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Test::Above(bound) => number().is_some_and(|number| number > *bound),
                Test::Below(bound) => number().is_some_and(|number| number < *bound),
            }
        })
    }
}

impl FromStr for LabelQuery {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let parts = split(text).into_iter().map(str::trim);
        let requirements = parts.filter(|part| !part.is_empty() || text.contains(','));
        requirements
            .map(|part| requirement(part).ok_or_else(|| SelectorError::Label(part.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Splits at commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut open) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' => open = true,
            ')' => open = false,
            ',' if !open => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(part: &str) -> Option<Requirement> {
    if let Some(key) = part.strip_prefix('!') {
        return Some(Requirement { key: label_key(key)?, test: Test::Absent });
    }
    let of = |key: &str, test: Test| Some(Requirement { key: label_key(key)?, test });
    if let Some((key, value)) = part.split_once("!=") {
        return of(key, Test::NotIn(vec![label_value(value)?]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return of(key, Test::In(vec![label_value(value)?]));
    }
    if let Some((key, bound)) = part.split_once('>') {
        return of(key, Test::Above(bound.trim().parse().ok()?));
    }
    if let Some((key, bound)) = part.split_once('<') {
        return of(key, Test::Below(bound.trim().parse().ok()?));
    }
    let Some((head, list)) = part.split_once('(') else {
        return of(part, Test::Exists);
    };
    let values = list.strip_suffix(')')?.split(',').map(label_value).collect::<Option<Vec<_>>>()?;
    let (key, word) = head.trim_end().rsplit_once(char::is_whitespace)?;
    match word {
        "in" => of(key, Test::In(values)),
        "notin" => of(key, Test::NotIn(values)),
        _ => None,
    }
}

fn label_key(text: &str) -> Option<String> {
    let text = text.trim();
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    (!text.is_empty() && text.chars().all(sound)).then(|| text.to_owned())
}

fn label_value(text: &str) -> Option<String> {
    let text = text.trim();
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.chars().all(sound).then(|| text.to_owned())
}

// === impl FieldQuery ===

impl FieldQuery {
    /// Tells whether an object fulfils every requirement.
    pub fn matches(&self, meta: &Meta) -> bool {
        self.0.iter().all(|requirement| {
            let value = match requirement.field {
                Field::Name => &meta.name,
                Field::Namespace => &meta.namespace,
            };
            (*value == requirement.value) == requirement.equal
        })
    }
}

impl FromStr for FieldQuery {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(field_requirement).collect::<Result<_, _>>().map(Self)
    }
}

fn field_requirement(part: &str) -> Result<FieldRequirement, SelectorError> {
    let halves = match part.split_once("!=") {
        Some((field, value)) => Some((field, value, false)),
        None => part
            .split_once("==")
            .or_else(|| part.split_once('='))
            .map(|(field, value)| (field, value, true)),
    };
    let (field, value, equal) = halves.ok_or_else(|| SelectorError::Field(part.to_owned()))?;
    let field = match field.trim() {
        "metadata.name" => Field::Name,
        "metadata.namespace" => Field::Namespace,
        other => return Err(SelectorError::UnknownField(other.to_owned())),
    };
    Ok(FieldRequirement { field, value: value.trim().to_owned(), equal })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn labels_are_selected_as_kubectl_does() {
        for (query, matched, missed) in [
            ("", vec!["", "a=1"], vec![]),
            ("a", vec!["a=1", "a="], vec!["", "b=1"]),
            ("!a", vec!["b=1"], vec!["a=1"]),
            ("a=1", vec!["a=1 b=2"], vec!["a=2", ""]),
            ("a == 1 , b!=2", vec!["a=1", "a=1 b=3"], vec!["a=1 b=2", "b=3"]),
            ("a in (1, 2),b", vec!["a=2 b=1"], vec!["a=3 b=1", "a=1"]),
            ("a notin (1,2)", vec!["a=3", ""], vec!["a=1"]),
            ("a>5,a<9", vec!["a=7"], vec!["a=5", "a=9", "a=x", ""]),
            ("app.kubernetes.io/name=x_1.y", vec!["app.kubernetes.io/name=x_1.y"], vec!["a=1"]),
            ("a=", vec!["a="], vec!["", "a=1"]),
        ] {
            let parsed: LabelQuery = query.parse().unwrap();
            for text in matched {
                assert!(parsed.matches(&labels(text)), "{query} on {text}");
            }
            for text in missed {
                assert!(!parsed.matches(&labels(text)), "{query} on {text}");
            }
        }
        for bad in ["a b", "=1", "a=b=c", "a in 1", "a in (1", "a like (1)", ",", "a,", "a>x", "!"]
        {
            assert!(bad.parse::<LabelQuery>().is_err(), "{bad}");
        }
    }

    #[test]
    fn fields_that_every_kind_has_are_selected() {
        let meta = Meta { name: "n".into(), namespace: "s".into(), ..Meta::default() };
        for (query, matches) in [
            ("", true),
            ("metadata.name=n", true),
            ("metadata.name==n,metadata.namespace!=other", true),
            ("metadata.namespace!=s", false),
            ("metadata.name=m", false),
        ] {
            assert_eq!(query.parse::<FieldQuery>().unwrap().matches(&meta), matches, "{query}");
        }
        assert!(matches!("spec.x=1".parse::<FieldQuery>(), Err(SelectorError::UnknownField(_))));
        assert!(matches!("metadata.name".parse::<FieldQuery>(), Err(SelectorError::Field(_))));
    }
}
