//! Settings that every Nuncio process has.

use std::time::Duration;

use crate::telemetry::LogFormat;

/// Settings that every Nuncio process has; flatten them into the service's own
/// with `#[command(flatten)]`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Log filter: a level (error, warn, info, debug, trace) or directives
    /// such as `info,nuncio_xds=debug`.
    #[arg(long, env = "NUNCIO_LOG", default_value = "info", global = true)]
    pub log: String,

    /// Log format.
    #[arg(long, env = "NUNCIO_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub log_format: LogFormat,

    /// Longest wait for work in progress after SIGTERM, such as `10s`.
    #[arg(long, env = "NUNCIO_GRACE", default_value = "10s", value_parser = parse_duration, global = true)]
    pub grace: Duration,
}

impl Default for Args {
    fn default() -> Self {
        Self { log: "info".into(), log_format: LogFormat::Text, grace: Duration::from_secs(10) }
    }
}

/// Settings that contain [`Args`].
pub trait HasArgs {
    /// Returns the common settings.
    fn args(&self) -> &Args;
}

/// Parses a duration: a non-negative decimal number and `ms`, `s`, `m` or `h`.
///
/// # Errors
/// A text that says what is expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds_per_unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{text}` needs a unit: ms, s, m or h, as in `5s`")),
    };
    number
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * seconds_per_unit).ok())
        .ok_or_else(|| format!("`{text}` is not a duration such as `500ms` or `5s`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_number_and_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "5", "s", "-1s", "1d", "1e400s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
