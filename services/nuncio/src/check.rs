//! `nuncio check`: every diagnostic of a folder.

use std::collections::BTreeMap;
use std::process::ExitCode;

use nuncio_api::{Diagnostic, Severity};
use serde::Serialize;

use crate::objects::Objects;
use crate::output;

/// Say what is wrong with a folder of objects.
///
/// Prints a line for each finding: file, line, severity, object, field, what
/// is wrong, and what to do about it. Exits 1 if any of them is an error.
/// Nothing is started and nothing is written.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    objects: Objects,

    /// How to print the findings.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One line a finding, then a summary.
    Text,
    /// One JSON object.
    Json,
}

/// What `--format json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    errors: usize,
    warnings: usize,
    notices: usize,
    diagnostics: Vec<&'a Diagnostic>,
}

impl<'a> Report<'a> {
    fn of(diagnostics: Vec<&'a Diagnostic>) -> Self {
        let mut counts = BTreeMap::<Severity, usize>::new();
        for found in &diagnostics {
            *counts.entry(found.severity).or_default() += 1;
        }
        let count = |severity| counts.get(&severity).copied().unwrap_or_default();
        Self {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notices: count(Severity::Notice),
            diagnostics,
        }
    }

    fn summary(&self) -> String {
        if self.diagnostics.is_empty() {
            return "no findings".into();
        }
        let parts = [(self.errors, "error"), (self.warnings, "warning"), (self.notices, "notice")];
        let said = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| {
            let plural = if *count == 1 { "" } else { "s" };
            format!("{count} {what}{plural}")
        });
        said.collect::<Vec<_>>().join(", ")
    }
}

pub(crate) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let compiled = settings.objects.compile()?;
    let report = Report::of(compiled.diagnostics());
    match settings.format {
        Format::Json => output::line(serde_json::to_string_pretty(&report)?),
        Format::Text => {
            for found in &report.diagnostics {
                output::line(found);
            }
            output::line(report.summary());
        }
    }
    Ok(if report.errors > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
