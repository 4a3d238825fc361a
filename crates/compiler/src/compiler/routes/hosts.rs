//! Hosts, and which groups each of them holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::edits::{Edit, Edits, GroupEdit, Groups};
use super::super::encoded::{Encoded, Place};
use super::super::index::{Lookup, Number, Slab};
use super::super::reports::Reports;
use super::Routes;
use super::built::Built;
use crate::ir::glob;
use crate::ir::host::Host;
use crate::ir::item::ItemId;
use crate::ir::mapping::HostMatch;
use crate::ir::stage::Stage;

/// What a group had before it was redone.
pub(super) struct Held {
    place: Option<Place>,
    encoded: Arc<Encoded>,
    hosts: Vec<Number>,
}

/// A Host as far as it decides about groups.
#[derive(Debug)]
struct Table {
    id: ItemId,
    hostname: String,
    selector: Option<BTreeMap<String, String>>,
    groups: Groups,
}

/// Every Host.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    tables: Slab<Table>,
    numbers: Lookup<ItemId, Number>,
    /// Tables with a literal hostname, and the others: most Mappings name one
    /// host, and need not be held against all.
    literal: Lookup<String, BTreeSet<Number>>,
    other: BTreeSet<Number>,
    edits: BTreeMap<Number, Edit>,
}

// === impl Held ===

impl Held {
    /// Takes what a group has, which is about to be redone.
    pub(super) fn take(built: &mut Built) -> Self {
        Self {
            place: built.place.take(),
            encoded: std::mem::take(&mut built.encoded),
            hosts: std::mem::take(&mut built.hosts),
        }
    }
}

// === impl Routes ===

impl Routes {
    /// Takes over the Hosts of a new scene.
    pub(in super::super) fn set_hosts(
        &mut self,
        hosts: &[Host],
        stage: &Stage,
        reports: &mut Reports,
    ) {
        let wanted: BTreeMap<&ItemId, &Host> = hosts.iter().map(|host| (host.id(), host)).collect();
        let is_stale = |table: &Table| {
            wanted.get(&table.id).is_none_or(|host| {
                host.hostname != table.hostname || host.selector != table.selector
            })
        };
        let stale: BTreeSet<Number> = self
            .hosts
            .tables
            .numbers()
            .filter(|number| self.hosts.tables.get(*number).is_some_and(is_stale))
            .collect();
        let mut touched = !stale.is_empty();
        for number in &stale {
            self.hosts.remove(*number);
        }
        for built in self.groups.values_mut().filter(|_| touched) {
            built.hosts.retain(|host| !stale.contains(host));
        }
        for (id, host) in wanted {
            if !self.hosts.numbers.contains_key(id) {
                touched = true;
                self.add_host(host, stage);
            }
        }
        if touched {
            self.groups.values().for_each(|built| built.report_attachment(reports));
        }
    }

    fn add_host(&mut self, host: &Host, stage: &Stage) {
        let number = self.hosts.add(host);
        let Some(table) = self.hosts.tables.get_mut(number) else { return };
        for built in self.groups.values_mut() {
            let Some(place) = &built.place else { continue };
            if built.group.attaches(&table.hostname, table.selector.as_ref(), stage) {
                table.groups.insert(place.clone(), built.encoded.clone());
                if let Err(at) = built.hosts.binary_search(&number) {
                    built.hosts.insert(at, number);
                }
            }
        }
    }
}

// === impl Hosts ===

impl Hosts {
    fn add(&mut self, host: &Host) -> Number {
        let table = Table {
            id: host.id().clone(),
            hostname: host.hostname.clone(),
            selector: host.selector.clone(),
            groups: Groups::new(),
        };
        let number = self.tables.insert(table);
        self.numbers.insert(host.id().clone(), number);
        if glob::is_glob(&host.hostname) || host.selector.is_some() {
            self.other.insert(number);
        } else {
            self.literal.entry(host.hostname.clone()).or_default().insert(number);
        }
        self.edits.insert(number, Edit::Whole);
        number
    }

    fn remove(&mut self, number: Number) {
        let Some(table) = self.tables.remove(number) else { return };
        self.numbers.remove(&table.id);
        self.edits.remove(&number);
        self.other.remove(&number);
        if let Some(same) = self.literal.get_mut(&table.hostname) {
            same.remove(&number);
            if same.is_empty() {
                self.literal.remove(&table.hostname);
            }
        }
    }

    pub(super) fn table(&self, host: &ItemId) -> Option<&Groups> {
        self.tables.get(*self.numbers.get(host)?).map(|table| &table.groups)
    }

    /// Hands over what changed.
    pub(super) fn drain(&mut self) -> Edits {
        let edits = std::mem::take(&mut self.edits).into_iter();
        edits
            .filter_map(|(number, edit)| Some((self.tables.get(number)?.id.clone(), edit)))
            .collect()
    }

    /// Notes what a group changed of the Hosts that held it or hold it now.
    pub(super) fn note(&mut self, before: &Held, built: &Built) {
        let none = Arc::<Encoded>::default();
        let stays = before.place == built.place;
        let same = stays && before.encoded == built.encoded;
        let held = |host: &Number| before.hosts.binary_search(host).is_ok();
        let newcomers = built.hosts.iter().filter(|host| !held(host));
        for host in before.hosts.iter().chain(newcomers) {
            let (held, holds) = (held(host), built.hosts.binary_search(host).is_ok());
            if same && held && holds {
                continue;
            }
            let edit = self.edits.entry(*host).or_insert_with(|| Edit::Groups(Vec::new()));
            let Edit::Groups(edits) = edit else { continue };
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

    /// Brings the Hosts in line with what a group is now, and was before.
    pub(super) fn attach(&mut self, before: &Held, built: &mut Built, stage: &Stage) {
        let hosts = self.takers(built, stage);
        let stays = before.place == built.place;
        if let Some(place) = &before.place {
            let left = |host: &&Number| !stays || hosts.binary_search(host).is_err();
            for host in before.hosts.iter().filter(left) {
                self.tables.get_mut(*host).map(|table| table.groups.remove(place));
            }
        }
        if let Some(place) = &built.place {
            for host in &hosts {
                let Some(table) = self.tables.get_mut(*host) else { continue };
                table.groups.insert(place.clone(), built.encoded.clone());
            }
        }
        built.hosts = hosts;
    }

    /// Returns the Hosts that take a group, ascending.
    fn takers(&self, built: &Built, stage: &Stage) -> Vec<Number> {
        let Some(first) = built.group.first() else { return Vec::new() };
        let takes = |number: &Number| {
            self.tables.get(*number).is_some_and(|table| {
                built.group.attaches(&table.hostname, table.selector.as_ref(), stage)
            })
        };
        let literal = match &first.host {
            HostMatch::Glob(name) if !first.internal && !glob::is_glob(name) => Some(name),
            _ => None,
        };
        let Some(name) = literal else { return self.tables.numbers().filter(takes).collect() };
        let same = self.literal.get(name).into_iter().flatten();
        let mut takers: Vec<Number> = same.chain(&self.other).copied().filter(takes).collect();
        takers.sort_unstable();
        takers
    }
}
