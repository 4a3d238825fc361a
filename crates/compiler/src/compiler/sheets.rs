//! Encoded routes of virtual hosts, and how they follow an edit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::encoded::Piece;
use super::routes::{Edit, Edits, Place, Routes};
use crate::envoy::virtual_host::Body;
use crate::ir::item::ItemId;
use crate::ir::scene::{Profile, VirtualHost};

/// What virtual hosts make of a Host: the profile, and whether challenges are
/// answered first. Those of several route configurations that agree share a
/// sheet.
type Use = (Profile, bool);

/// Encoded routes of every virtual host in use, by Host.
#[derive(Debug, Default)]
pub(super) struct Sheets {
    by_host: BTreeMap<Option<ItemId>, BTreeMap<Use, Sheet>>,
}

/// The routes of one virtual host.
#[derive(Debug)]
struct Sheet {
    pieces: Vec<Arc<Piece>>,
    /// Where the routes of each group start, in order.
    starts: Vec<(Place, usize)>,
    body: Body,
}

// === impl Sheets ===

impl Sheets {
    /// Takes edits over: replaces what only is encoded otherwise, and drops
    /// what has to be made anew.
    pub(super) fn edit(&mut self, edits: &Edits, routes: &Routes) {
        for (host, edit) in edits {
            let key = Some(host.clone());
            match edit {
                Edit::Shape => {
                    self.by_host.remove(&key);
                }
                Edit::Content(places) => {
                    for ((profile, _), sheet) in self.by_host.get_mut(&key).into_iter().flatten() {
                        sheet.replace(host, *profile, places, routes);
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
    pub(super) fn body(
        &mut self,
        host: &VirtualHost,
        challenge: Option<&Arc<Piece>>,
        routes: &Routes,
    ) -> &Body {
        let challenge = challenge.filter(|_| host.challenges);
        let sheets = self.by_host.entry(host.host.clone()).or_default();
        let key = (host.profile, host.challenges);
        let stale = |sheet: &Sheet| challenge.is_some() && sheet.pieces.first() != challenge;
        if sheets.get(&key).is_some_and(stale) {
            sheets.remove(&key);
        }
        &sheets.entry(key).or_insert_with(|| Sheet::new(host, challenge, routes)).body
    }
}

// === impl Sheet ===

impl Sheet {
    fn new(host: &VirtualHost, challenge: Option<&Arc<Piece>>, routes: &Routes) -> Self {
        let mut pieces: Vec<Arc<Piece>> = challenge.into_iter().cloned().collect();
        let mut starts = Vec::new();
        for (place, encoded) in host.host.iter().flat_map(|id| routes.encoded(id)) {
            starts.push((place.clone(), pieces.len()));
            pieces.extend_from_slice(encoded.get(host.profile));
        }
        let entries: Vec<_> = pieces.iter().map(|piece| piece.entry()).collect();
        let body = Body::new(&entries);
        Self { pieces, starts, body }
    }

    fn replace(
        &mut self,
        host: &ItemId,
        profile: Profile,
        places: &BTreeSet<Place>,
        routes: &Routes,
    ) {
        let mut positions = Vec::new();
        for place in places {
            let Ok(at) = self.starts.binary_search_by(|(known, _)| known.cmp(place)) else {
                continue;
            };
            let encoded = routes.encoded_at(host, place).map_or(&[][..], |all| all.get(profile));
            for (position, piece) in (self.starts[at].1..).zip(encoded) {
                self.pieces[position] = piece.clone();
                positions.push(position);
            }
        }
        let pieces = &self.pieces;
        self.body.replace(&positions, pieces.len(), |route| pieces[route].encoded());
    }
}
