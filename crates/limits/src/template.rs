//! The subset of Go's `text/template` that RateLimit objects may use.
//!
//! Supported: text; `{{ }}` with trim markers and comments; `if`, `else if`,
//! `else`, `end`; field chains such as `.RateLimitResponse.OverallCode`;
//! strings, whole numbers, `true`, `false`; parentheses and `|`; the functions
//! `and or not eq ne lt le gt ge len index hasKey json doNotSet print`; on a
//! duration `.Seconds .Milliseconds .String`. Everything else (`range`,
//! `with`, variables, `define`, `printf`) is refused when the template is
//! parsed, so that a limit never fails while it answers.

use std::collections::BTreeMap;
use std::time::Duration;

mod eval;
mod lex;
mod parse;

/// A parsed template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

/// Why a template is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (character {at})")]
pub struct TemplateError {
    /// Lower-case, no full stop.
    pub message: String,
    /// Byte offset in the template, from 0.
    pub at: usize,
}

/// A value in a template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Go's `nil`.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number; only `.Seconds` makes one.
    Float(f64),
    /// Text.
    Text(String),
    /// A length of time; prints as Go prints it: `1m30s`.
    Duration(Duration),
    /// A list.
    List(Vec<Value>),
    /// Fields by name.
    Map(BTreeMap<&'static str, Value>),
}

/// What a template made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rendered {
    /// Text.
    Text(String),
    /// The template called `doNotSet`: the header is left out.
    DoNotSet,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Print(Expr),
    /// Conditions in order with what they lead to, then the `else`.
    If(Vec<(Expr, Vec<Part>)>, Vec<Part>),
}

#[derive(Debug, Clone, PartialEq)]
enum Expr {
    Literal(Value),
    /// Fields from the root; none is `.` itself.
    Field(Vec<String>),
    /// Fields of a parenthesised expression.
    Chain(Box<Expr>, Vec<String>),
    Call(Function, Vec<Expr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    And,
    Or,
    Not,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Len,
    Index,
    HasKey,
    Json,
    DoNotSet,
    Print,
}

impl Template {
    /// Parses a template. `json` says whether the function `json` exists here:
    /// only bodies have it.
    ///
    /// # Errors
    /// When the text is no template of the supported subset.
    pub(crate) fn parse(text: &str, json: bool) -> Result<Self, TemplateError> {
        let parts = parse::parse(text, json)?;
        Ok(Self { parts })
    }

    /// Renders the template with `root` as `.`.
    ///
    /// # Errors
    /// When a value has another type than the template needs, for example
    /// `lt` of text and number.
    pub(crate) fn render(&self, root: &Value) -> Result<Rendered, TemplateError> {
        eval::render(&self.parts, root)
    }
}

#[cfg(test)]
mod tests;
