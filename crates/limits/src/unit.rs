//! Units of time that limits are stated in.

use std::fmt;

/// A unit of time. Months have 30 days and years 365, as in
/// envoyproxy/ratelimit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// 1 s.
    Second,
    /// 60 s.
    Minute,
    /// 3,600 s.
    Hour,
    /// 86,400 s.
    Day,
    /// 604,800 s, from Thursday 00:00 UTC.
    Week,
    /// 2,592,000 s.
    Month,
    /// 31,536,000 s.
    Year,
}

impl Unit {
    /// Every unit, shortest first.
    pub const ALL: [Self; 7] =
        [Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// Returns the length in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 604_800,
            Self::Month => 2_592_000,
            Self::Year => 31_536_000,
        }
    }

    /// Returns the unit of this many seconds, if there is one.
    pub fn from_seconds(seconds: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.seconds() == seconds)
    }

    /// Parses a unit's name in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.as_str().eq_ignore_ascii_case(text))
    }

    /// Returns the name in capitals, as in Envoy's messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "SECOND",
            Self::Minute => "MINUTE",
            Self::Hour => "HOUR",
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::Month => "MONTH",
            Self::Year => "YEAR",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_by_name_in_any_case_and_by_length() {
        assert_eq!(Unit::parse("mInUtE"), Some(Unit::Minute));
        assert_eq!(Unit::parse("fortnight"), None);
        for unit in Unit::ALL {
            assert_eq!(Unit::from_seconds(unit.seconds()), Some(unit));
            assert_eq!(Unit::parse(unit.as_str()), Some(unit));
        }
    }
}
