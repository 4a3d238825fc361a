//! Variables of the gateway's environment inside objects: `$NAME`, `${NAME}`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::Severity;
use crate::codes::TOO_LARGE;
use crate::fault::Fault;
use crate::path::child;

/// Code: an object names a variable that the gateway keeps to itself.
pub const WITHHELD_VARIABLE: &str = "withheld-variable";

/// Variables that objects may name.
///
/// Whoever may write an object can read every variable in here: what the
/// gateway's own services treat as secret never gets in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    values: BTreeMap<String, String>,
    /// Names that exist and are not told.
    withheld: BTreeSet<String>,
}

/// Which variables objects may name.
///
/// Shape: `all`, `none`, or names with commas between them. What is withheld
/// from everyone stays withheld.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Variables {
    /// Every variable that is not withheld from everyone.
    #[default]
    All,
    /// These alone; the empty set is `none`.
    Only(BTreeSet<String>),
}

// === impl Variables ===

impl std::str::FromStr for Variables {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.trim() {
            "all" => Self::All,
            "none" => Self::Only(BTreeSet::new()),
            list => {
                let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
                Self::Only(names.map(str::to_owned).collect())
            }
        })
    }
}

// === impl Environment ===

impl Environment {
    /// Takes over the variables that objects may name.
    ///
    /// Withheld from everyone is each name that begins with `NUNCIO_`, `REDIS_`,
    /// `CONSUL_HTTP_` or `OTEL_`: settings of the gateway itself, passwords and
    /// tokens among them.
    pub fn new(all: impl IntoIterator<Item = (String, String)>, told: &Variables) -> Self {
        let mut environment = Self::default();
        for (name, value) in all {
            let allowed = match told {
                Variables::All => true,
                Variables::Only(names) => names.contains(&name),
            };
            if allowed && !WITHHELD.iter().any(|prefix| name.starts_with(prefix)) {
                environment.values.insert(name, value);
            } else {
                environment.withheld.insert(name);
            }
        }
        environment
    }

    /// Replaces variables in every text of an object, names of fields
    /// included; one that does not exist stays as it is written.
    ///
    /// `path` leads from the object's root to `value`.
    ///
    /// Source: Emissary, which does it to the text of its whole snapshot.
    pub(crate) fn expand(&self, path: &str, value: &mut Value, faults: &mut Vec<Fault>) {
        if self.values.is_empty() && self.withheld.is_empty() {
            return;
        }
        let mut work = Work { environment: self, unknown: Unknown::Stay, growth: 0, faults };
        work.value(path, value);
    }

    /// Replaces variables in one text; one that does not exist becomes empty.
    ///
    /// Source: Emissary, for `address` of a ConsulResolver alone.
    pub(crate) fn expand_all(&self, path: &str, text: &mut String, faults: &mut Vec<Fault>) {
        let mut work = Work { environment: self, unknown: Unknown::Vanish, growth: 0, faults };
        if let Some(expanded) = work.text(path, text) {
            *text = expanded;
        }
    }
}

/// What becomes of a variable that does not exist.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Stay,
    Vanish,
}

struct Work<'a> {
    environment: &'a Environment,
    unknown: Unknown,
    /// Bytes that values have brought so far.
    growth: usize,
    faults: &'a mut Vec<Fault>,
}

// === impl Work ===

impl Work<'_> {
    fn value(&mut self, path: &str, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(expanded) = self.text(path, text) {
                    *text = expanded;
                }
            }
            Value::Array(list) => {
                for (index, item) in list.iter_mut().enumerate() {
                    if is_concerned(item) {
                        self.value(&format!("{path}[{index}]"), item);
                    }
                }
            }
            Value::Object(map) => {
                for (key, item) in map.iter_mut() {
                    if is_concerned(item) {
                        self.value(&child(path, key), item);
                    }
                }
                if map.keys().any(|key| key.contains('$')) {
                    *map = std::mem::take(map)
                        .into_iter()
                        .map(|(key, item)| (self.text(path, &key).unwrap_or(key), item))
                        .collect::<Map<_, _>>();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Returns the text with variables replaced; `None` when none was.
    fn text(&mut self, path: &str, text: &str) -> Option<String> {
        let mut out = String::new();
        let (mut rest, mut changed) = (text, false);
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let Some((name, length)) = variable(from) else {
                out.push('$');
                rest = &from[1..];
                continue;
            };
            let (whole, after) = from.split_at(length);
            rest = after;
            match self.environment.values.get(name) {
                Some(value) if self.grow(path, value.len()) => {
                    out.push_str(value);
                    changed = true;
                }
                Some(_) => out.push_str(whole),
                None => {
                    if self.environment.withheld.contains(name) {
                        self.withheld(path, name);
                    }
                    match self.unknown {
                        Unknown::Stay => out.push_str(whole),
                        Unknown::Vanish => changed = true,
                    }
                }
            }
        }
        out.push_str(rest);
        changed.then_some(out)
    }

    /// Counts what a value brings; `false` when it would be too much: a small
    /// object could name a long variable a million times.
    fn grow(&mut self, path: &str, bytes: usize) -> bool {
        let before = self.growth;
        self.growth = before.saturating_add(bytes);
        if before <= GROWTH_MAX && self.growth > GROWTH_MAX {
            self.faults.push(Fault {
                severity: Severity::Error,
                code: TOO_LARGE,
                field: path.to_owned(),
                message: "the values of the variables that the object names are too long".into(),
                remedy: "name fewer variables".to_owned(),
            });
        }
        self.growth <= GROWTH_MAX
    }

    fn withheld(&mut self, path: &str, name: &str) {
        let fault = Fault {
            severity: Severity::Warning,
            code: WITHHELD_VARIABLE,
            field: path.to_owned(),
            message: format!("the gateway keeps the variable {name} to itself"),
            remedy: "write the value, or use a variable of another name".to_owned(),
        };
        if self.faults.len() < FAULTS_MAX && !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }
}

/// Whether there may be something to replace within: spares the path of most
/// fields.
fn is_concerned(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('$'),
        Value::Array(list) => list.iter().any(is_concerned),
        Value::Object(map) => map.iter().any(|(key, item)| key.contains('$') || is_concerned(item)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns name and whole length of the variable that a text begins with.
fn variable(text: &str) -> Option<(&str, usize)> {
    let rest = &text[1..];
    if let Some(inner) = rest.strip_prefix('{') {
        let end = inner.find('}')?;
        return Some((&inner[..end], end + 3));
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    (end > 0).then(|| (&rest[..end], end + 1))
}

/// How names begin that are never told.
const WITHHELD: [&str; 4] = ["NUNCIO_", "REDIS_", "CONSUL_HTTP_", "OTEL_"];

/// Bytes that values may bring into one object.
const GROWTH_MAX: usize = 1 << 20;

/// Findings about one object at most.
const FAULTS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(told: &str) -> Environment {
        let all = [("HOST", "a.test"), ("A_1", "$HOST"), ("EMPTY", ""), ("REDIS_AUTH", "hush")];
        let all = all.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Environment::new(all, &told.parse().unwrap())
    }

    fn expanded(told: &str, mut value: Value) -> (Value, Vec<Fault>) {
        let mut faults = Vec::new();
        environment(told).expand("spec", &mut value, &mut faults);
        (value, faults)
    }

    #[test]
    fn known_variables_are_replaced_and_others_stay() {
        for (before, after) in [
            ("$HOST", "a.test"),
            ("${HOST}", "a.test"),
            ("x-${HOST}$HOST.y", "x-a.testa.test.y"),
            ("$HOSTx ${HOST", "$HOSTx ${HOST"),
            ("^/a$ $ $$ $1 ${} cost: 5$", "^/a$ $ $$ $1 ${} cost: 5$"),
            ("$$HOST", "$a.test"),
            ("[$EMPTY]", "[]"),
            ("$ABSENT ${ABSENT}", "$ABSENT ${ABSENT}"),
            // A value is never looked at again.
            ("$A_1", "$HOST"),
            ("ü$HOSTü", "üa.testü"),
        ] {
            assert_eq!(expanded("all", json!(before)), (json!(after), vec![]), "{before}");
        }
    }

    #[test]
    fn names_of_fields_are_texts_too() {
        let before = json!({"headers": {"x-$HOST": ["$HOST", 1, null, {"$EMPTY": true}]}});
        let after = json!({"headers": {"x-a.test": ["a.test", 1, null, {"": true}]}});
        assert_eq!(expanded("all", before).0, after);
    }

    #[test]
    fn what_the_gateway_keeps_to_itself_is_not_told_but_said() {
        let before = json!({"a": {"b-c": ["", "$REDIS_AUTH"]}});
        let (after, faults) = expanded("all", before.clone());
        assert_eq!(after, before);
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].field, r#"spec.a["b-c"][1]"#);
        assert!(faults[0].message.contains("REDIS_AUTH") && !faults[0].message.contains("hush"));
        let named = expanded("REDIS_AUTH", before);
        assert_eq!((named.0, named.1.len()), (after, 1));
    }

    #[test]
    fn an_operator_may_narrow_what_is_told() {
        assert_eq!(expanded("none", json!("$HOST")).0, json!("$HOST"));
        assert_eq!(expanded("EMPTY, HOST", json!("$HOST $A_1")).0, json!("a.test $A_1"));
    }

    #[test]
    fn a_variable_named_a_million_times_does_not_fill_the_memory() {
        let long = Environment::new([("L".to_owned(), "x".repeat(1000))], &Variables::All);
        let mut value = json!("$L".repeat(1_000_000));
        let mut faults = Vec::new();
        long.expand("spec", &mut value, &mut faults);
        assert!(value.as_str().unwrap().len() < 2 * GROWTH_MAX + 2_000_000);
        assert_eq!((faults.len(), faults[0].code), (1, TOO_LARGE));
    }

    #[test]
    fn an_address_of_consul_loses_unknown_variables() {
        let mut text = "$ABSENT${HOST}:8500$REDIS_AUTH".to_owned();
        let mut faults = Vec::new();
        environment("all").expand_all("spec.address", &mut text, &mut faults);
        assert_eq!((text.as_str(), faults.len()), ("a.test:8500", 1));
    }
}
