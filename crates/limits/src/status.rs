//! What is said of one descriptor.

use std::time::Duration;

use crate::unit::Unit;

/// The answer to one descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    /// Over the limit and not in shadow mode.
    pub over: bool,
    /// The limit in force; `None` when no rule counted.
    pub limit: Option<CurrentLimit<'a>>,
    /// Hits left; the largest number for unlimited rules.
    pub remaining: u32,
    /// Whole seconds until the window ends or, for sliding ones, next forgets.
    pub reset: Duration,
}

/// A limit in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrentLimit<'a> {
    /// Hits per unit.
    pub requests_per_unit: u32,
    /// `None` when the window's length has no name.
    pub unit: Option<Unit>,
    /// May be empty.
    pub name: &'a str,
}
