//! Logs: text or JSON lines on standard error, level changed at run time.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::Args;

/// Log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not parse.
    #[error(
        "log filter `{filter}` is not a level or a list of directives such as `info,nuncio_xds=debug`"
    )]
    Filter {
        /// The filter as given.
        filter: String,
        /// What the parser says.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logging was set up already, or never.
    #[error("the log level of this process cannot be set")]
    State,
}

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts logging for the whole process.
///
/// # Errors
/// When the filter does not parse, or logging was started before.
pub fn init(args: &Args) -> Result<(), LogError> {
    let (filter, handle) = reload::Layer::new(parse(&args.log)?);
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colours).with_target(true);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match args.log_format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    started.map_err(|_taken| LogError::State)?;
    FILTER.set(handle).map_err(|_taken| LogError::State)
}

/// Changes the log filter of the running process.
///
/// # Errors
/// When the filter does not parse, or [`init`] was never called.
pub fn set_filter(filter: &str) -> Result<(), LogError> {
    let filter = parse(filter)?;
    FILTER.get().ok_or(LogError::State)?.reload(filter).map_err(|_gone| LogError::State)
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}
