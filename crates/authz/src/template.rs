//! Go `text/template`, the part that header values and error bodies use.
//!
//! Context: existing Filters hold Go templates, and users rely on Go's exact
//! output, down to `<no value>` and floats such as `1.516239022e+09`.
//! Decision: an engine of our own, parsed when the Filter is loaded, so that a
//! mistake is a finding and not a failed request. What Go knows and this does
//! not (`define`, `template`, `block`, `call`, `js`) is refused by name at that
//! time. Rendering is bounded in steps, output and nesting.

mod eval;
mod format;
mod functions;
mod item;
mod lex;
mod parse;

pub use item::{Field, Item};

use parse::Node;

/// Most bytes one template may produce.
pub const MAX_OUTPUT: usize = 8 * 1024;
/// Most nodes and commands one rendering may visit.
pub const MAX_STEPS: usize = 10_000;
/// Most bytes of a template's text.
pub const MAX_SOURCE: usize = 64 * 1024;
/// Deepest nesting of blocks and parentheses.
pub const MAX_DEPTH: usize = 32;

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Template {
    nodes: Vec<Node>,
}

/// What rendering gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendered {
    /// The text.
    Text(String),
    /// The template called `doNotSet`: there is no value.
    DoNotSet,
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text cannot be parsed.
    #[error("template line {line}: {message}")]
    Parse {
        /// Line of the fault, from 1.
        line: usize,
        /// The fault.
        message: String,
    },
    /// Rendering met a value that the template cannot work on.
    #[error("template cannot be rendered: {0}")]
    Render(String),
    /// Rendering exceeded a bound.
    #[error("template exceeds its bound of {bound} {unit}")]
    Bound {
        /// The bound.
        bound: usize,
        /// What is counted.
        unit: &'static str,
    },
}

/// Which functions a template may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Functions {
    /// Header values: Go's own, `hasKey`, `doNotSet`.
    Headers,
    /// Error bodies: those and `json`.
    Bodies,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// When the text is no template of the supported subset; the message names
    /// what is wrong or unsupported.
    pub fn parse(text: &str, functions: Functions) -> Result<Self, TemplateError> {
        if text.len() > MAX_SOURCE {
            return Err(TemplateError::Bound { bound: MAX_SOURCE, unit: "bytes of text" });
        }
        Ok(Self { nodes: parse::parse(text, functions)? })
    }

    /// Renders the template over `data`.
    ///
    /// # Errors
    /// When a value does not fit its use, or a bound is exceeded.
    pub fn render(&self, data: &Item<'_>) -> Result<Rendered, TemplateError> {
        eval::render(&self.nodes, data)
    }
}

#[cfg(test)]
mod tests;
