//! Text of a file into objects: YAML of many documents, or JSON.
//!
//! Documents are told apart before they are parsed, so that one with a mistake
//! in its syntax spares the others. `List` objects and objects inside the
//! annotation `getambassador.io/config` are taken apart here.

use std::sync::Arc;

use serde_json::Value;

use crate::{Change, Decoded, Diagnostic, Object, ObjectKey, Origin, Reading, Severity, decode};

mod annotation;
mod document;
mod json;
mod lines;
mod scalar;
mod split;
mod yaml;

pub use crate::codes::{BAD_ANNOTATION, DUPLICATE_KEY, SYNTAX, TOO_LARGE};
pub use crate::object::CONFIG_ANNOTATION;
pub use annotation::expand;
use document::{Document, Limits, Unreadable};

/// How a file's text is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2 with the scalars that Kubernetes knows.
    Yaml,
    /// JSON values, one after another.
    Json,
}

/// What one file holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifest {
    /// Objects in the order of the text; kinds of others are left out.
    pub items: Vec<Item>,
    /// What is wrong with the file itself, not with one of its objects.
    pub findings: Vec<Diagnostic>,
    /// Some of the text could not be parsed, so that objects may be missing
    /// from `items`.
    pub partial: bool,
    /// Objects whose annotation could not be parsed whole, so that objects it
    /// carries may be missing from `items`.
    pub half_read: Vec<ObjectKey>,
}

/// One object of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// It can be used.
    Good {
        /// The object.
        object: Arc<Object>,
        /// What is strange about it.
        findings: Vec<Diagnostic>,
    },
    /// It cannot be used.
    Bad {
        /// The object.
        key: Box<ObjectKey>,
        /// Where it stands.
        origin: Box<Origin>,
        /// Why; at least one error.
        findings: Vec<Diagnostic>,
    },
}

impl Item {
    /// Returns the identity of the object.
    pub fn key(&self) -> ObjectKey {
        match self {
            Self::Good { object, .. } => object.key(),
            Self::Bad { key, .. } => (**key).clone(),
        }
    }

    /// Returns where the object stands.
    pub fn origin(&self) -> &Origin {
        match self {
            Self::Good { object, .. } => &object.origin,
            Self::Bad { origin, .. } => origin,
        }
    }

    /// Turns the object into the change that makes it known.
    pub fn into_change(self) -> Change {
        match self {
            Self::Good { object, findings } => Change::Apply { object, findings },
            Self::Bad { key, origin, findings } => {
                Change::Broken { key: *key, origin: *origin, findings }
            }
        }
    }
}

impl Manifest {
    /// Reads the text of one file.
    ///
    /// `name` is what diagnostics call the file. Total: whatever the bytes
    /// are, mistakes end up among the findings. Memory is bounded by a count
    /// of values after aliases are expanded, and by depth.
    pub fn read(name: &Arc<str>, bytes: &[u8], format: Format, reading: &Reading) -> Self {
        let mut reader = Reader { name, reading, out: Self::default() };
        let mut limits = Limits::default();
        match format {
            Format::Json => json::read(bytes, &mut limits, |outcome| reader.outcome(outcome)),
            Format::Yaml => yaml::read(bytes, &mut limits, |outcome| reader.outcome(outcome)),
        }
        reader.out
    }

    /// Turns the file into changes: of its objects, and of the file itself
    /// under `name`.
    pub fn into_changes(self, name: Arc<str>) -> Vec<Change> {
        let mut changes: Vec<Change> = self.items.into_iter().map(Item::into_change).collect();
        changes.push(Change::Input { name, findings: self.findings });
        changes
    }
}

struct Reader<'a> {
    name: &'a Arc<str>,
    reading: &'a Reading,
    out: Manifest,
}

impl Reader<'_> {
    fn outcome(&mut self, outcome: Result<Document<'_>, Unreadable>) {
        match outcome {
            Ok(document) => self.document(document),
            Err(unreadable) => {
                self.out.partial = true;
                let finding = self.unreadable(&unreadable);
                self.out.findings.push(finding);
            }
        }
    }

    fn document(&mut self, mut document: Document<'_>) {
        for duplicate in std::mem::take(&mut document.duplicates) {
            self.out.findings.push(Diagnostic {
                severity: Severity::Warning,
                code: DUPLICATE_KEY,
                object: None,
                origin: self.origin(duplicate.line),
                field: String::new(),
                message: format!(
                    "the key {:?} stands twice in one map; the last one counts",
                    duplicate.key
                ),
                remedy: "remove one of the two".to_owned(),
            });
        }
        let value = std::mem::take(&mut document.value);
        match value {
            Value::Null => {}
            Value::Object(mut root) if is_list(&root) => {
                let Some(Value::Array(items)) = root.remove("items") else { return };
                for (index, item) in items.into_iter().enumerate() {
                    self.object(item, &document, &format!("items[{index}]"));
                }
            }
            value => self.object(value, &document, ""),
        }
    }

    /// `path` leads from the document to the object.
    fn object(&mut self, value: Value, document: &Document<'_>, path: &str) {
        let line = if path.is_empty() { document.line } else { document.line_of(path) };
        let origin = self.origin(line);
        let inner = annotation::text(&value).map(str::to_owned);
        let Some(item) = self
            .decode(value, origin, |finding| document.line_of(&lines::join(path, &finding.field)))
        else {
            return;
        };
        let at = self.out.items.len();
        self.out.items.push(item);
        if let Some(text) = inner {
            let field = format!("metadata.annotations[{CONFIG_ANNOTATION:?}]");
            let line = document.line_of(&lines::join(path, &field));
            self.annotation(at, &text, line);
        }
    }

    /// Reads the annotation of the object at `at`, which begins at `line`.
    fn annotation(&mut self, at: usize, text: &str, line: u32) {
        let Some(Item::Good { object, .. }) = self.out.items.get(at) else { return };
        let carrier = Arc::clone(object);
        let key = carrier.key();
        let (inner, unreadable) = annotation::documents(&carrier.meta, key.kind, text);
        if !unreadable.is_empty() {
            self.out.half_read.push(key.clone());
        }
        let mut complaints: Vec<Diagnostic> = unreadable
            .iter()
            .map(|complaint| annotation::finding(&key, &self.origin(line), complaint))
            .collect();
        for document in inner {
            let mut origin = self.origin(line.saturating_add(document.line));
            origin.carrier = Some(document.carrier);
            let (line, before) = (origin.line, self.out.findings.len());
            let item = self.decode(document.value, origin, |_| line);
            self.out.items.extend(item);
            // What has no identity of its own is told of the carrier.
            for mut finding in self.out.findings.drain(before..) {
                finding.object = Some(key.clone());
                complaints.push(finding);
            }
        }
        if let Some(Item::Good { findings, .. }) = self.out.items.get_mut(at) {
            findings.append(&mut complaints);
        }
    }

    fn decode(
        &mut self,
        value: Value,
        origin: Origin,
        line_of: impl Fn(&Diagnostic) -> u32,
    ) -> Option<Item> {
        let placed = |mut findings: Vec<Diagnostic>| {
            for finding in &mut findings {
                if !finding.field.is_empty() {
                    finding.origin.line = line_of(finding);
                }
            }
            findings.sort_by_key(|finding| finding.origin.line);
            findings
        };
        match decode(value, origin.clone(), self.reading) {
            Decoded::Object { object, findings } => {
                Some(Item::Good { object: Arc::new(object), findings: placed(findings) })
            }
            Decoded::Broken { key: Some(key), findings } => Some(Item::Bad {
                key: Box::new(key),
                origin: Box::new(origin),
                findings: placed(findings),
            }),
            Decoded::Broken { key: None, findings } => {
                self.out.findings.extend(placed(findings));
                None
            }
            Decoded::Foreign => None,
        }
    }

    fn unreadable(&self, unreadable: &Unreadable) -> Diagnostic {
        let (code, remedy) = match unreadable.too_large {
            true => (TOO_LARGE, "split it into smaller files or write fewer aliases"),
            false => (SYNTAX, "correct the text; until then its last good objects stay in effect"),
        };
        Diagnostic {
            severity: Severity::Error,
            code,
            object: None,
            origin: self.origin(unreadable.line),
            field: String::new(),
            message: if unreadable.column > 0 {
                format!("column {}: {}", unreadable.column, unreadable.message)
            } else {
                unreadable.message.clone()
            },
            remedy: remedy.to_owned(),
        }
    }

    fn origin(&self, line: u32) -> Origin {
        Origin { file: Some(Arc::clone(self.name)), line, carrier: None }
    }
}

/// Tells whether the object only wraps others, as `kubectl get -o yaml` prints
/// them.
/// Reads the YAML or JSON that stands in a text field.
pub(crate) fn value(text: &str) -> Result<Value, String> {
    let mut found = Vec::new();
    yaml::values(text, |outcome| found.push(outcome));
    match found.pop() {
        Some(Ok((value, _))) if found.is_empty() => Ok(value),
        Some(Err(unreadable)) => Err(unreadable.message),
        _ => Err("should hold one document".to_owned()),
    }
}

fn is_list(root: &serde_json::Map<String, Value>) -> bool {
    let kind = root.get("kind").and_then(Value::as_str).unwrap_or_default();
    kind.ends_with("List") && root.get("items").is_some_and(Value::is_array)
}

#[cfg(test)]
mod tests;
