//! Encoded routes of one virtual host.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::edits::{GroupEdit, Groups};
use super::super::encoded::{Piece, Place, Slot};
use crate::envoy::route_index::{Index, THRESHOLD};
use crate::envoy::virtual_host;
use crate::ir::group_id::GroupId;
use crate::ir::route_table::Profile;
use crate::rope::Writer;
use crate::runs::{RunKey as _, Runs, Span};

/// The routes of a virtual host as its fields: a list, or above a number of
/// routes a tree that leads to short lists.
#[derive(Debug)]
pub(in super::super) struct Sheet {
    profile: Profile,
    challenge: Option<Arc<Piece>>,
    /// How many routes there are.
    count: usize,
    /// Kept from so many routes on that a tree is possible.
    index: Option<Index<Slot>>,
    /// The list, if there is no tree.
    list: Option<Runs<Place>>,
}

// === impl Sheet ===

impl Sheet {
    /// Encodes the routes of a Host. `challenge` comes before them.
    pub(super) fn new(
        profile: Profile,
        challenge: Option<&Arc<Piece>>,
        groups: Option<&Groups>,
    ) -> Self {
        let pieces = groups.into_iter().flat_map(BTreeMap::values).flat_map(|e| e.get(profile));
        let count = pieces.count() + usize::from(challenge.is_some());
        let challenge = challenge.cloned();
        let mut sheet = Self { profile, challenge, count, index: None, list: None };
        sheet.settle(groups);
        sheet
    }

    /// The route that comes before all others.
    pub(super) fn challenge(&self) -> Option<&Arc<Piece>> {
        self.challenge.as_ref()
    }

    /// Returns how many routes there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns the groups whose routes keep the others from a tree, in order.
    pub(super) fn broad(&self) -> Vec<GroupId> {
        let mut groups: Vec<GroupId> =
            self.index.iter().flat_map(Index::broad).filter_map(|slot| slot.group()).collect();
        groups.dedup();
        groups
    }

    /// Follows edits of groups; `groups` are the present ones.
    pub(super) fn edit(&mut self, edits: &[GroupEdit], groups: Option<&Groups>) {
        for edit in edits {
            let (before, after) = (edit.before.get(self.profile), edit.after.get(self.profile));
            self.count = self.count + after.len() - before.len();
            let Some(index) = &mut self.index else { continue };
            for (position, piece) in before.iter().enumerate() {
                let successor = after.get(position);
                if successor.is_none_or(|successor| !successor.takes_place_of(piece)) {
                    index.remove(&piece.into());
                }
            }
            after.iter().for_each(|piece| index.insert(piece.into()));
        }
        if let Some(list) = &mut self.list {
            let touched = edits.iter().map(|edit| {
                (edit.place.clone(), groups.is_some_and(|all| all.contains_key(&edit.place)))
            });
            list.edit(touched, encode(groups, self.profile));
        }
        self.settle(groups);
    }

    /// Brings index and list in line with the number of routes.
    fn settle(&mut self, groups: Option<&Groups>) {
        if self.count < THRESHOLD {
            self.index = None;
        } else if let Some(index) = &mut self.index {
            index.settle();
        } else {
            let encoded = groups.into_iter().flat_map(BTreeMap::values);
            let pieces = encoded.flat_map(|encoded| encoded.get(self.profile));
            self.index = Some(Index::new(self.challenge.iter().chain(pieces).map(Slot::from)));
        }
        if self.index.as_ref().is_some_and(|index| index.tree().is_some()) {
            self.list = None;
        } else if self.list.is_none() {
            let places = groups.into_iter().flat_map(BTreeMap::keys);
            let ends = places.filter(|place| place.ends()).cloned();
            self.list = Some(Runs::new(ends, encode(groups, self.profile)));
        }
    }

    /// Returns the length of what [`append`](Self::append) appends.
    pub(in super::super) fn len(&self) -> usize {
        match (self.index.as_ref().and_then(Index::tree), &self.list) {
            (Some(tree), _) => tree.len(),
            (None, list) => {
                let first = self.challenge.iter().map(|piece| piece.encoded());
                virtual_host::routes_len(first) + list.as_ref().map_or(0, Runs::len)
            }
        }
    }

    /// Appends the fields of the virtual host.
    pub(in super::super) fn append(&self, out: &mut Writer) {
        match (self.index.as_ref().and_then(Index::tree), &self.list) {
            (Some(tree), _) => tree.append(out),
            (None, list) => {
                let first = self.challenge.iter().map(|piece| piece.encoded());
                virtual_host::append_routes(first, out.buffer());
                list.iter().for_each(|list| list.append(out));
            }
        }
    }
}

fn encode(groups: Option<&Groups>, profile: Profile) -> impl Fn(Span<'_, Place>, &mut Vec<u8>) {
    move |span, run| {
        let groups = groups.into_iter().flat_map(|all| all.range::<Place, _>(span));
        let pieces = groups.flat_map(|(_, encoded)| encoded.get(profile));
        virtual_host::append_routes(pieces.map(|piece| piece.encoded()), run);
    }
}
