//! An error with its causes on one line.

use std::error::Error;
use std::fmt::Write as _;

/// Returns the error's text followed by the texts of its sources.
///
/// Shape: `first: second: third`. Error texts in this workspace never repeat
/// their source, so that each cause stands here once.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _infallible = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn every_cause_stands_once() {
        assert_eq!(chain(&Outer(std::fmt::Error)), format!("outer: {}", std::fmt::Error));
    }
}
