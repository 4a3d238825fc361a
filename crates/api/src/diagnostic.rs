//! What Nuncio has to tell a person about an object.

use std::fmt;

use serde::Serialize;

use crate::{ObjectKey, Origin};

/// One finding about one object. User mistakes are always this, never an error
/// of the program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// Stable name of the finding, kebab-case, listed in `docs/errors.md`.
    pub code: &'static str,
    /// The object; `None` when a file could not be read as objects at all.
    pub object: Option<ObjectKey>,
    /// Where the object (or the unreadable text) stands.
    pub origin: Origin,
    /// Path of the field from the object's root, such as
    /// `spec.headers["x-a"]`; empty when the object as a whole is meant.
    pub field: String,
    /// What is wrong: lower-case, no full stop.
    pub message: String,
    /// What to do about it: lower-case imperative, no full stop.
    pub remedy: String,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The object, or the named part of it, is not in effect as written.
    Error,
    /// In effect, but probably not what was meant.
    Warning,
    /// Worth knowing.
    Notice,
}

impl Severity {
    /// Returns the lower-case word for this severity.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Shape: `file:line: severity: Kind namespace/name: field: message; remedy`,
/// parts that are unknown left out.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.origin.file {
            write!(f, "{file}:")?;
            if self.origin.line > 0 {
                write!(f, "{}:", self.origin.line)?;
            }
            f.write_str(" ")?;
        }
        write!(f, "{}: ", self.severity)?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}
