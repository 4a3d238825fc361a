//! Encoded routes of virtual hosts, and how they follow an edit.

mod sheet;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::edits::{Edit, Edits};
use super::encoded::Piece;
use super::routes::Routes;
use crate::ir::group_id::GroupId;
use crate::ir::item::ItemId;
use crate::ir::route_table::{Profile, VirtualHost};
pub(super) use sheet::Sheet;

/// What virtual hosts make of a Host: the profile, and whether challenges are
/// answered first. Those of several route configurations that agree share a
/// sheet.
type Use = (Profile, bool);

/// Encoded routes of every virtual host in use, by Host.
#[derive(Debug, Default)]
pub(super) struct Sheets {
    by_host: BTreeMap<Option<ItemId>, BTreeMap<Use, Sheet>>,
}

// === impl Sheets ===

impl Sheets {
    /// Takes edits over.
    pub(super) fn edit(&mut self, edits: &Edits, routes: &Routes) {
        for (host, edit) in edits {
            let key = Some(host.clone());
            match edit {
                Edit::Whole => {
                    self.by_host.remove(&key);
                }
                Edit::Groups(groups) => {
                    for sheet in
                        self.by_host.get_mut(&key).into_iter().flat_map(BTreeMap::values_mut)
                    {
                        sheet.edit(groups, routes.table(host));
                    }
                }
            }
        }
    }

    /// Drops what no virtual host uses.
    pub(super) fn retain<'a>(&mut self, used: impl Iterator<Item = &'a VirtualHost>) {
        let used: BTreeSet<_> =
            used.map(|host| (host.host.as_ref(), host.profile, host.challenges)).collect();
        self.by_host.retain(|host, sheets| {
            sheets.retain(|(profile, challenges), _| {
                used.contains(&(host.as_ref(), *profile, *challenges))
            });
            !sheets.is_empty()
        });
    }

    /// Returns the routes of a virtual host. `challenge` is the route that
    /// leads to the answers of challenges.
    pub(super) fn sheet(
        &mut self,
        host: &VirtualHost,
        challenge: Option<&Arc<Piece>>,
        routes: &Routes,
    ) -> &Sheet {
        let challenge = challenge.filter(|_| host.challenges);
        let sheets = self.by_host.entry(host.host.clone()).or_default();
        let key = (host.profile, host.challenges);
        if sheets.get(&key).is_some_and(|sheet| sheet.challenge() != challenge) {
            sheets.remove(&key);
        }
        let table = host.host.as_ref().and_then(|id| routes.table(id));
        sheets.entry(key).or_insert_with(|| Sheet::new(host.profile, challenge, table))
    }

    /// Returns how many routes a Host has, and the groups whose routes keep them
    /// from a tree, in order. None where they have one, or need none.
    pub(super) fn broad(&self, host: &ItemId) -> Option<(usize, Vec<GroupId>)> {
        let sheets = self.by_host.get(&Some(host.clone()))?.values();
        sheets.map(|sheet| (sheet.count(), sheet.broad())).find(|(_, groups)| !groups.is_empty())
    }
}
