//! What the passes are given: everything but Mappings.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api::{FileText, Kind, ObjectKey};

use super::endpoints::Services;
use super::item::{Item, ItemId};
use super::refusals::Expressions;
use super::secret::{SecretName, Secrets};
use crate::Settings;

/// What the files hold that objects name.
pub(crate) type Files = BTreeMap<Arc<str>, FileText>;

/// Objects that a scene is made of.
pub(crate) struct Input<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) items: &'a BTreeMap<Kind, BTreeMap<ItemId, Item>>,
    /// Objects whose text never could be used.
    pub(crate) broken: &'a BTreeSet<ObjectKey>,
    pub(crate) services: &'a Services,
    pub(crate) secrets: &'a Secrets,
    /// What the files hold that objects name.
    pub(crate) files: &'a Arc<Files>,
    /// Expressions that Envoy refused.
    pub(crate) refused: &'a Arc<Expressions>,
    /// Some Mapping has bodies of error answers of its own.
    pub(crate) mapping_error_responses: bool,
    /// Secrets that were asked for, found or not.
    pub(crate) looked_at: RefCell<BTreeSet<SecretName>>,
}

impl Input<'_> {
    /// Items of a kind, in processing order.
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &Item> {
        self.items.get(&kind).into_iter().flat_map(BTreeMap::values)
    }

    pub(crate) fn any_broken(&self, kind: Kind) -> bool {
        self.broken.iter().any(|key| key.kind == kind)
    }

    /// Whether any object of this kind exists, usable or not.
    pub(crate) fn any(&self, kind: Kind) -> bool {
        self.of(kind).next().is_some() || self.any_broken(kind)
    }
}
