//! Changes into the store: which version of each object is in effect.

use std::collections::BTreeSet;
use std::sync::Arc;

use nuncio_api::{Change, Diagnostic, EnvoyText, FileText, Kind, Object, ObjectKey, Severity};

use super::doubts::last_good_kept;
use super::effect::matters_to_scene;
use super::reports::Pass;
use super::{Compiler, Dirty, Subject};
use crate::ir::check::{self, Checked};
use crate::ir::item::Item;
use crate::ir::refusals::Refusals;
use crate::ir::repair;
use crate::parallel;

/// An object of ours, with what the rules say of it alone.
pub(super) struct Judged {
    pub(super) item: Item,
    pub(super) findings: Vec<Diagnostic>,
    /// What Envoy alone can judge.
    pub(super) doubts: BTreeSet<EnvoyText>,
    pub(super) unusable: bool,
}

impl Compiler {
    /// Takes changes over, in order.
    pub(super) fn take_all(&mut self, changes: Vec<Change>, dirty: &mut Dirty) {
        let id = &self.settings.ambassador_id;
        let judged = parallel::map(&changes, self.settings.threads, |change| match change {
            Change::Apply { object, .. } => Judged::of(object, id),
            _ => None,
        });
        for (change, judged) in changes.into_iter().zip(judged) {
            self.take(change, judged, dirty);
        }
    }

    fn take(&mut self, change: Change, judged: Option<Judged>, dirty: &mut Dirty) {
        match change {
            Change::Apply { object, findings } => match judged {
                Some(judged) => self.take_object(judged, findings, dirty),
                None => self.forget(&object.key(), dirty),
            },
            Change::Broken { key, findings, .. } => {
                if !self.unread_doubtful(&key, &findings, dirty) {
                    self.take_broken(&key, findings, dirty);
                }
            }
            Change::Refused { text, reason } => self.take_refused(text, reason, dirty),
            Change::Delete(key) => self.forget(&key, dirty),
            Change::Registered { service, endpoints } => {
                self.take_registered(service, endpoints, dirty);
            }
            Change::Input { name, findings } => {
                self.reports.set(Subject::Input(name), (Pass::Decode, 0), findings);
            }
            Change::File { name, text } => {
                if self.files.get(&name) != Some(&text) {
                    let held = |text: Option<&FileText>| match text {
                        Some(Ok(text)) => text.clone(),
                        _ => Arc::default(),
                    };
                    let before = held(self.files.get(&name));
                    self.doubts.hold_file(&name, &before, &held(Some(&text)));
                    Arc::make_mut(&mut self.files).insert(name, text);
                    dirty.scene = true;
                }
            }
        }
    }

    pub(super) fn report(&mut self, key: &ObjectKey, findings: Vec<Diagnostic>) {
        self.reports.set_object(key, Pass::Decode, findings);
    }

    fn forget(&mut self, key: &ObjectKey, dirty: &mut Dirty) {
        self.forget_doubt(key);
        self.report(key, Vec::new());
        self.put(key, None, dirty);
        self.entries.remove(key);
        self.mark_broken(key, false, dirty);
    }

    fn take_object(&mut self, judged: Judged, mut findings: Vec<Diagnostic>, dirty: &mut Dirty) {
        if !judged.doubts.is_empty() || self.is_doubted(&judged.item.id.source) {
            self.take_doubtful(judged, findings, dirty);
            return;
        }
        let Judged { item, findings: own, unusable, .. } = judged;
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
            && good.is_none_or(|good| {
                let good = check::check(&Item::own(good.clone()), &Refusals::default());
                check::is_unusable(&good.findings)
            })
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
    pub(super) fn take_broken(
        &mut self,
        key: &ObjectKey,
        mut findings: Vec<Diagnostic>,
        dirty: &mut Dirty,
    ) {
        let first = findings.iter().find(|finding| finding.severity == Severity::Error);
        let reason = first
            .map_or_else(String::new, |finding| format!("{}: {}", finding.field, finding.message));
        let kept = self.entries.get(key).is_some_and(|entry| entry.good.is_some());
        if kept && let Some(model) = first.cloned() {
            findings.push(last_good_kept(&model, false));
        }
        self.report(key, findings);
        self.entries.entry(key.clone()).or_default().broken = Some(reason);
        self.mark_broken(key, !kept, dirty);
    }

    pub(super) fn mark_broken(&mut self, key: &ObjectKey, broken: bool, dirty: &mut Dirty) {
        let changed =
            if broken { self.broken.insert(key.clone()) } else { self.broken.remove(key) };
        if changed || broken {
            dirty.scene |= matters_to_scene(key.kind);
            dirty.policies |= matches!(key.kind, Kind::Filter | Kind::FilterPolicy);
            dirty.limits |= key.kind == Kind::RateLimit;
        }
    }
}

// === impl Judged ===

impl Judged {
    /// Checks an object; `None` for one that is for other gateways.
    fn of(object: &Arc<Object>, ambassador_id: &str) -> Option<Self> {
        if !object.spec.is_for(ambassador_id) {
            return None;
        }
        let item = Item::own(object.clone());
        // What Envoy refused is looked at when the object's turn has come.
        let refused = Refusals::default();
        let Checked { findings, doubts } = check::check(&item, &refused);
        // Whoever applies an object has judged its text usable, whatever was
        // found in parts of it; what counts here is what the rules say.
        // A Module is many settings, of which the good ones are in force.
        let unusable =
            check::is_unusable(&findings) && repair::usable(object, &refused, &[]).is_none();
        Some(Self { item, findings, doubts, unusable })
    }
}
