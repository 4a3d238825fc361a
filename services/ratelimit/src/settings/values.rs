//! Values of settings as text.

use std::time::Duration;

/// Where the limits come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ConfigType {
    /// Files of envoyproxy/ratelimit.
    #[value(name = "FILE")]
    File,
    /// A control plane, state of the world.
    #[value(name = "GRPC_XDS_SOTW")]
    GrpcXdsSotw,
    /// A control plane, incremental.
    #[value(name = "GRPC_XDS_DELTA")]
    GrpcXdsDelta,
    /// Nothing is limited.
    #[value(name = "NONE")]
    None,
}

/// How counters are named in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyFormat {
    /// Hashed, no client value can collide with another.
    Nuncio,
    /// envoyproxy/ratelimit's text.
    Er,
}

/// Parses what Go's `strconv.ParseBool` accepts.
pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" | "" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

/// Parses a positive number with one unit: `ms`, `s`, `m` or `h`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let seconds = match &text[at..] {
        "us" => 0.000_001,
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{text}` needs a unit: us, ms, s, m or h, as in `10ms`")),
    };
    text[..at]
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("`{text}` is not a positive duration such as `10ms`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_positive_and_have_a_unit() {
        assert_eq!(parse_duration("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        for bad in ["", "10", "0ms", "-1s", "x", "1d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn booleans_are_spelled_as_in_go() {
        assert_eq!(parse_bool("T"), Ok(true));
        assert_eq!(parse_bool("0"), Ok(false));
        assert!(parse_bool("yes").is_err());
    }
}
