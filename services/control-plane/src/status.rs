//! Diagnostics as status of the objects they are about.

use std::collections::BTreeMap;

use nuncio_api::{Diagnostic, Kind, ObjectKey, Severity};
use nuncio_compiler::Subject;
use nuncio_process::{Context, chain};
use nuncio_source::Sink;
use serde_json::{Value, json};

use crate::{Bound, Report};

/// Writes what is to be told of each object into its status, as an owned task;
/// only differences are written.
pub fn write_status(context: &Context, bound: &Bound, sink: Sink) {
    let report = bound.report.clone();
    let drain = context.drain.clone();
    context.tasks.spawn("status", async move {
        tokio::select! {
            () = follow(&report, &sink) => {}
            () = drain.stopping() => {}
        }
        Ok(())
    });
}

async fn follow(report: &Report, sink: &Sink) {
    let mut changes = report.changes();
    let mut written: BTreeMap<ObjectKey, Value> = BTreeMap::new();
    loop {
        for (subject, diagnostics) in report.take_changed() {
            let Subject::Object(key) = subject else { continue };
            // A Host's status is the certificates service's to write.
            if key.kind == Kind::Host {
                continue;
            }
            let outcome = if diagnostics.is_empty() {
                written.remove(&key);
                sink.remove_status(&key).await
            } else {
                let status = status(&diagnostics);
                if written.get(&key) == Some(&status) {
                    continue;
                }
                written.insert(key.clone(), status.clone());
                sink.write_status(&key, &status).await
            };
            if let Err(error) = outcome {
                tracing::warn!(error = chain(&error), "status not written");
                written.remove(&key);
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Shape: Emissary's `state` (`Running`, or `Inactive` with an error) and
/// `reason`, and under `diagnostics` every finding with all its parts.
fn status(diagnostics: &[Diagnostic]) -> Value {
    let error = diagnostics.iter().find(|d| d.severity == Severity::Error);
    json!({
        "state": if error.is_some() { "Inactive" } else { "Running" },
        "reason": error.or(diagnostics.first()).map(|d| d.message.as_str()).unwrap_or_default(),
        "diagnostics": diagnostics,
    })
}
