//! One group with what was made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api::Diagnostic;

use super::super::encoded::{Encoded, Place};
use super::super::index::Number;
use super::super::reports::{Pass, Reports};
use crate::ir::group::Group;
use crate::ir::group_id::GroupId;
use crate::ir::item::ItemId;
use crate::ir::mapping::Mapping;
use crate::ir::stage::Stage;

/// One group with what was made of it.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) id: GroupId,
    /// Mappings of the group, used or not, in processing order.
    candidates: Vec<Arc<Mapping>>,
    pub(super) group: Group,
    pub(super) place: Option<Place>,
    pub(super) encoded: Arc<Encoded>,
    /// Hosts that hold it, ascending.
    pub(super) hosts: Vec<Number>,
    reported: BTreeSet<ItemId>,
}

/// What the candidates of a group make.
pub(super) struct Merged {
    group: Group,
    place: Option<Place>,
    encoded: Arc<Encoded>,
}

// === impl Built ===

impl Built {
    pub(super) fn new(id: GroupId) -> Self {
        Self {
            id,
            candidates: Vec::new(),
            group: Group::default(),
            place: None,
            encoded: Arc::default(),
            hosts: Vec::new(),
            reported: BTreeSet::new(),
        }
    }

    /// Takes a Mapping in, or another version of it.
    pub(super) fn join(&mut self, mapping: Arc<Mapping>) {
        match self.candidates.binary_search_by(|known| known.item.id.cmp(&mapping.item.id)) {
            Ok(at) => self.candidates[at] = mapping,
            Err(at) => self.candidates.insert(at, mapping),
        }
    }

    /// Lets a Mapping go.
    pub(super) fn leave(&mut self, mapping: &Mapping, reports: &mut Reports) {
        let id = &mapping.item.id;
        if let Ok(at) = self.candidates.binary_search_by(|known| known.item.id.cmp(id)) {
            self.candidates.remove(at);
        }
        // Another group may speak of it from now on, and may be redone before
        // this one.
        if self.reported.remove(id) {
            reports.set_item(id, Pass::Group, Vec::new());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Every Mapping in effect.
    pub(super) fn members(&self) -> impl Iterator<Item = &Arc<Mapping>> {
        self.group.members()
    }

    /// Takes over what its candidates were merged to.
    pub(super) fn take(&mut self, merged: Merged, reports: &mut Reports) {
        for member in &self.candidates {
            reports.set_item(&member.item.id, Pass::Attachment, Vec::new());
        }
        let Merged { group, place, encoded } = merged;
        (self.group, self.place, self.encoded) = (group, place, encoded);
        let mut by_item: BTreeMap<ItemId, Vec<Diagnostic>> = BTreeMap::new();
        for (item, finding) in std::mem::take(&mut self.group.findings) {
            by_item.entry(item).or_default().push(finding);
        }
        for item in std::mem::take(&mut self.reported) {
            if !by_item.contains_key(&item) {
                reports.set_item(&item, Pass::Group, Vec::new());
            }
        }
        for (item, findings) in by_item {
            reports.set_item(&item, Pass::Group, findings);
            self.reported.insert(item);
        }
    }

    /// A Mapping that no Host takes serves nothing; say so.
    pub(super) fn report_attachment(&self, reports: &mut Reports) {
        let lonely = self.hosts.is_empty();
        for member in self.group.members() {
            let findings = if lonely {
                vec![member.item.warning(
                    "no-host",
                    "spec.hostname",
                    "no Host takes this Mapping, so it serves nothing",
                    "set hostname to match a Host, or labels to match its mappingSelector",
                )]
            } else {
                Vec::new()
            };
            reports.set_item(&member.item.id, Pass::Attachment, findings);
        }
    }
}

// === impl Merged ===

impl Merged {
    /// Sorts the candidates of a group out and encodes their routes. `clusters`
    /// names the published cluster of each.
    pub(super) fn of(built: &Built, stage: &Stage, clusters: &dyn Fn(&ItemId) -> Arc<str>) -> Self {
        let group = Group::of(&built.candidates);
        let Some(first) = group.first() else {
            return Self { group, place: None, encoded: Arc::default() };
        };
        let place = Place::of(first.rank.clone(), built.id);
        let encoded = Arc::new(Encoded::of(&group.routes(stage, clusters), &place, stage));
        Self { group, place: Some(place), encoded }
    }
}
