//! Changes into the store: which version of each object is in effect.

use std::sync::Arc;

use nuncio_api::{Change, Diagnostic, Kind, Object, ObjectKey, Severity};

use super::effect::matters_to_scene;
use super::reports::Pass;
use super::{Compiler, Dirty, Subject};
use crate::ir::check;
use crate::ir::item::Item;
use crate::ir::repair;
use crate::parallel;

/// An object of ours, with what the rules say of it alone.
struct Checked {
    item: Item,
    findings: Vec<Diagnostic>,
    unusable: bool,
}

impl Compiler {
    /// Takes changes over, in order.
    pub(super) fn take_all(&mut self, changes: Vec<Change>, dirty: &mut Dirty) {
        let id = &self.settings.ambassador_id;
        let checked = parallel::map(&changes, self.settings.threads, |change| match change {
            Change::Apply { object, .. } => Checked::of(object, id),
            _ => None,
        });
        for (change, checked) in changes.into_iter().zip(checked) {
            self.take(change, checked, dirty);
        }
    }

    fn take(&mut self, change: Change, checked: Option<Checked>, dirty: &mut Dirty) {
        match change {
            Change::Apply { object, findings } => match checked {
                Some(checked) => self.take_object(checked, findings, dirty),
                None => self.forget(&object.key(), dirty),
            },
            Change::Broken { key, findings, .. } => self.take_broken(&key, findings, dirty),
            Change::Delete(key) => self.forget(&key, dirty),
            Change::Registered { service, endpoints } => {
                self.take_registered(service, endpoints, dirty);
            }
            Change::Input { name, findings } => {
                self.reports.set(Subject::Input(name), (Pass::Decode, 0), findings);
            }
            Change::File { name, text } => {
                if self.files.get(&name) != Some(&text) {
                    Arc::make_mut(&mut self.files).insert(name, text);
                    dirty.scene = true;
                }
            }
        }
    }

    fn report(&mut self, key: &ObjectKey, findings: Vec<Diagnostic>) {
        self.reports.set_object(key, Pass::Decode, findings);
    }

    fn forget(&mut self, key: &ObjectKey, dirty: &mut Dirty) {
        self.report(key, Vec::new());
        self.put(key, None, dirty);
        self.entries.remove(key);
        self.mark_broken(key, false, dirty);
    }

    fn take_object(&mut self, checked: Checked, mut findings: Vec<Diagnostic>, dirty: &mut Dirty) {
        let Checked { item, findings: own, unusable } = checked;
        let key = item.id.source.clone();
        findings.extend(own);
        if unusable && self.is_better_than_nothing(&item.object) {
            self.take_closed(item, findings, dirty);
            return;
        }
        if unusable {
            self.take_broken(&key, findings, dirty);
            return;
        }
        self.report(&key, findings);
        self.put(&key, Some(item), dirty);
        self.mark_broken(&key, false, dirty);
    }

    /// Whether an object with errors does more good in effect than absent, and
    /// no version without errors is there to keep: a RateLimit's bad limits
    /// refuse, while without it everything would pass.
    fn is_better_than_nothing(&self, object: &Arc<Object>) -> bool {
        let good = self.entries.get(&object.key()).and_then(|entry| entry.good.as_ref());
        object.spec.kind() == Kind::RateLimit
            && good.is_none_or(|good| check::is_unusable(&check::check(&Item::own(good.clone()))))
    }

    fn take_closed(&mut self, item: Item, mut findings: Vec<Diagnostic>, dirty: &mut Dirty) {
        let key = item.id.source.clone();
        let first = findings.iter().find(|finding| finding.severity == Severity::Error).cloned();
        findings.extend(first.map(|model| Diagnostic {
            severity: Severity::Notice,
            code: "closed-until-corrected",
            field: String::new(),
            message: "requests that match its faulty limits are refused".to_owned(),
            remedy: "correct the errors".to_owned(),
            ..model
        }));
        self.report(&key, findings);
        self.put(&key, Some(item), dirty);
        self.mark_broken(&key, false, dirty);
    }

    /// Keeps the last good version; says so, and remembers objects that never
    /// had one.
    fn take_broken(&mut self, key: &ObjectKey, mut findings: Vec<Diagnostic>, dirty: &mut Dirty) {
        let first = findings.iter().find(|finding| finding.severity == Severity::Error);
        let reason = first
            .map_or_else(String::new, |finding| format!("{}: {}", finding.field, finding.message));
        let kept = self.entries.get(key).is_some_and(|entry| entry.good.is_some());
        if kept && let Some(model) = first.cloned() {
            findings.push(Diagnostic {
                severity: Severity::Notice,
                code: "last-good-kept",
                field: String::new(),
                message: "the last good version stays in effect".to_owned(),
                remedy: "correct the errors".to_owned(),
                ..model
            });
        }
        self.report(key, findings);
        self.entries.entry(key.clone()).or_default().broken = Some(reason);
        self.mark_broken(key, !kept, dirty);
    }

    fn mark_broken(&mut self, key: &ObjectKey, broken: bool, dirty: &mut Dirty) {
        let changed =
            if broken { self.broken.insert(key.clone()) } else { self.broken.remove(key) };
        if changed || broken {
            dirty.scene |= matters_to_scene(key.kind);
            dirty.policies |= matches!(key.kind, Kind::Filter | Kind::FilterPolicy);
            dirty.limits |= key.kind == Kind::RateLimit;
        }
    }
}

// === impl Checked ===

impl Checked {
    /// Checks an object; `None` for one that is for other gateways.
    fn of(object: &Arc<Object>, ambassador_id: &str) -> Option<Self> {
        if !object.spec.is_for(ambassador_id) {
            return None;
        }
        let item = Item::own(object.clone());
        let findings = check::check(&item);
        // Whoever applies an object has judged its text usable, whatever was
        // found in parts of it; what counts here is what the rules say.
        // A Module is many settings, of which the good ones are in force.
        let unusable = check::is_unusable(&findings) && repair::usable(object).is_none();
        Some(Self { item, findings, unusable })
    }
}
