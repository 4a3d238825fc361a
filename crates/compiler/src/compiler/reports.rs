//! Diagnostics by subject, and which subjects' changed.

use std::collections::{BTreeMap, BTreeSet};

use nuncio_api::{Diagnostic, ObjectKey, Origin};

use super::Subject;
use crate::ir::item::ItemId;

/// Which pass a finding comes from; each pass replaces only its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pass {
    Decode,
    Namesakes,
    Ingress,
    Scene,
    Mapping,
    Group,
    Attachment,
    Index,
}

/// A pass and, for objects that stand for several items, the item.
type Slot = (Pass, u32);

/// All findings in force.
#[derive(Debug, Default)]
pub(super) struct Reports {
    by_subject: BTreeMap<Subject, BTreeMap<Slot, Vec<Diagnostic>>>,
    reported: BTreeMap<Subject, Vec<Diagnostic>>,
    touched: BTreeSet<Subject>,
}

impl Reports {
    /// Replaces what a pass says of a subject.
    pub(super) fn set(&mut self, subject: Subject, slot: Slot, findings: Vec<Diagnostic>) {
        if findings.is_empty() {
            let Some(slots) = self.by_subject.get_mut(&subject) else { return };
            if slots.remove(&slot).is_none() {
                return;
            }
            if slots.is_empty() {
                self.by_subject.remove(&subject);
            }
        } else {
            self.by_subject.entry(subject.clone()).or_default().insert(slot, findings);
        }
        self.touched.insert(subject);
    }

    /// Replaces what a pass says of an object.
    pub(super) fn set_object(&mut self, key: &ObjectKey, pass: Pass, findings: Vec<Diagnostic>) {
        self.set_slot(key, (pass, 0), findings);
    }

    /// Replaces what a pass says of an item.
    pub(super) fn set_item(&mut self, item: &ItemId, pass: Pass, findings: Vec<Diagnostic>) {
        self.set_slot(&item.source, (pass, item.index), findings);
    }

    fn set_slot(&mut self, key: &ObjectKey, slot: Slot, findings: Vec<Diagnostic>) {
        // Of most objects there is never anything to say.
        if findings.is_empty() && self.by_subject.is_empty() {
            return;
        }
        self.set(Subject::Object(key.clone()), slot, findings);
    }

    /// Replaces everything a pass says, of any subject.
    pub(super) fn replace(&mut self, pass: Pass, findings: Vec<Diagnostic>) {
        let mut by_subject: BTreeMap<Subject, Vec<Diagnostic>> = BTreeMap::new();
        for finding in findings {
            if let Some(object) = finding.object.clone() {
                by_subject.entry(Subject::Object(object)).or_default().push(finding);
            }
        }
        let stale: Vec<Subject> = self
            .by_subject
            .iter()
            .filter(|(subject, slots)| {
                slots.contains_key(&(pass, 0)) && !by_subject.contains_key(subject)
            })
            .map(|(subject, _)| subject.clone())
            .collect();
        for subject in stale {
            self.set(subject, (pass, 0), Vec::new());
        }
        for (subject, findings) in by_subject {
            self.set(subject, (pass, 0), findings);
        }
    }

    /// Notes that an object stands elsewhere now.
    pub(super) fn moved(&mut self, subject: &Subject) {
        if self.by_subject.contains_key(subject) {
            self.touched.insert(subject.clone());
        }
    }

    /// Hands over the subjects whose findings differ from the last time.
    ///
    /// `origin` tells where the version in effect stands: that is what every
    /// pass but the first looks at, and it may have moved since.
    pub(super) fn drain(
        &mut self,
        origin: impl Fn(&ObjectKey) -> Option<Origin>,
    ) -> Vec<(Subject, Vec<Diagnostic>)> {
        let mut out = Vec::new();
        for subject in std::mem::take(&mut self.touched) {
            let origin = match &subject {
                Subject::Object(key) => origin(key),
                Subject::Input(_) => None,
            };
            let mut now = Vec::new();
            for ((pass, _), findings) in self.by_subject.get(&subject).into_iter().flatten() {
                let moved = origin.as_ref().filter(|_| *pass != Pass::Decode);
                now.extend(findings.iter().map(|finding| Diagnostic {
                    origin: moved.unwrap_or(&finding.origin).clone(),
                    ..finding.clone()
                }));
            }
            now.sort();
            now.dedup();
            let before = self.reported.get(&subject).map_or(&[][..], Vec::as_slice);
            if now == before {
                continue;
            }
            if now.is_empty() {
                self.reported.remove(&subject);
            } else {
                self.reported.insert(subject.clone(), now.clone());
            }
            out.push((subject, now));
        }
        out
    }

    /// Everything last handed over.
    pub(super) fn all(&self) -> &BTreeMap<Subject, Vec<Diagnostic>> {
        &self.reported
    }
}
