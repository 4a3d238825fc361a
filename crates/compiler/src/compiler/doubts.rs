//! Texts of which Envoy alone can judge, and what happens when it refuses one.
//!
//! Of an object with such a text earlier versions are kept, because the present
//! one may turn out bad while it is in effect: a Mapping then steps back to the
//! last version that Envoy does not refuse, a Module in the refused setting
//! alone. The result depends on the versions and the refusals, not on which
//! came first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api::{Diagnostic, EnvoyText, Kind, ModuleConfig, Object, ObjectKey, Severity, Spec};

use super::effect::means_the_same;
use super::intake::Judged;
use super::{Compiler, Dirty, Subject};
use crate::ir::check;
use crate::ir::format;
use crate::ir::item::Item;
use crate::ir::refusals::{self, REFUSED, Refusals};
use crate::ir::repair;

/// Most versions kept of one object.
const VERSIONS_MOST: usize = 8;

/// What is kept of an object that Envoy may refuse.
#[derive(Debug)]
pub(super) struct Doubt {
    /// Versions without errors of their own, oldest first, with their texts.
    versions: Vec<(Arc<Object>, BTreeSet<EnvoyText>)>,
    /// Whether the last of them is the present text.
    present: bool,
    /// What is found in the present text without Envoy's help.
    findings: Vec<Diagnostic>,
}

/// Who holds which text, and what Envoy refused of them.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    holders: BTreeMap<EnvoyText, BTreeSet<Subject>>,
    pub(super) refused: Refusals,
}

// === impl Doubt ===

impl Doubt {
    fn texts(&self) -> BTreeSet<EnvoyText> {
        self.versions.iter().flat_map(|(_, texts)| texts).cloned().collect()
    }

    /// Every version that may be in effect, oldest first.
    pub(super) fn versions(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.versions.iter().map(|(version, _)| version)
    }

    /// Versions before the one in effect, oldest first.
    pub(super) fn earlier(&self) -> Vec<&Arc<Object>> {
        let before = self.versions.split_last().map_or(&[][..], |(_, before)| before);
        before.iter().map(|(version, _)| version).collect()
    }

    fn push(&mut self, object: Arc<Object>, texts: BTreeSet<EnvoyText>) {
        self.present = true;
        if texts.is_empty() {
            // It will never have to step back.
            self.versions.clear();
        }
        if self.versions.last().is_some_and(|(last, _)| means_the_same(last, &object)) {
            self.versions.pop();
        }
        self.versions.push((object, texts));
        if self.versions.len() > VERSIONS_MOST {
            self.versions.remove(0);
        }
    }
}

// === impl Doubts ===

impl Doubts {
    /// Follows what a subject holds. Nobody needs to know any more of a text
    /// that none holds: whoever writes it again asks again.
    fn hold(
        &mut self,
        subject: &Subject,
        before: &BTreeSet<EnvoyText>,
        after: &BTreeSet<EnvoyText>,
    ) {
        for text in after.difference(before) {
            self.holders.entry(text.clone()).or_default().insert(subject.clone());
        }
        for text in before.difference(after) {
            let Some(holders) = self.holders.get_mut(text) else { continue };
            holders.remove(subject);
            if holders.is_empty() {
                self.holders.remove(text);
                self.refused.remove(text);
            }
        }
    }

    /// Follows what a file holds.
    pub(super) fn hold_file(&mut self, name: &Arc<str>, before: &str, after: &str) {
        let texts = |text: &str| format::expressions(text).map(EnvoyText::Expression).collect();
        self.hold(&Subject::Input(name.clone()), &texts(before), &texts(after));
    }
}

// === impl Compiler ===

impl Compiler {
    /// Returns the texts that a refusal of Envoy blames, with the reason: those
    /// in effect of which Envoy alone can judge. Empty when the message is
    /// about something else.
    pub fn blamed(&self, message: &str) -> Vec<(EnvoyText, Arc<str>)> {
        // Not every script that is held: Envoy does not say which one it means.
        let modules = self.items.get(&Kind::Module).into_iter().flat_map(BTreeMap::values);
        let scripts: BTreeSet<&str> = modules
            .filter_map(|item| match &item.object.spec {
                Spec::Module(module) => match &module.config {
                    ModuleConfig::Ambassador(config) => config.lua_scripts.as_deref(),
                    _ => None,
                },
                _ => None,
            })
            .collect();
        let asked = self.doubts.holders.keys().filter(|text| match text {
            EnvoyText::Script(script) => scripts.contains(&**script),
            _ => true,
        });
        let unknown = asked.filter(|text| !self.doubts.refused.contains(text));
        unknown.filter_map(|text| Some((text.clone(), refusals::blame(message, text)?))).collect()
    }

    /// Every text of which Envoy alone can judge.
    pub fn judged_by_envoy(&self) -> impl Iterator<Item = &EnvoyText> {
        self.doubts.holders.keys()
    }

    /// Says whether Envoy is known to refuse a text that is held.
    pub fn is_refused(&self, text: &EnvoyText) -> bool {
        self.doubts.refused.contains(text)
    }

    /// What Envoy refused of them, with the reasons.
    pub fn refused(&self) -> impl Iterator<Item = (EnvoyText, &Arc<str>)> {
        self.doubts.refused.iter()
    }

    /// Returns the versions of an object that may be in effect, oldest first:
    /// one, unless Envoy may refuse the last one.
    pub fn versions(&self, key: &ObjectKey) -> Vec<&Arc<Object>> {
        let Some(entry) = self.entries.get(key) else { return Vec::new() };
        match &entry.doubt {
            Some(doubt) => doubt.versions().collect(),
            None => entry.good.iter().collect(),
        }
    }

    /// Takes over that Envoy refuses a text.
    pub(super) fn take_refused(&mut self, text: EnvoyText, reason: Arc<str>, dirty: &mut Dirty) {
        let Some(holders) = self.doubts.holders.get(&text).cloned() else { return };
        if self.doubts.refused.contains(&text) {
            return;
        }
        self.doubts.refused.insert(text, reason);
        // Bodies of error answers are read with the scene.
        dirty.scene = true;
        for holder in holders {
            if let Subject::Object(key) = holder {
                self.settle_doubt(&key, dirty);
            }
        }
    }

    /// Whether there are versions of an object of which Envoy may refuse some.
    pub(super) fn is_doubted(&self, key: &ObjectKey) -> bool {
        // Of most gateways there are none.
        !self.doubts.holders.is_empty()
            && self.entries.get(key).is_some_and(|entry| entry.doubt.is_some())
    }

    /// Takes an object over that holds, or held, what Envoy alone can judge.
    pub(super) fn take_doubtful(
        &mut self,
        judged: Judged,
        mut findings: Vec<Diagnostic>,
        dirty: &mut Dirty,
    ) {
        let Judged { item, findings: own, doubts, unusable } = judged;
        let (key, object) = ((*item.id.source).clone(), item.object);
        findings.extend(own);
        let entry = self.entries.entry(key.clone()).or_default();
        let known = entry.doubt.take();
        let before = known.as_ref().map(|doubt| doubt.texts()).unwrap_or_default();
        let good = entry.good.iter().map(|good| (good.clone(), BTreeSet::new())).collect();
        let mut doubt = known.unwrap_or_else(|| {
            Box::new(Doubt { versions: good, present: false, findings: Vec::new() })
        });
        doubt.findings = findings;
        if unusable {
            doubt.present = false;
        } else {
            doubt.push(object, doubts);
        }
        self.doubts.hold(&Subject::Object(key.clone()), &before, &doubt.texts());
        entry.doubt = Some(doubt);
        self.settle_doubt(&key, dirty);
        self.drop_doubt_if_none(&key);
    }

    /// Notes that the present text of an object cannot be read. Says whether
    /// there is anything to doubt.
    pub(super) fn unread_doubtful(
        &mut self,
        key: &ObjectKey,
        findings: &[Diagnostic],
        dirty: &mut Dirty,
    ) -> bool {
        let entry = self.entries.get_mut(key);
        let Some(doubt) = entry.and_then(|entry| entry.doubt.as_mut()) else { return false };
        (doubt.present, doubt.findings) = (false, findings.to_vec());
        self.settle_doubt(key, dirty);
        true
    }

    /// Forgets an object that is gone.
    pub(super) fn forget_doubt(&mut self, key: &ObjectKey) {
        let doubt = self.entries.get_mut(key).and_then(|entry| entry.doubt.take());
        if let Some(doubt) = doubt {
            let subject = Subject::Object(key.clone());
            self.doubts.hold(&subject, &doubt.texts(), &BTreeSet::new());
        }
    }

    /// A single version without such a text is as good as any other object.
    fn drop_doubt_if_none(&mut self, key: &ObjectKey) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.doubt.as_ref().is_some_and(|doubt| doubt.texts().is_empty()) {
            entry.doubt = None;
        }
    }

    /// Puts the version into effect that is left by what Envoy refused.
    fn settle_doubt(&mut self, key: &ObjectKey, dirty: &mut Dirty) {
        let Some(doubt) = self.entries.get(key).and_then(|entry| entry.doubt.as_ref()) else {
            return;
        };
        let refused = &self.doubts.refused;
        let mut findings = doubt.findings.clone();
        let judged = |object: &Arc<Object>| check::check(&Item::own(object.clone()), refused);
        if let Some((present, _)) = doubt.versions.last().filter(|_| doubt.present) {
            let judged = judged(present).findings.into_iter();
            findings.extend(judged.filter(|finding| finding.code == REFUSED));
        }
        if key.kind == Kind::Module {
            let good = doubt.versions.last().map(|(last, _)| last.clone());
            let unread = !doubt.present;
            if let Some(in_effect) =
                good.as_ref().and_then(|good| repair::usable(good, refused, &doubt.earlier()))
            {
                let refused = findings.iter().filter(|finding| finding.code == REFUSED);
                let kept = refused.filter(|finding| repair::value(&in_effect, finding).is_some());
                let kept: Vec<_> = kept.map(|finding| last_good_kept(finding, true)).collect();
                findings.extend(kept);
            }
            self.put(key, good.clone().map(Item::own), dirty);
            // Its settings may differ although it is the same version.
            self.enact(key, good.map(Item::own), dirty);
            if unread {
                self.take_broken(key, findings, dirty);
            } else {
                self.take_usable(key, findings, dirty);
            }
            return;
        }
        let usable = |(version, _): &&(_, _)| !check::is_unusable(&judged(version).findings);
        let good = doubt.versions.iter().rfind(usable).map(|(version, _)| version.clone());
        let last = doubt.versions.last().filter(|_| doubt.present).map(|(last, _)| last);
        let present = last.zip(good.as_ref()).is_some_and(|(last, good)| Arc::ptr_eq(last, good));
        self.put(key, good.map(Item::own), dirty);
        if present {
            self.take_usable(key, findings, dirty);
        } else {
            self.take_broken(key, findings, dirty);
        }
    }

    fn take_usable(&mut self, key: &ObjectKey, findings: Vec<Diagnostic>, dirty: &mut Dirty) {
        self.report(key, findings);
        self.mark_broken(key, false, dirty);
    }
}

/// Says that the last good version stays, of an object or of a setting alone.
pub(super) fn last_good_kept(model: &Diagnostic, setting: bool) -> Diagnostic {
    let (field, message) = match setting {
        true => (model.field.clone(), "the last good value stays in effect"),
        false => (String::new(), "the last good version stays in effect"),
    };
    Diagnostic {
        severity: Severity::Notice,
        code: "last-good-kept",
        field,
        message: message.to_owned(),
        remedy: "correct the errors".to_owned(),
        ..model.clone()
    }
}
