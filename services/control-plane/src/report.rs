//! Everything there is to tell people about their objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nuncio_api::{Diagnostic, ObjectKey, Origin, Severity};
use nuncio_compiler::{ResourceName, Status, Subject};
use nuncio_xds::nack::Refusal;
use tokio::sync::watch;

use crate::Metrics;

/// Objects named by one refusal. A refusal that cannot be narrowed down to
/// fewer is told of the resource's own objects only.
pub(crate) const BLAMED_MOST: usize = 16;

/// Everything there is to tell people about their objects. Clones share one
/// state.
#[derive(Debug, Clone)]
pub struct Report {
    shared: Arc<Shared>,
}

/// What is to be told of one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Object or file.
    pub subject: Subject,
    /// What is wrong with it.
    pub diagnostics: Vec<Diagnostic>,
    /// The status it is to have beside that.
    pub status: Option<Status>,
}

#[derive(Debug)]
struct Shared {
    findings: Mutex<Findings>,
    changes: watch::Sender<u64>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Findings {
    compiled: BTreeMap<Subject, Vec<Diagnostic>>,
    refused: BTreeMap<ResourceName, Refused>,
    wanted: BTreeMap<ObjectKey, Status>,
    /// Subjects whose diagnostics changed since a sink last looked.
    touched: BTreeSet<Subject>,
}

#[derive(Debug)]
struct Refused {
    version: u64,
    findings: Vec<(Subject, Diagnostic)>,
}

/// Objects that a refusal is to be attributed to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attribution {
    /// Objects the resource was made of that changed together with it.
    pub(crate) changed: Vec<ObjectKey>,
    /// Objects that shaped the resource as a whole.
    pub(crate) sources: Vec<ObjectKey>,
}

// === impl Report ===

impl Report {
    /// Makes an empty report.
    pub fn new(metrics: Metrics) -> Self {
        let (findings, changes) = (Mutex::default(), watch::Sender::new(0));
        Self { shared: Arc::new(Shared { findings, changes, metrics }) }
    }

    /// Returns all that is to be told now, by subject.
    pub fn all(&self) -> BTreeMap<Subject, Vec<Diagnostic>> {
        let findings = self.findings();
        let mut all = findings.compiled.clone();
        for (subject, diagnostic) in findings.refused.values().flat_map(|r| &r.findings) {
            all.entry(subject.clone()).or_default().push(diagnostic.clone());
        }
        all
    }

    /// Returns a receiver that is marked whenever the report has changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Returns the subjects that changed since the last call, with all that is
    /// to be told of each now.
    pub fn take_changed(&self) -> Vec<Told> {
        let touched = std::mem::take(&mut self.findings().touched);
        let all = self.all();
        let wanted = &self.findings().wanted;
        touched
            .into_iter()
            .map(|subject| Told {
                diagnostics: all.get(&subject).cloned().unwrap_or_default(),
                status: match &subject {
                    Subject::Object(key) => wanted.get(key).cloned(),
                    Subject::Input(_) => None,
                },
                subject,
            })
            .collect()
    }

    /// Takes over which status the compiler wants objects to have; the `whole`
    /// of it clears all others.
    pub(crate) fn wanted(&self, statuses: Vec<(ObjectKey, Option<Status>)>, whole: bool) {
        let mut findings = self.findings();
        let mut changed: BTreeMap<ObjectKey, Option<Status>> = statuses.into_iter().collect();
        if whole {
            for key in findings.wanted.keys() {
                changed.entry(key.clone()).or_default();
            }
        }
        if changed.is_empty() {
            return;
        }
        for (key, status) in changed {
            findings.touched.insert(Subject::Object(key.clone()));
            match status {
                Some(status) => findings.wanted.insert(key, status),
                None => findings.wanted.remove(&key),
            };
        }
        self.changed(findings);
    }

    /// Takes over what the compiler says of subjects; a `whole` report clears
    /// all others.
    pub(crate) fn compiled(&self, mut report: Vec<(Subject, Vec<Diagnostic>)>, whole: bool) {
        let mut findings = self.findings();
        if whole {
            let told: BTreeSet<_> = report.iter().map(|(subject, _)| subject.clone()).collect();
            let others = findings.compiled.keys().filter(|subject| !told.contains(*subject));
            report.extend(others.map(|subject| (subject.clone(), Vec::new())));
        }
        if report.is_empty() {
            return;
        }
        for (subject, told) in report {
            let before = findings.compiled.get(&subject);
            for diagnostic in &told {
                if !before.is_some_and(|before| before.contains(diagnostic)) {
                    log(diagnostic);
                }
            }
            findings.touched.insert(subject.clone());
            if told.is_empty() {
                findings.compiled.remove(&subject);
            } else {
                findings.compiled.insert(subject, told);
            }
        }
        self.changed(findings);
    }

    /// Takes over that a client refused a resource.
    pub(crate) fn refused(&self, name: &ResourceName, refusal: &Refusal, attribution: Attribution) {
        let mut findings = self.findings();
        if findings.refused.get(name).is_some_and(|known| known.version == refusal.version) {
            return;
        }
        let effect = if refusal.withdrawn {
            "its last accepted version stays in effect"
        } else {
            "the client that refused it keeps what it had"
        };
        tracing::error!(resource = %name, error = refusal.message, effect, "resource refused");
        let Attribution { changed, sources } = attribution;
        let guilty = if (1..=BLAMED_MOST).contains(&changed.len()) { changed } else { sources };
        let told: Vec<_> = guilty
            .into_iter()
            .take(BLAMED_MOST)
            .map(|object| {
                let diagnostic = Diagnostic {
                    severity: Severity::Error,
                    code: "refused-by-envoy",
                    object: Some(object.clone()),
                    origin: Origin::default(),
                    field: String::new(),
                    message: format!("{name} was refused: {}", refusal.message),
                    remedy: format!("correct the object; {effect}"),
                };
                (Subject::Object(object), diagnostic)
            })
            .collect();
        findings.touched.extend(told.iter().map(|(subject, _)| subject.clone()));
        let refused = Refused { version: refusal.version, findings: told };
        if let Some(earlier) = findings.refused.insert(name.clone(), refused) {
            findings.touched.extend(earlier.findings.into_iter().map(|(subject, _)| subject));
        }
        self.changed(findings);
    }

    /// Forgets refusals of a resource: it has a new version, was taken after
    /// all, or is gone.
    pub(crate) fn settled(&self, name: &ResourceName) {
        let mut findings = self.findings();
        let Some(earlier) = findings.refused.remove(name) else { return };
        tracing::info!(resource = %name, "resource no longer refused");
        findings.touched.extend(earlier.findings.into_iter().map(|(subject, _)| subject));
        self.changed(findings);
    }

    fn changed(&self, findings: MutexGuard<'_, Findings>) {
        let told = findings
            .compiled
            .values()
            .flatten()
            .chain(findings.refused.values().flat_map(|r| r.findings.iter().map(|(_, d)| d)));
        let (mut errors, mut warnings, mut notices) = (0, 0, 0);
        for diagnostic in told {
            match diagnostic.severity {
                Severity::Error => errors += 1,
                Severity::Warning => warnings += 1,
                Severity::Notice => notices += 1,
            }
        }
        drop(findings);
        self.shared.metrics.findings(errors, warnings, notices);
        self.shared.changes.send_modify(|count| *count += 1);
    }

    fn findings(&self) -> MutexGuard<'_, Findings> {
        self.shared.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(diagnostic: &Diagnostic) {
    match diagnostic.severity {
        Severity::Error => tracing::error!(code = diagnostic.code, "{diagnostic}"),
        Severity::Warning => tracing::warn!(code = diagnostic.code, "{diagnostic}"),
        Severity::Notice => tracing::debug!(code = diagnostic.code, "{diagnostic}"),
    }
}
