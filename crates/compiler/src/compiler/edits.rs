//! The routes of Hosts, and how they changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::encoded::{Encoded, Place};
use crate::ir::item::ItemId;

/// The groups of a Host, encoded, in order.
pub(super) type Groups = BTreeMap<Place, Arc<Encoded>>;

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
