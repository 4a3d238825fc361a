//! Route configurations: the sheets of their virtual hosts, put together.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::edits::Edits;
use super::encoded::Piece;
use super::routes::Routes;
use super::sheets::Sheets;
use crate::envoy;
use crate::ir::group_id::GroupId;
use crate::ir::item::ItemId;
use crate::ir::route_table::{RouteTable, VirtualHost};
use crate::rope::{Rope, Writer};

/// One of so many virtual hosts ends a run.
const HOSTS: u64 = 16;

/// Every route configuration in use, encoded.
#[derive(Debug, Default)]
pub(super) struct Tables {
    tables: Vec<Table>,
    /// Position of a table, and of a virtual host in it, by Host.
    by_host: BTreeMap<ItemId, Vec<(usize, usize)>>,
    sheets: Sheets,
}

/// One route configuration, encoded in runs of virtual hosts.
#[derive(Debug)]
struct Table {
    head: Vec<u8>,
    runs: Vec<(Range<usize>, Rope)>,
}

// === impl Tables ===

impl Tables {
    /// Takes edits of Hosts over; returns the positions of the tables that they
    /// changed, with their encodings.
    pub(super) fn edit(
        &mut self,
        edits: &Edits,
        scene: &[RouteTable],
        challenge: Option<&Arc<Piece>>,
        routes: &Routes,
    ) -> Vec<(usize, Rope)> {
        self.sheets.edit(edits, routes);
        let mut dirty: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (table, host) in edits.keys().filter_map(|host| self.by_host.get(host)).flatten() {
            let first_past = self.tables[*table].runs.partition_point(|(run, _)| run.end <= *host);
            dirty.entry(*table).or_default().insert(first_past);
        }
        let mut changed = Vec::new();
        for (position, runs) in dirty {
            let table = &mut self.tables[position];
            let hosts = &scene[position].virtual_hosts;
            for run in runs {
                let (range, rope) = &mut table.runs[run];
                *rope = self.sheets.run(&hosts[range.clone()], challenge, routes);
            }
            changed.push((position, table.rope()));
        }
        changed
    }

    /// Encodes the tables of a new scene; returns their encodings.
    pub(super) fn remake(
        &mut self,
        edits: &Edits,
        scene: &[RouteTable],
        challenge: Option<&Arc<Piece>>,
        routes: &Routes,
    ) -> Vec<Rope> {
        self.sheets.edit(edits, routes);
        self.sheets.retain(scene.iter().flat_map(|table| &table.virtual_hosts));
        self.tables.clear();
        self.by_host.clear();
        for (position, table) in scene.iter().enumerate() {
            for (at, host) in table.virtual_hosts.iter().enumerate() {
                if let Some(id) = &host.host {
                    self.by_host.entry(id.clone()).or_default().push((position, at));
                }
            }
            let hosts = &table.virtual_hosts;
            let encode = |range: Range<usize>| {
                let rope = self.sheets.run(&hosts[range.clone()], challenge, routes);
                (range, rope)
            };
            self.tables.push(Table {
                head: envoy::virtual_host::begin_configuration(&table.name, table.offers_http3),
                runs: runs(hosts).into_iter().map(encode).collect(),
            });
        }
        self.tables.iter().map(Table::rope).collect()
    }

    /// Returns how many routes a Host has, and the groups whose routes keep them
    /// from a tree, in order.
    pub(super) fn broad(&self, host: &ItemId) -> Option<(usize, Vec<GroupId>)> {
        self.sheets.broad(host)
    }
}

/// Splits virtual hosts into runs, by their names alone: a Host that comes or
/// goes leaves all runs but its own as they are.
fn runs(hosts: &[VirtualHost]) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    for (at, host) in hosts.iter().enumerate() {
        if xxh3_64(host.name.as_bytes()).is_multiple_of(HOSTS) || at + 1 == hosts.len() {
            runs.push(start..at + 1);
            start = at + 1;
        }
    }
    runs
}

// === impl Table ===

impl Table {
    fn rope(&self) -> Rope {
        let mut writer = Writer::default();
        writer.buffer().extend_from_slice(&self.head);
        self.runs.iter().for_each(|(_, run)| writer.share_all(run));
        writer.finish()
    }
}

// === impl Sheets ===

impl Sheets {
    /// Encodes virtual hosts, one after the other.
    fn run(
        &mut self,
        hosts: &[VirtualHost],
        challenge: Option<&Arc<Piece>>,
        routes: &Routes,
    ) -> Rope {
        let mut writer = Writer::default();
        for host in hosts {
            let sheet = self.sheet(host, challenge, routes);
            let length = sheet.len();
            envoy::virtual_host::begin_virtual_host(
                &host.name,
                &host.domain,
                length,
                writer.buffer(),
            );
            sheet.append(&mut writer);
        }
        writer.finish()
    }
}
