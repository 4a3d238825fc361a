//! Mappings, their groups, and which Host holds which group in which order.

mod built;
mod hosts;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use nuncio_api::{Diagnostic, ObjectKey};

use super::clusters::Clusters;
use super::edits::{Edits, Groups};
use super::index::{Few, Lookup, Number, Slab};
use super::reports::{Pass, Reports};
use crate::ir::endpoints::Services;
use crate::ir::group_id::GroupId;
use crate::ir::item::{Item, ItemId};
use crate::ir::mapping::{self, Mapping};
use crate::ir::stage::Stage;
use crate::parallel;
use built::{Built, Merged};
use hosts::{Held, Hosts};

/// What routes are made of beside the Mappings, and how fast.
pub(super) struct Around<'a> {
    pub(super) stage: &'a Stage,
    pub(super) services: &'a Services,
    pub(super) threads: NonZeroUsize,
}

/// One Mapping.
#[derive(Debug)]
struct Entry {
    id: ItemId,
    item: Option<Item>,
    parsed: Option<Parsed>,
}

/// A Mapping that is in effect.
#[derive(Debug)]
struct Parsed {
    mapping: Arc<Mapping>,
    group: Number,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Routes {
    mappings: Slab<Entry>,
    numbers: Lookup<ItemId, Number>,
    depends_on: BTreeMap<(String, String), Few<Number>>,
    groups: Slab<Built>,
    group_numbers: Lookup<GroupId, Number>,
    hosts: Hosts,
    dirty_groups: BTreeSet<Number>,
}

// === impl Routes ===

impl Routes {
    /// Puts a Mapping's object in or takes it out; returns its number, under
    /// which it is then to be parsed.
    pub(super) fn set_item(&mut self, id: &ItemId, item: Option<Item>) -> Number {
        if let Some(number) = self.numbers.get(id) {
            if let Some(entry) = self.mappings.get_mut(*number) {
                entry.item = item;
            }
            return *number;
        }
        let number = self.mappings.insert(Entry { id: id.clone(), item, parsed: None });
        self.numbers.insert(id.clone(), number);
        number
    }

    /// Every Mapping.
    pub(super) fn numbers(&self) -> impl Iterator<Item = Number> {
        self.mappings.numbers()
    }

    /// The Mappings of a group.
    pub(super) fn members(&self, group: GroupId) -> impl Iterator<Item = &Arc<Mapping>> {
        let built = self.group_numbers.get(&group).and_then(|number| self.groups.get(*number));
        built.into_iter().flat_map(Built::members)
    }

    /// The Mapping of this number, where it is in effect.
    pub(super) fn parsed(&self, number: Number) -> Option<&Mapping> {
        Some(&self.mappings.get(number)?.parsed.as_ref()?.mapping)
    }

    /// Mappings whose cluster depends on a Service.
    pub(super) fn dependents(&self, service: &(String, String)) -> impl Iterator<Item = Number> {
        self.depends_on.get(service).into_iter().flat_map(Few::iter).copied()
    }

    /// Parses Mappings anew. `internal` says of which the gateway itself is the
    /// author.
    pub(super) fn parse(
        &mut self,
        numbers: &BTreeSet<Number>,
        internal: impl Fn(&ItemId) -> bool,
        around: &Around<'_>,
        clusters: &mut Clusters,
        reports: &mut Reports,
    ) {
        let numbers: Vec<Number> = numbers.iter().copied().collect();
        let read = |number: &Number| {
            let item = self.mappings.get(*number)?.item.as_ref()?;
            Some(mapping::parse(item, around.stage, around.services))
        };
        let outcomes = parallel::map(&numbers, around.threads, read);
        for (number, outcome) in numbers.into_iter().zip(outcomes) {
            let (parsed, findings) = outcome.unwrap_or_default();
            self.store(number, parsed, findings, &internal, clusters, reports);
        }
    }

    fn store(
        &mut self,
        number: Number,
        parsed: Option<Mapping>,
        findings: Vec<Diagnostic>,
        internal: impl Fn(&ItemId) -> bool,
        clusters: &mut Clusters,
        reports: &mut Reports,
    ) {
        let Some(entry) = self.mappings.get_mut(number) else { return };
        let id = entry.id.clone();
        let former = entry.parsed.take();
        if entry.item.is_none() {
            self.mappings.remove(number);
            self.numbers.remove(&id);
        }
        reports.set_item(&id, Pass::Mapping, findings);
        reports.set_item(&id, Pass::Attachment, Vec::new());
        if let Some(former) = former {
            self.leave(number, &former, reports);
        }
        clusters.set(number, &id, parsed.as_ref().and_then(|mapping| mapping.target.as_ref()));
        let Some(mut mapping) = parsed else { return };
        mapping.internal = internal(&id);
        if let Some(service) = &mapping.depends_on {
            self.depends_on.entry(service.clone()).or_default().insert(number);
        }
        let mapping = Arc::new(mapping);
        let group = *self
            .group_numbers
            .entry(mapping.group)
            .or_insert_with(|| self.groups.insert(Built::new(mapping.group)));
        self.dirty_groups.insert(group);
        if let Some(built) = self.groups.get_mut(group) {
            built.join(mapping.clone());
        }
        if let Some(entry) = self.mappings.get_mut(number) {
            entry.parsed = Some(Parsed { mapping, group });
        }
    }

    /// Takes a former version of a Mapping out of where it was.
    fn leave(&mut self, number: Number, former: &Parsed, reports: &mut Reports) {
        if let Some(built) = self.groups.get_mut(former.group) {
            built.leave(&former.mapping, reports);
        }
        self.dirty_groups.insert(former.group);
        if let Some(service) = &former.mapping.depends_on
            && let Some(users) = self.depends_on.get_mut(service)
        {
            users.remove(&number);
            if users.is_empty() {
                self.depends_on.remove(service);
            }
        }
    }

    /// Marks the groups of Mappings whose cluster got another name.
    pub(super) fn renamed(&mut self, mappings: Vec<Number>) {
        let parsed = mappings.into_iter().filter_map(|number| self.mappings.get(number));
        self.dirty_groups.extend(parsed.filter_map(|entry| Some(entry.parsed.as_ref()?.group)));
    }

    /// Redoes the groups that changed; returns what that changed of the Hosts'
    /// routes.
    pub(super) fn flush(
        &mut self,
        around: &Around<'_>,
        clusters: &Clusters,
        reports: &mut Reports,
    ) -> Edits {
        let published = |item: &ItemId| {
            self.numbers.get(item).map(|number| clusters.published(*number)).unwrap_or_default()
        };
        let dirty: Vec<Number> = std::mem::take(&mut self.dirty_groups).into_iter().collect();
        let merge =
            |number: &Number| Some(Merged::of(self.groups.get(*number)?, around.stage, &published));
        let merged = parallel::map(&dirty, around.threads, merge);
        for (number, merged) in dirty.into_iter().zip(merged) {
            let (Some(built), Some(merged)) = (self.groups.get_mut(number), merged) else {
                continue;
            };
            let before = Held::take(built);
            built.take(merged, reports);
            self.hosts.attach(&before, built, around.stage);
            self.hosts.note(&before, built);
            built.report_attachment(reports);
            if built.is_empty() {
                self.group_numbers.remove(&built.id);
                self.groups.remove(number);
            }
        }
        self.hosts.drain()
    }

    /// The encoded groups of a Host, in order.
    pub(super) fn table(&self, host: &ItemId) -> Option<&Groups> {
        self.hosts.table(host)
    }

    /// Objects whose routes a Host holds.
    pub(super) fn sources(&self, host: &ItemId) -> BTreeSet<ObjectKey> {
        let groups = self.table(host).into_iter().flat_map(BTreeMap::keys);
        groups
            .filter_map(|place| self.groups.get(*self.group_numbers.get(&place.group()?)?))
            .flat_map(|built| built.members().map(|m| (*m.item.id.source).clone()))
            .collect()
    }
}
