//! One rule: what a request that matches it is held to.

use std::time::Duration;

use crate::{Answer, Unit};

/// A rule of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Place in [`crate::Table::rules`].
    pub index: usize,
    /// Domain.
    pub domain: String,
    /// Key path as configured, without the domain: `key_value.key`. The name
    /// of the limit for prefix patterns.
    pub path: String,
    /// What is allowed.
    pub limit: Limit,
    /// Name in answers; may be empty.
    pub name: String,
    /// Names of rules that do not apply when this one matches.
    pub replaces: Vec<String>,
    /// Evaluate and count, never deny.
    pub shadow: bool,
    /// Deny only when every quota of the request is used up.
    pub quota: bool,
    /// Levels from the root.
    pub levels: Vec<Level>,
    /// Returned in dynamic metadata.
    pub metadata: Option<serde_json::Value>,
    /// What a limit of a RateLimit object says in answers; `None` for rules
    /// of the tree.
    pub answer: Option<Box<Answer>>,
    /// Hash of everything that makes this rule's counters its own: domain,
    /// path, window and algorithm. The limit's value is left out, so that
    /// raising it keeps the counts.
    pub(crate) id: u64,
}

/// What a rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Everything, uncounted.
    Unlimited,
    /// So many hits per window.
    Windowed(Windowed),
}

/// So many hits per window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windowed {
    /// Hits allowed in the window.
    pub hits: u64,
    /// Length and kind of the window.
    pub window: Window,
    /// Hits per unit as configured, for answers; differs from `hits` when
    /// bursts are allowed.
    pub requests_per_unit: u32,
    /// Unit as configured; `None` when its length has no name.
    pub unit: Option<Unit>,
}

/// Length and kind of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// Aligned to the epoch; up to twice the limit passes around a boundary.
    Fixed {
        /// Length in seconds, at least 1.
        seconds: u64,
    },
    /// Any span of this length, in steps of a [`STEPS`]th: never more than
    /// the limit passes in any such span.
    Sliding {
        /// Length in seconds, at least 1.
        seconds: u64,
    },
}

/// Parts of a sliding window. Hits are forgotten one part late, so steady
/// traffic gets at least `STEPS / (STEPS + 1)` of the limit.
pub const STEPS: u64 = 20;

impl Window {
    /// Returns the length in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Fixed { seconds } | Self::Sliding { seconds } => seconds,
        }
    }

    /// Returns the window, or for sliding ones the part, that `now` is in.
    pub fn at(self, now: Now) -> Span {
        let length = match self {
            Self::Fixed { seconds } => seconds * 1_000,
            // At least one second long, so a part has at least 50 ms.
            Self::Sliding { seconds } => seconds * 1_000 / STEPS,
        };
        let index = now.millis() / length;
        Span { index, start: index * length, end: (index + 1) * length }
    }
}

/// A stretch of time that hits are counted in, in Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Number since the epoch of spans of this length.
    pub index: u64,
    /// First millisecond.
    pub start: u64,
    /// First millisecond after it.
    pub end: u64,
}

/// The time of a check, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now(u64);

impl Now {
    /// Makes a time of milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Makes a time of a duration since the epoch.
    pub fn since_epoch(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2))
    }

    /// Returns milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Returns whole seconds since the epoch.
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000
    }
}

/// One level of a rule's path, for metrics and counter keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Key and configured value, `key_value`; the key alone for any value.
    pub label: String,
    /// The pattern stands for the request's value in keys and metrics.
    pub shared: Option<String>,
    /// The request's value appears in metrics.
    pub runtime: bool,
}

impl Rule {
    /// Returns the labels of this rule's metrics for a request's entries, one
    /// a level; `None` when they are those of [`Rule::levels`] for every
    /// request.
    pub fn detailed_labels(&self, entries: &[(&str, &str)]) -> Option<Vec<String>> {
        if !self.levels.iter().any(|level| level.runtime) {
            return None;
        }
        let labels = self.levels.iter().zip(entries).map(|(level, (key, value))| {
            if !level.runtime || value.is_empty() {
                return level.label.clone();
            }
            let value = level.shared.as_deref().unwrap_or(value);
            format!("{key}_{value}")
        });
        Some(labels.collect())
    }
}

/// One line of a dump of the rules, as envoyproxy/ratelimit prints it.
///
/// Shape: `<domain>.<path>: unit=… requests_per_unit=…, shadow_mode: …,
/// quota_mode: …`.
impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}: ", self.domain, self.path)?;
        match &self.limit {
            Limit::Unlimited => f.write_str("unlimited")?,
            Limit::Windowed(limit) => {
                match limit.unit {
                    Some(unit) => write!(f, "unit={unit}")?,
                    None => write!(f, "unit={}s", limit.window.seconds())?,
                }
                write!(f, " requests_per_unit={}", limit.requests_per_unit)?;
                if let Window::Sliding { seconds } = limit.window {
                    write!(f, ", sliding over {seconds}s: {}", limit.hits)?;
                }
            }
        }
        write!(f, ", shadow_mode: {}, quota_mode: {}", self.shadow, self.quota)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_windows_are_aligned_to_the_epoch() {
        let span = Window::Fixed { seconds: 60 }.at(Now::from_millis(119_999));
        assert_eq!(span, Span { index: 1, start: 60_000, end: 120_000 });
        let week = Window::Fixed { seconds: Unit::Week.seconds() };
        assert_eq!(week.at(Now::from_millis(0)).end, 7 * 86_400_000);
    }
}
