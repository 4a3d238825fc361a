//! Filters and FilterPolicies, as the auth service receives them.

use std::collections::BTreeSet;

use nuncio_api::{ObjectKey, Spec};

use super::item::Item;
use super::secret::SecretName;
use crate::names;

/// One Filter or FilterPolicy.
#[derive(Debug, PartialEq)]
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) generation: i64,
    /// Canonical JSON of the spec; empty when rejected.
    pub(crate) spec_json: String,
    /// Secrets that a Filter reads.
    pub(crate) secrets: BTreeSet<SecretName>,
    /// Why the object cannot be used.
    pub(crate) rejected: String,
}

impl Policy {
    /// Reads an object that could be decoded.
    pub(crate) fn of(item: &Item) -> Self {
        let secrets = match &item.object.spec {
            Spec::Filter(filter) => filter.secrets(item.namespace()).into_iter().collect(),
            _ => BTreeSet::new(),
        };
        let (spec_json, rejected) = match serde_json::to_string(&item.object.spec) {
            Ok(json) => (json, String::new()),
            Err(error) => (String::new(), error.to_string()),
        };
        Self {
            name: item.name().to_owned(),
            namespace: item.namespace().to_owned(),
            generation: item.meta().generation,
            spec_json,
            secrets,
            rejected,
        }
    }

    /// Stands for an object that never could be decoded.
    pub(crate) fn rejected(key: &ObjectKey, reason: String) -> Self {
        Self {
            name: key.name.clone(),
            namespace: key.namespace.clone(),
            generation: 0,
            spec_json: String::new(),
            secrets: BTreeSet::new(),
            rejected: reason,
        }
    }

    /// Resource name.
    pub(crate) fn resource_name(&self) -> String {
        names::dotted(&self.name, &self.namespace)
    }
}
