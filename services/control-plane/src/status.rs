//! Diagnostics as status of the objects they are about.

use std::collections::BTreeMap;

use nuncio_api::{Kind, ObjectKey, Severity};
use nuncio_compiler::{Status, Subject};
use nuncio_process::{Context, chain};
use nuncio_source::Sink;
use serde_json::{Value, json};

use crate::report::Told;
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
        for told in report.take_changed() {
            let Subject::Object(key) = &told.subject else { continue };
            // A Host's status is the certificates service's to write.
            if key.kind == Kind::Host {
                continue;
            }
            let outcome = match status(&told) {
                None => {
                    written.remove(key);
                    sink.remove_status(key).await
                }
                Some(status) if written.get(key) == Some(&status) => continue,
                Some(status) => {
                    written.insert(key.clone(), status.clone());
                    sink.write_status(key, &status).await
                }
            };
            if let Err(error) = outcome {
                tracing::warn!(error = chain(&error), "status not written");
                written.remove(key);
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Shape: Emissary's `state` (`Running`, or `Inactive` with an error) and
/// `reason`, and under `diagnostics` every finding with all its parts; for an
/// Ingress `loadBalancer` too. `None` where there is nothing to say.
fn status(told: &Told) -> Option<Value> {
    let Told { diagnostics, status, .. } = told;
    let mut out = match status {
        Some(Status::Running) if diagnostics.is_empty() => json!({"state": "Running"}),
        Some(Status::LoadBalancer(addresses)) => json!({"loadBalancer": addresses}),
        Some(Status::Running) | None => json!({}),
    };
    if !diagnostics.is_empty() {
        let error = diagnostics.iter().find(|d| d.severity == Severity::Error);
        let reason = error.or(diagnostics.first()).map(|d| d.message.as_str());
        out["state"] = json!(if error.is_some() { "Inactive" } else { "Running" });
        out["reason"] = json!(reason.unwrap_or_default());
        out["diagnostics"] = json!(diagnostics);
    }
    out.as_object().is_some_and(|fields| !fields.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use nuncio_api::core::{LoadBalancerIngress, LoadBalancerStatus};
    use nuncio_api::{Diagnostic, Origin};

    use super::*;

    fn told(kind: Kind, severities: &[Severity], status: Option<Status>) -> Option<Value> {
        let subject = Subject::Object(ObjectKey::new(kind, "default", "x"));
        let finding = |severity: &Severity| Diagnostic {
            severity: *severity,
            code: "a-code",
            object: None,
            origin: Origin::default(),
            field: String::new(),
            message: severity.as_str().to_owned(),
            remedy: String::new(),
        };
        let diagnostics = severities.iter().map(finding).collect();
        super::status(&Told { subject, diagnostics, status })
    }

    #[test]
    fn a_mapping_runs_unless_an_error_says_otherwise() {
        let running = Some(Status::Running);
        assert_eq!(told(Kind::Mapping, &[], running.clone()), Some(json!({"state": "Running"})));
        assert_eq!(told(Kind::Mapping, &[], None), None);
        let told = told(Kind::Mapping, &[Severity::Warning, Severity::Error], running).unwrap();
        assert_eq!((&told["state"], &told["reason"]), (&json!("Inactive"), &json!("error")));
    }

    #[test]
    fn an_ingress_tells_addresses_and_findings() {
        let address = LoadBalancerIngress { ip: Some("192.0.2.1".into()), hostname: None };
        let status = Status::LoadBalancer(LoadBalancerStatus { ingress: vec![address] });
        let told = told(Kind::Ingress, &[Severity::Notice], Some(status)).unwrap();
        assert_eq!(told["loadBalancer"], json!({"ingress": [{"ip": "192.0.2.1"}]}));
        assert_eq!(told["state"], "Running");
    }
}
