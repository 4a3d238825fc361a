//! Mappings, their groups, and which Host holds which group in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api::{Diagnostic, ObjectKey};

use super::clusters::Clusters;
use super::encoded::{Encoded, Place};
use super::reports::{Pass, Reports};
use super::sheets::Groups;
use crate::ir::endpoints::Services;
use crate::ir::glob;
use crate::ir::group::Group;
use crate::ir::host::Host;
use crate::ir::item::{Item, ItemId};
use crate::ir::mapping::{self, GroupId, HostMatch, Mapping};
use crate::ir::scene::Stage;

/// How the routes of a Host changed.
#[derive(Debug)]
pub(super) enum Edit {
    /// The Host is new, or takes other groups.
    Whole,
    /// These groups came, went, or are encoded otherwise.
    Groups(Vec<GroupEdit>),
}

/// How the routes of one group changed; there are none where it is not.
#[derive(Debug)]
pub(super) struct GroupEdit {
    pub(super) place: Place,
    pub(super) before: Arc<Encoded>,
    pub(super) after: Arc<Encoded>,
}

/// What changed, by Host.
pub(super) type Edits = BTreeMap<ItemId, Edit>;

/// One group with what was made of it.
#[derive(Debug, Default)]
struct Built {
    members: BTreeMap<ItemId, Arc<Mapping>>,
    group: Group,
    place: Option<Place>,
    encoded: Arc<Encoded>,
    hosts: BTreeSet<ItemId>,
    reported: BTreeSet<ItemId>,
}

/// What a group had before it was redone.
struct Held {
    place: Option<Place>,
    encoded: Arc<Encoded>,
    hosts: BTreeSet<ItemId>,
}

/// A Host as far as it decides about groups.
#[derive(Debug)]
struct Table {
    hostname: String,
    selector: Option<BTreeMap<String, String>>,
    groups: Groups,
}

// === impl Edit ===

impl Edit {
    fn none() -> Self {
        Self::Groups(Vec::new())
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Routes {
    items: BTreeMap<ItemId, Item>,
    mappings: BTreeMap<ItemId, Arc<Mapping>>,
    depends_on: BTreeMap<(String, String), BTreeSet<ItemId>>,
    groups: BTreeMap<GroupId, Built>,
    tables: BTreeMap<ItemId, Table>,
    /// Tables with a literal hostname, and the others: most Mappings name one
    /// host, and need not be held against all.
    literal: BTreeMap<String, BTreeSet<ItemId>>,
    other: BTreeSet<ItemId>,
    dirty_groups: BTreeSet<GroupId>,
    edits: Edits,
}

impl Routes {
    /// Puts a Mapping's object in or takes it out.
    pub(super) fn set_item(&mut self, id: &ItemId, item: Option<Item>) {
        match item {
            Some(item) => self.items.insert(id.clone(), item),
            None => self.items.remove(id),
        };
    }

    /// Every Mapping.
    pub(super) fn ids(&self) -> impl Iterator<Item = &ItemId> {
        self.items.keys()
    }

    /// The Mappings of a group.
    pub(super) fn members(&self, group: GroupId) -> impl Iterator<Item = &Arc<Mapping>> {
        self.groups.get(&group).into_iter().flat_map(|built| built.group.members())
    }

    /// Mappings whose cluster depends on a Service.
    pub(super) fn dependents(&self, service: &(String, String)) -> Vec<ItemId> {
        self.depends_on.get(service).into_iter().flatten().cloned().collect()
    }

    /// Parses a Mapping anew.
    pub(super) fn parse(
        &mut self,
        id: &ItemId,
        internal: bool,
        stage: &Stage,
        services: &Services,
        clusters: &mut Clusters,
        reports: &mut Reports,
    ) {
        let (parsed, findings) = match self.items.get(id) {
            Some(item) => mapping::parse(item, stage, services),
            None => (None, Vec::new()),
        };
        reports.set_item(id, Pass::Mapping, findings);
        reports.set_item(id, Pass::Attachment, Vec::new());
        if let Some(old) = self.mappings.remove(id) {
            if let Some(built) = self.groups.get_mut(&old.group) {
                built.members.remove(id);
                // Another group may speak of it from now on, and may be redone
                // before this one.
                if built.reported.remove(id) {
                    reports.set_item(id, Pass::Group, Vec::new());
                }
            }
            self.dirty_groups.insert(old.group);
            if let Some(service) = &old.depends_on
                && let Some(users) = self.depends_on.get_mut(service)
            {
                users.remove(id);
                if users.is_empty() {
                    self.depends_on.remove(service);
                }
            }
        }
        clusters.set(id, parsed.as_ref().and_then(|mapping| mapping.target.as_ref()));
        let Some(mut mapping) = parsed else { return };
        mapping.internal = internal;
        if let Some(service) = &mapping.depends_on {
            self.depends_on.entry(service.clone()).or_default().insert(id.clone());
        }
        let mapping = Arc::new(mapping);
        self.dirty_groups.insert(mapping.group);
        let built = self.groups.entry(mapping.group).or_default();
        built.members.insert(id.clone(), mapping.clone());
        self.mappings.insert(id.clone(), mapping);
    }

    /// Marks the groups of items whose cluster got another name.
    pub(super) fn renamed(&mut self, items: &BTreeSet<ItemId>) {
        for id in items {
            if let Some(mapping) = self.mappings.get(id) {
                self.dirty_groups.insert(mapping.group);
            }
        }
    }

    /// Takes over the Hosts of a new scene.
    pub(super) fn set_hosts(&mut self, hosts: &[Host], stage: &Stage, reports: &mut Reports) {
        let wanted: BTreeMap<&ItemId, &Host> = hosts.iter().map(|host| (host.id(), host)).collect();
        let stale: Vec<ItemId> = self
            .tables
            .iter()
            .filter(|(id, table)| {
                wanted.get(id).is_none_or(|host| {
                    host.hostname != table.hostname || host.selector != table.selector
                })
            })
            .map(|(id, _)| id.clone())
            .collect();
        let mut touched = !stale.is_empty();
        for id in stale {
            self.remove_table(&id);
        }
        for (id, host) in wanted {
            if !self.tables.contains_key(id) {
                touched = true;
                self.add_table(id, host, stage);
            }
        }
        if touched {
            for built in self.groups.values_mut() {
                built.report_attachment(reports);
            }
        }
    }

    fn remove_table(&mut self, id: &ItemId) {
        let Some(table) = self.tables.remove(id) else { return };
        self.other.remove(id);
        if let Some(same) = self.literal.get_mut(&table.hostname) {
            same.remove(id);
            if same.is_empty() {
                self.literal.remove(&table.hostname);
            }
        }
        for group in table.groups.keys().filter_map(Place::group) {
            if let Some(built) = self.groups.get_mut(&group) {
                built.hosts.remove(id);
            }
        }
    }

    fn add_table(&mut self, id: &ItemId, host: &Host, stage: &Stage) {
        let mut table = Table {
            hostname: host.hostname.clone(),
            selector: host.selector.clone(),
            groups: Groups::new(),
        };
        for built in self.groups.values_mut() {
            let Some(place) = &built.place else { continue };
            if built.group.attaches(&table.hostname, table.selector.as_ref(), stage) {
                table.groups.insert(place.clone(), built.encoded.clone());
                built.hosts.insert(id.clone());
            }
        }
        if glob::is_glob(&host.hostname) || host.selector.is_some() {
            self.other.insert(id.clone());
        } else {
            self.literal.entry(host.hostname.clone()).or_default().insert(id.clone());
        }
        self.edits.insert(id.clone(), Edit::Whole);
        self.tables.insert(id.clone(), table);
    }

    /// Redoes the groups that changed; returns what that changed of the Hosts'
    /// routes.
    pub(super) fn flush(
        &mut self,
        stage: &Stage,
        clusters: &Clusters,
        reports: &mut Reports,
    ) -> Edits {
        for id in std::mem::take(&mut self.dirty_groups) {
            let Some(mut built) = self.groups.remove(&id) else { continue };
            let before = self.detach(&mut built);
            built.rebuild(id, stage, clusters, reports);
            self.attach(&mut built, stage);
            self.note(&before, &built);
            built.report_attachment(reports);
            if !built.members.is_empty() {
                self.groups.insert(id, built);
            }
        }
        std::mem::take(&mut self.edits)
    }

    /// Notes what a group changed of the Hosts that held it or hold it now.
    fn note(&mut self, before: &Held, built: &Built) {
        let none = Arc::<Encoded>::default();
        let stays = before.place == built.place;
        let same = stays && before.encoded == built.encoded;
        for host in before.hosts.union(&built.hosts) {
            let (held, holds) = (before.hosts.contains(host), built.hosts.contains(host));
            if same && held && holds {
                continue;
            }
            let edits = match self.edits.entry(host.clone()).or_insert_with(Edit::none) {
                Edit::Whole => continue,
                Edit::Groups(edits) => edits,
            };
            let mut push = |place: &Option<Place>, before: &Arc<Encoded>, after: &Arc<Encoded>| {
                let edit =
                    |place| GroupEdit { place, before: before.clone(), after: after.clone() };
                edits.extend(place.clone().map(edit));
            };
            let old = if held { &before.encoded } else { &none };
            let new = if holds { &built.encoded } else { &none };
            if stays {
                push(&built.place, old, new);
            } else {
                push(&before.place, old, &none);
                push(&built.place, &none, new);
            }
        }
    }

    fn detach(&mut self, built: &mut Built) -> Held {
        let held = Held {
            place: built.place.take(),
            encoded: std::mem::take(&mut built.encoded),
            hosts: std::mem::take(&mut built.hosts),
        };
        if let Some(place) = &held.place {
            for host in &held.hosts {
                if let Some(table) = self.tables.get_mut(host) {
                    table.groups.remove(place);
                }
            }
        }
        held
    }

    fn attach(&mut self, built: &mut Built, stage: &Stage) {
        let Some(place) = built.place.clone() else { return };
        let Some(first) = built.group.first() else { return };
        let literal = match &first.host {
            HostMatch::Glob(name) if !first.internal && !glob::is_glob(name) => Some(name),
            _ => None,
        };
        let candidates: Vec<ItemId> = match literal {
            Some(name) => {
                self.literal.get(name).into_iter().flatten().chain(&self.other).cloned().collect()
            }
            None => self.tables.keys().cloned().collect(),
        };
        for id in candidates {
            let Some(table) = self.tables.get_mut(&id) else { continue };
            if built.group.attaches(&table.hostname, table.selector.as_ref(), stage) {
                table.groups.insert(place.clone(), built.encoded.clone());
                built.hosts.insert(id);
            }
        }
    }

    /// The encoded groups of a Host, in order.
    pub(super) fn table(&self, host: &ItemId) -> Option<&Groups> {
        self.tables.get(host).map(|table| &table.groups)
    }

    /// Objects whose routes a Host holds.
    pub(super) fn sources(&self, host: &ItemId) -> BTreeSet<ObjectKey> {
        let mut keys = BTreeSet::new();
        if let Some(table) = self.tables.get(host) {
            for id in table.groups.keys().filter_map(Place::group) {
                if let Some(built) = self.groups.get(&id) {
                    keys.extend(built.group.members().map(|m| (*m.item.id.source).clone()));
                }
            }
        }
        keys
    }
}

impl Built {
    fn rebuild(&mut self, id: GroupId, stage: &Stage, clusters: &Clusters, reports: &mut Reports) {
        for id in self.members.keys() {
            reports.set_item(id, Pass::Attachment, Vec::new());
        }
        self.group = Group::of(self.members.values());
        self.place = self.group.first().map(|first| Place::of(first.rank.clone(), id));
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
        let Some(place) = &self.place else {
            self.encoded = Arc::default();
            return;
        };
        let routes = self.group.routes(stage, &|item| clusters.published(item));
        self.encoded = Arc::new(Encoded::of(&routes, place, stage));
    }

    /// A Mapping that no Host takes serves nothing; say so.
    fn report_attachment(&mut self, reports: &mut Reports) {
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
