//! One parsed document, and the bounds on what may be parsed.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde_json::Value;

use super::lines;

/// One document of a file.
pub(super) struct Document<'a> {
    /// The document.
    pub(super) value: Value,
    /// Line of its first value in the file, from 1.
    pub(super) line: u32,
    /// Keys that stand twice.
    pub(super) duplicates: Vec<Duplicate>,
    /// Where to look for the lines of its fields.
    pub(super) source: Source<'a>,
    /// Filled when a line is first asked for: most documents have no faults.
    pub(super) lines: OnceCell<BTreeMap<String, u32>>,
}

/// The text of a document.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// JSON: only the document's own line is known.
    Unknown,
    /// The `nth` document of a piece of YAML that begins at `line`.
    Yaml { text: &'a str, line: u32, nth: usize },
}

/// A key that stands twice in one map.
pub(super) struct Duplicate {
    pub(super) key: String,
    pub(super) line: u32,
}

/// Text that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Line in the file, from 1; 0 when unknown.
    pub(super) line: u32,
    /// Column, from 1; 0 when unknown.
    pub(super) column: u32,
    /// What is wrong.
    pub(super) message: String,
    /// It is not wrong, only too much.
    pub(super) too_large: bool,
}

/// What may still be read of a file.
pub(super) struct Limits {
    /// Values, counted after aliases are expanded.
    values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { values: VALUES_MAX }
    }
}

impl Limits {
    /// Counts values; `false` when the file has too many.
    pub(super) fn spend(&mut self, values: usize) -> bool {
        match self.values.checked_sub(values) {
            Some(rest) => {
                self.values = rest;
                true
            }
            None => {
                self.values = 0;
                false
            }
        }
    }
}

impl Document<'_> {
    /// Returns the line of the field at `path`, or of the nearest field around
    /// it.
    pub(super) fn line_of(&self, path: &str) -> u32 {
        let Source::Yaml { text, line, nth } = self.source else { return self.line };
        let lines = self.lines.get_or_init(|| lines::table(text, line, nth));
        let mut path = path;
        loop {
            if let Some(line) = lines.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.line,
            }
        }
    }
}

/// The message for a file with too many values.
pub(super) const TOO_MANY: &str = "the file has too many values, aliases expanded";

/// Values of one file: ten times what 10,000 Mappings need, and some hundred
/// megabytes at worst.
const VALUES_MAX: usize = 2_000_000;

/// Nesting of values; what Kubernetes itself allows is far below.
pub(super) const DEPTH_MAX: usize = 100;
