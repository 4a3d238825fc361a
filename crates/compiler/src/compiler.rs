//! The one entry: changes in, changed resources out.

use std::sync::Arc;

use nuncio_api::{Change, Diagnostic, ObjectKey};

use crate::{Resource, ResourceName, Settings};

/// What a list of diagnostics is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// One object.
    Object(ObjectKey),
    /// A file or another input that could not be read as objects.
    Input(Arc<str>),
}

/// What one [`Compiler::apply`] changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delta {
    /// New and changed resources, sorted by name.
    pub changed: Vec<Arc<Resource>>,
    /// Resources that exist no more, sorted.
    pub removed: Vec<ResourceName>,
    /// Subjects whose diagnostics changed, with all their present ones; an
    /// empty list clears. Sorted by subject.
    pub report: Vec<(Subject, Vec<Diagnostic>)>,
}

/// Compiles objects to resources, incrementally.
#[derive(Debug)]
pub struct Compiler {
    settings: Settings,
}

impl Compiler {
    /// Makes a compiler without objects.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Applies changes in order and returns what they changed of the result.
    ///
    /// Never fails: findings stand in [`Delta::report`].
    pub fn apply(&mut self, changes: Vec<Change>) -> Delta {
        let _ = (&self.settings, changes);
        Delta::default()
    }

    /// Returns every object that the named resource was made of, sorted.
    pub fn sources(&self, name: &ResourceName) -> Vec<ObjectKey> {
        let _ = name;
        Vec::new()
    }
}
