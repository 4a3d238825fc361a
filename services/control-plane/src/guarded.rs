//! The compiler behind a wall: a defect that one object brings to light costs
//! that object's change and nothing else.
//!
//! A compiler that panicked is in an unknown state and is given up. A new one
//! takes all objects again; changes that make it panic are narrowed down by
//! halves and left out, and their objects stay as they were last.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nuncio_api::{Change, ConsulService, Diagnostic, EnvoyText, ObjectKey, Severity};
use nuncio_compiler::{Compiler, Delta, ResourceName};

use crate::questions::ClusterNames;

/// Panics in one search before it is given up. Each costs one compilation of
/// everything; one change among 100,000 is found after 17.
const PANICS_MOST: usize = 64;

/// What is guarded; implemented by the compiler, and by broken ones in tests.
pub(crate) trait Compile: Send + 'static {
    /// Applies changes and returns what they changed.
    fn apply(&mut self, changes: Vec<Change>) -> Delta;
    /// Everything in effect, as if all of it had just changed.
    fn everything(&self) -> Delta;
    /// Every object that a resource was made of.
    fn sources(&self, name: &ResourceName) -> Vec<ObjectKey>;
    /// Whether a text is known to be refused by Envoy, and held by an object.
    fn is_refused(&self, text: &EnvoyText) -> bool;
}

/// The compiler behind a wall.
pub(crate) struct Guarded<C> {
    make: Box<dyn Fn() -> C + Send + Sync>,
    /// `None` after a search that was given up.
    compiler: Option<C>,
    ledger: Ledger,
}

/// What came of changes.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) delta: Delta,
    /// Whether `delta` is everything there is and not a difference.
    pub(crate) whole: bool,
    /// Changes that made the compiler panic, and what it said.
    pub(crate) left_out: Vec<(Change, String)>,
}

/// Nothing could be compiled; what was published stays.
#[derive(Debug, thiserror::Error)]
#[error("the compiler panics whatever is left out, lately: {0}")]
pub(crate) struct GivenUp(String);

/// The changes that make up the present objects.
#[derive(Debug, Clone, Default)]
struct Ledger {
    objects: BTreeMap<ObjectKey, Entry>,
    inputs: BTreeMap<Arc<str>, Change>,
    /// What registries told.
    registered: BTreeMap<Arc<str>, Change>,
    files: BTreeMap<Arc<str>, Change>,
    /// What Envoy refused of the objects' texts.
    refused: BTreeMap<EnvoyText, Change>,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    good: Option<Change>,
    broken: Option<Change>,
}

// === impl Compiler ===

impl Compile for Compiler {
    fn apply(&mut self, changes: Vec<Change>) -> Delta {
        Self::apply(self, changes)
    }

    fn everything(&self) -> Delta {
        Delta {
            changed: self.resources().cloned().collect(),
            removed: Vec::new(),
            report: self.diagnostics().iter().map(|(s, d)| (s.clone(), d.clone())).collect(),
            statuses: self.statuses().iter().map(|(k, s)| (k.clone(), Some(s.clone()))).collect(),
        }
    }

    fn sources(&self, name: &ResourceName) -> Vec<ObjectKey> {
        Self::sources(self, name)
    }

    fn is_refused(&self, text: &EnvoyText) -> bool {
        Self::is_refused(self, text)
    }
}

// === impl Guarded ===

impl<C> fmt::Debug for Guarded<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("lost", &self.compiler.is_none()).finish_non_exhaustive()
    }
}

impl Guarded<Compiler> {
    /// Services in Consul that something in effect goes to.
    pub(crate) fn consul_services(&self) -> BTreeSet<ConsulService> {
        self.compiler.as_ref().map(Compiler::consul_services).unwrap_or_default()
    }

    /// What Envoy's refusal of a version of a resource says of texts of which
    /// it alone can judge. Nothing when another version is in effect by now:
    /// that one will be judged too.
    pub(crate) fn blamed(&self, name: &ResourceName, version: u64, message: &str) -> Vec<Change> {
        let current = self.compiler.as_ref().filter(|compiler| {
            compiler.resource(name).is_some_and(|resource| resource.version == version)
        });
        let Some(compiler) = current else { return Vec::new() };
        let blamed = guard(|| compiler.blamed(message)).unwrap_or_default();
        blamed.into_iter().map(|(text, reason)| Change::Refused { text, reason }).collect()
    }

    /// Returns what clusters are; nothing where that makes the compiler panic.
    pub(crate) fn cluster_names(&self) -> ClusterNames {
        let Some(compiler) = &self.compiler else { return ClusterNames::new() };
        guard(|| compiler.cluster_names()).unwrap_or_default()
    }
}

impl<C: Compile> Guarded<C> {
    pub(crate) fn new(make: impl Fn() -> C + Send + Sync + 'static) -> Self {
        Self { make: Box::new(make), compiler: None, ledger: Ledger::default() }
    }

    /// Applies changes; see [`Compiler::apply`].
    pub(crate) fn apply(&mut self, changes: Vec<Change>) -> Result<Outcome, GivenUp> {
        if self.compiler.is_none() && self.ledger.is_empty() {
            self.compiler = guard(&self.make).ok();
        }
        if let Some(compiler) = &mut self.compiler {
            match guard(|| compiler.apply(changes.clone())) {
                Ok(delta) => {
                    self.ledger.extend(changes);
                    self.ledger.refused.retain(|text, _| compiler.is_refused(text));
                    return Ok(Outcome { delta, whole: false, left_out: Vec::new() });
                }
                Err(panic) => {
                    tracing::error!(panic, "the compiler panicked, everything is compiled anew");
                }
            }
        }
        self.anew(changes)
    }

    /// Returns every object that a resource was made of.
    pub(crate) fn sources(&self, name: &ResourceName) -> Vec<ObjectKey> {
        let Some(compiler) = &self.compiler else { return Vec::new() };
        guard(|| compiler.sources(name)).unwrap_or_default()
    }

    fn anew(&mut self, changes: Vec<Change>) -> Result<Outcome, GivenUp> {
        self.compiler = None;
        let mut all = self.ledger.clone();
        all.extend(changes.clone());
        let mut left_out = Vec::new();
        let mut panics = 0;
        // What is to be taken yet, the next part last.
        let mut parts = vec![changes, std::mem::take(&mut self.ledger).changes()];
        while let Some(mut part) = parts.pop() {
            let Err(panic) = self.take(&part) else {
                self.ledger.extend(part);
                continue;
            };
            self.compiler = None;
            panics += 1;
            if panics > PANICS_MOST {
                self.ledger = all;
                return Err(GivenUp(panic));
            }
            if part.len() > 1 {
                parts.push(part.split_off(part.len() / 2));
                parts.push(part);
            } else if let Some(change) = part.pop() {
                parts.extend(as_broken(&change).map(|broken| vec![broken]));
                left_out.push((change, panic));
            }
        }
        let outcome = self.take(&[]).and_then(|compiler| guard(|| compiler.everything()));
        match outcome {
            Ok(delta) => Ok(Outcome { delta, whole: true, left_out }),
            Err(panic) => {
                (self.compiler, self.ledger) = (None, all);
                Err(GivenUp(panic))
            }
        }
    }

    fn take(&mut self, part: &[Change]) -> Result<&C, String> {
        let mut compiler = match self.compiler.take() {
            Some(compiler) => compiler,
            None => guard(|| {
                let mut compiler = (self.make)();
                compiler.apply(self.ledger.clone().changes());
                compiler
            })?,
        };
        guard(|| compiler.apply(part.to_vec()))?;
        Ok(self.compiler.insert(compiler))
    }
}

// === impl Ledger ===

impl Ledger {
    fn is_empty(&self) -> bool {
        self.objects.is_empty()
            && self.inputs.is_empty()
            && self.files.is_empty()
            && self.registered.is_empty()
    }

    fn extend(&mut self, changes: Vec<Change>) {
        for change in changes {
            match &change {
                Change::Apply { object, .. } => {
                    let key = object.key();
                    self.objects.insert(key, Entry { good: Some(change), broken: None });
                }
                Change::Broken { key, .. } => {
                    let key = key.clone();
                    self.objects.entry(key).or_default().broken = Some(change);
                }
                Change::Delete(key) => {
                    self.objects.remove(key);
                }
                Change::Registered { service, endpoints: None } => {
                    self.registered.remove(service);
                }
                Change::Registered { service, .. } => {
                    let service = Arc::clone(service);
                    self.registered.insert(service, change);
                }
                Change::Input { name, findings } if findings.is_empty() => {
                    self.inputs.remove(name);
                }
                Change::Input { name, .. } => {
                    let name = Arc::clone(name);
                    self.inputs.insert(name, change);
                }
                Change::File { name, .. } => {
                    let name = Arc::clone(name);
                    self.files.insert(name, change);
                }
                Change::Refused { text, .. } => {
                    let text = text.clone();
                    self.refused.insert(text, change);
                }
            }
        }
    }

    fn changes(self) -> Vec<Change> {
        let objects = self.objects.into_values().flat_map(|e| e.good.into_iter().chain(e.broken));
        let told = self.inputs.into_values().chain(self.files.into_values());
        let told = told.chain(self.registered.into_values());
        // These last: of texts that no object holds they say nothing.
        objects.chain(told).chain(self.refused.into_values()).collect()
    }
}

fn guard<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    // Whatever the work changes is thrown away after a panic.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => {
            panic.downcast::<&str>().map_or_else(|_| "no reason".into(), |text| (*text).into())
        }
    })
}

/// Tells of a change that makes the compiler panic as of a text that cannot be
/// used: the object's last good version stays, and its status says so.
fn as_broken(change: &Change) -> Option<Change> {
    let Change::Apply { object, findings } = change else { return None };
    let mut findings = findings.clone();
    findings.push(Diagnostic {
        severity: Severity::Error,
        code: "compiler-defect",
        object: Some(object.key()),
        origin: object.origin.clone(),
        field: String::new(),
        message: "a defect of the compiler keeps this object from being used".into(),
        remedy: "report the log and the object; write the object differently until then".into(),
    });
    let origin = object.origin.clone();
    Some(Change::Broken { key: object.key(), origin, findings })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use nuncio_api::{Decoded, Origin, Reading, decode};
    use nuncio_compiler::Settings;
    use serde_json::json;

    use super::*;

    static DEAD: AtomicBool = AtomicBool::new(false);

    /// Panics on every object with the prefix `/boom/`.
    struct Brittle(Compiler);

    impl Compile for Brittle {
        fn apply(&mut self, changes: Vec<Change>) -> Delta {
            assert!(!changes.iter().any(|c| format!("{c:?}").contains("/boom/")), "boom");
            self.0.apply(changes)
        }

        fn everything(&self) -> Delta {
            self.0.everything()
        }

        fn sources(&self, name: &ResourceName) -> Vec<ObjectKey> {
            self.0.sources(name)
        }

        fn is_refused(&self, text: &EnvoyText) -> bool {
            self.0.is_refused(text)
        }
    }

    /// Panics at everything while it is dead.
    struct Mortal(Compiler);

    impl Compile for Mortal {
        fn apply(&mut self, changes: Vec<Change>) -> Delta {
            assert!(!DEAD.load(Ordering::Relaxed), "dead");
            self.0.apply(changes)
        }

        fn everything(&self) -> Delta {
            self.0.everything()
        }

        fn sources(&self, name: &ResourceName) -> Vec<ObjectKey> {
            self.0.sources(name)
        }

        fn is_refused(&self, text: &EnvoyText) -> bool {
            self.0.is_refused(text)
        }
    }

    fn mapping(name: &str, prefix: &str) -> Change {
        let value = json!({
            "apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping",
            "metadata": {"name": name},
            "spec": {"hostname": "*", "prefix": prefix, "service": format!("{name}:80")},
        });
        let decoded = decode(value, Origin::default(), &Reading::of_namespace("default"));
        let Decoded::Object { object, findings } = decoded else { panic!("{decoded:?}") };
        Change::Apply { object: Arc::new(object), findings }
    }

    fn brittle() -> Guarded<Brittle> {
        Guarded::new(|| Brittle(Compiler::new(Settings::default())))
    }

    #[test]
    fn an_object_that_makes_the_compiler_panic_costs_no_other_object() {
        let mut guarded = brittle();
        let mut batch: Vec<_> =
            (0..40).map(|n| mapping(&format!("m{n}"), &format!("/{n}/"))).collect();
        batch.insert(17, mapping("bad", "/boom/"));
        let outcome = guarded.apply(batch.clone()).unwrap();
        let bad = batch.remove(17);
        assert!(outcome.whole);
        assert_eq!(outcome.left_out, [(bad.clone(), "boom".to_owned())]);

        let mut sound = Compiler::new(Settings::default());
        sound.apply(batch);
        sound.apply(vec![as_broken(&bad).unwrap()]);
        assert_eq!(outcome.delta, sound.everything());
        let told = outcome.delta.report.iter().flat_map(|(_, told)| told);
        assert_eq!(told.filter(|d| d.code == "compiler-defect").count(), 1);
    }

    #[test]
    fn the_last_good_version_stays_and_a_corrected_one_is_taken() {
        let mut guarded = brittle();
        guarded.apply(vec![mapping("a", "/a/"), mapping("b", "/old/")]).unwrap();
        let good = guarded.take(&[]).unwrap().everything();
        let bad = mapping("b", "/boom/");
        let outcome = guarded.apply(vec![bad.clone()]).unwrap();
        assert_eq!(outcome.left_out, [(bad, "boom".to_owned())]);
        assert_eq!(outcome.delta.changed, good.changed);

        let outcome = guarded.apply(vec![mapping("b", "/new/")]).unwrap();
        assert!(!outcome.whole && outcome.left_out.is_empty());
        let mut sound = Compiler::new(Settings::default());
        sound.apply(vec![mapping("a", "/a/"), mapping("b", "/new/")]);
        assert_eq!(guarded.take(&[]).unwrap().everything(), sound.everything());
    }

    #[test]
    fn nothing_is_forgotten_while_nothing_can_be_compiled() {
        let mut guarded = Guarded::new(|| Mortal(Compiler::new(Settings::default())));
        guarded.apply(vec![mapping("a", "/a/")]).unwrap();
        DEAD.store(true, Ordering::Relaxed);
        guarded.apply((0..200).map(|n| mapping(&format!("m{n}"), "/m/")).collect()).unwrap_err();
        DEAD.store(false, Ordering::Relaxed);
        let outcome = guarded.apply(vec![mapping("b", "/b/")]).unwrap();
        assert!(outcome.whole && outcome.left_out.is_empty());
        let mut sound = Compiler::new(Settings::default());
        sound.apply(vec![mapping("a", "/a/"), mapping("b", "/b/")]);
        sound.apply((0..200).map(|n| mapping(&format!("m{n}"), "/m/")).collect());
        assert_eq!(outcome.delta, sound.everything());
    }
}
